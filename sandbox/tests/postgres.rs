//! The private Postgres: what survives a stop, a kill and a killed launcher, and who may start it when.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use guildhall_sandbox::postgres::{Postgres, PostgresOptions};
use guildhall_sandbox::testing;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

fn options(directory: &Path) -> PostgresOptions {
    PostgresOptions { data_dir: directory.to_owned(), durable: true, settings: vec![], port: None }
}

#[expect(clippy::disallowed_methods, reason = "the task ends with its client, and the runtime with its test")]
async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("Postgres answers");
    tokio::spawn(connection);
    client
}

async fn count(url: &str) -> i64 {
    connect(url).await.query_one("SELECT count(*) FROM kept", &[]).await.expect("the table is there").get(0)
}

async fn keep_a_row(url: &str) {
    connect(url)
        .await
        .batch_execute("CREATE TABLE IF NOT EXISTS kept (n int); INSERT INTO kept VALUES (1)")
        .await
        .expect("the row is stored");
}

#[tokio::test]
async fn what_is_committed_survives_a_kill_and_a_stop_at_the_same_url() {
    let mut postgres = Postgres::temporary(true, vec![]).expect("it starts");
    let url = postgres.url();

    keep_a_row(&url).await;
    postgres.kill().expect("it dies");
    postgres.restart().expect("it starts again after a crash");
    assert_eq!(count(&url).await, 1);

    keep_a_row(&url).await;
    postgres.restart().expect("it starts again after a stop");
    assert_eq!(count(&url).await, 2);
    assert_eq!(postgres.url(), url);
}

#[tokio::test]
async fn a_kept_directory_is_continued_and_a_stop_leaves_no_socket() {
    let home = TempDir::new().expect("a directory");
    let directory = reachable(&home);
    let mut first = Postgres::start(options(&directory)).expect("it starts");
    keep_a_row(&first.url()).await;
    let socket = directory.join("socket/.s.PGSQL.5432");
    assert!(socket.exists());
    first.stop().expect("it stops");
    assert!(!socket.exists());
    drop(first);

    let second = Postgres::start(options(&directory)).expect("it starts on what is there");
    assert_eq!(count(&second.url()).await, 1);
}

#[tokio::test]
async fn a_postgres_left_behind_by_a_killed_launcher_is_taken_over() {
    let home = TempDir::new().expect("a directory");
    let directory = reachable(&home);
    let orphan = Postgres::start(options(&directory)).expect("it starts");
    keep_a_row(&orphan.url()).await;
    let postmaster = postmaster(&directory);
    // A killed launcher does not stop its Postgres, and the kernel takes its lock away: a new file stands for that
    // here.
    fs::remove_file(directory.join("launcher.lock")).expect("the lock is there");
    fs::write(directory.join("launcher.lock"), "").expect("the lock is free");

    let heir = Postgres::start(options(&directory)).expect("it takes over");
    assert_eq!(count(&heir.url()).await, 1);
    assert_ne!(self::postmaster(&directory), postmaster);
    drop(heir);
    drop(orphan);
}

#[test]
fn a_directory_in_use_is_refused_with_the_name_of_its_user() {
    let home = TempDir::new().expect("a directory");
    let directory = reachable(&home);
    let _first = Postgres::start(options(&directory)).expect("it starts");
    let refused = Postgres::start(options(&directory)).expect_err("two cannot share data");
    assert!(refused.to_string().contains(&format!("in use by process {}", std::process::id())), "{refused:#}");
}

#[test]
fn a_directory_with_files_of_others_is_left_alone() {
    let home = TempDir::new().expect("a directory");
    fs::write(home.path().join("letter.txt"), "dear").expect("a file");
    let refused = Postgres::start(options(home.path())).expect_err("it is not ours");
    assert!(refused.to_string().contains("choose an empty directory"), "{refused:#}");
}

#[test]
fn a_start_that_fails_quotes_the_log() {
    let broken = vec![("shared_buffers".to_owned(), "plenty".to_owned())];
    let refused = Postgres::temporary(false, broken).expect_err("that is no size");
    assert!(refused.to_string().contains("invalid value for parameter \"shared_buffers\""), "{refused:#}");
}

#[tokio::test]
async fn a_directory_with_a_long_name_gets_its_socket_elsewhere() {
    let home = TempDir::new().expect("a directory");
    let directory = reachable(&home).join("a".repeat(100));
    let postgres = Postgres::start(options(&directory)).expect("it starts");
    keep_a_row(&postgres.url()).await;
    assert_eq!(count(&postgres.url()).await, 1);
    let url = postgres.url().replace("%2F", "/");
    let (socket, _) = url.split_once('@').and_then(|(_, rest)| rest.rsplit_once('/')).expect("it names the socket");
    assert!(!socket.starts_with(&*directory.to_string_lossy()));
    let mode = fs::metadata(socket).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o077, 0, "whoever reaches the socket is let in");
}

#[tokio::test]
async fn only_the_owner_needs_no_password() {
    let postgres = Postgres::temporary(false, vec![]).expect("it starts");
    connect(&postgres.url())
        .await
        .batch_execute("CREATE ROLE analyst LOGIN PASSWORD 'open sesame'")
        .await
        .expect("a login");
    let without = postgres.url().replace("guildhall@", "analyst@");
    assert!(tokio_postgres::connect(&without, NoTls).await.is_err());
    let with = postgres.url().replace("guildhall@", "analyst:open%20sesame@");
    connect(&with).await;
}

#[tokio::test]
async fn data_that_the_servers_account_cannot_reach_goes_elsewhere_and_a_link_leads_there() {
    if !nix::unistd::geteuid().is_root() {
        testing::not_run("only root starts Postgres as somebody else");
        return;
    }
    let closed = TempDir::new().expect("a directory");
    fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).expect("our own directory");
    let wanted = closed.path().join("postgres");
    let mut postgres = Postgres::start(options(&wanted)).expect("it starts");
    keep_a_row(&postgres.url()).await;
    let elsewhere = fs::read_link(&wanted).expect("a link");
    assert_eq!(postgres.data_dir(), elsewhere);
    assert!(postgres.notice().expect("it says so").contains(&*elsewhere.to_string_lossy()));
    postgres.stop().expect("it stops");
    drop(postgres);

    let again = Postgres::start(options(&wanted)).expect("it starts where the link leads");
    assert_eq!(count(&again.url()).await, 1);
    drop(again);
    fs::remove_dir_all(elsewhere).expect("it is ours");
}

/// A directory inside a temporary one that a server's account may enter, also when the tests run as root.
fn reachable(home: &TempDir) -> PathBuf {
    fs::set_permissions(home.path(), Permissions::from_mode(0o755)).expect("our own directory");
    home.path().join("postgres")
}

fn postmaster(directory: &Path) -> String {
    let text = fs::read_to_string(directory.join("cluster/postmaster.pid")).expect("it runs");
    text.lines().next().expect("a process id").to_owned()
}
