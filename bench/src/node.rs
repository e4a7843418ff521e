//! Our side: a node in a process of its own, and an association on it.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, bail};
use chrono::{TimeDelta, Utc};
use guildhall_event_store::KeyEncryptionKey;
use guildhall_web::{Role, TokenKeys, TokenRequest};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use tempfile::NamedTempFile;
use uuid::Uuid;

use crate::load::{Target, bulk};

/// What every note begins with.
pub const NOTE: &str = "Called about the annual meeting.";

/// The association's short name.
pub const ASSOCIATION: &str = "bench";

/// What a node must know that is secret.
#[derive(Clone)]
pub struct Secrets {
    pub token: String,
    pub key_encryption_key: KeyEncryptionKey,
}

impl Secrets {
    pub fn generate() -> Self {
        Self { token: KeyEncryptionKey::generate().encoded(), key_encryption_key: KeyEncryptionKey::generate() }
    }

    /// Gives a command the environment it needs to work on a database, and nothing of ours.
    pub fn tell(&self, command: &mut Command, database_url: &str) {
        command
            .env_remove("GUILDHALL_CONFIG")
            .env_remove("KAFKA_BROKERS")
            .env("DATABASE_URL", database_url)
            .env("GUILDHALL_AUTH__TOKEN_SECRET", &self.token)
            .env("GUILDHALL_VAULT__KEY_ENCRYPTION_KEY", self.key_encryption_key.encoded())
            .env("GUILDHALL_LOG__FILTER", "warn")
            .env("GUILDHALL_LOG__FORMAT", "text");
    }
}

/// A program that runs until it is stopped. It is killed when it is dropped.
pub struct Program {
    child: Child,
    /// Open as long as it may want to say something.
    said: BufReader<ChildStdout>,
}

impl Program {
    /// Starts it with what it must know of a database.
    pub fn start(mut command: Command, database_url: &str, secrets: &Secrets) -> anyhow::Result<Self> {
        secrets.tell(&mut command, database_url);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        let said = BufReader::new(child.stdout.take().context("its output is piped")?);
        Ok(Self { child, said })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it ends by itself.
    pub fn finish(mut self) -> anyhow::Result<()> {
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "it ended with {status}");
        Ok(())
    }

    /// Lets it finish what it has begun, and end.
    pub fn stop(mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(i32::try_from(self.pid())?), Signal::SIGTERM)?;
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "it ended with {status}");
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that serves commands.
pub struct Node {
    pub program: Program,
    /// Where its commands go.
    pub target: Target,
}

impl Node {
    /// Starts `guildhall serve` on a migrated database, and waits until it serves.
    pub fn guildhall(program: &Path, database_url: &str, secrets: &Secrets) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(["--json", "serve"]);
        Self::start(command, database_url, secrets)
    }

    /// The same with a program that takes the same environment and says in the same way where it serves.
    pub fn start(mut command: Command, database_url: &str, secrets: &Secrets) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Listening {
            listening: SocketAddr,
        }
        command.env("GUILDHALL_HTTP__LISTEN", "127.0.0.1:0");
        let mut program = Program::start(command, database_url, secrets)?;
        let mut line = String::new();
        program.said.read_line(&mut line).context("listening to the node")?;
        let Ok(Listening { listening }) = serde_json::from_str(&line) else {
            bail!("the node did not start; its errors stand above. It said: {line:?}");
        };
        Ok(Self { program, target: Target { address: listening, token: token(secrets)? } })
    }

    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Lets it finish what it has begun, and end.
    pub fn stop(self) -> anyhow::Result<()> {
        self.program.stop().context("stopping the node")
    }
}

/// Brings a database up to date with `guildhall migrate`.
pub fn migrate(program: &Path, database_url: &str, secrets: &Secrets) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.arg("migrate");
    secrets.tell(&mut command, database_url);
    let output = command.output().context("starting guildhall migrate")?;
    anyhow::ensure!(output.status.success(), "migrating: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The token the load is sent with; longer than any run.
fn token(secrets: &Secrets) -> anyhow::Result<String> {
    let request = TokenRequest {
        association: ASSOCIATION.to_owned(),
        subject: "bench".to_owned(),
        roles: BTreeSet::from([Role::Api]),
        lifetime: TimeDelta::hours(24),
    };
    Ok(TokenKeys::parse(&secrets.token)?.issue(&request, Utc::now())?)
}

/// People on record, whose ids are spread over the whole range as a registry's are.
pub struct Members {
    pub ids: Vec<Uuid>,
    /// The same, a line each, for programs.
    file: NamedTempFile,
}

impl Members {
    /// Ids of people who are not on record yet.
    pub fn new(count: usize) -> anyhow::Result<Self> {
        let ids: Vec<Uuid> = std::iter::repeat_with(Uuid::new_v4).take(count).collect();
        let mut file = NamedTempFile::new()?;
        for id in &ids {
            writeln!(file, "{id}")?;
        }
        file.flush()?;
        Ok(Self { ids, file })
    }

    pub fn file(&self) -> &Path {
        self.file.path()
    }

    /// Puts them on record, each with a name.
    pub async fn register(&self, target: &Target) -> anyhow::Result<()> {
        let lines = self.ids.iter().map(|id| bulk::line("RegisterMember", &registration(*id)));
        bulk::send(target, &bulk::chunks(lines)).await.map(drop)
    }
}

/// Founds the association.
pub async fn found(target: &Target) -> anyhow::Result<()> {
    let body = serde_json::json!({ "name": "Bench", "slug": ASSOCIATION, "time_zone": "UTC", "currency": "USD" });
    bulk::send(target, &bulk::chunks([bulk::line("FoundAssociation", &body)].into_iter())).await.map(drop)
}

/// The body that registers a member.
pub fn registration(id: Uuid) -> serde_json::Value {
    let short = &id.simple().to_string()[..8];
    serde_json::json!({
        "member_id": id,
        "kind": "person",
        "name": { "display": format!("Member {short}"), "first": "Member", "last": short },
    })
}

/// The body that notes something about a member: text that is personal data. The same note sent twice is one note, so
/// each has a number.
pub fn note(id: Uuid, number: u64) -> serde_json::Value {
    serde_json::json!({ "member_id": id, "text": text(number) })
}

/// What is noted, on both sides.
pub fn text(number: u64) -> String {
    format!("{NOTE} {number:010}")
}
