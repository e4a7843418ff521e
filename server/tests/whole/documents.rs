//! What is generated from the code is what is committed.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::server::binary;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the server is a folder of the workspace")
}

#[test]
fn the_committed_openapi_document_is_what_the_code_says() {
    let printed = Command::new(binary()).arg("openapi").output().expect("the binary runs");
    let printed: Value = serde_json::from_slice(&printed.stdout).expect("the description is JSON");
    let committed = std::fs::read(repository().join("docs/openapi.json")).expect("docs/openapi.json is committed");
    let committed: Value = serde_json::from_slice(&committed).expect("docs/openapi.json is JSON");
    assert!(printed == committed, "docs/openapi.json is not what the code says: run `make docs`");
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
    ];
    for subcommand in subcommands {
        let help = Command::new(binary()).args([subcommand, "--help"]).output().expect("the binary runs");
        assert!(help.status.success(), "{subcommand}");
        assert!(help.stdout.len() > 100, "{subcommand} explains itself");
    }
}
