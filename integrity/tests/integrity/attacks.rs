//! What an attacker who may write to the database changes is found, also when every hash is computed anew.

use guildhall_integrity::{
    AuditOptions, AuditReport, CheckpointProblem, Finding, NoteError, TileProblem, sign_now, verify,
};

use crate::world::{World, keys, tenant};

/// Two associations under four checkpoints; the notes of all of them, as an auditor keeps them.
async fn history() -> (World, Vec<String>) {
    let world = World::new().await;
    let mut kept = Vec::new();
    for (of, events) in [(1, 300), (2, 40), (1, 300), (2, 300)] {
        world.record(tenant(of), events).await;
        let signed = sign_now(&world.store, tenant(of), &keys()).await.expect("the log can be signed");
        kept.push(signed.expect("something is new").note);
    }
    world.record(tenant(1), 10).await;
    (world, kept)
}

async fn audit(world: &World, kept: Vec<String>) -> AuditReport {
    let options = AuditOptions { tenant: None, kept };
    verify(&world.store, &keys(), &options, |_, _| ()).await.expect("history can be read")
}

async fn after(attack: &str) -> Finding {
    let (world, _) = history().await;
    world.attack(attack).await;
    audit(&world, Vec::new()).await.first_difference.expect("the attack is found")
}

fn of_checkpoint(finding: Finding) -> (u64, CheckpointProblem) {
    match finding {
        Finding::Checkpoint { number, problem } => (number, problem),
        other => panic!("expected a checkpoint, found {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untouched_history_holds() {
    let (world, kept) = history().await;
    let mut last = (0, 0);
    let options = AuditOptions { tenant: None, kept };
    let report = verify(&world.store, &keys(), &options, |done, of| last = (done, of)).await.unwrap();
    assert_eq!(report.first_difference, None);
    assert_eq!((report.records, report.associations, report.checkpoints, report.kept), (950, 2, 4, 4));
    assert_eq!((report.unsigned, last.1), (10, 1_900));
    let options = AuditOptions { tenant: Some(tenant(2)), ..AuditOptions::default() };
    let report = verify(&world.store, &keys(), &options, |_, _| ()).await.unwrap();
    assert_eq!((report.records, report.associations, report.checkpoints), (340, 1, 2));
}

/// Changes a record, and computes its envelope hash anew as the store does, in SQL.
const RECOMPUTED: &str = "
    UPDATE es.event SET payload = '{\"nth\":-1}' WHERE position = 350;
    UPDATE es.event e SET leaf_hash = sha256((SELECT string_agg(int8send(octet_length(f)::bigint) || f, '' ORDER BY n) FROM
        unnest(ARRAY['guildhall event v1'::bytea, uuid_send(e.tenant_id), convert_to(s.category, 'UTF8'), uuid_send(s.id),
            int8send(e.version), uuid_send(e.event_id), convert_to(e.type, 'UTF8'), int2send(e.schema_version), e.metadata,
            e.payload, uuid_send(e.command_id), int8send((extract(epoch FROM e.recorded_at) * 1000000)::bigint)])
        WITH ORDINALITY x (f, n)))
    FROM es.stream s WHERE s.stream_key = e.stream_key AND e.position = 350;";

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_changed_together_with_its_hash_is_found() {
    assert_eq!(of_checkpoint(after(RECOMPUTED).await), (3, CheckpointProblem::Contradicted(600)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_was_cut_off_with_the_command_log_is_found() {
    let cut = "DELETE FROM es.event WHERE position > 840; DELETE FROM es.command_log WHERE position > 840;
               DELETE FROM es.stream WHERE first_position > 840";
    assert_eq!(of_checkpoint(after(cut).await), (4, CheckpointProblem::CutOff { signed: 340, found: 240 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_was_changed_removed_or_forged_is_found() {
    for (attack, expected) in [
        ("UPDATE es.checkpoint SET root = sha256('x') WHERE number = 3", CheckpointProblem::Repeated),
        ("UPDATE es.checkpoint SET tree_size = 599 WHERE number = 3", CheckpointProblem::Repeated),
        ("UPDATE es.checkpoint SET position = 1 WHERE number = 3", CheckpointProblem::Repeated),
        ("UPDATE es.checkpoint SET key = 'x' WHERE number = 3", CheckpointProblem::Repeated),
        ("UPDATE es.checkpoint SET signed_at = now() WHERE number = 3", CheckpointProblem::Repeated),
        ("UPDATE es.checkpoint SET note = replace(note, '600', '601') WHERE number = 3", NoteError::Forged.into()),
        ("DELETE FROM es.checkpoint WHERE number = 3", CheckpointProblem::Missing),
        ("UPDATE es.checkpoint SET number = 9 WHERE number = 3", CheckpointProblem::Missing),
    ] {
        assert_eq!(of_checkpoint(after(attack).await), (3, expected), "{attack}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tile_that_was_changed_removed_or_added_is_found() {
    let other = "sha256('x')";
    for (attack, expected) in [
        (format!("UPDATE es.log_tile SET root = {other}"), TileProblem::Changed),
        (format!("UPDATE es.log_tile SET hashes = {other} || substr(hashes, 33)"), TileProblem::Changed),
        ("UPDATE es.log_tile SET last_position = last_position - 1".to_owned(), TileProblem::Changed),
        ("DELETE FROM es.log_tile".to_owned(), TileProblem::Missing),
        (format!("UPDATE es.log_tail SET hashes = {other} || substr(hashes, 33)"), TileProblem::Changed),
        ("UPDATE es.log_tail SET last_position = last_position - 1".to_owned(), TileProblem::Changed),
        (
            "INSERT INTO es.log_tile SELECT tenant_id, level, index + 7, last_position + 9000, root, hashes FROM es.log_tile"
                .to_owned(),
            TileProblem::Foreign,
        ),
    ] {
        let finding = after(&attack).await;
        assert!(matches!(finding, Finding::Tile { problem, .. } if problem == expected), "{attack}: {finding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_auditor_kept_binds_also_the_holder_of_the_key() {
    let (world, kept) = history().await;
    // The operator rewrites a record, everything that follows from it, and signs anew.
    let anew = format!("{RECOMPUTED} DELETE FROM es.log_tile; DELETE FROM es.checkpoint WHERE number >= 3");
    world.attack(&anew).await;
    sign_now(&world.store, tenant(2), &keys()).await.unwrap();
    sign_now(&world.store, tenant(1), &keys()).await.unwrap();
    assert_eq!(audit(&world, Vec::new()).await.first_difference, None);
    let found = audit(&world, kept).await.first_difference.unwrap();
    assert_eq!(of_checkpoint(found), (3, CheckpointProblem::Replaced));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_checkpoint_that_is_gone_or_forged_is_found() {
    let (world, kept) = history().await;
    let forged = vec![kept[0].replace("300", "299")];
    assert_eq!(of_checkpoint(audit(&world, forged).await.first_difference.unwrap()), (1, NoteError::Forged.into()));
    world.attack("DELETE FROM es.checkpoint WHERE number = 4").await;
    assert_eq!(audit(&world, Vec::new()).await.first_difference, None, "nothing later tells");
    let found = audit(&world, kept).await.first_difference.unwrap();
    assert_eq!(of_checkpoint(found), (4, CheckpointProblem::Removed));
}
