//! Why an association says no.

use strum::IntoStaticStr;

/// Why a command to an association is refused. The name in kebab case is stable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum AssociationRefusal {
    /// No association keeps its records here yet.
    #[error("there is no such association: found it first")]
    AssociationUnknown,
    /// Another association was founded here.
    #[error("the association is already founded, with another name, zone or currency")]
    AssociationAlreadyFounded,
    /// A name is needed.
    #[error("an association needs a name")]
    NameMissing,
    /// The short name is not one.
    #[error("the short name must be 1 to 63 lower-case letters, digits and hyphens, beginning with a letter")]
    SlugInvalid,
    /// Without any rule every membership would be expired.
    #[error("give at least one status rule")]
    StatusRulesMissing,
    /// More rules than anyone can follow.
    #[error("give at most {most} status rules")]
    TooManyStatusRules {
        /// How many there may be.
        most: usize,
    },
}
