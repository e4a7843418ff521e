//! From the application to the first term.

use chrono::NaiveDate;

use super::{
    ActivateMembership, ApplyForMembership, ApproveMembership, DeclineMembership, ImportMembership, Membership,
    MembershipEvent, MembershipRefusal, Origin, Record, Stage, Term, first_term, proration::value_from,
};
use crate::ids::PaymentId;

/// How many terms can be bought at once.
pub(super) const MOST_TERMS: u32 = 100;

pub(super) fn check_count(terms: u32) -> Result<(), MembershipRefusal> {
    if (1..=MOST_TERMS).contains(&terms) {
        Ok(())
    } else {
        Err(MembershipRefusal::TermsOutOfRange { most: MOST_TERMS })
    }
}

impl Membership {
    /// What costs nothing and needs nobody's consent runs at once.
    pub(super) fn apply_for(&self, command: ApplyForMembership) -> Result<Vec<MembershipEvent>, MembershipRefusal> {
        let ApplyForMembership { member_id, plan, requested_start, terms, today } = command;
        if let Some(record) = &self.record {
            let same = record.member_id == member_id
                && record.plan.plan_id == plan.plan_id
                && record.origin == Origin::Applied { requested_start, terms };
            return if same { Ok(vec![]) } else { Err(MembershipRefusal::MembershipAlreadyExists) };
        }
        check_count(terms)?;
        let first = first_term(&plan.terms, today, requested_start, terms)?;
        let fee = value_from(&plan.terms, terms, requested_start.unwrap_or(today), first.end)?;
        let at_once = fee.is_zero() && !plan.terms.approval_required;
        let applied_on = today;
        let mut events =
            vec![MembershipEvent::MembershipApplied { member_id, plan, applied_on, requested_start, terms, fee }];
        if at_once {
            let term = Term { number: 1, start: first.start, end: first.end };
            events.push(MembershipEvent::MembershipActivated { term, payment_id: None, on: today });
        }
        Ok(events)
    }

    /// An application that needs no consent has it already.
    pub(super) fn approve(&self, command: ApproveMembership) -> Result<Vec<MembershipEvent>, MembershipRefusal> {
        let ApproveMembership { today } = command;
        let (record, facts) = self.known()?;
        match record.stage {
            Stage::AwaitingPayment | Stage::Active => Ok(vec![]),
            Stage::Declined => Err(MembershipRefusal::ApplicationDeclined),
            Stage::Cancelled => Err(MembershipRefusal::MembershipIsCancelled),
            Stage::AwaitingApproval => {
                let approved = MembershipEvent::MembershipApproved { on: today };
                Ok(if record.fee.is_zero() {
                    vec![approved, activated(record, facts.joined_on, None, today)?]
                } else {
                    vec![approved]
                })
            }
        }
    }

    pub(super) fn decline(&self, command: DeclineMembership) -> Result<Vec<MembershipEvent>, MembershipRefusal> {
        let DeclineMembership { reason, today } = command;
        let (record, _) = self.known()?;
        match record.stage {
            Stage::AwaitingApproval | Stage::AwaitingPayment => {
                Ok(vec![MembershipEvent::MembershipDeclined { on: today, reason }])
            }
            Stage::Declined => Ok(vec![]),
            Stage::Active => Err(MembershipRefusal::AlreadyActive),
            Stage::Cancelled => Err(MembershipRefusal::MembershipIsCancelled),
        }
    }

    pub(super) fn activate(&self, command: ActivateMembership) -> Result<Vec<MembershipEvent>, MembershipRefusal> {
        let ActivateMembership { payment_id, today } = command;
        let (record, facts) = self.known()?;
        if record.payments.contains(&payment_id) {
            return Ok(vec![]);
        }
        match record.stage {
            Stage::AwaitingPayment => Ok(vec![activated(record, facts.joined_on, Some(payment_id), today)?]),
            Stage::AwaitingApproval => Err(MembershipRefusal::ApprovalOutstanding),
            Stage::Active => Err(MembershipRefusal::AlreadyActive),
            Stage::Declined => Err(MembershipRefusal::ApplicationDeclined),
            Stage::Cancelled => Err(MembershipRefusal::MembershipIsCancelled),
        }
    }

    /// Takes over what another system kept, whatever our own rules would have decided.
    pub(super) fn import(&self, command: ImportMembership) -> Result<Vec<MembershipEvent>, MembershipRefusal> {
        let ImportMembership { member_id, plan, joined_on, term, as_of, overridden, source } = command;
        if let Some(record) = &self.record {
            let same = record.origin == Origin::Imported(source);
            return if same { Ok(vec![]) } else { Err(MembershipRefusal::MembershipAlreadyExists) };
        }
        let imported =
            MembershipEvent::MembershipImported { member_id, plan, joined_on, term, as_of, overridden, source };
        Ok(vec![imported])
    }
}

/// The first term begins by the day of joining, also when the payment took its time.
fn activated(
    record: &Record,
    joined_on: NaiveDate,
    payment_id: Option<PaymentId>,
    on: NaiveDate,
) -> Result<MembershipEvent, MembershipRefusal> {
    let (requested_start, terms) = match record.origin {
        Origin::Applied { requested_start, terms } => (requested_start, terms),
        Origin::Imported(_) => (None, 1),
    };
    let first = first_term(&record.plan.terms, joined_on, requested_start, terms)?;
    let term = Term { number: 1, start: first.start, end: first.end };
    Ok(MembershipEvent::MembershipActivated { term, payment_id, on })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        membership::testing::*,
        membership_plan::{DurationUnit, PlanTerms, Proration},
        money::MoneyError,
        source::SourceRef,
        testing::given,
    };

    fn yearly() -> PlanTerms {
        rolling(DurationUnit::Year, 1)
    }
    fn free() -> PlanTerms {
        PlanTerms { fee: usd(0), ..yearly() }
    }
    fn by_consent(terms: PlanTerms) -> PlanTerms {
        PlanTerms { approval_required: true, ..terms }
    }
    fn apply(terms: PlanTerms) -> ApplyForMembership {
        ApplyForMembership {
            member_id: ada(),
            plan: sold(1, terms),
            requested_start: None,
            terms: 1,
            today: day("2026-03-15"),
        }
    }
    fn applied(terms: PlanTerms, fee: i64) -> MembershipEvent {
        MembershipEvent::MembershipApplied {
            member_id: ada(),
            plan: sold(1, terms),
            applied_on: day("2026-03-15"),
            requested_start: None,
            terms: 1,
            fee: usd(fee),
        }
    }
    fn approve() -> ApproveMembership {
        ApproveMembership { today: day("2026-03-20") }
    }
    fn approved() -> MembershipEvent {
        MembershipEvent::MembershipApproved { on: day("2026-03-20") }
    }
    fn decline() -> DeclineMembership {
        DeclineMembership { reason: None, today: day("2026-03-20") }
    }
    fn declined() -> MembershipEvent {
        MembershipEvent::MembershipDeclined { on: day("2026-03-20"), reason: None }
    }
    fn cancelled() -> MembershipEvent {
        MembershipEvent::MembershipCancelled { on: day("2026-03-20"), reason: None }
    }
    fn pay(n: u128) -> ActivateMembership {
        ActivateMembership { payment_id: payment(n), today: day("2026-04-02") }
    }
    fn runs(paid_by: Option<u128>, on: &str) -> MembershipEvent {
        let term = Term { number: 1, start: day("2026-03-15"), end: Some(day("2027-03-14")) };
        MembershipEvent::MembershipActivated { term, payment_id: paid_by.map(payment), on: day(on) }
    }
    fn import(row: &str) -> ImportMembership {
        ImportMembership {
            member_id: ada(),
            plan: sold(1, yearly()),
            joined_on: day("2019-01-01"),
            term: Term { number: 1, start: day("2019-01-01"), end: Some(day("2019-12-31")) },
            as_of: day("2019-11-28"),
            overridden: None,
            source: SourceRef { system: "civicrm".into(), table: "membership".into(), id: row.into() },
        }
    }
    fn imported() -> MembershipEvent {
        let ImportMembership { member_id, plan, joined_on, term, as_of, overridden, source } = import("1");
        MembershipEvent::MembershipImported { member_id, plan, joined_on, term, as_of, overridden, source }
    }

    #[test]
    fn an_application_waits_for_its_payment() {
        given::<Membership>([]).when(apply(yearly())).then([applied(yearly(), 12_000)]);
    }

    #[test]
    fn what_costs_nothing_and_needs_no_consent_runs_at_once() {
        given::<Membership>([]).when(apply(free())).then([applied(free(), 0), runs(None, "2026-03-15")]);
    }

    #[test]
    fn what_costs_nothing_still_waits_for_consent() {
        given::<Membership>([]).when(apply(by_consent(free()))).then([applied(by_consent(free()), 0)]);
    }

    #[test]
    fn the_fee_is_prorated() {
        let plan = PlanTerms { proration: Proration::ByMonth, ..fixed_year(1, (1, 1), (11, 1)) };
        given::<Membership>([]).when(apply(plan.clone())).then([applied(plan, 10_000)]);
    }

    #[test]
    fn several_terms_cost_several_fees() {
        let several = ApplyForMembership { terms: 3, ..apply(yearly()) };
        let MembershipEvent::MembershipApplied { member_id, plan, applied_on, requested_start, .. } =
            applied(yearly(), 0)
        else {
            unreachable!("it is an application")
        };
        let fee = usd(36_000);
        given::<Membership>([]).when(several).then([MembershipEvent::MembershipApplied {
            member_id,
            plan,
            applied_on,
            requested_start,
            terms: 3,
            fee,
        }]);
    }

    #[test]
    fn applying_for_the_same_again_records_nothing_also_on_another_day() {
        given::<Membership>([applied(yearly(), 12_000)])
            .when(ApplyForMembership { today: day("2026-03-16"), ..apply(yearly()) })
            .then_nothing();
    }

    #[test]
    fn one_membership_is_not_applied_for_in_two_ways() {
        given::<Membership>([applied(yearly(), 12_000)])
            .when(ApplyForMembership { plan: sold(2, yearly()), ..apply(yearly()) })
            .then_refused(MembershipRefusal::MembershipAlreadyExists);
        given::<Membership>([imported()])
            .when(apply(yearly()))
            .then_refused(MembershipRefusal::MembershipAlreadyExists);
    }

    #[test]
    fn terms_are_bought_a_few_at_a_time() {
        for terms in [0, MOST_TERMS + 1] {
            given::<Membership>([])
                .when(ApplyForMembership { terms, ..apply(yearly()) })
                .then_refused(MembershipRefusal::TermsOutOfRange { most: MOST_TERMS });
        }
    }

    #[test]
    fn what_cannot_be_computed_is_refused() {
        given::<Membership>([])
            .when(ApplyForMembership { terms: 100, ..apply(rolling(DurationUnit::Year, 1_200)) })
            .then_refused(MembershipRefusal::TermTooLong(crate::membership::BeyondCalendar));
        let priceless = PlanTerms { fee: usd(i64::MAX), ..yearly() };
        given::<Membership>([])
            .when(ApplyForMembership { terms: 2, ..apply(priceless) })
            .then_refused(MembershipRefusal::Money(MoneyError::TooLarge));
    }

    #[test]
    fn an_application_is_approved_once() {
        given::<Membership>([applied(by_consent(yearly()), 12_000)]).when(approve()).then([approved()]);
        given::<Membership>([applied(by_consent(yearly()), 12_000), approved()]).when(approve()).then_nothing();
    }

    #[test]
    fn an_application_that_needs_no_consent_has_it() {
        given::<Membership>([applied(yearly(), 12_000)]).when(approve()).then_nothing();
    }

    #[test]
    fn approval_starts_what_costs_nothing() {
        given::<Membership>([applied(by_consent(free()), 0)])
            .when(approve())
            .then([approved(), runs(None, "2026-03-20")]);
    }

    #[test]
    fn a_payment_starts_the_first_term_by_the_day_of_joining() {
        given::<Membership>([applied(yearly(), 12_000)]).when(pay(1)).then([runs(Some(1), "2026-04-02")]);
        given::<Membership>([applied(by_consent(yearly()), 12_000), approved()])
            .when(pay(1))
            .then([runs(Some(1), "2026-04-02")]);
    }

    #[test]
    fn the_same_payment_starts_it_once() {
        let history = [applied(yearly(), 12_000), runs(Some(1), "2026-04-02")];
        given::<Membership>(history.clone()).when(pay(1)).then_nothing();
        given::<Membership>(history).when(pay(2)).then_refused(MembershipRefusal::AlreadyActive);
    }

    #[test]
    fn a_payment_does_not_replace_consent() {
        given::<Membership>([applied(by_consent(yearly()), 12_000)])
            .when(pay(1))
            .then_refused(MembershipRefusal::ApprovalOutstanding);
    }

    #[test]
    fn an_application_is_declined_once() {
        given::<Membership>([applied(by_consent(yearly()), 12_000)]).when(decline()).then([declined()]);
        given::<Membership>([applied(by_consent(yearly()), 12_000), declined()]).when(decline()).then_nothing();
    }

    #[test]
    fn a_running_membership_is_not_declined() {
        given::<Membership>([applied(free(), 0), runs(None, "2026-03-15")])
            .when(decline())
            .then_refused(MembershipRefusal::AlreadyActive);
    }

    #[test]
    fn what_was_declined_or_cancelled_does_not_start() {
        let declined = || [applied(by_consent(yearly()), 12_000), declined()];
        given::<Membership>(declined()).when(approve()).then_refused(MembershipRefusal::ApplicationDeclined);
        given::<Membership>(declined()).when(pay(1)).then_refused(MembershipRefusal::ApplicationDeclined);
        let cancelled = || [applied(by_consent(yearly()), 12_000), cancelled()];
        given::<Membership>(cancelled()).when(approve()).then_refused(MembershipRefusal::MembershipIsCancelled);
        given::<Membership>(cancelled()).when(pay(1)).then_refused(MembershipRefusal::MembershipIsCancelled);
        given::<Membership>(cancelled()).when(decline()).then_refused(MembershipRefusal::MembershipIsCancelled);
    }

    #[test]
    fn nobody_decides_about_what_nobody_asked_for() {
        given::<Membership>([]).when(approve()).then_refused(MembershipRefusal::MembershipUnknown);
        given::<Membership>([]).when(decline()).then_refused(MembershipRefusal::MembershipUnknown);
        given::<Membership>([]).when(pay(1)).then_refused(MembershipRefusal::MembershipUnknown);
    }

    #[test]
    fn a_row_of_another_system_is_taken_over_once() {
        given::<Membership>([]).when(import("1")).then([imported()]);
        let later = ImportMembership { as_of: day("2020-11-28"), ..import("1") };
        given::<Membership>([imported()]).when(later).then_nothing();
        given::<Membership>([imported()]).when(import("2")).then_refused(MembershipRefusal::MembershipAlreadyExists);
    }

    #[test]
    fn an_imported_term_is_taken_as_it_stood_also_when_it_ends_before_it_starts() {
        let term = Term { number: 1, start: day("2019-01-01"), end: Some(day("2018-12-31")) };
        let events = Membership::default().import(ImportMembership { term, ..import("1") }).unwrap();
        assert!(matches!(events[..], [MembershipEvent::MembershipImported { term: taken, .. }] if taken == term));
    }
}
