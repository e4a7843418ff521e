//! The read side over HTTP: what projections hold, and history itself for auditors.
//!
//! One endpoint is one file, in the folder of its slice. Whose data is read follows from the caller's token and
//! from nothing else, so no path or parameter can name another association. Every answer says which position
//! it stands at; `at_least` waits until it stands at one, and the position goes into the entity tag.
//!
//! This room decides nothing and never writes. It names no read table: queries live beside their projectors, and
//! what it asks itself it asks of the views that analysts have, or of history.
//!
//! To add an endpoint: a file in its slice with the query's type, the handler and its documents, a line in the
//! slice's `routes`, and a row for it in `tests/read_api/walls.rs`, which tries it with two associations.

mod answer;
mod arrived;
mod audit;
mod billing;
mod csv;
mod cursor;
mod directory;
mod documents;
mod erp_journal;
mod event_roster;
mod feed;
mod format;
mod parameters;
mod problems;
mod reporting;
mod stale;
mod state;
mod status;

pub use arrived::Arrived;
pub use feed::{Feed, FeedLimits};
pub use state::{ReadLimits, ReadState};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// All read endpoints.
pub fn router(state: ReadState) -> OpenApiRouter {
    let mut router = routes().with_state(state);
    documents::complete(router.get_openapi_mut());
    router
}

/// The documents of all read endpoints.
pub fn document() -> OpenApi {
    let mut document = routes().into_openapi();
    documents::complete(&mut document);
    document
}

fn routes() -> OpenApiRouter<ReadState> {
    OpenApiRouter::with_openapi(documents::common())
        .merge(directory::routes())
        .merge(event_roster::routes())
        .merge(billing::routes())
        .merge(reporting::routes())
        .merge(erp_journal::routes())
        .merge(feed::routes())
        .merge(audit::routes())
        .merge(status::routes())
}
