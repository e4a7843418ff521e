use guildhall_aggregates::{
    AssociationEventId,
    association_event::{self, AssociationEvent},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Context, Endpoint, Origin, Prepared,
    wire::{Details, Source, When},
};

/// Put an association event on the calendar.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScheduleEvent {
    /// The event's id; a new one where not given.
    #[schema(value_type = Option<Uuid>)]
    event_id: Option<AssociationEventId>,
    /// What people read about it.
    details: Details,
    /// When.
    schedule: When,
    /// Where it is imported from.
    source: Option<Source>,
}

impl Endpoint for ScheduleEvent {
    const NAME: &'static str = "ScheduleEvent";
    type Aggregate = AssociationEvent;

    fn stream(&self, origin: &Origin) -> Uuid {
        origin.given_or_new(self.event_id.map(AssociationEventId::uuid))
    }

    async fn prepare(self, _: &Context) -> Result<Prepared<AssociationEvent>, Problem> {
        Ok(Prepared::of(association_event::ScheduleEvent {
            details: self.details.into(),
            schedule: self.schedule.into(),
            source: self.source.map(Into::into),
        }))
    }
}
