use std::str::FromStr;

use guildhall_projections::{Directory, ErpJournal, Reporting, analyst};
use tokio_postgres::{Client, Config, NoTls};

use crate::{
    story,
    support::{World, tenant},
};

const PASSWORD: &str = "correct horse '; battery";

/// Logins belong to the whole cluster, so each test has one of its own, taken away with this value.
struct Login<'w> {
    world: &'w World,
    name: String,
}

impl<'w> Login<'w> {
    async fn add(world: &'w World, number: u128) -> Self {
        let name = format!("analyst_{}", uuid::Uuid::now_v7().simple());
        let owner = world.database.connect().await;
        analyst::add(&owner, tenant(number), &name, PASSWORD).await.expect("the owner may make logins");
        Self { world, name }
    }

    #[expect(clippy::disallowed_methods, reason = "the connection ends with the client, and the test with it")]
    async fn connect(&self) -> Client {
        let mut config = Config::from_str(self.world.database.url()).expect("a URL");
        config.user(&self.name).password(PASSWORD);
        let (client, connection) = config.connect(NoTls).await.expect("the login works");
        tokio::spawn(connection);
        client
    }

    async fn remove(self) {
        let owner = self.world.database.connect().await;
        assert!(analyst::remove(&owner, &self.name).await.expect("the owner may take logins away"));
        assert!(!analyst::remove(&owner, &self.name).await.expect("twice is fine"));
    }
}

async fn world() -> World {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    story::tell(&world, tenant(2)).await;
    world.project::<Directory>().await;
    world.project::<Reporting>().await;
    world.project::<ErpJournal>().await;
    world
}

/// Everything in schema `reporting` that gives rows.
async fn reports(client: &Client) -> Vec<String> {
    let rows = client.query("SELECT viewname::text FROM pg_views WHERE schemaname = 'reporting'", &[]).await;
    let mut reports: Vec<String> = rows.expect("the catalogue").iter().map(|row| row.get(0)).collect();
    reports.extend(["memberships_as_of('2026-01-01')".into(), "invoice_ageing_as_of('2026-03-01')".into()]);
    reports
}

#[tokio::test]
async fn an_analyst_sees_every_row_of_the_own_association_and_none_of_another() {
    let world = world().await;
    let login = Login::add(&world, 1).await;
    let (client, owner) = (login.connect().await, world.client().await);
    for report in reports(&client).await {
        let seen = client.query(&format!("SELECT DISTINCT tenant_id FROM reporting.{report}"), &[]).await;
        let seen: Vec<uuid::Uuid> = seen.expect(&report).iter().map(|row| row.get(0)).collect();
        assert_eq!(seen, [tenant(1).uuid()], "{report}");
        let all = format!("SELECT count(*) FROM reporting.{report} WHERE tenant_id = $1");
        let ours: i64 =
            client.query_one(&format!("SELECT count(*) FROM reporting.{report}"), &[]).await.unwrap().get(0);
        let there: i64 = owner.query_one(&all, &[&tenant(1).uuid()]).await.unwrap().get(0);
        assert_eq!(ours, there, "{report}");
    }
    login.remove().await;
}

#[tokio::test]
async fn an_analyst_reads_no_table_of_history_keys_people_or_checkpoints() {
    let world = world().await;
    let login = Login::add(&world, 1).await;
    let (client, owner) = (login.connect().await, world.client().await);
    let all = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables \
               WHERE schemaname IN ('es', 'vault', 'read', 'settings') ORDER BY 1";
    let mut readable = Vec::new();
    for row in owner.query(all, &[]).await.unwrap() {
        let table: String = row.get(0);
        if let Ok(rows) = client.query(&format!("SELECT * FROM {table} t"), &[]).await {
            for row in rows {
                if let Ok(owner) = row.try_get::<_, uuid::Uuid>("tenant_id") {
                    assert!(owner == tenant(1).uuid() || table == "settings.account_mapping", "{table}");
                }
            }
            readable.push(table);
        }
    }
    assert!(readable.len() > 10, "{readable:?}");
    let allowed = |table: &String| {
        table.starts_with("read.reporting_")
            || table.starts_with("read.erp_journal_")
            || table == "settings.account_mapping"
    };
    assert!(readable.iter().all(allowed), "{readable:?}");
    for forbidden in ["SELECT * FROM es.event_decoded", "SELECT settings.add_analyst(gen_random_uuid(), 'x', 'y')"] {
        assert!(client.execute(forbidden, &[]).await.is_err(), "{forbidden}");
    }
    login.remove().await;
}

#[tokio::test]
async fn an_analyst_writes_nothing_also_when_the_session_is_made_writable() {
    let world = world().await;
    let login = Login::add(&world, 1).await;
    let client = login.connect().await;
    let attempts = [
        "UPDATE read.reporting_plan SET name = 'x'",
        "DELETE FROM read.erp_journal_line",
        "INSERT INTO read.reporting_plan DEFAULT VALUES",
        "UPDATE reporting.plans SET name = 'x'",
        "TRUNCATE read.reporting_plan",
        "INSERT INTO settings.account_mapping (role, valid_from) VALUES ('cash', '2026-01-01')",
        "UPDATE settings.analyst SET tenant_id = gen_random_uuid()",
        "CREATE TABLE reporting.mine (a int)",
        "CREATE TABLE public.mine (a int)",
        "CREATE SCHEMA mine",
        "ALTER TABLE read.reporting_plan DISABLE ROW LEVEL SECURITY",
        "SET ROLE guildhall",
        "CREATE ROLE another_one",
        "SELECT lo_create(0)",
        // Held, it would stop every append of every association.
        "SELECT pg_advisory_lock(x'475548414c4c'::bigint + 1)",
    ];
    for writable in ["on", "off"] {
        client.batch_execute(&format!("SET default_transaction_read_only = {writable}")).await.unwrap();
        for attempt in attempts {
            assert!(client.batch_execute(attempt).await.is_err(), "{attempt}");
        }
    }
    login.remove().await;
}

#[tokio::test]
async fn becoming_the_group_shows_no_more_than_before() {
    let world = world().await;
    let login = Login::add(&world, 2).await;
    let client = login.connect().await;
    client.batch_execute("SET ROLE guildhall_analyst").await.unwrap();
    let seen: Vec<uuid::Uuid> = client
        .query("SELECT DISTINCT tenant_id FROM read.reporting_membership", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(seen, [tenant(2).uuid()]);
    login.remove().await;
}

#[tokio::test]
async fn a_login_that_is_removed_cannot_log_in_and_is_not_listed() {
    let world = world().await;
    let login = Login::add(&world, 1).await;
    let owner = world.database.connect().await;
    let name = login.name.clone();
    let listed = async || analyst::list(&owner).await.unwrap().into_iter().any(|known| known.login == name);
    assert!(listed().await);
    login.remove().await;
    assert!(!listed().await);
    let mut config = Config::from_str(world.database.url()).unwrap();
    assert!(config.user(&name).password(PASSWORD).connect(NoTls).await.is_err());
}

#[tokio::test]
async fn bad_logins_and_weak_passwords_are_refused_before_anything_is_made() {
    let world = World::open().await;
    let owner = world.database.connect().await;
    for bad in ["", "Ada", "1ada", "ada; DROP ROLE guildhall", "pg_ada", "a\"b", &"a".repeat(64)] {
        let refused = analyst::add(&owner, tenant(1), bad, PASSWORD).await;
        assert!(matches!(refused, Err(analyst::AnalystError::BadLogin(_))), "{bad}: {refused:?}");
    }
    let refused = analyst::add(&owner, tenant(1), "ada", "short").await;
    assert!(matches!(refused, Err(analyst::AnalystError::WeakPassword)), "{refused:?}");
    let taken = analyst::add(&owner, tenant(1), "guildhall", PASSWORD).await;
    assert!(matches!(taken, Err(analyst::AnalystError::LoginTaken(_))), "{taken:?}");
    assert!(analyst::list(&owner).await.unwrap().is_empty());
}

#[tokio::test]
async fn every_view_column_and_function_for_analysts_says_what_it_means() {
    let world = World::open().await;
    let silent = "SELECT c.relname || coalesce('.' || a.attname, '') FROM pg_class c \
                  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
                  WHERE c.relnamespace = 'reporting'::regnamespace \
                  AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL) \
                  UNION ALL SELECT proname::text FROM pg_proc \
                  WHERE pronamespace = 'reporting'::regnamespace AND obj_description(oid) IS NULL";
    let silent: Vec<String> =
        world.client().await.query(silent, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(silent.is_empty(), "{silent:?}");
}
