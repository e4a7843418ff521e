//! Deciding what waits.

use std::collections::VecDeque;

use bytes::Bytes;
use guildhall_aggregates::{Decide, StoredEvent};
use guildhall_event_store::{DecidedCommand, NewEvent};
use uuid::Uuid;

use super::{
    ExecuteError, ExecutorOptions,
    lane::{State, Waiting},
};

/// Commands decided together, in order, on one state.
pub(super) struct Round<A: Decide> {
    /// The version they were decided on.
    pub(super) base: u64,
    /// What to record; one for each command that was not refused.
    pub(super) decided: Vec<DecidedCommand>,
    /// For each command of the round: none where it is in `decided`, else why not.
    pub(super) refused: Vec<Option<ExecuteError<A::Error>>>,
    /// All events, in order.
    pub(super) events: Vec<A::Event>,
    /// How many bytes they are, written.
    bytes: usize,
}

impl<A: Decide> Round<A> {
    /// Decides as many of the waiting commands as one unit holds; at least one.
    ///
    /// `state.known` is not touched. A single command is decided on it directly; several are decided on a
    /// copy that runs ahead.
    pub(super) fn decide(state: &mut State<A>, waiting: &VecDeque<Waiting<A>>, options: ExecutorOptions) -> Self {
        let most = waiting.len().min(options.unit_commands);
        let mut round = Self {
            base: state.known.version,
            decided: Vec::with_capacity(most),
            refused: Vec::with_capacity(most),
            events: Vec::new(),
            bytes: 0,
        };
        // Taken out while it is worked on: should a decision panic, nobody finds it half way.
        // And where a driver was dropped before what it decided was recorded, nobody takes it for recorded.
        let mut ahead = state.ahead.take().filter(|ahead| ahead.version == state.known.version);
        if most > 1 && ahead.is_none() {
            ahead = Some(Box::new(state.known.clone()));
        }
        for command in waiting.iter().take(most) {
            if round.events.len() >= options.unit_events || round.bytes >= options.unit_bytes {
                break;
            }
            let decision = round.decide_one(&ahead.as_deref().unwrap_or(&state.known).state, command);
            match decision {
                Ok(events) => {
                    if let Some(ahead) = &mut ahead {
                        for event in &events {
                            ahead.state.apply(event.clone());
                            ahead.version += 1;
                        }
                    }
                    round.keep(events);
                    round.refused.push(None);
                }
                Err(refused) => round.refused.push(Some(refused)),
            }
        }
        state.ahead = ahead;
        round
    }

    fn decide_one(&mut self, state: &A, waiting: &Waiting<A>) -> Result<Vec<A::Event>, ExecuteError<A::Error>> {
        let version = self.base + self.events.len() as u64;
        if waiting.expected.is_some_and(|expected| !expected.holds(version)) {
            return Err(ExecuteError::VersionMismatch { actual: version });
        }
        let events = state.decide(waiting.command.clone()).map_err(ExecuteError::Refused)?;
        let stored: Result<Vec<_>, _> = events.iter().map(stored).collect();
        let stored = stored.map_err(|error| ExecuteError::Failed(error.to_string().into()))?;
        self.bytes += waiting.metadata.len() + stored.iter().map(|event| event.payload.len()).sum::<usize>();
        self.decided.push(DecidedCommand {
            command_id: waiting.command_id,
            request_hash: waiting.request_hash,
            metadata: waiting.metadata.clone(),
            events: stored,
            claims: waiting.claims.clone(),
        });
        Ok(events)
    }

    fn keep(&mut self, events: Vec<A::Event>) {
        if self.events.is_empty() {
            self.events = events;
        } else {
            self.events.extend(events);
        }
    }

    /// How many of the waiting commands it holds.
    pub(super) fn len(&self) -> usize {
        self.refused.len()
    }
}

fn stored<E: StoredEvent>(event: &E) -> Result<NewEvent, serde_json::Error> {
    Ok(NewEvent {
        event_id: Uuid::now_v7(),
        type_name: event.type_name().into(),
        schema_version: event.schema_version(),
        payload: Bytes::from(serde_json::to_vec(event)?),
    })
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use guildhall_aggregates::association::{Association, FoundAssociation};
    use tokio::sync::{Semaphore, oneshot};

    use super::*;

    fn founding() -> Waiting<Association> {
        let found = FoundAssociation {
            name: "Society of Bell Founders".into(),
            slug: "founders".into(),
            time_zone: chrono_tz::Tz::UTC,
            currency: iso_currency::Currency::EUR,
        };
        Waiting {
            command: found.into(),
            command_id: Uuid::now_v7(),
            request_hash: [0; 32],
            metadata: Bytes::new(),
            claims: Vec::new(),
            expected: None,
            patient: false,
            since: Instant::now(),
            _place: Arc::new(Semaphore::new(1)).try_acquire_owned().expect("it is free"),
            answer: oneshot::channel().0,
        }
    }

    #[test]
    fn what_was_decided_and_never_recorded_is_decided_again() {
        let mut state = State::<Association>::default();
        let waiting = VecDeque::from([founding(), founding()]);
        for _ in 0..2 {
            let round = Round::decide(&mut state, &waiting, ExecutorOptions::default());
            assert_eq!((round.len(), round.events.len()), (2, 1), "the second finds what the first has founded");
        }
    }
}
