//! Through whose eyes the directory is read.

use std::str::FromStr;

use guildhall_aggregates::MemberId;
use guildhall_projections::directory::Viewer;
use guildhall_web::{Caller, Problem, Role, problem::kind};
use serde::{Deserialize, Deserializer, de::Error};
use uuid::Uuid;

/// Who the directory is shown to, where that is not the caller: a portal shows it to members and visitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeenBy {
    /// Anybody.
    Public,
    /// One of the members.
    Member(MemberId),
}

impl FromStr for SeenBy {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "public" {
            return Ok(Self::Public);
        }
        text.parse().map(Self::Member).map_err(|_| "`seen_by` is `public` or a member's id")
    }
}

impl<'de> Deserialize<'de> for SeenBy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The eyes a read goes through. Who works for the association (scope `api`) sees all, and may look as somebody
/// else; everybody else sees what members show each other. Nobody sees more by asking.
pub(crate) fn of(caller: &Caller, seen_by: Option<SeenBy>) -> Result<Viewer, Problem> {
    caller.require(&Role::ALL)?;
    let staff = caller.roles.contains(&Role::Api);
    match seen_by {
        Some(SeenBy::Public) => Ok(Viewer::Public),
        Some(SeenBy::Member(member)) if staff => Ok(Viewer::Member(member)),
        Some(SeenBy::Member(_)) => {
            Err(Problem::new(kind::FORBIDDEN, "To look through a member's eyes needs a token with the scope `api`."))
        }
        None if staff => Ok(Viewer::Staff),
        None => Ok(Viewer::Member(MemberId::new(Uuid::nil()))),
    }
}

#[cfg(test)]
mod tests {
    use guildhall_aggregates::tenant_of_slug;

    use super::*;

    fn caller(role: Role) -> Caller {
        Caller {
            tenant: tenant_of_slug("nurses"),
            association: "nurses".into(),
            subject: "front-desk".into(),
            roles: [role].into(),
        }
    }

    #[test]
    fn nobody_sees_more_by_asking() {
        let member = MemberId::new(Uuid::from_u128(1));
        assert_eq!(of(&caller(Role::Api), None), Ok(Viewer::Staff));
        assert_eq!(of(&caller(Role::Api), Some(SeenBy::Member(member))), Ok(Viewer::Member(member)));
        assert_eq!(of(&caller(Role::Analyst), None), Ok(Viewer::Member(MemberId::new(Uuid::nil()))));
        assert_eq!(of(&caller(Role::Analyst), Some(SeenBy::Public)), Ok(Viewer::Public));
        assert!(of(&caller(Role::Analyst), Some(SeenBy::Member(member))).is_err());
    }
}
