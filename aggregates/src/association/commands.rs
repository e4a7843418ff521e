//! What an association can be asked about itself.

use chrono_tz::Tz;

use crate::{decide::command_enum, membership::StatusRules, money::Currency};

/// Start keeping the records of an association.
#[derive(Debug, Clone)]
pub struct FoundAssociation {
    /// Its name in full.
    pub name: String,
    /// Its short name: lower-case letters, digits and hyphens.
    pub slug: String,
    /// The zone its dates are local to.
    pub time_zone: Tz,
    /// The currency it bills in.
    pub currency: Currency,
}

/// Give the association another name.
#[derive(Debug, Clone)]
pub struct RenameAssociation {
    /// The new name.
    pub name: String,
}

/// Derive membership status by other rules.
#[derive(Debug, Clone)]
pub struct ChangeStatusRules {
    /// All rules, in order; the first that matches wins.
    pub rules: StatusRules,
}

command_enum! {
    /// Everything an association can be asked.
    AssociationCommand {
        FoundAssociation, RenameAssociation, ChangeStatusRules
    }
}
