//! The write side against a real Postgres: its routes in process, its executors side by side.

mod bulk;
mod executor;
mod nodes;
mod openapi;
mod pressure;
mod roster;
mod single;
mod stopped;
mod support;
mod walls;
