//! The whole house: the real binary on a real Postgres, and a real Kafka where it matters.

mod carried;
mod chaos;
mod descriptions;
mod dice;
mod documents;
mod guides;
mod import;
mod integrity;
mod monitoring;
mod operations;
mod postgres_es;
mod promises;
mod recovery;
mod server;
mod torture;
mod webhooks;
