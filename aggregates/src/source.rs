//! Where an imported fact comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The record of another system that a fact was imported from, such as `civicrm` / `membership` / `17`.
/// It names a row and holds no personal data.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SourceRef {
    /// The system, in lower case: `civicrm`.
    pub system: String,
    /// The table or collection: `membership`.
    pub table: String,
    /// The row's own id there.
    pub id: String,
}
