use guildhall_aggregates::{
    AssociationEventId, PaymentId, RegistrationId,
    event_roster::{self, EventRoster},
    payment::Payment,
};
use guildhall_event_store::StreamId;
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, endpoint::stream_of, wire::Amount};

/// Confirm a registration because it was paid. One that has lapsed is confirmed if there is room; otherwise the
/// payment is marked to be paid back. Usually the settled invoice does this by itself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmRegistration {
    /// Which event.
    #[schema(value_type = Uuid)]
    event_id: AssociationEventId,
    /// Which registration.
    #[schema(value_type = Uuid)]
    registration_id: RegistrationId,
    /// The payment.
    #[schema(value_type = Uuid)]
    payment_id: PaymentId,
    /// How much was paid in all.
    paid: Amount,
}

impl Endpoint for ConfirmRegistration {
    const NAME: &'static str = "ConfirmRegistration";
    type Aggregate = EventRoster;

    fn stream(&self, _: &Origin) -> Uuid {
        self.event_id.uuid()
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        vec![stream_of::<Payment>(self.payment_id.uuid())]
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<EventRoster>, Problem> {
        context.require::<Payment>(self.payment_id.uuid(), "/payment_id").await?;
        Ok(Prepared::of(event_roster::ConfirmRegistration {
            registration_id: self.registration_id,
            payment_id: self.payment_id,
            paid: self.paid.into(),
        }))
    }
}
