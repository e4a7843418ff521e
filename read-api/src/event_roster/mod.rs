//! What members attend, and who has a place.

mod book;
mod event;
mod events;
mod names;
mod roster;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::ReadState;

pub(crate) const TAG: &str = "events";

pub(crate) fn routes() -> OpenApiRouter<ReadState> {
    OpenApiRouter::new().routes(routes!(events::events)).routes(routes!(event::event)).routes(routes!(roster::roster))
}
