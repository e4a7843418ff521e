//! The SQL of Guildhall's two schemas and the one function that applies it.
//!
//! Schema `es` is history and is never dropped. Schema `read` holds the read models: dropped and migrated again it
//! comes back empty, to be rebuilt from history. Each schema keeps the list of its own applied migrations in a table
//! `schema_history`, so that dropping `read` drops its list as well.
//!
//! To add a migration: a file `es/V<number>__<verb>_<thing>.sql` or `read/V<number>__<verb>_<thing>.sql` with the next
//! number of its folder. A merged file is never edited: a database that has applied it would be refused. A migration
//! runs in one transaction, and the schema it belongs to exists before its first one runs.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use refinery::{Runner, error::Kind};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

mod es {
    refinery::embed_migrations!("es");
}
mod read {
    refinery::embed_migrations!("read");
}

/// The advisory lock that lets several nodes start at once: one migrates, the others wait and find nothing to do.
const LOCK: i64 = 0x4755_494C_4448_414C;

/// How long a node waits for another one that is migrating, and a migration for a table that somebody holds.
const LOCK_TIMEOUT: &str = "SET lock_timeout = '60s'";

/// What a run of [`migrate`] did. Displayed, it is one line for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The migrations this run applied, in order, as `es/V1__create_history`. Empty when the database was current.
    pub applied: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.applied.as_slice() {
            [] => f.write_str("the database is current, nothing to apply"),
            applied => write!(f, "applied {}", applied.join(", ")),
        }
    }
}

/// Why a database could not be brought to this build's schema. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// An applied migration is not the one this build carries: somebody edited a merged file, or the database belongs
    /// to another line of development.
    #[error(
        "{schema}: the database has applied {applied}, but this build carries a different {expected}; \
         a merged migration is never edited: restore the file and add a new one, or use another database"
    )]
    Divergent {
        /// `es` or `read`.
        schema: &'static str,
        /// The migration the database has, as `V1__create_history`.
        applied: String,
        /// The migration of the same number in this build.
        expected: String,
    },
    /// The database and this build do not form one line: the database was migrated by a newer build, or a migration
    /// was added below the highest applied number.
    #[error(
        "{schema}: {migration} is known to only one of this build and the database; run the build that last migrated \
         this database or a newer one, and number new migrations above all applied ones"
    )]
    Unknown {
        /// `es` or `read`.
        schema: &'static str,
        /// The migration that only one side knows, as `V2__add_column`.
        migration: String,
    },
    /// A lock was not free for a minute.
    #[error(
        "another session has held the migration lock, or a table that a migration changes, for a minute; \
         look at pg_locks for who it is, then try again: what is applied already stays applied"
    )]
    Busy,
    /// A migration failed and was rolled back; those before it stay applied.
    #[error("{schema}: {doing}: {reason}")]
    Failed {
        /// `es` or `read`.
        schema: &'static str,
        /// The step that failed, with the migration's name.
        doing: String,
        /// What Postgres said.
        reason: String,
    },
    /// The connection broke, or this role may not create a schema.
    #[error("could not migrate: {0}; migrating needs a role that owns the database")]
    Database(#[source] tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) { Self::Busy } else { Self::Database(error) }
    }
}

/// Brings a database to this build's schema. Run again, or by several nodes at once, it applies nothing twice.
///
/// The connection must be direct or pooled per session: the lock is the session's.
pub async fn migrate(client: &mut Client) -> Result<Report, MigrateError> {
    client.batch_execute(LOCK_TIMEOUT).await?;
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    let outcome = migrate_locked(client).await;
    let unlocked = unlock(client).await;
    let report = outcome?;
    unlocked?;
    Ok(report)
}

/// A number that changes whenever any embedded migration does, to name a database after the schema it holds.
pub fn fingerprint() -> u64 {
    let mut hasher = DefaultHasher::new();
    for (schema, runner) in sets() {
        for migration in runner.get_migrations() {
            (schema, migration.version(), migration.checksum()).hash(&mut hasher);
        }
    }
    hasher.finish()
}

fn sets() -> [(&'static str, Runner); 2] {
    [("es", es::migrations::runner()), ("read", read::migrations::runner())]
}

async fn migrate_locked(client: &mut Client) -> Result<Report, MigrateError> {
    let mut applied = Vec::new();
    for (schema, mut runner) in sets() {
        // `CREATE … IF NOT EXISTS` would answer each start of a node with a notice; this one is silent.
        if client.query_opt("SELECT 1 FROM pg_namespace WHERE nspname = $1", &[&schema]).await?.is_none() {
            client.batch_execute(&format!("CREATE SCHEMA {schema}")).await?;
        }
        runner.set_migration_table_name(format!("{schema}.schema_history"));
        let report = runner.run_async(client).await.map_err(|error| explain(schema, &error))?;
        applied.extend(report.applied_migrations().iter().map(|migration| format!("{schema}/{migration}")));
    }
    Ok(Report { applied })
}

async fn unlock(client: &Client) -> Result<(), MigrateError> {
    client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await?;
    client.batch_execute("RESET lock_timeout").await?;
    Ok(())
}

fn explain(schema: &'static str, error: &refinery::Error) -> MigrateError {
    match error.kind() {
        Kind::DivergentVersion(applied, expected) => {
            MigrateError::Divergent { schema, applied: applied.to_string(), expected: expected.to_string() }
        }
        Kind::MissingVersion(migration) => MigrateError::Unknown { schema, migration: migration.to_string() },
        Kind::Connection(doing, source) => match source.downcast_ref::<tokio_postgres::Error>() {
            Some(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => MigrateError::Busy,
            Some(error) => MigrateError::Failed { schema, doing: doing.clone(), reason: said(error) },
            None => MigrateError::Failed { schema, doing: doing.clone(), reason: source.to_string() },
        },
        other => MigrateError::Failed { schema, doing: "reading migrations".to_owned(), reason: other.to_string() },
    }
}

/// What Postgres said, with the detail and the place that `tokio_postgres::Error` leaves out of its own text.
fn said(error: &tokio_postgres::Error) -> String {
    let Some(db) = error.as_db_error() else { return error.to_string() };
    let mut said = format!("{} ({})", db.message(), db.code().code());
    for more in [db.detail(), db.hint(), db.where_()].into_iter().flatten() {
        said.push_str("; ");
        said.push_str(more);
    }
    said
}
