//! Read models against a real Postgres; each test has a database of its own.

mod analyst;
mod directory;
mod journal;
mod law;
mod parked;
mod progress;
mod rebuild;
mod reporting;
mod runner;
mod story;
mod support;
