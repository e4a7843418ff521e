//! A member as the directory shows them.

use guildhall_aggregates::{
    member::MemberEvent,
    membership::{MembershipEvent, MembershipStatus},
};
use guildhall_projections::directory::{Entry, Standing};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    csv::{Cell, Tabular},
    stale::Stale,
};

/// A member, as far as the reader may see them: what may not be seen is null or empty.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct DirectoryMember {
    /// Who.
    member_id: Uuid,
    /// `person`, `organization` or `household`.
    kind: String,
    /// The association's own number for them; for staff and themself.
    member_number: Option<String>,
    /// What they are called; null once they were forgotten.
    display_name: Option<String>,
    /// Given name.
    first_name: Option<String>,
    /// Family name.
    last_name: Option<String>,
    /// E-mail address, where shown.
    email: Option<String>,
    /// Telephone number, where shown.
    phone: Option<String>,
    /// Town.
    city: Option<String>,
    /// State, province or county.
    region: Option<String>,
    /// Country.
    country: Option<String>,
    /// Position held.
    job_title: Option<String>,
    /// What they say about themself.
    biography: Option<String>,
    /// Where a picture is.
    picture_url: Option<String>,
    /// Their pages elsewhere.
    social_links: Vec<String>,
    /// Credentials held.
    credentials: Vec<String>,
    /// Organizations they belong to.
    organizations: Vec<Uuid>,
    /// Whether the reader may send them a message.
    accepts_messages: bool,
    /// Points out of 100 for a complete profile; for staff and themself.
    #[schema(minimum = 0, maximum = 100)]
    completeness: Option<i16>,
    /// Their memberships as they stand today; not for the public.
    memberships: Vec<MembershipStanding>,
    /// Whether they have died.
    deceased: bool,
    /// Whether their personal data was erased.
    forgotten: bool,
    /// True where the read model could not follow its stream: what happened to it since is missing. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    stale: bool,
}

/// A membership's status, as a question names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// In its first months.
    New,
    /// Running.
    Current,
    /// Ended, and still treated as current for a while.
    Grace,
    /// Ended.
    Expired,
    /// Not paid or not approved yet.
    Pending,
    /// Ended before its time, or declined.
    Cancelled,
    /// The member has died.
    Deceased,
}

impl From<Status> for MembershipStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::New => Self::New,
            Status::Current => Self::Current,
            Status::Grace => Self::Grace,
            Status::Expired => Self::Expired,
            Status::Pending => Self::Pending,
            Status::Cancelled => Self::Cancelled,
            Status::Deceased => Self::Deceased,
        }
    }
}

/// Where one membership stands today.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MembershipStanding {
    /// Which membership.
    membership_id: Uuid,
    /// The plan's code.
    plan: Option<String>,
    /// Its status today.
    status: String,
    /// True where the read model could not follow its stream: what happened to it since is missing. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    stale: bool,
}

impl MembershipStanding {
    fn of(standing: Standing, stale: &Stale) -> Self {
        let Standing { membership_id, plan, status } = standing;
        Self { membership_id, plan, status, stale: stale.has::<MembershipEvent>(membership_id) }
    }
}

impl DirectoryMember {
    /// The member, and whether something of them is missing.
    pub(super) fn of(entry: Entry, stale: &Stale) -> Self {
        let standing = |standing| MembershipStanding::of(standing, stale);
        Self {
            member_id: entry.member_id,
            kind: entry.kind,
            member_number: entry.member_number,
            display_name: entry.display_name,
            first_name: entry.first_name,
            last_name: entry.last_name,
            email: entry.email,
            phone: entry.phone,
            city: entry.city,
            region: entry.region,
            country: entry.country,
            job_title: entry.job_title,
            biography: entry.biography,
            picture_url: entry.picture_url,
            social_links: entry.social_links,
            credentials: entry.credentials,
            organizations: entry.organizations,
            accepts_messages: entry.accepts_messages,
            completeness: entry.completeness,
            memberships: entry.memberships.into_iter().map(standing).collect(),
            deceased: entry.deceased,
            forgotten: entry.forgotten,
            stale: stale.has::<MemberEvent>(entry.member_id),
        }
    }
}

impl Tabular for DirectoryMember {
    const COLUMNS: &'static [&'static str] = &[
        "member_id",
        "kind",
        "member_number",
        "display_name",
        "first_name",
        "last_name",
        "email",
        "phone",
        "city",
        "region",
        "country",
        "job_title",
        "credentials",
        "memberships",
        "completeness",
        "stale",
    ];

    fn cells(&self) -> Vec<Cell> {
        let standing = |membership: &MembershipStanding| {
            format!("{} ({})", membership.plan.as_deref().unwrap_or("?"), membership.status)
        };
        let memberships: Vec<_> = self.memberships.iter().map(standing).collect();
        vec![
            Cell::plain(self.member_id),
            Cell::plain(&self.kind),
            Cell::text(self.member_number.as_deref()),
            Cell::text(self.display_name.as_deref()),
            Cell::text(self.first_name.as_deref()),
            Cell::text(self.last_name.as_deref()),
            Cell::text(self.email.as_deref()),
            Cell::text(self.phone.as_deref()),
            Cell::text(self.city.as_deref()),
            Cell::text(self.region.as_deref()),
            Cell::text(self.country.as_deref()),
            Cell::text(self.job_title.as_deref()),
            Cell::texts(self.credentials.iter().map(String::as_str)),
            Cell::texts(memberships.iter().map(String::as_str)),
            Cell::maybe(self.completeness),
            Cell::stale(self.stale || self.memberships.iter().any(|membership| membership.stale)),
        ]
    }
}
