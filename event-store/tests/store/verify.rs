//! Promise 5, as far as the database alone can keep it: what was altered is found and named.

use guildhall_event_store::{
    EventStore, VerifyOptions,
    verify::{Difference, Problem},
};
use guildhall_sandbox::testing::TestDatabase;

use crate::support::{open_store, receipts, stream, tenant, unit};

/// Ten events: two streams of association 1, one of association 2, in turns.
async fn history() -> (TestDatabase, EventStore) {
    let (database, store) = open_store().await;
    let streams = [(1, stream()), (1, stream()), (2, stream())];
    for version in 0..3 {
        for (number, stream) in &streams {
            receipts(store.append(unit(tenant(*number), stream, version, 1)).await);
        }
    }
    receipts(store.append(unit(tenant(1), &stream(), 0, 1)).await);
    (database, store)
}

/// What an attacker does who is a superuser, and what verifying finds.
async fn after(attack: &str) -> Option<Difference> {
    let (database, store) = history().await;
    let attacker = database.connect().await;
    let attack = format!("SET session_replication_role = replica; {attack}");
    attacker.batch_execute(&attack).await.expect("a superuser can do anything");
    store.verify(VerifyOptions::default(), |_| ()).await.expect("history can be read").first_difference
}

fn found(difference: Option<Difference>) -> (u64, Problem) {
    let difference = difference.expect("the attack is found");
    (difference.position, difference.problem)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untouched_history_verifies_as_a_whole_and_for_one_association() {
    let (_database, store) = history().await;
    let mut last = 0;
    let report = store.verify(VerifyOptions::default(), |progress| last = progress.position).await;
    let report = report.expect("history can be read");
    assert_eq!((report.records, report.head, report.first_difference, last), (10, 10, None, 10));
    let options = VerifyOptions { tenant: Some(tenant(2)), after: 0 };
    let report = store.verify(options, |_| ()).await.expect("history can be read");
    assert_eq!((report.records, report.head, report.first_difference), (3, 10, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_record_is_found() {
    for change in [
        "payload = '{}'",
        "metadata = '{\"actor\":1}'",
        "type = 'Other'",
        "schema_version = 2",
        "recorded_at = recorded_at + interval '1 microsecond'",
        "event_id = gen_random_uuid()",
        "leaf_hash = sha256('x')",
    ] {
        let difference = after(&format!("UPDATE es.event SET {change} WHERE position = 4")).await;
        assert_eq!(found(difference), (4, Problem::Changed), "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_record_is_found_also_at_the_end() {
    let difference = after("DELETE FROM es.event WHERE position = 4").await;
    assert_eq!(found(difference), (4, Problem::Missing { next: 5 }));
    let difference = after("DELETE FROM es.event WHERE position >= 9").await;
    assert_eq!(found(difference), (8, Problem::CutOff { logged: 10 }));
    let difference = after(
        "DELETE FROM es.event WHERE position = 4;
         UPDATE es.event SET position = position - 1 WHERE position > 4",
    )
    .await;
    assert_eq!(found(difference), (4, Problem::NotInLog));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inserted_record_is_found() {
    let difference = after(
        "INSERT INTO es.event SELECT 11, stream_key, version + 1, recorded_at, tenant_id, event_id, gen_random_uuid(),
            schema_version, type, leaf_hash, metadata, payload FROM es.event WHERE position = 10",
    )
    .await;
    assert_eq!(found(difference), (11, Problem::Changed));
    let difference = after("DELETE FROM es.command_log WHERE position = 10").await;
    assert_eq!(found(difference), (10, Problem::NotInLog));
}

#[tokio::test(flavor = "multi_thread")]
async fn swapped_records_are_found() {
    let swap = |one, other| {
        format!(
            "UPDATE es.event SET position = 0 - position WHERE position IN ({one}, {other});
             UPDATE es.event SET position = CASE position WHEN -{one} THEN {other} ELSE {one} END WHERE position < 0"
        )
    };
    // Positions below 1 have a constraint and no partition against them; an attacker has one made.
    let room = "ALTER TABLE es.event DROP CONSTRAINT event_position_check;
                CREATE TABLE es.event_aside PARTITION OF es.event FOR VALUES FROM (-100) TO (0);";
    let difference = after(&format!("{room} {}", swap(4, 5))).await;
    assert_eq!(found(difference), (4, Problem::NotInLog), "of two streams");
    let difference = after(&format!("{room} {}", swap(4, 7))).await;
    assert_eq!(found(difference), (4, Problem::OutOfSequence { version: 3 }), "of one stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_moved_to_another_association_is_found() {
    let other = tenant(2);
    let difference = after(&format!("UPDATE es.event SET tenant_id = '{other}' WHERE position = 4")).await;
    assert_eq!(found(difference), (4, Problem::ForeignStream));
    let difference = after(&format!(
        "UPDATE es.stream SET tenant_id = '{other}' WHERE stream_key = (SELECT stream_key FROM es.event WHERE position = 4)"
    ))
    .await;
    assert_eq!(found(difference), (1, Problem::ForeignStream));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_events_know_nothing_of_is_found() {
    let twin = "INSERT INTO es.stream (first_position, tenant_id, id, category)
                SELECT first_position, tenant_id, id, category FROM es.stream WHERE first_position = 2";
    let unguarded = "DO $$ BEGIN EXECUTE (SELECT format('ALTER TABLE es.stream DROP CONSTRAINT %I', conname)
                     FROM pg_constraint WHERE conrelid = 'es.stream'::regclass AND contype = 'u'); END $$;";
    let difference = after(&format!("{unguarded} {twin}")).await;
    assert_eq!(found(difference), (2, Problem::WrongStream));
    let difference = after("UPDATE es.stream SET first_position = 1 WHERE first_position = 2").await;
    assert_eq!(found(difference), (1, Problem::WrongStream));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_history_knows_nothing_of_is_found() {
    let insert =
        "INSERT INTO es.command_log SELECT tenant_id, $ID, stream_key, version, position, event_count, request_hash
                  FROM es.command_log WHERE position = 4";
    let command_id = tenant(99).uuid();
    let difference = after(&insert.replace("$ID", &format!("'{command_id}'"))).await;
    assert_eq!(found(difference), (4, Problem::NotInHistory { command_id }));
    let (position, problem) = found(after("UPDATE es.command_log SET event_count = 2 WHERE position = 4").await);
    assert_eq!(position, 4);
    assert!(matches!(problem, Problem::NotInHistory { .. }), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_hidden_below_the_first_position_is_found() {
    let difference = after(
        "ALTER TABLE es.event DROP CONSTRAINT event_position_check;
         CREATE TABLE es.event_aside PARTITION OF es.event FOR VALUES FROM (-100) TO (0);
         INSERT INTO es.event SELECT -5, stream_key, 9, recorded_at, tenant_id, event_id, command_id, schema_version, type,
             leaf_hash, metadata, payload FROM es.event WHERE position = 4",
    )
    .await;
    assert_eq!(found(difference), (0, Problem::Hidden));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_recorded_nothing_is_no_finding() {
    let (_database, store) = history().await;
    let (new, old) = (stream(), stream());
    receipts(store.append(unit(tenant(1), &new, 0, 0)).await);
    receipts(store.append(unit(tenant(1), &old, 0, 2)).await);
    receipts(store.append(unit(tenant(1), &old, 2, 0)).await);
    receipts(store.append(unit(tenant(1), &new, 0, 1)).await);
    let report = store.verify(VerifyOptions::default(), |_| ()).await.expect("history can be read");
    assert_eq!((report.records, report.first_difference), (13, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_is_said_in_a_sentence() {
    let difference = after("DELETE FROM es.event WHERE position = 4").await.expect("the attack is found");
    assert_eq!(difference.to_string(), "position 4: the record is missing; the next one is at position 5");
}
