//! What the documents of all operations have in common.

use guildhall_web::problem::ProblemBody;
use utoipa::{
    OpenApi,
    openapi::{
        Header, Object, RefOr, Required, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

const BEARER: &str = "bearer";

#[derive(OpenApi)]
#[openapi(
    components(schemas(ProblemBody<'_>)),
    tags(
        (name = "directory", description = "Who the members are"),
        (name = "events", description = "What members attend, and who has a place"),
        (name = "billing", description = "Invoices, and what is open on them"),
        (name = "reports", description = "Figures as of any date"),
        (name = "journal", description = "What goes to the books"),
        (name = "feed", description = "Every event, for those who follow"),
        (name = "audit", description = "History itself"),
        (name = "operations", description = "How far the data has come"),
    )
)]
struct Common;

/// The document every operation of this room is added to: the shape of problems, and the token.
pub(crate) fn common() -> utoipa::openapi::OpenApi {
    let mut document = Common::openapi();
    let token = Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    document.components.get_or_insert_default().add_security_scheme(BEARER, SecurityScheme::Http(token));
    document
}

/// Says of every operation what holds for all of them: each needs a token, and each answer says how far its data
/// has come. The token is named operation by operation, because a document that this one becomes a part of has
/// operations that need none.
pub(crate) fn complete(document: &mut utoipa::openapi::OpenApi) {
    let operations = document.paths.paths.values_mut().filter_map(|item| item.get.as_mut());
    for operation in operations {
        let parameters = operation.parameters.get_or_insert_default();
        let waits = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(known) if known.name == "at_least");
        if parameters.iter().any(waits) {
            parameters.push(RefOr::T(prefer()));
        }
        operation.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], _>(BEARER, [])]);
        let Some(RefOr::T(answer)) = operation.responses.responses.get_mut("200") else { continue };
        answer.description = operation.summary.clone().unwrap_or_default();
        for (name, meaning) in HEADERS {
            answer.headers.insert((*name).to_owned(), text_header(meaning).into());
        }
    }
}

/// What a caller of any operation may wish for.
fn prefer() -> Parameter {
    ParameterBuilder::new()
        .name("Prefer")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "`handling=strict` (RFC 7240): where the data does not come as far as `at_least` asks within five seconds, \
             answer 503 instead of what there is",
        ))
        .schema(Some(Object::with_type(Type::String)))
        .example(Some("handling=strict".into()))
        .build()
}

/// What stands in the headers of an answer.
const HEADERS: &[(&str, &str)] = &[
    ("Guildhall-Position", "Everything recorded up to this consistency token is in the answer"),
    ("Guildhall-Stale", "`true` where that is less than `at_least` asked for; missing otherwise"),
    ("ETag", "Send it as `If-None-Match` to be told whether anything has changed; missing where nothing may be kept"),
    ("Link", "The next page, where there is one (RFC 8288)"),
];

/// A header with text in it.
pub(crate) fn text_header(meaning: &str) -> Header {
    let mut header = Header::new(Object::with_type(Type::String));
    header.description = Some(meaning.to_owned());
    header
}
