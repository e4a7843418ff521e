//! `guildhall store`: the partitions of history, their way to cold storage and back.

use std::{path::Path, process::ExitCode};

use anyhow::Context as _;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use guildhall_event_store::{
    archive::{self, Manifest},
    partitions::{self, Partition},
};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use super::{
    Output,
    audit::{follow, progress_bar},
};
use crate::{cli::StoreAction, config::Config};

/// Does it over a connection of its own: archiving takes longer than a reader's statement may.
pub(crate) async fn run(config: &Config, action: &StoreAction, output: &Output) -> anyhow::Result<ExitCode> {
    let (mut client, connection) =
        tokio_postgres::connect(&config.database.url, NoTls).await.context("the database cannot be reached")?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    match action {
        StoreAction::Partitions { ahead, vacuum } => list(&client, *ahead, *vacuum, output).await?,
        StoreAction::Archive { partition, to } => archive(&mut client, partition, to, output).await?,
        StoreAction::Attach { folder } => attach(&mut client, folder, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &Client, ahead: Option<u32>, vacuum: bool, output: &Output) -> anyhow::Result<()> {
    if let Some(count) = ahead {
        partitions::make_ahead(client, count).await?;
    }
    if vacuum {
        partitions::vacuum_sealed(client).await?;
    }
    let partitions = partitions::list(client).await?;
    output.report(&table(&partitions).to_string(), &partitions)
}

fn table(partitions: &[Partition]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header([
        "partition",
        "positions",
        "state",
        "events here",
        "rows",
        "indexes",
        "vacuumed",
    ]);
    for partition in partitions {
        let Partition { name, first_position, last_position, state, events, .. } = partition;
        table.add_row([
            name.clone(),
            format!("{first_position} to {last_position}"),
            format!("{state:?}").to_lowercase(),
            events.to_string(),
            size(partition.row_bytes),
            format!("{} in {}", size(partition.index_bytes), partition.indexes.len()),
            if partition.vacuumed { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

/// Bytes for people, in mebibytes with one digit.
fn size(bytes: u64) -> String {
    let tenths = bytes * 10 / (1024 * 1024);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

async fn archive(client: &mut Client, name: &str, to: &Path, output: &Output) -> anyhow::Result<()> {
    let bar = progress_bar(output);
    let archived = archive::archive(client, name, to, |done, of| follow(&bar, done, of)).await;
    bar.finish_and_clear();
    let (folder, manifest) = archived?;
    let Manifest { first_position, last_position, kept, .. } = &manifest;
    let text = format!(
        "Positions {first_position} to {last_position} are in {folder}, read back from there and checked.\n\
         The last events of {kept} streams stay in {name}. To bring all back: guildhall store attach {folder}",
        folder = folder.display()
    );
    output.report(&text, &json!({ "folder": folder, "manifest": manifest }))
}

async fn attach(client: &mut Client, folder: &Path, output: &Output) -> anyhow::Result<()> {
    let bar = progress_bar(output);
    let attached = archive::attach(client, folder, |done, of| follow(&bar, done, of)).await;
    bar.finish_and_clear();
    let manifest = attached?;
    let Manifest { partition, first_position, last_position, .. } = &manifest;
    let text = format!("Positions {first_position} to {last_position} are back in {partition}, each checked.");
    output.report(&text, &json!({ "manifest": manifest }))
}
