//! A forgotten member's data key is destroyed.

use guildhall_aggregates::{MemberId, member::MemberEvent};
use guildhall_event_store::RecordedEvent;

use crate::hands::{Hands, ProcessError};

pub(crate) async fn on_member(hands: &Hands, cause: &RecordedEvent) -> Result<(), ProcessError> {
    if let MemberEvent::MemberForgotten {} = cause.decode()? {
        let member = MemberId::new(cause.stream.id);
        hands.store().vault().forget(cause.tenant, member.into()).await?;
    }
    Ok(())
}
