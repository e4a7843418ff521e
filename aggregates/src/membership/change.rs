//! What happens to a membership between its terms: another plan, an early end, a status set by hand.

use super::{
    CancelMembership, ChangeMembershipPlan, ClearStatusOverride, Membership, MembershipEvent, MembershipRefusal,
    OverrideStatus, RecordStatus, RecordedStatus, Stage, Term, first_term, proration::value_from,
};
use crate::Money;

impl Membership {
    /// A new term from today; the unused value of the old one is credited by its own plan's proration.
    /// Source: "Plan change" of the domain rules.
    pub(super) fn change_plan(&self, command: ChangeMembershipPlan) -> Result<Vec<MembershipEvent>, MembershipRefusal> {
        let ChangeMembershipPlan { plan, today } = command;
        let (record, facts) = self.active()?;
        if plan.plan_id == record.plan.plan_id {
            return Ok(vec![]);
        }
        let latest = record.term.ok_or(MembershipRefusal::NotActive)?;
        let started = facts.spells.last().is_some_and(|spell| spell.start <= today);
        if !started || latest.end.is_some_and(|end| end < today) {
            return Err(MembershipRefusal::NoTermRunning);
        }
        let old = &record.plan.terms;
        let credit = match latest.end {
            Some(_) if old.proration != crate::membership_plan::Proration::None => {
                value_from(old, record.terms_in_spell, today, latest.end)?
            }
            Some(_) | None => Money::zero(old.fee.currency),
        };
        let first = first_term(&plan.terms, today, Some(today), 1)?;
        let fee = value_from(&plan.terms, 1, today, first.end)?;
        let term = Term { number: latest.number + 1, start: today, end: first.end };
        Ok(vec![MembershipEvent::MembershipPlanChanged { plan, term, credit, fee, on: today }])
    }

    pub(super) fn cancel(&self, command: CancelMembership) -> Result<Vec<MembershipEvent>, MembershipRefusal> {
        let CancelMembership { reason, today } = command;
        let (record, _) = self.known()?;
        match record.stage {
            Stage::AwaitingApproval | Stage::AwaitingPayment | Stage::Active => {
                Ok(vec![MembershipEvent::MembershipCancelled { on: today, reason }])
            }
            Stage::Cancelled | Stage::Declined => Ok(vec![]),
        }
    }

    /// A cancelled membership stays cancelled whatever somebody sets, so it is refused there.
    pub(super) fn override_status(&self, command: OverrideStatus) -> Result<Vec<MembershipEvent>, MembershipRefusal> {
        let OverrideStatus { status, until, today } = command;
        let (record, facts) = self.known()?;
        match record.stage {
            Stage::Declined => return Err(MembershipRefusal::ApplicationDeclined),
            Stage::Cancelled => return Err(MembershipRefusal::MembershipIsCancelled),
            Stage::AwaitingApproval | Stage::AwaitingPayment | Stage::Active => {}
        }
        if until.is_some_and(|until| until < today) {
            return Err(MembershipRefusal::OverrideInThePast);
        }
        let holds = facts.override_on(today).is_some_and(|set| set.status == status && set.until == until);
        Ok(if holds { vec![] } else { vec![MembershipEvent::StatusOverridden { status, until, on: today }] })
    }

    pub(super) fn clear_override(
        &self,
        command: ClearStatusOverride,
    ) -> Result<Vec<MembershipEvent>, MembershipRefusal> {
        let ClearStatusOverride { today } = command;
        let (_, facts) = self.known()?;
        let holds = facts.override_on(today).is_some();
        Ok(if holds { vec![MembershipEvent::StatusOverrideCleared { on: today }] } else { vec![] })
    }

    /// Records what the passing of time made of the status, and only where it made it another one.
    pub(super) fn record_status(&self, command: RecordStatus) -> Result<Vec<MembershipEvent>, MembershipRefusal> {
        let RecordStatus { rules, today } = command;
        let (record, facts) = self.known()?;
        let before = match record.recorded {
            RecordedStatus::Stated(status) => Some(status),
            RecordedStatus::AsOf(date) => facts.status_on(&rules, date),
        };
        match before.zip(facts.status_on(&rules, today)) {
            Some((from, to)) if from != to => {
                Ok(vec![MembershipEvent::MembershipStatusChanged { from, to, on: today }])
            }
            Some(_) | None => Ok(vec![]),
        }
    }
}

#[cfg(test)]
mod tests {
    use MembershipStatus::{Current, Expired, Grace, New};

    use super::*;
    use crate::{
        membership::{MembershipStatus, StatusRules, testing::*},
        membership_plan::{DurationUnit, PlanTerms, Proration},
        testing::given,
    };

    fn calendar_year(proration: Proration) -> PlanTerms {
        PlanTerms { proration, ..fixed_year(1, (1, 1), (11, 1)) }
    }
    fn applied(terms: &PlanTerms) -> MembershipEvent {
        MembershipEvent::MembershipApplied {
            member_id: ada(),
            plan: sold(1, terms.clone()),
            applied_on: day("2026-01-01"),
            requested_start: None,
            terms: 1,
            fee: terms.fee,
        }
    }
    /// Joined on 1 January 2026 for a year.
    fn member_of(terms: &PlanTerms) -> Vec<MembershipEvent> {
        let end = (terms.duration_unit != DurationUnit::Lifetime).then(|| day("2026-12-31"));
        let term = Term { number: 1, start: day("2026-01-01"), end };
        let paid = MembershipEvent::MembershipActivated { term, payment_id: Some(payment(1)), on: day("2026-01-01") };
        vec![applied(terms), paid]
    }
    fn member() -> Vec<MembershipEvent> {
        member_of(&calendar_year(Proration::ByMonth))
    }
    fn and(mut history: Vec<MembershipEvent>, event: MembershipEvent) -> Vec<MembershipEvent> {
        history.push(event);
        history
    }
    fn to_student(today: &str) -> ChangeMembershipPlan {
        ChangeMembershipPlan { plan: sold(2, student()), today: day(today) }
    }
    fn student() -> PlanTerms {
        PlanTerms { fee: usd(5_000), ..rolling(DurationUnit::Year, 1) }
    }
    fn changed(credit: i64) -> MembershipEvent {
        MembershipEvent::MembershipPlanChanged {
            plan: sold(2, student()),
            term: Term { number: 2, start: day("2026-08-20"), end: Some(day("2027-08-19")) },
            credit: usd(credit),
            fee: usd(5_000),
            on: day("2026-08-20"),
        }
    }
    fn cancel() -> CancelMembership {
        CancelMembership { reason: None, today: day("2026-06-01") }
    }
    fn cancelled() -> MembershipEvent {
        MembershipEvent::MembershipCancelled { on: day("2026-06-01"), reason: None }
    }
    fn set(status: MembershipStatus, until: Option<&str>, today: &str) -> OverrideStatus {
        OverrideStatus { status, until: until.map(day), today: day(today) }
    }
    fn overridden(status: MembershipStatus, until: Option<&str>, on: &str) -> MembershipEvent {
        MembershipEvent::StatusOverridden { status, until: until.map(day), on: day(on) }
    }
    fn clear(today: &str) -> ClearStatusOverride {
        ClearStatusOverride { today: day(today) }
    }
    fn look(today: &str) -> RecordStatus {
        RecordStatus { rules: StatusRules::default(), today: day(today) }
    }
    fn noticed(from: MembershipStatus, to: MembershipStatus, on: &str) -> MembershipEvent {
        MembershipEvent::MembershipStatusChanged { from, to, on: day(on) }
    }

    #[test]
    fn another_plan_runs_from_today_and_the_rest_of_the_old_one_is_credited() {
        // August to December are 5 of 12 months of 120.00.
        given::<Membership>(member()).when(to_student("2026-08-20")).then([changed(5_000)]);
    }

    #[test]
    fn without_proration_nothing_is_credited() {
        given::<Membership>(member_of(&calendar_year(Proration::None)))
            .when(to_student("2026-08-20"))
            .then([changed(0)]);
        given::<Membership>(member_of(&PlanTerms { proration: Proration::ByDay, ..lifetime() }))
            .when(to_student("2026-08-20"))
            .then([changed(0)]);
    }

    #[test]
    fn all_terms_bought_ahead_are_credited() {
        let renewed = MembershipEvent::MembershipRenewed {
            term: Term { number: 2, start: day("2027-01-01"), end: Some(day("2028-12-31")) },
            plan: sold(1, calendar_year(Proration::ByMonth)),
            terms: 2,
            membership_start: day("2026-01-01"),
            payment_id: Some(payment(2)),
            on: day("2026-07-01"),
        };
        let MembershipEvent::MembershipPlanChanged { plan, term, fee, on, .. } = changed(0) else {
            unreachable!("it is a plan change")
        };
        let term = Term { number: 3, ..term };
        let credit = usd(5_000 + 24_000);
        given::<Membership>(and(member(), renewed))
            .when(to_student("2026-08-20"))
            .then([MembershipEvent::MembershipPlanChanged { plan, term, credit, fee, on }]);
    }

    #[test]
    fn a_membership_of_that_plan_already_is_left_alone() {
        given::<Membership>(and(member(), changed(5_000))).when(to_student("2026-09-01")).then_nothing();
    }

    #[test]
    fn only_a_running_term_can_be_changed() {
        for today in ["2025-12-31", "2027-01-01"] {
            given::<Membership>(member()).when(to_student(today)).then_refused(MembershipRefusal::NoTermRunning);
        }
        given::<Membership>([applied(&student())])
            .when(to_student("2026-08-20"))
            .then_refused(MembershipRefusal::NotActive);
    }

    #[test]
    fn a_membership_is_cancelled_once() {
        given::<Membership>(member()).when(cancel()).then([cancelled()]);
        given::<Membership>([applied(&student())]).when(cancel()).then([cancelled()]);
        given::<Membership>(and(member(), cancelled())).when(cancel()).then_nothing();
    }

    #[test]
    fn a_status_is_set_by_hand() {
        given::<Membership>(member()).when(set(Grace, Some("2026-12-31"), "2026-06-01")).then([overridden(
            Grace,
            Some("2026-12-31"),
            "2026-06-01",
        )]);
    }

    #[test]
    fn setting_the_status_that_is_set_records_nothing() {
        given::<Membership>(and(member(), overridden(Grace, None, "2026-06-01")))
            .when(set(Grace, None, "2026-06-02"))
            .then_nothing();
    }

    #[test]
    fn an_override_does_not_end_before_today() {
        given::<Membership>(member())
            .when(set(Grace, Some("2026-05-31"), "2026-06-01"))
            .then_refused(MembershipRefusal::OverrideInThePast);
    }

    #[test]
    fn a_cancelled_membership_is_not_overridden() {
        given::<Membership>(and(member(), cancelled()))
            .when(set(Current, None, "2026-06-02"))
            .then_refused(MembershipRefusal::MembershipIsCancelled);
    }

    #[test]
    fn an_override_is_cleared_once() {
        let history = and(member(), overridden(Grace, None, "2026-06-01"));
        let cleared = MembershipEvent::StatusOverrideCleared { on: day("2026-07-01") };
        given::<Membership>(history.clone()).when(clear("2026-07-01")).then([cleared.clone()]);
        given::<Membership>(and(history, cleared)).when(clear("2026-07-01")).then_nothing();
        given::<Membership>(member()).when(clear("2026-07-01")).then_nothing();
    }

    #[test]
    fn time_makes_another_status_which_is_recorded_once() {
        given::<Membership>(member()).when(look("2026-04-01")).then_nothing();
        given::<Membership>(member()).when(look("2026-04-02")).then([noticed(New, Current, "2026-04-02")]);
        let history = and(member(), noticed(New, Current, "2026-04-02"));
        given::<Membership>(history.clone()).when(look("2026-04-02")).then_nothing();
        given::<Membership>(history).when(look("2027-05-01")).then([noticed(Current, Expired, "2027-05-01")]);
    }

    #[test]
    fn what_a_fact_makes_of_the_status_goes_without_saying() {
        given::<Membership>(and(member(), overridden(Grace, None, "2026-06-01")))
            .when(look("2026-06-01"))
            .then_nothing();
        given::<Membership>(and(member(), cancelled())).when(look("2026-07-01")).then_nothing();
    }

    #[test]
    fn what_nobody_asked_for_has_no_status_and_no_plan() {
        given::<Membership>([]).when(to_student("2026-08-20")).then_refused(MembershipRefusal::MembershipUnknown);
        given::<Membership>([]).when(cancel()).then_refused(MembershipRefusal::MembershipUnknown);
        given::<Membership>([]).when(set(Grace, None, "2026-06-01")).then_refused(MembershipRefusal::MembershipUnknown);
        given::<Membership>([]).when(clear("2026-06-01")).then_refused(MembershipRefusal::MembershipUnknown);
        given::<Membership>([]).when(look("2026-06-01")).then_refused(MembershipRefusal::MembershipUnknown);
    }
}
