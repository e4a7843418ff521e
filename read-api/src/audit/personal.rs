//! Personal data opened for an auditor.

use guildhall_aggregates::TenantId;
use guildhall_event_store::{Vault, vault::VaultError};
use guildhall_web::{Caller, Problem};
use serde_json::Value;

use crate::problems;

/// Opens the personal data of one association.
pub(super) struct Opener<'a> {
    vault: &'a Vault,
    tenant: TenantId,
}

impl<'a> Opener<'a> {
    /// The opener for a caller who may see history and asks to see the people in it, too. That it was asked
    /// for is logged.
    pub(super) fn for_auditor(vault: &'a Vault, caller: &Caller, what: &dyn std::fmt::Display) -> Self {
        tracing::info!(caller = %caller.subject, association = %caller.association, %what, "personal data is opened for an auditor");
        Self { vault, tenant: caller.tenant }
    }

    /// The value with every sealed text in it opened. Of a forgotten person it says so; what cannot be opened
    /// for another reason was changed since it was sealed, and is shown as unreadable.
    pub(super) async fn open(&self, value: Value) -> Result<Value, Problem> {
        self.vault.revealed(self.tenant, value).await.map_err(|error| match error {
            VaultError::Unavailable(_) => problems::unavailable(&error),
            _ => Problem::internal(&error),
        })
    }
}
