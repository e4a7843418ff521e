//! A backup is worth what its restore was: the operators' guide, followed while events are being recorded.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{StreamExt as _, stream};
use guildhall_aggregates::ids::derived;
use guildhall_sandbox::{
    postgres::{Postgres, PostgresOptions},
    testing::TestDatabase,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::server::{Client, Server, binary, eventually};

const ASSOCIATION: &str = "lakeside";
const SENDERS: u64 = 4;

/// Key, body and receipt.
type Note = (String, Value, Value);

/// What was answered, in the order of the answers.
type Answered = Arc<Mutex<Vec<Note>>>;

/// The `sh` blocks between a heading of the guide and the next one, in order.
fn blocks(heading: &str) -> Vec<String> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides/operators.md");
    let guide = fs::read_to_string(guide).expect("the guide is there");
    let section = guide.split("\n## ").find_map(|section| section.strip_prefix(heading));
    let section = section.unwrap_or_else(|| panic!("the guide has a section {heading}"));
    let blocks = section.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default().to_owned()).collect()
}

fn member() -> Uuid {
    derived(Uuid::nil(), &["member"])
}

/// Sends notes until it is told to stop, and keeps what was answered.
async fn send(client: Client, sender: u64, answered: Answered, stop: Arc<AtomicBool>) {
    for nth in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("note-{sender}-{nth}");
        let body = json!({ "member_id": member(), "text": format!("Call {nth} by {sender}.") });
        let (status, receipt) = client.send("AddNote", &key, &body).await.expect("an answer");
        assert_eq!(status, 200, "{receipt}");
        answered.lock().expect("no sender panics").push((key, body, receipt));
    }
}

/// What the guide's commands find in their environment.
struct Shell {
    variables: Vec<(&'static str, String)>,
}

impl Shell {
    fn run(&self, commands: &str) -> String {
        let programs: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql").map_or_else(
            |_| Vec::new(),
            |versions| versions.flatten().map(|version| version.path().join("bin")).collect(),
        );
        let own = binary().parent().expect("the binary is in a folder").to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([own].into_iter().chain(std::env::split_paths(&path)).chain(programs));
        let mut shell = std::process::Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", commands]).env("PATH", path.expect("folders have plain names"));
        shell.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let output = shell.output().expect("bash runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{commands}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
        said
    }
}

/// Gives everything in a folder to the account that Postgres runs as.
fn give(folder: &Path, like: &Path) {
    let owner = fs::metadata(like).expect("it is there");
    let (uid, gid) = (std::os::unix::fs::MetadataExt::uid(&owner), std::os::unix::fs::MetadataExt::gid(&owner));
    chown(folder, Some(uid), Some(gid)).expect("we may give it away");
    for entry in fs::read_dir(folder).expect("it can be listed").flatten() {
        let kind = entry.file_type().expect("it has a kind");
        if kind.is_dir() {
            give(&entry.path(), like);
        } else if kind.is_file() {
            chown(entry.path(), Some(uid), Some(gid)).expect("we may give it away");
        }
    }
}

/// A Postgres that hands over its log, its folder for backups, and a node that is sent notes.
struct Running {
    postgres: Postgres,
    database: TestDatabase,
    backup: PathBuf,
    server: Server,
    answered: Answered,
}

impl Running {
    async fn begin(home: &Path) -> Self {
        let data_dir = home.join("first");
        let backup = home.join("backup");
        let wal = backup.join("wal");
        fs::create_dir_all(&wal).expect("a folder for the log");
        let archive = format!("test ! -f {wal}/%f && cp %p {wal}/%f", wal = wal.display());
        let settings = [("archive_mode", "on"), ("archive_command", &archive), ("archive_timeout", "60s")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let options = PostgresOptions { data_dir, durable: false, settings, port: None };
        let postgres = tokio::task::spawn_blocking(move || Postgres::start(options)).await.expect("no panic");
        let postgres = postgres.expect("Postgres starts");
        give(&backup, postgres.data_dir());
        let database = TestDatabase::create_on(&postgres.url()).await.expect("a database");
        let mut server = Server::configured(database.url(), None);
        server.start("all");
        Self { postgres, database, backup, server, answered: Answered::default() }
    }

    fn answers(&self) -> usize {
        self.answered.lock().expect("no sender panics").len()
    }

    async fn more_answers(&self, count: usize) {
        let enough = self.answers() + count;
        eventually("more answers", || async { (self.answers() >= enough).then_some(()) }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_to_a_moment_has_everything_acknowledged_before_it_and_verifies() {
    let home = tempfile::Builder::new().prefix("guildhall-recovery-").tempdir().expect("a folder");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("Postgres may enter");
    let mut running = Running::begin(home.path()).await;
    let client = running.server.client(ASSOCIATION);
    client.found(ASSOCIATION).await;
    for (id, name) in [(member(), "Ada"), (Uuid::from_u128(7), "Grace")] {
        let body = json!({ "member_id": id, "kind": "person", "name": { "display": name } });
        client.accepted("RegisterMember", body).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        senders.spawn(send(client.clone(), sender, Arc::clone(&running.answered), Arc::clone(&stop)));
    }
    let mut shell = Shell {
        variables: vec![
            ("DATABASE_URL", running.database.url().to_owned()),
            ("BACKUP", running.backup.display().to_string()),
            ("GUILDHALL_CONFIG", running.server.config_file().display().to_string()),
        ],
    };
    let [copy, forgotten] = blocks("Backup").try_into().expect("two blocks");
    shell.run(&copy);
    running.more_answers(50).await;
    let before = running.answered.lock().expect("no sender panics").clone();
    let connection = running.database.connect().await;
    let point: String = connection.query_one("SELECT clock_timestamp()::text", &[]).await.expect("a time").get(0);
    running.more_answers(50).await;
    client.accepted("ForgetMember", json!({ "member_id": Uuid::from_u128(7) })).await;
    shell.run(&forgotten);
    stop.store(true, Ordering::Relaxed);
    senders.join_all().await;
    let part = "SELECT pg_walfile_name(pg_switch_wal())";
    let part: String = connection.query_one(part, &[]).await.expect("the log goes on").get(0);
    let part = running.backup.join("wal").join(part);
    eventually("the log is handed over", || async { part.exists().then_some(()) }).await;
    running.server.kill();
    running.postgres.kill().expect("it is killed");

    let restored = restore(&running, &mut shell, home.path(), &point).await;
    let url = restored.url().rsplit_once('/').map(|(server, _)| server.to_owned()).expect("a URL names a database");
    let database = running.database.url().rsplit('/').next().expect("a URL names a database");
    follow(&mut running.server, &mut shell, format!("{url}/{database}"), &before, &running.answered).await;
}

/// What the restored database answers.
fn asked(shell: &Shell, query: &str) -> String {
    shell.run(&format!("psql \"$DATABASE_URL\" -XAtc '{query}'")).trim().to_owned()
}

/// The first block of the guide's section, and a Postgres on what it made.
async fn restore(running: &Running, shell: &mut Shell, home: &Path, point: &str) -> Postgres {
    let data_dir = home.join("second");
    fs::create_dir(&data_dir).expect("a folder to restore to");
    // Says that the folder is ours.
    fs::write(data_dir.join("launcher.lock"), "").expect("it is written");
    let folder = data_dir.join("cluster");
    shell.variables.push(("RESTORED", folder.display().to_string()));
    shell.variables.push(("POINT", point.to_owned()));
    shell.run(&blocks("Restore")[0]);
    give(&folder, running.postgres.data_dir());
    let settings = vec![("archive_mode".to_owned(), "off".to_owned())];
    let options = PostgresOptions { data_dir, durable: false, settings, port: None };
    let started = tokio::task::spawn_blocking(move || Postgres::start(options)).await.expect("no panic");
    started.expect("Postgres follows its log to the point and answers")
}

/// The rest of the section: forget, verify, start a node, and look at what is there.
async fn follow(server: &mut Server, shell: &mut Shell, url: String, before: &[Note], answered: &Answered) {
    let config = fs::read_to_string(server.config_file()).expect("it is there");
    let old = shell.variables[0].1.clone();
    fs::write(server.config_file(), config.replace(&old, &url)).expect("it is written");
    shell.variables[0].1 = url;
    let [_, verify, rebuild] = blocks("Restore").try_into().expect("three blocks");
    shell.run(&verify);
    let grace = "SELECT count(*) FROM vault.data_key WHERE forgotten_at IS NOT NULL AND wrapped_key IS NULL";
    assert_eq!(asked(shell, grace), "1", "forgotten again");
    let readable = "SELECT count(*) FROM read.directory_member row WHERE row::text LIKE $$%Grace%$$";
    assert_eq!(asked(shell, readable), "0", "and not readable anywhere");
    let notes = "SELECT count(*) FROM es.event WHERE type = $$NoteAdded$$";
    let notes: usize = asked(shell, notes).parse().expect("a number");
    let all = answered.lock().expect("no sender panics").clone();
    assert!(
        (before.len()..all.len()).contains(&notes),
        "{} before, {notes} restored, {} in all",
        before.len(),
        all.len()
    );

    server.start("all");
    let client = server.client(ASSOCIATION);
    send_again(&client, before, true).await;
    send_again(&client, &all, false).await;
    let notes = "SELECT count(*) || $$ $$ || count(DISTINCT command_id) FROM es.event WHERE type = $$NoteAdded$$";
    assert_eq!(asked(shell, notes), format!("{0} {0}", all.len()), "what was lost is recorded now, and nothing twice");
    shell.run(&rebuild);
}

/// Sends all of these under their keys. What was acknowledged before the point gets the same receipts again.
async fn send_again(client: &Client, notes: &[Note], acknowledged: bool) {
    let sending = stream::iter(notes).map(|(key, body, receipt)| async move {
        let (status, answer) = client.send("AddNote", key, body).await.expect("an answer");
        assert_eq!(status, 200, "{answer}");
        assert!(!acknowledged || answer == *receipt, "{key} was acknowledged before the point: {answer}");
    });
    sending.buffer_unordered(32).collect::<()>().await;
}
