//! `guildhall openapi`, `asyncapi` and `schemas`: the descriptions that are made from the code.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use guildhall_aggregates::schema;
use serde_json::Value;

use super::Output;

pub(crate) fn print_openapi() -> anyhow::Result<ExitCode> {
    let document = crate::http::document();
    Output::new(false).report(&document.to_pretty_json()?, &())?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn print_asyncapi() -> anyhow::Result<ExitCode> {
    Output::new(false).report(&format!("{:#}", guildhall_kafka::asyncapi::document()), &())?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the schemas, unless somebody would trip over one that replaces another. Then nothing is written.
pub(crate) fn write_schemas(folder: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    let before = read_schemas(folder)?;
    let today = schema::all().iter().map(|schema| (schema.file(), schema.json.clone())).collect();
    if let Some(refusal) = schema::refusal(&before, &today) {
        anyhow::bail!("{refusal}");
    }
    for schema in schema::all() {
        let file = folder.join(schema.file());
        let parent = file.parent().context("a schema is in the folder of its category")?;
        fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        fs::write(&file, schema.text()).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    let count = schema::all().len();
    let text = format!("{} has {count} schemas, {} of them new.", folder.display(), count - before.len());
    output.report(&text, &serde_json::json!({ "schemas": count, "new": count - before.len() }))?;
    Ok(ExitCode::SUCCESS)
}

/// The schemas that a folder has, by their place below it; none when there is no such folder.
fn read_schemas(folder: &Path) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    for category in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        for path in entries(&category)? {
            let text = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            let schema = serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))?;
            let place = path.strip_prefix(folder).context("an entry is below its folder")?;
            found.insert(place.display().to_string(), schema);
        }
    }
    Ok(found)
}

fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(vec![]);
    }
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}
