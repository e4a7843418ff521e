//! A relay that is set back sends everything again, with each record naming the one before it.

use std::time::Duration;

use guildhall_kafka::{Relay, RelayError};

use crate::world::{World, within};

fn relay(world: &World) -> Relay {
    Relay::new(world.store.clone(), world.relay_options()).expect("the options are good")
}

#[tokio::test]
async fn what_is_sent_again_from_any_position_is_dropped_by_those_who_have_it_and_is_whole_for_others() {
    let Some(world) = World::open().await else { return };
    world.append(40, 10).await;
    let running = world.relay();
    let mut reader = world.reader();
    reader.read_to(400).await;
    running.shutdown().await;
    for position in [399, 137, 1, 0] {
        assert_eq!(relay(&world).set_back(position).await.expect("that much was relayed"), world.head().await);
        assert_eq!(world.relay_row("position").await, i64::try_from(position).expect("a small number"));
        let running = world.relay();
        world.append(40, 1).await;
        reader.read_to(world.head().await).await;
        running.shutdown().await;
    }
    reader.assert_has_exactly(&world.history().await, &world.kafka.prefix);
    reader.shutdown().await;
    // Who begins anew and has no history to repair from finds a whole chain from whichever point it was taken up.
    let empty = World::with(world.kafka.clone()).await;
    let mut believer = empty.believer();
    believer.read_to(world.head().await).await;
    believer.assert_has_exactly(&world.history().await, &world.kafka.prefix);
}

#[tokio::test]
async fn topics_whose_records_are_gone_are_filled_again() {
    let Some(world) = World::open().await else { return };
    world.append(40, 10).await;
    let running = world.relay();
    world.reader().read_to(400).await;
    running.shutdown().await;
    crate::faults::expire(&world, 0).await;
    relay(&world).set_back(0).await.expect("that much was relayed");
    let running = world.relay();
    let empty = World::with(world.kafka.clone()).await;
    let mut believer = empty.believer();
    believer.read_to(400).await;
    believer.assert_has_exactly(&world.history().await, &world.kafka.prefix);
    running.shutdown().await;
}

#[tokio::test]
async fn a_relay_at_work_goes_on_from_where_it_was_set_back_to() {
    let Some(world) = World::open().await else { return };
    world.append(20, 10).await;
    let running = world.relay();
    let mut reader = world.reader();
    reader.read_to(200).await;
    let epoch = world.relay_row("epoch").await;
    relay(&world).set_back(50).await.expect("that much was relayed");
    world.append(20, 1).await;
    reader.read_to(220).await;
    // Before it notices that it was replaced, it may have sent what is new.
    within("the checkpoint", async {
        while world.relay_row("position").await < 220 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    running.shutdown().await;
    assert!(world.relay_row("epoch").await > epoch + 1, "the lease was taken over and taken again");
    reader.assert_has_exactly(&world.history().await, &world.kafka.prefix);
}

#[tokio::test]
async fn what_was_never_relayed_cannot_be_sent_again() {
    let Some(world) = World::open().await else { return };
    world.append(5, 4).await;
    let refused = relay(&world).set_back(1).await;
    assert!(matches!(refused, Err(RelayError::BeyondRelayed { asked: 1, relayed: 0 })), "{refused:?}");
    let running = world.relay();
    world.reader().read_to(20).await;
    running.shutdown().await;
    let refused = relay(&world).set_back(21).await;
    assert!(matches!(refused, Err(RelayError::BeyondRelayed { asked: 21, relayed: 20 })), "{refused:?}");
    assert_eq!(world.relay_row("position").await, 20, "nothing has changed");
}

#[tokio::test]
async fn a_history_that_lost_what_was_relayed_is_not_sent_again() {
    let Some(world) = World::open().await else { return };
    world.append(5, 4).await;
    world.set_checkpoint(20).await;
    world.tamper("leaf_hash = sha256('another event')").await;
    let refused = relay(&world).set_back(5).await;
    assert!(matches!(refused, Err(RelayError::Diverged { position: 20 })), "{refused:?}");
    assert_eq!(world.relay_row("position").await, 20, "nothing has changed");
}
