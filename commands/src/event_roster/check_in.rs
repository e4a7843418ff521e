use guildhall_aggregates::{
    AssociationEventId, RegistrationId,
    event_roster::{self, EventRoster},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Context, Endpoint, Origin, Prepared,
    wire::{Line, Moment},
};

/// Let a registrant in. A scan that is refused is recorded, too, with the reason.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckIn {
    /// Which event.
    #[schema(value_type = Uuid)]
    event_id: AssociationEventId,
    /// Which registration.
    #[schema(value_type = Uuid)]
    registration_id: RegistrationId,
    /// When, by the scanner's clock; now where not given.
    at: Option<Moment>,
    /// The scan's own id: the same scan is recorded once.
    #[schema(example = "door-2/000173")]
    nonce: Line,
}

impl Endpoint for CheckIn {
    const NAME: &'static str = "CheckIn";
    type Aggregate = EventRoster;

    fn stream(&self, _: &Origin) -> Uuid {
        self.event_id.uuid()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<EventRoster>, Problem> {
        Ok(Prepared::of(event_roster::CheckIn {
            registration_id: self.registration_id,
            at: self.at.map_or(context.now, |Moment(instant)| instant),
            nonce: self.nonce.into(),
        }))
    }
}
