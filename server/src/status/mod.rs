//! How an installation is doing: one account of it, which `guildhall status` prints and the gauges are set from.

mod gauges;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use guildhall_aggregates::TenantId;
use guildhall_event_store::EventStore;
use guildhall_kafka::relay::{self, RelayStanding};
use guildhall_projections::progress::{self, Progress, Source};
use serde::Serialize;

pub(crate) use self::{gauges::keep_gauges, table::described};
use crate::config::{Config, Transport};

/// How everything that follows history is doing.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    /// The last position of history.
    pub(crate) head: u64,
    /// The relay of every generation of topics.
    pub(crate) relays: Vec<RelayStatus>,
    /// Every read model.
    pub(crate) projections: Vec<ProjectionStatus>,
    /// What reacts to events.
    pub(crate) processes: Reached,
    /// What signs history; none where nothing was ever signed.
    pub(crate) sealer: Option<SealerStatus>,
}

/// Up to where something has come, and how far that is behind.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Reached {
    /// The position.
    pub(crate) position: u64,
    /// How many events are missing.
    pub(crate) behind: u64,
    /// For how many seconds the first of them has been waiting; 0 where none is.
    pub(crate) behind_seconds: f64,
}

/// The relay of one generation of topics.
#[derive(Debug, Serialize)]
pub(crate) struct RelayStatus {
    /// What the topics' names begin with.
    pub(crate) generation: String,
    /// Whether it is the configured one. Those of before stay where they were.
    pub(crate) current: bool,
    /// Whether somebody relays.
    pub(crate) held: bool,
    /// Whose the lease was last.
    pub(crate) holder: Option<uuid::Uuid>,
    /// How often it has changed hands.
    pub(crate) epoch: i64,
    /// Whether history is another one than was relayed.
    pub(crate) diverged: bool,
    /// How far Kafka has everything.
    #[serde(flatten)]
    pub(crate) reached: Reached,
}

/// One read model.
#[derive(Debug, Serialize)]
pub(crate) struct ProjectionStatus {
    /// Its name.
    pub(crate) name: &'static str,
    /// Which version of it filled the tables; none where it never ran.
    pub(crate) version: Option<i32>,
    /// Where its events come from.
    pub(crate) transport: Option<String>,
    /// Streams that wait.
    pub(crate) parked: u64,
    /// Events left out, until a rebuild.
    pub(crate) left_out: u64,
    /// Whether it is being rebuilt.
    pub(crate) rebuilding: bool,
    /// Whether history is another one than was folded.
    pub(crate) diverged: bool,
    /// The least that any of its sources has reached.
    #[serde(flatten)]
    pub(crate) reached: Reached,
    /// Each source.
    pub(crate) sources: Vec<SourceStatus>,
}

/// One source of a read model: history itself, or a partition.
#[derive(Debug, Serialize)]
pub(crate) struct SourceStatus {
    /// `store`, or `kafka:<topic>:<partition>`.
    pub(crate) name: String,
    /// How far all that it has to give is in the tables.
    #[serde(flatten)]
    pub(crate) reached: Reached,
}

/// How far history is under signed checkpoints.
#[derive(Debug, Serialize)]
pub(crate) struct SealerStatus {
    /// Up to here all associations' records are.
    #[serde(flatten)]
    pub(crate) reached: Reached,
    /// The last record of each association that is.
    pub(crate) associations: BTreeMap<TenantId, u64>,
}

/// From where on something is wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Seconds that the first missing event may have been waiting.
    pub(crate) seconds: f64,
    /// Events that may be missing; none for any number.
    pub(crate) positions: Option<u64>,
}

/// Reads how everything is doing.
///
/// # Errors
/// A database cannot be read.
pub(crate) async fn collect(config: &Config, store: &EventStore) -> anyhow::Result<Status> {
    let client = store.pool().get().await?;
    let generation = (config.transport == Transport::Kafka).then_some(&config.kafka.topic_prefix);
    let mut relays = relay::standing(&client).await?;
    if let Some(prefix) = generation.filter(|prefix| relays.iter().all(|relay| relay.generation != **prefix)) {
        relays.push(RelayStanding::not_begun(prefix.clone()));
    }
    let projections = progress::progress(&client).await?;
    let processes = guildhall_processes::reached(&client).await?;
    let sealed = guildhall_integrity::standing(&client).await?;
    drop(client);
    // History last: nothing can be ahead of it.
    let head = store.head().await?;
    let sources = projections.iter().flat_map(|projection| &projection.sources);
    let positions = relays.iter().map(|relay| relay.position).chain([0, processes]).chain(sealed.position);
    let positions = positions.chain(sources.clone().map(|source| source.reached));
    let relayed = relays.iter().filter_map(|relay| Some((relay.position, relay.leaf_hash?)));
    let known = relayed.chain(sources.filter_map(|source| source.last));
    let history = History::read(store, head, positions.collect(), known.collect()).await?;
    Ok(Status {
        head,
        relays: relays.into_iter().map(|relay| RelayStatus::of(relay, generation, &history)).collect(),
        projections: projections.into_iter().map(|projection| ProjectionStatus::of(projection, &history)).collect(),
        processes: history.reached(processes),
        sealer: sealed.position.map(|position| SealerStatus {
            reached: history.reached(position),
            associations: sealed.associations.into_iter().collect(),
        }),
    })
}

/// What history says of the positions that others have reached.
struct History {
    now: DateTime<Utc>,
    head: u64,
    /// When the first event behind a position was recorded.
    passed: BTreeMap<u64, DateTime<Utc>>,
    /// What was seen there and is not there any more.
    missing: BTreeSet<(u64, [u8; 32])>,
}

impl History {
    /// Looks positions up, each once, and those at the end of history not at all.
    async fn read(
        store: &EventStore,
        head: u64,
        positions: BTreeSet<u64>,
        known: BTreeSet<(u64, [u8; 32])>,
    ) -> anyhow::Result<Self> {
        let behind: Vec<u64> = positions.into_iter().filter(|position| *position < head).collect();
        let known: Vec<_> = known.into_iter().collect();
        let (passed, missing) = tokio::try_join!(store.recorded_after(&behind), store.missing(&known))?;
        let passed = behind.into_iter().zip(passed).filter_map(|(position, at)| Some((position, at?))).collect();
        Ok(Self { now: store.clock().now(), head, passed, missing: missing.into_iter().collect() })
    }

    fn reached(&self, position: u64) -> Reached {
        let waiting = self.passed.get(&position).map_or(0.0, |since| (self.now - since).as_seconds_f64().max(0.0));
        Reached { position, behind: self.head.saturating_sub(position), behind_seconds: waiting }
    }

    fn lacks(&self, seen: (u64, [u8; 32])) -> bool {
        self.missing.contains(&seen)
    }
}

impl RelayStatus {
    fn of(relay: RelayStanding, generation: Option<&String>, history: &History) -> Self {
        Self {
            diverged: relay.leaf_hash.is_some_and(|hash| history.lacks((relay.position, hash))),
            current: generation == Some(&relay.generation),
            held: relay.held,
            holder: relay.holder,
            epoch: relay.epoch,
            reached: history.reached(relay.position),
            generation: relay.generation,
        }
    }
}

impl ProjectionStatus {
    fn of(progress: Progress, history: &History) -> Self {
        let reached = progress.sources.iter().map(|source| source.reached).min().unwrap_or(0);
        let mut folded = progress.sources.iter().filter_map(|source| source.last);
        let source = |Source { name, reached, .. }| SourceStatus { name, reached: history.reached(reached) };
        Self {
            name: progress.projection,
            version: progress.version,
            transport: progress.transport,
            parked: progress.parked,
            left_out: progress.left_out,
            rebuilding: progress.rebuilding,
            diverged: folded.any(|seen| history.lacks(seen)),
            reached: history.reached(reached),
            sources: progress.sources.into_iter().map(source).collect(),
        }
    }
}

impl Status {
    /// What is wrong, each in a sentence; nothing where all is well.
    pub(crate) fn problems(&self, limits: &Limits) -> Vec<String> {
        let mut problems = Vec::new();
        let mut late = |what: String, reached: &Reached| {
            let too_many = limits.positions.is_some_and(|most| reached.behind > most);
            if too_many || reached.behind_seconds > limits.seconds {
                let Reached { behind, behind_seconds, .. } = reached;
                problems.push(format!("{what} is {behind} events and {behind_seconds:.0} s behind"));
            }
        };
        for relay in self.relays.iter().filter(|relay| relay.current) {
            late(format!("the relay to {}", relay.generation), &relay.reached);
        }
        for projection in &self.projections {
            late(projection.name.to_owned(), &projection.reached);
        }
        late("what reacts to events".to_owned(), &self.processes);
        let mut differs =
            |what: &str| problems.push(format!("history is another one than {what} has followed; stop writing"));
        self.relays.iter().filter(|relay| relay.current && relay.diverged).for_each(|_| differs("the relay"));
        self.projections.iter().filter(|one| one.diverged).for_each(|one| differs(one.name));
        let silent = self.relays.iter().filter(|relay| relay.current && !relay.held);
        problems.extend(silent.map(|relay| format!("nobody relays to {}", relay.generation)));
        for ProjectionStatus { name, parked, left_out, .. } in &self.projections {
            if *parked > 0 {
                problems.push(format!("{name} has parked {parked} streams; see `guildhall projections parked {name}`"));
            }
            if *left_out > 0 {
                problems.push(format!(
                    "{name} goes on without {left_out} events; see `guildhall projections parked {name}`"
                ));
            }
        }
        problems
    }
}
