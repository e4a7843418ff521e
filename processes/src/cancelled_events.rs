//! An association event that is called off takes no more registrations and keeps nobody's place: everyone gets back
//! what they paid.

use futures::{StreamExt, TryStreamExt, stream};
use guildhall_aggregates::{
    Money,
    association_event::{AssociationEvent, AssociationEventRecord},
    event_roster::{CancelRegistration, CloseRegistration, EventRoster, RosterEvent},
    ids::{RegistrationId, SubjectId, derived},
    personal::{Clear, FreeText},
};
use guildhall_event_store::RecordedEvent;

use crate::hands::{Hands, ProcessError, Reaction};

const PROCESS: &str = "cancelled_events";
/// Registrations that are cancelled at the same time; the executor records them together.
const AT_ONCE: usize = 64;

pub(crate) async fn on_association_event(hands: &Hands, cause: &RecordedEvent) -> Result<(), ProcessError> {
    let AssociationEventRecord::EventCancelled { .. } = cause.decode()? else { return Ok(()) };
    let id = cause.stream.id;
    let command = CloseRegistration {};
    hands.send::<EventRoster>(Reaction { process: PROCESS, name: "CloseRegistration", cause, id, command }).await?;
    let everyone: Vec<_> = hands
        .look(cause, id, |roster: &EventRoster| {
            roster.live().map(|(registration, paid)| (registration.registration_id, paid)).collect()
        })
        .await?;
    stream::iter(everyone)
        .map(|(registration_id, paid)| cancel(hands, cause, registration_id, paid))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// A late payment may have found room at an event that was called off in the meantime.
pub(crate) async fn on_roster(hands: &Hands, cause: &RecordedEvent) -> Result<(), ProcessError> {
    let RosterEvent::RegistrationConfirmed { registration_id, payment_id: Some(_), paid } = cause.decode()? else {
        return Ok(());
    };
    let event = hands.store().load::<AssociationEvent>(cause.tenant, cause.stream.id).await?.state;
    if event.is_cancelled() { cancel(hands, cause, registration_id, paid).await } else { Ok(()) }
}

async fn cancel(
    hands: &Hands,
    cause: &RecordedEvent,
    registration_id: RegistrationId,
    paid: Money,
) -> Result<(), ProcessError> {
    // The reason is about the event and about nobody: under the event's own id it can be given, and read, also where
    // a registrant was forgotten.
    let subject = SubjectId::new(cause.stream.id);
    let reason = Clear(FreeText("The event was cancelled.".to_owned()));
    let sealed_by = derived(cause.event_id, &["reason", &registration_id.to_string()]);
    let command = CancelRegistration {
        registration_id,
        refund_override: Some(paid),
        reason: Some(hands.store().vault().seal(cause.tenant, subject, sealed_by, &reason).await?),
        now: hands.store().clock().now(),
    };
    let id = cause.stream.id;
    let reaction = Reaction { process: PROCESS, name: "CancelRegistration", cause, id, command };
    hands.send_about::<EventRoster>(reaction, registration_id.uuid()).await
}
