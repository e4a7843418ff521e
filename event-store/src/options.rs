//! How a store is opened, and the limits it keeps.

use std::time::Duration;

use crate::vault::KeyEncryptionKey;

/// The most events a page of a read may have.
pub const MAX_PAGE: usize = 10_000;
/// The most bytes the payload of one event may have.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;
/// The most bytes the metadata of one command may have.
pub const MAX_METADATA_BYTES: usize = 16 * 1024;

/// Where history is and how much may be under way at once. Not to be printed: the address may hold a password.
#[derive(Clone)]
pub struct StoreOptions {
    /// The database, as `postgres://user@host/name` or `host=… dbname=…`.
    pub database_url: String,
    /// Connections for reading, for personal data and for whoever asks [`crate::EventStore::pool`]. Loads have half as
    /// many of their own, and appending has one.
    pub pool_size: usize,
    /// How many units may wait to be appended. One association may have half of that.
    pub queue_units: usize,
    /// How long a unit may wait until it is sent. Then whoever sent it is told to come back: nobody waits so long for a
    /// commit, and what nobody waits for need not be recorded.
    pub queue_age: Duration,
    /// How many events, and how many commands, one transaction appends at most; no unit may have more.
    pub batch_events: usize,
    /// How many bytes of events one transaction appends at most; no unit may have more.
    pub batch_bytes: usize,
    /// How long the server may take for one batch, waiting for its turn among the nodes included. A connection that has
    /// not answered in three times as long is taken for dead.
    pub append_timeout: Duration,
    /// How long a unit waits for a database that does not answer. Then everybody who waits is told, and the next unit is
    /// the next attempt.
    pub give_up_after: Duration,
    /// A load that folds at least this many events leaves a snapshot behind, for the next load to begin with. `None`:
    /// snapshots are neither taken nor read.
    pub snapshot_after: Option<u64>,
    /// What the data keys of persons are wrapped with.
    pub key_encryption_key: KeyEncryptionKey,
}

impl StoreOptions {
    /// The usual limits: 8 connections; 8,192 units waiting, 10 seconds each; batches of 512 events or 1 MiB, 20 seconds
    /// each; 30 seconds for a unit in all; snapshots after 256 events.
    pub fn new(database_url: impl Into<String>, key_encryption_key: KeyEncryptionKey) -> Self {
        Self {
            database_url: database_url.into(),
            pool_size: 8,
            queue_units: 8_192,
            queue_age: Duration::from_secs(10),
            batch_events: 512,
            batch_bytes: 1024 * 1024,
            append_timeout: Duration::from_secs(20),
            give_up_after: Duration::from_secs(30),
            snapshot_after: Some(256),
            key_encryption_key,
        }
    }
}
