//! The processes against a real Postgres: what they make of what is decided, once, in whatever order.

mod crowds;
mod dues;
mod history;
mod registrations;
mod running;
mod support;
