//! A private Postgres: own data, own socket, no network unless asked, gone when its owner goes.

mod binaries;
mod cluster;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::account::Account;
use crate::place::{Place, give};
use crate::service::{self, Service, children, is_running, stop_orphan, wait_until};
use binaries::Binaries;
use cluster::{Cluster, SUPERUSER};

/// The database a fresh cluster comes with, beside Postgres' own.
pub const DATABASE: &str = cluster::DATABASE;

/// A start that replays a long log after a crash may take a while.
const START_LIMIT: Duration = Duration::from_mins(2);

/// How long a stopping Postgres may write its checkpoint before it is made to leave without.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// How long the processes of a killed Postgres may take to notice.
const VANISH_LIMIT: Duration = Duration::from_secs(20);

/// Socket paths longer than this do not fit the kernel's address on every system.
const SOCKET_PATH_LIMIT: usize = 100;

/// How to run a private Postgres.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Where everything of this Postgres lives: its data, log, lock and socket. Made when it is not there, continued
    /// when it is.
    pub data_dir: PathBuf,
    /// Whether what is committed survives a crash of the machine. Tests that do not crash it can do without, and are
    /// several times as fast.
    pub durable: bool,
    /// Further settings, such as `("max_connections", "400")`; they win over ours.
    pub settings: Vec<(String, String)>,
    /// A TCP port on 127.0.0.1 for logins with a password. Without one there is only the socket.
    pub port: Option<u16>,
}

/// A running Postgres, or one between two runs. Dropping it stops it.
#[derive(Debug)]
pub struct Postgres {
    options: PostgresOptions,
    place: Place,
    account: Option<Account>,
    binaries: Binaries,
    cluster: Cluster,
    socket: Socket,
    service: Option<Service>,
    /// Deleted after everything above has let go of it.
    temporary: Option<TempDir>,
}

impl Postgres {
    /// Starts Postgres on a directory of its own, and waits until it answers. A Postgres that still runs there because
    /// its launcher was killed is stopped first; one whose launcher lives is left alone, and named in the error.
    pub fn start(options: PostgresOptions) -> Result<Self> {
        Self::launch(options, None)
    }

    /// Starts Postgres on a directory that is deleted in the end.
    pub fn temporary(durable: bool, settings: Vec<(String, String)>) -> Result<Self> {
        let directory =
            tempfile::Builder::new().prefix("guildhall-postgres-").tempdir().context("making a directory")?;
        let data_dir = directory.path().to_owned();
        Self::launch(PostgresOptions { data_dir, durable, settings, port: None }, Some(directory))
    }

    fn launch(options: PostgresOptions, temporary: Option<TempDir>) -> Result<Self> {
        let account = Account::for_data_in(&options.data_dir.join(cluster::FOLDER))?;
        let place = Place::claim(&options.data_dir, account.as_ref())?;
        let existing = cluster::major_version(&place.path)?;
        let binaries = Binaries::find(existing)?;
        end_orphan(&place.path.join(cluster::FOLDER))?;
        let cluster = Cluster::open(&place.path, &binaries, account.as_ref(), options.durable)?;
        let socket = Socket::in_or_near(&place.path, account.as_ref())?;
        let mut postgres = Self { options, place, account, binaries, cluster, socket, service: None, temporary };
        postgres.run()?;
        Ok(postgres)
    }

    /// Where clients find it, as a URL that libpq and `tokio-postgres` read. The login is the cluster's superuser and
    /// needs no password, because nobody else can reach the socket.
    pub fn url(&self) -> String {
        let host = percent_encode(&self.socket.path.to_string_lossy());
        let port = self.options.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("postgresql://{SUPERUSER}@{host}{port}/{DATABASE}")
    }

    /// The directory that holds data, log and lock.
    pub fn data_dir(&self) -> &Path {
        &self.place.path
    }

    /// The server's log.
    pub fn log(&self) -> PathBuf {
        self.place.path.join("postgres.log")
    }

    /// What a person should be told: that the data lies elsewhere than asked for, and why.
    pub fn notice(&self) -> Option<&str> {
        self.place.notice.as_deref()
    }

    /// Stops it in order: sessions are ended, everything is written, the socket is removed. Stopping twice is stopping
    /// once.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut service) = self.service.take() else { return Ok(()) };
        service.end(&[(Signal::SIGINT, STOP_LIMIT), (Signal::SIGQUIT, Duration::from_secs(5))])
    }

    /// Stops it at once, as `pg_ctl stop --mode=immediate` does: sessions are cut off, nothing more is written, and the
    /// next start recovers from the log.
    pub fn stop_immediately(&mut self) -> Result<()> {
        let Some(mut service) = self.service.take() else { return Ok(()) };
        service.end(&[(Signal::SIGQUIT, VANISH_LIMIT)])
    }

    /// Kills it as a power cut would, and waits until the last of its processes is gone, so that it can be started
    /// again.
    pub fn kill(&mut self) -> Result<()> {
        let Some(mut service) = self.service.take() else { return Ok(()) };
        let workers = children(service.pid())?;
        service.end(&[(Signal::SIGKILL, Duration::from_secs(5))])?;
        for worker in &workers {
            // One that has gone by itself is what we want.
            let _gone = service::send(*worker, Signal::SIGKILL);
        }
        if !wait_until(VANISH_LIMIT, || !workers.iter().any(|worker| is_running(*worker))) {
            bail!("processes of the killed Postgres still run: {workers:?}");
        }
        Ok(())
    }

    /// Starts it again on the same data, at the same URL; stops it before when it runs.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.run()
    }

    fn run(&mut self) -> Result<()> {
        let mut command = Command::new(&self.binaries.postgres);
        command.arg("-D").arg(&self.cluster.path).arg("-k").arg(&self.socket.path).current_dir(&self.place.path);
        for (name, value) in self.settings() {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        if let Some(account) = &self.account {
            account.run(&mut command);
        }
        let mut service = Service::spawn("Postgres", &mut command, self.log())?;
        let cluster = &self.cluster;
        let started = service.wait_ready(START_LIMIT, |service| cluster.is_ready(service.pid()));
        self.service = Some(service);
        started
    }

    /// Ours first, the caller's last: Postgres takes the last word on a setting.
    fn settings(&self) -> Vec<(String, String)> {
        let durable = if self.options.durable { "on" } else { "off" };
        let port = self.options.port.unwrap_or(DEFAULT_PORT).to_string();
        let listen = if self.options.port.is_some() { "127.0.0.1" } else { "" };
        let ours = [
            ("port", port.as_str()),
            ("listen_addresses", listen),
            ("fsync", durable),
            ("synchronous_commit", durable),
            ("full_page_writes", durable),
            ("shared_buffers", "256MB"),
            ("max_connections", "200"),
            ("wal_compression", "lz4"),
            ("max_wal_size", "4GB"),
            ("checkpoint_timeout", "15min"),
            ("random_page_cost", "1.1"),
            // Compiling a query pays from seconds on; ours are short.
            ("jit", "off"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
            ("log_line_prefix", "%m [%p] %q%u@%d "),
            ("log_lock_waits", "on"),
        ];
        let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
        ours.into_iter().chain(self.options.settings.iter().cloned()).collect()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let Some(mut service) = self.service.take() else { return };
        let steps = if self.temporary.is_some() {
            [(Signal::SIGQUIT, Duration::from_secs(5))]
        } else {
            [(Signal::SIGINT, STOP_LIMIT)]
        };
        // There is nobody to tell; the last step has killed it in any case.
        let _stopped = service.end(&steps);
    }
}

const DEFAULT_PORT: u16 = 5432;

/// The directory of the socket: with the data when the path is short enough for a socket, else a temporary one.
#[derive(Debug)]
struct Socket {
    path: PathBuf,
    _temporary: Option<TempDir>,
}

impl Socket {
    fn in_or_near(place: &Path, account: Option<&Account>) -> Result<Self> {
        let path = place.join("socket");
        let socket = if path.as_os_str().len() + "/.s.PGSQL.65535".len() <= SOCKET_PATH_LIMIT {
            fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
            Self { path, _temporary: None }
        } else {
            // Whoever reaches the socket is let in as the owner.
            let private = Permissions::from_mode(0o700);
            let short = tempfile::Builder::new().prefix("guildhall-socket-").permissions(private).tempdir_in("/tmp")?;
            Self { path: short.path().to_owned(), _temporary: Some(short) }
        };
        if let Some(account) = account {
            give(&socket.path, account)?;
        }
        Ok(socket)
    }
}

/// Stops a Postgres that still runs although its launcher was killed. When the process id in its lock file is somebody
/// else's by now, Postgres would refuse to start, so that stale file goes. The file of a dead process stays: Postgres
/// reads in it whether workers of that process are still about.
fn end_orphan(cluster: &Path) -> Result<()> {
    let pid_file = cluster.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&pid_file) else { return Ok(()) };
    let noted = text.lines().next().unwrap_or_default();
    stop_orphan(noted, cluster, &[(Signal::SIGINT, STOP_LIMIT), (Signal::SIGQUIT, VANISH_LIMIT)])?;
    if noted.trim().parse().is_ok_and(is_running) {
        fs::remove_file(&pid_file).with_context(|| format!("removing the stale {}", pid_file.display()))?;
    }
    Ok(())
}

/// Writes a path so that it can stand as the host of a URL.
fn percent_encode(path: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    path.bytes().map(encode).collect()
}
