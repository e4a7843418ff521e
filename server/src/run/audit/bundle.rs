//! `guildhall audit bundle`: records with what proves them, for somebody who checks them elsewhere.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use guildhall_aggregates::tenant_of_slug;
use guildhall_event_store::{Clock, EventStore};
use guildhall_integrity::{BundleRequest, Bundled, write_bundle};
use serde_json::json;

use super::note;
use crate::{cli::AuditBundle, config::Config, node::open_store, run::Output};

/// Writes a bundle under the latest checkpoint. A file with the name that was asked for is a whole bundle.
pub(super) async fn run(config: &Config, arguments: &AuditBundle, output: &Output) -> anyhow::Result<ExitCode> {
    let consistent_with = arguments.consistent_with.as_deref().map(note).transpose()?;
    let request = BundleRequest {
        tenant: tenant_of_slug(&arguments.association),
        slug: arguments.association.clone(),
        from: arguments.from,
        to: arguments.to,
        consistent_with,
    };
    let store = open_store(config, Clock::system()).await?;
    let written = write(&store, &request, &arguments.output).await;
    store.shutdown().await;
    let Bundled { first_index, count, tree_size } = written?;
    let text = format!(
        "{}: {count} of the {tree_size} records under the latest checkpoint, from record {} on.",
        arguments.output.display(),
        first_index + 1
    );
    output.report(&text, &json!({ "first_index": first_index, "count": count, "tree_size": tree_size }))?;
    Ok(ExitCode::SUCCESS)
}

async fn write(store: &EventStore, request: &BundleRequest, file: &Path) -> anyhow::Result<Bundled> {
    let failed = || format!("{} cannot be written", file.display());
    let mut aside = file.as_os_str().to_owned();
    aside.push(".partial");
    let aside = Path::new(&aside);
    let mut out = BufWriter::new(File::create(aside).with_context(failed)?);
    let written = write_bundle(store, request, &mut out).await;
    if written.is_ok() {
        out.get_ref().sync_all().with_context(failed)?;
        fs::rename(aside, file).with_context(failed)?;
    } else {
        fs::remove_file(aside).with_context(failed)?;
    }
    Ok(written?)
}
