//! From a held place to a paid one.

use chrono::TimeDelta;

use super::{
    AwaitPayment, ConfirmRegistration, EventRoster, RosterEvent, RosterRefusal, Standing,
    book::Entry,
    waitlist::{Room, after},
};

impl EventRoster {
    pub(super) fn await_payment(&self, command: AwaitPayment) -> Result<Vec<RosterEvent>, RosterRefusal> {
        let AwaitPayment { registration_id, invoice_id, now } = command;
        let days = i64::from(self.opening()?.policy.payment_term_days);
        let until = after(now, TimeDelta::days(days));
        match self.entry(registration_id)?.standing {
            Standing::Held { .. } | Standing::AwaitingPayment { invoice_id: None, .. } => {
                Ok(vec![RosterEvent::PaymentAwaited { registration_id, invoice_id, until }])
            }
            Standing::AwaitingPayment { invoice_id: Some(open), .. } if open == invoice_id => Ok(vec![]),
            Standing::AwaitingPayment { .. } => Err(RosterRefusal::InvoiceDiffers),
            Standing::AwaitingApproval => Err(RosterRefusal::ApprovalOutstanding),
            Standing::Waitlisted { .. } | Standing::Offered { .. } => Err(RosterRefusal::StillWaiting),
            Standing::Confirmed | Standing::CheckedIn | Standing::NoShow => Err(RosterRefusal::AlreadyConfirmed),
            Standing::Declined | Standing::Expired | Standing::Cancelled => Err(RosterRefusal::RegistrationEnded),
        }
    }

    /// A payment is either placed or paid back, never both: a late one is placed if there is room that
    /// nobody waits for. Source: "Registration" of the domain rules.
    pub(super) fn confirm(&self, command: ConfirmRegistration) -> Result<Vec<RosterEvent>, RosterRefusal> {
        let ConfirmRegistration { registration_id, payment_id, paid } = command;
        let entry = self.entry(registration_id)?;
        let counted = entry.payment.is_some_and(|made| made.payment_id == payment_id);
        if counted || entry.unplaced.contains(&payment_id) {
            return Ok(vec![]);
        }
        let confirmed = RosterEvent::RegistrationConfirmed { registration_id, payment_id: Some(payment_id), paid };
        let unplaced = RosterEvent::PaymentUnplaced { registration_id, payment_id, amount: paid };
        match entry.standing {
            // A confirmed registration is paid again when the first payment was charged back.
            Standing::Held { .. }
            | Standing::AwaitingPayment { .. }
            | Standing::Offered { .. }
            | Standing::Confirmed => Ok(vec![confirmed]),
            Standing::CheckedIn | Standing::NoShow => Ok(vec![]),
            Standing::AwaitingApproval => Err(RosterRefusal::ApprovalOutstanding),
            Standing::Expired if self.can_return(entry) => Ok(vec![confirmed]),
            Standing::Waitlisted { .. } | Standing::Expired | Standing::Declined | Standing::Cancelled => {
                Ok(vec![unplaced])
            }
        }
    }

    /// Whether a lapsed registration can have its places back.
    fn can_return(&self, entry: &Entry) -> bool {
        let registration = &entry.registration;
        let one_each = self.policy().is_some_and(|policy| !policy.several_per_person);
        let has_another = one_each && self.book.is_live(registration.registrant.subject());
        !has_another && self.can_place(&Room::of(&self.book), &registration.ticket_type, registration.places)
    }
}
