//! The write side against a real Postgres: its routes in process, its executors side by side.

mod bulk;
mod executor;
mod openapi;
mod roster;
mod single;
mod support;
mod walls;
