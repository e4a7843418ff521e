use guildhall_aggregates::{
    AssociationEventId,
    association_event::{self, AssociationEvent},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, wire::When};

/// Move an association event.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RescheduleEvent {
    /// Which event.
    #[schema(value_type = Uuid)]
    event_id: AssociationEventId,
    /// When it takes place now.
    schedule: When,
}

impl Endpoint for RescheduleEvent {
    const NAME: &'static str = "RescheduleEvent";
    type Aggregate = AssociationEvent;

    fn stream(&self, _: &Origin) -> Uuid {
        self.event_id.uuid()
    }

    async fn prepare(self, _: &Context) -> Result<Prepared<AssociationEvent>, Problem> {
        Ok(Prepared::of(association_event::RescheduleEvent { schedule: self.schedule.into() }))
    }
}
