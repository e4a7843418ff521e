//! What is generated from the code is what is committed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use guildhall_aggregates::schema;
use serde_json::Value;

use crate::server::binary;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the server is a folder of the workspace")
}

/// Compares a committed document with what a subcommand prints.
fn assert_committed(file: &str, subcommand: &str) {
    let printed = Command::new(binary()).arg(subcommand).output().expect("the binary runs");
    let printed: Value = serde_json::from_slice(&printed.stdout).expect("the description is JSON");
    let committed = std::fs::read(repository().join(file)).expect("it is committed");
    let committed: Value = serde_json::from_slice(&committed).expect("it is JSON");
    assert!(printed == committed, "{file} is not what the code says: run `make docs`");
}

#[test]
fn the_committed_openapi_document_is_what_the_code_says() {
    assert_committed("docs/openapi.json", "openapi");
}

#[test]
fn the_committed_asyncapi_document_is_what_the_code_says() {
    assert_committed("docs/asyncapi.json", "asyncapi");
}

/// The committed schemas, by their place below their folder.
fn committed_schemas() -> BTreeMap<String, Value> {
    let folder = repository().join("docs/schemas");
    let files = |folder: &Path| -> Vec<_> {
        let entries = std::fs::read_dir(folder).expect("schemas are committed");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    let schema = |path: PathBuf| {
        let place = path.strip_prefix(&folder).expect("it is below the folder").display().to_string();
        (place, serde_json::from_slice(&std::fs::read(&path).expect("it can be read")).expect("it is JSON"))
    };
    files(&folder).iter().flat_map(|category| files(category)).map(schema).collect()
}

#[test]
fn nobody_trips_over_what_became_of_a_committed_schema() {
    let committed = committed_schemas();
    let today: BTreeMap<_, _> = schema::all().iter().map(|schema| (schema.file(), schema.json.clone())).collect();
    if let Some(refusal) = schema::refusal(&committed, &today) {
        panic!("{refusal}");
    }
    let differ: Vec<_> = today.iter().filter(|(file, schema)| committed.get(*file) != Some(schema)).collect();
    assert!(differ.is_empty(), "docs/schemas is not what the code says: run `make docs`. It will change: {differ:#?}");
}

#[test]
fn schemas_that_somebody_would_trip_over_are_not_written() {
    let folder = tempfile::TempDir::new().expect("a folder to work in");
    let write = || Command::new(binary()).arg("schemas").arg(folder.path()).output().expect("the binary runs");
    assert!(write().status.success(), "an empty folder takes all");
    let file = folder.path().join("member/NoteAdded.v1.json");
    let written = std::fs::read_to_string(&file).expect("it is one of them");
    let renamed = written.replace("\"text\"", "\"note\"");
    assert_ne!(renamed, written);
    std::fs::write(&file, &renamed).expect("the folder is ours");
    let refused = write();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(said.contains("member/NoteAdded.v1.json at /note: is gone") && said.contains("RAISED"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).expect("it is still there"), renamed, "nothing was written");
}

#[test]
fn every_local_link_in_the_documents_leads_somewhere() {
    let mut broken = Vec::new();
    let mut pages = vec![repository().join("README.md"), repository().join("CONTRIBUTING.md")];
    for folder in ["docs", "docs/guides", "docs/decisions", "docs/runbooks"] {
        let entries = std::fs::read_dir(repository().join(folder)).expect("the folder is there");
        pages.extend(
            entries
                .map(|entry| entry.expect("an entry").path())
                .filter(|path| path.extension().is_some_and(|e| e == "md")),
        );
    }
    for page in &pages {
        let text = std::fs::read_to_string(page).expect("a page is text");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            if !page.parent().expect("a page is in a folder").join(file).exists() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_subcommand_says_what_it_is_for() {
    let subcommands = [
        "serve",
        "relay",
        "project",
        "process",
        "all",
        "migrate",
        "demo",
        "import",
        "audit",
        "rebuild",
        "config",
        "token",
        "status",
        "projections",
        "schemas",
    ];
    for subcommand in subcommands {
        let help = Command::new(binary()).args([subcommand, "--help"]).output().expect("the binary runs");
        assert!(help.status.success(), "{subcommand}");
        assert!(help.stdout.len() > 100, "{subcommand} explains itself");
    }
}
