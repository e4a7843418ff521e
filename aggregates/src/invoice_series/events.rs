//! What can happen at a series of invoice numbers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use crate::ids::InvoiceId;

/// What happened. Stored for ever: add variants and versions, never change one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(tag = "type")]
pub enum SeriesEvent {
    /// An invoice has the next number.
    NumberAssigned {
        /// The series: `2026`.
        series: String,
        /// Which invoice.
        invoice_id: InvoiceId,
        /// Its number.
        number: u32,
    },
}
