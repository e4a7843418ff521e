use guildhall_aggregates::{
    AssociationEventId, RegistrationId,
    event_roster::{self, EventRoster},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared};

/// Turn the offer of a place down. It is offered to the next who waits.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclineOffer {
    /// Which event.
    #[schema(value_type = Uuid)]
    event_id: AssociationEventId,
    /// Which registration.
    #[schema(value_type = Uuid)]
    registration_id: RegistrationId,
}

impl Endpoint for DeclineOffer {
    const NAME: &'static str = "DeclineOffer";
    type Aggregate = EventRoster;

    fn stream(&self, _: &Origin) -> Uuid {
        self.event_id.uuid()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<EventRoster>, Problem> {
        let Self { registration_id, .. } = self;
        Ok(Prepared::of(event_roster::DeclineOffer { registration_id, now: context.now }))
    }
}
