//! How far history reaches, as far as this process knows.

use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{StoreError, read};

/// How often another node's appends are looked for: soon at first, seldom when nothing happens.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(50);

/// The highest position this process has seen. What was seen stays in history, so it only grows.
pub(crate) struct Head {
    seen: watch::Sender<u64>,
}

impl Head {
    pub(crate) fn new() -> Self {
        Self { seen: watch::Sender::new(0) }
    }

    /// A position up to which everything is in history.
    pub(crate) fn known(&self) -> u64 {
        *self.seen.borrow()
    }

    /// Wakes whoever waits for this position.
    pub(crate) fn advance(&self, position: u64) {
        self.seen.send_if_modified(|seen| {
            let further = position > *seen;
            *seen = position.max(*seen);
            further
        });
    }

    /// Asks the database.
    pub(crate) async fn look(&self, pool: &Pool) -> Result<u64, StoreError> {
        let client = pool.get().await?;
        let head = read::head(&client).await?;
        self.advance(head);
        Ok(head)
    }

    /// Waits until something is recorded after `position`, at most this long. Appends of this process wake it at
    /// once; those of others are looked for ever more seldom. `NOTIFY` would be simpler and would make every append
    /// on the whole server wait for every other one.
    pub(crate) async fn wait_past(&self, pool: &Pool, position: u64, at_most: Duration) -> Result<u64, StoreError> {
        let deadline = Instant::now() + at_most;
        let mut seen = self.seen.subscribe();
        let mut pause = FIRST_LOOK;
        loop {
            let known = *seen.borrow_and_update();
            if known > position {
                return Ok(known);
            }
            let head = self.look(pool).await?;
            if head > position || Instant::now() >= deadline {
                return Ok(head);
            }
            let next_look = deadline.min(Instant::now() + pause);
            // The sender lives as long as this borrow of it: a change is the only way this can end early.
            let _ = timeout_at(next_look, seen.changed()).await;
            pause = LAST_LOOK.min(pause * 2);
        }
    }
}
