//! Giving places back, and letting them lapse.

use chrono::{DateTime, Utc};

use super::{
    CancelRegistration, CancellationFee, EventRoster, ExpireDue, PromotionReason, RosterEvent, RosterRefusal, Standing,
    book::Entry, waitlist::Room,
};
use crate::Money;

impl EventRoster {
    pub(super) fn cancel(&self, command: CancelRegistration) -> Result<Vec<RosterEvent>, RosterRefusal> {
        let CancelRegistration { registration_id, refund_override, reason, now } = command;
        let entry = self.entry(registration_id)?;
        match entry.standing {
            Standing::Cancelled => return Ok(vec![]),
            Standing::Declined | Standing::Expired | Standing::NoShow => return Err(RosterRefusal::RegistrationEnded),
            Standing::CheckedIn => return Err(RosterRefusal::AlreadyCheckedIn),
            Standing::Held { .. }
            | Standing::AwaitingApproval
            | Standing::AwaitingPayment { .. }
            | Standing::Confirmed
            | Standing::Waitlisted { .. }
            | Standing::Offered { .. } => {}
        }
        let paid = entry.payment.map_or(Money::zero(entry.registration.fee.currency), |made| made.paid);
        let refund = match refund_override {
            Some(_) if reason.is_none() => return Err(RosterRefusal::ReasonMissing),
            Some(amount) if amount.minor < 0 || paid.minus(amount)?.minor < 0 => {
                return Err(RosterRefusal::RefundTooLarge { paid });
            }
            Some(amount) => amount,
            None => self.refund_by_policy(paid, now)?,
        };
        let payment_id = entry.payment.map(|made| made.payment_id);
        let mut events = vec![RosterEvent::RegistrationCancelled { registration_id, refund, payment_id, reason }];
        events.extend(self.offers_without(entry, PromotionReason::PlaceGivenBack, now));
        Ok(events)
    }

    /// What was paid less the fee, and nothing after the last day. Source: "Cancellation" of the domain rules.
    fn refund_by_policy(&self, paid: Money, now: DateTime<Utc>) -> Result<Money, RosterRefusal> {
        let policy = &self.opening()?.policy;
        let nothing = Money::zero(paid.currency);
        if policy.refundable_until.is_some_and(|until| until < now) {
            return Ok(nothing);
        }
        let fee = match policy.cancellation_fee {
            CancellationFee::None => nothing,
            CancellationFee::Fixed { amount } => amount,
            CancellationFee::Percent { percent } => paid.share(i64::from(percent), 100)?,
        };
        let rest = if paid.is_zero() { nothing } else { paid.minus(fee)? };
        Ok(if rest.minor < 0 { nothing } else { rest })
    }

    /// Lets everything lapse that is due. Also offers room that was left while registration was closed.
    pub(super) fn expire_due(&self, command: ExpireDue) -> Vec<RosterEvent> {
        let ExpireDue { now } = command;
        let lapsed: Vec<&Entry> = self
            .book
            .due
            .iter()
            .take_while(|(due, _)| *due <= now)
            .filter_map(|(_, id)| self.book.entries.get(id))
            .collect();
        let room = lapsed.iter().fold(Room::of(&self.book), |room, entry| room.without(&self.book, entry));
        let reason = if lapsed.is_empty() { PromotionReason::RoomLeft } else { PromotionReason::PlaceLapsed };
        let expired =
            |entry: &&Entry| RosterEvent::RegistrationExpired { registration_id: entry.registration.registration_id };
        lapsed.iter().map(expired).chain(self.offers(self.queue(), room, reason, now)).collect()
    }
}
