//! `guildhall import postgres-es`: the events table of an application on `postgres-es`, with order and versions kept.
//!
//! The ids of commands and events follow from what the source calls them, so that an import can be stopped, run again,
//! and run again when the source has grown. What is recorded already is compared, never recorded twice.

mod report;
mod source;
mod translate;

use std::{collections::HashMap, process::ExitCode};

use anyhow::Context as _;
use futures::future::join_all;
use guildhall_aggregates::{TenantId, association::Association, tenant_of_slug};
use guildhall_event_store::{
    Clock, EventStore, StoreError, Unit, UnitOutcome,
    cqrs::{Categories, request_hashes},
};
use indicatif::ProgressBar;
use serde_json::json;
use uuid::Uuid;

use self::{
    report::Report,
    source::{Row, Source},
    translate::{Ready, Translator, units_of},
};
use crate::{
    cli::ImportPostgresEs,
    config::Config,
    node::open_store,
    run::{
        Output,
        audit::{follow, progress_bar},
    },
};

/// Streams that may be refused before the import is given up: a source with more is not what it is taken for.
const MOST_REFUSED: usize = 100_000;

pub(crate) async fn postgres_es(
    config: &Config,
    arguments: &ImportPostgresEs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        guildhall_web::identity::is_slug(&arguments.association),
        "--association: a short name is 1 to 64 lower-case letters, digits and hyphens"
    );
    let categories = categories(&arguments.types)?;
    if let Some(path) = &arguments.report {
        report::check_name(path)?;
    }
    let source = Source::open(&arguments.url, &arguments.table, arguments.order_by.as_deref()).await?;
    let store = open_store(config, Clock::system()).await?;
    let done = run(&store, source, categories, arguments, output).await;
    store.shutdown().await;
    let report = done?;
    if let Some(path) = &arguments.report {
        report.write(path).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    output.report(&report.described(), &json!({ "events_appended": report.appended(), "report": report }))?;
    Ok(if report.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn categories(types: &[String]) -> anyhow::Result<Categories> {
    types.iter().try_fold(Categories::default(), |categories, pair| {
        let (aggregate_type, name) =
            pair.rsplit_once('=').with_context(|| format!("--types: {pair:?} should be TYPE=NAME"))?;
        categories.with(aggregate_type, name).context("--types")
    })
}

async fn run(
    store: &EventStore,
    mut source: Source,
    categories: Categories,
    arguments: &ImportPostgresEs,
    output: &Output,
) -> anyhow::Result<Report> {
    let tenant = tenant_of_slug(&arguments.association);
    let association = store.load::<Association>(tenant, tenant.uuid()).await?;
    anyhow::ensure!(
        association.state.is_founded(),
        "--association: there is no association {} here, and what is imported cannot be taken back; found it first",
        arguments.association
    );
    let bar = progress_bar(output);
    bar.set_length(source.count().await?);
    let report = Report::new(arguments.association.clone(), arguments.dry_run);
    let translator = Translator::new(store, tenant, categories);
    let mut import = Import { store, tenant, translator, report, refused: HashMap::new(), bar };
    let mut page = source.page().await?;
    while !page.is_empty() {
        let (next, taken) = tokio::join!(source.page(), import.take(page));
        taken?;
        page = next?;
    }
    import.bar.finish_and_clear();
    Ok(import.report)
}

/// An import under way.
struct Import<'s> {
    store: &'s EventStore,
    tenant: TenantId,
    translator: Translator<'s>,
    report: Report,
    /// From which sequence on nothing is taken of a stream, by aggregate type and id.
    refused: HashMap<(String, String), i64>,
    bar: ProgressBar,
}

impl Import<'_> {
    /// Records what is new in a page of the source.
    async fn take(&mut self, page: Vec<Row>) -> anyhow::Result<()> {
        let rows = page.len() as u64;
        let mut ready = Vec::with_capacity(page.len());
        for row in page {
            self.report.saw(&row);
            if self.is_refused(&row.aggregate_type, &row.aggregate_id, row.sequence) {
                self.report.of(&row.aggregate_type).refused += 1;
                continue;
            }
            match self.translator.translate(&row) {
                Ok(translated) => {
                    self.report.of(&row.aggregate_type).category =
                        Some(translated.aggregate.stream.category.to_string());
                    ready.push(translated);
                }
                Err(reason) => self.refuse(&row.aggregate_type, &row.aggregate_id, row.sequence, reason, 1)?,
            }
        }
        let new = self.without_known(ready).await?;
        let units = units_of(self.tenant, new);
        if self.report.dry_run {
            self.try_out(units).await?;
        } else {
            self.append(units).await?;
        }
        follow(&self.bar, self.bar.position() + rows, self.bar.length().unwrap_or(0));
        Ok(())
    }

    fn is_refused(&self, aggregate_type: &str, aggregate_id: &str, sequence: i64) -> bool {
        // Hardly ever is anything refused, and then no name needs to be copied to look it up.
        !self.refused.is_empty()
            && self
                .refused
                .get(&(aggregate_type.to_owned(), aggregate_id.to_owned()))
                .is_some_and(|&from| from <= sequence)
    }

    /// Takes nothing of a stream from a row on.
    fn refuse(
        &mut self,
        aggregate_type: &str,
        aggregate_id: &str,
        sequence: i64,
        reason: String,
        rows: u64,
    ) -> anyhow::Result<()> {
        self.report.of(aggregate_type).refused += rows;
        if self.is_refused(aggregate_type, aggregate_id, sequence) {
            return Ok(());
        }
        self.refused.insert((aggregate_type.to_owned(), aggregate_id.to_owned()), sequence);
        anyhow::ensure!(
            self.refused.len() <= MOST_REFUSED,
            "more than {MOST_REFUSED} streams are refused, the last of them because {reason}; is this the events table?"
        );
        self.report.refuse(aggregate_type, aggregate_id, sequence, reason);
        Ok(())
    }

    fn refuse_all(&mut self, unit: &[Ready], reason: &str) -> anyhow::Result<()> {
        let Some(first) = unit.first() else { return Ok(()) };
        let aggregate = &first.aggregate;
        let (name, id) = (aggregate.aggregate_type.clone(), aggregate.aggregate_id.clone());
        self.refuse(&name, &id, first.sequence, reason.to_owned(), unit.len() as u64)
    }

    /// Leaves out what an earlier import recorded, once it is seen to be the same.
    async fn without_known(&mut self, ready: Vec<Ready>) -> anyhow::Result<Vec<Ready>> {
        let ids: Vec<Uuid> = ready.iter().map(|row| row.command.command_id).collect();
        let known = request_hashes(self.store, self.tenant, &ids).await?;
        let mut new = Vec::with_capacity(ready.len());
        for row in ready {
            let name = row.aggregate.aggregate_type.clone();
            if self.is_refused(&name, &row.aggregate.aggregate_id, row.sequence) {
                self.report.of(&name).refused += 1;
                continue;
            }
            match known.get(&row.command.command_id) {
                None => new.push(row),
                Some(hash) if *hash == row.command.request_hash => self.report.of(&name).unchanged += 1,
                Some(_) => {
                    let reason = "the row was changed since it was imported; history keeps what it said then";
                    self.refuse_all(&[row], reason)?;
                }
            }
        }
        Ok(new)
    }

    /// Appends units in order, many to one commit.
    async fn append(&mut self, units: Vec<(Unit, Vec<Ready>)>) -> anyhow::Result<()> {
        let (units, rows): (Vec<_>, Vec<_>) = units.into_iter().unzip();
        let outcomes = join_all(units.into_iter().map(|unit| self.store.append(unit))).await;
        for (outcome, rows) in outcomes.into_iter().zip(rows) {
            match outcome {
                Ok(UnitOutcome::Appended(_)) => self.took(&rows),
                Ok(UnitOutcome::Conflict { actual }) => self.refuse_all(&rows, &conflict(&rows, actual))?,
                Ok(UnitOutcome::Duplicate(_) | UnitOutcome::ClaimTaken { .. }) => {
                    anyhow::bail!("another import of this source is running; run this one again when it has ended")
                }
                Err(error @ (StoreError::Refused { .. } | StoreError::TooLarge { .. } | StoreError::Malformed(_))) => {
                    self.refuse_all(&rows, &error.to_string())?;
                }
                Err(error) => return Err(error).context("the import stopped and can be run again"),
            }
        }
        Ok(())
    }

    /// Asks of each unit whether its stream is where the unit would go on.
    async fn try_out(&mut self, units: Vec<(Unit, Vec<Ready>)>) -> anyhow::Result<()> {
        for (unit, rows) in units {
            let there = self.store.read_stream(self.tenant, &unit.stream, unit.expected_version, 1).await?;
            match there.first() {
                None => self.took(&rows),
                Some(event) => self.refuse_all(&rows, &conflict(&rows, event.version))?,
            }
        }
        Ok(())
    }

    fn took(&mut self, rows: &[Ready]) {
        if let Some(first) = rows.first() {
            self.report.of(&first.aggregate.aggregate_type).appended += rows.len() as u64;
        }
    }
}

/// Why rows do not go where they should in a stream that is at another version here.
fn conflict(rows: &[Ready], actual: u64) -> String {
    let wanted = rows.first().map_or(0, |row| row.sequence);
    if i64::try_from(actual).is_ok_and(|actual| actual < wanted) {
        format!("its stream ends at version {actual} here, and this would not follow")
    } else {
        format!("its stream has gone on here without the source: version {wanted} is another event")
    }
}
