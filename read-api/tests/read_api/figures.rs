//! The calendar, rosters, reports, invoices and the journal.

use axum::http::StatusCode;
use guildhall_aggregates::{Money, invoice::InvoiceEvent, membership::MembershipEvent, money::Currency};
use guildhall_web::Role;
use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::json;
use uuid::Uuid;

use crate::{
    story::{self, congress, day, invoice},
    world::{World, nurses},
};

async fn told() -> World {
    let world = World::new().await;
    story::tell(&world, nurses(), "nurses", "Nightingale").await;
    world.project().await;
    world
}

#[tokio::test]
async fn memberships_are_counted_as_of_any_date() {
    let world = told().await;
    let counted = async |on: &str| world.get(&format!("/v1/reports/memberships{on}")).await.json()["data"].clone();
    assert_json_snapshot!(counted("").await, @r#"
    [
      {
        "memberships": 1,
        "plan_code": "STD",
        "plan_id": "00000000-0000-0000-0000-00000000b1a4",
        "plan_name": "Nightingale standard",
        "status": "current"
      }
    ]
    "#);
    assert_eq!(counted("?on=2025-10-31").await, json!([]));
    let status = async |on: &str| counted(on).await[0]["status"].clone();
    assert_eq!(status("?on=2025-11-01").await, "new");
    assert_eq!(status("?on=2026-10-31").await, "current");
    assert_eq!(status("?on=2026-11-15").await, "grace");
    assert_eq!(status("?on=2027-06-01").await, "expired");
}

#[tokio::test]
async fn who_left_is_counted_in_the_month_it_happened() {
    let world = told().await;
    let cancelled = MembershipEvent::MembershipCancelled { on: day("2026-02-10"), reason: None };
    world.record(nurses(), story::membership().uuid(), &[cancelled]).await;
    world.project().await;
    let reply = world.get("/v1/reports/membership-changes?from=2025-11-15&to=2026-02-01").await;
    assert_json_snapshot!(reply.json()["data"], @r#"
    [
      {
        "cancelled": 0,
        "joined": 1,
        "lapsed": 0,
        "month": "2025-11-01",
        "renewed": 0
      },
      {
        "cancelled": 1,
        "joined": 0,
        "lapsed": 0,
        "month": "2026-02-01",
        "renewed": 0
      }
    ]
    "#);
}

#[tokio::test]
async fn an_event_shows_how_full_it_is() {
    let world = told().await;
    let reply = world.get(&format!("/v1/events/{}", congress())).await;
    assert_json_snapshot!(reply.json()["data"], @r#"
    {
      "event": {
        "attended": 0,
        "cancelled": false,
        "event_id": "00000000-0000-0000-0000-00000000e7e4",
        "expected": 1,
        "registrations": 3,
        "starts_local": "2026-05-01T09:00:00",
        "time_zone": "Europe/Vienna",
        "title": "Nightingale congress",
        "waitlisted": 2
      },
      "pools": [
        {
          "available": 0,
          "confirmed": 1,
          "held": 0,
          "name": "hall",
          "offered": 0,
          "pending": 0,
          "size": 1,
          "waitlisted": 2
        }
      ]
    }
    "#);
    let calendar = world.get("/v1/events?format=csv").await;
    assert_snapshot!(calendar.body.replace('\r', ""), @r"
    event_id,title,starts_local,time_zone,cancelled,registrations,expected,attended,waitlisted,stale
    00000000-0000-0000-0000-00000000e7e4,Nightingale congress,2026-05-01 09:00:00,Europe/Vienna,false,3,1,0,2,
    ");
    let fill = world.get(&format!("/v1/reports/event-fill?event_id={}", congress())).await;
    assert_eq!(fill.json()["data"].as_array().map(Vec::len), Some(1));
    let none = world.get(&format!("/v1/reports/event-attendance?event_id={}", Uuid::nil())).await;
    assert_eq!((&none.json()["data"], &none.json()["truncated"]), (&json!([]), &json!(false)));
}

#[tokio::test]
async fn a_roster_is_in_the_order_of_asking() {
    let world = told().await;
    let path = format!("/v1/events/{}/roster", congress());
    assert_json_snapshot!(world.get(&path).await.json()["data"], @r#"
    [
      {
        "asked_at": "2026-03-01T12:00:00Z",
        "currency": "EUR",
        "fee_minor": 0,
        "lapses_at": null,
        "member_id": "00000000-0000-0000-0000-000000000ada",
        "name": "Ada Nightingale",
        "number": 1,
        "places": 1,
        "registration_id": "00000000-0000-0000-0000-000000004e61",
        "standing": "confirmed",
        "ticket_type": "standard",
        "waitlist_place": null
      },
      {
        "asked_at": "2026-03-01T12:00:00Z",
        "currency": "EUR",
        "fee_minor": 0,
        "lapses_at": null,
        "member_id": null,
        "name": "Guest Nightingale",
        "number": 2,
        "places": 1,
        "registration_id": "00000000-0000-0000-0000-000000004e62",
        "standing": "waitlisted",
        "ticket_type": "standard",
        "waitlist_place": 1
      },
      {
        "asked_at": "2026-03-01T12:00:00Z",
        "currency": "EUR",
        "fee_minor": 0,
        "lapses_at": null,
        "member_id": "00000000-0000-0000-0000-000000006ace",
        "name": "Grace Nightingale",
        "number": 3,
        "places": 1,
        "registration_id": "00000000-0000-0000-0000-000000004e63",
        "standing": "waitlisted",
        "ticket_type": "standard",
        "waitlist_place": 2
      }
    ]
    "#);
    let page = world.get(&format!("{path}?limit=1&after=1")).await.json();
    assert_eq!((&page["data"][0]["number"], &page["next"]), (&json!(2), &json!("2")));
}

#[tokio::test]
async fn names_on_a_roster_are_for_those_who_may_know_them() {
    let world = told().await;
    let analyst = world.token("nurses", &[Role::Analyst]);
    let reply = world.get_as(&analyst, &format!("/v1/events/{}/roster", congress()), &[]).await;
    let names: Vec<_> = reply.json()["data"].as_array().unwrap().iter().map(|line| line["name"].clone()).collect();
    assert_eq!(names, [json!("Ada Nightingale"), json!(null), json!(null)]);
}

#[tokio::test]
async fn an_invoice_shows_its_lines_and_what_is_open() {
    let world = told().await;
    let reply = world.get(&format!("/v1/invoices/{}", invoice())).await;
    assert_json_snapshot!(reply.json()["data"], @r#"
    {
      "bill_to": "00000000-0000-0000-0000-000000000ada",
      "currency": "EUR",
      "dated": "2025-11-01",
      "due_on": "2025-11-15",
      "invoice_id": "00000000-0000-0000-0000-000000001c0e",
      "lines": [
        {
          "description": "Nightingale dues",
          "discount_minor": 0,
          "kind": "dues",
          "quantity": 1,
          "tax_rate_bp": 0,
          "unit_minor": 12000
        }
      ],
      "movements": [
        {
          "amount_minor": -5000,
          "kind": "payment",
          "on": "2025-11-20",
          "reference": "00000000-0000-0000-0000-00000000ba1d"
        }
      ],
      "number": 1,
      "open_minor": 7000,
      "purpose": {
        "kind": "membership_dues",
        "membership_id": "00000000-0000-0000-0000-0000000003e3"
      },
      "series": "Nightingale-2025",
      "tax_minor": 0,
      "total_minor": 12000
    }
    "#);
    let analyst = world.token("nurses", &[Role::Analyst]);
    let refused = world.get_as(&analyst, &format!("/v1/invoices/{}", invoice()), &[]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn open_invoices_are_listed_until_they_are_settled() {
    let world = told().await;
    let open = world.get("/v1/invoices?open=true").await;
    assert_json_snapshot!(open.json()["data"], @r#"
    [
      {
        "bill_to": "00000000-0000-0000-0000-000000000ada",
        "currency": "EUR",
        "dated": "2025-11-01",
        "due_on": "2025-11-15",
        "invoice_id": "00000000-0000-0000-0000-000000001c0e",
        "number": 1,
        "open_minor": 7000,
        "purpose": "membership_dues",
        "series": "Nightingale-2025",
        "tax_minor": 0,
        "total_minor": 12000
      }
    ]
    "#);
    for (question, found) in [
        (format!("bill_to={}", story::ada()), 1),
        (format!("bill_to={}", story::grace()), 0),
        ("purpose=membership_dues&open=true".into(), 1),
        ("purpose=event_fee".into(), 0),
    ] {
        let reply = world.get(&format!("/v1/invoices?{question}")).await;
        assert_eq!(reply.json()["data"].as_array().map(Vec::len), Some(found), "{question}");
    }
    let written_off = InvoiceEvent::InvoiceWrittenOff {
        amount: Money::new(7_000, Currency::EUR),
        reason: "moved away".into(),
        on: day("2026-02-01"),
    };
    world.record(nurses(), invoice().uuid(), &[written_off]).await;
    world.project().await;
    assert_eq!(world.get("/v1/invoices?open=true").await.json()["data"], json!([]));
    let settled = world.get("/v1/invoices?format=csv").await;
    assert!(settled.body.contains(",120.00,0.00,0.00,\r\n"), "{}", settled.body);
}

#[tokio::test]
async fn what_is_open_ages() {
    let world = told().await;
    let bucket = async |on: &str| {
        let line = world.get(&format!("/v1/reports/invoice-ageing?on={on}")).await.json()["data"][0].clone();
        (line["bucket"].clone(), line["open_minor"].clone())
    };
    assert_eq!(bucket("2025-11-15").await, (json!("current"), json!(12_000)));
    assert_eq!(bucket("2025-12-01").await, (json!("1-30"), json!(7_000)));
    assert_eq!(bucket("2026-03-01").await, (json!(">90"), json!(7_000)));
    assert_eq!(bucket("2025-10-01").await, (json!(null), json!(null)));
}

#[tokio::test]
async fn revenue_is_by_month_and_kind() {
    let world = told().await;
    let reply = world.get("/v1/reports/revenue?from=2025-11-01&to=2025-11-30&format=csv").await;
    assert_snapshot!(reply.body.replace('\r', ""), @r"
    month,kind,currency,amount,records
    2025-11-01,dues,EUR,120.00,1
    ");
}

#[tokio::test]
async fn the_journal_is_read_page_by_page() {
    let world = told().await;
    let first = world.get("/v1/journal?limit=2").await.json();
    assert_json_snapshot!(first["data"][0], @r#"
    {
      "currency": "EUR",
      "dated": "2025-11-01",
      "description": "Issue of invoice Nightingale-2025-1",
      "entry_id": "5149151d-0f30-5df2-b804-e48e5c6f5e96",
      "kind": "invoice",
      "lines": [
        {
          "account_code": "1200",
          "account_name": "Accounts Receivable",
          "account_type": "asset",
          "credit_minor": 0,
          "debit_minor": 12000,
          "role": "receivable"
        },
        {
          "account_code": "2400",
          "account_name": "Deferred Membership Dues",
          "account_type": "liability",
          "credit_minor": 12000,
          "debit_minor": 0,
          "role": "deferred_dues"
        }
      ],
      "record_id": "00000000-0000-0000-0000-0000e0000801",
      "rule_version": 1,
      "stream": "invoice-00000000-0000-0000-0000-000000001c0e"
    }
    "#);
    let (mut entries, mut next) = (2, first["next"].clone());
    while let Some(after) = next.as_str() {
        let page = world.get(&format!("/v1/journal?limit=5&after={after}")).await.json();
        entries += page["data"].as_array().unwrap().len();
        next = page["next"].clone();
    }
    // The invoice, the payment, what of the payment counts against the invoice, and twelve months of dues.
    assert_eq!(entries, 15);
    let month = world.get("/v1/journal?from=2026-01-01&to=2026-01-31").await.json();
    assert_eq!(month["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn the_journal_is_a_file_for_bookkeeping_programs() {
    let world = told().await;
    let hledger = world.get("/v1/journal?format=hledger&from=2025-11-01&to=2025-11-20").await;
    assert_eq!(hledger.header("content-disposition"), "attachment; filename=\"erp_journal.journal\"");
    assert_snapshot!(hledger.body, @r"
    ; General journal of Nightingale association
    ; The code in brackets is the entry's external id: the same id is the same entry.

    2025-11-01 (5149151d-0f30-5df2-b804-e48e5c6f5e96) Issue of invoice Nightingale-2025-1
        ; kind: invoice, record: 00000000-0000-0000-0000-0000e0000801, stream: invoice-00000000-0000-0000-0000-000000001c0e
        Assets:1200-Accounts-Receivable                             120.00 EUR
        Liabilities:2400-Deferred-Membership-Dues                  -120.00 EUR

    2025-11-20 (28d58679-a1a5-5d23-b996-aeeb3ec7bf79) Payment of invoice Nightingale-2025-1
        ; kind: application, record: 00000000-0000-0000-0000-0000e0000802, stream: invoice-00000000-0000-0000-0000-000000001c0e
        Assets:1200-Accounts-Receivable                             -50.00 EUR
        Liabilities:2100-Unapplied-Payments                          50.00 EUR

    2025-11-20 (34a6dfa8-e07d-53f6-ab57-f8cde8c4921d) Payment by test, reference Nightingale-1
        ; kind: payment, record: 00000000-0000-0000-0000-0000e0000a00, stream: payment-00000000-0000-0000-0000-00000000ba1d
        Assets:1000-Cash                                             50.00 EUR
        Liabilities:2100-Unapplied-Payments                         -50.00 EUR

    commodity 1000.00 EUR
    account Assets:1000-Cash  ; type: A
    account Assets:1200-Accounts-Receivable  ; type: A
    account Liabilities:2100-Unapplied-Payments  ; type: L
    account Liabilities:2400-Deferred-Membership-Dues  ; type: L
    ");
    let beancount = world.get("/v1/journal?format=beancount").await;
    assert!(beancount.body.contains("open Assets:1200-Accounts-Receivable"), "{}", beancount.body);
    let table = world.get("/v1/journal?format=csv").await;
    assert_eq!(table.body.lines().count(), 1 + 2 * 15);
    let paged = world.get("/v1/journal?format=csv&limit=5").await;
    assert_eq!((paged.status, paged.problem()), (StatusCode::BAD_REQUEST, "invalid-query".into()));
}

#[tokio::test]
async fn another_mapping_is_another_journal() {
    let world = told().await;
    let before = world.get("/v1/journal").await;
    assert!(before.body.contains("\"account_code\":\"1200\""), "{}", before.body);
    let client = world.store.pool().get().await.unwrap();
    let sql =
        "INSERT INTO settings.account_mapping VALUES ($1, 'receivable', '2025-01-01', '1400', 'Debtors', 'asset')";
    client.execute(sql, &[&nurses().uuid()]).await.unwrap();
    let after = world.get("/v1/journal").await;
    assert_ne!(before.header("etag"), after.header("etag"));
    assert!(after.body.contains("\"account_code\":\"1400\"") && !after.body.contains("\"1200\""), "{}", after.body);
}
