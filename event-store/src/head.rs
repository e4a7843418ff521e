//! How far history reaches, as far as this process knows.

use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, timeout_at},
};

use crate::{StoreError, read};

/// How often another node's appends are looked for: soon at first, seldom when nothing happens.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(50);

/// The highest position this process has seen. What was seen stays in history, so it only grows.
pub(crate) struct Head {
    seen: watch::Sender<u64>,
    /// When the database was asked last on behalf of those who wait.
    looked: Mutex<Option<Instant>>,
}

impl Head {
    pub(crate) fn new() -> Self {
        Self { seen: watch::Sender::new(0), looked: Mutex::new(None) }
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
        let head = read::head_again(&client).await?;
        self.advance(head);
        Ok(head)
    }

    /// Asks the database unless somebody has done so just now: many who wait are no more work than one.
    async fn look_at_most_every(&self, pause: Duration, pool: &Pool) -> Result<u64, StoreError> {
        let mut looked = self.looked.lock().await;
        if looked.is_some_and(|looked| looked.elapsed() < pause) {
            return Ok(self.known());
        }
        let head = self.look(pool).await?;
        *looked = Some(Instant::now());
        Ok(head)
    }

    /// Waits until something is recorded after `position`, at most this long. Appends of this process wake it at
    /// once; those of others are looked for ever more seldom, by one of those who wait for all of them. `NOTIFY` would
    /// be simpler and would make every append on the whole server wait for every other one.
    pub(crate) async fn wait_past(&self, pool: &Pool, position: u64, at_most: Duration) -> Result<u64, StoreError> {
        let deadline = Instant::now() + at_most;
        let mut seen = self.seen.subscribe();
        let mut pause = FIRST_LOOK;
        loop {
            let known = *seen.borrow_and_update();
            if known > position {
                return Ok(known);
            }
            if Instant::now() >= deadline {
                return self.look(pool).await;
            }
            let head = self.look_at_most_every(pause, pool).await?;
            if head > position {
                return Ok(head);
            }
            let next_look = deadline.min(Instant::now() + pause);
            // The sender lives as long as this borrow of it: a change is the only way this can end early.
            let _ = timeout_at(next_look, seen.changed()).await;
            pause = LAST_LOOK.min(pause * 2);
        }
    }
}
