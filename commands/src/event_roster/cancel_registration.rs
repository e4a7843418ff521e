use guildhall_aggregates::{
    AssociationEventId, RegistrationId,
    event_roster::{self, EventRoster},
};
use guildhall_event_store::StreamId;
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Context, Endpoint, Origin, Prepared,
    endpoint::stream_of,
    wire::{Amount, Prose},
};

/// Give a registration back, in whatever standing. What becomes free is offered to those who wait.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelRegistration {
    /// Which event.
    #[schema(value_type = Uuid)]
    event_id: AssociationEventId,
    /// Which registration.
    #[schema(value_type = Uuid)]
    registration_id: RegistrationId,
    /// Pay back this much instead of what the policy says; needs a reason.
    refund_override: Option<Amount>,
    /// Why. Kept as personal data of the registrant.
    reason: Option<Prose>,
}

impl Endpoint for CancelRegistration {
    const NAME: &'static str = "CancelRegistration";
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
        Ok(Prepared::of(event_roster::CancelRegistration {
            registration_id,
            refund_override: self.refund_override.map(Into::into),
            reason,
            now: context.now,
        }))
    }
}
