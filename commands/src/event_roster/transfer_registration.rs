use guildhall_aggregates::{
    AssociationEventId, RegistrationId,
    event_roster::{self, EventRoster},
};
use guildhall_event_store::StreamId;
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::registrant;
use crate::{Context, Endpoint, Origin, Prepared, wire::Participant};

/// Give a place to another person. The place is kept, also when the event is sold out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransferRegistration {
    /// Which event.
    #[schema(value_type = Uuid)]
    event_id: AssociationEventId,
    /// Which registration.
    #[schema(value_type = Uuid)]
    registration_id: RegistrationId,
    /// Who has it from now on.
    registrant: Participant,
}

impl Endpoint for TransferRegistration {
    const NAME: &'static str = "TransferRegistration";
    type Aggregate = EventRoster;

    fn stream(&self, _: &Origin) -> Uuid {
        self.event_id.uuid()
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        self.registrant.stream().into_iter().collect::<Vec<StreamId>>()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<EventRoster>, Problem> {
        let registrant = registrant(context, self.registrant).await?;
        Ok(Prepared::of(event_roster::TransferRegistration { registration_id: self.registration_id, registrant }))
    }
}
