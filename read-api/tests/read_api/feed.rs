//! The feed: in order, without a hole, for those who ask, wait or listen.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use guildhall_aggregates::{TenantId, association::AssociationRecord, member::MemberEvent, personal::PersonName};
use guildhall_event_store::StreamId;
use guildhall_read_api::FeedLimits;
use guildhall_web::Role;
use http_body_util::BodyExt;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    story,
    world::{CORRELATION, World, lawyers, nurses},
};

/// Long enough for a loaded machine; nobody waits for it in vain.
const LONG: Duration = Duration::from_mins(2);

async fn two_associations() -> World {
    with_two_associations(World::new().await).await
}

async fn with_two_associations(world: World) -> World {
    story::tell(&world, nurses(), "nurses", "Nightingale").await;
    story::tell(&world, lawyers(), "lawyers", "Portia").await;
    world
}

async fn rename(world: &World, tenant: TenantId, name: &str) -> u64 {
    world.record(tenant, tenant.uuid(), &[AssociationRecord::AssociationRenamed { name: name.into() }]).await.position
}

fn positions(json: &Value) -> Vec<u64> {
    let items = json["data"].as_array().unwrap().iter();
    items.map(|item| item["position"].as_str().unwrap().parse().unwrap()).collect()
}

/// Everything after a position, page by page until a page adds nothing.
async fn follow(world: &World, question: &str) -> (Vec<Value>, u64) {
    let (mut items, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let json = world.get(&format!("/v1/feed?{question}&after={after}")).await.json();
        let page = json["data"].as_array().unwrap();
        let next = json["next"].as_str().unwrap().to_owned();
        assert_eq!(json["position"], format!("p-{next}"));
        if page.is_empty() && next == after {
            return (items, after.parse().unwrap());
        }
        items.extend(page.iter().cloned());
        after = next;
    }
}

#[tokio::test]
async fn the_feed_is_the_history_of_the_association_event_by_event() {
    let world = two_associations().await;
    let stored = world.store.read_tenant_after(nurses(), 0, 1_000).await.unwrap();
    assert!(stored.len() > 20, "a story has events");
    for limit in [1, 7, 1_000] {
        let (items, reached) = follow(&world, &format!("limit={limit}")).await;
        assert_eq!(items.len(), stored.len());
        assert_eq!(reached, world.store.head().await.unwrap());
        for (item, event) in items.iter().zip(&stored) {
            assert_eq!(item["position"], event.position.to_string());
            assert_eq!(item["id"], event.event_id.to_string());
            assert_eq!(item["source"], format!("/associations/{}", nurses()));
            assert_eq!(item["type"], format!("guildhall.{}.{}", event.stream.category, event.type_name));
            assert_eq!(item["subject"], event.stream.to_string());
            assert_eq!(item["streamversion"], event.version.to_string());
            assert_eq!(item["correlationid"], CORRELATION.to_string());
            assert_eq!(item["leafhash"], STANDARD.encode(event.leaf_hash));
            assert_eq!(item["metadata"].as_str().unwrap().as_bytes(), &*event.metadata);
        }
    }
    // The payload is not parsed and written anew: its bytes stand in the answer.
    let reply = world.get("/v1/feed?limit=1000").await;
    for event in &stored {
        let data = format!("\"data\":{}", std::str::from_utf8(&event.payload).unwrap());
        assert!(reply.body.contains(&data), "not byte for byte: {data}");
    }
    assert_eq!(reply.header("cache-control"), "no-store");
}

#[tokio::test]
async fn who_asks_for_what_is_archived_is_told_which_positions_are_away() {
    let world = two_associations().await;
    // In little what `guildhall store archive` does.
    let archive = "ALTER TABLE es.event_0 DISABLE TRIGGER refuse_change;
                   DELETE FROM es.event_0 WHERE position <= 3;
                   INSERT INTO es.archived (partition_name, first_position, last_position, manifest)
                       VALUES ('event_x', 1, 3, '{}')";
    world.store.pool().get().await.unwrap().batch_execute(archive).await.unwrap();
    let refused = world.get("/v1/feed?after=0").await;
    assert_eq!((refused.status, &*refused.problem()), (StatusCode::SERVICE_UNAVAILABLE, "archived"));
    assert!(refused.body.contains("Positions 1 to 3 are archived"), "{}", refused.body);
    assert_eq!(refused.header("retry-after"), "", "to ask again does not help");
    let behind = world.get("/v1/feed?after=3&limit=1").await;
    assert_eq!(behind.status, StatusCode::OK, "{}", behind.body);
}

#[tokio::test]
async fn the_document_describes_what_is_sent() {
    let world = two_associations().await;
    let (items, _) = follow(&world, "limit=1000").await;
    let document = serde_json::to_value(guildhall_read_api::document()).unwrap();
    let described = &document["components"]["schemas"]["CloudEvent"]["properties"];
    let described: Vec<_> = described.as_object().unwrap().keys().collect();
    for name in items[0].as_object().unwrap().keys() {
        assert!(described.contains(&name), "`{name}` is sent and not described: {described:?}");
    }
}

#[tokio::test]
async fn a_filter_lets_its_categories_through_and_moves_on_past_the_others() {
    let world = two_associations().await;
    let head = world.store.head().await.unwrap();
    let stored = world.store.read_tenant_after(nurses(), 0, 1_000).await.unwrap();
    let of = |categories: &[&str]| {
        let wanted = stored.iter().filter(|event| categories.contains(&&*event.stream.category));
        wanted.map(|event| event.position.to_string()).collect::<Vec<_>>()
    };
    for categories in [&["member"][..], &["membership", "invoice"], &["payment"]] {
        for limit in [1, 2, 1_000] {
            let (items, reached) = follow(&world, &format!("limit={limit}&category={}", categories.join(","))).await;
            let found: Vec<_> = items.iter().map(|item| item["position"].as_str().unwrap().to_owned()).collect();
            assert_eq!((found, reached), (of(categories), head), "{categories:?} by {limit}");
        }
    }
    let last = of(&["member"]).pop().unwrap();
    let json = world.get(&format!("/v1/feed?category=member&after={last}")).await.json();
    assert_eq!((positions(&json), json["next"].as_str()), (vec![], Some(&*head.to_string())));
}

#[tokio::test]
async fn a_narrow_filter_gets_through_a_long_history_of_others() {
    let world = World::new().await;
    for chunk in 0..6 {
        let names = (0..100).map(|nth| AssociationRecord::AssociationRenamed { name: format!("Name {chunk}-{nth}") });
        world.record(nurses(), nurses().uuid(), &names.collect::<Vec<_>>()).await;
    }
    let credential = MemberEvent::CredentialAdded { credential: "RN".into() };
    let position = world.record(nurses(), story::ada().uuid(), &[credential]).await.position;
    let json = world.get("/v1/feed?category=member").await.json();
    assert_eq!((positions(&json), json["next"].as_str()), (vec![position], Some(&*position.to_string())));
}

#[tokio::test]
async fn events_of_other_applications_stay_in_the_house() {
    let world = World::new().await;
    let stream = StreamId::new("app_account", Uuid::from_u128(0xACC));
    world.append(CORRELATION, nurses(), stream, vec![("Opened", 1, b"{\"owner\":\"Ada\"}".to_vec())]).await;
    let json = world.get("/v1/feed").await.json();
    assert_eq!((positions(&json), json["next"].as_str()), (vec![], Some("1")));
}

#[tokio::test]
async fn who_follows_while_others_record_misses_nothing() {
    let world = World::new().await;
    let record = async |tenant: TenantId, from: u128| {
        for nth in 0..60 {
            let credential = MemberEvent::CredentialAdded { credential: format!("C{nth}") };
            world.record(tenant, Uuid::from_u128(from + nth % 5), &[credential]).await;
        }
    };
    let read = async {
        let (mut seen, mut after) = (Vec::new(), "0".to_owned());
        while seen.len() < 120 {
            let json = world.get(&format!("/v1/feed?limit=3&wait=30&after={after}")).await.json();
            seen.extend(positions(&json));
            json["next"].as_str().unwrap().clone_into(&mut after);
        }
        seen
    };
    let all = async { tokio::join!(record(nurses(), 100), record(lawyers(), 200), record(nurses(), 300), read).3 };
    let seen = tokio::time::timeout(LONG, all).await.unwrap();
    let stored = world.store.read_tenant_after(nurses(), 0, 1_000).await.unwrap();
    assert_eq!(seen, stored.iter().map(|event| event.position).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_waiting_page_comes_with_its_event_and_holds_no_connection() {
    let world = World::new().await;
    let waiting = futures::future::join_all((0..20).map(|_| world.get("/v1/feed?wait=30&category=association")));
    let (replies, recorded) = tokio::join!(waiting, async {
        // Twenty wait and the pool has eight. What is not for them does not end their waiting.
        rename(&world, lawyers(), "Bar").await;
        world.record(nurses(), story::ada().uuid(), &[MemberEvent::CredentialAdded { credential: "RN".into() }]).await;
        rename(&world, nurses(), "Guild").await
    });
    for reply in replies {
        assert_eq!((reply.status, positions(&reply.json())), (StatusCode::OK, vec![recorded]));
    }
}

#[tokio::test]
async fn a_page_that_waited_in_vain_is_empty_and_moves_on() {
    let world = World::with_feed(FeedLimits { longest_wait: Duration::from_millis(20), ..FeedLimits::default() }).await;
    let head = rename(&world, lawyers(), "Bar").await;
    let json = world.get("/v1/feed?wait=30").await.json();
    assert_eq!((positions(&json), json["next"].as_str()), (vec![], Some(&*head.to_string())));
}

#[tokio::test]
async fn a_page_that_waits_is_answered_before_its_request_is_given_up() {
    let world = World::with_request_timeout(Duration::from_secs(3)).await;
    let reply = world.get("/v1/feed?wait=30").await;
    assert_eq!((reply.status, positions(&reply.json())), (StatusCode::OK, vec![]));
}

#[tokio::test]
async fn more_than_may_wait_are_told_to_come_back() {
    let world = World::with_feed(FeedLimits { waiting: [8, 1], streams: [8, 1], ..FeedLimits::default() }).await;
    let token = world.token("lawyers", &[Role::Api]);
    let (first, second, other, _) = tokio::join!(
        world.get("/v1/feed?wait=30"),
        world.get("/v1/feed?wait=30"),
        world.get_as(&token, "/v1/feed?wait=30", &[]),
        async {
            rename(&world, lawyers(), "Bar").await;
            rename(&world, nurses(), "Guild").await
        }
    );
    let refused = if first.status == StatusCode::OK { &second } else { &first };
    assert_eq!((refused.status, refused.problem()), (StatusCode::SERVICE_UNAVAILABLE, "overloaded".into()));
    assert_eq!(refused.header("retry-after"), "5");
    assert_eq!(other.status, StatusCode::OK, "another association has places of its own");

    let _listening = Listener::open(&world, "/v1/feed", None).await;
    let refused = listen(&world, &world.token("nurses", &[Role::Api]), "/v1/feed", None).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_feed_is_for_clients_and_auditors() {
    let world = World::new().await;
    for (role, status) in
        [(Role::Api, StatusCode::OK), (Role::Auditor, StatusCode::OK), (Role::Analyst, StatusCode::FORBIDDEN)]
    {
        let reply = world.get_as(&world.token("nurses", &[role]), "/v1/feed", &[]).await;
        assert_eq!(reply.status, status, "{role:?}");
    }
}

#[tokio::test]
async fn personal_data_is_sealed_in_the_feed_and_stays_so_when_somebody_is_forgotten() {
    let world = World::new().await;
    let name = PersonName { display: "Ada Lovelace".into(), first: None, middle: None, last: None };
    let sealed = world.seal(nurses(), story::ada(), name).await;
    world.record(nurses(), story::ada().uuid(), &[MemberEvent::NameChanged { name: sealed }]).await;
    let before = world.get("/v1/feed").await.body;
    world.store.vault().forget(nurses(), story::ada().into()).await.unwrap();
    let after = world.get("/v1/feed").await.body;
    assert!(before.contains("NameChanged") && !before.contains("Lovelace"), "{before}");
    assert_eq!(before, after, "what was handed out and what is handed out are the same bytes");
}

/// One block of a stream: its fields by name.
type Block = BTreeMap<String, String>;

async fn listen(world: &World, token: &str, path: &str, last_event_id: Option<&str>) -> axum::response::Response {
    let mut request = Request::get(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::ACCEPT, "text/event-stream");
    if let Some(id) = last_event_id {
        request = request.header("Last-Event-ID", id);
    }
    world.respond(request.body(Body::empty()).unwrap()).await
}

/// Somebody who listens, as the specification of server-sent events says.
struct Listener {
    body: Body,
    unread: String,
}

impl Listener {
    async fn open(world: &World, path: &str, last_event_id: Option<&str>) -> Self {
        let response = listen(world, &world.token("nurses", &[Role::Api]), path, last_event_id).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Self { body: response.into_body(), unread: String::new() }
    }

    /// The next block; none when the stream has ended.
    async fn next(&mut self) -> Option<Block> {
        loop {
            if let Some((block, rest)) = self.unread.split_once("\n\n") {
                let fields = block.lines().filter_map(|line| line.split_once(": "));
                let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                self.unread = rest.into();
                return Some(fields);
            }
            let frame = tokio::time::timeout(LONG, self.body.frame()).await.unwrap()?;
            self.unread += std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap();
        }
    }

    /// The next event, and the position that was said last before it came.
    async fn event(&mut self) -> Block {
        loop {
            let block = self.next().await.unwrap();
            if block.contains_key("data") {
                return block;
            }
        }
    }
}

#[tokio::test]
async fn a_stream_says_every_event_as_it_comes() {
    // Were it not woken, it would look an hour later.
    let hour = Duration::from_hours(1);
    let limits = FeedLimits { heartbeat: hour, stream_lifetime: hour, ..FeedLimits::default() };
    let world = with_two_associations(World::with_feed(limits).await).await;
    let stored = world.store.read_tenant_after(nurses(), 0, 1_000).await.unwrap();
    let mut listener = Listener::open(&world, "/v1/feed", None).await;
    for event in &stored {
        let block = listener.event().await;
        let data: Value = serde_json::from_str(&block["data"]).unwrap();
        assert_eq!((&*block["id"], &data["id"]), (&*event.position.to_string(), &event.event_id.to_string().into()));
        assert_eq!((&*block["event"], &data["type"]), (&*event.cloud_type(), &event.cloud_type().into()));
    }
    rename(&world, lawyers(), "Bar").await;
    let position = rename(&world, nurses(), "Guild").await;
    assert_eq!(listener.event().await["id"], position.to_string());
}

#[tokio::test]
async fn a_stream_goes_on_after_the_id_that_came_last() {
    let world = two_associations().await;
    let stored = world.store.read_tenant_after(nurses(), 0, 1_000).await.unwrap();
    let (third, fourth) = (stored[2].position.to_string(), stored[3].position.to_string());
    let mut listener = Listener::open(&world, "/v1/feed?after=0", Some(&third)).await;
    assert_eq!(listener.event().await["id"], fourth);
    for bad in ["", "p-1", "-1", "99999"] {
        let response = listen(&world, &world.token("nurses", &[Role::Api]), "/v1/feed", Some(bad)).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{bad:?}");
    }
}

#[tokio::test]
async fn who_listens_for_what_does_not_happen_hears_how_far_history_is() {
    let limits = FeedLimits { heartbeat: Duration::from_millis(50), ..FeedLimits::default() };
    let world = World::with_feed(limits).await;
    rename(&world, nurses(), "Guild").await;
    let mut listener = Listener::open(&world, "/v1/feed?category=payment", None).await;
    let head = rename(&world, lawyers(), "Bar").await;
    loop {
        let block = listener.next().await.unwrap();
        assert!(!block.contains_key("data"), "{block:?}");
        if block.get("id") == Some(&head.to_string()) {
            return;
        }
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_time_with_its_token_and_with_the_node() {
    let limits = FeedLimits { heartbeat: Duration::from_millis(50), ..FeedLimits::default() };
    let short = World::with_feed(FeedLimits { stream_lifetime: Duration::from_millis(200), ..limits }).await;
    let mut listener = Listener::open(&short, "/v1/feed", None).await;
    while listener.next().await.is_some() {}

    let world = World::with_feed(limits).await;
    let token = world.token_for(TimeDelta::seconds(1), "nurses", &[Role::Api]);
    let response = listen(&world, &token, "/v1/feed", None).await;
    let mut expiring = Listener { body: response.into_body(), unread: String::new() };
    while expiring.next().await.is_some() {}

    let mut stopped = Listener::open(&world, "/v1/feed", None).await;
    let waiting = world.get("/v1/feed?wait=30");
    let ((), reply) = tokio::join!(
        async {
            world.stop.cancel();
            while stopped.next().await.is_some() {}
        },
        waiting
    );
    assert_eq!(reply.status, StatusCode::OK);
}
