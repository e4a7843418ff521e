//! What goes to the books: balanced entries, to read page by page or to take away as a whole.

mod entries;
mod export;

use deadpool_postgres::Client;
use guildhall_aggregates::TenantId;
use guildhall_projections::erp_journal::JournalError;
use guildhall_web::Problem;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{ReadState, problems};

pub(crate) const TAG: &str = "journal";

pub(crate) fn routes() -> OpenApiRouter<ReadState> {
    OpenApiRouter::new().routes(routes!(entries::journal))
}

/// How many accounts the association has been given so far. They are added and never changed, so another number
/// means another mapping: what the entity tag needs, because accounts are no fold of history.
async fn mapping(client: &Client, tenant: TenantId) -> Result<i64, Problem> {
    let sql = "SELECT count(*) FROM settings.account_mapping \
               WHERE tenant_id IN ($1, '00000000-0000-0000-0000-000000000000')";
    let of = |error| problems::of_postgres(&error);
    let statement = client.prepare_cached(sql).await.map_err(of)?;
    Ok(client.query_one(&statement, &[&tenant.uuid()]).await.map_err(of)?.get(0))
}

fn of_journal(error: &JournalError) -> Problem {
    match error {
        JournalError::Database(error) => problems::of_postgres(error),
        JournalError::Unmapped { .. } | JournalError::UnknownCurrency { .. } => Problem::internal(error),
    }
}
