//! An application on `postgres-es` moves in: row for row, again, grown, and on from there.

use std::{collections::HashMap, path::Path, process::Stdio};

use cqrs_es::{Aggregate, CqrsFramework, DomainEvent, EventStore as _, event_sink::EventSink};
use guildhall_aggregates::tenant_of_slug;
use guildhall_event_store::{
    Clock, EventStore, RecordedEvent,
    cqrs::{Categories, Context, CqrsStore, ForeignAggregate},
};
use guildhall_sandbox::testing::TestDatabase;
use guildhall_server::{config::Config, node::open_store};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use tokio_postgres::Client;

use crate::server::{Server, binary, eventually};

/// The table as `postgres-es` documents it.
const EVENTS: &str = "CREATE TABLE events (
    aggregate_type text NOT NULL, aggregate_id text NOT NULL, sequence bigint CHECK (sequence >= 0) NOT NULL,
    event_type text NOT NULL, event_version text NOT NULL, payload json NOT NULL, metadata json NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence))";

/// Money, as the application that moves in counts it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Purse {
    cents: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum PurseEvent {
    Filled { cents: i64 },
}

impl DomainEvent for PurseEvent {
    fn event_type(&self) -> String {
        "Filled".to_owned()
    }
    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

#[derive(Debug, thiserror::Error)]
enum Never {}

impl Aggregate for Purse {
    const TYPE: &'static str = "Purse";
    type Command = i64;
    type Event = PurseEvent;
    type Error = Never;
    type Services = ();

    async fn handle(&mut self, cents: i64, (): &(), sink: &EventSink<Self>) -> Result<(), Never> {
        sink.write(PurseEvent::Filled { cents }, self).await;
        Ok(())
    }

    fn apply(&mut self, PurseEvent::Filled { cents }: PurseEvent) {
        self.cents += cents;
    }
}

/// A house with the association `bank`, and a source with an empty table.
struct World {
    server: Server,
    house: TestDatabase,
    source: TestDatabase,
    client: Client,
}

impl World {
    async fn new() -> Self {
        let (house, source) = (TestDatabase::create().await, TestDatabase::create().await);
        let mut server = Server::configured(house.url(), None);
        server.start("all");
        server.client("bank").found("bank").await;
        let client = source.connect().await;
        client.batch_execute(EVENTS).await.expect("the table is made");
        Self { server, house, source, client }
    }

    async fn sql(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Imports, and gives the report with whether it ended well.
    fn import(&self, more: &[&str]) -> (bool, Value) {
        let mut arguments = vec!["import", "postgres-es", self.source.url(), "--association", "bank"];
        arguments.extend(more);
        let output = self.server.output(&arguments);
        let said = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        (output.status.success(), said)
    }

    /// Tries to import, and gives what it complains of.
    fn complaint(&self, arguments: &[&str]) -> String {
        let output = self.server.output(arguments);
        assert!(!output.status.success(), "{arguments:?} went well");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    async fn store(&self) -> EventStore {
        let config = Config::load(Some(&self.server.config_file()), &[]).expect("the configuration holds");
        open_store(&config, Clock::system()).await.expect("it opens")
    }

    /// The history of `bank` without its founding.
    async fn history(&self) -> Vec<RecordedEvent> {
        let mut events =
            self.store().await.read_tenant_after(tenant_of_slug("bank"), 0, 10_000).await.expect("it is read");
        events.remove(0);
        events
    }

    /// Sees that everything in the source, and nothing else, is in history: the same text under the same number.
    async fn is_mirrored(&self) {
        let mut streams: HashMap<_, Vec<_>> = HashMap::new();
        for event in self.history().await {
            streams.entry(event.stream.clone()).or_default().push(event);
        }
        let rows = self
            .client
            .query(
                "SELECT aggregate_type, aggregate_id, sequence, event_type, event_version, payload::text, metadata::text
                 FROM events ORDER BY 1, 2, 3",
                &[],
            )
            .await
            .expect("the source is read");
        for row in &rows {
            let (kind, id, sequence): (&str, &str, i64) = (row.get(0), row.get(1), row.get(2));
            let aggregate = ForeignAggregate::new(tenant_of_slug("bank"), &Categories::default(), kind, id);
            let stream = aggregate.expect("the type makes a category").stream;
            let event = streams.get_mut(&stream).map(|events| events.remove(0)).expect("the row is in history");
            assert_eq!(event.version, u64::try_from(sequence).expect("it counts from 1"), "{kind} {id}");
            assert_eq!(&*event.type_name, row.get::<_, &str>(3));
            assert_eq!(event.payload, row.get::<_, &str>(5).as_bytes());
            let metadata: HashMap<&str, &RawValue> = serde_json::from_slice(&event.metadata).expect("it is JSON");
            let kept: HashMap<&str, &RawValue> = serde_json::from_str(metadata["cqrs_es"].get()).expect("it is JSON");
            let text = |value: &RawValue| serde_json::from_str::<String>(value.get()).expect("it is text");
            assert_eq!((text(kept["aggregate_type"]), text(kept["aggregate_id"])), (kind.to_owned(), id.to_owned()));
            assert_eq!(text(kept["event_version"]), row.get::<_, &str>(4));
            assert_eq!(kept["metadata"].get(), row.get::<_, &str>(6));
        }
        assert!(streams.values().all(Vec::is_empty), "history holds what the source does not");
    }
}

/// Rows from `from` to `to` of a purse, each of as many cents as its number, written the way people write JSON.
fn fill(id: &str, from: u32, to: u32) -> String {
    format!(
        r#"INSERT INTO events SELECT 'Purse', '{id}', n, 'Filled', '1.0',
               format('{{ "Filled" :  {{"cents": %s}} }}', n)::json, '{{"by":"é",  "step":"1"}}'
           FROM generate_series({from}, {to}) n"#
    )
}

async fn purse(store: &EventStore, id: &str) -> Context<Purse> {
    CqrsStore::new(store.clone(), tenant_of_slug("bank")).load_aggregate(id).await.expect("it is read")
}

#[tokio::test]
async fn an_events_table_comes_in_row_for_row_and_again_when_it_has_grown() {
    let world = World::new().await;
    // More than a unit, and than a page, holds; ids that are no UUIDs, and one that is.
    world.sql(&fill("long", 1, 1_300)).await;
    let uuid = "0198c0de-0000-7000-8000-00000000000a";
    for id in ["a", "A b/ü", uuid, &uuid.to_uppercase()] {
        world.sql(&fill(id, 1, 3)).await;
    }
    world.sql("INSERT INTO events VALUES ('order', '7', 1, 'Placed', 'v3', '[1,  2]', '{}')").await;

    let (well, dry) = world.import(&["--dry-run"]);
    assert!(well && dry["events_appended"] == 1_313, "{dry}");
    assert!(world.history().await.is_empty(), "a dry run records nothing");
    let (well, first) = world.import(&[]);
    assert!(well && first["events_appended"] == 1_313, "{first}");
    let purses = &first["report"]["aggregate_types"]["Purse"];
    assert_eq!(
        (&purses["category"], &purses["streams"], &purses["rows"]),
        (&"app___purse".into(), &5.into(), &1_312.into())
    );
    world.is_mirrored().await;
    let (well, again) = world.import(&[]);
    assert!(well && again["events_appended"] == 0, "{again}");
    assert_eq!(again["report"]["aggregate_types"]["Purse"]["unchanged"], 1_312);

    world.sql(&fill("long", 1_301, 1_400)).await;
    world.sql(&fill("a", 4, 4)).await;
    world.sql(&fill("new", 1, 2)).await;
    let (well, grown) = world.import(&[]);
    assert!(well && grown["events_appended"] == 103, "{grown}");
    world.is_mirrored().await;
    everybody_else_copes(&world).await;

    let store = world.store().await;
    let long = purse(&store, "long").await;
    assert_eq!((long.aggregate.cents, long.version), (1_400 * 1_401 / 2, 1_400));
    // The application goes on here; what the source still adds is no longer taken.
    let framework = CqrsFramework::<Purse, _>::new(CqrsStore::new(store.clone(), tenant_of_slug("bank")), vec![], ());
    framework.execute("new", 39).await.expect("it is recorded");
    assert_eq!(purse(&store, "new").await.aggregate.cents, 42);
    world.sql(&fill("new", 3, 4)).await;
    for more in [&["--dry-run"][..], &[]] {
        let (well, late) = world.import(more);
        let refused = &late["report"]["refused"];
        assert!(
            !well && late["events_appended"] == 0 && refused.as_array().is_some_and(|all| all.len() == 1),
            "{late}"
        );
        assert_eq!((&refused[0]["aggregate_id"], &refused[0]["sequence"]), (&"new".into(), &3.into()));
        assert!(refused[0]["reason"].as_str().is_some_and(|reason| reason.contains("without the source")), "{late}");
    }
    store.shutdown().await;
}

/// Projections pass over what is none of theirs, auditors see it, and the checks hold.
async fn everybody_else_copes(world: &World) {
    let rebuilt = world.server.report(&["rebuild", "directory"]);
    assert!(rebuilt.as_array().is_none_or(|reports| !reports.is_empty()), "{rebuilt}");
    assert_eq!(world.server.report(&["audit", "verify"])["holds"], true);
    let stream = world.history().await.remove(0).stream;
    let url = format!("{}/v1/streams/{stream}", world.server.url());
    let request = reqwest::Client::new().get(url).bearer_auth(world.server.token("bank"));
    let answer: Value = request.send().await.expect("an answer").json().await.expect("it is JSON");
    assert_eq!(answer["data"][0]["metadata"]["actor"]["name"], "postgres-es", "{answer}");
    let people = world.house.connect().await;
    let decoded = people.query_one("SELECT count(*) FROM es.event_decoded WHERE payload IS NOT NULL", &[]).await;
    assert_eq!(decoded.expect("people can read it").get::<_, i64>(0), 1_417);
}

#[tokio::test]
async fn of_a_stream_with_a_gap_or_a_row_that_does_not_fit_nothing_is_taken_from_there_on() {
    let world = World::new().await;
    world.sql(&fill("whole", 1, 3)).await;
    world.sql(&fill("gap", 1, 2)).await;
    world.sql(&fill("gap", 4, 600)).await;
    world.sql(&fill("late", 2, 3)).await;
    world.sql(&fill("nought", 0, 2)).await;
    world.sql(&fill("nameless", 1, 3)).await;
    world.sql("UPDATE events SET event_type = '' WHERE aggregate_id = 'nameless' AND sequence = 2").await;
    world.sql(&fill("large", 1, 3)).await;
    world
        .sql("UPDATE events SET payload = to_json(repeat('x', 262144)) WHERE aggregate_id = 'large' AND sequence = 3")
        .await;
    world.sql("INSERT INTO events VALUES (repeat('Long', 20), '1', 1, 'E', '1', '{}', '{}')").await;
    let refusals = |report: &Value| -> HashMap<String, (i64, String)> {
        let refused = report["report"]["refused"].as_array().expect("a list").iter();
        let text = |value: &Value| value.as_str().expect("it is text").to_owned();
        refused
            .map(|one| {
                let sequence = one["sequence"].as_i64().expect("a number");
                (text(&one["aggregate_id"]), (sequence, text(&one["reason"])))
            })
            .collect()
    };

    let file = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
    let (well, done) = world.import(&["--report", file.path().to_str().expect("a path is text")]);
    let found = refusals(&done);
    assert!(!well && found.len() == 6 && done["events_appended"] == 8, "{done}");
    for (id, sequence, reason) in [
        ("gap", 4, "sequence 3 is missing; 4 comes next"),
        ("late", 2, "sequence 1 is missing"),
        ("nought", 0, "sequence 1 is missing; 0 comes next"),
        ("nameless", 2, "event type"),
        ("large", 3, "262144 bytes"),
        ("1", 1, "--types"),
    ] {
        assert!(found[id].0 == sequence && found[id].1.contains(reason), "{id}: {:?}", found[id]);
    }
    let written: Value = serde_json::from_slice(&std::fs::read(file.path()).expect("it is there")).expect("it is JSON");
    assert_eq!(written, done["report"]);
    let purses = &done["report"]["aggregate_types"]["Purse"];
    assert_eq!((&purses["rows"], &purses["appended"], &purses["refused"]), (&613.into(), &8.into(), &605.into()));

    // What is put right in the source comes in; what was rewritten there does not go unseen.
    world.sql(&fill("gap", 3, 3)).await;
    world.sql("UPDATE events SET event_type = 'Filled' WHERE aggregate_id = 'nameless'").await;
    world
        .sql(r#"UPDATE events SET payload = '{"Filled":{"cents":9}}' WHERE aggregate_id = 'whole' AND sequence = 2"#)
        .await;
    let (_, put_right) = world.import(&["--types", &format!("{}=long", "Long".repeat(20))]);
    let found = refusals(&put_right);
    assert_eq!(put_right["events_appended"], 598 + 2 + 1, "{put_right}");
    assert!(!found.contains_key("gap") && found["whole"].0 == 2 && found["whole"].1.contains("changed"), "{found:?}");
}

#[tokio::test]
async fn streams_are_ordered_among_each_other_by_a_time_and_never_within() {
    let world = World::new().await;
    let row = |id: &str, sequence: u32, metadata: &str| {
        format!("INSERT INTO events VALUES ('Purse', '{id}', {sequence}, 'Filled', '1.0', '{{}}', '{metadata}');")
    };
    let at = |hour: &str| format!(r#"{{"time":"2024-05-01T{hour}"}}"#);
    world.sql(&row("a", 1, &at("08:00:00Z"))).await;
    world.sql(&row("a", 2, &at("11:00:00.5+00:00"))).await;
    // A clock that was set back, and an event without a time: both stay where their stream has them.
    world.sql(&row("a", 3, &at("07:00:00Z"))).await;
    world.sql(&row("a", 4, "{}")).await;
    world.sql(&row("b", 1, &at("11:00:00+02:00"))).await;
    world.sql(&row("b", 2, &at("12:00:00Z"))).await;
    world.sql(&row("c", 1, "{}")).await;
    world.sql(&row("c", 2, "null")).await;
    world.sql(&row("c", 4, &at("06:00:00Z"))).await;
    let (well, done) = world.import(&["--order-by", "metadata.time"]);
    assert!(!well && done["events_appended"] == 8, "{done}");
    let order: Vec<_> = world
        .history()
        .await
        .iter()
        .map(|event| {
            let metadata: Value = serde_json::from_slice(&event.metadata).expect("it is JSON");
            format!("{}{}", metadata["cqrs_es"]["aggregate_id"].as_str().expect("text"), event.version)
        })
        .collect();
    assert_eq!(order, ["c1", "c2", "a1", "b1", "a2", "a3", "a4", "b2"]);

    world.sql(&row("d", 1, r#"{"time":"yesterday evening"}"#)).await;
    let arguments = ["import", "postgres-es", world.source.url(), "--association", "bank"];
    let said = world.complaint(&[&arguments[..], &["--order-by", "metadata.time"]].concat());
    assert!(said.contains("--order-by") && said.contains("yesterday evening"), "{said}");
    let said = world.complaint(&[&arguments[..], &["--order-by", "payload.time"]].concat());
    assert!(said.contains("metadata.KEY"), "{said}");
    let said = world.complaint(&[&arguments[..], &["--table", "public.invoices"]].concat());
    assert!(said.contains(r#""public"."invoices""#), "{said}");
    let said = world.complaint(&["import", "postgres-es", world.source.url(), "--association", "bnak"]);
    assert!(said.contains("there is no association bnak"), "{said}");
    assert_eq!(world.history().await.len(), 8, "nothing came of these");
}

#[tokio::test]
async fn an_import_that_was_killed_goes_on_where_it_was() {
    let world = World::new().await;
    let (streams, rows) = (200, 100);
    for id in 0..streams {
        world.sql(&fill(&format!("purse {id}"), 1, rows)).await;
    }
    let arguments = ["import", "postgres-es", world.source.url(), "--association", "bank", "--json"];
    let people = world.house.connect().await;
    let head =
        async || -> i64 { people.query_one("SELECT max(position) FROM es.event", &[]).await.expect("a head").get(0) };
    let mut killed = 0;
    for nth in 1..=3 {
        let mut child = world.server.command(&arguments).stdout(Stdio::null()).spawn().expect("the binary starts");
        let (so_far, head) = (head().await, &head);
        eventually("some events", || async move { (head().await > so_far + 1_000 * nth).then_some(()) }).await;
        killed += i32::from(child.try_wait().expect("it is asked").is_none());
        child.kill().expect("a child can be killed");
        child.wait().expect("a killed child ends");
    }
    assert!(killed > 0, "it was never killed in the middle");
    let (well, rest) = world.import(&[]);
    // How much the killed ones left is not known: what they had sent may have been recorded after they were gone.
    let number = |name: &str| rest["report"]["aggregate_types"]["Purse"][name].as_u64().expect("a number");
    assert!(well && number("unchanged") > 3_000, "{rest}");
    assert_eq!(number("unchanged") + number("appended"), u64::from(streams * rows));
    assert_eq!(head().await, i64::from(streams * rows) + 1);
    assert_eq!(world.server.report(&["audit", "verify"])["holds"], true);
}

#[tokio::test]
async fn the_commands_of_the_guide_work() {
    let world = World::new().await;
    world.sql(&fill("a", 1, 3)).await;
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides/migrating.md");
    let text = std::fs::read_to_string(page).expect("the guide is there");
    let blocks = text.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap_or_default());
    let commands = blocks.collect::<String>().replace("http://127.0.0.1:8080", world.server.url());
    let folder = binary().parent().expect("the binary is in a folder");
    let here = tempfile::TempDir::new().expect("a folder to work in");
    let output = tokio::process::Command::new("bash")
        .args(["-euo", "pipefail", "-c", &commands])
        .current_dir(here.path())
        .env("PATH", format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default()))
        .env("GUILDHALL_CONFIG", world.server.config_file())
        .env("SOURCE", world.source.url())
        .env_remove("DATABASE_URL")
        .output()
        .await
        .expect("bash runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
