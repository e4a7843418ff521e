//! Who relays, and how far they got: the one row of a generation in `es.relay`.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use deadpool_postgres::{Pool, PoolError};
use tokio_postgres::{
    Row,
    types::{Json, ToSql},
};
use uuid::Uuid;

use crate::{
    options::KafkaOptions,
    relay::RelayError,
    topics::{Place, Topic},
};

/// A point in history up to which Kafka has everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) position: u64,
    /// The leaf hash of the event at the position; none at the beginning.
    pub(super) leaf_hash: Option<[u8; 32]>,
    pub(crate) last: LastPositions,
}

/// The position of the last event in each partition; 0 where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastPositions {
    partitions: u16,
    positions: Vec<u64>,
}

impl LastPositions {
    pub(super) fn none(partitions: u16) -> Self {
        Self { partitions, positions: vec![0; Topic::ALL.len() * usize::from(partitions)] }
    }

    pub(crate) fn at(&self, place: Place) -> u64 {
        self.positions[self.index(place)]
    }

    /// Notes a partition's newest event and gives the one before it.
    pub(super) fn advance(&mut self, place: Place, position: u64) -> u64 {
        let index = self.index(place);
        std::mem::replace(&mut self.positions[index], position)
    }

    fn index(&self, place: Place) -> usize {
        place.topic as usize * usize::from(self.partitions) + usize::from(place.partition)
    }

    /// By topic, as the row holds it.
    fn by_topic(&self) -> BTreeMap<&'static str, &[u64]> {
        let rows = self.positions.chunks(usize::from(self.partitions));
        Topic::ALL.into_iter().map(Topic::suffix).zip(rows).collect()
    }

    fn read(partitions: u16, by_topic: &BTreeMap<String, Vec<u64>>) -> Self {
        let mut last = Self::none(partitions);
        for place in Place::all(partitions) {
            let positions = by_topic.get(place.topic.suffix());
            if let Some(position) = positions.and_then(|all| all.get(usize::from(place.partition))) {
                last.advance(place, *position);
            }
        }
        last
    }
}

/// The right to relay, until somebody else has it.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Pool,
    name: String,
    epoch: i64,
    seconds: f64,
    pub(super) taken: Instant,
}

impl Lease {
    /// Takes the lease if it is free, has run out or is ours already; none while another relay holds it.
    pub(super) async fn take(
        pool: &Pool,
        kafka: &KafkaOptions,
        holder: Uuid,
        term: Duration,
    ) -> Result<Option<(Self, Checkpoint)>, RelayError> {
        Self::take_if(pool, kafka, holder, term, "lease_until <= clock_timestamp() OR holder = $2").await
    }

    /// Takes the lease from whoever holds it. That one is fenced: what it sends is repeated, what it writes is refused.
    pub(super) async fn take_over(
        pool: &Pool,
        kafka: &KafkaOptions,
        holder: Uuid,
        term: Duration,
    ) -> Result<(Self, Checkpoint), RelayError> {
        let taken = Self::take_if(pool, kafka, holder, term, "true").await?;
        taken.ok_or_else(|| RelayError::Lease("its row is gone".to_owned()))
    }

    async fn take_if(
        pool: &Pool,
        kafka: &KafkaOptions,
        holder: Uuid,
        term: Duration,
        condition: &'static str,
    ) -> Result<Option<(Self, Checkpoint)>, RelayError> {
        let (client, taken) = (pool.get().await?, Instant::now());
        let (name, seconds) = (&kafka.prefix, term.as_secs_f64());
        let partitions = i32::from(kafka.partitions);
        client
            .execute(
                "INSERT INTO es.relay (name, partitions) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                &[name, &partitions],
            )
            .await?;
        let statement = format!(
            "UPDATE es.relay SET epoch = epoch + 1, holder = $2, lease_until = clock_timestamp() + $3 * interval '1 s'
             WHERE name = $1 AND ({condition})
             RETURNING position, leaf_hash, last_positions, epoch, partitions"
        );
        let row = client.query_opt(&statement, &[name, &holder, &seconds]).await?;
        let Some(row) = row else { return Ok(None) };
        let found: i32 = row.get(4);
        if found != partitions {
            return Err(RelayError::PartitionCount { prefix: name.clone(), found, wanted: kafka.partitions });
        }
        let lease = Self { pool: pool.clone(), name: name.clone(), epoch: row.get(3), seconds, taken };
        Ok(Some((lease, checkpoint(&row, kafka.partitions)?)))
    }

    /// Writes the checkpoint and extends the lease.
    ///
    /// The commit does not wait for the disk: a checkpoint lost in a crash means records sent again, no more.
    pub(super) async fn save(&self, checkpoint: &Checkpoint) -> Result<(), RelayError> {
        let position = i64::try_from(checkpoint.position).unwrap_or(i64::MAX);
        let leaf_hash = checkpoint.leaf_hash.as_ref().map(<[u8; 32]>::as_slice);
        let last = Json(checkpoint.last.by_topic());
        let sql = "UPDATE es.relay SET position = $3, leaf_hash = $4, last_positions = $5,
                                       lease_until = clock_timestamp() + $6 * interval '1 s'
                   WHERE name = $1 AND epoch = $2";
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(sql).await?;
        let to: &[&(dyn ToSql + Sync)] = &[&self.name, &self.epoch, &position, &leaf_hash, &last, &self.seconds];
        // All three are sent at once: whoever waits for what the checkpoint says waits for one answer, not for four.
        let ((), ours, ()) = tokio::try_join!(
            biased;
            client.batch_execute("START TRANSACTION; SET LOCAL synchronous_commit = off"),
            client.execute(&statement, to),
            client.batch_execute("COMMIT"),
        )?;
        if ours == 0 { Err(RelayError::Replaced) } else { Ok(()) }
    }

    /// Lets another relay have the lease at once.
    pub(super) async fn release(&self) -> Result<(), RelayError> {
        let client = self.pool.get().await?;
        let statement = "UPDATE es.relay SET lease_until = clock_timestamp() WHERE name = $1 AND epoch = $2";
        client.execute(statement, &[&self.name, &self.epoch]).await?;
        Ok(())
    }
}

/// How far a generation was relayed; 0 for one that has not begun.
pub(super) async fn relayed(pool: &Pool, name: &str) -> Result<u64, RelayError> {
    let row = pool.get().await?.query_opt("SELECT position FROM es.relay WHERE name = $1", &[&name]).await?;
    Ok(row.map_or(0, |row| u64::try_from(row.get::<_, i64>(0)).unwrap_or(0)))
}

/// What Kafka has of a generation, as far as that is written down; none of one that has not begun, or has another partition
/// count.
pub(crate) async fn acknowledged(pool: &Pool, kafka: &KafkaOptions) -> Result<Option<Checkpoint>, RelayError> {
    let client = pool.get().await?;
    let sql = "SELECT position, leaf_hash, last_positions FROM es.relay WHERE name = $1 AND partitions = $2";
    let statement = client.prepare_cached(sql).await?;
    let row = client.query_opt(&statement, &[&kafka.prefix, &i32::from(kafka.partitions)]).await?;
    row.map(|row| checkpoint(&row, kafka.partitions)).transpose()
}

fn checkpoint(row: &Row, partitions: u16) -> Result<Checkpoint, RelayError> {
    let position: i64 = row.get(0);
    let leaf_hash: Option<&[u8]> = row.get(1);
    let Json(last): Json<BTreeMap<String, Vec<u64>>> = row.try_get(2)?;
    Ok(Checkpoint {
        position: u64::try_from(position).unwrap_or(0),
        leaf_hash: leaf_hash.and_then(|hash| hash.try_into().ok()),
        last: LastPositions::read(partitions, &last),
    })
}

impl From<PoolError> for RelayError {
    fn from(error: PoolError) -> Self {
        Self::Lease(error.to_string())
    }
}

impl From<tokio_postgres::Error> for RelayError {
    fn from(error: tokio_postgres::Error) -> Self {
        let said = error.as_db_error().map(|error| error.message().to_owned());
        Self::Lease(said.unwrap_or_else(|| error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_remembers_its_own_last_position_through_a_row() {
        let mut last = LastPositions::none(3);
        for (position, place) in (1..).zip(Place::all(3)) {
            assert_eq!(last.advance(place, position), 0);
        }
        let text = serde_json::to_string(&last.by_topic()).expect("maps of numbers are JSON");
        let read = LastPositions::read(3, &serde_json::from_str(&text).expect("it was written by us"));
        assert_eq!(read, last);
        assert_eq!(read.at(Place { topic: Topic::Members, partition: 2 }), 6);
    }
}
