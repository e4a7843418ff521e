//! `guildhall demo`: everything in one process on a private Postgres, a story through the public API, and a running
//! system to explore.

mod api;
mod place;
mod show;
mod story;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use chrono::NaiveDate;
use guildhall_event_store::{Clock, VerifyOptions};
use guildhall_imports::civicrm;

use self::{api::Api, place::Place};
use super::{Output, audit, import, migrate_database, serve::stop_signal};
use crate::{
    cli::{Demo, ImportCivicrm},
    node::{Node, Roles},
    telemetry,
};

/// Runs the demo until Ctrl-C, or to the end of the story with `--once`.
pub(crate) async fn run(arguments: Demo, output: &Output) -> anyhow::Result<ExitCode> {
    output.tell("Guildhall's demo. Starting what it needs …")?;
    let preparing = arguments.data.clone();
    let once = arguments.once;
    let place = tokio::task::spawn_blocking({
        let arguments = Demo { data: preparing, ..arguments };
        move || Place::prepare(&arguments).map(|place| (place, arguments))
    });
    let (place, arguments) = place.await.context("the demo's servers could not be started")??;
    for notice in &place.notices {
        output.tell(&format!("  {notice}"))?;
    }
    telemetry::start_logs(&place.config.log);
    migrate_database(&place.config.database.url).await?;
    let node = Node::start(&place.config, Roles::ALL, Clock::system(), Some(telemetry::start_metrics()?)).await?;
    let told = tokio::select! {
        told = perform(&node, &place, &arguments, output) => told.map(|()| true),
        () = stop_signal() => Ok(false),
    };
    let ended = match told {
        Ok(true) if !once => node.run_until(stop_signal()).await,
        Ok(_) => {
            node.stop().await;
            Ok(())
        }
        Err(error) => {
            node.stop().await;
            Err(error)
        }
    };
    output.tell("\nStopping …")?;
    tokio::task::spawn_blocking(move || place.leave()).await.context("the demo's servers could not be stopped")??;
    ended?;
    output.tell("Stopped. Started again, the demo goes on from its data; `make clean-data` forgets it.")?;
    Ok(ExitCode::SUCCESS)
}

async fn perform(node: &Node, place: &Place, arguments: &Demo, output: &Output) -> anyhow::Result<()> {
    let address = node.address().context("the demo serves HTTP")?;
    let mut api = Api::new(address, &place.config.auth.token_secret, story::ASSOCIATION)?;
    let began = first_day(&arguments.data, Clock::system().today(chrono_tz::UTC))?;
    output.tell(&format!("\nThe story (it began on {began})"))?;
    story::tell(&mut api, began, &mut |line| output.tell(&format!("  · {line}"))).await?;
    if let Some(folder) = &arguments.civicrm {
        import_associations(node, folder, output).await?;
    }
    output.tell(&show::everything(&api).await?)?;
    let verified = node.store().verify(VerifyOptions::default(), |_| ()).await?;
    output.tell(&format!("The audit trail\n  {}", audit::described(&verified)))?;
    let config = place.config_file.display();
    let eventstoredb = node.eventstoredb();
    let auditors =
        eventstoredb.map(|at| format!("{at:<31} history, for EventStoreDB's clients\n  ")).unwrap_or_default();
    let explore = format!(
        "\nExplore\n  \
           http://{address}/docs            the API, described and to be tried\n  \
           http://{address}/openapi.json    the same for programs (OpenAPI 3.1)\n  \
           http://{address}/asyncapi.json   the topics on Kafka for programs (AsyncAPI 3.0)\n  \
           http://{address}/metrics         what it measures\n  \
           {auditors}export GUILDHALL_CONFIG={config}  and then: guildhall audit verify, guildhall rebuild all, …\n  \
           a token for lakeside, good for a day:\n{}\n",
        api.token
    );
    let value = serde_json::json!({
        "listening": address.to_string(),
        "eventstoredb": eventstoredb,
        "token": api.token,
        "config": place.config_file,
    });
    if output.is_for_people() {
        output.tell(&explore)?;
        if !arguments.once {
            output.tell("It stays up. Ctrl-C stops all of it.")?;
        }
        return Ok(());
    }
    output.report("", &value)
}

/// The day the story began. Remembered, so that the same commands are sent again after a restart.
fn first_day(data: &Path, today: NaiveDate) -> anyhow::Result<NaiveDate> {
    let file = data.join("story-began");
    if let Ok(text) = fs::read_to_string(&file) {
        return text.trim().parse().with_context(|| format!("{} is not a date", file.display()));
    }
    fs::write(&file, today.to_string()).with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(today)
}

/// Imports every folder of tables in a folder, each as an association of its own.
async fn import_associations(node: &Node, folder: &Path, output: &Output) -> anyhow::Result<()> {
    for dir in folders_with_tables(folder)? {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let arguments = ImportCivicrm {
            association: name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-"),
            as_of: Clock::system().today(chrono_tz::UTC),
            time_zone: chrono_tz::UTC,
            currency: "USD".to_owned(),
            report: None,
            dir,
        };
        output.tell(&format!("\nImporting {name}"))?;
        let read = civicrm::read(&arguments.dir, &import::options(&arguments)?)?;
        let done = import::send(node.store(), &arguments, read, output).await?;
        output.tell(&import::described(&done))?;
    }
    Ok(())
}

fn folders_with_tables(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if folder.join("contact.csv").is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let entries = fs::read_dir(folder).with_context(|| format!("--civicrm: {} cannot be read", folder.display()))?;
    let mut found: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.retain(|path| path.join("contact.csv").is_file());
    found.sort();
    anyhow::ensure!(!found.is_empty(), "--civicrm: no folder in {} has a contact.csv", folder.display());
    Ok(found)
}
