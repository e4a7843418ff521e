//! Three real associations side by side, each counted against its source.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use chrono::{Months, NaiveDate};
use guildhall_aggregates::{ids::derived, tenant_of_slug};
use guildhall_sandbox::testing::{TestDatabase, not_run};
use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::server::Server;

/// Folder, the day it was taken, and the sum of its contributions in cents, as its authors state them.
const ASSOCIATIONS: [(&str, &str, i64); 3] = [
    ("civi-5.21.2", "2019-11-28", 2_293_500),
    ("civi-5.13.5", "2018-12-04", 2_288_500),
    ("civi-2010-05", "2010-05-20", 233_500),
];

type Row = BTreeMap<String, String>;

fn table(folder: &Path, name: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(folder.join(name).with_extension("csv")).expect("the table is there");
    reader.deserialize().map(|row| row.expect("a row has the header's columns")).collect()
}

fn slug_of(folder: &str) -> String {
    folder.replace('.', "-")
}

fn import(server: &Server, folder: &Path, slug: &str, as_of: &str) -> Value {
    let folder = folder.to_str().expect("a path is text");
    let output = server.output(&["import", "civicrm", folder, "--association", slug, "--as-of", as_of]);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{slug}: {}", String::from_utf8_lossy(&output.stderr)))
}

async fn count(client: &Client, sql: &str, tenant: Uuid) -> i64 {
    client.query_one(sql, &[&tenant]).await.unwrap_or_else(|error| panic!("{sql}: {error}")).get(0)
}

#[tokio::test]
async fn three_associations_come_in_side_by_side_and_a_second_time_nothing_does() {
    let Some(data) = std::env::var_os("GUILDHALL_CIVICRM_DATA").map(PathBuf::from) else {
        return not_run("GUILDHALL_CIVICRM_DATA names no folder with CiviCRM's sample associations");
    };
    let database = TestDatabase::create().await;
    let mut server = Server::configured(database.url(), None);
    for (folder, as_of, _) in ASSOCIATIONS {
        let done = import(&server, &data.join(folder), &slug_of(folder), as_of);
        let appended = done["events_appended"].as_u64().expect("a number");
        assert!(appended > 200, "{folder}: only {appended} events");
    }
    server.start("all");
    // A rebuild waits until the live rows have come as far as history, and compares every row.
    for report in server.report(&["rebuild", "all"]).as_array().expect("a report each") {
        assert!(
            report["tables"].as_array().expect("tables").iter().all(|t| t["only_live"] == 0 && t["only_rebuilt"] == 0)
        );
    }
    assert_eq!(server.report(&["audit", "verify"])["holds"], true);

    let client = database.connect().await;
    for (folder, as_of, cents) in ASSOCIATIONS {
        let source = data.join(folder);
        let tenant = tenant_of_slug(&slug_of(folder)).uuid();
        everything_is_there(&client, &source, tenant, cents).await;
        every_status_follows_the_rules(&client, &source, tenant, as_of.parse().expect("a date")).await;
    }

    let head: i64 = client.query_one("SELECT max(position) FROM es.event", &[]).await.expect("a head").get(0);
    for (folder, as_of, _) in ASSOCIATIONS {
        let again = import(&server, &data.join(folder), &slug_of(folder), as_of);
        assert_eq!(again["events_appended"], 0, "{folder} again");
    }
    let after: i64 = client.query_one("SELECT max(position) FROM es.event", &[]).await.expect("a head").get(0);
    assert_eq!(head, after, "the second import appended events");
}

async fn everything_is_there(client: &Client, source: &Path, tenant: Uuid, cents: i64) {
    let rows = |name| i64::try_from(table(source, name).len()).expect("a table fits");
    let members = count(client, "SELECT count(*) FROM read.directory_member WHERE tenant_id = $1", tenant).await;
    assert_eq!(members, rows("contact"), "contacts");
    let memberships = count(client, "SELECT count(*) FROM reporting.memberships WHERE tenant_id = $1", tenant).await;
    assert_eq!(memberships, rows("membership"), "memberships");
    let registrations =
        count(client, "SELECT count(*) FROM reporting.event_registrations WHERE tenant_id = $1", tenant).await;
    assert_eq!(registrations, rows("participant"), "participants");
    let contributions =
        count(client, "SELECT count(*) FROM reporting.contributions WHERE tenant_id = $1", tenant).await;
    assert_eq!(contributions, rows("contribution"), "contributions");
    let total =
        count(client, "SELECT sum(amount_minor)::bigint FROM reporting.contributions WHERE tenant_id = $1", tenant)
            .await;
    assert_eq!(total, cents, "the sum of contributions");
    let strangers = count(
        client,
        "SELECT count(*) FROM reporting.memberships m JOIN read.directory_member d USING (member_id)
          WHERE m.tenant_id = $1 AND d.tenant_id <> $1",
        tenant,
    )
    .await;
    assert_eq!(strangers, 0, "another association's rows");
}

/// The rule table of the source, read by itself: windows with an anchor, months to add, both days included; the first
/// by weight wins, and only rules that are not set by hand count.
async fn every_status_follows_the_rules(client: &Client, source: &Path, tenant: Uuid, as_of: NaiveDate) {
    let mut rules = table(source, "membership_status");
    rules.retain(|rule| rule["is_active"] == "1" && rule["is_reserved"] == "0");
    rules.sort_by_key(|rule| rule["weight"].parse::<i32>().expect("a weight"));
    for membership in table(source, "membership") {
        let expected = rules
            .iter()
            .find(|rule| {
                window(rule, &membership, "start").is_none_or(|first| first.is_some_and(|day| day <= as_of))
                    && window(rule, &membership, "end").is_none_or(|last| last.is_none_or(|day| as_of <= day))
            })
            .map_or_else(|| "expired".to_owned(), |rule| rule["name"].to_lowercase());
        let id = derived(tenant, &["civicrm", "membership", &membership["id"]]);
        let row = client
            .query_one(
                "SELECT status FROM reporting.membership_status_spans
                  WHERE tenant_id = $1 AND membership_id = $2 AND from_on <= $3 AND (to_on IS NULL OR $3 <= to_on)",
                &[&tenant, &id, &as_of],
            )
            .await
            .unwrap_or_else(|error| panic!("membership {}: {error}", membership["id"]));
        assert_eq!(row.get::<_, String>(0), expected, "membership {} as of {as_of}", membership["id"]);
    }
}

/// One side of a rule's window: `None` when the rule has no such side; `Some(None)` when the membership has no such date.
#[expect(clippy::option_option, reason = "two absences that mean different things")]
fn window(rule: &Row, membership: &Row, side: &str) -> Option<Option<NaiveDate>> {
    let anchor = Some(&rule[&format!("{side}_event")]).filter(|anchor| !anchor.is_empty())?;
    let day: Option<NaiveDate> = membership[anchor].parse().ok();
    let months: u32 = rule[&format!("{side}_event_adjust_interval")].parse().unwrap_or(0);
    Some(day.map(|day| day + Months::new(months)))
}
