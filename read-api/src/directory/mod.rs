//! Who the members are, as the caller may see them.

mod entry;
mod member;
mod page;
pub(crate) mod sight;

use guildhall_projections::directory::PageError;
use guildhall_web::{Problem, problem::kind};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{ReadState, problems};

pub(crate) const TAG: &str = "directory";

pub(crate) fn routes() -> OpenApiRouter<ReadState> {
    OpenApiRouter::new().routes(routes!(page::directory)).routes(routes!(member::member))
}

pub(crate) fn of_page(error: PageError) -> Problem {
    match error {
        PageError::StaleCursor => Problem::new(kind::INVALID_QUERY, format!("`after` leads nowhere: {error}.")),
        PageError::Database(error) => problems::of_postgres(&error),
    }
}
