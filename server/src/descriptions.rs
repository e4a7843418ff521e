//! The descriptions that the API serves to everybody: the JSON Schema of each event, and the `AsyncAPI` document.
//!
//! They say how things look here and nothing about anybody, so no token is asked for. A record on Kafka names its
//! schema by the URL under which this serves it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use guildhall_aggregates::schema::{self, EventSchema};
use guildhall_web::{
    Problem, etag,
    problem::{MEDIA_TYPE, ProblemBody, kind},
};
use serde::Serialize;
use utoipa::{
    IntoResponses, OpenApi, ToSchema,
    openapi::{Content, Ref, RefOr, ResponseBuilder},
};
use uuid::Uuid;

const SCHEMA: &str = "application/schema+json";
const ASYNCAPI: &str = "application/vnd.aai.asyncapi+json;version=3.0.0";
/// They change with the program, and rarely.
const CACHE: &str = "public, max-age=3600";

#[derive(OpenApi)]
#[openapi(
    paths(event_schemas, event_schema, asyncapi),
    components(schemas(ProblemBody<'_>)),
    tags((name = "descriptions", description = "What recorded events look like; for everybody, without a token"))
)]
struct Described;

/// The document of these operations.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    Described::openapi()
}

/// The routes. Everything is made ready once.
pub(crate) fn router() -> Router {
    let path = |schema: &EventSchema| format!("{}/{}/{}", schema.category, schema.type_name, schema.version);
    let schemas = schema::all().iter().map(|schema| (path(schema), Ready::new(SCHEMA, schema.text()))).collect();
    let list = Ready::new("application/json", listed());
    let asyncapi = Ready::new(ASYNCAPI, format!("{:#}\n", guildhall_kafka::asyncapi::document()));
    Router::new()
        .route("/v1/schemas", get(event_schemas))
        .route("/v1/schemas/{category}/{type}/{version}", get(event_schema))
        .route("/asyncapi.json", get(self::asyncapi))
        .with_state(Arc::new(Descriptions { list, schemas, asyncapi }))
}

struct Descriptions {
    list: Ready,
    /// By what stands behind `/v1/schemas/`.
    schemas: BTreeMap<String, Ready>,
    asyncapi: Ready,
}

/// A text that is ready to be sent.
struct Ready {
    media_type: HeaderValue,
    text: Bytes,
    tag: HeaderValue,
}

impl Ready {
    fn new(media_type: &'static str, text: String) -> Self {
        let tag = format!("\"{}\"", Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).simple());
        let tag = HeaderValue::try_from(tag).expect("digits, letters and quotes can stand in a header");
        Self { media_type: HeaderValue::from_static(media_type), text: text.into(), tag }
    }

    /// The text, or the news that it is what the caller has.
    fn answer(&self, asked: &HeaderMap) -> Response {
        let kept = [(header::ETAG, self.tag.clone()), (header::CACHE_CONTROL, HeaderValue::from_static(CACHE))];
        if etag::none_match_holds(asked, &self.tag) {
            return (StatusCode::NOT_MODIFIED, kept).into_response();
        }
        (kept, [(header::CONTENT_TYPE, self.media_type.clone())], self.text.clone()).into_response()
    }
}

/// The schemas there are.
#[derive(Debug, Serialize, ToSchema)]
struct SchemaList {
    /// By category, type and version.
    schemas: Vec<SchemaEntry>,
}

/// One schema there is.
#[derive(Debug, Serialize, ToSchema)]
struct SchemaEntry {
    /// The category of the streams it happens in.
    category: &'static str,
    /// The event's type.
    #[serde(rename = "type")]
    type_name: &'static str,
    /// The version of the schema.
    version: u16,
    /// Where it is served here.
    path: String,
}

fn listed() -> String {
    let entry = |schema: &EventSchema| {
        let EventSchema { category, type_name, version, .. } = *schema;
        SchemaEntry { category, type_name, version, path: format!("/v1/schemas/{category}/{type_name}/{version}") }
    };
    let list = SchemaList { schemas: schema::all().iter().map(entry).collect() };
    serde_json::to_string(&list).expect("names and numbers can be written as JSON")
}

/// What each of these may answer beside what was asked for.
enum Always {}

impl IntoResponses for Always {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let problem = Content::new(Some(Ref::from_schema_name("Problem")));
        let answer = |description: &str| ResponseBuilder::new().description(description);
        let refused = |description| answer(description).content(MEDIA_TYPE, problem.clone()).build();
        let unchanged = answer("Not changed since the answer whose `ETag` came as `If-None-Match`").build();
        BTreeMap::from([
            ("304".to_owned(), unchanged.into()),
            ("405".to_owned(), refused("The path knows no such method").into()),
            ("503".to_owned(), refused("Too many requests at the same time; see `Retry-After`").into()),
        ])
    }
}

/// The schemas of recorded events
///
/// One for each type in each version that stands in history. They say what is in the value of a record on Kafka.
#[utoipa::path(
    get,
    path = "/v1/schemas",
    tag = "descriptions",
    responses(
        (status = OK, description = "Their list", body = SchemaList),
        Always,
    ),
)]
async fn event_schemas(State(descriptions): State<Arc<Descriptions>>, asked: HeaderMap) -> Response {
    descriptions.list.answer(&asked)
}

/// The schema of an event type in a version
///
/// A JSON Schema (2020-12) that stands alone. Records on Kafka name it in `ce_dataschema`. Under one version it may gain
/// properties that need not be there, and nothing else; so accept those that you do not know.
#[utoipa::path(
    get,
    path = "/v1/schemas/{category}/{type}/{version}",
    tag = "descriptions",
    params(
        ("category" = String, Path, description = "The category of the streams it happens in", example = "member"),
        ("type" = String, Path, description = "The event's type", example = "MemberRegistered"),
        ("version" = String, Path, description = "The version of the schema", example = "1"),
    ),
    responses(
        (status = OK, description = "The schema", body = serde_json::Value, content_type = "application/schema+json"),
        (status = NOT_FOUND, description = "There is no such type, or not in this version", body = ProblemBody<'_>,
            content_type = "application/problem+json"),
        Always,
    ),
)]
async fn event_schema(
    State(descriptions): State<Arc<Descriptions>>,
    uri: Uri,
    asked: HeaderMap,
) -> Result<Response, Problem> {
    // Looked up as it was written: no name here has a letter that is ever escaped.
    let asked_for = uri.path().strip_prefix("/v1/schemas/").and_then(|path| descriptions.schemas.get(path));
    let schema = asked_for.ok_or_else(|| {
        Problem::new(kind::NOT_FOUND, "No event is recorded under this category, type and version; see /v1/schemas.")
    })?;
    Ok(schema.answer(&asked))
}

/// The topics on Kafka
///
/// An `AsyncAPI` 3.0 document: channels, messages, headers and payloads, for consumers with tools of their own.
#[utoipa::path(
    get,
    path = "/asyncapi.json",
    tag = "descriptions",
    responses(
        (status = OK, description = "The document", body = serde_json::Value,
            content_type = "application/vnd.aai.asyncapi+json;version=3.0.0"),
        Always,
    ),
)]
async fn asyncapi(State(descriptions): State<Arc<Descriptions>>, asked: HeaderMap) -> Response {
    descriptions.asyncapi.answer(&asked)
}
