//! The processes against a real Postgres: what they make of what is decided, once, in whatever order.

mod dues;
mod registrations;
mod support;
