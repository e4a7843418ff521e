//! Commands to the roster of an association event.

mod accept_offer;
mod approve_registration;
mod cancel_registration;
mod change_capacity;
mod check_in;
mod close_registration;
mod confirm_registration;
mod decline_offer;
mod decline_registration;
mod import_registration;
mod open_registration;
mod record_no_show;
mod register_for_event;
mod transfer_registration;

use guildhall_aggregates::{
    MembershipId, Personal, RegistrationId, SubjectId,
    association_event::{AssociationEvent, AssociationEventRefusal},
    event_roster::{EventRoster, Registrant, RosterRefusal},
    member::Member,
    membership::Membership,
    personal::FreeText,
};
use guildhall_event_store::{Loaded, StreamId};
use guildhall_web::{Kind, Problem};

use crate::{
    Context,
    context::unknown,
    endpoint::{Refusal, stream_of},
    registry::CommandType,
    wire::{Participant, Prose, clear_email, clear_text},
};

pub(crate) fn all() -> Vec<CommandType> {
    vec![
        CommandType::of::<open_registration::OpenRegistration>(),
        CommandType::of::<close_registration::CloseRegistration>(),
        CommandType::of::<change_capacity::ChangeCapacity>(),
        CommandType::of::<register_for_event::RegisterForEvent>(),
        CommandType::of::<confirm_registration::ConfirmRegistration>(),
        CommandType::of::<approve_registration::ApproveRegistration>(),
        CommandType::of::<decline_registration::DeclineRegistration>(),
        CommandType::of::<accept_offer::AcceptOffer>(),
        CommandType::of::<decline_offer::DeclineOffer>(),
        CommandType::of::<cancel_registration::CancelRegistration>(),
        CommandType::of::<transfer_registration::TransferRegistration>(),
        CommandType::of::<check_in::CheckIn>(),
        CommandType::of::<record_no_show::RecordNoShow>(),
        CommandType::of::<import_registration::ImportRegistration>(),
    ]
}

impl Refusal for RosterRefusal {
    fn kind(&self) -> Kind {
        let word = self.into();
        match self {
            Self::RegistrationUnknown => Kind::absent(word),
            Self::RegistrationNotOpen
            | Self::AlreadyOpen
            | Self::PoolDropped { .. }
            | Self::TicketTypeChanged { .. }
            | Self::GroupLargerThanPool { .. }
            | Self::NoRoom
            | Self::WaitlistFull { .. }
            | Self::RosterFull { .. }
            | Self::AlreadyRegistered
            | Self::RegistrationDiffers
            | Self::RegistrationEnded
            | Self::StillWaiting
            | Self::ApprovalOutstanding
            | Self::NotAwaitingApproval
            | Self::NotOffered
            | Self::OfferLapsed
            | Self::InvoiceDiffers
            | Self::AlreadyConfirmed
            | Self::AlreadyCheckedIn
            | Self::NotConfirmed => Kind::refused(word),
            Self::PoolsOrTicketTypesMissing { .. }
            | Self::PoolNameRepeated { .. }
            | Self::TicketCodeRepeated { .. }
            | Self::TicketPoolsInvalid { .. }
            | Self::TicketFeeInvalid { .. }
            | Self::PolicyOutOfRange { .. }
            | Self::CancellationFeeInvalid
            | Self::PoolUnknown { .. }
            | Self::TicketTypeUnknown { .. }
            | Self::PlacesOutOfRange { .. }
            | Self::ReasonMissing
            | Self::RefundTooLarge { .. }
            | Self::NonceInvalid { .. }
            | Self::Money(_) => Kind::invalid(word),
        }
    }
}

fn one() -> u32 {
    1
}

impl Participant {
    /// The stream that says whether they are on record; none for a guest.
    fn stream(&self) -> Option<StreamId> {
        match self {
            Self::Member { member_id } => Some(stream_of::<Member>(member_id.uuid())),
            Self::Guest { .. } => None,
        }
    }
}

/// Requires that the event was not called off. Its roster is closed a moment later by a process; nobody gets a
/// place in between.
async fn takes_place(context: &Context) -> Result<(), Problem> {
    let cancelled = context.look::<AssociationEvent, _>(context.id, |event| event.state.is_cancelled()).await?;
    if cancelled { Err(AssociationEventRefusal::EventIsCancelled.problem()) } else { Ok(()) }
}

/// Who asks: a member who is on record, or a guest whose data is sealed as their own.
async fn registrant(context: &Context, participant: Participant) -> Result<Registrant, Problem> {
    match participant {
        Participant::Member { member_id } => {
            context.require_member(member_id, "/registrant/member_id").await?;
            Ok(Registrant::Member { member_id })
        }
        Participant::Guest { guest_id, name, email } => {
            let subject = SubjectId::new(context.origin.given_or_new(guest_id));
            Ok(Registrant::Guest {
                subject,
                name: context.seal(subject, &name.clear()).await?,
                email: context.seal_some(subject, email.map(clear_email)).await?,
            })
        }
    }
}

/// Whether a membership is the registrant's own and current on the event's date.
async fn is_current_at_event(
    context: &Context,
    registrant: &Registrant,
    membership_id: MembershipId,
) -> Result<bool, Problem> {
    let schedule = context.find::<AssociationEvent, _>(context.id, |event| event.state.schedule()).await?;
    let Some(schedule) = schedule else { return Ok(false) };
    let rules = context.association()?.status_rules.clone();
    let id = membership_id.uuid();
    let (owner, current) = context
        .look::<Membership, _>(id, |membership| {
            let membership = &membership.state;
            (membership.member_id(), membership.is_current_on(&rules, schedule.starts.date()))
        })
        .await?;
    match (registrant, owner) {
        (Registrant::Member { member_id }, Some(owner)) if *member_id == owner => Ok(current),
        (_, _) => Err(unknown("/membership_id", id)),
    }
}

/// A reason may say something about the registrant, so it is sealed as theirs.
async fn sealed_reason(
    context: &Context,
    registration_id: RegistrationId,
    reason: Option<Prose>,
) -> Result<Option<Personal<FreeText>>, Problem> {
    let Some(reason) = reason else { return Ok(None) };
    let registration = |roster: &Loaded<EventRoster>| roster.state.registration(registration_id).cloned();
    let subject = context.find(context.id, registration).await?.map(|registration| registration.registrant.subject());
    let subject = subject.ok_or_else(|| RosterRefusal::RegistrationUnknown.problem())?;
    context.seal(subject, &clear_text(reason)).await.map(Some)
}
