//! What an auditor takes away can be checked with nothing but the bundle.

use std::str::FromStr as _;

use chrono::{DateTime, TimeDelta, Utc};
use guildhall_integrity::{
    BundleRequest, Checkpoint, Hash, IntegrityError, Which, leaf, prove, sign_now, write_bundle,
};
use serde_json::Value;
use tlog_tiles::{check_record, check_tree, node_hash};

use crate::world::{World, keys, tenant};

fn whole() -> BundleRequest {
    BundleRequest { tenant: tenant(1), slug: "first".to_owned(), from: None, to: None, consistent_with: None }
}

async fn bundle(world: &World, request: &BundleRequest) -> Vec<Value> {
    let mut written = Vec::new();
    write_bundle(&world.store, request, &mut written).await.expect("the bundle can be written");
    let text = String::from_utf8(written).expect("a bundle is text");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn hashes(value: &Value) -> Vec<Hash> {
    let hash = |text: &Value| Hash::parse_hash(text.as_str().expect("a text")).expect("a hash");
    value.as_array().expect("a list").iter().map(hash).collect()
}

/// The root by walking down the tree as the format says, with nothing but what is in the bundle.
fn root(lines: &[Value], stored: &[[u8; 32]]) -> Hash {
    struct Walk<I, J, K> {
        left: I,
        inside: J,
        right: K,
        first: u64,
        end: u64,
    }
    impl<I: Iterator<Item = Hash>, J: Iterator<Item = Hash>, K: Iterator<Item = Hash>> Walk<I, J, K> {
        fn node(&mut self, low: u64, high: u64) -> Hash {
            if high <= self.first {
                self.left.next().expect("a hash on the left")
            } else if low >= self.end {
                self.right.next().expect("a hash on the right")
            } else if high - low == 1 {
                self.inside.next().expect("a record")
            } else {
                let mut middle = 1;
                while middle * 2 < high - low {
                    middle *= 2;
                }
                let left = self.node(low, low + middle);
                node_hash(left, self.node(low + middle, high))
            }
        }
    }
    let proof = &lines.iter().find_map(|line| line.get("range_proof")).expect("there is a proof");
    let records: Vec<&Value> = lines.iter().filter_map(|line| line.get("record")).collect();
    let inside = records.iter().zip(stored).map(|(record, hash)| leaf(number(&record["position"]), hash));
    let first = number(&lines[0]["first_index"]);
    let end = first + number(&lines[0]["count"]);
    let (left, right) = (hashes(&proof["left"]), hashes(&proof["right"]));
    let mut walk = Walk { left: left.into_iter(), inside, right: right.into_iter(), first, end };
    let root = walk.node(0, number(&lines[0]["tree_size"]));
    assert!(walk.left.next().is_none() && walk.inside.next().is_none() && walk.right.next().is_none());
    root
}

async fn stored(world: &World, lines: &[Value]) -> Vec<[u8; 32]> {
    let events = world.store.read_tenant_after(tenant(1), 0, 10_000).await.expect("history can be read");
    let first = usize::try_from(number(&lines[0]["first_index"])).expect("a small number");
    events[first..].iter().map(guildhall_event_store::RecordedEvent::computed_leaf_hash).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_follows_from_the_records_of_a_bundle() {
    let world = World::new().await;
    world.record(tenant(1), 300).await;
    world.record(tenant(2), 30).await;
    world.clock.advance(TimeDelta::days(10));
    world.record(tenant(1), 400).await;
    world.clock.advance(TimeDelta::days(10));
    world.record(tenant(1), 77).await;
    let signed = sign_now(&world.store, tenant(1), &keys()).await.unwrap().unwrap();
    let day = |text: &str| Some(DateTime::<Utc>::from_str(text).unwrap());
    let ranges = [
        (None, None, (0, 777, false, false)),
        (day("2026-03-05T00:00:00Z"), None, (299, 478, true, false)),
        (None, day("2026-03-15T00:00:00Z"), (0, 701, false, true)),
        (day("2026-03-05T00:00:00Z"), day("2026-03-15T00:00:00Z"), (299, 402, true, true)),
        (day("2026-03-05T00:00:00Z"), day("2026-03-06T00:00:00Z"), (299, 2, true, true)),
        (day("2027-01-01T00:00:00Z"), None, (776, 1, true, false)),
        (None, day("2020-01-01T00:00:00Z"), (0, 1, false, true)),
    ];
    for (from, to, expected) in ranges {
        let lines = bundle(&world, &BundleRequest { from, to, ..whole() }).await;
        let (head, edges) = (&lines[0], &lines[0]["edges"]);
        let found = (number(&head["first_index"]), number(&head["count"]), &edges["before"], &edges["after"]);
        assert_eq!(
            found,
            (expected.0, expected.1, &Value::Bool(expected.2), &Value::Bool(expected.3)),
            "{from:?} {to:?}"
        );
        assert_eq!(lines[1]["checkpoint"], signed.note);
        assert_eq!(lines.last().unwrap()["end"]["count"], head["count"]);
        assert_eq!(root(&lines, &stored(&world, &lines).await), signed.statement.root);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_shows_that_it_continues_an_earlier_checkpoint() {
    let world = World::new().await;
    world.record(tenant(1), 10).await;
    let old = sign_now(&world.store, tenant(1), &keys()).await.unwrap().unwrap();
    world.record(tenant(1), 600).await;
    let new = sign_now(&world.store, tenant(1), &keys()).await.unwrap().unwrap();
    let request = BundleRequest { consistent_with: Some(old.note.clone()), ..whole() };
    let lines = bundle(&world, &request).await;
    let proof = hashes(&lines[2]["consistency"]["proof"]);
    let (old, new) = (old.statement, new.statement);
    assert_eq!((old.tree_size, new.tree_size), (10, 610));
    check_tree(&proof, new.tree_size, new.root, old.tree_size, old.root).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_can_be_proved_and_none_that_was_changed() {
    let world = World::new().await;
    world.record(tenant(2), 5).await;
    world.record(tenant(1), 270).await;
    let nothing = prove(&world.store, Which::Position(6), &keys()).await;
    assert!(matches!(nothing, Err(IntegrityError::NotProvable(_))), "{nothing:?}");
    sign_now(&world.store, tenant(1), &keys()).await.unwrap();
    for position in [6, 100, 261, 262, 275] {
        let proof = prove(&world.store, Which::Position(position), &keys()).await.unwrap();
        assert_eq!(proof.index, position - 6);
        let said = Checkpoint::verified(&proof.checkpoint.note, &keys()).unwrap().statement;
        let hash = leaf(position, &proof.event.computed_leaf_hash());
        let path = proof.path.iter().map(|text| Hash::parse_hash(text).unwrap()).collect();
        check_record(&path, said.tree_size, said.root, proof.index, hash).unwrap();
        let by_id = prove(&world.store, Which::Event(proof.event.event_id), &keys()).await.unwrap();
        assert_eq!(by_id, proof);
    }
    world.attack("UPDATE es.event SET payload = '{}' WHERE position = 100").await;
    let changed = prove(&world.store, Which::Position(100), &keys()).await;
    assert!(matches!(changed, Err(IntegrityError::Contradicted { .. })), "{changed:?}");
}
