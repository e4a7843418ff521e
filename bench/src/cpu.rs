//! Who used how much of the processors. On a noisy machine, this says more than the clock on the wall.

use anyhow::Context as _;
use procfs::process::{Process, Stat};
use serde::{Deserialize, Serialize};

/// Processor time per 1,000 commands, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// The program that decides and appends.
    pub server: f64,
    /// Postgres, with all its processes.
    pub postgres: f64,
    /// Whoever sends the commands; nobody where they are made in the same process.
    pub generator: f64,
}

/// Which processes decide and append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// Some of their own.
    Processes(Vec<u32>),
    /// This one.
    Ourselves,
}

/// Measures from its start on.
pub struct Meter {
    server: Server,
    postgres: u32,
    before: Cpu,
}

impl Meter {
    pub fn start(server: Server, postgres: u32) -> anyhow::Result<Self> {
        let before = spent(&server, postgres)?;
        Ok(Self { server, postgres, before })
    }

    /// What was used since, for each 1,000 of so many commands.
    pub fn stop(self, commands: u64) -> anyhow::Result<Cpu> {
        let after = spent(&self.server, self.postgres)?;
        let each = |after: f64, before: f64| (after - before) * 1000.0 / commands as f64;
        Ok(Cpu {
            server: each(after.server, self.before.server),
            postgres: each(after.postgres, self.before.postgres),
            generator: each(after.generator, self.before.generator),
        })
    }
}

/// The most memory a process has had resident, in megabytes.
pub fn peak_memory_mb(process: u32) -> anyhow::Result<f64> {
    let status = Process::new(i32::try_from(process)?)?.status()?;
    let kilobytes = status.vmhwm.context("the kernel does not tell the peak of resident memory")?;
    Ok(kilobytes as f64 / 1024.0)
}

fn spent(server: &Server, postgres: u32) -> anyhow::Result<Cpu> {
    let postgres = i32::try_from(postgres)?;
    let main = Process::new(postgres)?.stat()?;
    let children = procfs::process::all_processes()?
        .filter_map(|process| process.ok()?.stat().ok())
        .filter(|stat| stat.ppid == postgres)
        .map(|stat| own(&stat));
    // A backend that ends hands its time on to the main process.
    let postgres = own(&main) + ended(&main) + children.sum::<f64>();
    let this = Process::myself()?.stat()?;
    Ok(match server {
        Server::Ourselves => Cpu { server: own(&this), postgres, generator: 0.0 },
        Server::Processes(processes) => {
            let mut server = 0.0;
            for process in processes {
                server += own(&Process::new(i32::try_from(*process)?)?.stat()?);
            }
            Cpu { server, postgres, generator: own(&this) + ended(&this) }
        }
    })
}

fn own(stat: &Stat) -> f64 {
    (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64
}

fn ended(stat: &Stat) -> f64 {
    (stat.cutime + stat.cstime) as f64 / procfs::ticks_per_second() as f64
}
