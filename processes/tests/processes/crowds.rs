//! Rosters with more to do than one decision may record.

use chrono::TimeDelta;
use futures::future::join_all;
use guildhall_aggregates::{
    association_event::{AssociationEvent, CancelEvent},
    event_roster::{ChangeCapacity, EventRoster},
};

use crate::support::{CONGRESS, World};

impl World {
    /// So many people ask for a place at the same time.
    async fn crowd(&self, people: std::ops::Range<u128>) {
        join_all(people.map(|n| self.register(n))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_places_lapse_and_are_offered_to_those_who_wait() {
    let world = World::start().await;
    world.open_congress(2_000, 5_000).await;
    world.crowd(0..2_500).await;
    world.settle().await;
    assert_eq!((world.count("PaymentAwaited").await, world.count("RegistrationWaitlisted").await), (2_000, 500));
    world.pass(TimeDelta::days(15));
    world.settle().await;
    assert_eq!((world.count("RegistrationExpired").await, world.count("PlaceOffered").await), (2_000, 500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyone_who_waits_is_offered_a_place_in_a_larger_hall() {
    let world = World::start().await;
    world.open_congress(1, 0).await;
    world.crowd(0..1_001).await;
    let command = ChangeCapacity { pool: "hall".into(), size: Some(1_001), now: world.clock.now() };
    world.send::<EventRoster>(CONGRESS, command).await;
    world.settle().await;
    assert_eq!(world.count("PlaceOffered").await, 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_is_paid_back_when_the_event_is_called_off() {
    let world = World::start().await;
    world.open_congress(1_000, 5_000).await;
    world.crowd(0..600).await;
    world.settle().await;
    world.send::<AssociationEvent>(CONGRESS, CancelEvent { reason: "storm".into() }).await;
    world.settle().await;
    assert_eq!((world.count("RegistrationCancelled").await, world.count("InvoiceCredited").await), (600, 600));
}
