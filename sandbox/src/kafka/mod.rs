//! A private Apache Kafka: the real thing, gone when its owner goes. One `KRaft` node, or a [`KafkaCluster`] of three.

mod cluster;
mod jars;

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use uuid::Uuid;

use crate::place::Place;
use crate::service::{Service, stop_orphan};

pub use cluster::KafkaCluster;
pub use jars::ensure as ensure_jars;

/// The oldest Java that this Kafka runs on.
const OLDEST_JAVA: u32 = 17;

const START_LIMIT: Duration = Duration::from_mins(1);

/// How long Kafka may take to close its logs.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What Kafka logs when clients may come: its broker has been taken into the quorum by then.
const STARTED: &str = "Kafka Server started";

/// Performance data would be written to a shared folder, for tools that nobody runs here.
const JAVA_FLAGS: [&str; 1] = ["-XX:-UsePerfData"];

/// Enough memory for tests and a start in under two seconds: measured at 340 MB resident.
const FRUGAL: [&str; 4] = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xms256m", "-Xmx512m"];

/// What Kafka's own start script tells Java, for a broker that is measured and not only started.
const AS_SHIPPED: [&str; 7] = [
    "-Xms1g",
    "-Xmx1g",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
];

const LOG_CONFIGURATION: &str = include_str!("../../../tools/kafka/log4j2.properties");

/// How to run a private Kafka.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Where everything of this Kafka lives. Made when it is not there, continued when it is.
    pub data_dir: PathBuf,
    /// Further broker settings, such as `("log.retention.ms", "1000")`; they win over ours.
    pub settings: Vec<(String, String)>,
}

/// A running Kafka, or one between two runs. Dropping it stops it.
#[derive(Debug)]
pub struct Kafka {
    options: KafkaOptions,
    place: Place,
    jars: PathBuf,
    java: PathBuf,
    node: Node,
    service: Option<Service>,
    /// Deleted after everything above has let go of it.
    temporary: Option<TempDir>,
}

impl Kafka {
    /// Starts Kafka on a directory of its own, at free ports, and waits until it answers. Its jars are fetched before,
    /// once per checkout.
    pub fn start(options: KafkaOptions) -> Result<Self> {
        let [broker, controller] = free_ports()?;
        Self::launch(options, Node::alone(broker, controller, &FRUGAL), None)
    }

    /// Starts Kafka on a directory that is deleted in the end.
    pub fn temporary(settings: Vec<(String, String)>) -> Result<Self> {
        Self::temporary_on(&FRUGAL, settings)
    }

    /// The same on a Java as Kafka's own start script makes it: slower to start, and fast after a minute.
    pub fn temporary_as_shipped() -> Result<Self> {
        Self::temporary_on(&AS_SHIPPED, Vec::new())
    }

    fn temporary_on(java: &'static [&'static str], settings: Vec<(String, String)>) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("guildhall-kafka-").tempdir().context("making a directory")?;
        let [broker, controller] = free_ports()?;
        let options = KafkaOptions { data_dir: directory.path().to_owned(), settings };
        Self::launch(options, Node::alone(broker, controller, java), Some(directory))
    }

    fn launch(options: KafkaOptions, node: Node, temporary: Option<TempDir>) -> Result<Self> {
        let java = find_java()?;
        let jars = jars::ensure()?;
        let place = Place::claim(&options.data_dir, None)?;
        if let Ok(pid) = fs::read_to_string(place.path.join("kafka.pid")) {
            stop_orphan(&pid, &place.path, &[(Signal::SIGTERM, STOP_LIMIT), (Signal::SIGKILL, STOP_LIMIT)])?;
        }
        let mut kafka = Self { options, place, jars, java, node, service: None, temporary };
        kafka.format()?;
        kafka.run()?;
        Ok(kafka)
    }

    /// Where clients find it: the value of `bootstrap.servers`. It stays the same over a restart.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.node.broker)
    }

    /// The directory that holds data, log and lock.
    pub fn data_dir(&self) -> &Path {
        &self.place.path
    }

    /// The server's log.
    pub fn log(&self) -> PathBuf {
        self.place.path.join("kafka.log")
    }

    /// Whether it was started and not stopped or killed since. One that is paused runs.
    pub fn is_running(&self) -> bool {
        self.service.is_some()
    }

    /// Stops it in order. Stopping twice is stopping once.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut service) = self.service.take() else { return Ok(()) };
        service.end(&[(Signal::SIGTERM, STOP_LIMIT)])
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) -> Result<()> {
        let Some(mut service) = self.service.take() else { return Ok(()) };
        service.end(&[])
    }

    /// Stops its clock: it answers nobody and closes nothing, as a machine that swaps. What is stopped can be killed.
    pub fn pause(&self) -> Result<()> {
        self.service.as_ref().map_or(Ok(()), |service| service.signal(Signal::SIGSTOP))
    }

    /// Lets it go on after [`Kafka::pause`].
    pub fn resume(&self) -> Result<()> {
        self.service.as_ref().map_or(Ok(()), |service| service.signal(Signal::SIGCONT))
    }

    /// Starts it again on the same data, at the same ports; stops it before when it runs.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.run()
    }

    fn run(&mut self) -> Result<()> {
        let configuration = self.configure("server.properties", &self.data())?;
        let mut command = self.java("kafka.Kafka");
        command.arg(configuration);
        let mut service = Service::spawn("Kafka", &mut command, self.log())?;
        fs::write(self.place.path.join("kafka.pid"), service.pid().to_string()).context("writing kafka.pid")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.node.broker));
        let started = service.wait_ready(START_LIMIT, |service| {
            service.logged().contains(STARTED) && TcpStream::connect(address).is_ok()
        });
        self.service = Some(service);
        started
    }

    /// Prepares the data directory, once. It gets its name when it is whole.
    fn format(&self) -> Result<()> {
        if self.data().exists() {
            return Ok(());
        }
        fs::write(self.place.path.join("log4j2.properties"), LOG_CONFIGURATION).context("writing log4j2.properties")?;
        let unfinished = self.place.path.join("data.new");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).with_context(|| format!("removing {}", unfinished.display()))?;
        }
        let configuration = self.configure("format.properties", &unfinished)?;
        let mut tool = self.java("kafka.tools.StorageTool");
        tool.arg("format").args(self.node.is_alone().then_some("--standalone"));
        tool.args(["--cluster-id", &self.node.cluster, "--config"]).arg(configuration);
        output("format", &mut tool)?;
        fs::rename(&unfinished, self.data()).context("finishing Kafka's data directory")
    }

    fn data(&self) -> PathBuf {
        self.place.path.join("data")
    }

    fn java(&self, class: &str) -> Command {
        let mut java = Command::new(&self.java);
        java.args(JAVA_FLAGS).args(self.node.java).arg("-Dlog4j2.configurationFile=log4j2.properties");
        java.arg("-cp").arg(self.jars.join("*")).arg(class).current_dir(&self.place.path);
        java
    }

    fn configure(&self, name: &str, data: &Path) -> Result<PathBuf> {
        let path = self.place.path.join(name);
        let ours = configuration(&self.node, data);
        let theirs = self.options.settings.iter().map(|(name, value)| format!("{name}={value}\n"));
        fs::write(&path, ours + &theirs.collect::<String>()).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let Some(mut service) = self.service.take() else { return };
        let patience = if self.temporary.is_some() { Duration::ZERO } else { STOP_LIMIT };
        // There is nobody to tell; the last step has killed it in any case.
        let _stopped = service.end(&[(Signal::SIGTERM, patience)]);
    }
}

/// What tells one node from another: its ports and whom it votes with.
#[derive(Debug, Clone)]
struct Node {
    id: usize,
    broker: u16,
    /// The controllers' ports of all that vote, by their ids.
    controllers: Vec<u16>,
    cluster: String,
    /// What Java is told of memory and speed.
    java: &'static [&'static str],
}

impl Node {
    fn alone(broker: u16, controller: u16, java: &'static [&'static str]) -> Self {
        Self { id: 1, broker, controllers: vec![controller], cluster: cluster_id(), java }
    }

    fn is_alone(&self) -> bool {
        self.controllers.len() == 1
    }
}

/// What a node needs that is broker and controller. Alone, it is its own only replica; among three, two copies of
/// everything are what is acknowledged. The controller takes a killed broker for alive until its session ends, and lets
/// no successor in before: with the default of nine seconds a restart took eleven.
fn configuration(node: &Node, data: &Path) -> String {
    let Node { id, broker, controllers, .. } = node;
    let controller = controllers[id - 1];
    let (copies, in_sync) = if node.is_alone() { (1, 1) } else { (3, 2) };
    let quorum = if node.is_alone() {
        format!("controller.quorum.bootstrap.servers=127.0.0.1:{controller}")
    } else {
        let voters = (1..).zip(controllers).map(|(id, port)| format!("{id}@127.0.0.1:{port}"));
        format!("controller.quorum.voters={}", voters.collect::<Vec<_>>().join(","))
    };
    format!(
        "\
process.roles=broker,controller
node.id={id}
{quorum}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
group.consumer.min.session.timeout.ms=6000
group.consumer.session.timeout.ms=10000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
auto.create.topics.enable=false
",
        data.display()
    )
}

/// A new cluster's id: 22 letters of URL-safe base64, as Kafka wants them. Digits of a fresh id are such letters.
fn cluster_id() -> String {
    Uuid::now_v7().simple().to_string().split_off(10)
}

/// Ports that nobody listens on. They are bound together, so that they differ.
fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port");
    let listeners = (0..COUNT).map(bind).collect::<Result<Vec<_>>>()?;
    let mut ports = [0; COUNT];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr().context("looking for a free port")?.port();
    }
    Ok(ports)
}

fn find_java() -> Result<PathBuf> {
    let java = env::var_os("JAVA_HOME").map_or_else(|| "java".into(), |home| Path::new(&home).join("bin/java"));
    let Ok(answer) = Command::new(&java).arg("-version").output() else {
        bail!(
            "no Java found: install Java {OLDEST_JAVA} or newer, on Debian with `apt-get install default-jre-headless`"
        )
    };
    let said = String::from_utf8_lossy(&answer.stderr);
    match java_version(&said) {
        Some(version) if version >= OLDEST_JAVA => Ok(java),
        _ => bail!("Java {OLDEST_JAVA} or newer is needed for Kafka; `{} -version` says: {said}", java.display()),
    }
}

/// The major version in `openjdk version "17.0.15" 2025-04-15`.
fn java_version(said: &str) -> Option<u32> {
    let version = said.split('"').nth(1)?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn output(what: &str, command: &mut Command) -> Result<String> {
    let answer = command.output().with_context(|| format!("starting Kafka's {what}"))?;
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    if !answer.status.success() {
        let error = String::from_utf8_lossy(&answer.stderr);
        bail!("Kafka's {what} failed ({}): {}{}", answer.status, said.trim(), error.trim());
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::java_version;

    #[test]
    fn the_version_is_read_from_what_java_answers() {
        assert_eq!(java_version("openjdk version \"17.0.15\" 2025-04-15\n"), Some(17));
        assert_eq!(java_version("openjdk version \"21\" 2023-09-19\n"), Some(21));
        assert_eq!(java_version("java version \"1.8.0_392\"\n"), Some(1));
        assert_eq!(java_version("command not found"), None);
    }
}
