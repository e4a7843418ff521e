//! The processes of an installation, each the built binary, over one Postgres and three brokers; and what is done to them.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
};

use guildhall_sandbox::{kafka::KafkaCluster, postgres::Postgres};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::server::{Client, Server};

/// Partitions of each topic: fewer than projectors could share, so that some of them stand idle at times.
pub(super) const PARTITIONS: u16 = 3;

/// How a member of the fleet runs: its subcommand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Serve,
    Relay,
    Project,
    Process,
}

/// Who runs from the beginning to the end.
const CREW: [Role; 8] =
    [Role::Serve, Role::Serve, Role::Relay, Role::Relay, Role::Project, Role::Project, Role::Project, Role::Process];

/// A process that is started again whenever it ends.
struct Member {
    name: String,
    role: Role,
    log: PathBuf,
    child: Option<Child>,
    is_paused: bool,
    /// Was asked to end, and is not to come again.
    is_leaving: bool,
    /// Where it serves, if it does.
    client: Option<Client>,
}

/// All of it. What takes long to start again is behind a lock of its own, so that other things can happen meanwhile.
pub(super) struct Fleet {
    server: Server,
    protocol: &'static str,
    associations: &'static [&'static str],
    logs: TempDir,
    crew: Vec<Member>,
    started: usize,
    serving: watch::Sender<Vec<Vec<Client>>>,
    pub(super) kafka: Arc<Mutex<KafkaCluster>>,
    pub(super) postgres: Arc<Mutex<Postgres>>,
}

impl Fleet {
    /// Starts everybody. `associations` are whom the load acts for; `topics` are their prefix and how groups share them.
    pub(super) fn start(
        database_url: &str,
        [prefix, protocol]: [&'static str; 2],
        associations: &'static [&'static str],
        kafka: KafkaCluster,
        postgres: Postgres,
    ) -> Self {
        let server = Server::configured(database_url, Some((&kafka.brokers(), prefix)));
        let (kafka, postgres) = (Arc::new(Mutex::new(kafka)), Arc::new(Mutex::new(postgres)));
        let (logs, serving) = (TempDir::new().expect("a folder for the logs"), watch::Sender::new(Vec::new()));
        let mut fleet =
            Self { server, protocol, associations, logs, crew: vec![], started: 0, serving, kafka, postgres };
        for role in CREW {
            fleet.enlist(role);
        }
        fleet
    }

    /// Adds a member to the crew, and gives its place.
    pub(super) fn enlist(&mut self, role: Role) -> usize {
        self.started += 1;
        let name = format!("{}-{}", subcommand(role), self.started);
        let log = self.logs.path().join(&name);
        self.crew.push(Member { name, role, log, child: None, is_paused: false, is_leaving: false, client: None });
        self.launch(self.crew.len() - 1);
        self.crew.len() - 1
    }

    fn launch(&mut self, place: usize) {
        let member = &mut self.crew[place];
        let log = File::options().append(true).create(true).open(&member.log).expect("the log can be written");
        let mut command = self.server.command(&["--json", subcommand(member.role)]);
        command
            .env("GUILDHALL_KAFKA__REPLICATION_FACTOR", "3")
            .env("GUILDHALL_KAFKA__PARTITIONS", PARTITIONS.to_string())
            .env("GUILDHALL_KAFKA__GROUP_PROTOCOL", self.protocol)
            .env("GUILDHALL_DATABASE__POOL_SIZE", "8")
            .env("GUILDHALL_LOG__FILTER", "warn,guildhall_kafka=info")
            .stdout(if member.role == Role::Serve { Stdio::piped() } else { log.try_clone().expect("a file").into() })
            .stderr(log);
        let mut child = command.spawn().expect("the binary starts");
        member.is_paused = false;
        member.client = None;
        if let Some(said) = child.stdout.take() {
            // Nothing is said when it does not come up, since Postgres is away, say: it is started again then.
            let mut line = String::new();
            BufReader::new(said).read_line(&mut line).expect("its output can be read");
            let listening: Value = serde_json::from_str(&line).unwrap_or_default();
            member.client = listening["listening"]
                .as_str()
                .map(|at| self.server.client_at(&format!("http://{at}"), self.associations[0]));
        }
        member.child = Some(child);
        self.announce();
    }

    /// Tells the load who can be reached now: for each association a client of each node.
    fn announce(&self) {
        let nodes = self.crew.iter().filter_map(|member| member.client.as_ref());
        let clients =
            |association: &&str| nodes.clone().map(|node| self.server.client_at(node.url(), association)).collect();
        self.serving.send_replace(self.associations.iter().map(clients).collect());
    }

    /// For each association a client of each node that serves, as it changes.
    pub(super) fn serving(&self) -> watch::Receiver<Vec<Vec<Client>>> {
        self.serving.subscribe()
    }

    /// Starts again whoever has ended by itself, as an installation's supervisor does; gives their names.
    pub(super) fn revive(&mut self) -> Vec<String> {
        let mut revived = Vec::new();
        for place in 0..self.crew.len() {
            let member = &mut self.crew[place];
            let ended = member.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))));
            if ended && member.is_leaving {
                member.child = None;
            } else if ended {
                revived.push(self.crew[place].name.clone());
                self.launch(place);
            }
        }
        revived
    }

    /// The places of those with a role that run and are not paused.
    pub(super) fn awake(&self, role: Role) -> Vec<usize> {
        let awake =
            |member: &Member| member.role == role && member.child.is_some() && !member.is_paused && !member.is_leaving;
        (0..self.crew.len()).filter(|place| awake(&self.crew[*place])).collect()
    }

    pub(super) fn name(&self, place: usize) -> &str {
        &self.crew[place].name
    }

    /// Ends a member as hard as it goes. It stays down until [`Fleet::relaunch`].
    pub(super) fn kill(&mut self, place: usize) {
        let member = &mut self.crew[place];
        if let Some(mut child) = member.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
        }
        member.client = None;
        self.announce();
    }

    pub(super) fn relaunch(&mut self, place: usize) {
        if self.crew[place].child.is_none() {
            self.launch(place);
        }
    }

    /// Asks a member to end, as an operator does, without waiting for it, and takes it off the crew.
    pub(super) fn ask_to_end(&mut self, place: usize) {
        self.signal(place, Signal::SIGTERM);
        self.crew[place].is_leaving = true;
    }

    /// Stops a member's clock.
    pub(super) fn pause(&mut self, place: usize) {
        self.signal(place, Signal::SIGSTOP);
        self.crew[place].is_paused = true;
    }

    pub(super) fn resume(&mut self, place: usize) {
        self.signal(place, Signal::SIGCONT);
        self.crew[place].is_paused = false;
    }

    fn signal(&self, place: usize, signal: Signal) {
        if let Some(child) = &self.crew[place].child {
            let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id is small"));
            // It may have ended by itself a moment ago.
            let _sent = kill(pid, signal);
        }
    }

    /// The relay that was the last to say that it relays.
    pub(super) fn lease_holder(&self) -> Option<usize> {
        let relays = self.awake(Role::Relay).into_iter();
        relays.max_by_key(|place| last_said(&self.crew[*place].log, "\"relaying\""))
    }

    /// Lets everybody go on who was paused, and starts everybody who is down.
    pub(super) fn all_up(&mut self) {
        for place in 0..self.crew.len() {
            if self.crew[place].is_paused {
                self.resume(place);
            }
        }
        self.revive();
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// The end of what each member has logged, for whoever has to find out what went wrong.
    pub(super) fn last_words(&self) -> String {
        let words = |member: &Member| {
            let text = fs::read_to_string(&member.log).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            format!("{}:\n  {}", member.name, lines[lines.len().saturating_sub(25)..].join("\n  "))
        };
        self.crew.iter().map(words).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.last_words());
        }
        for place in 0..self.crew.len() {
            self.kill(place);
        }
    }
}

fn subcommand(role: Role) -> &'static str {
    match role {
        Role::Serve => "serve",
        Role::Relay => "relay",
        Role::Project => "project",
        Role::Process => "process",
    }
}

/// The time, as it is written, at which a log last said something.
fn last_said(log: &Path, what: &str) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let line = text.lines().rfind(|line| line.contains(what)).unwrap_or_default();
    let said: Value = serde_json::from_str(line).unwrap_or_default();
    said["timestamp"].as_str().unwrap_or_default().to_owned()
}

/// What is behind a lock, unless somebody is at work on it.
pub(super) fn free<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match lock.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// What is behind a lock, once nobody is at work on it.
pub(super) fn taken<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
