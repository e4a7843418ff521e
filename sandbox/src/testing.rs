//! What a test asks for: a fresh database, or the brokers of a real Kafka.
//!
//! The servers are started once for a whole test run by `guildhall-sandbox run`, which names them in the environment.
//! A test that finds none fails and says how to start it, because a test that is silently left out proves nothing.

use std::env;
use std::fs::File;
use std::io::{self, Write as _};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// Names the cluster that tests make their databases on, as a superuser's URL.
pub const POSTGRES: &str = "GUILDHALL_TEST_POSTGRES";

/// Names the brokers that tests use.
pub const KAFKA: &str = "GUILDHALL_TEST_KAFKA";

/// Set to `1` by those who want the tests without Kafka.
pub const SKIP_KAFKA: &str = "SKIP_KAFKA";

/// Names the file that lists the tests which were not run.
pub const NOT_RUN: &str = "GUILDHALL_TEST_NOT_RUN";

/// What a test says that finds no server.
const HOW_TO_RUN: &str =
    "run `make test`, or for one crate `cargo run -p guildhall-sandbox -- run [--kafka] -- cargo test -p CRATE`";

/// The lock under which one of many test processes builds the template.
const TEMPLATE_LOCK: i64 = 0x5445_4D50_4C41_5445;

/// How long a test waits for a connection before it fails.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// A migrated, empty database that belongs to one test. It is dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    admin_url: String,
    url: String,
}

impl TestDatabase {
    /// Makes a database by copying a template, which the first test of a run migrates. The template is named after the
    /// migrations it holds, so an edited migration makes a new one.
    pub async fn create() -> Self {
        let admin_url = env::var(POSTGRES).unwrap_or_else(|_| panic!("no Postgres for tests: {HOW_TO_RUN}"));
        Self::create_on(&admin_url).await.unwrap_or_else(|error| panic!("no database for this test: {error:#}"))
    }

    /// The same on a cluster that the test started itself, such as one that it will kill.
    pub async fn create_on(admin_url: &str) -> Result<Self> {
        let name = format!("test_{}", Uuid::now_v7().simple());
        let url = with_database(admin_url, &name)?;
        let admin = connect(admin_url).await?;
        let template = template(&admin, admin_url).await?;
        admin
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY {COPY}"))
            .await
            .with_context(|| format!("copying {template}"))?;
        Ok(Self { name, admin_url: admin_url.to_owned(), url })
    }

    /// Where the database is, as a URL for `tokio-postgres`, for a pool or for a process that the test starts.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection of its own to the database, as its owner.
    pub async fn connect(&self) -> Client {
        connect(&self.url).await.unwrap_or_else(|error| panic!("the test's database does not answer: {error:#}"))
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let admin_url = self.admin_url.clone();
        // A test drops this inside its runtime, which cannot wait; a thread with a runtime of its own can.
        let dropping = thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { Ok(connect(&admin_url).await?.batch_execute(&statement).await?) })
        });
        // The cluster goes with the test run, and the test may just have killed it: a database left over harms nobody.
        let _dropped = dropping.join();
    }
}

/// The brokers of the Kafka that tests use, or `None` when the caller of the tests set `SKIP_KAFKA=1`; that the test
/// was not run is then printed and noted for the end of the run.
pub fn kafka_brokers() -> Option<String> {
    if env::var_os(SKIP_KAFKA).is_some_and(|skip| skip == "1") {
        not_run("SKIP_KAFKA=1");
        return None;
    }
    Some(env::var(KAFKA).unwrap_or_else(|_| panic!("no Kafka for tests: {HOW_TO_RUN}, or set {SKIP_KAFKA}=1")))
}

/// Says that the calling test is not run, and why: at once, where the test harness does not swallow it, and again at
/// the end of the run.
pub fn not_run(reason: &str) {
    let thread = thread::current();
    // The harness names each test's thread after the test.
    let line = format!("NOT RUN: {} ({reason})\n", thread.name().unwrap_or("a test"));
    // Nothing depends on these lines arriving; the test is left out in any case.
    let _said = io::stderr().write_all(line.as_bytes());
    if let Some(list) = env::var_os(NOT_RUN) {
        let _noted =
            File::options().append(true).create(true).open(list).and_then(|mut list| list.write_all(line.as_bytes()));
    }
}

/// How Postgres copies the template: as files took 40 to 120 ms where through the log it took 70 to 155, with fsync
/// off.
const COPY: &str = "file_copy";

/// The name of the template, which is made when it is not there. It gets this name only when it is whole.
async fn template(admin: &Client, admin_url: &str) -> Result<String> {
    let name = format!("template_{:016x}", guildhall_migrations::fingerprint());
    if exists(admin, &name).await? {
        return Ok(name);
    }
    admin.execute("SELECT pg_advisory_lock($1)", &[&TEMPLATE_LOCK]).await.context("waiting for the template")?;
    // The lock goes with the connection, also when building fails: the next test then tries for itself.
    if !exists(admin, &name).await? {
        let unfinished = format!("{name}_unfinished");
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)")).await?;
        admin.batch_execute(&format!("CREATE DATABASE {unfinished}")).await.context("creating the template")?;
        migrate(&with_database(admin_url, &unfinished)?).await?;
        admin.batch_execute(&format!("ALTER DATABASE {unfinished} RENAME TO {name}")).await.context("naming it")?;
    }
    admin.execute("SELECT pg_advisory_unlock($1)", &[&TEMPLATE_LOCK]).await?;
    Ok(name)
}

/// Migrates a database and leaves it: a database that somebody is connected to is neither renamed nor copied.
async fn migrate(url: &str) -> Result<()> {
    let (mut client, connection) = tokio_postgres::connect(url, NoTls).await.context("connecting to the template")?;
    let migrating = async move { guildhall_migrations::migrate(&mut client).await };
    let (migrated, closed) = tokio::join!(migrating, connection);
    migrated.context("migrating the template")?;
    closed.context("closing the connection to the template")
}

async fn exists(admin: &Client, name: &str) -> Result<bool> {
    let found = admin.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await;
    Ok(found.context("looking for the template")?.is_some())
}

async fn connect(url: &str) -> Result<Client> {
    let connecting = tokio::time::timeout(CONNECT_LIMIT, tokio_postgres::connect(url, NoTls));
    let (client, connection) = connecting.await.context("connecting took too long")?.context("connecting")?;
    drive(async move {
        // A connection that breaks shows in the client's next call.
        let _ended = connection.await;
    });
    Ok(client)
}

#[expect(clippy::disallowed_methods, reason = "the task ends with its client, and the runtime with its test")]
fn drive(connection: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(connection);
}

/// The same URL with another database.
fn with_database(url: &str, database: &str) -> Result<String> {
    let (scheme, rest) = url.split_once("://").context("the cluster's URL must begin with postgresql://")?;
    ensure!(matches!(scheme, "postgresql" | "postgres"), "the cluster's URL must begin with postgresql://");
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = place.split_once('/').map_or(place, |(authority, _)| authority);
    let question = if parameters.is_empty() { "" } else { "?" };
    Ok(format!("{scheme}://{authority}/{database}{question}{parameters}"))
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn a_url_changes_its_database_and_keeps_the_rest() {
        let changed = |url| with_database(url, "mine").unwrap();
        assert_eq!(changed("postgresql://me@%2Ftmp%2Fs/old"), "postgresql://me@%2Ftmp%2Fs/mine");
        assert_eq!(
            changed("postgres://me:pw@host:5433/old?sslmode=disable"),
            "postgres://me:pw@host:5433/mine?sslmode=disable"
        );
        assert_eq!(changed("postgresql://host"), "postgresql://host/mine");
        assert!(with_database("host=/tmp dbname=old", "mine").is_err());
    }
}
