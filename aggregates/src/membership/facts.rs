//! What status is derived from, folded from a membership's events. The write side and the reports fold the
//! same facts, so they cannot come to different answers.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{MembershipEvent, MembershipStatus, Term};
use crate::membership_plan::GracePeriod;

/// An unbroken stretch of membership: a first term and the renewals that followed it without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spell {
    /// First day: the start of the membership as people read it.
    pub start: NaiveDate,
    /// Last day of the latest term; none for life.
    pub end: Option<NaiveDate>,
    /// How long after the end the membership is in grace.
    pub grace: GracePeriod,
}

/// A status set by hand, and the days it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusOverride {
    /// The status.
    pub status: MembershipStatus,
    /// First day.
    pub from: NaiveDate,
    /// Last day; until cleared where not given.
    pub until: Option<NaiveDate>,
}

impl StatusOverride {
    /// Whether it holds on a date.
    pub fn holds_on(&self, date: NaiveDate) -> bool {
        self.from <= date && self.until.is_none_or(|until| date <= until)
    }
}

/// Everything the status of a membership follows from, on any date.
///
/// The facts are the latest known: a renewal bought in March says what was true in February, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipFacts {
    /// The day of joining. Before it there is no membership.
    pub joined_on: NaiveDate,
    /// The day the first term was activated; pending before.
    pub activated_on: Option<NaiveDate>,
    /// The day it was cancelled or declined.
    pub cancelled_on: Option<NaiveDate>,
    /// The day the member died. No event of a membership says so: who reads the member's events sets it.
    pub deceased_on: Option<NaiveDate>,
    /// The day another system's record of it was taken, where it was imported.
    pub taken_as_of: Option<NaiveDate>,
    /// The stretches of membership, in the order they were bought.
    pub spells: Vec<Spell>,
    /// The statuses set by hand, in order.
    pub overrides: Vec<StatusOverride>,
    /// The grace period of the plan in force.
    pub grace: GracePeriod,
}

impl MembershipFacts {
    /// Takes in the next event of the membership. There are no facts before the first.
    pub fn fold(facts: &mut Option<Self>, event: &MembershipEvent) {
        match event {
            MembershipEvent::MembershipApplied { applied_on, plan, .. } => {
                *facts = Some(Self::joined(*applied_on, plan.terms.grace));
            }
            MembershipEvent::MembershipImported { joined_on, plan, term, as_of, overridden, .. } => {
                let mut imported = Self::joined(*joined_on, plan.terms.grace);
                imported.activate(*term, *joined_on);
                imported.taken_as_of = Some(*as_of);
                // Since when it was set is not known; that it held on the day of the copy is.
                imported.overrides.extend(overridden.iter().map(|set| StatusOverride {
                    status: set.status,
                    from: *as_of,
                    until: set.until,
                }));
                *facts = Some(imported);
            }
            MembershipEvent::MembershipActivated { term, on, .. } => {
                Self::write(facts, |facts| facts.activate(*term, *on));
            }
            MembershipEvent::MembershipRenewed { term, plan, membership_start, .. } => {
                Self::write(facts, |facts| facts.run(*membership_start, term.end, plan.terms.grace));
            }
            MembershipEvent::MembershipPlanChanged { plan, term, .. } => Self::write(facts, |facts| {
                let start = facts.spells.last().map_or(term.start, |spell| spell.start);
                facts.run(start, term.end, plan.terms.grace);
            }),
            MembershipEvent::MembershipDeclined { on, .. } | MembershipEvent::MembershipCancelled { on, .. } => {
                Self::write(facts, |facts| facts.cancelled_on = Some(*on));
            }
            MembershipEvent::StatusOverridden { status, until, on } => Self::write(facts, |facts| {
                facts.end_override_before(*on);
                facts.overrides.push(StatusOverride { status: *status, from: *on, until: *until });
            }),
            MembershipEvent::StatusOverrideCleared { on } => {
                Self::write(facts, |facts| facts.end_override_before(*on));
            }
            // Nothing a status follows from.
            MembershipEvent::MembershipApproved { .. }
            | MembershipEvent::RenewalRequested { .. }
            | MembershipEvent::MembershipStatusChanged { .. } => {}
        }
    }

    /// Writes to what is known; there is nothing to write to before the first event.
    fn write(facts: &mut Option<Self>, change: impl FnOnce(&mut Self)) {
        if let Some(facts) = facts {
            change(facts);
        }
    }

    /// The stretch that counts on a date: the latest that has begun, else the first.
    pub fn spell_on(&self, date: NaiveDate) -> Option<&Spell> {
        self.spells.iter().rev().find(|spell| spell.start <= date).or(self.spells.first())
    }

    /// The status set by hand that holds on a date.
    pub fn override_on(&self, date: NaiveDate) -> Option<&StatusOverride> {
        self.overrides.iter().rev().find(|set| set.holds_on(date))
    }

    fn joined(joined_on: NaiveDate, grace: GracePeriod) -> Self {
        Self {
            joined_on,
            activated_on: None,
            cancelled_on: None,
            deceased_on: None,
            taken_as_of: None,
            spells: vec![],
            overrides: vec![],
            grace,
        }
    }

    fn activate(&mut self, term: Term, on: NaiveDate) {
        self.activated_on = Some(on);
        self.spells.push(Spell { start: term.start, end: term.end, grace: self.grace });
    }

    /// Moves the end of the running stretch, or begins another one when the start is another one.
    fn run(&mut self, start: NaiveDate, end: Option<NaiveDate>, grace: GracePeriod) {
        self.grace = grace;
        let spell = Spell { start, end, grace };
        match self.spells.last_mut() {
            Some(running) if running.start == start => *running = spell,
            Some(_) | None => self.spells.push(spell),
        }
    }

    fn end_override_before(&mut self, on: NaiveDate) {
        self.overrides.retain(|set| set.from < on);
        for set in self.overrides.iter_mut().filter(|set| set.holds_on(on)) {
            set.until = on.pred_opt();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        membership::testing::{ada, day, rolling, sold},
        membership_plan::DurationUnit,
    };

    fn folded(events: &[MembershipEvent]) -> MembershipFacts {
        let terms = rolling(DurationUnit::Year, 1);
        let applied = MembershipEvent::MembershipApplied {
            member_id: ada(),
            fee: terms.fee,
            plan: sold(1, terms),
            applied_on: day("2026-01-01"),
            requested_start: None,
            terms: 1,
        };
        let mut facts = None;
        for event in std::iter::once(&applied).chain(events) {
            MembershipFacts::fold(&mut facts, event);
        }
        facts.expect("an application begins the facts")
    }
    fn overridden(status: MembershipStatus, on: &str) -> MembershipEvent {
        MembershipEvent::StatusOverridden { status, until: None, on: day(on) }
    }

    #[test]
    fn a_status_set_anew_takes_the_place_of_the_one_before() {
        let facts = folded(&[
            overridden(MembershipStatus::Grace, "2026-06-01"),
            overridden(MembershipStatus::Expired, "2026-07-01"),
            overridden(MembershipStatus::Current, "2026-07-01"),
        ]);
        let set = |status, from, until: Option<&str>| StatusOverride { status, from: day(from), until: until.map(day) };
        let expected = [
            set(MembershipStatus::Grace, "2026-06-01", Some("2026-06-30")),
            set(MembershipStatus::Current, "2026-07-01", None),
        ];
        assert_eq!(facts.overrides, expected);
    }

    #[test]
    fn events_before_the_first_say_nothing() {
        let mut facts = None;
        MembershipFacts::fold(&mut facts, &overridden(MembershipStatus::Grace, "2026-06-01"));
        assert_eq!(facts, None);
    }
}
