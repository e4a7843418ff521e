//! What every read needs, and how a read waits until the data has come far enough.

use std::time::{Duration, Instant};

use axum::extract::FromRef;
use chrono::NaiveDate;
use chrono_tz::Tz;
use deadpool_postgres::{Object, Pool};
use guildhall_aggregates::{TenantId, association::Association};
use guildhall_event_store::EventStore;
use guildhall_projections::{Projector, reached};
use guildhall_web::{Position, Problem, TokenKeys, problem::kind};

use crate::{answer::Mark, problems};

/// How long a waiting read pauses before it looks again: from the first to the last of these.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];

/// How much a read may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// How long a read waits at most for the position that `at_least` asks for.
    pub max_wait: Duration,
}

impl Default for ReadLimits {
    /// Wait 5 seconds.
    fn default() -> Self {
        Self { max_wait: Duration::from_secs(5) }
    }
}

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub struct ReadState {
    /// History, for the auditors' view, the associations' zones and the time.
    pub store: EventStore,
    /// Connections to the database that holds the read models. Give them a `statement_timeout`: it ends the
    /// queries of callers who have long gone.
    pub pool: Pool,
    /// The keys that verify callers' tokens.
    pub keys: TokenKeys,
    /// How much a read may ask for.
    pub limits: ReadLimits,
}

impl FromRef<ReadState> for TokenKeys {
    fn from_ref(state: &ReadState) -> Self {
        state.keys.clone()
    }
}

/// A connection to a read model, and how far that had come when it was got. Rows read through it hold
/// everything up to there, since a read model only ever goes forward.
pub(crate) struct Reading {
    /// What queries are sent through.
    pub(crate) client: Object,
    /// Which read model, and how far it has come.
    pub(crate) mark: Mark,
}

impl ReadState {
    /// Reads a projection, once it has come as far as asked.
    ///
    /// # Errors
    /// `position-not-reached` when it has not within the limit.
    pub(crate) async fn reading<P: Projector>(&self, at_least: Option<Position>) -> Result<Reading, Problem> {
        let started = Instant::now();
        let [mut pause, longest] = PAUSES;
        loop {
            let client = self.pool.get().await.map_err(|error| problems::unavailable(&error))?;
            let here = Position(reached(&client, P::NAME).await.map_err(|error| problems::of_postgres(&error))?);
            let Some(wanted) = at_least.filter(|wanted| here < *wanted) else {
                return Ok(Reading { client, mark: Mark { source: P::NAME, version: P::VERSION, position: here } });
            };
            // Whoever waits holds no connection: others may need it to come forward.
            drop(client);
            self.refuse_beyond_history(wanted).await?;
            let left = self.limits.max_wait.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(problems::not_reached(wanted, here));
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// A receipt is given when its position is durable, so nobody was ever given a token beyond history's end.
    async fn refuse_beyond_history(&self, wanted: Position) -> Result<(), Problem> {
        let head = Position(self.store.head().await.map_err(problems::of_store)?);
        if wanted <= head {
            return Ok(());
        }
        let detail = format!("History ends at {head}; pass the `token` of a receipt of this server.");
        Err(Problem::new(kind::INVALID_QUERY, detail).at("at_least", "no receipt has this token"))
    }

    /// Reads history itself. What a token stands for is in it: no receipt is given before.
    pub(crate) async fn history(&self, at_least: Option<Position>) -> Result<Mark, Problem> {
        if let Some(wanted) = at_least {
            self.refuse_beyond_history(wanted).await?;
        }
        let position = Position(self.store.head().await.map_err(problems::of_store)?);
        Ok(Mark { source: "history", version: 1, position })
    }

    /// What the association says of itself.
    pub(crate) async fn association(&self, tenant: TenantId) -> Result<Association, Problem> {
        Ok(self.store.load(tenant, tenant.uuid()).await.map_err(problems::of_load)?.state)
    }

    /// The date in the association's own zone. One that is not founded yet has no members whose status it could
    /// decide.
    pub(crate) async fn today(&self, tenant: TenantId) -> Result<NaiveDate, Problem> {
        Ok(self.store.clock().today(self.association(tenant).await?.time_zone().unwrap_or(Tz::UTC)))
    }
}
