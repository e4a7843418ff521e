//! `guildhall serve`, `relay`, `project`, `process` and `all`: roles that run until they are told to stop.

use std::process::ExitCode;

use guildhall_event_store::Clock;
use tokio::signal::unix::{SignalKind, signal};

use super::Output;
use crate::{
    config::Config,
    node::{Node, Roles},
    telemetry,
};

pub(crate) async fn run(config: &Config, roles: Roles, output: &Output) -> anyhow::Result<ExitCode> {
    let metrics = telemetry::start_metrics()?;
    let node = Node::start(config, roles, Clock::system(), Some(metrics)).await?;
    if let Some(address) = node.address() {
        let eventstoredb = node.eventstoredb();
        let auditors =
            eventstoredb.map(|at| format!(" EventStoreDB's clients are served at {at}.")).unwrap_or_default();
        let what = if roles.serve { "API description at /docs" } else { "health and metrics" };
        let text = format!("Serving http://{address} ({what}).{auditors} Ctrl-C stops.");
        output.report(&text, &serde_json::json!({ "listening": address.to_string(), "eventstoredb": eventstoredb }))?;
    }
    node.run_until(stop_signal()).await?;
    Ok(ExitCode::SUCCESS)
}

/// Waits for Ctrl-C or a request to terminate.
pub(crate) async fn stop_signal() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::error!("signals cannot be heard; only a kill ends this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping");
}
