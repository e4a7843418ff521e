//! History against a real Postgres; each test has a database of its own.

mod backwards;
mod cqrs;
mod cuts;
mod delays;
mod eviction;
mod failover;
mod faults;
mod guard;
mod known;
mod loading;
mod mishaps;
mod model;
mod order;
mod outages;
mod outcomes;
mod partitions;
mod proxy;
mod snapshots;
mod support;
mod vault;
mod verify;
