use guildhall_aggregates::{
    AssociationEventId,
    event_roster::{self, EventRoster},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared};

/// Take no more registrations for an association event, and make no more offers.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloseRegistration {
    /// Which event.
    #[schema(value_type = Uuid)]
    event_id: AssociationEventId,
}

impl Endpoint for CloseRegistration {
    const NAME: &'static str = "CloseRegistration";
    type Aggregate = EventRoster;

    fn stream(&self, _: &Origin) -> Uuid {
        self.event_id.uuid()
    }

    async fn prepare(self, _: &Context) -> Result<Prepared<EventRoster>, Problem> {
        Ok(Prepared::of(event_roster::CloseRegistration {}))
    }
}
