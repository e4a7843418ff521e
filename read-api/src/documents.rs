//! What the documents of all operations have in common.

use guildhall_web::problem::ProblemBody;
use utoipa::{
    OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
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

/// Every operation of this room needs a token. Said for each, because a document that this one becomes a part of
/// has operations that need none.
pub(crate) fn require_token(document: &mut utoipa::openapi::OpenApi) {
    for item in document.paths.paths.values_mut() {
        if let Some(operation) = &mut item.get {
            operation.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], _>(BEARER, [])]);
        }
    }
}
