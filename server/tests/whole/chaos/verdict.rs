//! What has to hold in the end: of history, of what Kafka has, and of the read models.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use tokio_postgres::Client as Postgres;
use uuid::Uuid;

use super::load::Acknowledged;

/// One recorded event, as plain as it can be read.
pub(super) struct Fact {
    pub(super) position: i64,
    tenant: Uuid,
    stream: Uuid,
    event_id: Uuid,
    version: i64,
    type_name: String,
    said: Value,
}

/// All of history, without a hole and with every version in its place.
pub(super) async fn history(postgres: &Postgres) -> Vec<Fact> {
    let query = "SELECT e.position, e.tenant_id, s.id, e.event_id, e.version, e.type, convert_from(e.payload, 'UTF8'),
                        e.stream_key
                 FROM es.event e JOIN es.stream s USING (stream_key) ORDER BY e.position";
    let rows = postgres.query(query, &[]).await.expect("history can be read");
    let mut versions: HashMap<i64, i64> = HashMap::new();
    let fact = |(expected, row): (i64, &tokio_postgres::Row)| {
        assert_eq!(row.get::<_, i64>(0), expected, "positions have no hole");
        let version = versions.entry(row.get(7)).or_default();
        *version += 1;
        assert_eq!(row.get::<_, i64>(4), *version, "versions have no hole, at position {expected}");
        Fact {
            position: expected,
            tenant: row.get(1),
            stream: row.get(2),
            event_id: row.get(3),
            version: *version,
            type_name: row.get(5),
            said: serde_json::from_str(row.get(6)).expect("a payload is JSON"),
        }
    };
    (1..).zip(&rows).map(fact).collect()
}

/// Every receipt is true: what it lists stands in history where it says. And no command took effect twice, though
/// `under_way` commands may be stored of which nobody was told.
pub(super) async fn acknowledged_once(
    postgres: &Postgres,
    history: &[Fact],
    acknowledged: &[Acknowledged],
    under_way: usize,
) {
    let stored: HashMap<_, _> =
        history.iter().map(|fact| (fact.event_id.to_string(), (fact.position, fact.version))).collect();
    let mut recorded = 0;
    for Acknowledged { key, receipt, .. } in acknowledged {
        for event in receipt["events"].as_array().expect("a receipt lists its events") {
            let place = event["position"].as_i64().zip(event["version"].as_i64());
            assert_eq!(stored.get(event["event_id"].as_str().expect("an id")).copied(), place, "{key}");
            recorded += 1;
        }
    }
    assert!(recorded > 0, "nothing was recorded: the test shows nothing");
    let notes = "SELECT count(*), count(DISTINCT command_id) FROM es.event WHERE type = 'NoteAdded'";
    let notes = postgres.query_one(notes, &[]).await.expect("history can be counted");
    let (notes, commands): (i64, i64) = (notes.get(0), notes.get(1));
    assert_eq!(notes, commands, "no command took effect twice");
    let told_of = count(acknowledged.iter().filter(|command| command.name == "AddNote").count());
    assert!(
        (told_of..=told_of + count(under_way)).contains(&notes),
        "{told_of} notes were acknowledged, {notes} are stored"
    );
}

/// What the read models ought to say, from an independent and naive fold: a line of words and a number for each figure.
pub(super) fn naive_fold(history: &[Fact]) -> BTreeMap<String, i64> {
    let mut figures: BTreeMap<String, i64> = BTreeMap::new();
    let mut add = |figure: String, amount: i64| *figures.entry(figure).or_default() += amount;
    let mut plans: HashMap<Uuid, Value> = HashMap::new();
    let mut standing: BTreeMap<(Uuid, Uuid, String), &str> = BTreeMap::new();
    let mut credentials: BTreeSet<(Uuid, String)> = BTreeSet::new();
    let mut totals: HashMap<Uuid, i64> = HashMap::new();
    for Fact { tenant, stream, type_name, said, .. } in history {
        let minor = said["amount"]["minor"].as_i64().unwrap_or_default();
        let registration = || {
            let named = said["registration_id"].as_str().or(said["registration"]["registration_id"].as_str());
            (*tenant, *stream, named.unwrap_or_default().to_owned())
        };
        match type_name.as_str() {
            "MemberRegistered" => add(format!("members {tenant}"), 1),
            "CredentialAdded" => {
                credentials.insert((*stream, said["credential"].to_string()));
            }
            "MembershipApplied" => {
                plans.insert(*stream, said["plan"]["plan_id"].clone());
                add(format!("memberships {tenant} {} asked for", text(&said["plan"]["plan_id"])), 1);
            }
            "MembershipActivated" => add(format!("memberships {tenant} {} active", text(&plans[stream])), 1),
            "InvoiceDrafted" => {
                totals.insert(*stream, said["total"]["minor"].as_i64().unwrap_or_default());
                add(format!("invoices {tenant}"), 1);
            }
            "InvoiceIssued" => {
                add(format!("invoices {tenant} with a number"), 1);
                add(format!("facts in the books {tenant}"), 1);
                add(format!("invoiced {tenant}"), totals[stream]);
            }
            "PaymentReceived" => {
                add(format!("facts in the books {tenant}"), 1);
                add(format!("received {tenant}"), minor);
            }
            "PaymentApplied" => {
                // Of a payment that came when nothing was open any more, nothing is taken and nothing booked.
                add(format!("facts in the books {tenant}"), i64::from(minor > 0));
                add(format!("settled {tenant}"), minor);
            }
            "PaymentRefunded" => {
                add(format!("facts in the books {tenant}"), 1);
                add(format!("received {tenant}"), -minor);
            }
            "PaymentReversed" | "InvoiceCredited" => add(format!("facts in the books {tenant}"), 1),
            "PlaceHeld" | "OfferAccepted" => drop(standing.insert(registration(), "held")),
            "PlaceConfirmed" | "RegistrationConfirmed" => drop(standing.insert(registration(), "confirmed")),
            "RegistrationWaitlisted" => drop(standing.insert(registration(), "waitlisted")),
            "PaymentAwaited" => drop(standing.insert(registration(), "pending")),
            "PlaceOffered" => drop(standing.insert(registration(), "offered")),
            "RegistrationExpired" => drop(standing.insert(registration(), "expired")),
            "RegistrationCancelled" => drop(standing.insert(registration(), "cancelled")),
            _ => {}
        }
    }
    add("credentials".to_owned(), count(credentials.len()));
    for ((tenant, event, _), standing) in standing {
        add(format!("registrations {tenant} {event} {standing}"), 1);
    }
    figures
}

/// The same figures as the read models have them.
pub(super) async fn figures(postgres: &Postgres) -> BTreeMap<String, i64> {
    let queries = [
        "SELECT 'members ' || tenant_id, count(*) FROM read.directory_member GROUP BY 1",
        "SELECT 'credentials', sum(cardinality(credentials))::bigint FROM read.directory_member",
        "SELECT concat_ws(' ', 'memberships', tenant_id, plan_id, 'asked for'), count(*) FROM read.reporting_membership GROUP BY 1",
        "SELECT concat_ws(' ', 'memberships', tenant_id, plan_id, 'active'), count(*) FROM read.directory_membership
         WHERE active GROUP BY 1",
        "SELECT 'invoices ' || tenant_id, count(*) FROM read.reporting_invoice GROUP BY 1",
        "SELECT concat('invoices ', tenant_id, ' with a number'), count(*) FROM read.reporting_invoice
         WHERE number IS NOT NULL GROUP BY 1",
        "SELECT concat_ws(' ', 'registrations', tenant_id, event_id, standing), count(*) FROM read.reporting_registration
         GROUP BY 1",
        "SELECT 'facts in the books ' || tenant_id, count(DISTINCT record_id) FROM read.erp_journal_entry GROUP BY 1",
        "SELECT 'invoiced ' || tenant_id, sum(total_minor)::bigint FROM read.erp_journal_invoice WHERE number IS NOT NULL GROUP BY 1",
        "SELECT 'received ' || tenant_id, sum(debit_minor - credit_minor)::bigint FROM read.erp_journal_line
         WHERE role = 'cash' GROUP BY 1",
        "SELECT 'settled ' || l.tenant_id, sum(debit_minor)::bigint FROM read.erp_journal_line l
         JOIN read.erp_journal_entry e USING (tenant_id, entry_id)
         WHERE role = 'unapplied_payments' AND e.kind = 'application' GROUP BY 1",
    ];
    let mut figures = BTreeMap::new();
    for query in queries {
        let rows = postgres.query(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error}"));
        figures
            .extend(rows.iter().map(|row| (row.get::<_, String>(0), row.get::<_, Option<i64>>(1).unwrap_or_default())));
    }
    figures
}

/// The books balance, and nothing waits because it could not be folded.
pub(super) async fn sound(postgres: &Postgres) {
    let query = "SELECT coalesce(sum(debit_minor - credit_minor), 0)::bigint FROM read.erp_journal_line";
    assert_eq!(postgres.query_one(query, &[]).await.expect("the journal").get::<_, i64>(0), 0, "the books balance");
    let parked = "SELECT projection, category, stream_id::text, reason FROM read.parked_stream";
    let parked: Vec<_> = postgres
        .query(parked, &[])
        .await
        .expect("what is parked")
        .iter()
        .map(|row| [0, 1, 2, 3].map(|column| row.get::<_, String>(column)).join(" "))
        .collect();
    assert!(parked.is_empty(), "streams are parked: {parked:#?}");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn count(of: usize) -> i64 {
    i64::try_from(of).expect("a count fits")
}
