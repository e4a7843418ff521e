//! `guildhall audit prove`: that one record is in history.

use std::{fs, process::ExitCode};

use anyhow::Context as _;
use guildhall_event_store::Clock;
use guildhall_integrity::{Proof, prove};

use crate::{cli::AuditProve, config::Config, node::open_store, run::Output};

/// Proves it under the latest checkpoint of its association.
pub(super) async fn run(config: &Config, arguments: &AuditProve, output: &Output) -> anyhow::Result<ExitCode> {
    let keys = config.integrity.keys()?;
    let store = open_store(config, Clock::system()).await?;
    let proof = prove(&store, arguments.record, &keys).await;
    store.shutdown().await;
    let proof = proof?;
    let json = proof.to_json()?;
    if let Some(file) = &arguments.output {
        fs::write(file, format!("{json}\n")).with_context(|| format!("{} cannot be written", file.display()))?;
        output.report(&described(&proof), &json)?;
    } else {
        output.report(&format!("{json}\n\n{}", described(&proof)), &json)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn described(proof: &Proof) -> String {
    let (event, said) = (&proof.event, &proof.checkpoint.statement);
    format!(
        "{} at position {} ({} version {}) is record {} of the {} that checkpoint {} covers, signed {} by {}.",
        event.type_name,
        event.position,
        event.stream,
        event.version,
        proof.index + 1,
        said.tree_size,
        said.number,
        said.signed_at.format("%Y-%m-%d %H:%M:%S UTC"),
        proof.checkpoint.key,
    )
}
