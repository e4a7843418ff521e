//! The relay and the consumer on a real Kafka, between a real history and whoever is given.

mod carrying;
mod checkpoints;
mod dead_letters;
mod faults;
mod generations;
mod hand;
mod losses;
mod set_back;
mod world;
