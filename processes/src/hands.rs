//! How a process sends a command.

use std::time::Duration;

use chrono::NaiveDate;
use guildhall_aggregates::{Decide, StoredEvent, TenantId, association::Association, ids::derived};
use guildhall_commands::{ExecuteError, Executor, Order};
use guildhall_event_store::{
    Actor, DecodeError, EventStore, LoadError, Loaded, Metadata, RecordedEvent, StoreError, VaultError,
};
use uuid::Uuid;

/// Why a process cannot go on. All but unreadable history passes by itself.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// A recorded event cannot be read.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
    /// State cannot be read.
    #[error(transparent)]
    State(#[from] LoadError),
    /// History cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A data key cannot be reached.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The processes' own tables cannot be reached.
    #[error("the processes' tables cannot be reached: {0}")]
    Tables(String),
    /// The write side does not answer for now.
    #[error("the write side does not answer: {0}")]
    Again(String),
}

const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What a reaction has in its hands: the write side, and the store for the clock and the vault.
#[derive(Clone)]
pub(crate) struct Hands {
    executor: Executor,
    store: EventStore,
}

/// A reaction's command: who sends it, to which stream, and what makes it the same when it is sent again.
pub(crate) struct Reaction<'a, C> {
    /// The process, by name.
    pub(crate) process: &'static str,
    /// The command's name.
    pub(crate) name: &'static str,
    /// The event that is reacted to.
    pub(crate) cause: &'a RecordedEvent,
    /// The id of the thing the command is for.
    pub(crate) id: Uuid,
    /// The command.
    pub(crate) command: C,
}

impl Hands {
    pub(crate) fn new(executor: Executor, store: EventStore) -> Self {
        Self { executor, store }
    }

    pub(crate) fn store(&self) -> &EventStore {
        &self.store
    }

    /// Sends the command until it is answered. A refusal is an answer.
    pub(crate) async fn send<A: Decide>(
        &self,
        reaction: Reaction<'_, impl Into<A::Command>>,
    ) -> Result<(), ProcessError> {
        let about = reaction.id;
        self.send_about::<A>(reaction, about).await
    }

    /// The same for one of several commands that a cause has for one thing; `about` tells them apart.
    pub(crate) async fn send_about<A: Decide>(
        &self,
        reaction: Reaction<'_, impl Into<A::Command>>,
        about: Uuid,
    ) -> Result<(), ProcessError> {
        let Reaction { process, name, cause, id, command } = reaction;
        let command_id = derived(cause.event_id, &["process", process, name, &about.to_string()]);
        let metadata = Metadata {
            command: name.to_owned(),
            actor: Actor::Process(process.to_owned()),
            correlation_id: cause.parsed_metadata()?.correlation_id,
            causation_id: Some(cause.event_id),
            traceparent: None,
        };
        self.send_order::<A>(cause.tenant, id, command.into(), command_id, metadata).await.map(|_| ())
    }

    /// Sends a command under an id of its own. Says whether anything was recorded.
    pub(crate) async fn send_order<A: Decide>(
        &self,
        tenant: TenantId,
        id: Uuid,
        command: A::Command,
        command_id: Uuid,
        metadata: Metadata,
    ) -> Result<bool, ProcessError> {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let order = Order::<A> {
                tenant,
                id,
                command: command.clone(),
                command_id,
                request_hash: self.store.vault().request_hash(tenant, command_id.as_bytes()),
                metadata: metadata.clone(),
                claims: vec![],
                expected_version: None,
            };
            let error = match self.executor.execute(order).await {
                Ok(receipt) => return Ok(!receipt.events.is_empty()),
                Err(error) => error,
            };
            if !passes(&error) {
                note_refusal(&error, id, &metadata.command);
                return Ok(false);
            }
            tracing::debug!(command = metadata.command, %error, "a process's command is sent again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Looks at a thing of the cause's association. Of the stream the cause is in, the state is never older than the
    /// cause; of others it is at most a second old.
    pub(crate) async fn look<A: Decide, R>(
        &self,
        cause: &RecordedEvent,
        id: Uuid,
        view: impl Fn(&A) -> R,
    ) -> Result<R, ProcessError> {
        let caused_here = id == cause.stream.id && &*cause.stream.category == A::Event::CATEGORY;
        let needed = if caused_here { cause.version } else { 0 };
        let cached = self
            .executor
            .read(cause.tenant, id, |loaded: &Loaded<A>| (loaded.version >= needed).then(|| view(&loaded.state)));
        match cached.await {
            Ok(Some(seen)) => Ok(seen),
            Ok(None) => Ok(view(&self.store.load::<A>(cause.tenant, id).await?.state)),
            Err(error) => Err(ProcessError::Again(error.to_string())),
        }
    }

    /// The association's date today.
    pub(crate) async fn today(&self, cause: &RecordedEvent) -> Result<NaiveDate, ProcessError> {
        let zone = self.look(cause, cause.tenant.uuid(), Association::time_zone).await?;
        Ok(self.store.clock().today(zone.unwrap_or(chrono_tz::UTC)))
    }
}

/// Whether it passes by itself, so that trying again is worth it.
fn passes<E>(error: &ExecuteError<E>) -> bool {
    match error {
        ExecuteError::InProgress
        | ExecuteError::Contended
        | ExecuteError::Overloaded { .. }
        | ExecuteError::Unavailable(_) => true,
        ExecuteError::Refused(_)
        | ExecuteError::ClaimTaken { .. }
        | ExecuteError::KeyReused
        | ExecuteError::VersionMismatch { .. }
        | ExecuteError::TooLarge(_)
        | ExecuteError::Failed(_) => false,
    }
}

/// A refusal is news to whoever looks after the association; what history will never take is a defect of ours.
fn note_refusal<E: std::fmt::Display>(error: &ExecuteError<E>, id: Uuid, command: &str) {
    metrics::counter!("process_refusals_total", "command" => command.to_owned()).increment(1);
    match error {
        ExecuteError::TooLarge(_) | ExecuteError::Failed(_) | ExecuteError::KeyReused => {
            tracing::error!(command, stream = %id, %error, "a process's command cannot be recorded");
        }
        _ => tracing::warn!(command, stream = %id, %error, "a process's command was refused"),
    }
}
