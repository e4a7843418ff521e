//! One server process of ours, with its log.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How often a condition is looked at again while we wait for it.
const PAUSE: Duration = Duration::from_millis(10);

/// A log larger than this is put aside when its server starts again.
const LOG_LIMIT: u64 = 10 << 20;

/// How many lines of the log an error quotes.
const QUOTED_LINES: usize = 12;

/// A running server process. It is in a process group of its own, so that Ctrl-C in a terminal reaches its owner alone,
/// who then stops it in order.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    child: Child,
    log: PathBuf,
    /// Where in the log this run began.
    log_start: u64,
}

impl Service {
    pub(crate) fn spawn(name: &'static str, command: &mut Command, log: PathBuf) -> Result<Self> {
        let (file, log_start) = open_log(&log).with_context(|| format!("opening the log {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("sharing the log")?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name} ({})", command.get_program().display()))?;
        Ok(Self { name, child, log, log_start })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the server is ready. Fails, quoting the log, when it exits before or is not ready in time.
    pub(crate) fn wait_ready(&mut self, limit: Duration, mut ready: impl FnMut(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.exited()? {
                bail!("{} did not start ({status}); {}", self.name, self.quote());
            }
            if ready(self) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("{} was not ready within {} s; {}", self.name, limit.as_secs(), self.quote());
            }
            thread::sleep(PAUSE);
        }
    }

    /// Sends each signal in turn and gives the server that long to exit, until it has. Ends with SIGKILL, which no
    /// process survives.
    pub(crate) fn end(&mut self, steps: &[(Signal, Duration)]) -> Result<()> {
        for (signal, patience) in steps {
            if self.exited()?.is_some() {
                return Ok(());
            }
            self.signal(*signal)?;
            if wait_until(*patience, || matches!(self.exited(), Ok(Some(_)))) {
                return Ok(());
            }
        }
        self.child.kill().with_context(|| format!("killing {}", self.name))?;
        self.child.wait().with_context(|| format!("waiting for {} to exit", self.name))?;
        Ok(())
    }

    /// Everything this run has logged so far.
    pub(crate) fn logged(&self) -> String {
        let mut bytes = Vec::new();
        let read = File::open(&self.log).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.log_start))?;
            file.take(LOG_LIMIT).read_to_end(&mut bytes)
        });
        match read {
            Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => format!("(the log cannot be read: {error})"),
        }
    }

    fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("looking after {}", self.name))
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        send(self.pid(), signal).with_context(|| format!("sending {signal} to {}", self.name))
    }

    fn quote(&self) -> String {
        let logged = self.logged();
        let lines: Vec<&str> = logged.lines().collect();
        let last = &lines[lines.len().saturating_sub(QUOTED_LINES)..];
        format!("the end of {}:\n  {}", self.log.display(), last.join("\n  "))
    }
}

/// Sends a signal to a process.
pub(crate) fn send(pid: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid).context("a process id out of range")?;
    Ok(kill(Pid::from_raw(pid), signal)?)
}

/// Stops a server that an earlier run left behind, by the process id it noted. The caller holds the lock of its
/// directory, so nobody looks after it any more. A process id is used again, in containers soon: only a process that
/// works in that directory is the one we mean, and any other is left alone.
pub(crate) fn stop_orphan(noted: &str, directory: &Path, steps: &[(Signal, Duration)]) -> Result<()> {
    let Ok(pid) = noted.trim().parse() else { return Ok(()) };
    let ours = || is_running(pid) && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == directory);
    if !ours() {
        return Ok(());
    }
    for (signal, patience) in steps {
        send(pid, *signal).context("stopping the server that an earlier run left behind")?;
        if wait_until(*patience, || !ours()) {
            return Ok(());
        }
    }
    bail!("process {pid}, a server that an earlier run left behind in {}, does not stop", directory.display())
}

/// Waits until a condition holds, and says whether it did before the limit.
pub(crate) fn wait_until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(PAUSE);
    }
}

/// Whether a process runs. One that has exited and waits for its parent to notice does not.
pub(crate) fn is_running(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.state != 'Z' && stat.state != 'X')
}

/// The processes that another one has started and that still run.
pub(crate) fn children(parent: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("reading /proc")? {
        let name = entry.context("reading /proc")?.file_name();
        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok())
            && stat(pid).is_some_and(|stat| stat.parent == parent)
        {
            found.push(pid);
        }
    }
    Ok(found)
}

struct Stat {
    state: char,
    parent: u32,
}

/// The two fields we need of `/proc/PID/stat`; they stand behind the process's name, which may itself hold anything.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_whitespace();
    Some(Stat { state: fields.next()?.chars().next()?, parent: fields.next()?.parse().ok()? })
}

fn open_log(path: &Path) -> std::io::Result<(File, u64)> {
    if path.metadata().is_ok_and(|found| found.len() > LOG_LIMIT) {
        fs::rename(path, path.with_extension("log.old"))?;
    }
    let mut file = File::options().create(true).append(true).open(path)?;
    let end = file.seek(SeekFrom::End(0))?;
    Ok((file, end))
}
