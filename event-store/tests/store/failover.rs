//! A primary that dies and a standby that takes its place: the address names both, and the node goes on by itself.

use std::{
    fs,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    process::{Command, Stdio},
    time::Duration,
};

use guildhall_event_store::{Clock, EventStore, StoreError, StoreOptions};
use guildhall_sandbox::{postgres::Postgres, testing::TestDatabase};
use tokio_postgres::{Config, NoTls, config::Host};

use crate::{
    faults::append_once,
    support::{assert_each_once, blocking, key, stream, tenant, unit, until},
};

/// A primary with a database, and a standby that streams from it.
struct Pair {
    primary: Postgres,
    standby: Postgres,
    database: TestDatabase,
}

impl Pair {
    async fn start() -> Self {
        let (primary, standby) = blocking(servers).await;
        let database = TestDatabase::create_on(&primary.url()).await.expect("a database");
        Self { primary, standby, database }
    }

    /// The database wherever it may be written, the standby's place asked first.
    fn url(&self) -> String {
        let config: Config = self.database.url().parse().expect("a test database has a URL");
        let (name, user) = (config.get_dbname().expect("it has a name"), config.get_user().expect("it has an owner"));
        let (first, second) = (socket(&self.standby), socket(&self.primary));
        format!("host={first},{second} user={user} dbname={name} target_session_attrs=read-write")
    }

    async fn store(&self) -> EventStore {
        let options =
            StoreOptions { give_up_after: Duration::from_millis(300), ..StoreOptions::new(self.url(), key()) };
        EventStore::open(options, Clock::system()).await.expect("one of them is the primary")
    }

    /// Does something to the servers that blocks.
    async fn after(mut self, act: impl FnOnce(&mut Self) + Send + 'static) -> Self {
        blocking(move || {
            act(&mut self);
            self
        })
        .await
    }

    async fn promote(&self) {
        ask(&self.standby.url(), "SELECT pg_promote()").await;
    }
}

/// Two servers; the second begins as a copy of the first and follows it.
fn servers() -> (Postgres, Postgres) {
    let primary = Postgres::temporary(true, Vec::new()).expect("the primary starts");
    let mut standby = Postgres::temporary(true, Vec::new()).expect("a place for the standby");
    standby.stop().expect("it stops");
    let data = standby.data_dir().join("cluster");
    let owner = fs::metadata(&data).expect("there is data");
    fs::remove_dir_all(&data).expect("its data goes");
    let mut copy = Command::new("pg_basebackup");
    copy.arg("--pgdata").arg(&data).arg("--dbname").arg(primary.url()).current_dir(standby.data_dir());
    copy.args(["--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf", "--no-sync"]).stdin(Stdio::null());
    if fs::metadata("/proc/self").expect("we run").uid() == 0 {
        copy.uid(owner.uid()).gid(owner.gid());
    }
    assert!(copy.status().expect("pg_basebackup comes with Postgres").success());
    standby.restart().expect("the standby starts");
    (primary, standby)
}

fn socket(postgres: &Postgres) -> String {
    let config: Config = postgres.url().parse().expect("it has a URL");
    match config.get_hosts() {
        [Host::Unix(path)] => path.display().to_string(),
        hosts => panic!("it listens on one socket, not on {hosts:?}"),
    }
}

/// Runs a statement over a connection of its own, and gives the first column as text.
async fn ask(url: &str, statement: &str) -> String {
    let config: Config = url.parse().expect("it is a URL");
    let (client, connection) = config.connect(NoTls).await.expect("the server answers");
    let asking = async move {
        let rows = client.simple_query(statement).await.expect("the statement works");
        rows.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    };
    let (answer, _closed) = tokio::join!(asking, connection);
    answer.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_goes_on_at_the_promoted_standby_with_everything_that_was_acknowledged() {
    let pair = Pair::start().await;
    // Acknowledged is durable on both: only such a standby may take over.
    ask(&pair.primary.url(), "ALTER SYSTEM SET synchronous_standby_names = '*'").await;
    ask(&pair.primary.url(), "SELECT pg_reload_conf()").await;
    until("the standby is waited for", || async {
        ask(&pair.primary.url(), "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'").await == "1"
    })
    .await;
    let store = pair.store().await;
    let mut given = Vec::new();
    for _ in 0..20 {
        given.push(append_once(&store, unit(tenant(1), &stream(), 0, 2)).await);
    }
    let pair = pair.after(|pair| pair.primary.kill().expect("it can be killed")).await;
    let waiting = unit(tenant(1), &stream(), 0, 1);
    let refused = store.append(waiting.clone()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "a standby is not written to: {refused:?}");
    pair.promote().await;
    given.push(append_once(&store, waiting).await);
    assert_each_once(&store, &given).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_standby_that_lost_the_end_of_history_is_not_written_to() {
    let pair = Pair::start().await;
    let store = pair.store().await;
    append_once(&store, unit(tenant(1), &stream(), 0, 2)).await;
    let reached = ask(&pair.primary.url(), "SELECT pg_current_wal_lsn()").await;
    until("the standby has followed so far", || async {
        let caught_up = format!("SELECT pg_last_wal_replay_lsn() >= '{reached}'");
        ask(&pair.standby.url(), &caught_up).await == "t"
    })
    .await;
    let pair = pair.after(|pair| pair.standby.stop().expect("it stops")).await;
    append_once(&store, unit(tenant(1), &stream(), 0, 3)).await;
    let pair = pair.after(|pair| pair.primary.kill().expect("it can be killed")).await;
    let pair = pair.after(|pair| pair.standby.restart().expect("it starts alone")).await;
    pair.promote().await;
    let refused = loop {
        match store.append(unit(tenant(1), &stream(), 0, 1)).await {
            Err(StoreError::Unavailable { .. }) => {}
            other => break other.expect_err("what was acknowledged is gone").to_string(),
        }
    };
    assert!(refused.contains("history ends before position 5"), "{refused}");
}
