use guildhall_aggregates::{
    AssociationEventId, RegistrationId,
    event_roster::{self, EventRoster},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared};

/// Record that a registrant did not come.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordNoShow {
    /// Which event.
    #[schema(value_type = Uuid)]
    event_id: AssociationEventId,
    /// Which registration.
    #[schema(value_type = Uuid)]
    registration_id: RegistrationId,
}

impl Endpoint for RecordNoShow {
    const NAME: &'static str = "RecordNoShow";
    type Aggregate = EventRoster;

    fn stream(&self, _: &Origin) -> Uuid {
        self.event_id.uuid()
    }

    async fn prepare(self, _: &Context) -> Result<Prepared<EventRoster>, Problem> {
        Ok(Prepared::of(event_roster::RecordNoShow { registration_id: self.registration_id }))
    }
}
