//! The databases that tests get.

use guildhall_sandbox::testing::TestDatabase;

#[tokio::test]
async fn every_test_has_a_migrated_database_of_its_own() {
    let (ours, theirs) = tokio::join!(TestDatabase::create(), TestDatabase::create());
    let (our_client, their_client) = (ours.connect().await, theirs.connect().await);
    our_client.batch_execute("CREATE TABLE public.mine (n int)").await.expect("it is writable");
    let foreign = their_client.query_one("SELECT to_regclass('public.mine')::text", &[]).await.expect("it answers");
    assert_eq!(foreign.get::<_, Option<String>>(0), None);
    let applied = their_client.query_one("SELECT count(*) FROM es.schema_history", &[]).await.expect("it is migrated");
    assert!(applied.get::<_, i64>(0) > 0);
}

#[tokio::test]
async fn a_database_goes_with_its_test() {
    let kept = TestDatabase::create().await;
    let gone = TestDatabase::create().await;
    let name = gone.connect().await.query_one("SELECT current_database()::text", &[]).await.expect("it answers");
    let name: String = name.get(0);
    drop(gone);
    let left = kept.connect().await.query("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await;
    assert!(left.expect("it answers").is_empty());
}
