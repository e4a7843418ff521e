//! `guildhall-sandbox run [--kafka] [--durable] -- COMMAND…`: runs a command with a private Postgres, and a private Kafka
//! when asked, and takes both away afterwards.

use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus};
use std::thread;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use guildhall_sandbox::kafka::Kafka;
use guildhall_sandbox::postgres::Postgres;
use guildhall_sandbox::testing;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// A private Postgres and a private Kafka for as long as a command runs.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Run a command with the servers' addresses in its environment, and pass its exit code on.
    ///
    /// The command finds Postgres in `GUILDHALL_TEST_POSTGRES`, as a superuser's URL, and Kafka in
    /// `GUILDHALL_TEST_KAFKA`. A variable that is set already wins: no server of that kind is started then.
    Run(Run),
}

#[derive(Args)]
struct Run {
    /// Start Kafka as well; `KAFKA_BROKERS` names one that is there already.
    #[arg(long)]
    kafka: bool,
    /// Make commits survive a crash of the machine; without it Postgres is faster.
    #[arg(long)]
    durable: bool,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// The servers of one run, and what the command is told about them.
struct Servers {
    _postgres: Option<Postgres>,
    _kafka: Option<Kafka>,
    environment: Vec<(&'static str, String)>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Action::Run(run) = Arguments::parse().action;
    match run_command(run).await {
        Ok(status) => ExitCode::from(shell_code(status)),
        Err(error) => {
            eprintln!("guildhall-sandbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run_command(run: Run) -> Result<ExitStatus> {
    // Signals are ours from here on, so that one that comes while the servers start does not orphan them.
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let (kafka, durable) = (run.kafka, run.durable);
    let servers =
        tokio::task::spawn_blocking(move || start(kafka, durable)).await.context("starting the servers")??;
    let not_run = tempfile::NamedTempFile::new().context("making a list of what is not run")?;

    let (program, arguments) = run.command.split_first().context("no command given")?;
    let mut command = Command::new(program);
    command.args(arguments).envs(servers.environment.iter().map(|(name, value)| (name, value)));
    command.env(testing::NOT_RUN, not_run.path());
    let mut child = command.spawn().with_context(|| format!("starting {program}"))?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.with_context(|| format!("waiting for {program}"))?,
            // A terminal sends its own to the command as well: asking it twice to stop does no harm.
            _ = interrupt.recv() => forward(&child, Signal::SIGINT),
            _ = terminate.recv() => forward(&child, Signal::SIGTERM),
        }
    };
    tokio::task::spawn_blocking(move || drop(servers)).await.context("stopping the servers")?;
    print_not_run(&fs::read_to_string(not_run.path()).context("reading what was not run")?);
    Ok(status)
}

/// Starts what is asked for and not given, both at once.
fn start(kafka: bool, durable: bool) -> Result<Servers> {
    let given_postgres = env::var(testing::POSTGRES).ok();
    let given_kafka = env::var(testing::KAFKA).or_else(|_| env::var("KAFKA_BROKERS")).ok();
    let starting = (kafka && given_kafka.is_none()).then(|| thread::spawn(|| Kafka::temporary(vec![])));
    let postgres = if given_postgres.is_none() { Some(Postgres::temporary(durable, vec![])?) } else { None };
    let broker = match starting.map(thread::JoinHandle::join) {
        None => None,
        Some(Ok(started)) => Some(started?),
        Some(Err(_)) => bail!("the thread that starts Kafka panicked"),
    };
    let mut environment = Vec::new();
    if let Some(url) = postgres.as_ref().map(Postgres::url).or(given_postgres) {
        environment.push((testing::POSTGRES, url));
    }
    if let Some(brokers) = broker.as_ref().map(Kafka::brokers).or(given_kafka) {
        environment.push((testing::KAFKA, brokers));
    }
    Ok(Servers { _postgres: postgres, _kafka: broker, environment })
}

fn forward(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended between the signal and here, and that is what the signal wanted.
        let _sent = kill(Pid::from_raw(pid), signal);
    }
}

/// The exit code as a shell gives it: a signal counts as 128 and its number.
fn shell_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// Repeats at the end what was not run: in between, the lines are lost among hundreds.
fn print_not_run(list: &str) {
    if list.is_empty() {
        return;
    }
    let mut lines: Vec<&str> = list.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    eprintln!("\n{}", lines.join("\n"));
}
