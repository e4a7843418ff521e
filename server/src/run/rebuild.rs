//! `guildhall rebuild`: a read model built again from history and compared with the live one.

use std::{fmt::Write as _, process::ExitCode};

use guildhall_event_store::{Clock, EventStore};
use guildhall_projections::{
    Projector, RebuildOptions, RebuildReport, TableReport, directory::Directory, erp_journal::ErpJournal, rebuild,
    reporting::Reporting,
};
use tokio_util::sync::CancellationToken;

use super::{
    Output,
    audit::{follow, progress_bar},
    serve::stop_signal,
};
use crate::{
    cli::{ReadModel, Rebuild},
    config::Config,
    node::open_store,
};

pub(crate) async fn run(config: &Config, arguments: &Rebuild, output: &Output) -> anyhow::Result<ExitCode> {
    let store = open_store(config, Clock::system()).await?;
    let Rebuild { repair, shares, pace, afresh, .. } = *arguments;
    let options = RebuildOptions { repair, shares, pace, afresh, ..RebuildOptions::default() };
    let mut reports = Vec::new();
    let wanted = |name| arguments.name == ReadModel::All || arguments.name == name;
    if wanted(ReadModel::Directory) {
        reports.push(one::<Directory>(&store, options, output).await?);
    }
    if wanted(ReadModel::Reporting) {
        reports.push(one::<Reporting>(&store, options, output).await?);
    }
    if wanted(ReadModel::ErpJournal) {
        reports.push(one::<ErpJournal>(&store, options, output).await?);
    }
    store.shutdown().await;
    let text = reports.iter().map(described).collect::<Vec<_>>().join("\n");
    output.report(&text, &reports)?;
    let good = reports.iter().all(|report| report.equal() || report.repaired);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn one<P: Projector>(
    store: &EventStore,
    options: RebuildOptions,
    output: &Output,
) -> anyhow::Result<RebuildReport> {
    let bar = progress_bar(output);
    bar.set_message(P::NAME);
    let stop = CancellationToken::new();
    let mut rebuilding =
        Box::pin(rebuild::<P>(store.pool(), store, options, &stop, |position, of| follow(&bar, position, of)));
    let report = tokio::select! {
        report = &mut rebuilding => report,
        () = stop_signal() => {
            stop.cancel();
            rebuilding.await
        }
    };
    bar.finish_and_clear();
    Ok(report?)
}

/// What a rebuild found, for people.
pub(crate) fn described(report: &RebuildReport) -> String {
    let mut text = format!("{} at position {}:", report.projection, report.position);
    for table in &report.tables {
        let TableReport { table, live, rebuilt, only_live, only_rebuilt, .. } = table;
        let _ = write!(text, "\n  {table}: {live} rows live, {rebuilt} rebuilt");
        if only_live + only_rebuilt > 0 {
            let _ = write!(text, " ({only_live} only live, {only_rebuilt} only rebuilt)");
        }
    }
    text += match (report.equal(), report.repaired) {
        (true, _) => "\n  The live rows equal the rebuilt ones.",
        (false, true) => "\n  The live rows differed and have been replaced by the rebuilt ones.",
        (false, false) => "\n  The live rows differ; run again with --repair to replace them.",
    };
    text
}
