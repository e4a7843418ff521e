//! What reacts to events or to time by sending commands.
//!
//! A reaction is a function of the event that caused it: its command id is derived from the event's id, so
//! an event seen twice, by two nodes or after a crash, has its effect once. What it has to know of an invoice
//! it reads as it stood at that event. A refusal is an answer, logged and counted; everything else is tried
//! again until it is answered.
//!
//! This room knows nothing about HTTP and Kafka, and of SQL only its own two tables.
//!
//! To add a process: a module with a function of the event, such as `on_member(hands, cause)`, and a line in
//! `reactions::react`.

mod account;
mod cancelled_events;
mod deadlines;
mod dues;
mod erasure;
mod hands;
mod numbering;
mod reactions;
mod registration_fees;
mod runner;
mod settlement;

pub use hands::ProcessError;
pub use runner::{ProcessOptions, Processes, reached};
