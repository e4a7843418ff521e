//! `guildhall projections`: streams that a read model could not follow, and their way back into it.

use std::{fmt::Write as _, process::ExitCode};

use guildhall_event_store::{Clock, EventStore, StreamId};
use guildhall_projections::{
    Directory, ErpJournal, Projector, Reporting,
    parked::{self, ParkedStream, PoisonEvent, Retried, RetryError},
};
use serde::Serialize;
use uuid::Uuid;

use super::Output;
use crate::{
    cli::{ProjectionsAction, ReadModel},
    config::Config,
    node::open_store,
};

pub(crate) async fn run(config: &Config, action: &ProjectionsAction, output: &Output) -> anyhow::Result<ExitCode> {
    let store = open_store(config, Clock::system()).await?;
    let wrong = match action {
        ProjectionsAction::Parked { name } => list(&store, *name, output).await?,
        ProjectionsAction::Retry(arguments) => {
            let (stream, dry_run) = (arguments.stream.as_ref(), arguments.dry_run);
            again(&store, arguments.name, &Again { stream, leave_out: false, dry_run }, output).await?
        }
        ProjectionsAction::Release(arguments) => {
            let (stream, dry_run) = (Some(&arguments.stream), arguments.dry_run);
            again(&store, arguments.name, &Again { stream, leave_out: true, dry_run }, output).await?
        }
    };
    store.shutdown().await;
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What one read model could not follow.
#[derive(Debug, Serialize)]
struct Unfollowed {
    projection: &'static str,
    parked: Vec<Waiting>,
    left_out: Vec<Missing>,
}

/// A stream that waits.
#[derive(Debug, Serialize)]
struct Waiting {
    association: Uuid,
    stream: String,
    first_position: u64,
    events: u64,
    reason: String,
}

impl From<&ParkedStream> for Waiting {
    fn from(parked: &ParkedStream) -> Self {
        let ParkedStream { tenant, stream, first_position, events, reason, .. } = parked;
        Self {
            association: tenant.uuid(),
            stream: stream.to_string(),
            first_position: *first_position,
            events: *events,
            reason: reason.clone(),
        }
    }
}

/// An event that was left out.
#[derive(Debug, Serialize)]
struct Missing {
    association: Uuid,
    stream: String,
    position: u64,
    reason: String,
}

impl From<&PoisonEvent> for Missing {
    fn from(event: &PoisonEvent) -> Self {
        let PoisonEvent { tenant, stream, position, reason, .. } = event;
        let (association, stream) = (tenant.uuid(), stream.to_string());
        Self { association, stream, position: *position, reason: reason.clone() }
    }
}

/// Lists what could not be followed. True where there is any.
async fn list(store: &EventStore, name: ReadModel, output: &Output) -> anyhow::Result<bool> {
    let client = store.pool().get().await?;
    let mut found = Vec::new();
    for projection in name.projections() {
        found.push(Unfollowed {
            projection,
            parked: parked::list(&client, projection).await?.iter().map(Waiting::from).collect(),
            left_out: parked::left_out(&client, projection).await?.iter().map(Missing::from).collect(),
        });
    }
    let text = found.iter().map(Unfollowed::described).collect::<Vec<_>>().join("\n");
    output.report(&text, &found)?;
    Ok(found.iter().any(|one| !one.parked.is_empty() || !one.left_out.is_empty()))
}

impl Unfollowed {
    fn described(&self) -> String {
        let Self { projection, parked, left_out } = self;
        if parked.is_empty() && left_out.is_empty() {
            return format!("{projection} follows every stream.");
        }
        let mut text = format!("{projection}:");
        for Waiting { association, stream, first_position, events, reason } in parked {
            let _ = write!(
                text,
                "\n  parked    {stream} of {association}: {events} events wait from position {first_position} on\n            \
                 {reason}"
            );
        }
        for Missing { association, stream, position, reason } in left_out {
            let _ = write!(
                text,
                "\n  left out  {stream} of {association}: position {position}, until a rebuild\n            {reason}"
            );
        }
        text
    }
}

/// What is folded again, and how.
struct Again<'a> {
    stream: Option<&'a StreamId>,
    leave_out: bool,
    dry_run: bool,
}

/// What came of it in one read model.
#[derive(Debug, Serialize)]
struct Outcome {
    projection: &'static str,
    dry_run: bool,
    streams: Vec<StreamOutcome>,
}

/// What came of one stream.
#[derive(Debug, Serialize)]
struct StreamOutcome {
    association: Uuid,
    stream: String,
    waited: u64,
    folded: u64,
    left_out: Vec<Missing>,
    /// What it waits for still.
    parked: Option<Waiting>,
}

impl From<&Retried> for StreamOutcome {
    fn from(retried: &Retried) -> Self {
        Self {
            association: retried.tenant.uuid(),
            stream: retried.stream.to_string(),
            waited: retried.waited,
            folded: retried.folded(),
            left_out: retried.left_out.iter().map(Missing::from).collect(),
            parked: retried.parked.as_ref().map(Waiting::from),
        }
    }
}

/// Folds parked streams again. True where one waits still.
async fn again(store: &EventStore, name: ReadModel, what: &Again<'_>, output: &Output) -> anyhow::Result<bool> {
    let mut outcomes = Vec::new();
    for projection in name.projections() {
        let retried = match projection {
            Directory::NAME => one::<Directory>(store, what).await,
            Reporting::NAME => one::<Reporting>(store, what).await,
            _ => one::<ErpJournal>(store, what).await,
        };
        let retried = match retried {
            // Named for all read models, a stream need not be parked in each.
            Err(RetryError::NotParked { .. }) if name == ReadModel::All => continue,
            retried => retried?,
        };
        let streams = retried.iter().map(StreamOutcome::from).collect();
        outcomes.push(Outcome { projection, dry_run: what.dry_run, streams });
    }
    let text = outcomes.iter().map(Outcome::described).collect::<Vec<_>>().join("\n");
    output.report(if text.is_empty() { "No read model has parked it." } else { &text }, &outcomes)?;
    Ok(outcomes.iter().flat_map(|outcome| &outcome.streams).any(|stream| stream.parked.is_some()))
}

async fn one<P: Projector>(store: &EventStore, what: &Again<'_>) -> Result<Vec<Retried>, RetryError> {
    match what.stream {
        Some(stream) if what.leave_out => parked::release::<P>(store.pool(), store, stream, what.dry_run).await,
        stream => parked::retry::<P>(store.pool(), store, stream, what.dry_run).await,
    }
}

impl Outcome {
    fn described(&self) -> String {
        let mut text = format!("{}:", self.projection);
        if self.streams.is_empty() {
            text += " no stream is parked.";
        }
        for StreamOutcome { stream, waited, folded, left_out, parked, .. } in &self.streams {
            let _ = write!(text, "\n  {stream}: {folded} of {waited} events that waited are folded");
            for Missing { position, reason, .. } in left_out {
                let _ = write!(text, "\n    left out: position {position}: {reason}");
            }
            let _ = match parked {
                None => write!(text, "; it goes on"),
                Some(Waiting { first_position, reason, .. }) => {
                    write!(text, "; it waits at position {first_position}: {reason}")
                }
            };
        }
        if self.dry_run {
            text += "\n  Nothing was changed: this was a dry run.";
        }
        text
    }
}
