//! Another term. Each is a fact of its own: nothing overwrites the earlier one.

use chrono::{Days, NaiveDate};

use super::{
    CompleteRenewal, Membership, MembershipEvent, MembershipFacts, MembershipRefusal, MembershipStatus, Record,
    RenewMembership, SoldPlan, StatusRules, Term, first_term, join::check_count, proration::value_from, renewed_end,
};
use crate::{Money, ids::PaymentId};

/// What a renewal would give.
struct NextTerm {
    term: Term,
    membership_start: NaiveDate,
    fee: Money,
}

impl Membership {
    /// Keyed by its payment, or by its day when nothing is to be paid: the same renewal never extends twice.
    pub(super) fn renew(&self, command: RenewMembership) -> Result<Vec<MembershipEvent>, MembershipRefusal> {
        let RenewMembership { plan, terms, payment_id, rules, today } = command;
        let (record, facts) = self.active()?;
        if payment_id.is_some_and(|payment| record.payments.contains(&payment)) {
            return Ok(vec![]);
        }
        check_count(terms)?;
        if plan.plan_id != record.plan.plan_id {
            return Err(MembershipRefusal::PlanDiffers);
        }
        if payment_id.is_none() && record.renewed_free_on == Some(today) && record.plan == plan {
            return Ok(vec![]);
        }
        let next = next_term(record, facts, &plan, terms, &rules, today)?;
        check_window(record, today)?;
        if payment_id.is_some() || next.fee.is_zero() {
            return Ok(vec![renewed(next, plan, terms, payment_id, today)]);
        }
        match &record.renewal {
            Some(waiting) if waiting.plan == plan && waiting.terms == terms => Ok(vec![]),
            Some(_) => Err(MembershipRefusal::RenewalOutstanding),
            None => {
                let NextTerm { term, fee, membership_start: _ } = next;
                Ok(vec![MembershipEvent::RenewalRequested { term_number: term.number, plan, terms, fee, on: today }])
            }
        }
    }

    /// The conditions are those of the request; the dates are those of the day it is paid.
    pub(super) fn complete_renewal(&self, command: CompleteRenewal) -> Result<Vec<MembershipEvent>, MembershipRefusal> {
        let CompleteRenewal { payment_id, rules, today } = command;
        let (record, facts) = self.active()?;
        if record.payments.contains(&payment_id) {
            return Ok(vec![]);
        }
        let request = record.renewal.as_ref().ok_or(MembershipRefusal::NoRenewalRequested)?;
        let next = next_term(record, facts, &request.plan, request.terms, &rules, today)?;
        Ok(vec![renewed(next, request.plan.clone(), request.terms, Some(payment_id), today)])
    }
}

/// A membership that is still current goes on where its term ends; another one begins anew today.
/// Source: "Renewal" of the domain rules.
fn next_term(
    record: &Record,
    facts: &MembershipFacts,
    plan: &SoldPlan,
    terms: u32,
    rules: &StatusRules,
    today: NaiveDate,
) -> Result<NextTerm, MembershipRefusal> {
    let latest = record.term.ok_or(MembershipRefusal::NotActive)?;
    let old_end = latest.end.ok_or(MembershipRefusal::HasNoEnd)?;
    let number = latest.number + 1;
    let still_current = facts.status_on(rules, today).is_some_and(MembershipStatus::is_current);
    if let (true, Some(spell)) = (still_current, facts.spells.last()) {
        let start = old_end.succ_opt().ok_or(super::BeyondCalendar)?;
        let end = renewed_end(&plan.terms, old_end, terms)?;
        let fee = plan.terms.fee.times(terms)?;
        return Ok(NextTerm { term: Term { number, start, end }, membership_start: spell.start, fee });
    }
    let first = first_term(&plan.terms, today, None, terms)?;
    let fee = value_from(&plan.terms, terms, today, first.end)?;
    let term = Term { number, start: first.start, end: first.end };
    Ok(NextTerm { term, membership_start: first.start, fee })
}

/// The running term keeps the window it was sold with.
fn check_window(record: &Record, today: NaiveDate) -> Result<(), MembershipRefusal> {
    let end = record.term.and_then(|term| term.end);
    let Some((window, end)) = record.plan.terms.renewal_window.zip(end) else { return Ok(()) };
    let from = end.checked_sub_days(Days::new(u64::from(window.days_before))).unwrap_or(NaiveDate::MIN);
    let to = end.checked_add_days(Days::new(u64::from(window.days_after))).unwrap_or(NaiveDate::MAX);
    if (from..=to).contains(&today) { Ok(()) } else { Err(MembershipRefusal::OutsideRenewalWindow { from, to }) }
}

fn renewed(
    next: NextTerm,
    plan: SoldPlan,
    terms: u32,
    payment_id: Option<PaymentId>,
    on: NaiveDate,
) -> MembershipEvent {
    let NextTerm { term, membership_start, fee: _ } = next;
    MembershipEvent::MembershipRenewed { term, plan, terms, membership_start, payment_id, on }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        membership::testing::*,
        membership_plan::{DurationUnit, PlanTerms, Proration, RenewalWindow},
        testing::given,
    };

    fn yearly() -> PlanTerms {
        rolling(DurationUnit::Year, 1)
    }
    fn free() -> PlanTerms {
        PlanTerms { fee: usd(0), ..yearly() }
    }
    /// Joined on 21 January 2006 for a year, paid with payment 1.
    fn member_of(terms: &PlanTerms) -> Vec<MembershipEvent> {
        let term = Term { number: 1, start: day("2006-01-21"), end: Some(day("2007-01-20")) };
        vec![
            MembershipEvent::MembershipApplied {
                member_id: ada(),
                plan: sold(1, terms.clone()),
                applied_on: day("2006-01-21"),
                requested_start: None,
                terms: 1,
                fee: terms.fee,
            },
            MembershipEvent::MembershipActivated { term, payment_id: Some(payment(1)), on: day("2006-01-21") },
        ]
    }
    fn member() -> Vec<MembershipEvent> {
        member_of(&yearly())
    }
    fn and(mut history: Vec<MembershipEvent>, event: MembershipEvent) -> Vec<MembershipEvent> {
        history.push(event);
        history
    }
    fn renew(today: &str, paid_by: Option<u128>) -> RenewMembership {
        RenewMembership {
            plan: sold(1, yearly()),
            terms: 1,
            payment_id: paid_by.map(payment),
            rules: StatusRules::default(),
            today: day(today),
        }
    }
    fn complete(today: &str, paid_by: u128) -> CompleteRenewal {
        CompleteRenewal { payment_id: payment(paid_by), rules: StatusRules::default(), today: day(today) }
    }
    fn second_term(start: &str, end: &str, since: &str, paid_by: Option<u128>, on: &str) -> MembershipEvent {
        MembershipEvent::MembershipRenewed {
            term: Term { number: 2, start: day(start), end: Some(day(end)) },
            plan: sold(1, yearly()),
            terms: 1,
            membership_start: day(since),
            payment_id: paid_by.map(payment),
            on: day(on),
        }
    }
    fn requested(fee: i64) -> MembershipEvent {
        MembershipEvent::RenewalRequested {
            term_number: 2,
            plan: sold(1, yearly()),
            terms: 1,
            fee: usd(fee),
            on: day("2006-12-01"),
        }
    }

    #[test]
    fn a_current_membership_goes_on_where_its_term_ends() {
        let goes_on = |on| second_term("2007-01-21", "2008-01-20", "2006-01-21", Some(2), on);
        given::<Membership>(member()).when(renew("2006-12-01", Some(2))).then([goes_on("2006-12-01")]);
        given::<Membership>(member()).when(renew("2007-02-20", Some(2))).then([goes_on("2007-02-20")]);
    }

    #[test]
    fn a_lapsed_membership_begins_anew_today() {
        given::<Membership>(member()).when(renew("2007-02-21", Some(2))).then([second_term(
            "2007-02-21",
            "2008-02-20",
            "2007-02-21",
            Some(2),
            "2007-02-21",
        )]);
    }

    #[test]
    fn a_status_set_by_hand_decides_whether_it_is_current() {
        let set =
            MembershipEvent::StatusOverridden { status: MembershipStatus::Current, until: None, on: day("2007-02-01") };
        given::<Membership>(and(member(), set)).when(renew("2007-06-01", Some(2))).then([second_term(
            "2007-01-21",
            "2008-01-20",
            "2006-01-21",
            Some(2),
            "2007-06-01",
        )]);
    }

    #[test]
    fn the_same_payment_never_extends_twice() {
        let renewed = second_term("2007-01-21", "2008-01-20", "2006-01-21", Some(2), "2006-12-01");
        given::<Membership>(and(member(), renewed)).when(renew("2006-12-02", Some(2))).then_nothing();
        given::<Membership>(member()).when(renew("2006-12-01", Some(1))).then_nothing();
    }

    #[test]
    fn a_renewal_without_payment_waits_for_one() {
        given::<Membership>(member()).when(renew("2006-12-01", None)).then([requested(12_000)]);
    }

    #[test]
    fn asking_for_the_same_renewal_again_records_nothing() {
        given::<Membership>(and(member(), requested(12_000))).when(renew("2006-12-02", None)).then_nothing();
    }

    #[test]
    fn a_renewal_on_other_conditions_waits_for_the_first() {
        given::<Membership>(and(member(), requested(12_000)))
            .when(RenewMembership { terms: 2, ..renew("2006-12-02", None) })
            .then_refused(MembershipRefusal::RenewalOutstanding);
    }

    #[test]
    fn a_payment_completes_the_renewal_that_was_asked_for() {
        let renewed = second_term("2007-01-21", "2008-01-20", "2006-01-21", Some(2), "2006-12-20");
        let waiting = and(member(), requested(12_000));
        given::<Membership>(waiting.clone()).when(complete("2006-12-20", 2)).then([renewed.clone()]);
        given::<Membership>(and(waiting, renewed)).when(complete("2006-12-21", 2)).then_nothing();
    }

    #[test]
    fn a_renewal_paid_after_a_lapse_begins_on_the_day_it_is_paid() {
        given::<Membership>(and(member(), requested(12_000))).when(complete("2007-06-01", 2)).then([second_term(
            "2007-06-01",
            "2008-05-31",
            "2007-06-01",
            Some(2),
            "2007-06-01",
        )]);
    }

    #[test]
    fn only_a_renewal_that_was_asked_for_is_completed() {
        given::<Membership>(member())
            .when(complete("2006-12-20", 2))
            .then_refused(MembershipRefusal::NoRenewalRequested);
    }

    #[test]
    fn a_renewal_that_costs_nothing_runs_at_once_and_once_a_day() {
        let renewal = RenewMembership { plan: sold(1, free()), ..renew("2006-12-01", None) };
        let MembershipEvent::MembershipRenewed { term, terms, membership_start, payment_id, on, .. } =
            second_term("2007-01-21", "2008-01-20", "2006-01-21", None, "2006-12-01")
        else {
            unreachable!("it is a renewal")
        };
        let plan = sold(1, free());
        let renewed = MembershipEvent::MembershipRenewed { term, plan, terms, membership_start, payment_id, on };
        given::<Membership>(member_of(&free())).when(renewal.clone()).then([renewed.clone()]);
        given::<Membership>(and(member_of(&free()), renewed)).when(renewal).then_nothing();
    }

    #[test]
    fn the_window_is_respected_on_both_sides() {
        let window = RenewalWindow { days_before: 30, days_after: 10 };
        let terms = PlanTerms { renewal_window: Some(window), ..yearly() };
        let refusal = MembershipRefusal::OutsideRenewalWindow { from: day("2006-12-21"), to: day("2007-01-30") };
        for today in ["2006-12-20", "2007-01-31"] {
            given::<Membership>(member_of(&terms)).when(renew(today, None)).then_refused(refusal.clone());
        }
        for today in ["2006-12-21", "2007-01-30"] {
            given::<Membership>(member_of(&terms)).when(renew(today, Some(2))).then([second_term(
                "2007-01-21",
                "2008-01-20",
                "2006-01-21",
                Some(2),
                today,
            )]);
        }
    }

    #[test]
    fn after_a_lapse_a_fixed_term_is_prorated_like_a_first_one() {
        let plan = PlanTerms { proration: Proration::ByMonth, ..fixed_year(1, (1, 1), (11, 1)) };
        let next = RenewMembership { plan: sold(1, plan.clone()), ..renew("2007-07-10", None) };
        given::<Membership>(member_of(&plan)).when(next).then([MembershipEvent::RenewalRequested {
            term_number: 2,
            plan: sold(1, plan),
            terms: 1,
            fee: usd(6_000),
            on: day("2007-07-10"),
        }]);
    }

    #[test]
    fn a_renewal_is_for_the_plan_the_membership_is_of() {
        given::<Membership>(member())
            .when(RenewMembership { plan: sold(2, yearly()), ..renew("2006-12-01", None) })
            .then_refused(MembershipRefusal::PlanDiffers);
    }

    #[test]
    fn what_has_no_end_is_not_renewed() {
        let mut history = member();
        history[1] = MembershipEvent::MembershipActivated {
            term: Term { number: 1, start: day("2006-01-21"), end: None },
            payment_id: None,
            on: day("2006-01-21"),
        };
        given::<Membership>(history).when(renew("2006-12-01", None)).then_refused(MembershipRefusal::HasNoEnd);
    }

    #[test]
    fn only_an_active_membership_is_renewed() {
        let (cancelled, declined) = (
            MembershipEvent::MembershipCancelled { on: day("2006-02-01"), reason: None },
            MembershipEvent::MembershipDeclined { on: day("2006-02-01"), reason: None },
        );
        let applied = vec![member().remove(0)];
        let refusals = [
            (vec![], MembershipRefusal::MembershipUnknown),
            (applied.clone(), MembershipRefusal::NotActive),
            (and(applied, declined), MembershipRefusal::ApplicationDeclined),
            (and(member(), cancelled), MembershipRefusal::MembershipIsCancelled),
        ];
        for (history, refusal) in refusals {
            given::<Membership>(history.clone()).when(renew("2006-12-01", Some(2))).then_refused(refusal.clone());
            given::<Membership>(history).when(complete("2006-12-01", 2)).then_refused(refusal);
        }
    }

    #[test]
    fn at_least_one_term_is_bought() {
        given::<Membership>(member())
            .when(RenewMembership { terms: 0, ..renew("2006-12-01", None) })
            .then_refused(MembershipRefusal::TermsOutOfRange { most: super::super::join::MOST_TERMS });
    }
}
