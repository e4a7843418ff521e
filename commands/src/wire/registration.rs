//! Who registers, and where a registration of another system stood.

use guildhall_aggregates::{MemberId, event_roster::ImportedStanding};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Email, Name};

/// Who has, or wants, a place.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Participant {
    /// Somebody on the association's record.
    Member {
        /// Who.
        #[schema(value_type = Uuid)]
        member_id: MemberId,
    },
    /// Somebody else.
    Guest {
        /// The guest's own id, the same whenever they come; made for them where not given.
        guest_id: Option<Uuid>,
        /// What they are called.
        name: Name,
        /// Their e-mail address.
        email: Option<Email>,
    },
}

/// Where an imported registration stood.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Has a place.
    Confirmed,
    /// Has a place once it is paid or approved.
    Pending,
    /// Came.
    CheckedIn,
    /// Waits.
    Waitlisted,
    /// Gave it back.
    Cancelled,
    /// Was turned down.
    Declined,
    /// Let it lapse.
    Expired,
    /// Did not come.
    NoShow,
}

impl From<Standing> for ImportedStanding {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Confirmed => Self::Confirmed,
            Standing::Pending => Self::Pending,
            Standing::CheckedIn => Self::CheckedIn,
            Standing::Waitlisted => Self::Waitlisted,
            Standing::Cancelled => Self::Cancelled,
            Standing::Declined => Self::Declined,
            Standing::Expired => Self::Expired,
            Standing::NoShow => Self::NoShow,
        }
    }
}
