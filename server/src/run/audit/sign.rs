//! `guildhall audit checkpoint` and `guildhall audit keys`.

use std::process::ExitCode;

use anyhow::Context as _;
use guildhall_aggregates::{TenantId, tenant_of_slug};
use guildhall_event_store::{Clock, EventStore};
use guildhall_integrity::{Checkpoint, SigningKey, associations_after, carry, latest_checkpoint, sign_now};
use serde_json::json;

use crate::{config::Config, node::open_store, run::Output, sealing};

/// Signs what is new, of one association or of all, and publishes it. Of one association the latest checkpoint is shown
/// also where nothing is new.
pub(super) async fn checkpoint(
    config: &Config,
    association: Option<&str>,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = open_store(config, Clock::system()).await?;
    let signed = sign(config, &store, association.map(tenant_of_slug)).await;
    store.shutdown().await;
    let signed = signed?;
    let text = match signed.as_slice() {
        [] => "Nothing was recorded that is not under a checkpoint.".to_owned(),
        signed => signed.iter().map(|checkpoint| checkpoint.note.trim_end()).collect::<Vec<_>>().join("\n\n"),
    };
    let notes: Vec<_> = signed.iter().map(|checkpoint| &checkpoint.note).collect();
    output.report(&text, &json!({ "checkpoints": notes }))?;
    Ok(ExitCode::SUCCESS)
}

async fn sign(config: &Config, store: &EventStore, only: Option<TenantId>) -> anyhow::Result<Vec<Checkpoint>> {
    let keys = config.integrity.keys()?;
    let mut signed = Vec::new();
    if let Some(tenant) = only {
        let new = sign_now(store, tenant, &keys).await?;
        signed.extend(if new.is_some() { new } else { latest_checkpoint(store, tenant, &keys).await? });
    } else {
        let mut last = None;
        while let Some(tenant) = associations_after(store, last).await? {
            signed.extend(sign_now(store, tenant, &keys).await?);
            last = Some(tenant);
        }
    }
    let client = store.pool().get().await.context("the database cannot be reached")?;
    for place in sealing::places(config)? {
        carry(&client, &*place).await?;
    }
    Ok(signed)
}

/// Lists the verifier keys of this installation.
pub(super) fn keys(config: &Config, output: &Output) -> anyhow::Result<ExitCode> {
    let keys = config.integrity.keys()?;
    let (signing, previous) = (keys.signing().map(SigningKey::verifier), keys.previous().map(SigningKey::verifier));
    let role = |key: &String| match () {
        () if signing.as_ref() == Some(key) => "signs",
        () if previous.as_ref() == Some(key) => "signs too, until the other is known",
        () => "retired",
    };
    let lines: Vec<String> = keys.verifiers().iter().map(|key| format!("{key}  ({})", role(key))).collect();
    let text = if lines.is_empty() {
        "There are no keys: set integrity.signing_key; `guildhall config new` writes one.".to_owned()
    } else {
        lines.join("\n")
    };
    let listed: Vec<_> = keys.verifiers().iter().map(|key| json!({ "key": key, "use": role(key) })).collect();
    output.report(&text, &json!({ "keys": listed }))?;
    Ok(ExitCode::SUCCESS)
}
