//! The one binary `guildhall`: configuration, wiring, subcommands. It holds no business rule.
//!
//! [`node`] starts any set of roles in one process; [`run`] has a module for each subcommand of [`cli`].
//! The whole-slice tests are in `tests/`.

pub mod cli;
pub mod config;
mod dead_letters;
mod descriptions;
pub mod grpc;
pub mod http;
pub mod kafka;
pub mod node;
mod projecting;
pub mod run;
pub mod sealing;
mod status;
pub mod telemetry;
pub mod webhooks;
