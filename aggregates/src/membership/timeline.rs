//! Status as a pure function of the facts and a date, and the whole life of a membership at one glance. No
//! nightly job is needed for the right answer.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{Anchor, Boundary, MembershipFacts, MembershipStatus, Spell, StatusRule, StatusRules};

/// A stretch of days on which a membership has one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusSpan {
    /// The status.
    pub status: MembershipStatus,
    /// First day.
    pub from: NaiveDate,
    /// Last day; none where it stays so by what is known now.
    pub to: Option<NaiveDate>,
}

impl MembershipFacts {
    /// The status on a date; none before the day of joining.
    ///
    /// First match wins: deceased, cancelled, pending, a status set by hand while it holds, the rules in
    /// their order, expired. Source: "Status" of the domain rules.
    ///
    /// ```
    /// use chrono::NaiveDate;
    /// use guildhall_aggregates::{membership::*, membership_plan::GracePeriod};
    /// let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    /// let facts = MembershipFacts {
    ///     joined_on: day("2026-01-01"),
    ///     activated_on: Some(day("2026-01-03")),
    ///     cancelled_on: None,
    ///     deceased_on: None,
    ///     taken_as_of: None,
    ///     spells: vec![Spell {
    ///         start: day("2026-01-01"),
    ///         end: Some(day("2026-12-31")),
    ///         grace: GracePeriod::Months(1),
    ///     }],
    ///     overrides: vec![],
    ///     grace: GracePeriod::Months(1),
    /// };
    /// let rules = StatusRules::default();
    /// assert_eq!(facts.status_on(&rules, day("2025-12-31")), None);
    /// assert_eq!(facts.status_on(&rules, day("2026-01-02")), Some(MembershipStatus::Pending));
    /// assert_eq!(facts.status_on(&rules, day("2026-04-01")), Some(MembershipStatus::New));
    /// assert_eq!(facts.status_on(&rules, day("2026-04-02")), Some(MembershipStatus::Current));
    /// assert_eq!(facts.status_on(&rules, day("2027-01-31")), Some(MembershipStatus::Grace));
    /// assert_eq!(facts.status_on(&rules, day("2027-02-01")), Some(MembershipStatus::Expired));
    ///
    /// let spans = facts.timeline(&rules);
    /// assert_eq!(spans[1], StatusSpan {
    ///     status: MembershipStatus::New,
    ///     from: day("2026-01-03"),
    ///     to: Some(day("2026-04-01")),
    /// });
    /// ```
    pub fn status_on(&self, rules: &StatusRules, date: NaiveDate) -> Option<MembershipStatus> {
        let since = |day: Option<NaiveDate>| day.is_some_and(|day| day <= date);
        if date < self.joined_on {
            return None;
        }
        Some(if since(self.deceased_from()) {
            MembershipStatus::Deceased
        } else if since(self.cancelled_on) {
            MembershipStatus::Cancelled
        } else if !since(self.activated_on) {
            MembershipStatus::Pending
        } else if let Some(set) = self.override_on(date) {
            set.status
        } else {
            let spell = self.spell_on(date);
            let holds = |rule: &&StatusRule| {
                self.window(rule, spell)
                    .is_some_and(|(from, to)| from.is_none_or(|from| from <= date) && to.is_none_or(|to| date <= to))
            };
            rules.0.iter().find(holds).map_or(MembershipStatus::Expired, |rule| rule.status)
        })
    }

    /// The status of every day from joining on, as spans that follow each other without a gap.
    ///
    /// Between two dates that appear in the facts and the windows nothing can change, so the status is
    /// asked for once after each of them.
    pub fn timeline(&self, rules: &StatusRules) -> Vec<StatusSpan> {
        let mut spans: Vec<StatusSpan> = vec![];
        for from in self.turning_points(rules) {
            let Some(status) = self.status_on(rules, from) else { continue };
            match spans.last_mut() {
                Some(before) if before.status == status => continue,
                Some(before) => before.to = from.pred_opt(),
                None => {}
            }
            spans.push(StatusSpan { status, from, to: None });
        }
        spans
    }

    /// Every day on which another status may begin, in order.
    fn turning_points(&self, rules: &StatusRules) -> BTreeSet<NaiveDate> {
        let after = |last: Option<NaiveDate>| last.and_then(|last| last.succ_opt());
        let mut days = BTreeSet::from([self.joined_on]);
        days.extend([self.activated_on, self.cancelled_on, self.deceased_from()].into_iter().flatten());
        for set in &self.overrides {
            days.insert(set.from);
            days.extend(after(set.until));
        }
        let spells: Vec<_> = self.spells.iter().map(Some).collect();
        days.extend(self.spells.iter().map(|spell| spell.start));
        for spell in if spells.is_empty() { vec![None] } else { spells } {
            for rule in &rules.0 {
                let (from, to) = self.window(rule, spell).unwrap_or_default();
                days.extend(from.into_iter().chain(after(to)));
            }
        }
        days
    }

    /// The days a rule holds, both included; a side is open where nothing is said, and the last where the
    /// membership has no such date. What begins on a date the membership does not have never holds: a
    /// membership for life has no grace.
    fn window(&self, rule: &StatusRule, spell: Option<&Spell>) -> Option<(Option<NaiveDate>, Option<NaiveDate>)> {
        let date = |boundary: Boundary| self.anchor(boundary.anchor, spell).map(|day| boundary.moved(day));
        let from = match rule.from {
            Some(boundary) => Some(date(boundary)?),
            None => None,
        };
        Some((from, rule.to.and_then(date)))
    }

    /// The day from which the member's death counts. What another system said of its own record until the day
    /// it was taken stands.
    fn deceased_from(&self) -> Option<NaiveDate> {
        let after_the_copy = self.taken_as_of.and_then(|day| day.succ_opt());
        self.deceased_on.map(|died| after_the_copy.map_or(died, |day| died.max(day)))
    }

    fn anchor(&self, anchor: Anchor, spell: Option<&Spell>) -> Option<NaiveDate> {
        match anchor {
            Anchor::Join => Some(self.joined_on),
            Anchor::Start => spell.map(|spell| spell.start),
            Anchor::End => spell.and_then(|spell| spell.end),
            Anchor::GraceEnd => spell.and_then(|spell| spell.end.map(|end| spell.grace.after(end))),
        }
    }
}

#[cfg(test)]
mod tests {
    use MembershipStatus::{Cancelled, Current, Deceased, Expired, Grace, New, Pending};

    use super::*;
    use crate::{
        membership::{StatusOverride, testing::day},
        membership_plan::GracePeriod,
    };

    fn spell(start: &str, end: &str) -> Spell {
        Spell { start: day(start), end: Some(day(end)), grace: GracePeriod::Months(1) }
    }
    fn facts(spells: Vec<Spell>) -> MembershipFacts {
        MembershipFacts {
            joined_on: spells[0].start,
            activated_on: Some(spells[0].start),
            cancelled_on: None,
            deceased_on: None,
            taken_as_of: None,
            spells,
            overrides: vec![],
            grace: GracePeriod::Months(1),
        }
    }
    fn year() -> MembershipFacts {
        facts(vec![spell("2026-01-01", "2026-12-31")])
    }
    fn status(facts: &MembershipFacts, date: &str) -> MembershipStatus {
        facts.status_on(&StatusRules::default(), day(date)).unwrap()
    }
    fn spans(facts: &MembershipFacts) -> Vec<(MembershipStatus, String)> {
        facts.timeline(&StatusRules::default()).iter().map(|span| (span.status, span.from.to_string())).collect()
    }
    fn expect_spans(facts: &MembershipFacts, expected: &[(MembershipStatus, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(status, from)| (*status, (*from).to_owned())).collect();
        assert_eq!(spans(facts), expected);
    }

    #[test]
    fn a_year_goes_from_new_to_expired() {
        let life = [(New, "2026-01-01"), (Current, "2026-04-02"), (Grace, "2027-01-01"), (Expired, "2027-02-01")];
        expect_spans(&year(), &life);
    }

    #[test]
    fn both_days_of_a_window_are_included() {
        assert_eq!(status(&year(), "2026-04-01"), New);
        assert_eq!(status(&year(), "2026-12-31"), Current);
        assert_eq!(status(&year(), "2027-01-31"), Grace);
    }

    #[test]
    fn a_membership_for_life_stays_current() {
        let for_life = facts(vec![Spell { end: None, ..spell("2026-01-01", "2026-12-31") }]);
        expect_spans(&for_life, &[(New, "2026-01-01"), (Current, "2026-04-02")]);
    }

    #[test]
    fn an_unpaid_membership_is_pending_until_it_is_activated() {
        let unpaid = MembershipFacts { activated_on: None, spells: vec![], ..year() };
        expect_spans(&unpaid, &[(Pending, "2026-01-01")]);
        let paid_late = MembershipFacts { activated_on: Some(day("2026-05-01")), ..year() };
        assert_eq!(spans(&paid_late)[..2], [(Pending, "2026-01-01".into()), (Current, "2026-05-01".into())]);
    }

    #[test]
    fn cancelled_and_deceased_come_before_everything() {
        let cancelled = MembershipFacts { cancelled_on: Some(day("2026-06-01")), ..year() };
        expect_spans(&cancelled, &[(New, "2026-01-01"), (Current, "2026-04-02"), (Cancelled, "2026-06-01")]);
        let set = StatusOverride { status: Current, from: day("2026-06-01"), until: None };
        let died = MembershipFacts { deceased_on: Some(day("2026-06-02")), overrides: vec![set], ..cancelled };
        assert_eq!(status(&died, "2026-06-01"), Cancelled);
        assert_eq!(status(&died, "2026-06-02"), Deceased);
    }

    #[test]
    fn a_status_set_by_hand_holds_from_its_first_to_its_last_day() {
        let set = StatusOverride { status: Grace, from: day("2026-06-01"), until: Some(day("2026-06-30")) };
        let overridden = MembershipFacts { overrides: vec![set], ..year() };
        let days = ["2026-05-31", "2026-06-01", "2026-06-30", "2026-07-01"];
        assert_eq!(days.map(|date| status(&overridden, date)), [Current, Grace, Grace, Current]);
    }

    #[test]
    fn after_a_lapse_each_stretch_says_what_was_true_in_it() {
        let lapsed = facts(vec![spell("2024-01-01", "2024-12-31"), spell("2026-06-01", "2027-05-31")]);
        let days = ["2024-06-01", "2025-01-15", "2025-06-01", "2026-06-01", "2027-07-01", "2027-07-02"];
        assert_eq!(days.map(|date| status(&lapsed, date)), [Current, Grace, Expired, Current, Grace, Expired]);
    }

    #[test]
    fn the_grace_period_is_the_plans_own() {
        let mut short = year();
        short.spells[0].grace = GracePeriod::Days(10);
        assert_eq!(status(&short, "2027-01-10"), Grace);
        assert_eq!(status(&short, "2027-01-11"), Expired);
    }

    #[test]
    fn the_order_of_the_rules_decides() {
        let mut rules = StatusRules::default();
        rules.0.rotate_left(1);
        assert_eq!(year().status_on(&rules, day("2026-02-01")), Some(Current));
    }

    #[test]
    fn a_window_beyond_the_calendar_does_not_end() {
        let ages = Boundary { anchor: Anchor::Join, months: i32::MAX, days: i32::MAX };
        let rules = StatusRules(vec![StatusRule { status: New, from: None, to: Some(ages) }]);
        assert_eq!(year().timeline(&rules).len(), 1);
    }

    #[test]
    fn a_death_counts_from_the_day_after_another_system_was_copied() {
        let copied =
            MembershipFacts { deceased_on: Some(day("2026-05-01")), taken_as_of: Some(day("2026-06-30")), ..year() };
        assert_eq!(status(&copied, "2026-06-30"), Current);
        assert_eq!(status(&copied, "2026-07-01"), Deceased);
    }

    #[test]
    fn a_membership_for_life_has_no_grace() {
        let life = MembershipFacts {
            joined_on: day("2026-01-01"),
            activated_on: Some(day("2026-01-01")),
            ..facts(vec![Spell { end: None, ..spell("2027-01-01", "2027-12-31") }])
        };
        assert_eq!(status(&life, "2026-06-01"), Expired);
        assert_eq!(status(&life, "2027-06-01"), Current);
    }
}
