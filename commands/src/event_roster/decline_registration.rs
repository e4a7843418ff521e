use guildhall_aggregates::{
    AssociationEventId, RegistrationId,
    event_roster::{self, EventRoster},
};
use guildhall_event_store::StreamId;
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, endpoint::stream_of, wire::Prose};

/// Turn a registration down.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclineRegistration {
    /// Which event.
    #[schema(value_type = Uuid)]
    event_id: AssociationEventId,
    /// Which registration.
    #[schema(value_type = Uuid)]
    registration_id: RegistrationId,
    /// Why. Kept as personal data of the registrant.
    reason: Option<Prose>,
}

impl Endpoint for DeclineRegistration {
    const NAME: &'static str = "DeclineRegistration";
    type Aggregate = EventRoster;

    fn stream(&self, _: &Origin) -> Uuid {
        self.event_id.uuid()
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        vec![stream_of::<EventRoster>(self.event_id.uuid())]
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<EventRoster>, Problem> {
        let registration_id = self.registration_id;
        let reason = super::sealed_reason(context, registration_id, self.reason).await?;
        Ok(Prepared::of(event_roster::DeclineRegistration { registration_id, reason, now: context.now }))
    }
}
