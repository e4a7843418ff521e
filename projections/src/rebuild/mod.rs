//! A projection built again beside the live one, from the first event on, and compared with it row for row. Whoever
//! doubts a read model asks this; whoever changes a projector repairs with it.
//!
//! Shares of the streams are folded at the same time, into tables of a schema of their own ([`plan`]); each remembers how
//! far it is in the transaction of its rows, so that a rebuild that was stopped goes on where it was. What follows from
//! several streams is made once at the end. Then the build catches up with history as the live projection does, the live
//! one is held where both stand at one position, and rows that differ are replaced in one transaction: readers see the old
//! rows or the new ones, and wait for neither (decision 0020).

mod build;
mod compare;
mod pace;
mod plan;
mod share;

use std::{num::NonZeroU32, time::Duration};

use deadpool_postgres::Pool;
use guildhall_event_store::{EventStore, MAX_RANGE, Share};
use tokio_util::sync::CancellationToken;

use crate::{Projector, RunError};
use build::Build;
pub use compare::{Difference, TableReport};

/// The most shares that are folded at the same time.
pub const MOST_SHARES: u16 = 16;

/// How long the live projection gets to be at one position with the rebuilt one.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How a rebuild is made, and what it is to do besides comparing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebuildOptions {
    /// Give the live tables the rebuilt rows. Also what lets a new version of a projector, or another transport, go on.
    pub repair: bool,
    /// How many shares of the streams are folded at the same time, 1 to [`MOST_SHARES`]. One that goes on after it was
    /// stopped keeps the number it was begun with.
    pub shares: u16,
    /// About how many positions of history, and when tables are compared rows, are gone over in a second at most, at rest for
    /// half of the time at least. While the live projection stands still, only the rest is kept. As fast as it goes where there
    /// is none.
    pub pace: Option<NonZeroU32>,
    /// How many positions one transaction goes over, for each of the shares: about as many events as it folds, where the
    /// projection reads them all. 1 to 100,000 divided by the shares.
    pub range: u64,
    /// Begin with the first event though an earlier rebuild was stopped on its way.
    pub afresh: bool,
}

impl Default for RebuildOptions {
    /// Compare only, in two shares, as fast as it goes.
    fn default() -> Self {
        Self { repair: false, shares: 2, pace: None, range: 5_000, afresh: false }
    }
}

impl RebuildOptions {
    /// How many positions one transaction of a share goes over.
    fn range_of(&self, share: Share) -> u64 {
        pace::at_once(self.pace, (self.range * u64::from(share.of)).min(MAX_RANGE))
    }
}

/// What a rebuild found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RebuildReport {
    /// The projection.
    pub projection: &'static str,
    /// The position both were compared at.
    pub position: u64,
    /// Streams that could not be followed, also not by this program.
    pub parked: u64,
    /// Every table.
    pub tables: Vec<TableReport>,
    /// Whether the live tables were given the rebuilt rows.
    pub repaired: bool,
}

impl RebuildReport {
    /// True when no row differed.
    pub fn equal(&self) -> bool {
        self.tables.iter().all(TableReport::equal)
    }
}

/// Why a rebuild could not be made or compared.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Another one is at work.
    #[error("{0} is being rebuilt already; wait for that to end")]
    Running(&'static str),
    /// It was told to stop.
    #[error("the rebuild of {projection} was stopped at position {position}; run it again to go on from there")]
    Stopped {
        /// The projection.
        projection: &'static str,
        /// Everything up to here is folded.
        position: u64,
    },
    /// The live projection does not get to where history is.
    #[error(
        "{projection} stays at position {live} while history is at {history}: let it project to the end first, \
         or rebuild with --repair"
    )]
    NotAtRest {
        /// The projection.
        projection: &'static str,
        /// What the live one has reached.
        live: u64,
        /// Where the rebuilt one is.
        history: u64,
    },
    /// Folding or the database failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl From<tokio_postgres::Error> for RebuildError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Run(error.into())
    }
}

/// Builds projection `P` again in a schema of its own and compares it with the live one at one position.
///
/// The live projection goes on meanwhile; it stands still only while the last events are folded, and during a repair.
/// `progress` is told the position folded and the position to come to. After an error, or when `stop` says so, what was
/// built stays and the next rebuild goes on from there.
pub async fn rebuild<P: Projector>(
    pool: &Pool,
    store: &EventStore,
    options: RebuildOptions,
    stop: &CancellationToken,
    progress: impl Fn(u64, u64) + Send,
) -> Result<RebuildReport, RebuildError> {
    let mut build = Build::<P>::begin(pool, store, options).await?;
    let outcome = build.run(options, stop, &progress).await;
    let report = match outcome {
        Ok(report) => report,
        Err(error) => {
            // Whoever tries again at once shall not find the lock taken; the session's end would free it a moment later.
            let _lost_anyway = build.unlock().await;
            return Err(error);
        }
    };
    build.end().await?;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_goes_over_what_its_share_has_in_a_range_or_less_at_a_pace() {
        let half = Share { number: 0, of: 2 };
        let at = |pace| RebuildOptions { pace: NonZeroU32::new(pace), ..RebuildOptions::default() }.range_of(half);
        assert_eq!((at(0), at(50_000), at(7), at(u32::MAX)), (10_000, 500, 1, 10_000));
        let all = RebuildOptions { range: u64::MAX / 2, ..RebuildOptions::default() };
        assert_eq!(all.range_of(half), MAX_RANGE);
    }
}
