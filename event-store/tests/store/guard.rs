//! History is not edited: the database itself refuses.

use guildhall_aggregates::{
    Clear, SubjectId,
    personal::{EmailAddress, Opened},
};
use guildhall_event_store::{VaultError, VerifyOptions};
use guildhall_sandbox::testing::TestDatabase;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::support::{another_node, claiming, open_store, receipts, stream, tenant, unit};

const EDITS: [&str; 9] = [
    "UPDATE es.event SET payload = '{}'",
    "DELETE FROM es.event",
    "TRUNCATE es.event",
    "UPDATE es.event_0 SET payload = '{}'",
    "DELETE FROM es.event_0",
    "TRUNCATE es.event_1",
    "UPDATE es.stream SET category = 'other'",
    "DELETE FROM es.command_log",
    "TRUNCATE es.command_log",
];

#[tokio::test(flavor = "multi_thread")]
async fn not_even_its_owner_can_edit_history() {
    let (database, store) = open_store().await;
    receipts(store.append(unit(tenant(1), &stream(), 0, 2)).await);
    let owner = database.connect().await;
    for edit in EDITS {
        let refused = owner.batch_execute(edit).await.expect_err(edit);
        let reason = refused.as_db_error().expect("the server answered").message();
        assert!(reason.starts_with("history is not edited"), "{edit}: {reason}");
    }
    assert_eq!(store.read_after(0, 10).await.expect("history is there").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_writing_role_may_append_and_nothing_else() {
    let (database, store) = open_store().await;
    receipts(store.append(unit(tenant(1), &stream(), 0, 2)).await);
    let client = database.connect().await;
    client.batch_execute("SET ROLE guildhall_writer").await.expect("the migration made the role");
    let insert =
        "INSERT INTO es.event SELECT position + 10, stream_key, version + 10, recorded_at, tenant_id, event_id,
                  command_id, schema_version, type, leaf_hash, metadata, payload FROM es.event";
    let others = ["INSERT INTO es.claim SELECT tenant_id, 'email', leaf_hash, 1 FROM es.event", "DELETE FROM es.claim"];
    let deletes_a_key = ["DELETE FROM vault.data_key"];
    for edit in EDITS.into_iter().chain([insert]).chain(others).chain(deletes_a_key) {
        let refused = client.batch_execute(edit).await.expect_err(edit);
        assert_eq!(refused.code().map(SqlState::code), Some("42501"), "{edit}: {refused}");
    }
    let node = another_node(&format!("{}?options=-c%20role%3Dguildhall_writer", database.url())).await;
    receipts(node.append(unit(tenant(1), &stream(), 0, 1)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reading_role_reads_history_and_neither_claims_nor_keys() {
    let (database, store) = open_store().await;
    receipts(store.append(unit(tenant(1), &stream(), 0, 2)).await);
    let client = database.connect().await;
    client.batch_execute("SET ROLE guildhall_reader").await.expect("the migration made the role");
    let row = client.query_one("SELECT count(*) FROM es.event_decoded WHERE payload ->> 'nth' IS NOT NULL", &[]).await;
    assert_eq!(row.expect("the view may be read").get::<_, i64>(0), 2);
    for secret in ["SELECT * FROM es.claim", "SELECT * FROM vault.data_key", "SELECT es.ensure_partitions()"] {
        assert!(client.batch_execute(secret).await.is_err(), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn appending_under_a_stricter_isolation_level_is_refused() {
    let (database, _store) = open_store().await;
    let client = database.connect().await;
    // Whatever it takes: it looks at its transaction before it looks at its arguments.
    let call = client
        .query_one(
            "SELECT format('SELECT es.append(%s)', string_agg(format('NULL::%s', type::regtype), ', '))
             FROM pg_proc, unnest(proargtypes) AS type WHERE oid = 'es.append'::regproc",
            &[],
        )
        .await
        .expect("there is one function of this name")
        .get::<_, String>(0);
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let append = format!("BEGIN ISOLATION LEVEL {level}; {call}");
        let refused = client.batch_execute(&append).await.expect_err(level);
        assert!(refused.as_db_error().expect("the server answered").message().contains("READ COMMITTED"), "{level}");
        client.batch_execute("ROLLBACK").await.expect("it rolls back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_login_may_only_write_can_do_all_its_work() {
    let database = TestDatabase::create().await;
    let store = another_node(&format!("{}?options=-c%20role%3Dguildhall_writer", database.url())).await;
    let ada = SubjectId::new(Uuid::now_v7());
    let name = Clear(EmailAddress("ada@example.org".to_owned()));
    let sealed = store.vault().seal(tenant(1), ada, Uuid::now_v7(), &name).await.expect("it may seal");
    receipts(store.append(claiming(tenant(1), &stream(), 0, Some(1))).await);
    assert!(store.vault().forget(tenant(1), ada).await.expect("it may forget"));
    assert!(matches!(store.vault().open(tenant(1), &sealed).await, Ok(Opened::Forgotten)));
    let report = store.verify(VerifyOptions::default(), |_| ()).await.expect("it may verify");
    assert_eq!((report.records, report.first_difference), (1, None));
    // A login that may only read sees history and has no part in the vault.
    let reader = another_node(&format!("{}?options=-c%20role%3Dguildhall_reader", database.url())).await;
    assert_eq!(reader.read_after(0, 10).await.expect("it may read").len(), 1);
    let opened = reader.vault().open(tenant(1), &sealed).await;
    assert!(matches!(opened, Err(VaultError::Unavailable(_))), "{opened:?}");
}
