//! Who relays and how far, for those who look after it.

use tokio_postgres::{Client, Error};
use uuid::Uuid;

/// The relay of one generation of topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayStanding {
    /// What the topics' names begin with.
    pub generation: String,
    /// How often the lease has changed hands.
    pub epoch: i64,
    /// Whose the lease was last; none before the first.
    pub holder: Option<Uuid>,
    /// Whether somebody relays: the lease has not run out.
    pub held: bool,
    /// Kafka has acknowledged everything up to here.
    pub position: u64,
    /// The leaf hash of the event there; none at the beginning.
    pub leaf_hash: Option<[u8; 32]>,
}

impl RelayStanding {
    /// A generation that nobody has relayed to yet.
    pub fn not_begun(generation: String) -> Self {
        Self { generation, epoch: 0, holder: None, held: false, position: 0, leaf_hash: None }
    }
}

/// Every generation of topics that was ever begun from this history, by name.
pub async fn standing(client: &Client) -> Result<Vec<RelayStanding>, Error> {
    let sql = "SELECT name, epoch, holder, lease_until > clock_timestamp(), position, leaf_hash FROM es.relay \
               ORDER BY name";
    let rows = client.query(sql, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| RelayStanding {
            generation: row.get(0),
            epoch: row.get(1),
            holder: row.get(2),
            held: row.get(3),
            position: row.get::<_, i64>(4).cast_unsigned(),
            leaf_hash: row.get::<_, Option<&[u8]>>(5).and_then(|hash| hash.try_into().ok()),
        })
        .collect())
}
