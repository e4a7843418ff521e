use proptest::prelude::*;

use super::*;

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn line(kind: RevenueKind, unit_minor: i64, service: Option<(&str, Option<&str>)>) -> InvoiceLine {
    InvoiceLine {
        description: "A line".to_owned(),
        kind,
        quantity: 1,
        unit_minor,
        discount_minor: 0,
        tax_rate_bp: 0,
        service: service.map(|(from, to)| ServicePeriod { from: day(from), to: to.map(day) }),
    }
}

fn charge<'a>(lines: &'a [InvoiceLine], dated: &str) -> Charge<'a> {
    Charge { lines, currency: Currency::USD, dated: day(dated) }
}

/// What every role stands at on a day when all these were booked.
fn balance(postings: &[Posting], until: &str) -> BTreeMap<Role, i64> {
    let mut balance = BTreeMap::new();
    for posting in postings.iter().filter(|posting| posting.dated <= day(until)) {
        for (role, minor) in &posting.amounts {
            *balance.entry(*role).or_insert(0) += minor;
        }
    }
    balance.retain(|_, minor| *minor != 0);
    balance
}

const YEAR: Option<(&str, Option<&str>)> = Some(("2026-01-01", Some("2026-12-31")));

#[test]
fn dues_are_deferred_and_recognised_at_each_months_end() {
    let lines = [line(RevenueKind::Dues, 36_500, YEAR)];
    let postings = charge(&lines, "2025-12-15").issued(0).expect("small amounts");
    assert_eq!(postings.len(), 13);
    let months: Vec<_> = postings[1..4].iter().map(|p| (p.dated.to_string(), p.amounts[&Role::DeferredDues])).collect();
    assert_eq!(months, [("2026-01-31".into(), 3_100), ("2026-02-28".into(), 2_800), ("2026-03-31".into(), 3_100)]);
    assert_eq!(
        balance(&postings, "2025-12-31"),
        BTreeMap::from([(Role::Receivable, 36_500), (Role::DeferredDues, -36_500)])
    );
    assert_eq!(
        balance(&postings, "2026-12-31"),
        BTreeMap::from([(Role::Receivable, 36_500), (Role::RevenueDues, -36_500)])
    );
}

#[test]
fn the_rounding_is_in_the_last_month() {
    let lines = [line(RevenueKind::Dues, 100, YEAR)];
    let postings = charge(&lines, "2026-01-01").issued(0).expect("small amounts");
    let parts: Vec<i64> = postings[1..].iter().map(|p| p.amounts[&Role::DeferredDues]).collect();
    assert_eq!(parts, [8, 7, 8, 8, 8, 8, 8, 8, 8, 8, 8, 13]);
}

#[test]
fn months_before_the_invoice_are_recognised_on_its_date() {
    let lines = [line(RevenueKind::Dues, 36_500, YEAR)];
    let postings = charge(&lines, "2026-03-10").issued(0).expect("small amounts");
    assert_eq!((postings[1].dated, postings[1].amounts[&Role::DeferredDues]), (day("2026-03-10"), 5_900));
    assert_eq!(postings[2].dated, day("2026-03-31"));
}

#[test]
fn dues_for_life_and_dues_without_a_period_are_revenue_at_once() {
    for service in [None, Some(("2026-01-01", None))] {
        let lines = [line(RevenueKind::Dues, 500, service)];
        let postings = charge(&lines, "2026-01-01").issued(0).expect("small amounts");
        assert_eq!(postings.len(), 1);
        assert_eq!(postings[0].amounts[&Role::RevenueDues], -500);
    }
}

#[test]
fn an_event_fee_is_recognised_on_the_events_date() {
    let lines = [line(RevenueKind::EventFee, 5_000, Some(("2026-09-01", Some("2026-09-03"))))];
    let postings = charge(&lines, "2026-06-01").issued(0).expect("small amounts");
    assert_eq!(balance(&postings, "2026-08-31")[&Role::DeferredEventFee], -5_000);
    assert_eq!(balance(&postings, "2026-09-01").get(&Role::DeferredEventFee), None);
    assert_eq!(balance(&postings, "2026-09-01")[&Role::RevenueEventFee], -5_000);
}

#[test]
fn tax_is_owed_to_the_state_and_never_revenue() {
    let taxed = InvoiceLine { tax_rate_bp: 2_000, ..line(RevenueKind::Other, 1_000, None) };
    let postings = charge(&[taxed], "2026-06-01").issued(0).expect("small amounts");
    assert_eq!(
        postings[0].amounts,
        BTreeMap::from([(Role::Receivable, 1_200), (Role::TaxPayable, -200), (Role::RevenueOther, -1_000)])
    );
}

#[test]
fn a_credit_note_takes_back_what_was_recognised_on_its_own_day() {
    let lines = [line(RevenueKind::Dues, 36_500, YEAR)];
    let mut postings = charge(&lines, "2026-01-01").issued(0).expect("small amounts");
    postings.extend(charge(&lines, "2026-01-01").credited(0, 36_500, day("2026-06-15")).expect("small amounts"));
    assert_eq!(balance(&postings, "2026-06-15"), BTreeMap::new());
    assert_eq!(balance(&postings, "2026-12-31"), BTreeMap::new());
}

#[test]
fn an_invoice_for_nothing_makes_no_entry() {
    let lines = [line(RevenueKind::Dues, 0, YEAR)];
    assert_eq!(charge(&lines, "2026-01-01").issued(0).expect("small amounts"), []);
}

#[test]
fn a_refund_takes_what_was_never_allocated_first() {
    let refund = payment_refunded(1_000, 400, day("2026-01-01"));
    assert_eq!(
        refund.amounts,
        BTreeMap::from([(Role::UnappliedPayments, 400), (Role::Receivable, 600), (Role::Cash, -1_000)])
    );
}

proptest! {
    #[test]
    fn every_entry_balances_and_full_credit_leaves_nothing(
        units in prop::collection::vec((0_i64..100_000, 0_u32..2_500, 0_u8..4, 1_i64..800), 1..5),
        notes in prop::collection::vec(0_i64..100, 0..4),
    ) {
        let start = day("2026-01-15");
        let lines: Vec<_> = units.iter().map(|(unit, rate, kind, days)| InvoiceLine {
            tax_rate_bp: *rate,
            service: Some(ServicePeriod { from: start, to: start.checked_add_signed(chrono::TimeDelta::days(*days)) }),
            ..line([RevenueKind::Dues, RevenueKind::EventFee, RevenueKind::Donation, RevenueKind::Other]
                [usize::from(*kind)], *unit, None)
        }).collect();
        let charge = Charge { lines: &lines, currency: Currency::USD, dated: day("2026-01-01") };
        let total: i64 = left_after(&lines, Currency::USD, 0).expect("small amounts").iter().map(|left| left.net + left.tax).sum();
        let mut postings = charge.issued(0).expect("small amounts");
        let mut credited = 0;
        for (at, share) in notes.iter().chain([&100]).enumerate() {
            let after = credited + (total - credited) * share / 100;
            let on = start + chrono::TimeDelta::days(40 * i64::try_from(at).expect("few notes"));
            postings.extend(charge.credited(credited, after, on).expect("small amounts"));
            credited = after;
        }
        for posting in &postings {
            prop_assert_eq!(posting.amounts.values().sum::<i64>(), 0);
        }
        prop_assert_eq!(balance(&postings, "9999-12-31"), BTreeMap::new());
    }
}
