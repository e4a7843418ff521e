//! What goes to the books: balanced entries, to read page by page or to take away as a whole.

mod entries;

use guildhall_projections::erp_journal::JournalError;
use guildhall_web::Problem;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{ReadState, problems};

pub(crate) const TAG: &str = "journal";

pub(crate) fn routes() -> OpenApiRouter<ReadState> {
    OpenApiRouter::new().routes(routes!(entries::journal))
}

fn of_journal(error: &JournalError) -> Problem {
    match error {
        JournalError::Database(error) => problems::of_postgres(error),
        JournalError::Unmapped { .. } | JournalError::UnknownCurrency { .. } => Problem::internal(error),
    }
}
