//! `guildhall status`: how far everything that follows history is, and whether anything is wrong.

use std::{process::ExitCode, time::Duration};

use guildhall_event_store::{Clock, EventStore};
use serde::Serialize;

use super::{Output, serve::stop_signal};
use crate::{
    cli,
    config::Config,
    node::open_store,
    status::{Limits, Status, collect, described},
};

/// How often `--watch` looks again.
const EVERY: Duration = Duration::from_secs(2);

/// Clears the terminal and begins at its top.
const CLEAR: &str = "\x1b[2J\x1b[H";

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    status: &'a Status,
    problems: &'a [String],
}

pub(crate) async fn run(config: &Config, arguments: &cli::Status, output: &Output) -> anyhow::Result<ExitCode> {
    let store = open_store(config, Clock::system()).await?;
    let mut well = look(config, &store, arguments, output).await?;
    if arguments.watch {
        let mut stopped = std::pin::pin!(stop_signal());
        while tokio::time::timeout(EVERY, &mut stopped).await.is_err() {
            well = look(config, &store, arguments, output).await?;
        }
    }
    store.shutdown().await;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Looks and reports once. True where nothing is wrong.
async fn look(config: &Config, store: &EventStore, arguments: &cli::Status, output: &Output) -> anyhow::Result<bool> {
    let limits = Limits { seconds: arguments.max_lag_seconds, positions: arguments.max_lag_positions };
    let status = collect(config, store).await?;
    let problems = status.problems(&limits);
    let clear = if arguments.watch { CLEAR } else { "" };
    let text = format!("{clear}{}", described(&status, &problems));
    output.report(&text, &Report { status: &status, problems: &problems })?;
    Ok(problems.is_empty())
}
