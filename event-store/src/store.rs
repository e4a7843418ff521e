//! The door of history: what other rooms hold and call.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use guildhall_aggregates::{Decide, TenantId};
use tokio_postgres::{Client, Config, NoTls};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    Batch, Clock, FeedFilter, FeedPage, LoadError, Loaded, RecordedCommand, RecordedEvent, StoreError, StoreOptions,
    StreamId, Unit, UnitOutcome,
    arrivals::Arrivals,
    error::said,
    feed,
    head::Head,
    line::{self, Lines, Statements},
    load::Loader,
    read,
    selection::{self, Selection, Share},
    snapshot::Snapshots,
    vault::Vault,
    verify::{self, Progress, VerifyOptions, VerifyReport},
    writer::Writer,
};

/// How long a reader waits for a connection.
pub(crate) const POOL_TIMEOUT: Duration = Duration::from_secs(10);

/// A page of history takes milliseconds; compiling its plan would take a hundred times as long.
const READING: &str = "-c statement_timeout=60s -c jit=off";

/// History in one database. Cheap to clone; all clones share one writer, one pool and one vault.
#[derive(Clone)]
pub struct EventStore {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    pool: Pool,
    lines: Lines,
    vault: Vault,
    loader: Loader,
    writer: Writer,
    head: Arc<Head>,
    arrivals: Arrivals,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.writer.close();
        self.stop.cancel();
    }
}

impl EventStore {
    /// Opens the history in a migrated database.
    ///
    /// # Errors
    /// The address makes no sense, nobody answers there, nothing was migrated, or personal data is under another key.
    pub async fn open(options: StoreOptions, clock: Clock) -> Result<Self, StoreError> {
        let config = config(&options.database_url)?;
        let settings = format!("{READING} {}", line::SETTINGS);
        let lines = Lines::new(with_settings(&config, &settings), options.pool_size.div_ceil(2))?;
        let pool = pool(with_settings(&config, READING), options.pool_size)?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let head = Arc::new(Head::new());
        head.look(&pool).await?;
        let kek = &options.key_encryption_key;
        let vault = Vault::open_with(kek, pool.clone(), clock.clone(), &tasks, stop.clone()).await?;
        let arrivals = Arrivals::default();
        let snapshots = options
            .snapshot_after
            .map(|after| Snapshots::start(after, vault.clone(), pool.clone(), clock.clone(), &tasks, stop.clone()));
        let loader = Loader::new(lines.clone(), snapshots);
        let writer = Writer::start(&options, config, pool.clone(), clock.clone(), Arc::clone(&head), &tasks);
        Ok(Self { inner: Arc::new(Inner { clock, pool, lines, vault, loader, writer, head, arrivals, tasks, stop }) })
    }

    /// The clock that stamps what is recorded.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Where personal data is sealed and opened.
    pub fn vault(&self) -> &Vault {
        &self.inner.vault
    }

    /// Connections to the same database.
    pub fn pool(&self) -> &Pool {
        &self.inner.pool
    }

    /// Appends a unit, together with whatever else is waiting, and says what became of it. Durable once it answers.
    ///
    /// # Errors
    /// Nothing was stored, except where [`StoreError::Unavailable`] says that it may be: then send the same unit
    /// again, or ask [`EventStore::recorded_command`].
    pub async fn append(&self, unit: Unit) -> Result<UnitOutcome, StoreError> {
        self.inner.writer.append(unit).await
    }

    /// What an earlier command came to, if it was recorded.
    pub async fn recorded_command(
        &self,
        tenant: TenantId,
        command_id: Uuid,
    ) -> Result<Option<RecordedCommand>, StoreError> {
        let found = async {
            let client = self.inner.pool.get().await?;
            read::commands(&client, tenant, &[command_id]).await
        };
        Ok(Box::pin(found).await?.pop())
    }

    /// An aggregate's state, folded from its whole stream, or from its last snapshot on.
    pub async fn load<A: Decide>(&self, tenant: TenantId, id: Uuid) -> Result<Loaded<A>, LoadError> {
        let mut loaded = Loaded::default();
        self.catch_up(tenant, id, &mut loaded).await?;
        Ok(loaded)
    }

    /// Folds in what was recorded since.
    pub async fn catch_up<A: Decide>(
        &self,
        tenant: TenantId,
        id: Uuid,
        loaded: &mut Loaded<A>,
    ) -> Result<(), LoadError> {
        // Set apart, as whatever few commands need: every command's own future would have room for it, and be moved with it.
        Box::pin(self.inner.loader.catch_up(tenant, id, loaded)).await
    }

    /// The highest position: how many events there are.
    pub async fn head(&self) -> Result<u64, StoreError> {
        self.inner.head.look(&self.inner.pool).await
    }

    /// Events of all associations after a position, in order and without a hole. At most 10,000 of them.
    pub async fn read_after(&self, position: u64, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        let read = async |client: &Client, known: &mut Statements| read::after(client, known, position, limit).await;
        self.inner.lines.with(read).await
    }

    /// Those of these positions and leaf hashes that history does not have: it has another event there, or none. What is
    /// archived is not here to be compared, and not among them. At most 10,000 at once.
    pub async fn unlike(&self, told: &[(u64, [u8; 32])]) -> Result<HashSet<(u64, [u8; 32])>, StoreError> {
        let compare = async |client: &Client, known: &mut Statements| read::unlike(client, known, told).await;
        self.inner.lines.with(compare).await
    }

    /// The last position, up to a given one, of each stream that has an event there. `each` is told one after the other, in
    /// no order. Reads all of history up to there, though no payload.
    pub async fn last_positions(
        &self,
        up_to: u64,
        each: impl FnMut(TenantId, StreamId, u64) + Send,
    ) -> Result<(), StoreError> {
        let mut client = self.inner.pool.get().await?;
        read::last_positions(&mut client, up_to, each).await
    }

    /// Events of one association after a position, in order. At most 10,000 of them.
    pub async fn read_tenant_after(
        &self,
        tenant: TenantId,
        position: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let client = self.inner.pool.get().await?;
        read::tenant_after(&client, tenant, position, limit).await
    }

    /// Events of one stream after a version, in order. At most 10,000 of them; none for a stream that does not exist.
    pub async fn read_stream(
        &self,
        tenant: TenantId,
        stream: &StreamId,
        after_version: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let client = self.inner.pool.get().await?;
        read::stream_after(&client, tenant, stream, after_version, limit).await
    }

    /// For each of these positions, when the first event behind it was recorded, as far as that is not archived; none where
    /// history ends there. It is what tells those who are behind since when.
    pub async fn recorded_after(&self, positions: &[u64]) -> Result<Vec<Option<DateTime<Utc>>>, StoreError> {
        let client = self.inner.pool.get().await?;
        read::recorded_after(&client, positions).await
    }

    /// Those of these events, each a position and a leaf hash, that history does not have though it had: it has lost its end,
    /// or was changed.
    pub async fn missing(&self, known: &[(u64, [u8; 32])]) -> Result<Vec<(u64, [u8; 32])>, StoreError> {
        let client = self.inner.pool.get().await?;
        read::missing(&client, known).await
    }

    /// Like [`EventStore::read_after`], with the keys of the people in the events.
    pub async fn batch_after(&self, position: u64, limit: usize) -> Result<Batch, StoreError> {
        self.batch_of(self.read_after(position, limit).await?).await
    }

    /// Events that came another way, with the keys of the people in them.
    pub async fn batch_of(&self, events: Vec<RecordedEvent>) -> Result<Batch, StoreError> {
        Batch::of(events, |_| true, &self.inner.vault).await
    }

    /// The same, with the keys of the people in those events alone that the reader wants.
    pub async fn batch_for(&self, selection: &Selection, events: Vec<RecordedEvent>) -> Result<Batch, StoreError> {
        Batch::of(events, |event| selection.takes(event), &self.inner.vault).await
    }

    /// The events after `after` and up to `until`, 100,000 positions on at most, that a reader wants of a share of the
    /// streams, with the keys of the people in them. The first share sees that no position is missing in between.
    pub async fn selected(
        &self,
        selection: &Selection,
        share: Share,
        after: u64,
        until: u64,
    ) -> Result<Batch, StoreError> {
        let until = until.min(after.saturating_add(selection::MAX_RANGE));
        let events = {
            let client = self.inner.pool.get().await?;
            let events = selection::selected(&client, after, until, selection, share);
            if share.number == 0 {
                futures::try_join!(events, selection::check_whole(&client, after, until))?.0
            } else {
                events.await?
            }
        };
        self.batch_of(events).await
    }

    /// Waits until something is recorded after `position`, by this process or another, at most this long. Returns how
    /// far history reaches then; not past `position` if the time was up.
    pub async fn wait_past(&self, position: u64, at_most: Duration) -> Result<u64, StoreError> {
        self.inner.head.wait_past(&self.inner.pool, position, at_most).await
    }

    /// Events after a position that a filter lets through, and how far was looked. At most `limit` of them, and fewer
    /// where there are many others between them or they are large: go on after [`FeedPage::seen`].
    pub async fn feed_after(&self, filter: &FeedFilter, position: u64, limit: usize) -> Result<FeedPage, StoreError> {
        // Before the first event is read: whatever stands up to here, every later statement sees.
        let head = self.head().await?;
        let client = self.inner.pool.get().await?;
        feed::page(&client, head, filter, position, limit).await
    }

    /// Waits until something of one association may have been recorded after `position`, at most this long. However many
    /// wait, the database is asked once for all of them.
    pub async fn wait_for(&self, tenant: TenantId, position: u64, at_most: Duration) -> Result<(), StoreError> {
        let Inner { arrivals, head, pool, .. } = &*self.inner;
        arrivals.wait(head, pool, tenant, position, at_most).await
    }

    /// Whose events stand after one position and up to another, and where the last of each stands. Reads all between:
    /// meant for what has just come in.
    pub async fn tenants_between(&self, after: u64, up_to: u64) -> Result<HashMap<TenantId, u64>, StoreError> {
        let client = self.inner.pool.get().await?;
        read::tenants_between(&client, after, up_to).await
    }

    /// Reads all of history and checks that it is what was recorded; see [`verify`](crate::verify).
    ///
    /// # Errors
    /// History could not be read. A difference that was found is no error but in the report.
    pub async fn verify(
        &self,
        options: VerifyOptions,
        progress: impl FnMut(Progress) + Send,
    ) -> Result<VerifyReport, StoreError> {
        verify::run(&self.inner.pool, options, progress).await
    }

    /// Takes nothing in any more, appends what waits, and ends the tasks behind this store. Nothing can be read through
    /// it afterwards either, nor through its clones: call it when everybody else has finished.
    pub async fn shutdown(&self) {
        self.inner.writer.close();
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.lines.close();
        self.inner.pool.close();
    }
}

fn config(database_url: &str) -> Result<Config, StoreError> {
    let mut config: Config = database_url.parse().map_err(|error: tokio_postgres::Error| {
        StoreError::Misconfigured(format!("the database address cannot be read: {}", said(&error)))
    })?;
    if config.get_application_name().is_none() {
        config.application_name("guildhall");
    }
    // A network that swallows everything says nothing: after a minute of it a connection is taken for dead.
    config.connect_timeout(POOL_TIMEOUT).tcp_user_timeout(Duration::from_mins(1));
    config.keepalives_idle(Duration::from_secs(30)).keepalives_interval(POOL_TIMEOUT).keepalives_retries(3);
    Ok(config)
}

/// The same database under further settings; they win over those in its address.
fn with_settings(config: &Config, settings: &str) -> Config {
    let mut config = config.clone();
    let given = config.get_options().map(|given| format!("{given} ")).unwrap_or_default();
    config.options(format!("{given}{settings}"));
    config
}

fn pool(config: Config, size: usize) -> Result<Pool, StoreError> {
    let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(POOL_TIMEOUT))
        .create_timeout(Some(POOL_TIMEOUT))
        .build()
        .map_err(|error| StoreError::Misconfigured(error.to_string()))
}
