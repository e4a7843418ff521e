//! Partitions leave for cold storage and come back, and nobody takes what is away for what never was.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use guildhall_event_store::{
    EventStore, LoadError, Loaded, StoreError, StreamId, Unit, UnitOutcome, VerifyOptions,
    archive::{self, ArchiveError},
    partitions::{self, Partition, PartitionState},
};
use guildhall_sandbox::testing::TestDatabase;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::{
    loading::Counter,
    support::{another_node, event, receipts, tenant, unit, until},
};

/// Partitions of 100 positions instead of ten millions.
const NARROW: &str = "
    DROP TABLE es.event_0, es.event_1;
    DO $$
    DECLARE bound bigint[];
    BEGIN
        FOREACH bound SLICE 1 IN ARRAY ARRAY[[0, 0, 100], [1, 100, 200], [2, 200, 20000000]]::bigint[][] LOOP
            EXECUTE format('CREATE TABLE es.event_%s (LIKE es.event INCLUDING STORAGE INCLUDING CONSTRAINTS);
                ALTER TABLE es.event_%1$s ADD PRIMARY KEY (position), ADD UNIQUE (stream_key, version);
                CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON es.event_%1$s
                    FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();
                ALTER TABLE es.event ATTACH PARTITION es.event_%1$s FOR VALUES FROM (%s) TO (%s)', VARIADIC bound);
        END LOOP;
    END $$";

/// This many events that count.
fn counting(stream: &StreamId, expected_version: u64, events: usize) -> Unit {
    let mut unit = unit(tenant(1), stream, expected_version, 0);
    let counted = || {
        let mut event = event("");
        event.payload = Bytes::from_static(br#"{"type":"Counted","by":1}"#);
        event
    };
    unit.commands[0].events = std::iter::repeat_with(counted).take(events).collect();
    unit
}

/// A history over three partitions.
struct History {
    database: TestDatabase,
    store: EventStore,
    client: Client,
    folder: PathBuf,
    /// 1 to 60 in the first partition, 100 to 149 in the second.
    goes_on: StreamId,
    /// 61 to 90, and nothing since.
    ended: StreamId,
    /// The command that made the first sixty events.
    first: Unit,
}

impl History {
    async fn begin() -> Self {
        let database = TestDatabase::create().await;
        let client = database.connect().await;
        client.batch_execute(NARROW).await.expect("the owner may do that");
        let store = another_node(database.url()).await;
        let [goes_on, ended, other, last] = std::array::from_fn(|_| StreamId::new("counter", Uuid::now_v7()));
        let first = counting(&goes_on, 0, 60);
        receipts(store.append(first.clone()).await);
        for unit in [
            counting(&ended, 0, 30),
            counting(&other, 0, 9),
            counting(&goes_on, 60, 50),
            counting(&other, 9, 50),
            counting(&last, 0, 5),
        ] {
            receipts(store.append(unit).await);
        }
        let folder = std::env::temp_dir().join(format!("guildhall-archive-{}", Uuid::now_v7()));
        Self { database, store, client, folder, goes_on, ended, first }
    }

    async fn archive(&mut self, name: &str) -> Result<(PathBuf, archive::Manifest), ArchiveError> {
        archive::archive(&mut self.client, name, &self.folder, |_, _| ()).await
    }

    async fn attach(&mut self, name: &str) -> Result<archive::Manifest, ArchiveError> {
        archive::attach(&mut self.client, &self.folder.join(name), |_, _| ()).await
    }

    async fn partitions(&self) -> Vec<Partition> {
        partitions::list(&self.client).await.expect("they are listed")
    }

    async fn load(&self, stream: &StreamId) -> Result<Loaded<Counter>, LoadError> {
        self.store.load::<Counter>(tenant(1), stream.id).await
    }

    /// All of history is here, as it was recorded.
    async fn is_whole(&self) -> bool {
        let report = self.store.verify(VerifyOptions::default(), |_| ()).await.expect("history is there");
        let goes_on = self.load(&self.goes_on).await.expect("it is read");
        let ended = self.load(&self.ended).await.expect("it is read");
        let states: Vec<_> = self.partitions().await.iter().map(|partition| partition.state).collect();
        report.first_difference.is_none()
            && (goes_on.version, goes_on.state.total) == (110, 110)
            && (ended.version, ended.state.total) == (30, 30)
            && states == [PartitionState::Sealed, PartitionState::Sealed, PartitionState::Hot]
    }
}

impl Drop for History {
    fn drop(&mut self) {
        // Not there where nothing was archived.
        let _removed = fs::remove_dir_all(&self.folder);
    }
}

/// Whether somebody was told which positions are away.
fn says_archived<T>(outcome: Result<T, impl std::error::Error>, positions: &str) -> bool {
    let Err(error) = outcome else { return false };
    error.to_string().contains(&format!("positions {positions} are archived"))
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_listed_made_ahead_and_vacuumed_once_sealed() {
    let history = History::begin().await;
    let listed = history.partitions().await;
    let bounds: Vec<_> =
        listed.iter().map(|one| (&*one.name, one.first_position, one.last_position, one.events)).collect();
    assert_eq!(bounds, [("event_0", 1, 99, 99), ("event_1", 100, 199, 100), ("event_2", 200, 19_999_999, 5)]);
    assert!(listed.iter().all(|one| one.indexes.len() == 3 && one.index_bytes > 0), "{listed:?}");
    assert_eq!(partitions::vacuum_sealed(&history.client).await.expect("it is done"), ["event_0", "event_1"]);
    until("nothing needs it any more", || async {
        partitions::vacuum_sealed(&history.client).await.expect("it is done").is_empty()
    })
    .await;

    let fresh = TestDatabase::create().await;
    let client = fresh.connect().await;
    partitions::make_ahead(&client, 3).await.expect("they are made");
    let ahead = partitions::list(&client).await.expect("they are listed");
    assert_eq!(ahead.last().map(|last| (last.last_position, last.state)), Some((39_999_999, PartitionState::Ahead)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_archived_is_neither_a_hole_nor_an_empty_stream() {
    let mut history = History::begin().await;
    let (folder, manifest) = history.archive("event_0").await.expect("it is sealed");
    assert!(folder.join("manifest.json").exists());
    // One stream goes on in a later partition; of the other two, the last event stays unless it is there, too.
    assert_eq!((manifest.first_position, manifest.last_position, manifest.kept), (1, 99, 1));
    let first = history.partitions().await.remove(0);
    assert_eq!((first.state, first.events), (PartitionState::Archived, 1));

    let History { store, goes_on, ended, .. } = &history;
    assert_eq!(store.head().await.expect("history is there"), 204);
    assert!(says_archived(store.read_after(0, 10).await, "1 to 99"));
    assert!(says_archived(store.read_after(50, 10).await, "1 to 99"));
    assert_eq!(store.read_after(99, 200).await.expect("the rest is here").len(), 105);
    assert_eq!(store.missing(&[(50, [0; 32])]).await.expect("history is there"), []);
    assert!(says_archived(store.read_tenant_after(tenant(1), 0, 10).await, "1 to 99"));
    assert!(says_archived(store.read_tenant_after(tenant(2), 0, 10).await, "1 to 99"));
    assert_eq!(store.read_tenant_after(tenant(1), 99, 10).await.expect("the rest is here").len(), 10);
    assert!(says_archived(store.read_stream(tenant(1), goes_on, 0, 10).await, "1 to 99"));
    assert_eq!(store.read_stream(tenant(1), goes_on, 60, 100).await.expect("the rest is here").len(), 50);
    assert!(says_archived(store.read_stream(tenant(1), ended, 0, 10).await, "1 to 99"));
    assert!(says_archived(history.load(goes_on).await, "1 to 99"));
    assert!(says_archived(history.load(ended).await, "1 to 99"));
    assert!(says_archived(
        another_node(history.database.url()).await.load::<Counter>(tenant(1), ended.id).await,
        "1 to 99"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_appended_to_an_archived_stream_at_a_wrong_version() {
    let mut history = History::begin().await;
    history.archive("event_0").await.expect("it is sealed");
    let History { store, goes_on, ended, first, .. } = &history;
    for (stream, wrong, right) in [(goes_on, [0, 60], 110), (ended, [0, 29], 30)] {
        for expected in wrong {
            let outcome = store.append(counting(stream, expected, 1)).await.expect("it is judged");
            assert_eq!(outcome, UnitOutcome::Conflict { actual: right });
        }
        receipts(store.append(counting(stream, right, 1)).await);
    }
    // A command of the archived time is known, and its receipt cannot be given.
    let outcome: Result<UnitOutcome, StoreError> = store.append(first.clone()).await;
    assert!(says_archived(outcome, "1 to 99"));
    let command = first.commands[0].command_id;
    assert!(says_archived(store.recorded_command(tenant(1), command).await, "1 to 99"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_what_was_taken_away_also_a_second_time() {
    let mut history = History::begin().await;
    for _ in 0..2 {
        for name in ["event_0", "event_1"] {
            history.archive(name).await.expect("it is sealed");
        }
        assert!(says_archived(history.store.read_after(0, 10).await, "1 to 99"));
        assert!(says_archived(history.store.read_after(99, 10).await, "100 to 199"));
        for name in ["event_1", "event_0"] {
            history.attach(name).await.expect("it is what was archived");
        }
        assert!(history.is_whole().await);
        fs::remove_dir_all(&history.folder).expect("it is not needed any more");
    }
    let again = history.store.append(history.first.clone()).await.expect("it is known");
    assert!(matches!(again, UnitOutcome::Duplicate(found) if found[0].receipt.events.len() == 60));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_was_changed_does_not_come_back() {
    let mut history = History::begin().await;
    let (folder, manifest) = history.archive("event_0").await.expect("it is sealed");
    for file in [&*manifest.events[0].name, &*manifest.streams.name, "manifest.json"] {
        let path = folder.join(file);
        let whole = fs::read(&path).expect("it is there");
        changed(&path, &whole);
        let refused = history.attach("event_0").await.expect_err("it was changed");
        let known = matches!(refused, ArchiveError::Damaged(_) | ArchiveError::NotAnArchive { .. });
        assert!(known, "{file}: {refused}");
        assert!(says_archived(history.store.read_after(0, 10).await, "1 to 99"), "nothing came back");
        fs::write(&path, whole).expect("it is written");
    }
    history.attach("event_0").await.expect("it is what was archived");
    assert!(history.is_whole().await);
    let refused = history.attach("event_0").await.expect_err("it is back already");
    assert!(refused.to_string().contains("not archived here"), "{refused}");
}

/// The file with another digit in its middle or, where there are only numbers, in its digest.
fn changed(path: &Path, whole: &[u8]) {
    let mut bytes = whole.to_vec();
    let at = (bytes.len() / 2..bytes.len()).find(|at| bytes[*at].is_ascii_hexdigit()).expect("there is one");
    bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    fs::write(path, bytes).expect("it is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_not_full_or_not_as_it_was_recorded_stays() {
    let mut history = History::begin().await;
    let refused = history.archive("event_2").await.expect_err("events are appended to it");
    assert!(refused.to_string().contains("not sealed"), "{refused}");
    let refused = history.archive("event_7").await.expect_err("it is not there");
    assert!(refused.to_string().contains("event_0, event_1, event_2"), "{refused}");
    let half_sealed = "INSERT INTO es.sealed (position) VALUES (50)";
    history.client.batch_execute(half_sealed).await.expect("the owner may do anything");
    let refused = history.archive("event_0").await.expect_err("the sealer still needs it");
    assert!(refused.to_string().contains("under a signed checkpoint"), "{refused}");
    history.client.batch_execute("UPDATE es.sealed SET position = 99").await.expect("the owner may do anything");
    let tampering =
        "ALTER TABLE es.event_0 DISABLE TRIGGER ALL; UPDATE es.event_0 SET payload = '{}' WHERE position = 7";
    history.client.batch_execute(tampering).await.expect("the owner may do anything");
    let refused = history.archive("event_0").await.expect_err("it was changed");
    assert!(refused.to_string().contains("position 7"), "{refused}");
    let states = history.partitions().await;
    assert!(states.iter().all(|partition| partition.state != PartitionState::Archived), "{states:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_and_reads_go_on_while_partitions_leave_and_return() {
    let mut history = History::begin().await;
    let done = Arc::new(AtomicBool::new(false));
    let appending = {
        let (store, done, stream) = (history.store.clone(), Arc::clone(&done), history.ended.clone());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let mut version = 30;
            while !done.load(Ordering::Relaxed) {
                receipts(store.append(counting(&stream, version, 1)).await);
                version += 1;
                let newest = store.read_stream(tenant(1), &stream, version - 1, 10).await.expect("it is here");
                assert_eq!(newest.len(), 1);
            }
            version
        });
        tasks
    };
    for name in ["event_0", "event_1"] {
        history.archive(name).await.expect("it is sealed");
    }
    for name in ["event_0", "event_1"] {
        history.attach(name).await.expect("it is what was archived");
    }
    done.store(true, Ordering::Relaxed);
    let versions = appending.join_all().await;
    let ended = history.load(&history.ended).await.expect("all of it is here");
    assert_eq!(versions, [ended.version]);
    let report = history.store.verify(VerifyOptions::default(), |_| ()).await.expect("history is there");
    assert_eq!(report.first_difference, None);
}
