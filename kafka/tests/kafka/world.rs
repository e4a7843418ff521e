//! What the tests share: a history of its own and a generation of topics of its own for each, and a reader that
//! keeps what it was given the way a projection does.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures::future::join_all;
use guildhall_aggregates::TenantId;
use guildhall_event_store::{
    Actor, Clock, DecidedCommand, EventStore, KeyEncryptionKey, Metadata, NewEvent, RecordedEvent, StoreOptions,
    StreamId, Unit, UnitOutcome,
};
use guildhall_kafka::{
    Consumer, ConsumerError, ConsumerOptions, GroupProtocol, KafkaOptions, PartitionBatch, Place, Relay, RelayError,
    RelayOptions, Resume, Topic,
};
use guildhall_sandbox::testing::{TestDatabase, kafka_brokers};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use tokio::task::JoinSet;
use tokio_postgres::types::{Json, ToSql};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a test waits for what it expects. Never reached when all is well.
const DEADLINE: Duration = Duration::from_secs(90);

/// Partitions of each topic: so many that most of them stay empty.
pub(crate) const PARTITIONS: u16 = 6;

const CATEGORIES: [&str; 9] = [
    "association",
    "association_event",
    "event_roster",
    "invoice",
    "invoice_series",
    "member",
    "membership",
    "membership_plan",
    "payment",
];

/// A history and a generation of topics.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) store: EventStore,
    pub(crate) kafka: KafkaOptions,
}

impl World {
    /// None when the tests run without Kafka.
    pub(crate) async fn open() -> Option<Self> {
        Some(Self::on(&kafka_brokers()?).await)
    }

    pub(crate) async fn on(brokers: &str) -> Self {
        // Shown when a test fails. Only the first test of the process sets it up.
        recorder();
        let _ = tracing_subscriber::fmt().with_env_filter("info").with_test_writer().try_init();
        let mut kafka = KafkaOptions::new(brokers);
        kafka.partitions = PARTITIONS;
        kafka.prefix = format!("test-{}", Uuid::now_v7().simple());
        Self::with(kafka).await
    }

    /// On three brokers, with three copies of everything.
    pub(crate) async fn on_cluster(brokers: &str) -> Self {
        let mut world = Self::on(brokers).await;
        world.kafka.replication = 3;
        world
    }

    /// A history of its own on topics that may be another's.
    pub(crate) async fn with(kafka: KafkaOptions) -> Self {
        let database = TestDatabase::create().await;
        let options = StoreOptions::new(database.url(), KeyEncryptionKey::generate());
        let store = EventStore::open(options, Clock::system()).await.expect("the database was just made");
        Self { database, store, kafka }
    }

    /// Appends events to as many streams as are asked for, all at once, so that they mix.
    pub(crate) async fn append(&self, streams: u64, events_each: u64) {
        let work = (0..streams).map(|stream| self.append_to(stream, events_each));
        join_all(work).await;
    }

    async fn append_to(&self, stream: u64, events: u64) {
        let category = CATEGORIES[usize::try_from(stream).expect("a small number") % CATEGORIES.len()];
        let tenant = TenantId::new(Uuid::from_u64_pair(1, stream % 3));
        let stream = StreamId::new(category, Uuid::from_u64_pair(2, stream));
        let mut version = 0;
        let after = self.store.read_stream(tenant, &stream, 0, 10_000).await.expect("the store answers");
        let before = u64::try_from(after.len()).expect("a small number");
        while version < events {
            let count = (events - version).min(10);
            let unit = Unit {
                tenant,
                stream: stream.clone(),
                expected_version: before + version,
                commands: vec![command(version, count)],
            };
            let outcome = self.store.append(unit).await.expect("the store answers");
            assert!(matches!(outcome, UnitOutcome::Appended(_)), "{outcome:?}");
            version += count;
        }
    }

    /// Appends events of another application's aggregate, each a stream of its own.
    pub(crate) async fn append_foreign(&self, events: u64) {
        let unit = |nth| Unit {
            tenant: TenantId::new(Uuid::from_u64_pair(1, 0)),
            stream: StreamId::new("app_order", Uuid::now_v7()),
            expected_version: 0,
            commands: vec![command(nth, 1)],
        };
        for outcome in join_all((0..events).map(|nth| self.store.append(unit(nth)))).await {
            let outcome = outcome.expect("the store answers");
            assert!(matches!(outcome, UnitOutcome::Appended(_)), "{outcome:?}");
        }
    }

    pub(crate) async fn head(&self) -> u64 {
        self.store.head().await.expect("the store answers")
    }

    /// All of history.
    pub(crate) async fn history(&self) -> Vec<RecordedEvent> {
        let mut events: Vec<RecordedEvent> = Vec::new();
        loop {
            let after = events.last().map_or(0, |event| event.position);
            let page = self.store.read_after(after, 10_000).await.expect("the store answers");
            if page.is_empty() {
                return events;
            }
            events.extend(page);
        }
    }

    pub(crate) fn relay_options(&self) -> RelayOptions {
        RelayOptions::new(self.kafka.clone())
    }

    pub(crate) fn relay(&self) -> Running {
        self.relay_with(self.relay_options())
    }

    pub(crate) fn relay_with(&self, options: RelayOptions) -> Running {
        let relay = Relay::new(self.store.clone(), options).expect("the options are good");
        let stop = CancellationToken::new();
        let (mut task, stopped) = (JoinSet::new(), stop.clone());
        task.spawn(async move { relay.run(stopped).await });
        Running { task, stop }
    }

    /// A relay that finds everything up to a position already sent.
    pub(crate) async fn relay_from(&self, position: u64) -> Running {
        self.set_checkpoint(position).await;
        self.relay()
    }

    /// Makes the generation's row, as a relay that got this far leaves it.
    pub(crate) async fn set_checkpoint(&self, position: u64) {
        let mut history = self.history().await;
        history.retain(|event| event.position <= position);
        let mut last: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for event in &history {
            let place = Place::of(event.tenant, &event.stream, PARTITIONS).expect("every category has a topic");
            last.entry(place.topic.suffix()).or_insert_with(|| vec![0; usize::from(PARTITIONS)])
                [usize::from(place.partition)] = event.position;
        }
        let statement = "INSERT INTO es.relay (name, partitions, position, leaf_hash, last_positions)
                         VALUES ($1, $2, $3, $4, $5)";
        let leaf_hash = history.last().map(|event| event.leaf_hash.as_slice());
        let position = i64::try_from(position).expect("a small number");
        let client = self.database.connect().await;
        let partitions = i32::from(PARTITIONS);
        let values: &[&(dyn ToSql + Sync)] = &[&self.kafka.prefix, &partitions, &position, &leaf_hash, &Json(last)];
        client.execute(statement, values).await.expect("the statement is good");
    }

    /// One value of the generation's row in `es.relay`.
    pub(crate) async fn relay_row(&self, column: &str) -> i64 {
        let client = self.database.connect().await;
        let query = format!("SELECT {column}::bigint FROM es.relay WHERE name = $1");
        let row = client.query_opt(&query, &[&self.kafka.prefix]).await.expect("the query is good");
        row.map_or(0, |row| row.get(0))
    }

    /// Changes the generation's row behind the relay's back.
    pub(crate) async fn tamper(&self, assignment: &str) {
        let client = self.database.connect().await;
        let statement = format!("UPDATE es.relay SET {assignment} WHERE name = $1");
        let rows = client.execute(&statement, &[&self.kafka.prefix]).await.expect("the statement is good");
        assert_eq!(rows, 1);
    }

    /// A reader that takes nothing from history and believes what it reads: all it has was in Kafka.
    pub(crate) fn believer(&self) -> Reader {
        let mut options = ConsumerOptions::new(self.kafka.clone(), self.kafka.prefix.clone());
        options.protocol = GroupProtocol::Consumer;
        options.compare = false;
        Reader::with(options, self.store.clone(), Arc::default())
    }

    /// A reader in a group that is its own.
    pub(crate) fn reader(&self) -> Reader {
        Reader::start(self, GroupProtocol::Consumer, Arc::default())
    }
}

/// Takes the topics away, so that a broker that serves many runs is not buried under them.
impl Drop for World {
    fn drop(&mut self) {
        let admin = ClientConfig::new().set("bootstrap.servers", &self.kafka.brokers).create();
        let Ok(admin): Result<AdminClient<DefaultClientContext>, _> = admin else { return };
        let names = names(&self.kafka.prefix);
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let soon = AdminOptions::new().request_timeout(Some(Duration::from_secs(5)));
        // Topics that stay harm nobody, and some were never made.
        let _ = futures::executor::block_on(admin.delete_topics(&names, &soon));
    }
}

fn command(nth: u64, events: u64) -> DecidedCommand {
    let metadata = Metadata {
        command: "Test".to_owned(),
        actor: Actor::Caller("tester".to_owned()),
        correlation_id: Uuid::now_v7(),
        causation_id: None,
        traceparent: None,
    };
    let event = |n: u64| NewEvent {
        event_id: Uuid::now_v7(),
        type_name: "Tested".into(),
        schema_version: 1,
        payload: Bytes::from(format!("{{\"n\":{}}}", nth + n)),
    };
    DecidedCommand {
        command_id: Uuid::now_v7(),
        request_hash: [0; 32],
        metadata: serde_json::to_vec(&metadata).expect("metadata is plain data").into(),
        events: (0..events).map(event).collect(),
        claims: Vec::new(),
    }
}

/// A relay at work. Dropped, it ends as a killed process does.
pub(crate) struct Running {
    task: JoinSet<Result<(), RelayError>>,
    stop: CancellationToken,
}

impl Running {
    /// Tells it to stop, and waits until it has.
    pub(crate) async fn shutdown(self) {
        self.stop.cancel();
        self.ended().await.expect("a relay that is told to stop ends well");
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(mut self) -> Result<(), RelayError> {
        let ended = within("the relay's end", self.task.join_next()).await;
        ended.expect("there is one task").expect("the relay does not panic")
    }
}

/// What a test waits for, which must happen before its deadline.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// What a projection would store: for each partition the events, and where to go on.
#[derive(Default)]
pub(crate) struct Applied {
    pub(crate) partitions: BTreeMap<(String, i32), (Resume, Vec<RecordedEvent>)>,
    /// How often a partition was taken up.
    claims: i64,
    /// How many events came that had been applied before.
    repeated: usize,
}

/// A member of a group that applies what it gets and remembers how far it got.
pub(crate) struct Reader {
    consumer: Consumer,
    applied: Arc<Mutex<Applied>>,
}

impl Reader {
    pub(crate) fn start(world: &World, protocol: GroupProtocol, applied: Arc<Mutex<Applied>>) -> Self {
        let mut options = ConsumerOptions::new(world.kafka.clone(), world.kafka.prefix.clone());
        options.protocol = protocol;
        let store = world.store.clone();
        Self::with(options, store, applied)
    }

    pub(crate) fn with(options: ConsumerOptions, store: EventStore, applied: Arc<Mutex<Applied>>) -> Self {
        let known = Arc::clone(&applied);
        let resume = move |topic, partition| {
            let mut known = lock(&known);
            known.claims += 1;
            let claim = known.claims;
            let (resume, _) = known.partitions.entry((topic, partition)).or_default();
            resume.claim = claim;
            let resume = *resume;
            async move { Ok::<_, Infallible>(resume) }
        };
        let consumer = Consumer::start(options, store, resume).expect("the options are good");
        Self { consumer, applied }
    }

    /// The checkpoints, for another reader to write to as well.
    pub(crate) fn shared(&self) -> Arc<Mutex<Applied>> {
        Arc::clone(&self.applied)
    }

    pub(crate) fn applied(&self) -> MutexGuard<'_, Applied> {
        lock(&self.applied)
    }

    /// The next round, applied.
    pub(crate) async fn round(&mut self) -> Result<(), ConsumerError> {
        let round = within("a round", self.consumer.next()).await?;
        for batch in round {
            self.apply(batch);
        }
        Ok(())
    }

    fn apply(&self, batch: PartitionBatch) {
        let mut applied = self.applied();
        let Applied { partitions, repeated, .. } = &mut *applied;
        let (resume, events) = partitions.entry((batch.topic, batch.partition)).or_default();
        // What a projection's checkpoint does: a batch that was on its way when the partition moved changes nothing.
        if batch.claim != resume.claim {
            return;
        }
        let (new, old): (Vec<_>, Vec<_>) = batch.events.into_iter().partition(|event| event.position > resume.reached);
        *repeated += old.len();
        events.extend(new);
        *resume = Resume { next_offset: batch.next_offset, reached: batch.reached, claim: batch.claim };
    }

    /// Reads until every partition has reached a position.
    pub(crate) async fn read_to(&mut self, position: u64) {
        while !self.has_reached(position) {
            self.round().await.expect("the consumer goes on");
        }
    }

    /// Whether every partition has.
    pub(crate) fn has_reached(&self, position: u64) -> bool {
        let applied = self.applied();
        let reached = applied.partitions.values().filter(|(resume, _)| resume.reached >= position);
        reached.count() == Place::all(PARTITIONS).count()
    }

    /// Reads until it has at least so many events.
    pub(crate) async fn read_events(&mut self, events: usize) {
        while self.count() < events {
            self.round().await.expect("the consumer goes on");
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.applied().partitions.values().map(|(_, events)| events.len()).sum()
    }

    /// Leaves the group and gives back what was applied.
    pub(crate) async fn shutdown(self) -> Arc<Mutex<Applied>> {
        within("the consumer's end", self.consumer.shutdown()).await;
        self.applied
    }

    /// Every event of history came once, unchanged, in the order of its partition, in the right partition.
    pub(crate) fn assert_has_exactly(&self, history: &[RecordedEvent], prefix: &str) {
        assert_eq!(self.applied().repeated, 0, "events came twice");
        self.assert_applied_exactly(history, prefix);
    }

    /// The same, though some may have come to two readers while a partition moved from one to the other.
    pub(crate) fn assert_applied_exactly(&self, history: &[RecordedEvent], prefix: &str) {
        let applied = self.applied();
        for ((topic, partition), (_, events)) in &applied.partitions {
            assert!(events.is_sorted_by_key(|event| event.position), "{topic}/{partition} is out of order");
            for event in events {
                let place = Place::of(event.tenant, &event.stream, PARTITIONS).expect("every category has a topic");
                assert_eq!((&place.topic.name(prefix), i32::from(place.partition)), (topic, *partition));
            }
        }
        let mut events: Vec<_> = applied.partitions.values().flat_map(|(_, events)| events.iter()).collect();
        events.sort_by_key(|event| event.position);
        let positions = |events: &[&RecordedEvent]| events.iter().map(|event| event.position).collect::<Vec<_>>();
        let wanted: Vec<_> = history.iter().collect();
        assert_eq!(positions(&events), positions(&wanted), "events are missing or were applied twice");
        assert_eq!(events, wanted);
    }
}

fn lock(applied: &Mutex<Applied>) -> MutexGuard<'_, Applied> {
    applied.lock().expect("no test panics while it holds this")
}

/// What a counter of this process stands at, over all its labels. Other tests may count, too.
pub(crate) fn counted(counter: &str) -> u64 {
    let rendered = recorder().render();
    let lines = rendered.lines().filter(|line| line.starts_with(counter));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Counts from the first call on.
pub(crate) fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| PrometheusBuilder::new().install_recorder().expect("nobody else records"))
}

/// The topics' names.
pub(crate) fn names(prefix: &str) -> Vec<String> {
    Topic::ALL.into_iter().map(|topic| topic.name(prefix)).collect()
}
