//! Integrity against a real Postgres; each test has a database of its own.

mod attacks;
mod bundles;
mod sealing;
mod world;
