//! What can happen to an association itself.

use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use crate::{membership::StatusRules, money::Currency};

/// What happened. Stored for ever: add variants and versions, never change one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(tag = "type")]
pub enum AssociationRecord {
    /// The association keeps its records here from now on.
    AssociationFounded {
        /// Its name in full.
        name: String,
        /// Its short name; decides its tenant id.
        slug: String,
        /// The zone its dates are local to.
        #[schemars(schema_with = "crate::schema::time_zone")]
        time_zone: Tz,
        /// The currency it bills in.
        #[schemars(schema_with = "crate::schema::currency")]
        currency: Currency,
    },
    /// It has another name.
    AssociationRenamed {
        /// The new name.
        name: String,
    },
    /// Membership status is derived by other rules from now on.
    StatusRulesChanged {
        /// All rules, in order.
        rules: StatusRules,
    },
}
