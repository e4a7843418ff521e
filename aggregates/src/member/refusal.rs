//! Why a member record says no.

use strum::IntoStaticStr;

/// Why a command to a member record is refused. The name in kebab case is stable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum MemberRefusal {
    /// There is no such member.
    #[error("there is no such member: register them first")]
    MemberUnknown,
    /// There is a record with this identity, and it says something else.
    #[error("the member is on record with other data: change the record instead")]
    MemberAlreadyRegistered,
    /// Their data is gone for ever; there is nothing left to change.
    #[error("the member was forgotten and cannot be changed any more")]
    MemberForgotten,
    /// An empty number identifies nobody.
    #[error("leave the member number out or give one")]
    MemberNumberEmpty,
    /// A credential has a name.
    #[error("name the credential, such as RN")]
    CredentialMissing,
    /// More credentials than a record holds.
    #[error("a member may hold at most {most} credentials")]
    TooManyCredentials {
        /// How many there may be.
        most: usize,
    },
    /// More organizations than a record holds.
    #[error("a member may belong to at most {most} organizations")]
    TooManyAffiliations {
        /// How many there may be.
        most: usize,
    },
    /// Only people die.
    #[error("only a person can be recorded as deceased")]
    NotAPerson,
}
