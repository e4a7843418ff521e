//! Waiting for a read model: one question for all who wait.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use deadpool_postgres::Pool;
use guildhall_projections::reached;
use guildhall_web::{Position, Problem};
use tokio::sync::Mutex as AsyncMutex;

use crate::problems;

/// How often is looked how far a read model is while somebody waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How far read models were seen to be, and when. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Arrived {
    of: Arc<Mutex<HashMap<&'static str, LastLook>>>,
}

/// What the last look at one read model has shown. Whoever looks holds it, so that the others wait for what is seen.
type LastLook = Arc<AsyncMutex<Option<Look>>>;

/// What one look has shown.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    position: Position,
}

impl Arrived {
    /// Waits until a projection is at a position, or until the time is up. Holds no connection while it waits.
    pub(crate) async fn wait(
        &self,
        pool: &Pool,
        projection: &'static str,
        wanted: Position,
        until: Instant,
    ) -> Result<(), Problem> {
        let look = {
            let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(of.entry(projection).or_default())
        };
        while Self::position(&look, pool, projection).await? < wanted && Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Asks the database unless somebody has done so just now.
    async fn position(look: &AsyncMutex<Option<Look>>, pool: &Pool, projection: &str) -> Result<Position, Problem> {
        let mut look = look.lock().await;
        if let Some(recent) = look.filter(|recent| recent.at.elapsed() < LOOK_EVERY) {
            return Ok(recent.position);
        }
        let client = pool.get().await.map_err(|error| problems::unavailable(&error))?;
        let position = Position(reached(&client, projection).await.map_err(|error| problems::of_postgres(&error))?);
        *look = Some(Look { at: Instant::now(), position });
        Ok(position)
    }
}
