//! History against a real Postgres; each test has a database of its own.

mod cqrs;
mod cuts;
mod delays;
mod eviction;
mod faults;
mod guard;
mod loading;
mod model;
mod order;
mod outcomes;
mod proxy;
mod snapshots;
mod support;
mod vault;
mod verify;
