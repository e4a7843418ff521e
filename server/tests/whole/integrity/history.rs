//! A history worth attacking: several associations, streams and partitions, sealed and signed while it grew, and what an
//! auditor kept of it.

use bytes::Bytes;
use guildhall_aggregates::{TenantId, tenant_of_slug};
use guildhall_event_store::{
    Clock, DecidedCommand, EventStore, KeyEncryptionKey, NewEvent, StoreOptions, StreamId, Unit, UnitOutcome,
};
use guildhall_integrity::{Keys, SigningKey, sign_now};
use guildhall_sandbox::testing::TestDatabase;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::dice::Dice;

/// The associations. The first has so many records that full tiles of its log are stored.
pub(super) const SLUGS: [&str; 3] = ["lakeside", "old-mint", "harbour"];

/// Units appended between two checkpoints.
const UNITS: u64 = 70;

/// Where the second partition begins. The first is made this narrow before anything is in it.
const SECOND_PARTITION: i64 = 130;

pub(super) struct History {
    /// Dropped with this value.
    _database: TestDatabase,
    pub(super) store: EventStore,
    /// The attacker's connection: a superuser's, past every trigger.
    pub(super) attacker: Client,
    /// What the auditor kept: every checkpoint that was signed, with the association it is of.
    pub(super) kept: Vec<(TenantId, String)>,
}

impl History {
    /// Records, seals and signs three times, each time more than before; then the attacker takes over.
    pub(super) async fn record(dice: &mut Dice) -> Self {
        let database = TestDatabase::create().await;
        let owner = database.connect().await;
        owner.batch_execute(&narrow_partitions()).await.expect("partitions are made by their owner");
        let key = KeyEncryptionKey::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").expect("32 bytes");
        let options = StoreOptions { pool_size: 4, ..StoreOptions::new(database.url(), key) };
        let store = EventStore::open(options, Clock::system()).await.expect("the database was migrated for this test");
        let mut history = Self { _database: database, store, attacker: owner, kept: Vec::new() };
        let mut versions = vec![0; 12];
        for _ in 0..3 {
            for _ in 0..UNITS {
                history.append_unit(dice, &mut versions).await;
            }
            for tenant in tenants() {
                let signed = sign_now(&history.store, tenant, &keys(OPERATOR)).await.expect("a checkpoint is signed");
                history.kept.push((tenant, signed.expect("there is something new").note));
            }
        }
        history.attacker.batch_execute(TAKE_OVER).await.expect("a superuser can do anything");
        history
    }

    /// Whether anything of history is other than it was recorded.
    pub(super) async fn is_changed(&self) -> bool {
        let row = self.attacker.query_one(DIFFERENCES, &[]).await.expect("tables can be compared");
        row.get::<_, i64>(0) > 0
    }

    /// Makes everything as it was before an attack.
    pub(super) async fn restore(&self) {
        self.attacker.batch_execute(RESTORE).await.expect("a superuser can");
    }

    /// One to three commands of a stream, each with no event, one or several.
    async fn append_unit(&self, dice: &mut Dice, versions: &mut [u64]) {
        let number = dice.index(versions.len());
        // Two of three records are the first association's.
        let slug = SLUGS[if number < 8 { 0 } else { 1 + number % 2 }];
        let stream = StreamId::new("counter", Uuid::from_u128(0xC000 + number as u128));
        let commands: Vec<_> = (0..=dice.below(2)).map(|_| command(dice)).collect();
        let events: usize = commands.iter().map(|command| command.events.len()).sum();
        let unit = Unit { tenant: tenant_of_slug(slug), stream, expected_version: versions[number], commands };
        versions[number] += events as u64;
        let outcome = self.store.append(unit).await;
        assert!(matches!(outcome, Ok(UnitOutcome::Appended(_))), "{outcome:?}");
    }
}

/// The secret of the key that signs, and of one that nobody trusts.
pub(super) const OPERATOR: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
pub(super) const STRANGER: &str = "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=";

pub(super) fn keys(secret: &str) -> Keys {
    Keys::new(Some(SigningKey::parse(secret).expect("32 bytes")), None, &[]).expect("no other keys")
}

pub(super) fn tenants() -> [TenantId; 3] {
    SLUGS.map(tenant_of_slug)
}

fn command(dice: &mut Dice) -> DecidedCommand {
    let events = [0, 1, 1, 2, 3, 5][dice.index(6)];
    DecidedCommand {
        command_id: dice.uuid(),
        request_hash: [7; 32],
        metadata: Bytes::from_static(br#"{"command":"Count","actor":{"kind":"caller","name":"clerk-7"}}"#),
        events: (0..events).map(|_| event(dice)).collect(),
        claims: Vec::new(),
    }
}

fn event(dice: &mut Dice) -> NewEvent {
    NewEvent {
        event_id: dice.uuid(),
        type_name: "Counted".into(),
        schema_version: 1,
        payload: format!(r#"{{"type":"Counted","by":{},"note":"número"}}"#, dice.below(1_000)).into(),
    }
}

fn narrow_partitions() -> String {
    let partition = |name, from, to| {
        format!(
            "CREATE TABLE es.{name} (LIKE es.event INCLUDING STORAGE INCLUDING CONSTRAINTS);
             ALTER TABLE es.{name} ADD PRIMARY KEY (position), ADD UNIQUE (stream_key, version);
             ALTER TABLE es.event ATTACH PARTITION es.{name} FOR VALUES FROM ({from}) TO ({to});"
        )
    };
    [
        "DROP TABLE es.event_0;".to_owned(),
        partition("event_0", 0, SECOND_PARTITION),
        partition("event_0_rest", SECOND_PARTITION, 10_000_000),
    ]
    .concat()
}

/// From here on nothing in the database stops the attacker: no trigger, no constraint, no partition's bounds. What was
/// there is put aside, to be brought back after each attack; the auditor knows nothing of that.
const TAKE_OVER: &str = "
    SET session_replication_role = replica;
    ALTER TABLE es.stream ALTER stream_key DROP IDENTITY;
    CREATE TABLE es.event_anywhere PARTITION OF es.event DEFAULT;
    DO $$
    DECLARE c record;
    BEGIN
        FOR c IN SELECT conrelid::regclass AS of, conname FROM pg_constraint
                 WHERE conrelid IN ('es.event'::regclass, 'es.stream'::regclass, 'es.command_log'::regclass,
                                    'es.log_tile'::regclass, 'es.checkpoint'::regclass)
                   AND contype IN ('c', 'p', 'u') OR conrelid = 'es.log_tail'::regclass AND contype = 'c' LOOP
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.of, c.conname);
        END LOOP;
        FOR c IN SELECT i.inhrelid::regclass AS of, conname FROM pg_inherits i JOIN pg_constraint ON conrelid = i.inhrelid
                 WHERE i.inhparent = 'es.event'::regclass AND contype IN ('c', 'p', 'u') LOOP
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I', c.of, c.conname);
        END LOOP;
    END $$;
    DROP INDEX IF EXISTS es.log_tile_of_position;
    CREATE INDEX ON es.event (position);
    CREATE INDEX ON es.event (stream_key, version);
    CREATE INDEX ON es.stream (stream_key);
    CREATE INDEX ON es.stream (tenant_id, id, category);
    CREATE INDEX ON es.command_log (tenant_id, command_id);
    CREATE INDEX ON es.log_tile (tenant_id, level, index);
    CREATE INDEX ON es.checkpoint (number);
    CREATE SCHEMA aside;
    CREATE TABLE aside.forged (
        position bigint, tenant_id uuid, id uuid, category text, version bigint, recorded_at timestamptz, event_id uuid,
        command_id uuid, schema_version smallint, type text, leaf_hash bytea, metadata bytea, payload bytea);
    CREATE TABLE aside.event AS SELECT * FROM es.event;
    CREATE TABLE aside.stream AS SELECT * FROM es.stream;
    CREATE TABLE aside.command_log AS SELECT * FROM es.command_log;
    CREATE TABLE aside.log_tile AS SELECT * FROM es.log_tile;
    CREATE TABLE aside.log_tail AS SELECT * FROM es.log_tail;
    CREATE TABLE aside.sealed AS SELECT * FROM es.sealed;
    CREATE TABLE aside.checkpoint AS SELECT * FROM es.checkpoint;
";

/// Brings back what was there before an attack.
const RESTORE: &str = "
    TRUNCATE es.event, es.stream, es.command_log, es.log_tile, es.log_tail, es.sealed, es.checkpoint, es.archived;
    INSERT INTO es.event SELECT * FROM aside.event;
    INSERT INTO es.stream SELECT * FROM aside.stream;
    INSERT INTO es.command_log SELECT * FROM aside.command_log;
    INSERT INTO es.log_tile SELECT * FROM aside.log_tile;
    INSERT INTO es.log_tail SELECT * FROM aside.log_tail;
    INSERT INTO es.sealed SELECT * FROM aside.sealed;
    INSERT INTO es.checkpoint SELECT * FROM aside.checkpoint;
";

/// How many rows are not what they were. Receipts of commands that recorded nothing do not count: they are not history, and
/// nothing but their own position and version says that they were there.
const DIFFERENCES: &str = "
    SELECT (SELECT count(*) FROM (TABLE es.event EXCEPT ALL TABLE aside.event) d)
         + (SELECT count(*) FROM (TABLE aside.event EXCEPT ALL TABLE es.event) d)
         + (SELECT count(*) FROM (TABLE es.stream EXCEPT ALL TABLE aside.stream) d)
         + (SELECT count(*) FROM (TABLE aside.stream EXCEPT ALL TABLE es.stream) d)
         + (SELECT count(*) FROM (TABLE es.command_log EXCEPT ALL TABLE aside.command_log) d WHERE event_count <> 0)
         + (SELECT count(*) FROM (TABLE aside.command_log EXCEPT ALL TABLE es.command_log) d WHERE event_count <> 0)
         + (SELECT count(*) FROM (TABLE es.log_tile EXCEPT ALL TABLE aside.log_tile) d)
         + (SELECT count(*) FROM (TABLE aside.log_tile EXCEPT ALL TABLE es.log_tile) d)
         + (SELECT count(*) FROM (TABLE es.log_tail EXCEPT ALL TABLE aside.log_tail) d)
         + (SELECT count(*) FROM es.archived)
         + (SELECT count(*) FROM (TABLE es.checkpoint EXCEPT ALL TABLE aside.checkpoint) d)
         + (SELECT count(*) FROM (TABLE aside.checkpoint EXCEPT ALL TABLE es.checkpoint) d)
";
