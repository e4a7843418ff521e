//! Invoices, and what is open on them.

mod invoice;
mod invoices;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::ReadState;

pub(crate) const TAG: &str = "billing";

pub(crate) fn routes() -> OpenApiRouter<ReadState> {
    OpenApiRouter::new().routes(routes!(invoices::invoices)).routes(routes!(invoice::invoice))
}
