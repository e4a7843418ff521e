//! What is counted, with its handles kept: looking one up by name and labels costs more than counting.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use metrics::{Counter, Histogram, SharedString};

/// The meters of an executor, made as commands come.
#[derive(Default)]
pub(super) struct Meters {
    commands: RwLock<HashMap<String, Arc<Meter>>>,
    unit_commands: OnceLock<Histogram>,
}

/// What is counted of one kind of command.
pub(super) struct Meter {
    command: SharedString,
    recorded: Counter,
    seconds: Histogram,
}

impl Meters {
    /// The meter of a kind of command. There are as many as there are kinds: a few dozen.
    pub(super) fn of(&self, command: &str) -> Arc<Meter> {
        let known = self.commands.read().unwrap_or_else(PoisonError::into_inner).get(command).cloned();
        known.unwrap_or_else(|| {
            let mut commands = self.commands.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(commands.entry(command.to_owned()).or_insert_with(|| Arc::new(Meter::new(command))))
        })
    }

    /// Counts a unit of this many commands.
    #[expect(clippy::cast_precision_loss, reason = "a unit holds a few hundred commands")]
    pub(super) fn unit(&self, commands: usize) {
        self.unit_commands.get_or_init(|| metrics::histogram!("command_unit_commands")).record(commands as f64);
    }
}

impl Meter {
    fn new(command: &str) -> Self {
        let command = SharedString::from(command.to_owned());
        Self {
            recorded: metrics::counter!("commands_total", "command" => command.clone(), "outcome" => "recorded"),
            seconds: metrics::histogram!("command_seconds", "command" => command.clone()),
            command,
        }
    }

    /// Counts a command with its outcome: none where it was recorded.
    pub(super) fn count(&self, took: Duration, failed: Option<&'static str>) {
        self.seconds.record(took.as_secs_f64());
        match failed {
            None => self.recorded.increment(1),
            Some(outcome) => {
                metrics::counter!("commands_total", "command" => self.command.clone(), "outcome" => outcome)
                    .increment(1);
            }
        }
    }
}
