use guildhall_aggregates::{
    AssociationEventId,
    association_event::{self, AssociationEvent},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, wire::Line};

/// Call an association event off.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelEvent {
    /// Which event.
    #[schema(value_type = Uuid)]
    event_id: AssociationEventId,
    /// Why, as the public reads it; must not say anything about a person.
    reason: Line,
}

impl Endpoint for CancelEvent {
    const NAME: &'static str = "CancelEvent";
    type Aggregate = AssociationEvent;

    fn stream(&self, _: &Origin) -> Uuid {
        self.event_id.uuid()
    }

    async fn prepare(self, _: &Context) -> Result<Prepared<AssociationEvent>, Problem> {
        Ok(Prepared::of(association_event::CancelEvent { reason: self.reason.into() }))
    }
}
