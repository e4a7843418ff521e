//! Giving places back, and letting them lapse.

use chrono::{DateTime, Utc};

use super::{
    CancelRegistration, CancellationFee, EventRoster, ExpireDue, PromotionReason, RosterEvent, RosterRefusal, Standing,
    book::Entry,
    waitlist::{MOST_LAPSED, Queue, Room},
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

    /// Lets lapse what is due, and offers what became free. Also offers room that was left: while
    /// registration was closed, or by a decision that made as many offers as one may.
    pub(super) fn expire_due(&self, command: ExpireDue) -> Vec<RosterEvent> {
        let ExpireDue { now } = command;
        let lapsed: Vec<&Entry> = self
            .book
            .due
            .iter()
            .take_while(|(due, _)| *due <= now)
            .take(MOST_LAPSED)
            .filter_map(|(_, id)| self.book.entries.get(id))
            .collect();
        let room = lapsed.iter().fold(Room::of(&self.book), |room, entry| room.without(&self.book, entry));
        let reason = if lapsed.is_empty() { PromotionReason::RoomLeft } else { PromotionReason::PlaceLapsed };
        let expired =
            |entry: &&Entry| RosterEvent::RegistrationExpired { registration_id: entry.registration.registration_id };
        lapsed.iter().map(expired).chain(self.offers(Queue::Waitlist, room, reason, now)).collect()
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::Aggregate;

    use super::*;
    use crate::{
        Decide,
        event_roster::{ChangeCapacity, OpenRegistration, Registration, RosterPolicy, testing::*},
        testing::given,
    };

    fn cancel(n: u128) -> CancelRegistration {
        CancelRegistration { registration_id: id(n), refund_override: None, reason: None, now: at(60) }
    }
    fn sweep(minutes: i64) -> ExpireDue {
        ExpireDue { now: at(minutes) }
    }
    fn keeps(cancellation_fee: CancellationFee) -> RosterPolicy {
        RosterPolicy { cancellation_fee, ..RosterPolicy::default() }
    }
    fn refunds(policy: RosterPolicy, refund: i64) {
        given::<EventRoster>([opened_by(9, policy), held(1), paid(1, 7)]).when(cancel(1)).then([cancelled(
            1,
            refund,
            Some(7),
        )]);
    }
    fn given_back(n: u128) -> RosterEvent {
        offered(n, PromotionReason::PlaceGivenBack, 60)
    }

    #[test]
    fn a_place_given_back_is_offered_at_once() {
        given::<EventRoster>([opened(1), placed(1), waiting(2), waiting(3)])
            .when(cancel(1))
            .then([cancelled(1, 0, None), given_back(2)]);
    }

    #[test]
    fn the_order_is_priority_then_time_then_arrival() {
        let urgent = Registration { priority: 5, ..wish(4) };
        let same_time = RosterEvent::RegistrationWaitlisted { registration: wish(9), at: at(2) };
        let history = [opened(4), RosterEvent::PlaceConfirmed { registration: group(1, 4) }];
        given::<EventRoster>(history.into_iter().chain([waiting(3), same_time, waiting(2), waits(urgent)]))
            .when(cancel(1))
            .then([cancelled(1, 0, None), given_back(4), given_back(9), given_back(2), given_back(3)]);
    }

    #[test]
    fn who_gives_up_waiting_makes_way() {
        given::<EventRoster>([opened(3), placed(1), waits(group(2, 3)), waiting(3)])
            .when(cancel(2))
            .then([cancelled(2, 0, None), given_back(3)]);
        given::<EventRoster>([opened(1), placed(1), waiting(2)]).when(cancel(2)).then([cancelled(2, 0, None)]);
    }

    #[test]
    fn a_group_that_is_next_keeps_free_places_for_itself() {
        given::<EventRoster>([opened(3), placed(1), placed(2), placed(3), waits(group(4, 2)), waiting(5)])
            .when(cancel(1))
            .then([cancelled(1, 0, None)]);
    }

    #[test]
    fn a_group_too_large_is_passed_over_when_the_event_says_so() {
        let policy = RosterPolicy { pass_over_large_groups: true, ..RosterPolicy::default() };
        let history = [opened_by(3, policy), placed(1), placed(2), placed(3), waits(group(4, 2)), waiting(5)];
        given::<EventRoster>(history).when(cancel(1)).then([cancelled(1, 0, None), passed(4), given_back(5)]);
    }

    #[test]
    fn who_waits_for_another_pool_is_not_passed_over() {
        let policy = RosterPolicy { pass_over_large_groups: true, ..RosterPolicy::default() };
        let both = Registration { ticket_type: "both".into(), ..wish(2) };
        let workshop = Registration { ticket_type: "workshop".into(), ..group(1, 2) };
        let full = [RosterEvent::PlaceConfirmed { registration: workshop }, placed(3), waits(both), waiting(4)];
        given::<EventRoster>([opened_by(1, policy)].into_iter().chain(full))
            .when(cancel(3))
            .then([cancelled(3, 0, None), given_back(4)]);
    }

    #[test]
    fn only_so_many_groups_are_passed_over() {
        let policy = || RosterPolicy { pass_over_large_groups: true, ..RosterPolicy::default() };
        let roster = |groups: u128| {
            let groups = (10..10 + groups).map(|n| waits(group(n, 2)));
            [opened_by(1, policy()), placed(1)].into_iter().chain(groups).chain([waiting(1_000)])
        };
        given::<EventRoster>(roster(100)).when(cancel(1)).then([cancelled(1, 0, None)]);
        let passes = (10..109).map(passed);
        let expected = [cancelled(1, 0, None)].into_iter().chain(passes).chain([given_back(1_000)]);
        given::<EventRoster>(roster(99)).when(cancel(1)).then(expected);
    }

    #[test]
    fn a_group_is_not_passed_over_in_favour_of_nobody() {
        let policy = RosterPolicy { pass_over_large_groups: true, ..RosterPolicy::default() };
        let history = [opened_by(3, policy), placed(1), placed(2), placed(3), waits(group(4, 2))];
        given::<EventRoster>(history).when(cancel(1)).then([cancelled(1, 0, None)]);
    }

    #[test]
    fn nothing_is_offered_after_registration_closes() {
        given::<EventRoster>([opened(1), placed(1), waiting(2), closed()])
            .when(cancel(1))
            .then([cancelled(1, 0, None)]);
        let closing =
            opened_as(OpenRegistration { closes_at: Some(at(60)), ..open_with(1, 2, RosterPolicy::default()) });
        given::<EventRoster>([closing, placed(1), waiting(2)]).when(cancel(1)).then([cancelled(1, 0, None)]);
    }

    #[test]
    fn what_was_paid_is_refunded_less_the_fee() {
        refunds(keeps(CancellationFee::None), 10_000);
        refunds(keeps(CancellationFee::Fixed { amount: usd(1_500) }), 8_500);
        refunds(keeps(CancellationFee::Fixed { amount: usd(20_000) }), 0);
        refunds(keeps(CancellationFee::Percent { percent: 33 }), 6_700);
    }

    #[test]
    fn after_the_last_day_nothing_is_refunded() {
        refunds(RosterPolicy { refundable_until: Some(at(60)), ..RosterPolicy::default() }, 10_000);
        refunds(RosterPolicy { refundable_until: Some(at(59)), ..RosterPolicy::default() }, 0);
    }

    #[test]
    fn another_refund_needs_a_reason_and_stays_within_what_was_paid() {
        let history = || [opened(9), held(1), paid(1, 7)];
        let refund = |minor, reason| CancelRegistration { refund_override: Some(usd(minor)), reason, ..cancel(1) };
        given::<EventRoster>(history()).when(refund(9_999, Some(reason()))).then([
            RosterEvent::RegistrationCancelled {
                registration_id: id(1),
                refund: usd(9_999),
                payment_id: Some(payment(7)),
                reason: Some(reason()),
            },
        ]);
        given::<EventRoster>(history()).when(refund(1, None)).then_refused(RosterRefusal::ReasonMissing);
        for minor in [-1, 10_001] {
            given::<EventRoster>(history())
                .when(refund(minor, Some(reason())))
                .then_refused(RosterRefusal::RefundTooLarge { paid: usd(10_000) });
        }
    }

    #[test]
    fn what_has_ended_is_not_given_back() {
        let refused = [
            ("CheckedIn", RosterRefusal::AlreadyCheckedIn),
            ("NoShow", RosterRefusal::RegistrationEnded),
            ("Declined", RosterRefusal::RegistrationEnded),
            ("Expired", RosterRefusal::RegistrationEnded),
        ];
        expect(cancel(1), &refused, &["Cancelled"]);
        given::<EventRoster>([opened(9)]).when(cancel(1)).then_refused(RosterRefusal::RegistrationUnknown);
    }

    #[test]
    fn everything_due_lapses_and_its_places_are_offered() {
        let lapsed = |n| offered(n, PromotionReason::PlaceLapsed, 32);
        given::<EventRoster>([opened(3), held(1), held(2), held(3), waiting(4), waiting(5), waiting(6)])
            .when(sweep(32))
            .then([expired(1), expired(2), lapsed(4), lapsed(5)]);
    }

    #[test]
    fn unpaid_registrations_and_unanswered_offers_lapse_too() {
        let offer = offered(2, PromotionReason::CapacityRaised, 0);
        given::<EventRoster>([opened(9), held(1), awaits_payment(1), waiting(2), offer])
            .when(sweep(14 * 24 * 60))
            .then([expired(2), expired(1)]);
    }

    #[test]
    fn before_anything_is_due_nothing_lapses() {
        given::<EventRoster>([opened(9), held(1), placed(2)]).when(sweep(30)).then_nothing();
        given::<EventRoster>([]).when(sweep(30)).then_nothing();
    }

    #[test]
    fn room_left_while_registration_was_closed_is_offered() {
        given::<EventRoster>([opened(1), placed(1), waiting(2), closed(), cancelled(1, 0, None), opened(1)])
            .when(sweep(60))
            .then([offered(2, PromotionReason::RoomLeft, 60)]);
    }

    #[test]
    fn more_than_one_append_takes_lapse_and_are_offered_by_asking_again() {
        let mut roster = EventRoster::default();
        let held = (1..=400).map(held);
        let waiting = (1_001..=1_400).map(waiting);
        for event in [opened(400)].into_iter().chain(held).chain(waiting) {
            roster.apply(event);
        }
        let mut recorded = vec![];
        for _ in 0..3 {
            let events = roster.decide(sweep(10_000).into()).unwrap();
            recorded.push(events.len());
            for event in events {
                roster.apply(event);
            }
        }
        assert_eq!(recorded, [300, 300, 200]);
        assert_eq!(roster.decide(sweep(10_000).into()), Ok(vec![]));
    }

    #[test]
    fn a_decision_makes_only_so_many_offers_and_the_next_one_goes_on() {
        let policy = RosterPolicy { pass_over_large_groups: true, ..RosterPolicy::default() };
        let groups = (1..=60).map(|n| waits(group(n, 300)));
        let singles = (1_001..=1_200).map(waiting);
        let mut roster = EventRoster::default();
        for event in [opened_by(0, policy)].into_iter().chain(groups).chain(singles) {
            roster.apply(event);
        }
        let larger = ChangeCapacity { pool: "hall".into(), size: Some(250), now: at(5_000) };
        let mut offers = vec![];
        for command in [larger.into(), sweep(5_000).into(), sweep(5_000).into()] {
            let events = roster.decide(command).unwrap();
            offers.push(events.iter().filter(|event| matches!(event, RosterEvent::PlaceOffered { .. })).count());
            assert!(events.len() <= 300, "{} events in one append", events.len());
            for event in events {
                roster.apply(event);
            }
        }
        assert_eq!(offers, [90, 90, 20]);
    }

    #[test]
    fn the_roster_knows_what_is_due_next() {
        let mut roster = EventRoster::default();
        assert_eq!(roster.next_due(), None);
        for event in [opened(9), held(2), held(1), placed(3)] {
            roster.apply(event);
        }
        assert_eq!(roster.next_due(), Some(at(31)));
        roster.apply(paid(1, 1));
        assert_eq!(roster.next_due(), Some(at(32)));
    }
}
