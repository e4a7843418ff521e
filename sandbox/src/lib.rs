//! A private Postgres and a private Kafka, started by us, for the demo, the tests and the benchmarks.
//!
//! [`postgres::Postgres`] and [`kafka::Kafka`] each own one server process and one directory. They can be stopped,
//! killed as hard as a power cut and started again on the same data, and they die with their owner. Starting and
//! stopping block for seconds: in async code call them from `spawn_blocking`.
//!
//! [`testing`] gives every test a fresh, migrated database on a cluster that `guildhall-sandbox run` started.
//!
//! Nothing here belongs in production: a real installation has a Postgres and a Kafka that somebody looks after.

mod account;
pub mod kafka;
mod place;
pub mod postgres;
mod service;
pub mod testing;
