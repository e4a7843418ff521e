//! Whose events have come in: for those who wait for one association, and are many.
//!
//! History is one, so every append wakes whoever waits for it. Were each of them to read then, a busy association would
//! cost a query for everybody who follows a quiet one. So one of them asks whose events came in, for all of them.

use std::{collections::HashMap, time::Duration};

use deadpool_postgres::Pool;
use guildhall_aggregates::TenantId;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

use crate::{StoreError, head::Head, read};

/// Appends that follow each other within this time are looked at together.
const PAUSE: Duration = Duration::from_millis(20);

/// How many positions are looked through at most. Where more came in since anybody waited, everybody reads for himself.
const MOST_POSITIONS: u64 = 20_000;

/// Where the last events of the associations stand, as far as that was asked.
#[derive(Default)]
pub(crate) struct Arrivals {
    known: Mutex<Known>,
}

/// Everything that is after `from` and not after `to`.
#[derive(Default)]
struct Known {
    from: u64,
    to: u64,
    last: HashMap<TenantId, u64>,
}

impl Arrivals {
    /// Waits until an association may have something after `position`, at most this long.
    pub(crate) async fn wait(
        &self,
        head: &Head,
        pool: &Pool,
        tenant: TenantId,
        position: u64,
        at_most: Duration,
    ) -> Result<(), StoreError> {
        let deadline = Instant::now() + at_most;
        let mut looked = position;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let reached = head.wait_past(pool, looked, left).await?;
            if reached <= looked || self.may_have(pool, tenant, position, reached).await? {
                return Ok(());
            }
            looked = reached;
            sleep_until(deadline.min(Instant::now() + PAUSE)).await;
        }
    }

    /// Whether an association has something after one position and up to another, as far as that can be told.
    async fn may_have(&self, pool: &Pool, tenant: TenantId, position: u64, reached: u64) -> Result<bool, StoreError> {
        let mut known = self.known.lock().await;
        if reached - known.to.min(reached) > MOST_POSITIONS {
            *known = Known { from: reached, to: reached, last: HashMap::new() };
        } else if reached > known.to {
            let client = pool.get().await?;
            let came_in = read::tenants_between(&client, known.to, reached).await?;
            known.last.extend(came_in);
            known.to = reached;
        }
        Ok(position < known.from || known.last.get(&tenant).is_some_and(|last| *last > position))
    }
}
