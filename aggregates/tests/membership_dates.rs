//! Expected first terms and renewals from elsewhere, read from the file that `GUILDHALL_MEMBERSHIP_DATES`
//! names. The same dates stand beside the rule in `membership/term.rs`; this test is for whoever has more.

use chrono::NaiveDate;
use guildhall_aggregates::{
    Money,
    membership::{MembershipFacts, MembershipStatus, Spell, StatusOverride, StatusRules, first_term, renewed_end},
    membership_plan::{DurationUnit, GracePeriod, MonthDay, Period, PlanTerms, Proration},
    money::Currency,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    first_term: Vec<FirstTermCase>,
    renewal: Vec<RenewalCase>,
}

#[derive(Deserialize)]
struct FirstTermCase {
    id: String,
    membership_type: MembershipType,
    join_date: NaiveDate,
    start_date_given: Option<NaiveDate>,
    expect: Span,
}

#[derive(Deserialize)]
struct Span {
    start_date: NaiveDate,
    end_date: NaiveDate,
}

#[derive(Deserialize)]
struct RenewalCase {
    id: String,
    membership_type: MembershipType,
    start_date: NaiveDate,
    end_date: Option<NaiveDate>,
    first_end_date_by_rule: Option<NaiveDate>,
    #[serde(default)]
    status_is_current: bool,
    expect: Renewed,
}

#[derive(Deserialize)]
struct Renewed {
    start_date: Option<NaiveDate>,
    #[serde(alias = "end_date_after_one_renewal")]
    end_date: NaiveDate,
}

#[derive(Deserialize)]
struct MembershipType {
    period_type: String,
    duration_unit: DurationUnit,
    duration_interval: u32,
    fixed_period_start_day: Option<String>,
    fixed_period_rollover_day: Option<String>,
}

impl MembershipType {
    fn terms(&self) -> PlanTerms {
        let given = |day: &Option<String>| day.as_deref().map(month_day).expect("a fixed period has its days");
        let period = match (self.period_type.as_str(), self.duration_unit) {
            ("fixed", DurationUnit::Month) => {
                Period::FixedMonth { rollover_day: given(&self.fixed_period_rollover_day).day }
            }
            ("fixed", _) => Period::FixedYear {
                start: given(&self.fixed_period_start_day),
                rollover: given(&self.fixed_period_rollover_day),
            },
            ("rolling", _) => Period::Rolling,
            (other, _) => panic!("no such period: {other}"),
        };
        PlanTerms {
            name: "Given".into(),
            fee: Money::zero(Currency::USD),
            duration_unit: self.duration_unit,
            duration_interval: self.duration_interval,
            period,
            grace: GracePeriod::default(),
            renewal_window: None,
            approval_required: false,
            proration: Proration::None,
            benefits: vec![],
            inherited_by_max: None,
        }
    }
}

/// `1101` is 1 November, `101` is 1 January.
fn month_day(text: &str) -> MonthDay {
    let number: u32 = text.parse().expect("a month and a day in digits");
    MonthDay { month: number / 100, day: number % 100 }
}

fn vectors() -> Option<Vectors> {
    let path = std::env::var("GUILDHALL_MEMBERSHIP_DATES").ok()?;
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}")))
}

#[test]
fn first_terms_are_as_expected_elsewhere() {
    let Some(vectors) = vectors() else { return eprintln!("not run: GUILDHALL_MEMBERSHIP_DATES names no file") };
    assert!(!vectors.first_term.is_empty());
    for FirstTermCase { id, membership_type, join_date, start_date_given, expect } in vectors.first_term {
        let term = first_term(&membership_type.terms(), join_date, start_date_given, 1).expect("a date");
        assert_eq!((term.start, term.end), (expect.start_date, Some(expect.end_date)), "{id}");
    }
}

#[test]
fn renewals_are_as_expected_elsewhere() {
    let Some(vectors) = vectors() else { return eprintln!("not run: GUILDHALL_MEMBERSHIP_DATES names no file") };
    assert!(!vectors.renewal.is_empty());
    for case in vectors.renewal {
        let terms = case.membership_type.terms();
        let end = case.end_date.unwrap_or_else(|| {
            let first = first_term(&terms, case.start_date, None, 1).expect("a date");
            assert_eq!(first.end, case.first_end_date_by_rule, "{}", case.id);
            first.end.expect("no lifetime among the cases")
        });
        assert_eq!(renewed_end(&terms, end, 1), Ok(Some(case.expect.end_date)), "{}", case.id);
        if let Some(start) = case.expect.start_date {
            assert_eq!(start, case.start_date, "{}: a current membership keeps its start", case.id);
            assert!(case.status_is_current && counts_as_current(start, end, case.expect.end_date), "{}", case.id);
        }
    }
}

/// A status forced to a current one makes an ended membership current, so a renewal goes on from its end.
fn counts_as_current(start: NaiveDate, end: NaiveDate, today: NaiveDate) -> bool {
    let forced = StatusOverride { status: MembershipStatus::Current, from: start, until: None };
    let facts = MembershipFacts {
        joined_on: start,
        activated_on: Some(start),
        cancelled_on: None,
        deceased_on: None,
        taken_as_of: None,
        spells: vec![Spell { start, end: Some(end), grace: GracePeriod::default() }],
        overrides: vec![forced],
        grace: GracePeriod::default(),
    };
    facts.status_on(&StatusRules::default(), today).is_some_and(MembershipStatus::is_current)
}
