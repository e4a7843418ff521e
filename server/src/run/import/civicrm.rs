//! `guildhall import civicrm`: an association's tables, through the bulk command path.

use std::{fmt::Write as _, path::Path, process::ExitCode};

use anyhow::Context as _;
use bytes::Bytes;
use futures::{StreamExt, stream};
use guildhall_aggregates::{association::Association, ids::derived, money::Currency, tenant_of_slug};
use guildhall_commands::{Executor, ExecutorOptions, bulk, registry::Sender};
use guildhall_event_store::{Actor, Clock, EventStore, Receipt};
use guildhall_imports::{
    CommandLine, Import, Outcome, Report, RowOutcome,
    civicrm::{self, ImportOptions},
};
use guildhall_web::{Problem, problem::kind};
use serde_json::json;

use crate::{
    cli::ImportCivicrm,
    config::Config,
    node::open_store,
    run::{
        Output,
        audit::{follow, progress_bar},
    },
};

/// Lines worked on at once.
const WINDOW: usize = 256;
/// Rows named on the screen; the report's file names all.
const ROWS_SHOWN: usize = 20;

pub(crate) async fn civicrm(config: &Config, arguments: &ImportCivicrm, output: &Output) -> anyhow::Result<ExitCode> {
    // Everything that can be wrong with the folder is known before anything is written.
    let import = civicrm::read(&arguments.dir, &options(arguments)?)?;
    let store = open_store(config, Clock::system()).await?;
    let done = send(&store, arguments, import, output).await;
    store.shutdown().await;
    let done = done?;
    if let Some(path) = &arguments.report {
        write_report(&done.report, path).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    output.report(&described(&done), &json!({ "events_appended": done.appended, "report": done.report }))?;
    let refused = done.report.outcomes().contains_key(&RowOutcome::Refused);
    Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

pub(crate) fn options(arguments: &ImportCivicrm) -> anyhow::Result<ImportOptions> {
    let currency = Currency::from_code(&arguments.currency)
        .with_context(|| format!("--currency: {} is not an ISO 4217 currency code", arguments.currency))?;
    anyhow::ensure!(
        guildhall_web::identity::is_slug(&arguments.association),
        "--association: a short name is 1 to 64 lower-case letters, digits and hyphens"
    );
    Ok(ImportOptions {
        tenant: tenant_of_slug(&arguments.association),
        association: arguments.association.clone(),
        as_of: arguments.as_of,
        currency,
        time_zone: arguments.time_zone,
    })
}

/// What an import came to.
pub(crate) struct Done {
    /// Events it appended.
    pub(crate) appended: usize,
    /// What became of every row.
    pub(crate) report: Report,
}

/// Founds the association if it is not there, and sends the lines.
pub(crate) async fn send(
    store: &EventStore,
    arguments: &ImportCivicrm,
    import: Import,
    output: &Output,
) -> anyhow::Result<Done> {
    let Import { lines, mut report } = import;
    let before = store.head().await?;
    let tenant = tenant_of_slug(&arguments.association);
    let executor = Executor::new(store.clone(), ExecutorOptions::default());
    let sender = Sender {
        tenant,
        actor: Actor::Import(report.system.to_owned()),
        correlation_id: derived(tenant.uuid(), &["import", report.system, &arguments.as_of.to_string()]),
        traceparent: None,
    };
    if !store.load::<Association>(tenant, tenant.uuid()).await?.state.is_founded() {
        found(&executor, &sender, arguments).await?;
    }
    let bar = progress_bar(output);
    let total = lines.len() as u64;
    let encoded = stream::iter(lines).map(|line| encode(&line));
    let mut outcomes = std::pin::pin!(bulk::run(executor.clone(), sender, WINDOW, encoded));
    let mut appended = 0;
    while let Some(outcome) = outcomes.next().await {
        let settled = settle(outcome.outcome, before, &mut appended)?;
        report.settle(usize::try_from(outcome.line)? - 1, &settled);
        follow(&bar, outcome.line, total);
    }
    bar.finish_and_clear();
    executor.drain().await;
    Ok(Done { appended, report })
}

async fn found(executor: &Executor, sender: &Sender, arguments: &ImportCivicrm) -> anyhow::Result<()> {
    let founding = CommandLine {
        command: "FoundAssociation",
        idempotency_key: "import/association".to_owned(),
        body: json!({
            "name": arguments.association, "slug": arguments.association,
            "time_zone": arguments.time_zone, "currency": arguments.currency,
        }),
    };
    let line = stream::iter([encode(&founding)]);
    let mut outcomes = std::pin::pin!(bulk::run(executor.clone(), sender.clone(), 1, line));
    match outcomes.next().await.map(|line| line.outcome) {
        Some(Err(problem)) => anyhow::bail!("the association cannot be founded: {}", problem.detail()),
        _ => Ok(()),
    }
}

fn encode(line: &CommandLine) -> Result<Bytes, Problem> {
    serde_json::to_vec(line).map(Bytes::from).map_err(|error| Problem::internal(&error))
}

/// What an answer means for the rows it is for. An answer that history is not there ends the import: it can be run
/// again, and goes on.
fn settle(answer: Result<Receipt, Problem>, before: u64, appended: &mut usize) -> anyhow::Result<Outcome> {
    match answer {
        Ok(receipt) if !receipt.events.is_empty() && receipt.position > before => {
            *appended += receipt.events.len();
            Ok(Outcome::Appended)
        }
        Ok(_) => Ok(Outcome::Unchanged),
        Err(problem) if problem.kind() == kind::KEY_REUSED => Ok(Outcome::Differs),
        Err(problem) if problem.kind().status.is_server_error() => {
            anyhow::bail!("the import stopped and can be run again: {}", problem.detail())
        }
        Err(problem) => {
            let fields = problem.errors().iter().map(|error| format!(" {}: {}", error.pointer, error.detail));
            Ok(Outcome::Refused { problem: format!("{}{}", problem.detail(), fields.collect::<String>()) })
        }
    }
}

fn write_report(report: &Report, path: &Path) -> anyhow::Result<()> {
    let file = std::io::BufWriter::new(std::fs::File::create(path)?);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Ok(report.write_csv(file)?),
        Some("json") => Ok(serde_json::to_writer_pretty(file, report)?),
        _ => anyhow::bail!("the report's name must end in .csv or .json"),
    }
}

/// What an import came to, for people.
pub(crate) fn described(done: &Done) -> String {
    let report = &done.report;
    let mut text = format!("{} as of {}: {} events appended.\n\n", report.association, report.as_of, done.appended);
    let _ = writeln!(text, "  {:<26}{:>7}{:>8}{:>10}{:>9}", "table", "rows", "taken", "adjusted", "refused");
    for (name, table) in &report.tables {
        let (rows, taken) = (table.rows, table.taken);
        let _ = writeln!(text, "  {name:<26}{rows:>7}{taken:>8}{:>10}{:>9}", table.adjusted, table.refused);
    }
    for (name, table) in &report.tables {
        if !table.columns_not_read.is_empty() {
            let _ = writeln!(text, "  {name}: columns not read: {}", table.columns_not_read.join(", "));
        }
        table.notes.iter().for_each(|note| {
            let _ = writeln!(text, "  {name}: {note}");
        });
    }
    for left_out in &report.left_out {
        let _ = writeln!(text, "  {} ({} rows) is not imported: {}", left_out.table, left_out.rows, left_out.reason);
    }
    let told: Vec<_> = report.rows.iter().filter(|row| !row.reasons.is_empty()).collect();
    for row in told.iter().take(ROWS_SHOWN) {
        let id = row.id.map_or_else(|| format!("line {}", row.line), |id| id.to_string());
        let _ = writeln!(text, "  {} {id}: {}", row.table, row.reasons.join("; "));
    }
    if told.len() > ROWS_SHOWN {
        let _ = writeln!(text, "  … and {} more; --report FILE names them all", told.len() - ROWS_SHOWN);
    }
    text
}
