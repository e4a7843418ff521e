//! The files of one Postgres: made once, and read to see whether it is ready.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

use super::binaries::Binaries;
use crate::account::Account;
use crate::place::give;

/// The folder of the cluster inside its place.
pub(super) const FOLDER: &str = "cluster";

/// The login that owns everything. It needs no password, because the socket is its owner's alone.
pub(super) const SUPERUSER: &str = "guildhall";

/// The database a fresh cluster comes with.
pub(super) const DATABASE: &str = "guildhall";

/// Who may log in: our own account by the socket without a password, everybody else (analysts, say) with one.
const LOGINS: &str = "\
# Written by guildhall-sandbox.
local all         guildhall              trust
local replication guildhall              trust
local all         all                    scram-sha-256
host  all         all       127.0.0.1/32 scram-sha-256
";

#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) path: PathBuf,
}

impl Cluster {
    /// Opens the cluster in a place, and makes it first when there is none. It is made beside its final name, so one
    /// that is half made is never taken for whole.
    pub(super) fn open(place: &Path, binaries: &Binaries, account: Option<&Account>, durable: bool) -> Result<Self> {
        let path = place.join(FOLDER);
        if path.exists() {
            return Ok(Self { path });
        }
        let unfinished = place.join("cluster.new");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).with_context(|| format!("removing {}", unfinished.display()))?;
        }
        fs::create_dir(&unfinished).with_context(|| format!("making {}", unfinished.display()))?;
        if let Some(account) = account {
            give(&unfinished, account)?;
        }
        initialise(&unfinished, binaries, account, durable)?;
        create_database(&unfinished, binaries, account)?;
        fs::write(unfinished.join("pg_hba.conf"), LOGINS).context("writing pg_hba.conf")?;
        fs::rename(&unfinished, &path).with_context(|| format!("finishing {}", path.display()))?;
        Ok(Self { path })
    }

    /// Whether the Postgres with this process id takes connections. It says so itself in the last line of its lock
    /// file, which is also where `pg_ctl` looks.
    pub(super) fn is_ready(&self, pid: u32) -> bool {
        let Ok(text) = fs::read_to_string(self.path.join("postmaster.pid")) else { return false };
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        lines.first() == Some(&pid.to_string().as_str()) && lines.get(7) == Some(&"ready")
    }
}

/// The major version that wrote the cluster in this place, when there is one.
pub(super) fn major_version(place: &Path) -> Result<Option<u32>> {
    let path = place.join(FOLDER).join("PG_VERSION");
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path)
        .with_context(|| format!("reading {}: does it belong to another user?", path.display()))?;
    text.trim().parse().map(Some).with_context(|| format!("{} holds no version: {text:?}", path.display()))
}

fn initialise(path: &Path, binaries: &Binaries, account: Option<&Account>, durable: bool) -> Result<()> {
    let mut initdb = Command::new(&binaries.initdb);
    initdb.arg("-D").arg(path).arg(format!("--username={SUPERUSER}"));
    initdb.args(["--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust", "--no-instructions"]);
    if !durable {
        initdb.arg("--no-sync");
    }
    run("initdb", initdb, account, "").map(|_| ())
}

/// Creates the database while nobody can connect, in Postgres' single-user mode, which needs no client program.
fn create_database(path: &Path, binaries: &Binaries, account: Option<&Account>) -> Result<()> {
    let mut single = Command::new(&binaries.postgres);
    single.args(["--single", "-D"]).arg(path).arg("postgres");
    let answer = run("postgres --single", single, account, &format!("CREATE DATABASE {DATABASE};\n"))?;
    let said = String::from_utf8_lossy(&answer.stderr);
    if said.contains("ERROR:") {
        bail!("the database {DATABASE} could not be created: {}", said.trim());
    }
    Ok(())
}

fn run(name: &str, mut command: Command, account: Option<&Account>, input: &str) -> Result<Output> {
    command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Without a home of its own, a program must not look into ours.
    if let Some(account) = account {
        account.run(&mut command).env("HOME", "/");
    }
    let mut child = command.spawn().with_context(|| format!("starting {name}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).with_context(|| format!("talking to {name}"))?;
    }
    let answer = child.wait_with_output().with_context(|| format!("waiting for {name}"))?;
    if !answer.status.success() {
        bail!("{name} failed ({}): {}", answer.status, String::from_utf8_lossy(&answer.stderr).trim());
    }
    Ok(answer)
}
