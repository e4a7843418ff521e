use std::collections::BTreeSet;

use guildhall_aggregates::invoice::RevenueKind;
use guildhall_projections::{
    ErpJournal,
    erp_journal::{self, JournalEntry, JournalError, Role},
};

use crate::{
    story::{self, drafted, issued, line, paid, received},
    support::{World, day, id, tenant},
};

async fn journal(world: &World, number: u128) -> Vec<JournalEntry> {
    let client = world.client().await;
    let (from, to) = (day("2000-01-01"), day("2100-01-01"));
    erp_journal::entries(&client, tenant(number), from, to, None, 5_000).await.expect("the journal is readable")
}

/// Account code and balance of everything that is not even, up to a day.
async fn balances(world: &World, until: &str) -> Vec<(String, i64)> {
    let client = world.client().await;
    let sums = erp_journal::trial_balance(&client, tenant(1), day(until)).await.expect("the journal is readable");
    assert_eq!(sums.iter().map(|sum| sum.debit_minor - sum.credit_minor).sum::<i64>(), 0);
    let net = sums.into_iter().map(|sum| (sum.account.code, sum.debit_minor - sum.credit_minor));
    net.filter(|(_, minor)| *minor != 0).collect()
}

fn expected(of: &[(&str, i64)]) -> Vec<(String, i64)> {
    of.iter().map(|(code, minor)| ((*code).to_owned(), *minor)).collect()
}

#[tokio::test]
async fn every_entry_balances_and_has_an_id_of_its_own() {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    story::tell(&world, tenant(2)).await;
    world.project::<ErpJournal>().await;
    let (ours, theirs) = (journal(&world, 1).await, journal(&world, 2).await);
    assert_eq!(ours.len(), theirs.len());
    let ids: BTreeSet<_> = ours.iter().chain(&theirs).map(|entry| entry.entry_id).collect();
    assert_eq!(ids.len(), ours.len() * 2);
    for entry in &ours {
        let sum: i64 = entry.lines.iter().map(|line| line.debit_minor - line.credit_minor).sum();
        assert_eq!(sum, 0, "{entry:?}");
        assert!(entry.lines.len() > 1);
    }
}

#[tokio::test]
async fn the_story_ends_where_the_books_should_be() {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    world.project::<ErpJournal>().await;
    // Invoiced 18,700 of which 1,700 tax; 2,500 given the year before.
    let invoiced =
        [("1000", 2_500), ("1200", 18_700), ("2200", -1_700), ("2400", -12_000), ("2410", -5_000), ("4200", -2_500)];
    assert_eq!(balances(&world, "2026-02-10").await, expected(&invoiced));
    // 20,000 received, 10,000 of it for the invoice; 4,000 given back of what was not.
    let later = balances(&world, "2026-04-01").await;
    for (code, minor) in [("1000", 18_500), ("1200", 8_700), ("2100", -6_000)] {
        assert!(later.contains(&(code.to_owned(), minor)), "{code} in {later:?}");
    }
    // In the end all revenue is earned, less the 1,000 that were credited, and nothing is deferred.
    let end = [
        ("1000", 18_500),
        ("1200", 7_600),
        ("2100", -6_000),
        ("2200", -1_600),
        ("4000", -11_294),
        ("4100", -4_706),
        ("4200", -2_500),
    ];
    assert_eq!(balances(&world, "2027-12-31").await, expected(&end));
}

#[tokio::test]
async fn pages_of_the_journal_follow_each_other() {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    world.project::<ErpJournal>().await;
    let all = journal(&world, 1).await;
    let client = world.client().await;
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let (from, to) = (day("2000-01-01"), day("2100-01-01"));
        let page = erp_journal::entries(&client, tenant(1), from, to, after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.dated, last.entry_id));
        paged.extend(page);
    }
    assert_eq!(paged, all);
    let march = erp_journal::entries(&client, tenant(1), day("2026-03-01"), day("2026-03-31"), None, 10).await.unwrap();
    assert!(march.iter().all(|entry| entry.kind == "recognition"));
    assert_eq!(march.len(), 1);
}

#[tokio::test]
async fn an_associations_own_account_plays_a_role_from_its_day_on() {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    story::tell(&world, tenant(2)).await;
    world.project::<ErpJournal>().await;
    let client = world.client().await;
    let own = "INSERT INTO settings.account_mapping VALUES ($1, 'cash', '2026-03-01', '1010', 'Bank', 'asset')";
    client.execute(own, &[&tenant(1).uuid()]).await.unwrap();
    let cash = async |number| {
        let entries = journal(&world, number).await;
        let lines = entries.iter().flat_map(|entry| entry.lines.iter().map(|line| (entry.dated, line)));
        lines
            .filter(|(_, line)| line.role == "cash")
            .map(|(dated, line)| (dated.to_string(), line.account.code.clone()))
            .collect::<Vec<_>>()
    };
    let on = |dated: &str, code: &str| (dated.to_owned(), code.to_owned());
    assert_eq!(cash(1).await, [on("2025-12-24", "1000"), on("2026-02-20", "1000"), on("2026-04-01", "1010")]);
    assert_eq!(cash(2).await, [on("2025-12-24", "1000"), on("2026-02-20", "1000"), on("2026-04-01", "1000")]);
}

#[tokio::test]
async fn every_role_has_a_default_account_and_a_role_without_one_is_an_error() {
    let world = World::open().await;
    let client = world.client().await;
    let rows = client.query("SELECT role FROM settings.account_mapping ORDER BY role", &[]).await.unwrap();
    let mapped: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(mapped, Role::all().map(|role| role.name().to_owned()).collect());
    story::tell(&world, tenant(1)).await;
    world.project::<ErpJournal>().await;
    client.execute("DELETE FROM settings.account_mapping WHERE role = 'tax_payable'", &[]).await.unwrap();
    let read = erp_journal::entries(&client, tenant(1), day("2026-01-01"), day("2026-12-31"), None, 100).await;
    assert!(matches!(&read, Err(JournalError::Unmapped { role, .. }) if role == "tax_payable"), "{read:?}");
}

#[tokio::test]
async fn the_database_refuses_an_entry_that_does_not_balance() {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    world.project::<ErpJournal>().await;
    let client = world.client().await;
    let more = "INSERT INTO read.erp_journal_line SELECT tenant_id, entry_id, 99, 'cash', 1, 0 \
                FROM read.erp_journal_entry LIMIT 1";
    let refused = client.execute(more, &[]).await.unwrap_err();
    assert!(refused.as_db_error().unwrap().message().contains("does not balance"), "{refused:?}");
}

#[tokio::test]
async fn a_chargeback_opens_the_invoice_again_and_takes_the_money_back() {
    use guildhall_aggregates::{PaymentId, invoice::InvoiceEvent, payment::PaymentEvent};
    let world = World::open().await;
    let here = tenant(1);
    let lines = vec![line(RevenueKind::Other, 1_000, None)];
    world
        .record(here, id(50), &[drafted(lines, "2026-01-01", "2026-01-31"), issued(1), paid(60, 1_100, "2026-01-05")])
        .await;
    world.record(here, id(60), &[received("r", 1_100, "2026-01-05"), story::allocated(50, 1_100, "2026-01-05")]).await;
    world.project::<ErpJournal>().await;
    let settled = [("1000", 1_100), ("2200", -100), ("4900", -1_000)];
    assert_eq!(balances(&world, "2026-12-31").await, expected(&settled));
    let back = PaymentEvent::PaymentChargedBack { amount: story::usd(1_100), on: day("2026-02-01") };
    world.record(here, id(60), &[back]).await;
    let payment_id = PaymentId::new(id(60));
    let reversed = InvoiceEvent::PaymentReversed { payment_id, amount: story::usd(1_100), on: day("2026-02-01") };
    world.record(here, id(50), &[reversed]).await;
    world.project::<ErpJournal>().await;
    let open = [("1200", 1_100), ("2200", -100), ("4900", -1_000)];
    assert_eq!(balances(&world, "2026-12-31").await, expected(&open));
    let lost =
        InvoiceEvent::InvoiceWrittenOff { amount: story::usd(1_100), reason: "gone".into(), on: day("2026-06-01") };
    world.record(here, id(50), &[lost]).await;
    world.project::<ErpJournal>().await;
    let given_up = [("2200", -100), ("4900", -1_000), ("6800", 1_100)];
    assert_eq!(balances(&world, "2026-12-31").await, expected(&given_up));
}

#[tokio::test]
async fn a_payment_of_which_nothing_is_taken_is_no_entry() {
    let world = World::open().await;
    let lines = vec![line(RevenueKind::Other, 1_000, None)];
    let events = [
        drafted(lines, "2026-01-01", "2026-01-31"),
        issued(1),
        paid(60, 1_100, "2026-01-05"),
        paid(61, 0, "2026-01-06"),
    ];
    world.record(tenant(1), id(50), &events).await;
    world.project::<ErpJournal>().await;
    assert_eq!(world.count("SELECT count(DISTINCT record_id) FROM read.erp_journal_entry").await, 2);
}
