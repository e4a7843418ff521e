use guildhall_aggregates::{
    AssociationEventId, RegistrationId,
    event_roster::{self, EventRoster, Registration},
};
use guildhall_event_store::StreamId;
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::registrant;
use crate::{
    Context, Endpoint, Origin, Prepared,
    wire::{Amount, Line, Moment, Participant, Source, Standing},
};

/// Take over a registration as another system kept it. It may exceed the capacity, and is marked where it does.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportRegistration {
    /// Which event.
    #[schema(value_type = Uuid)]
    event_id: AssociationEventId,
    /// The registration's id; a new one where not given.
    #[schema(value_type = Option<Uuid>)]
    registration_id: Option<RegistrationId>,
    /// Whose.
    registrant: Participant,
    /// For what: a ticket type's code.
    ticket_type: Line,
    /// How many places; 1 where not given.
    #[serde(default = "super::one")]
    #[schema(minimum = 1)]
    places: u32,
    /// What was to be paid for all places.
    fee: Amount,
    /// Higher goes first on the waitlist; 0 where not given.
    #[serde(default)]
    priority: i32,
    /// Where it stands.
    standing: Standing,
    /// When it was made.
    at: Moment,
    /// Which row it is.
    source: Source,
}

impl Endpoint for ImportRegistration {
    const NAME: &'static str = "ImportRegistration";
    type Aggregate = EventRoster;

    fn stream(&self, _: &Origin) -> Uuid {
        self.event_id.uuid()
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        self.registrant.stream().into_iter().collect::<Vec<StreamId>>()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<EventRoster>, Problem> {
        let registration_id = context.origin.given_or_new(self.registration_id.map(RegistrationId::uuid));
        let registration = Registration {
            registration_id: registration_id.into(),
            registrant: registrant(context, self.registrant).await?,
            ticket_type: self.ticket_type.into(),
            places: self.places,
            fee: self.fee.into(),
            priority: self.priority,
        };
        Ok(Prepared::of(event_roster::ImportRegistration {
            registration,
            standing: self.standing.into(),
            at: self.at.0,
            source: self.source.into(),
        }))
    }
}
