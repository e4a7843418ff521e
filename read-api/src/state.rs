//! What every read needs, and how a read waits until the data has come far enough.

use std::time::{Duration, Instant};

use axum::extract::FromRef;
use chrono::NaiveDate;
use chrono_tz::Tz;
use deadpool_postgres::{Object, Pool};
use guildhall_aggregates::{TenantId, association::Association};
use guildhall_event_store::EventStore;
use guildhall_projections::{Projector, parked};
use guildhall_web::{Position, Problem, TokenKeys, problem::kind};

use crate::{
    Arrived, Feed,
    answer::{Asked, Mark},
    problems,
    stale::Stale,
};

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
    /// How far read models were seen to be, for those who wait for one.
    pub arrived: Arrived,
    /// The keys that verify callers' tokens.
    pub keys: TokenKeys,
    /// How much a read may ask for.
    pub limits: ReadLimits,
    /// Who waits for events, and how many may.
    pub feed: Feed,
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
    /// The association's streams that it could not follow.
    pub(crate) stale: Stale,
}

impl ReadState {
    /// Reads what a projection has of the caller's association, once it has come as far as asked; or as it stands when it does
    /// not within the limit, unless the caller would rather have no answer than an older one.
    ///
    /// # Errors
    /// `position-not-reached` where that caller has to come again.
    pub(crate) async fn reading<P: Projector>(
        &self,
        asked: &Asked,
        at_least: Option<Position>,
    ) -> Result<Reading, Problem> {
        let tenant = asked.caller.tenant;
        let reading = self.reading_now::<P>(tenant).await?;
        let Some(wanted) = at_least.filter(|wanted| reading.mark.position < *wanted) else { return Ok(reading) };
        // Whoever waits holds no connection: others may need it to come forward.
        drop(reading);
        // It is not worth waiting for what was never written.
        self.history(at_least).await?;
        let mut reading = self.reading_once_at::<P>(tenant, wanted).await?;
        if reading.mark.position < wanted {
            if asked.is_strict() {
                return Err(problems::not_reached(wanted, reading.mark.position));
            }
            reading.mark.stale = true;
        }
        Ok(reading)
    }

    async fn reading_now<P: Projector>(&self, tenant: TenantId) -> Result<Reading, Problem> {
        let client = self.pool.get().await.map_err(|error| problems::unavailable(&error))?;
        let standing = parked::standing(&client, P::NAME, tenant).await;
        let standing = standing.map_err(|error| problems::of_postgres(&error))?;
        if standing.version.is_some_and(|version| version != P::VERSION) {
            // A node of the tables' version can answer; so can this one, when they have been rebuilt.
            return Err(problems::being_rebuilt(P::NAME));
        }
        let (position, stale) = (Position(standing.reached), Stale::of(&standing.stale));
        let (stale_streams, stale_state) = (stale.count(), stale.state());
        let (source, version) = (P::NAME, P::VERSION);
        let mark = Mark { source, version, position, stale: false, stale_streams, stale_state };
        Ok(Reading { client, mark, stale })
    }

    /// Reads once the projection is there, or when the longest wait is over.
    async fn reading_once_at<P: Projector>(&self, tenant: TenantId, wanted: Position) -> Result<Reading, Problem> {
        let until = Instant::now() + self.limits.max_wait;
        self.arrived.wait(&self.pool, P::NAME, wanted, until).await?;
        self.reading_now::<P>(tenant).await
    }

    /// Reads history itself, which is always as far as any token.
    ///
    /// # Errors
    /// The token is none of ours: a receipt is given when its position is durable, so nobody ever got one beyond
    /// the end of history.
    pub(crate) async fn history(&self, at_least: Option<Position>) -> Result<Mark, Problem> {
        let head = Position(self.store.head().await.map_err(problems::of_store)?);
        if at_least.is_some_and(|wanted| wanted > head) {
            let detail = format!("`at_least` is no token of this server: history ends at {head}.");
            return Err(Problem::new(kind::INVALID_QUERY, detail));
        }
        Ok(Mark::of_history(head))
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
