//! Who belongs to an association: names, ways to reach them as far as they let others see, credentials, organizations and
//! where their memberships stand.

mod completeness;
mod member;
mod page;

pub use completeness::{ProfileParts, completeness};
use deadpool_postgres::Transaction;
use guildhall_aggregates::member::MemberEvent;
use guildhall_event_store::{Batch, Selection};
pub use page::{Entry, Filter, Page, PageError, Standing, Viewer, member, page};

use tokio_postgres::Error;

use crate::{
    ProjectError, Projector, Stage,
    decode::Decoder,
    rows::WorkingSet,
    standing::{self, StandingEvents, StandingTables, key_of},
};
use member::MemberRow;

/// The tables its memberships stand in.
const STANDING: StandingTables = StandingTables {
    plan: "directory_plan",
    rules: "directory_rules",
    death: "directory_death",
    membership: "directory_membership",
    span: "directory_status_span",
};

/// Folds members and their memberships into the directory.
#[derive(Debug)]
pub struct Directory;

impl Projector for Directory {
    const NAME: &'static str = "directory";
    const VERSION: i32 = 1;
    const TABLES: &'static [&'static str] =
        &[member::TABLE, STANDING.plan, STANDING.rules, STANDING.death, STANDING.membership, STANDING.span];

    /// Notes are for the staff's own screens: they change no row.
    const READS: Selection = Selection {
        categories: &["association", "member", "membership", "membership_plan"],
        without: &["AssociationFounded", "AssociationRenamed", "NoteAdded"],
    };

    async fn apply(batch: &Batch, tx: &Transaction<'_>, stage: Stage) -> Result<(), ProjectError> {
        let mut decoder = Decoder::new(batch, Self::READS);
        let members = decoder.all::<MemberEvent>();
        let standing = StandingEvents::decode(&mut decoder);

        let keys = members.iter().map(|(event, _)| key_of(event)).collect();
        let mut rows = WorkingSet::<MemberRow, 2>::load(tx, member::TABLE, keys).await?;
        for (event, said) in &members {
            let key = key_of(event);
            if let Some(row) = MemberRow::folded(rows.get(key), key, event, said, &mut decoder) {
                rows.put(row);
            }
        }
        decoder.finish()?;
        rows.write(tx).await?;
        Ok(standing::apply(tx, &STANDING, &standing, stage).await?)
    }

    async fn complete(tx: &Transaction<'_>) -> Result<(), Error> {
        standing::complete(tx, &STANDING).await
    }
}
