//! The log grows with history, whoever makes it grow, and says the same as a second implementation.

use std::time::Duration;

use chrono::TimeDelta;
use guildhall_integrity::{
    AuditOptions, Checkpoint, Folder, IntegrityError, Keys, NoteError, Sealer, SigningKey, sign_now, verify,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::world::{NEXT_SEED, SEED, World, keys, open, root, tenant, until};

#[tokio::test(flavor = "multi_thread")]
async fn every_checkpoint_has_the_root_that_another_implementation_computes() {
    let world = World::new().await;
    for (of, events) in [(1, 1), (2, 3), (1, 255), (1, 1), (2, 700), (1, 4_500)] {
        world.record(tenant(of), events).await;
        let signed = sign_now(&world.store, tenant(of), &keys()).await.unwrap().unwrap().statement;
        let tree = world.other_tree(tenant(of)).await;
        assert_eq!((signed.tree_size, signed.root.0), (tree.len(), root(&tree)));
        assert_eq!(signed.position, world.store.head().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_new_nothing_is_signed() {
    let world = World::new().await;
    assert_eq!(sign_now(&world.store, tenant(1), &keys()).await.unwrap(), None);
    world.record(tenant(1), 3).await;
    assert!(sign_now(&world.store, tenant(1), &keys()).await.unwrap().is_some());
    world.record(tenant(2), 3).await;
    assert_eq!(sign_now(&world.store, tenant(1), &keys()).await.unwrap(), None);
}

/// The number of records and of checkpoints that an audit finds to be as they were; nothing unsigned.
async fn all_signed(world: &World) -> Option<(u64, u64)> {
    let report = verify(&world.store, &keys(), &AuditOptions::default(), |_, _| ()).await.expect("history can be read");
    assert_eq!(report.first_difference, None);
    (report.unsigned == 0).then_some((report.records, report.checkpoints))
}

#[tokio::test(flavor = "multi_thread")]
async fn sealers_of_several_nodes_and_lives_make_one_log() {
    let world = World::new().await;
    world.record(tenant(1), 700).await;
    for life in 0..3 {
        let stop = CancellationToken::new();
        let mut sealers = JoinSet::new();
        for _node in 0..2 {
            let store = open(world.database.url(), world.clock.clone()).await;
            let stop = stop.clone();
            sealers.spawn(async move {
                Sealer::new(store, keys(), Duration::from_millis(20), Vec::new()).run(stop).await.unwrap();
            });
        }
        for of in 1..=40 {
            world.record(tenant(of), 30 + usize::try_from(of).unwrap() * 3).await;
        }
        world.record(tenant(2), 1_000).await;
        until("all is signed", || async { all_signed(&world).await.is_some() }).await;
        stop.cancel();
        sealers.join_all().await;
        let (records, checkpoints) = all_signed(&world).await.unwrap();
        assert_eq!(records, world.store.head().await.unwrap());
        assert!(checkpoints >= 40, "in life {life}");
    }
    let tiles = world.client().await.query_one("SELECT count(*) FROM es.log_tile", &[]).await.unwrap();
    assert!(tiles.get::<_, i64>(0) >= 3_000 / 256);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_contradicted_is_not_signed_again() {
    let world = World::new().await;
    world.record(tenant(1), 10).await;
    sign_now(&world.store, tenant(1), &keys()).await.unwrap();
    world.attack("UPDATE es.log_tail SET hashes = sha256('other') || substr(hashes, 33)").await;
    world.record(tenant(1), 10).await;
    let refused = sign_now(&world.store, tenant(1), &keys()).await;
    assert!(matches!(refused, Err(IntegrityError::Contradicted { number: 1, .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_stays_what_was_recorded_when_a_record_is_changed() {
    let world = World::new().await;
    world.record(tenant(1), 10).await;
    sign_now(&world.store, tenant(1), &keys()).await.unwrap();
    world.record(tenant(1), 10).await;
    let recorded = world.other_tree(tenant(1)).await;
    world.attack("UPDATE es.event SET payload = '{}', leaf_hash = sha256('other') WHERE position = 3").await;
    let signed = sign_now(&world.store, tenant(1), &keys()).await.unwrap().unwrap().statement;
    assert_eq!(signed.root.0, root(&recorded));
    let report = verify(&world.store, &keys(), &AuditOptions::default(), |_, _| ()).await.unwrap();
    assert!(report.first_difference.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_reach_a_folder_once_and_whole_also_after_a_crash() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let place = Folder::open(folder.path()).unwrap();
    let mut notes = Vec::new();
    for of in [1, 2, 1] {
        world.record(tenant(of), 5).await;
        world.clock.advance(TimeDelta::minutes(1));
        notes.push(sign_now(&world.store, tenant(of), &keys()).await.unwrap().unwrap().note);
    }
    let client = world.client().await;
    let written = || {
        [(1, 1), (2, 2), (1, 3)].map(|(of, number)| {
            let path = folder.path().join(tenant(of).uuid().to_string()).join(format!("{number:012}.checkpoint"));
            std::fs::read_to_string(path).unwrap()
        })
    };
    assert_eq!(guildhall_integrity::carry(&client, &place).await.unwrap(), 3);
    assert_eq!(written().as_slice(), notes);
    assert_eq!(guildhall_integrity::carry(&client, &place).await.unwrap(), 0);
    // A crash after the files were written and before that was noted.
    client.execute("UPDATE es.publication SET number = 1", &[]).await.unwrap();
    assert_eq!(guildhall_integrity::carry(&client, &place).await.unwrap(), 2);
    assert_eq!(written().as_slice(), notes);
    // What stands there is never replaced.
    world
        .attack("UPDATE es.publication SET number = 0; UPDATE es.checkpoint SET note = note || 'x' WHERE number = 2")
        .await;
    let refused = guildhall_integrity::carry(&client, &place).await;
    assert!(matches!(refused, Err(IntegrityError::File { .. })), "{refused:?}");
    assert_eq!(written().as_slice(), notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_rotated_without_anybody_losing_the_thread() {
    let key = |seed| SigningKey::parse(seed).unwrap();
    let world = World::new().await;
    world.record(tenant(1), 5).await;
    let by_old = sign_now(&world.store, tenant(1), &keys()).await.unwrap().unwrap();
    // Both sign, also where nothing new was recorded.
    let rotating = Keys::new(Some(key(NEXT_SEED)), Some(key(SEED)), &[]).unwrap();
    let by_both = sign_now(&world.store, tenant(1), &rotating).await.unwrap().unwrap();
    assert_eq!(by_both.statement.tree_size, by_old.statement.tree_size);
    assert_eq!(sign_now(&world.store, tenant(1), &rotating).await.unwrap(), None);
    let trusting_old = Checkpoint::verified(&by_both.note, &keys()).unwrap();
    assert_eq!(trusting_old.introduces(), Some(&*key(NEXT_SEED).verifier()));
    // Then the new one alone, and the old one is only remembered.
    world.record(tenant(1), 5).await;
    let retired = [key(SEED).verifier()];
    let after = Keys::new(Some(key(NEXT_SEED)), None, &retired).unwrap();
    let by_new = sign_now(&world.store, tenant(1), &after).await.unwrap().unwrap();
    assert_eq!(Checkpoint::verified(&by_new.note, &keys()), Err(NoteError::Untrusted));
    let report = verify(&world.store, &after, &AuditOptions::default(), |_, _| ()).await.unwrap();
    assert_eq!((report.checkpoints, report.first_difference), (3, None));
    // Who rotates without the old key's help is told.
    let forgetful = Keys::new(Some(key(NEXT_SEED)), None, &[]).unwrap();
    let report = verify(&world.store, &forgetful, &AuditOptions::default(), |_, _| ()).await.unwrap();
    assert!(report.first_difference.unwrap().to_string().contains("integrity.retired_keys"));
}

/// What archiving does to the log: of some positions, only the last event of each stream is still there.
async fn archive(world: &World, last: u64) {
    world
        .attack(&format!(
            "DELETE FROM es.event e WHERE position <= {last}
                 AND EXISTS (SELECT FROM es.event n WHERE n.stream_key = e.stream_key AND n.version > e.version);
             INSERT INTO es.archived (partition_name, first_position, last_position, manifest)
             VALUES ('event_0', 1, {last}, '{{}}')"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_goes_on_when_what_it_has_sealed_is_archived_and_not_before() {
    let world = World::new().await;
    for (of, events) in [(1, 300), (2, 5), (1, 10)] {
        world.record(tenant(of), events).await;
    }
    let mut expected = world.other_tree(tenant(1)).await;
    let stop = CancellationToken::new();
    let sealer = Sealer::new(world.store.clone(), keys(), Duration::from_millis(20), Vec::new());
    let told = stop.clone();
    let mut running = JoinSet::new();
    running.spawn(async move { sealer.run(told).await.unwrap() });
    let client = world.client().await;
    until("everything is sealed", || async {
        let row = client.query_opt("SELECT FROM es.sealed WHERE position = 315", &[]).await;
        row.expect("the database answers").is_some()
    })
    .await;
    stop.cancel();
    running.join_all().await;
    archive(&world, 315).await;
    world.record(tenant(1), 3).await;
    let signed = sign_now(&world.store, tenant(1), &keys()).await.unwrap().unwrap().statement;
    for event in world.store.read_tenant_after(tenant(1), 315, 10).await.unwrap() {
        expected.push([&event.position.to_be_bytes()[..], &event.computed_leaf_hash()].concat());
    }
    assert_eq!((signed.tree_size, signed.position, signed.root.0), (313, 318, root(&expected)));
    // What was archived before it was sealed is missed, not left out.
    world.attack("UPDATE es.archived SET last_position = 316").await;
    world.attack("DELETE FROM es.log_tail").await;
    world.record(tenant(1), 3).await;
    let refused = sign_now(&world.store, tenant(1), &keys()).await;
    assert!(matches!(refused, Err(IntegrityError::Archived { first: 1, last: 316 })), "{refused:?}");
}
