use guildhall_aggregates::{
    AssociationEventId, MembershipId, RegistrationId,
    association_event::AssociationEvent,
    event_roster::{self, EventRoster},
    membership::Membership,
};
use guildhall_event_store::StreamId;
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{is_current_at_event, registrant, takes_place};
use crate::{
    Context, Endpoint, Origin, Prepared,
    endpoint::stream_of,
    wire::{Line, Participant},
};

/// Ask for places at an association event. Where there is no room the registration is put on the waitlist: an
/// outcome, not a refusal. The member price holds where a membership is given that is current on the
/// event's date; otherwise it is the full price.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterForEvent {
    /// Which event.
    #[schema(value_type = Uuid)]
    event_id: AssociationEventId,
    /// The registration's id; a new one where not given.
    #[schema(value_type = Option<Uuid>)]
    registration_id: Option<RegistrationId>,
    /// Who asks.
    registrant: Participant,
    /// For what: a ticket type's code.
    #[schema(example = "standard")]
    ticket_type: Line,
    /// How many places, all or none; 1 where not given.
    #[serde(default = "super::one")]
    #[schema(minimum = 1)]
    places: u32,
    /// The registrant's membership, for the member price.
    #[schema(value_type = Option<Uuid>)]
    membership_id: Option<MembershipId>,
    /// Higher goes first on the waitlist; 0 where not given.
    #[serde(default)]
    priority: i32,
}

impl Endpoint for RegisterForEvent {
    const NAME: &'static str = "RegisterForEvent";
    type Aggregate = EventRoster;

    fn stream(&self, _: &Origin) -> Uuid {
        self.event_id.uuid()
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        let member = self.registrant.stream();
        let event = stream_of::<AssociationEvent>(self.event_id.uuid());
        let membership = self.membership_id.map(|membership_id| stream_of::<Membership>(membership_id.uuid()));
        member.into_iter().chain(membership).chain([event]).collect()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<EventRoster>, Problem> {
        takes_place(context).await?;
        let registrant = registrant(context, self.registrant).await?;
        let member_price = match self.membership_id {
            Some(membership_id) => is_current_at_event(context, &registrant, membership_id).await?,
            None => false,
        };
        let registration_id = context.origin.given_or_new(self.registration_id.map(RegistrationId::uuid));
        Ok(Prepared::of(event_roster::RegisterForEvent {
            registration_id: registration_id.into(),
            registrant,
            ticket_type: self.ticket_type.into(),
            places: self.places,
            member_price,
            priority: self.priority,
            now: context.now,
        }))
    }
}
