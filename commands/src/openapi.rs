//! The `OpenAPI` description of the command API, made from the types.

use guildhall_web::{
    FieldError,
    problem::{self, ProblemBody},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, Content, HeaderBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder,
        Schema, Type,
        path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, Paths, PathsBuilder},
        request_body::RequestBodyBuilder,
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
        tag::TagBuilder,
    },
};

use crate::{
    bulk::{BulkLine, BulkOutcome},
    receipt::{ReceiptBody, RecordedBody},
    registry::CommandType,
};

const SCHEME: &str = "bearer";

/// What the commands are sorted by.
const TAGS: &[(&str, &str)] = &[
    ("association", "What an association says of itself"),
    ("association_event", "What members attend"),
    ("bulk", "Many commands in one request"),
    ("event_roster", "Who has a place at an event, and who waits for one"),
    ("invoice", "Bills"),
    ("member", "The people and organizations on record"),
    ("membership", "Who is a member, of what, and until when"),
    ("membership_plan", "What can be bought as a membership"),
    ("payment", "Money received and given back"),
];

/// What a command may be answered with besides a receipt: status, name of the shared response, meaning.
const PROBLEMS: &[(&str, &str, &str)] = &[
    ("400", "BadRequest", "`malformed-body`, `invalid-header`: the body is not JSON, or a header is missing or wrong."),
    ("401", "Unauthenticated", "`unauthenticated`: no token, or one that does not hold."),
    ("403", "Forbidden", "`forbidden`: the token does not allow this."),
    ("404", "Absent", "What the command is sent to does not exist in this association."),
    ("405", "MethodNotAllowed", "`method-not-allowed`: commands are sent with POST."),
    (
        "409",
        "Conflict",
        "The rules say no, each refusal with a word of its own; or `already-taken`, `in-progress`, `contended`.",
    ),
    ("412", "PreconditionFailed", "`version-mismatch`: the stream is at another version than `If-Match` says."),
    ("413", "TooLarge", "`too-large`: the body is larger than the limit."),
    ("415", "UnsupportedMediaType", "`unsupported-media-type`: the body is of another media type."),
    (
        "422",
        "Unprocessable",
        "`invalid-body`, `unknown-reference`, `key-reused`, or a refusal of what cannot be; `errors` point into the body.",
    ),
    ("500", "Internal", "`internal`: something went wrong on our side. It is safe to send it again."),
    ("503", "Unavailable", "`overloaded`, `unavailable`: send it again with the same key after `Retry-After`."),
    ("504", "TimedOut", "`timed-out`: send it again with the same key."),
];

/// One path with one item.
pub(crate) fn paths(path: &str, item: PathItem) -> Paths {
    PathsBuilder::new().path(path, item).build()
}

/// The operation of one command: its words are the request's doc comment.
pub(crate) fn operation(command: &CommandType, schemas: &[(String, RefOr<Schema>)]) -> Operation {
    let words = schemas.first().and_then(|(_, schema)| description(schema)).unwrap_or_default();
    let summary = words.split_inclusive('.').next().unwrap_or_default().trim_end_matches('.');
    let body = RequestBodyBuilder::new()
        .content("application/json", Content::new(Some(Ref::from_schema_name(command.name))))
        .required(Some(Required::True))
        .build();
    with_problems(
        OperationBuilder::new()
            .operation_id(Some(command.name))
            .tag(command.category)
            .summary(Some(summary))
            .description(Some(words.clone()))
            .parameter(idempotency_key())
            .parameter(if_match())
            .request_body(Some(body))
            .response("200", receipt("Recorded, or so already; the same key gets the same receipt."))
            .response("201", receipt("Recorded; the command made the stream.")),
    )
    .build()
}

/// The bulk operation.
pub(crate) fn bulk() -> Operation {
    let media_type = "application/x-ndjson";
    let lines = RequestBodyBuilder::new()
        .description(Some("One command per line, any number of lines."))
        .content(media_type, Content::new(Some(Ref::from_schema_name("BulkLine"))))
        .required(Some(Required::True))
        .build();
    let outcomes = ResponseBuilder::new()
        .description("One outcome per line, in the order of the lines, as they come.")
        .content(media_type, Content::new(Some(Ref::from_schema_name("BulkOutcome"))))
        .build();
    let refused = ["400", "401", "403", "405", "415", "500", "503", "504"];
    let operation = OperationBuilder::new()
        .operation_id(Some("Bulk"))
        .tag("bulk")
        .summary(Some("Send many commands"))
        .description(Some(
            "Send commands as lines of JSON and read outcomes as they come: one receipt or problem per line, in order. \
             Commands of one stream are decided in the order of their lines, and a command that looks at what an \
             earlier line makes waits for it. A line that fails does not stop the others. Sent again with the same \
             keys, nothing takes effect twice. Read while you send: when outcomes are not read, no more lines are taken.",
        ))
        .request_body(Some(lines))
        .response("200", outcomes)
        .security(SecurityRequirement::new(SCHEME, Vec::<String>::new()));
    PROBLEMS
        .iter()
        .filter(|(status, ..)| refused.contains(status))
        .fold(operation, |operation, (status, name, _)| operation.response(*status, Ref::from_response_name(*name)))
        .build()
}

/// Adds what all operations share.
pub(crate) fn complete(api: &mut OpenApi) {
    let components = api.components.get_or_insert(Components::new());
    components.schemas.insert("Problem".into(), ProblemBody::schema());
    components.schemas.insert("FieldError".into(), FieldError::schema());
    components.schemas.insert("Receipt".into(), ReceiptBody::schema());
    components.schemas.insert("ReceiptEvent".into(), RecordedBody::schema());
    components.schemas.insert("BulkLine".into(), BulkLine::schema());
    components.schemas.insert("BulkOutcome".into(), BulkOutcome::schema());
    let mut referred = Vec::new();
    ReceiptBody::schemas(&mut referred);
    ProblemBody::schemas(&mut referred);
    components.schemas.extend(referred);
    for (_, name, meaning) in PROBLEMS {
        components.responses.insert((*name).into(), problem(meaning).into());
    }
    let bearer = Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    components.add_security_scheme(SCHEME, SecurityScheme::Http(bearer));
    let tag = |(name, words): &(&str, &str)| TagBuilder::new().name(*name).description(Some(*words)).build();
    api.tags = Some(TAGS.iter().map(tag).collect());
}

fn with_problems(operation: OperationBuilder) -> OperationBuilder {
    PROBLEMS
        .iter()
        .fold(operation, |operation, (status, name, _)| operation.response(*status, Ref::from_response_name(*name)))
        .security(SecurityRequirement::new(SCHEME, Vec::<String>::new()))
}

fn problem(meaning: &str) -> Response {
    ResponseBuilder::new()
        .description(meaning)
        .content(problem::MEDIA_TYPE, Content::new(Some(Ref::from_schema_name("Problem"))))
        .build()
}

fn receipt(meaning: &str) -> Response {
    let header = |words: &str| {
        let schema = ObjectBuilder::new().schema_type(Type::String).build();
        HeaderBuilder::new().schema(Some(schema)).description(Some(words)).build()
    };
    ResponseBuilder::new()
        .description(meaning)
        .content("application/json", Content::new(Some(Ref::from_schema_name("Receipt"))))
        .header("ETag", header("The stream's version, for `If-Match`."))
        .header("Location", header("Where the stream's records can be read."))
        .build()
}

fn idempotency_key() -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(128))
        .pattern(Some("^[\\x21-\\x7E]+$"));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some("A new one for each new request. The same key and body again get the same receipt."))
        .schema(Some(schema))
        .build()
}

fn if_match() -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r#"^(\*|"[0-9]{1,19}")$"#));
    ParameterBuilder::new()
        .name("If-Match")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("The version the stream must be at, as its `ETag`; `*` where it only has to exist."))
        .schema(Some(schema))
        .build()
}

fn description(schema: &RefOr<Schema>) -> Option<String> {
    match schema {
        RefOr::T(Schema::Object(object)) => object.description.clone(),
        RefOr::T(_) | RefOr::Ref(_) => None,
    }
}
