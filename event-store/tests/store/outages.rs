//! What a database does to its clients without losing anything: full disks, full houses, locks, clocks. Whoever waits is
//! told in time and in words, and it goes on by itself.

use std::{
    fs::{self, File},
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use chrono::{DateTime, TimeDelta};
use guildhall_event_store::{Clock, EventStore, StoreError, StoreOptions, Unit};
use guildhall_sandbox::{postgres::Postgres, testing::TestDatabase};
use tokio_postgres::{Client, Config, NoTls, config::Host};

use crate::{
    faults::append_once,
    support::{
        another_node, assert_each_once, blocking, hold_the_log, key, open_store, receipts, stream, tenant, unit, until,
    },
};

/// A store that does not wait long for anything.
async fn impatient(url: &str) -> EventStore {
    let options = StoreOptions {
        append_timeout: Duration::from_millis(100),
        give_up_after: Duration::from_millis(300),
        pool_size: 1,
        ..StoreOptions::new(url, key())
    };
    EventStore::open(options, Clock::system()).await.expect("it opens")
}

/// Why a unit was not stored for the time being.
async fn why_not(store: &EventStore, unit: &Unit) -> String {
    match store.append(unit.clone()).await {
        Err(StoreError::Unavailable { reason, .. }) => reason,
        other => panic!("expected to be told that history is not available, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_somebody_holds_too_long_delays_and_refuses_nothing_for_good() {
    let (database, _store) = open_store().await;
    let store = impatient(database.url()).await;
    let mut given = vec![append_once(&store, unit(tenant(1), &stream(), 0, 1)).await];
    let holder = database.connect().await;
    hold_the_log(&holder).await;
    let delayed = unit(tenant(1), &stream(), 0, 1);
    let reason = why_not(&store, &delayed).await;
    assert!(reason.contains("statement timeout"), "{reason}");
    holder.batch_execute("COMMIT").await.expect("it commits");
    given.push(receipts(store.append(delayed).await).remove(0));
    assert_each_once(&store, &given).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_years_never_makes_history_go_back_in_time_and_stops_nothing() {
    let database = TestDatabase::create().await;
    let clock = Clock::standing_at(DateTime::from_timestamp(1_800_000_000, 0).expect("a date"));
    let store = EventStore::open(StoreOptions::new(database.url(), key()), clock.clone()).await.expect("it opens");
    let stream = stream();
    for (version, years) in [0, 5, -10, 10, -3].into_iter().enumerate() {
        clock.advance(TimeDelta::days(365 * years));
        receipts(store.append(unit(tenant(1), &stream, version as u64, 1)).await);
        let reached = store.wait_past(version as u64, Duration::from_mins(1)).await.expect("history is there");
        assert_eq!(reached, version as u64 + 1);
    }
    let times: Vec<_> =
        store.read_after(0, 10).await.expect("history is there").iter().map(|event| event.recorded_at).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(times[1] - times[0], TimeDelta::days(5 * 365), "a jump ahead is believed");
    assert_eq!(times[2], times[1], "a jump back is waited out");
}

/// Takes every connection the server has left.
async fn crowd(url: &str) -> Vec<Client> {
    let config: Config = url.parse().expect("a test database has a URL");
    let mut crowd = Vec::new();
    // A connection that has just ended is free a moment later.
    let mut refused = 0;
    while refused < 3 {
        match config.connect(NoTls).await {
            Ok((client, connection)) => {
                drive(connection);
                crowd.push(client);
            }
            Err(_) => refused += 1,
        }
    }
    crowd
}

#[expect(clippy::disallowed_methods, reason = "the task ends with its client, and the runtime with its test")]
fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static) {
    tokio::spawn(async move { drop(connection.await) });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_more_connections_is_named_and_waited_out() {
    let settings = vec![("max_connections".to_owned(), "12".to_owned())];
    let postgres = blocking(|| Postgres::temporary(false, settings).expect("Postgres starts")).await;
    let database = TestDatabase::create_on(&postgres.url()).await.expect("a database");
    let store = impatient(database.url()).await;
    let mut given = vec![append_once(&store, unit(tenant(1), &stream(), 0, 1)).await];
    let axe = database.connect().await;
    let mut others = crowd(database.url()).await;
    let refused = EventStore::open(StoreOptions::new(database.url(), key()), Clock::system()).await.err();
    let refused = refused.expect("there is no room").to_string();
    assert!(refused.contains("too many clients"), "{refused}");
    // The writer loses its place, and somebody else is faster.
    axe.batch_execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%es.append%' AND pid <> pg_backend_pid()",
    )
    .await
    .expect("a superuser may cut");
    others.extend(crowd(database.url()).await);
    let waiting = unit(tenant(1), &stream(), 0, 1);
    let reason = why_not(&store, &waiting).await;
    assert!(reason.contains("too many clients"), "{reason}");
    drop(others);
    given.push(append_once(&store, waiting).await);
    assert_each_once(&store, &given).await;
}

/// A Postgres whose disk can be full: the same data and the same address, started with a library in front of the
/// kernel's functions.
struct Cramped {
    server: Child,
    full: PathBuf,
    /// Whose data it is.
    _stopped: Postgres,
}

impl Cramped {
    async fn around(mut postgres: Postgres, programs: PathBuf) -> Self {
        let place = postgres.data_dir().to_owned();
        let (library, full) = (place.join("full_disk.so"), place.join("the_disk_is_full"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/full_disk.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
        assert!(compiler.status().expect("the tests need a C compiler").success());
        let config: Config = postgres.url().parse().expect("it has a URL");
        let Some(Host::Unix(socket)) = config.get_hosts().first().cloned() else { panic!("it listens on a socket") };
        let postgres = blocking(move || {
            postgres.stop().expect("Postgres stops");
            postgres
        })
        .await;
        let data = place.join("cluster");
        let owner = fs::metadata(&data).expect("there is data");
        let mut server = Command::new(programs.join("postgres"));
        server.arg("-D").arg(data).arg("-k").arg(socket).args(["-c", "listen_addresses="]).current_dir(&place);
        server.env("LD_PRELOAD", library).env("GUILDHALL_FULL_DISK", &full);
        server.stdin(Stdio::null()).stderr(File::create(place.join("cramped.log")).expect("a log"));
        if fs::metadata("/proc/self").expect("we run").uid() == 0 {
            server.uid(owner.uid()).gid(owner.gid());
        }
        Self { server: server.spawn().expect("Postgres starts"), full, _stopped: postgres }
    }

    fn fill(&self) {
        File::create(&self.full).expect("the test may write there");
    }

    fn make_room(&self) {
        fs::remove_file(&self.full).expect("the disk was full");
    }
}

impl Drop for Cramped {
    fn drop(&mut self) {
        // Its workers notice at once that their parent is gone.
        let _ended = self.server.kill().and_then(|()| self.server.wait());
    }
}

/// One event that fits on no page that is there already.
fn bulky() -> Unit {
    let mut unit = unit(tenant(1), &stream(), 0, 1);
    unit.commands[0].events[0].payload = vec![b'x'; 200_000].into();
    unit
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing_and_is_no_matter_once_there_is_room() {
    let postgres = blocking(|| Postgres::temporary(true, Vec::new()).expect("Postgres starts")).await;
    let database = TestDatabase::create_on(&postgres.url()).await.expect("a database");
    let programs = database.connect().await;
    let programs = programs.query_one("SELECT setting FROM pg_config WHERE name = 'BINDIR'", &[]).await;
    let programs = programs.expect("a superuser may ask").get::<_, String>(0).into();
    let cramped = Cramped::around(postgres, programs).await;
    let config: Config = database.url().parse().expect("a test database has a URL");
    until("Postgres answers again", || async { config.connect(NoTls).await.is_ok() }).await;
    let store = impatient(database.url()).await;
    let mut given = vec![append_once(&store, bulky()).await];
    cramped.fill();
    let waiting = bulky();
    let reason = why_not(&store, &waiting).await;
    assert!(reason.contains("No space left on device"), "{reason}");
    assert_eq!(store.read_after(0, 10).await.expect("what is there can be read").len(), 1);
    cramped.make_room();
    given.push(append_once(&store, waiting).await);
    given.push(append_once(&another_node(database.url()).await, bulky()).await);
    assert_each_once(&store, &given).await;
    store.shutdown().await;
}
