//! Streams a projection could not follow. The first event it cannot fold parks its stream: that event and all later ones
//! of the stream stay out of the tables, in order and visibly, while every other stream goes on. History keeps the
//! events, so all that is kept here is from where on they are missing.
//!
//! [`retry`] folds what waits once the cause is gone; [`release`] lets a stream go on without what cannot be folded; a
//! rebuild brings everything back that the program can read.

mod poison;
mod retry;
mod standing;

use std::collections::{HashMap, HashSet};

use guildhall_aggregates::TenantId;
use guildhall_event_store::{RecordedEvent, StreamId};
use tokio_postgres::{Client, Error};
use uuid::Uuid;

pub use poison::{PoisonEvent, left_out, mark_sent, unsent};
pub use retry::{Retried, RetryError, release, retry};
pub(crate) use standing::counts;
pub use standing::{StaleStream, Standing, standing};

/// Where parked streams and what parked them are kept, in the schema of the tables they are missing from.
pub(crate) const TABLES: [&str; 2] = ["parked_stream", "poison_event"];

/// So many parked streams are no poisoned history but a broken program: the projection stops instead.
pub const MOST_PARKED: usize = 1_000;

/// A stream that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedStream {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which one.
    pub stream: StreamId,
    /// The position of the first event that is missing from the tables.
    pub first_position: u64,
    /// Its version in the stream.
    pub first_version: u64,
    /// How many events of the stream wait by now.
    pub events: u64,
    /// Why.
    pub reason: String,
}

impl ParkedStream {
    fn key(&self) -> Key {
        (self.tenant, self.stream.clone())
    }

    /// The event that could not be folded.
    fn cause(&self) -> PoisonEvent {
        PoisonEvent {
            position: self.first_position,
            tenant: self.tenant,
            stream: self.stream.clone(),
            version: self.first_version,
            reason: self.reason.clone(),
        }
    }
}

type Key = (TenantId, StreamId);

/// The parked streams of one projection, and what became of them in the present transaction.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parked {
    streams: HashMap<Key, ParkedStream>,
    changed: HashSet<Key>,
    /// What parked a stream since it was last written.
    causes: Vec<PoisonEvent>,
}

impl Parked {
    /// Takes the events of parked streams out of a batch and counts them.
    pub(crate) fn withhold(&mut self, events: &mut Vec<RecordedEvent>) {
        if self.streams.is_empty() {
            return;
        }
        events.retain(|event| {
            let key = (event.tenant, event.stream.clone());
            let Some(parked) = self.streams.get_mut(&key).filter(|parked| event.position >= parked.first_position)
            else {
                return true;
            };
            parked.events += 1;
            self.changed.insert(key);
            false
        });
    }

    /// Parks an event's stream from that event on. What is wrong with an earlier one may be found later: only Postgres knows.
    pub(crate) fn park(&mut self, event: &RecordedEvent, reason: &str) {
        let key = (event.tenant, event.stream.clone());
        let known = self.streams.get(&key);
        if known.is_none_or(|parked| event.position < parked.first_position) {
            let parked = ParkedStream {
                tenant: event.tenant,
                stream: event.stream.clone(),
                first_position: event.position,
                first_version: event.version,
                events: known.map_or(0, |parked| parked.events),
                reason: reason.chars().take(500).collect(),
            };
            self.causes.push(parked.cause());
            self.streams.insert(key.clone(), parked);
        }
        self.changed.insert(key);
    }

    /// The streams that wait.
    pub(crate) fn streams_mut(&mut self) -> impl Iterator<Item = &mut ParkedStream> {
        self.streams.values_mut()
    }

    /// Lets the stream go that is named, or all of them, and gives what they were, in the order of their first events.
    fn let_go(&mut self, wanted: Option<&StreamId>) -> Vec<ParkedStream> {
        let wanted = |parked: &ParkedStream| wanted.is_none_or(|stream| parked.stream == *stream);
        let mut gone: Vec<_> = self.streams.extract_if(|_, parked| wanted(parked)).map(|(_, parked)| parked).collect();
        gone.sort_by_key(|parked| parked.first_position);
        self.changed.extend(gone.iter().map(ParkedStream::key));
        gone
    }

    /// Whether no stream waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// How many streams wait.
    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }

    /// Those of the tables that unqualified names mean on this connection.
    pub(crate) async fn load(client: &Client, projection: &str) -> Result<Self, Error> {
        let streams = list_in(client, "parked_stream", projection).await?.into_iter();
        let streams = streams.map(|parked| (parked.key(), parked)).collect();
        Ok(Self { streams, ..Self::default() })
    }

    /// Writes what changed. A stream parks once and then only counts, so few rows are written and rarely.
    pub(crate) async fn write(&mut self, tx: &tokio_postgres::Transaction<'_>, projection: &str) -> Result<(), Error> {
        for key in std::mem::take(&mut self.changed) {
            let Some(parked) = self.streams.get(&key) else {
                let (tenant, stream) = key;
                let sql = "DELETE FROM parked_stream \
                           WHERE projection = $1 AND tenant_id = $2 AND category = $3 AND stream_id = $4";
                tx.execute(sql, &[&projection, &tenant.uuid(), &&*stream.category, &stream.id]).await?;
                continue;
            };
            tx.execute(
                "INSERT INTO parked_stream VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                 ON CONFLICT (projection, tenant_id, category, stream_id) DO UPDATE SET \
                 (first_position, first_version, events, reason) = \
                 (excluded.first_position, excluded.first_version, excluded.events, excluded.reason)",
                &[
                    &projection,
                    &parked.tenant.uuid(),
                    &&*parked.stream.category,
                    &parked.stream.id,
                    &parked.first_position.cast_signed(),
                    &parked.first_version.cast_signed(),
                    &parked.events.cast_signed(),
                    &parked.reason,
                ],
            )
            .await?;
        }
        poison::note(tx, projection, &std::mem::take(&mut self.causes), false).await
    }

    /// Puts these, and what `schema` has noted of why, in the place of whatever was parked or left out before a rebuild.
    pub(crate) async fn replace(
        mut self,
        tx: &tokio_postgres::Transaction<'_>,
        projection: &str,
        schema: &str,
    ) -> Result<(), Error> {
        tx.execute("DELETE FROM read.parked_stream WHERE projection = $1", &[&projection]).await?;
        poison::take_over(tx, projection, schema).await?;
        self.changed = self.streams.keys().cloned().collect();
        self.write(tx, projection).await
    }

    /// Says how many streams wait.
    pub(crate) fn measure(&self, projection: &'static str) {
        let count = u32::try_from(self.len()).unwrap_or(u32::MAX);
        metrics::gauge!("projection_parked_streams", "projection" => projection).set(count);
    }
}

/// The streams a projection could not follow, by the position of the first event that is missing.
pub async fn list(client: &Client, projection: &str) -> Result<Vec<ParkedStream>, Error> {
    list_in(client, "read.parked_stream", projection).await
}

async fn list_in(client: &Client, table: &str, projection: &str) -> Result<Vec<ParkedStream>, Error> {
    let sql = format!(
        "SELECT tenant_id, category, stream_id, first_position, first_version, events, reason FROM {table} \
         WHERE projection = $1 ORDER BY first_position"
    );
    let rows = client.query(&sql, &[&projection]).await?;
    Ok(rows
        .iter()
        .map(|row| ParkedStream {
            tenant: TenantId::new(row.get::<_, Uuid>("tenant_id")),
            stream: StreamId::new(row.get("category"), row.get("stream_id")),
            first_position: row.get::<_, i64>("first_position").cast_unsigned(),
            first_version: row.get::<_, i64>("first_version").cast_unsigned(),
            events: row.get::<_, i64>("events").cast_unsigned(),
            reason: row.get("reason"),
        })
        .collect())
}
