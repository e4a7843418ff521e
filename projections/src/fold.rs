//! One batch into the tables, whatever stands in it: events that cannot be folded park their stream, the others go in.

use std::collections::VecDeque;

use deadpool_postgres::{ClientWrapper, Transaction};
use guildhall_event_store::{Batch, EventStore, RecordedEvent};
use tokio_postgres::error::SqlState;

use crate::{
    ProjectError, Projector, RunError, Stage,
    checkpoint::{self, ADVANCE, Advance},
    parked::{MOST_PARKED, Parked},
    projector::Poison,
};

/// Folds a batch into the live tables and moves checkpoints, in one transaction; `parked` is changed even when this fails, so
/// work on a copy.
///
/// Each answer that is waited for costs the events behind it more than Postgres's work on it. So the first question of the
/// fold goes with the checkpoints, and only a batch that was refused as a whole is folded again piece by piece.
pub(crate) async fn fold_live<P: Projector>(
    store: &EventStore,
    connection: &mut ClientWrapper,
    steps: &[Advance],
    mut batch: Batch,
    parked: &mut Parked,
) -> Result<(), RunError> {
    parked.withhold(&mut batch.events);
    let advance = connection.prepare_cached(ADVANCE).await?;
    if parked.is_empty() && !batch.events.iter().any(|event| P::READS.takes(event)) {
        return checkpoint::advance::<P>(connection, &advance, steps).await;
    }
    let mut tx = connection.transaction().await?;
    let whole = async { Ok(P::apply(&batch, &tx, Stage::Live).await) };
    let ((), whole) = tokio::try_join!(biased; checkpoint::advance::<P>(tx.client(), &advance, steps), whole)?;
    if whole.is_err() {
        tx.rollback().await?;
        tx = connection.transaction().await?;
        checkpoint::advance::<P>(tx.client(), &advance, steps).await?;
        fold::<P>(store, &mut tx, batch, parked, Stage::Live).await?;
    }
    parked.write(&tx, P::NAME).await?;
    Ok(tx.commit().await?)
}

/// Folds a batch; `parked` is changed even when this fails, so work on a copy.
pub(crate) async fn fold<P: Projector>(
    store: &EventStore,
    tx: &mut Transaction<'_>,
    mut batch: Batch,
    parked: &mut Parked,
    stage: Stage,
) -> Result<(), RunError> {
    parked.withhold(&mut batch.events);
    let mut work = VecDeque::from([batch]);
    while let Some(batch) = work.pop_front() {
        if batch.events.is_empty() {
            continue;
        }
        let savepoint = tx.savepoint("batch").await?;
        let error = match P::apply(&batch, &savepoint, stage).await {
            Ok(()) => {
                savepoint.commit().await?;
                continue;
            }
            Err(error) => error,
        };
        savepoint.rollback().await?;
        let poison = match error {
            ProjectError::Poison(poison) => poison,
            ProjectError::Database(error) if !error.code().is_some_and(blames_the_data) => return Err(error.into()),
            ProjectError::Database(error) => match batch.events.as_slice() {
                [event] => vec![Poison { position: event.position, reason: code_of(&error) }],
                // Postgres does not say which row it was: halve the batch until the event is alone.
                events => {
                    let (first, second) = events.split_at(events.len() / 2);
                    work.push_front(store.batch_for(&P::READS, second.to_vec()).await?);
                    work.push_front(store.batch_for(&P::READS, first.to_vec()).await?);
                    continue;
                }
            },
        };
        park::<P>(parked, &batch.events, &poison)?;
        work.push_front(batch);
        for waiting in &mut work {
            parked.withhold(&mut waiting.events);
        }
    }
    Ok(())
}

fn park<P: Projector>(parked: &mut Parked, events: &[RecordedEvent], poison: &[Poison]) -> Result<(), RunError> {
    for Poison { position, reason } in poison {
        let Some(event) = events.iter().find(|event| event.position == *position) else { continue };
        tracing::error!(
            projection = P::NAME,
            stream = %event.stream,
            position,
            reason,
            "an event cannot be folded: its stream is parked; see `guildhall projections parked`"
        );
        metrics::counter!("projection_parked_streams_total", "projection" => P::NAME).increment(1);
        parked.park(event, reason);
    }
    // A projector that blames nothing in the batch would be asked for ever.
    let blamed = events.iter().any(|event| poison.iter().any(|poison| poison.position == event.position));
    if !blamed || parked.len() > MOST_PARKED {
        return Err(RunError::TooManyParked { projection: P::NAME, parked: parked.len() });
    }
    Ok(())
}

/// Data exceptions, violated constraints and values too large for an index: sending the same rows again cannot help.
/// Whatever else Postgres says is about itself, and passes.
fn blames_the_data(code: &SqlState) -> bool {
    matches!(code.code().get(..2), Some("22" | "23")) || *code == SqlState::PROGRAM_LIMIT_EXCEEDED
}

/// What Postgres refused, without the values, which may be personal.
fn code_of(error: &tokio_postgres::Error) -> String {
    let Some(said) = error.as_db_error() else { return SqlState::INTERNAL_ERROR.code().to_owned() };
    let place = [said.table(), said.constraint(), said.column()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    format!("Postgres refuses the rows: {} {place}", said.code().code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_server_is_not_blamed_on_the_data() {
        let of_the_server = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::QUERY_CANCELED,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::CONNECTION_FAILURE,
            SqlState::DISK_FULL,
            SqlState::OUT_OF_MEMORY,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::IO_ERROR,
            SqlState::STATEMENT_TOO_COMPLEX,
            SqlState::INSUFFICIENT_PRIVILEGE,
            SqlState::UNDEFINED_TABLE,
        ];
        for code in of_the_server {
            assert!(!blames_the_data(&code), "{code:?}");
        }
        let of_the_data =
            [SqlState::NUMERIC_VALUE_OUT_OF_RANGE, SqlState::CHECK_VIOLATION, SqlState::PROGRAM_LIMIT_EXCEEDED];
        for code in of_the_data {
            assert!(blames_the_data(&code), "{code:?}");
        }
    }
}
