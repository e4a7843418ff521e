//! `guildhall audit verify`: every record, checked.

use std::process::ExitCode;

use guildhall_event_store::{Clock, VerifyOptions, VerifyReport};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::Output;
use crate::{config::Config, node::open_store};

/// Checks positions, versions, hashes and the command log. Ends with a code other than zero when a record is not
/// as it was recorded.
pub(crate) async fn verify(config: &Config, output: &Output) -> anyhow::Result<ExitCode> {
    let store = open_store(config, Clock::system()).await?;
    let bar = progress_bar(output);
    let report =
        store.verify(VerifyOptions::default(), |progress| follow(&bar, progress.position, progress.head)).await;
    bar.finish_and_clear();
    store.shutdown().await;
    let report = report?;
    output.report(&described(&report), &as_json(&report))?;
    Ok(if report.first_difference.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What verifying found, for people.
pub(crate) fn described(report: &VerifyReport) -> String {
    match &report.first_difference {
        None => format!("{} records up to position {}: all are as they were recorded.", report.records, report.head),
        Some(difference) => format!(
            "History has been changed. The first record that is not as it was recorded:\n  {difference}\n\
             {} records before it were checked and hold.",
            report.records
        ),
    }
}

fn as_json(report: &VerifyReport) -> serde_json::Value {
    json!({
        "holds": report.first_difference.is_none(),
        "records": report.records,
        "head": report.head,
        "first_difference": report.first_difference.as_ref().map(|difference| json!({
            "position": difference.position,
            "stream": difference.stream.as_ref().map(ToString::to_string),
            "problem": difference.problem.to_string(),
        })),
    })
}

/// A progress bar for people; nothing for programs.
pub(crate) fn progress_bar(output: &Output) -> ProgressBar {
    if !output.is_for_people() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len}, {per_sec}, {eta} to go {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

/// Moves a bar.
pub(crate) fn follow(bar: &ProgressBar, position: u64, of: u64) {
    bar.set_length(of);
    bar.set_position(position);
}
