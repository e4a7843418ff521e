//! What a series can be asked.

use crate::ids::InvoiceId;

/// Give an invoice the next number; one that has a number keeps it.
#[derive(Debug, Clone)]
pub struct AssignNumber {
    /// The series: `2026`.
    pub series: String,
    /// Which invoice.
    pub invoice_id: InvoiceId,
}
