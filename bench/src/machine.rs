//! The Postgres both sides share, and fresh databases on it.

use std::path::PathBuf;

use anyhow::Context as _;
use guildhall_sandbox::{
    postgres::{Postgres, PostgresOptions},
    testing::TestDatabase,
};
use tokio_postgres::NoTls;

/// As a small server is set up for writing: room for the tables in memory, and checkpoints minutes apart. What makes a
/// commit durable is left on, and checked below.
const SETTINGS: [(&str, &str); 4] =
    [("shared_buffers", "1GB"), ("max_wal_size", "8GB"), ("checkpoint_timeout", "15min"), ("max_connections", "200")];

/// What is told of the server.
const TOLD: [&str; 9] = [
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "wal_compression",
];

/// What must be on.
const DURABLE: [&str; 3] = ["fsync", "synchronous_commit", "full_page_writes"];

/// A private Postgres that keeps what it has acknowledged.
pub struct Machine {
    postgres: Postgres,
}

impl Machine {
    /// On a directory that is deleted in the end.
    pub fn temporary() -> anyhow::Result<Self> {
        Ok(Self { postgres: Postgres::temporary(true, settings())? })
    }

    /// On a directory that is kept.
    pub fn kept(data_dir: PathBuf) -> anyhow::Result<Self> {
        let options = PostgresOptions { data_dir, durable: true, settings: settings(), port: None };
        Ok(Self { postgres: Postgres::start(options)? })
    }

    pub fn url(&self) -> String {
        self.postgres.url()
    }

    /// The main process of Postgres; its own lock file says which that is.
    pub fn pid(&self) -> anyhow::Result<u32> {
        let file = self.postgres.data_dir().join("cluster/postmaster.pid");
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        text.lines().next().unwrap_or_default().trim().parse().context("Postgres notes no process id")
    }

    /// Runs statements as the owner of everything, one after another.
    pub async fn execute(&self, url: &str, statements: &[String]) -> anyhow::Result<()> {
        let client = connect(url).await?;
        for statement in statements {
            client.batch_execute(statement).await.with_context(|| statement.clone())?;
        }
        Ok(())
    }

    /// A database made from another one, which goes when it is dropped.
    pub async fn copy_of(&self, source: &str) -> anyhow::Result<TestDatabase> {
        let database = TestDatabase::create_on(&self.url()).await?;
        let name = name_of(&database)?;
        // The handle is for the name; what is behind it is replaced.
        let statements =
            [format!("DROP DATABASE {name}"), format!("CREATE DATABASE {name} TEMPLATE {source} STRATEGY file_copy")];
        self.execute(&self.url(), &statements).await?;
        Ok(database)
    }

    /// Writes out what is in memory, so that no run pays for another's.
    pub async fn checkpoint(&self) -> anyhow::Result<()> {
        self.execute(&self.url(), &["CHECKPOINT".to_owned()]).await
    }

    /// What the server is and how it is set, in words.
    ///
    /// # Errors
    /// It does not wait for the disk: then nothing measured on it would be worth anything.
    pub async fn described(&self) -> anyhow::Result<String> {
        let client = connect(&self.url()).await?;
        let mut told = Vec::new();
        for name in TOLD {
            let value: String = client.query_one("SELECT current_setting($1)", &[&name]).await?.get(0);
            anyhow::ensure!(value == "on" || !DURABLE.contains(&name), "{name} is {value} and must be on");
            told.push(format!("{name} {value}"));
        }
        Ok(told.join(", "))
    }
}

/// What a database is called.
pub fn name_of(database: &TestDatabase) -> anyhow::Result<&str> {
    database.url().rsplit('/').next().context("a database's URL ends with its name")
}

/// A connection that lives as long as its client.
pub async fn connect(url: &str) -> anyhow::Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connecting to Postgres")?;
    tokio::spawn(connection);
    Ok(client)
}

fn settings() -> Vec<(String, String)> {
    SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}
