//! `guildhall audit`: whether history is what was recorded, and what proves it to others.

mod bundle;
mod prove;
mod sign;
mod verify;

use std::{fs, path::Path, process::ExitCode};

use anyhow::Context as _;
use guildhall_event_store::VerifyReport;
use guildhall_integrity::checkpoint::MAX_NOTE_BYTES;
use indicatif::{ProgressBar, ProgressStyle};

use super::Output;
use crate::{cli::AuditCheck, config::Config};

/// Does what was asked for.
pub(crate) async fn run(config: &Config, check: AuditCheck, output: &Output) -> anyhow::Result<ExitCode> {
    match check {
        AuditCheck::Verify(arguments) => verify::run(config, &arguments, output).await,
        AuditCheck::Checkpoint { association } => sign::checkpoint(config, association.as_deref(), output).await,
        AuditCheck::Prove(arguments) => prove::run(config, &arguments, output).await,
        AuditCheck::Bundle(arguments) => bundle::run(config, &arguments, output).await,
        AuditCheck::Keys => sign::keys(config, output),
    }
}

/// What verifying the records found, for people.
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

/// A signed note from a file.
fn note(file: &Path) -> anyhow::Result<String> {
    let size = fs::metadata(file).with_context(|| format!("{} cannot be read", file.display()))?.len();
    anyhow::ensure!(size <= MAX_NOTE_BYTES as u64, "{} is too large to be a checkpoint", file.display());
    fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
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
