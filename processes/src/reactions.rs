//! Which process hears of which events. The one place to look, and to add a line.

use guildhall_aggregates::{
    StoredEvent, association_event::AssociationEventRecord, event_roster::RosterEvent, invoice::InvoiceEvent,
    member::MemberEvent, membership::MembershipEvent, payment::PaymentEvent,
};
use guildhall_event_store::RecordedEvent;

use crate::{
    account, cancelled_events, dues, erasure,
    hands::{Hands, ProcessError},
    numbering, registration_fees, settlement,
};

/// Tells everyone who wants to know. Done when all have reacted.
pub(crate) async fn react(hands: &Hands, event: &RecordedEvent) -> Result<(), ProcessError> {
    match &*event.stream.category {
        MemberEvent::CATEGORY => erasure::on_member(hands, event).await,
        MembershipEvent::CATEGORY => dues::on_membership(hands, event).await,
        AssociationEventRecord::CATEGORY => cancelled_events::on_association_event(hands, event).await,
        RosterEvent::CATEGORY => {
            registration_fees::on_roster(hands, event).await?;
            cancelled_events::on_roster(hands, event).await
        }
        InvoiceEvent::CATEGORY => {
            numbering::on_invoice(hands, event).await?;
            settlement::on_invoice(hands, event).await?;
            account::on_invoice(hands, event).await
        }
        PaymentEvent::CATEGORY => settlement::on_payment(hands, event).await,
        _ => Ok(()),
    }
}
