//! `guildhall relay`: carries history to Kafka, from where it had come to or from further back.

use std::process::ExitCode;

use guildhall_event_store::Clock;
use guildhall_kafka::{Relay, RelayOptions};
use serde_json::json;

use super::{Output, serve};
use crate::{
    cli,
    config::{Config, Transport},
    kafka,
    node::{Roles, open_store},
};

pub(crate) async fn run(config: &Config, arguments: &cli::Relay, output: &Output) -> anyhow::Result<ExitCode> {
    if let Some(position) = arguments.from {
        set_back(config, position, output).await?;
    }
    serve::run(config, Roles::RELAY, output).await
}

async fn set_back(config: &Config, position: u64, output: &Output) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.transport == Transport::Kafka,
        "nothing is relayed while transport is `store`: name the brokers in kafka.brokers (or KAFKA_BROKERS)"
    );
    let store = open_store(config, Clock::system()).await?;
    let relay = Relay::new(store.clone(), RelayOptions::new(kafka::options(config)))?;
    let set = relay.set_back(position).await;
    store.shutdown().await;
    let relayed = set?;
    let text = format!("Kafka has everything up to {relayed}; what is after {position} is sent again.");
    output.report(&text, &json!({ "relayed": relayed, "from": position }))
}
