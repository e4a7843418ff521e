//! `wrk`: connections that each send the next command when the last one is answered.

use std::{io::Write as _, path::Path, process::Command};

use anyhow::Context as _;
use serde::Deserialize;
use tempfile::NamedTempFile;
use uuid::Uuid;

use super::{Outcome, Target, first_number};
use crate::node::NOTE;

const SCRIPT: &str = include_str!("commands.lua");

#[derive(Deserialize)]
struct Said {
    commands: u64,
    microseconds: f64,
    failed: u64,
    p99_microseconds: f64,
}

/// Sends notes about these members in turn, for so long. The p99 is corrected for what a slow answer kept the
/// connection from sending, as `wrk` does it.
///
/// # Errors
/// `wrk` is not there, or a command was not recorded.
pub fn send(target: &Target, connections: u32, seconds: u64, members: &Path) -> anyhow::Result<Outcome> {
    let mut script = NamedTempFile::with_suffix(".lua")?;
    script.write_all(SCRIPT.as_bytes())?;
    let output = Command::new("wrk")
        .args(["--threads", "1", "--timeout", "30s"])
        .args(["--connections", &connections.to_string(), "--duration", &format!("{seconds}s")])
        .arg("--script")
        .arg(script.path())
        .arg(format!("http://{}", target.address))
        .args(["--", &target.token, &Uuid::now_v7().simple().to_string()])
        .arg(members)
        .args([NOTE, &first_number().to_string()])
        .output()
        .context("starting wrk: `scripts/ensure-tools --load` installs it")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().rev().find(|line| line.starts_with('{'));
    let said = last.and_then(|line| serde_json::from_str::<Said>(line).ok());
    let said = said.with_context(|| format!("wrk said {text}{}", String::from_utf8_lossy(&output.stderr)))?;
    anyhow::ensure!(said.failed == 0, "{} of {} commands were not recorded", said.failed, said.commands);
    let p99_ms = said.p99_microseconds / 1000.0;
    Ok(Outcome { commands: said.commands, seconds: said.microseconds / 1e6, p99_ms })
}
