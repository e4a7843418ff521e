//! `guildhall audit verify`: every record, every checkpoint, checked.

use std::process::ExitCode;

use guildhall_aggregates::tenant_of_slug;
use guildhall_event_store::Clock;
use guildhall_integrity::{AuditOptions, AuditReport, Finding, verify};
use serde_json::{Value, json};

use super::{follow, note, progress_bar};
use crate::{cli::AuditVerify, config::Config, node::open_store, run::Output};

/// Ends with a code other than zero when something is not as it was recorded or signed.
pub(super) async fn run(config: &Config, arguments: &AuditVerify, output: &Output) -> anyhow::Result<ExitCode> {
    let keys = config.integrity.keys()?;
    let kept = arguments.checkpoint.iter().map(|file| note(file)).collect::<anyhow::Result<_>>()?;
    let options = AuditOptions { tenant: arguments.association.as_deref().map(tenant_of_slug), kept };
    let store = open_store(config, Clock::system()).await?;
    let bar = progress_bar(output);
    let report = verify(&store, &keys, &options, |done, of| follow(&bar, done, of)).await;
    bar.finish_and_clear();
    store.shutdown().await;
    let report = report?;
    output.report(&described(&report), &as_json(&report))?;
    Ok(if report.first_difference.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn described(report: &AuditReport) -> String {
    let AuditReport { records, head, associations, checkpoints, kept, unsigned, .. } = report;
    match &report.first_difference {
        None => format!(
            "{records} records up to position {head}: all are as they were recorded.\n\
             {checkpoints} checkpoints of {associations} associations hold, and {kept} that were kept elsewhere; \
             {unsigned} records are not under one yet."
        ),
        Some(finding @ Finding::Record(_)) => format!(
            "History has been changed. The first record that is not as it was recorded:\n  {finding}\n\
             {records} records before it were checked and hold."
        ),
        Some(finding) => format!(
            "History is not what was signed. What was found first:\n  {finding}\n\
             {records} records agree with their hashes and the command log; {checkpoints} checkpoints hold."
        ),
    }
}

fn as_json(report: &AuditReport) -> Value {
    json!({
        "holds": report.first_difference.is_none(),
        "records": report.records,
        "head": report.head,
        "associations": report.associations,
        "checkpoints": report.checkpoints,
        "kept_checkpoints": report.kept,
        "unsigned_records": report.unsigned,
        "first_difference": report.first_difference.as_ref().map(finding),
    })
}

fn finding(finding: &Finding) -> Value {
    match finding {
        Finding::Record(difference) => json!({
            "position": difference.position,
            "stream": difference.stream.as_ref().map(ToString::to_string),
            "problem": difference.problem.to_string(),
        }),
        Finding::Checkpoint { number, problem } => json!({ "checkpoint": number, "problem": problem.to_string() }),
        Finding::Tile { association, level, index, problem } => json!({
            "tile": { "association": association.uuid(), "level": level, "index": index },
            "problem": problem.to_string(),
        }),
    }
}
