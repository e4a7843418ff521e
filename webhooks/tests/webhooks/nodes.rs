//! Several nodes, and nodes that die: one delivers to an endpoint at a time, and each message comes at least once.

use std::{sync::Arc, time::Duration};

use guildhall_webhooks::WebhookOptions;
use serde_json::json;
use tokio::sync::Notify;

use crate::{
    partner::{Answer, Got, Partner},
    world::{World, nurses, options},
};

#[tokio::test]
async fn a_message_comes_again_under_its_id_when_the_node_that_sent_it_dies() {
    let (world, partner) = (World::new().await, Partner::open().await);
    let (path, _) = world.endpoint(&partner, json!({})).await;
    world.credentials(nurses(), 1, &["A", "B"]).await;
    partner.answer([Answer::When(Arc::default())]);
    let short = || WebhookOptions { timeout: Duration::from_secs(1), lease: Duration::from_secs(2), ..options() };
    let node = world.deliver(short()).await;
    partner.wait_for(1).await;
    node.kill().await;
    let node = world.deliver(short()).await;
    let got = partner.wait_for(3).await;
    let expected = world.ids(nurses(), "member").await;
    assert_eq!((&got[0].id, &got[1].id, &got[2].id), (&expected[0], &expected[0], &expected[1]));
    assert_eq!(got[0].body, got[1].body);
    world.once(&path, |endpoint| endpoint["position"] == 2).await;
    node.stop().await;
}

#[tokio::test]
async fn a_node_that_is_stopped_lets_another_go_on_at_once() {
    let (world, partner) = (World::new().await, Partner::open().await);
    world.endpoint(&partner, json!({})).await;
    world.credentials(nurses(), 1, &["A"]).await;
    partner.answer([Answer::When(Arc::default())]);
    // The lease would run for a week.
    let long = || WebhookOptions { lease: Duration::from_hours(168), ..options() };
    let node = world.deliver(long()).await;
    partner.wait_for(1).await;
    node.stop().await;
    let node = world.deliver(long()).await;
    let got = partner.wait_for(2).await;
    assert_eq!(got[0].id, got[1].id);
    node.stop().await;
}

#[tokio::test]
async fn two_nodes_do_not_get_in_each_others_way() {
    let world = World::new().await;
    let partners = [Partner::open().await, Partner::open().await];
    for partner in &partners {
        world.endpoint(partner, json!({})).await;
    }
    // Turns are so short that the endpoints go from node to node all the time.
    let hasty = || WebhookOptions { turn: Duration::from_millis(20), ..options() };
    let (first, second) = (world.deliver(hasty()).await, world.deliver(hasty()).await);
    for member in 0..30 {
        world.credentials(nurses(), member % 3, &["A", "B", "C"]).await;
    }
    let expected = world.ids(nurses(), "member").await;
    for partner in &partners {
        let got = partner.wait_for(90).await;
        assert_eq!(got.iter().map(|got| got.id.clone()).collect::<Vec<_>>(), expected);
    }
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_node_that_was_replaced_without_noticing_moves_nothing() {
    let (world, partner) = (World::new().await, Partner::open().await);
    let (path, _) = world.endpoint(&partner, json!({})).await;
    world.credentials(nurses(), 1, &["A", "B"]).await;
    let told = Arc::new(Notify::new());
    partner.answer([Answer::When(Arc::clone(&told))]);
    let slow = WebhookOptions { timeout: Duration::from_mins(10), lease: Duration::from_hours(1), ..options() };
    // It has one place: what it delivers next shows that this turn is over.
    let zombie = world.deliver(WebhookOptions { concurrency: 1, ..slow.clone() }).await;
    partner.wait_for(1).await;
    // Its lease runs out while it waits, as it would if it had been paused.
    let client = world.database.connect().await;
    client.batch_execute("UPDATE webhook.endpoint SET lease_until = '-infinity'").await.unwrap();
    let other = world.deliver(slow).await;
    world.once(&path, |endpoint| endpoint["position"] == 2).await;
    other.stop().await;
    told.notify_one();
    world.credentials(nurses(), 1, &["C"]).await;
    world.once(&path, |endpoint| endpoint["position"] == 3).await;
    let log = world.log(&path).await;
    let positions: Vec<_> = log.iter().map(|row| row["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, [1, 2, 3], "that the zombie's message was taken is not in the log, and moved nothing");
    let got: Vec<_> = partner.got().iter().map(Got::position).collect();
    assert_eq!(got, [1, 1, 2, 3]);
    zombie.stop().await;
}
