//! What registrants are called, where the caller may know.

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDate;
use deadpool_postgres::Object;
use futures::future::try_join_all;
use guildhall_aggregates::{
    MemberId, Personal, SubjectId, TenantId,
    event_roster::Registrant,
    personal::{Opened, PersonName},
};
use guildhall_event_store::{Vault, VaultError};
use guildhall_projections::directory::{self, Viewer};
use guildhall_web::Problem;

use super::book::Entry;
use crate::problems;

/// Where names are looked up, and for whom.
pub(super) struct Names<'a> {
    pub(super) vault: &'a Vault,
    pub(super) directory: &'a Object,
    pub(super) tenant: TenantId,
    pub(super) viewer: Viewer,
    pub(super) today: NaiveDate,
}

impl Names<'_> {
    /// The names of the registrants of a page, as far as the viewer may know them. Guests are in no directory and
    /// have no privacy switches: their names are for staff.
    pub(super) async fn of(&self, page: &[Entry<'_>]) -> Result<HashMap<SubjectId, String>, Problem> {
        let (mut members, mut names) = (BTreeSet::new(), HashMap::new());
        for entry in page {
            match &entry.registration.registrant {
                Registrant::Member { member_id } => {
                    members.insert(*member_id);
                }
                Registrant::Guest { subject, name, .. } if self.viewer == Viewer::Staff => {
                    names.extend(self.guest(name).await?.map(|name| (*subject, name)));
                }
                Registrant::Guest { .. } => {}
            }
        }
        // One connection answers all of them in one go: the statements are sent without waiting for each other.
        let found = try_join_all(members.into_iter().map(|member| self.member(member))).await?;
        names.extend(found.into_iter().flatten());
        Ok(names)
    }

    async fn member(&self, member: MemberId) -> Result<Option<(SubjectId, String)>, Problem> {
        let entry = directory::member(self.directory, self.tenant, self.today, self.viewer, member)
            .await
            .map_err(crate::directory::of_page)?;
        Ok(entry.and_then(|entry| entry.display_name).map(|name| (member.into(), name)))
    }

    /// None once the guest was forgotten.
    async fn guest(&self, name: &Personal<PersonName>) -> Result<Option<String>, Problem> {
        match self.vault.open(self.tenant, name).await {
            Ok(Opened::Known(name)) => Ok(Some(name.display)),
            Ok(Opened::Forgotten) => Ok(None),
            Err(error @ VaultError::Unavailable(_)) => Err(problems::unavailable(&error)),
            Err(error) => Err(Problem::internal(&error)),
        }
    }
}
