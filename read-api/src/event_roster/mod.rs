//! What members attend, and who has a place.

mod book;
mod event;
mod events;
mod names;
mod roster;

use guildhall_aggregates::{association_event::AssociationEventRecord, event_roster::RosterEvent};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{ReadState, stale::Stale};

pub(crate) const TAG: &str = "events";

pub(crate) fn routes() -> OpenApiRouter<ReadState> {
    OpenApiRouter::new().routes(routes!(events::events)).routes(routes!(event::event)).routes(routes!(roster::roster))
}

/// Whether something is missing of an association event: of itself or of its roster, which has the same id.
pub(crate) fn is_stale(stale: &Stale, event: Uuid) -> bool {
    stale.has::<AssociationEventRecord>(event) || stale.has::<RosterEvent>(event)
}
