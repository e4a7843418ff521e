//! Migrating a real database: from nothing, again, by several at once, and one that has gone another way.

use guildhall_migrations::{MigrateError, migrate};
use guildhall_sandbox::testing::TestDatabase;
use tokio_postgres::Client;

/// Nothing applied yet, not even the schemas.
async fn emptied(database: &TestDatabase) -> Client {
    let client = database.connect().await;
    let schemas = "SELECT nspname FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'";
    for row in client.query(schemas, &[]).await.expect("the schemas are listed") {
        let schema: &str = row.get(0);
        client.batch_execute(&format!("DROP SCHEMA \"{schema}\" CASCADE")).await.expect("it is dropped");
    }
    client.batch_execute("CREATE SCHEMA public").await.expect("Postgres' own schema is back");
    client
}

#[tokio::test]
async fn a_second_run_finds_nothing_to_do() {
    let database = TestDatabase::create().await;
    let mut client = emptied(&database).await;
    let first = migrate(&mut client).await.expect("it migrates");
    assert!(first.applied.contains(&"es/V1__create_history".to_owned()), "{first}");
    assert!(first.applied.contains(&"read/V1__create_read_models".to_owned()), "{first}");
    let second = migrate(&mut client).await.expect("it migrates");
    assert_eq!(second.applied, Vec::<String>::new());
    assert_eq!(second.to_string(), "the database is current, nothing to apply");
}

#[tokio::test]
async fn of_several_nodes_that_start_at_once_one_migrates() {
    let database = TestDatabase::create().await;
    let _ = emptied(&database).await;
    let mut nodes = [database.connect().await, database.connect().await, database.connect().await];
    let [first, second, third] = &mut nodes;
    let (first, second, third) = tokio::join!(migrate(first), migrate(second), migrate(third));
    let reports = [first, second, third].map(|outcome| outcome.expect("it migrates"));
    assert_eq!(reports.iter().filter(|report| !report.applied.is_empty()).count(), 1, "{reports:?}");
}

#[tokio::test]
async fn dropped_read_models_come_back_empty_and_history_stays() {
    let database = TestDatabase::create().await;
    let mut client = database.connect().await;
    client.batch_execute("DROP SCHEMA read CASCADE").await.expect("read models may be dropped");
    let report = migrate(&mut client).await.expect("it migrates");
    assert!(!report.applied.is_empty());
    assert!(report.applied.iter().all(|applied| applied.starts_with("read/")), "{report}");
}

#[tokio::test]
async fn a_database_that_applied_something_else_is_refused_and_left_unlocked() {
    let database = TestDatabase::create().await;
    let mut client = database.connect().await;
    client.batch_execute("UPDATE es.schema_history SET checksum = '1' WHERE version = 1").await.expect("it is edited");
    let refused = migrate(&mut client).await.expect_err("a merged file was edited");
    assert!(matches!(refused, MigrateError::Divergent { schema: "es", .. }), "{refused}");
    assert!(refused.to_string().contains("restore the file"), "{refused}");
    let locks = "SELECT 1 FROM pg_locks JOIN pg_database ON oid = database
                  WHERE locktype = 'advisory' AND datname = current_database()";
    assert!(client.query(locks, &[]).await.expect("the locks are listed").is_empty());
}

#[tokio::test]
async fn a_database_of_a_newer_build_is_refused() {
    let database = TestDatabase::create().await;
    let mut client = database.connect().await;
    let newer = "INSERT INTO read.schema_history VALUES (999, 'add_the_future', '2030-01-01T00:00:00Z', '1')";
    client.batch_execute(newer).await.expect("it is newer now");
    let refused = migrate(&mut client).await.expect_err("this build is too old");
    assert!(
        matches!(&refused, MigrateError::Unknown { migration, .. } if migration == "V999__add_the_future"),
        "{refused}"
    );
}
