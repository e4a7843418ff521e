//! How far history is under signed checkpoints, for those who look after it.

use guildhall_aggregates::TenantId;
use tokio_postgres::Client;

use crate::{IntegrityError, log::natural};

/// How far history is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealStanding {
    /// Up to here every association's records are under a checkpoint; none before the first.
    pub position: Option<u64>,
    /// The last record of each association that is under its newest checkpoint.
    pub associations: Vec<(TenantId, u64)>,
}

/// How far history is sealed.
///
/// # Errors
/// The database cannot be read.
pub async fn standing(client: &Client) -> Result<SealStanding, IntegrityError> {
    let sealed = client.query_opt("SELECT position FROM es.sealed", &[]).await?;
    let rows = client.query("SELECT tenant_id, last_position FROM es.log_tail ORDER BY tenant_id", &[]).await?;
    let associations = rows.iter().map(|row| Ok((TenantId::new(row.try_get(0)?), natural(row, 1)?)));
    Ok(SealStanding {
        position: sealed.map(|row| natural(&row, 0)).transpose()?,
        associations: associations.collect::<Result<_, IntegrityError>>()?,
    })
}
