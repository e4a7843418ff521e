//! What an operator types about a running installation.

use clap::{Args, Subcommand};
use guildhall_event_store::StreamId;
use guildhall_projections::{Directory, ErpJournal, Projector as _, Reporting};

use super::ReadModel;

impl ReadModel {
    /// The names of the projections that are meant.
    pub fn projections(self) -> Vec<&'static str> {
        match self {
            Self::Directory => vec![Directory::NAME],
            Self::Reporting => vec![Reporting::NAME],
            Self::ErpJournal => vec![ErpJournal::NAME],
            Self::All => guildhall_projections::NAMES.to_vec(),
        }
    }
}

/// What can be done about read models that could not follow all of history.
#[derive(Debug, Subcommand)]
pub enum ProjectionsAction {
    /// List the streams that are parked, because one of their events cannot be folded, and the events that were left out.
    Parked {
        /// The read model; without it, all.
        #[arg(value_enum, default_value_t = ReadModel::All)]
        name: ReadModel,
    },
    /// Fold the waiting events of parked streams with this program, in order. What still cannot be folded stays parked.
    Retry(ProjectionsRetry),
    /// Let a parked stream go on without the events that cannot be folded: they are left out until a rebuild.
    Release(ProjectionsRelease),
}

/// What is retried.
#[derive(Debug, Args)]
pub struct ProjectionsRetry {
    /// The read model.
    #[arg(value_enum)]
    pub name: ReadModel,
    /// Only this stream, as `projections parked` lists it.
    #[arg(long, value_name = "CATEGORY-ID", value_parser = parse_stream)]
    pub stream: Option<StreamId>,
    /// Say what would happen, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// What is released.
#[derive(Debug, Args)]
pub struct ProjectionsRelease {
    /// The read model.
    #[arg(value_enum)]
    pub name: ReadModel,
    /// The stream, as `projections parked` lists it.
    #[arg(long, value_name = "CATEGORY-ID", value_parser = parse_stream)]
    pub stream: StreamId,
    /// Say what would happen, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

fn parse_stream(text: &str) -> Result<StreamId, String> {
    text.parse().map_err(|_| "a stream is named by its category and its id, as in member-0198c0de-…".to_owned())
}

/// From where on something counts as wrong, and how often to look.
#[derive(Debug, Args)]
pub struct Status {
    /// Look again every 2 seconds, until Ctrl-C; with --json, a line each time.
    #[arg(long)]
    pub watch: bool,
    /// How many seconds the first missing event may have been waiting.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = parse_seconds)]
    pub max_lag_seconds: f64,
    /// How many events may be missing; any number where not given.
    #[arg(long, value_name = "EVENTS")]
    pub max_lag_positions: Option<u64>,
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds: Option<f64> = text.parse().ok();
    seconds.filter(|seconds| *seconds >= 0.0).ok_or_else(|| "give a number of seconds, 0 or more".to_owned())
}
