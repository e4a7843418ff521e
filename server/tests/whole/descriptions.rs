//! What the API tells everybody about recorded events, and that a record leads there.

use guildhall_aggregates::schema;
use guildhall_sandbox::testing::{TestDatabase, kafka_brokers};
use rdkafka::{
    ClientConfig, Message as _,
    consumer::{Consumer as _, StreamConsumer},
    message::{BorrowedMessage, Headers as _},
};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use uuid::Uuid;

use crate::server::{DEADLINE, Server};

/// Asks as anybody may: without a token.
async fn get(url: &str, tag: Option<&str>) -> Response {
    let request = reqwest::Client::new().get(url);
    let request = if let Some(tag) = tag { request.header("If-None-Match", tag) } else { request };
    request.send().await.expect("the server answers")
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn json(response: Response) -> Value {
    assert_eq!(response.status(), StatusCode::OK, "{}", response.url());
    response.json().await.expect("it is JSON")
}

#[tokio::test]
async fn every_schema_is_served_to_everybody_and_can_be_kept() {
    let database = TestDatabase::create().await;
    let mut server = Server::configured(database.url(), None);
    server.start("serve");
    let list = json(get(&format!("{}/v1/schemas", server.url()), None).await).await;
    let list = list["schemas"].as_array().expect("a list").clone();
    assert_eq!(list.len(), schema::all().len());
    for (listed, schema) in list.iter().zip(schema::all()) {
        assert_eq!(listed["type"], schema.type_name);
        let url = format!("{}{}", server.url(), listed["path"].as_str().expect("it says where"));
        assert_eq!(json(get(&url, None).await).await, schema.json, "{url}");
    }

    for (path, media_type) in [
        ("/v1/schemas/member/MemberRegistered/1", "application/schema+json"),
        ("/asyncapi.json", "application/vnd.aai.asyncapi+json;version=3.0.0"),
    ] {
        let url = format!("{}{path}", server.url());
        let first = get(&url, None).await;
        assert_eq!((first.status(), header(&first, "Content-Type")), (StatusCode::OK, media_type));
        assert!(header(&first, "Cache-Control").starts_with("public, max-age="), "{path}");
        let again = get(&url, Some(header(&first, "ETag"))).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
        let changed = get(&url, Some("\"another\"")).await;
        assert_eq!(changed.text().await.expect("a text"), first.text().await.expect("a text"));
    }
    for path in [
        "member/MemberRegistered/2",
        "member/Nothing/1",
        "nobody/MemberRegistered/1",
        "member/MemberRegistered/x",
        "%ff/%2f/1",
    ] {
        let missing = get(&format!("{}/v1/schemas/{path}", server.url()), None).await;
        let found = (missing.status(), header(&missing, "Content-Type"));
        assert_eq!(found, (StatusCode::NOT_FOUND, "application/problem+json"), "{path}");
    }
}

/// A header of a record, as text.
fn of_record(record: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    let value = record.headers()?.iter().find(|header| header.key == name)?.value?;
    Some(String::from_utf8_lossy(value).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_leads_to_the_schema_of_its_payload() {
    let Some(brokers) = kafka_brokers() else { return };
    let database = TestDatabase::create().await;
    let prefix = format!("t{}", Uuid::now_v7().simple());
    let mut server = Server::configured(database.url(), Some((&brokers, &prefix)));
    server.start("all");
    server.client("lakeside").found("lakeside").await;

    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &*brokers)
        .set("group.id", &prefix)
        .set("auto.offset.reset", "earliest")
        .set("topic.metadata.refresh.interval.ms", "500")
        .create()
        .expect("a consumer can be made");
    consumer.subscribe(&[&format!("{prefix}.associations")]).expect("a topic can be subscribed to");
    let url = tokio::time::timeout(DEADLINE, async {
        loop {
            // A topic that is not there yet is an error that passes.
            let Ok(record) = consumer.recv().await else { continue };
            if let Some(url) = of_record(&record, "ce_dataschema") {
                return url;
            }
        }
    });
    let url = url.await.expect("the event is relayed in time");
    assert_eq!(url, format!("{}/v1/schemas/association/AssociationFounded/1", server.url()));
    assert_eq!(json(get(&url, None).await).await["$id"], "urn:guildhall:schema:association:AssociationFounded:1");
}
