//! The rules of the house, checked: which room may know which, how large a file may be, who names a table.
//!
//! Limits only ever go down; a new arrow between rooms is a decision record.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Which rooms a room may know. `sandbox` is for tests everywhere and for the demo in `server`.
const ARROWS: &[(&str, &[&str])] = &[
    ("aggregates", &[]),
    ("commands", &["aggregates", "event-store", "web"]),
    ("erp-sync", &["projections"]),
    ("event-store", &["aggregates"]),
    ("eventstoredb", &["aggregates", "event-store", "web"]),
    ("imports", &["aggregates"]),
    ("integrity", &["aggregates", "event-store"]),
    ("kafka", &["aggregates", "event-store"]),
    ("migrations", &[]),
    ("processes", &["aggregates", "commands", "event-store"]),
    ("projections", &["aggregates", "event-store"]),
    ("read-api", &["aggregates", "erp-sync", "event-store", "projections", "web"]),
    ("sandbox", &["migrations"]),
    (
        "server",
        &[
            "aggregates",
            "commands",
            "erp-sync",
            "event-store",
            "eventstoredb",
            "imports",
            "integrity",
            "kafka",
            "migrations",
            "processes",
            "projections",
            "read-api",
            "sandbox",
            "web",
            "webhooks",
        ],
    ),
    ("web", &["aggregates"]),
    ("webhooks", &["aggregates", "event-store", "web"]),
];

/// The most lines a source file may have.
const FILE_LINES: usize = 400;

/// Words that have no place in a room: what it must know nothing about.
const ABSENCES: &[(&str, &[&str])] = &[
    ("aggregates", &["tokio::", "tokio_postgres", "axum::", "rdkafka", "Utc::now", "rand::", "SystemTime"]),
    ("event-store", &["axum::", "rdkafka"]),
    ("commands", &["rdkafka", "guildhall_projections"]),
    ("processes", &["axum::", "rdkafka"]),
    ("kafka", &["axum::", "guildhall_projections"]),
    ("projections", &["axum::", "rdkafka", ".append("]),
    ("read-api", &["rdkafka", ".append("]),
    ("erp-sync", &["axum::", "rdkafka"]),
    ("eventstoredb", &["axum::", "rdkafka", "tokio_postgres", ".append("]),
    ("imports", &["axum::", "rdkafka", "tokio_postgres"]),
    ("integrity", &["axum::", "rdkafka", ".append("]),
    ("web", &["tokio_postgres", "rdkafka", "guildhall_event_store"]),
    ("webhooks", &["rdkafka", "guildhall_projections", ".append("]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the server is a folder of the workspace").to_owned()
}

fn sources_under(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a directory entry can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources_under(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources_of(room: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    sources_under(&root().join(room).join("src"), &mut found);
    assert!(!found.is_empty(), "{room} has sources");
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(&path).expect("a source file is text"))).collect()
}

/// The code of a file without its test module and comments: the rules are about what runs.
fn code_of(text: &str) -> String {
    let running = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    running.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_arrow_between_rooms_is_allowed() {
    let mut offences = Vec::new();
    for (room, allowed) in ARROWS {
        let manifest = fs::read_to_string(root().join(room).join("Cargo.toml")).expect("every room has a manifest");
        let manifest: toml::Table = manifest.parse().expect("a manifest is TOML");
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table).cloned().unwrap_or_default();
        for dependency in dependencies.keys().filter_map(|name| name.strip_prefix("guildhall-")) {
            if !allowed.contains(&dependency) {
                offences.push(format!("{room} -> {dependency}"));
            }
        }
    }
    assert!(offences.is_empty(), "arrows without a decision: {offences:?}");
}

#[test]
fn every_room_is_in_the_list_of_arrows() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace has a manifest");
    let manifest: toml::Table = manifest.parse().expect("a manifest is TOML");
    let members: BTreeSet<&str> = manifest["workspace"]["members"]
        .as_array()
        .expect("members are a list")
        .iter()
        .filter_map(toml::Value::as_str)
        .collect();
    assert_eq!(members, ARROWS.iter().map(|(room, _)| *room).collect());
}

#[test]
fn every_source_file_fits_the_limit() {
    let mut offences = Vec::new();
    for (room, _) in ARROWS {
        let mut files = Vec::new();
        sources_under(&root().join(room).join("src"), &mut files);
        for path in files {
            let lines = fs::read_to_string(&path).expect("a source file is text").lines().count();
            if lines > FILE_LINES {
                offences.push(format!("{} has {lines} lines", path.strip_prefix(root()).unwrap_or(&path).display()));
            }
        }
    }
    assert!(offences.is_empty(), "files over {FILE_LINES} lines: {offences:#?}");
}

#[test]
fn a_room_knows_nothing_of_what_it_must_not() {
    let mut offences = Vec::new();
    for (room, words) in ABSENCES {
        for (path, text) in sources_of(room) {
            let code = code_of(&text);
            offences.extend(
                words
                    .iter()
                    .filter(|word| code.contains(**word))
                    .map(|word| format!("{} says `{word}`", path.strip_prefix(root()).unwrap_or(&path).display())),
            );
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
}

/// The tables that a set of migrations creates in a schema.
fn tables_created_in(folder: &str, schema: &str) -> BTreeSet<String> {
    let mut tables = BTreeSet::new();
    for entry in fs::read_dir(root().join("migrations").join(folder)).expect("migrations are there") {
        let text = fs::read_to_string(entry.expect("a directory entry can be read").path()).expect("SQL is text");
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["CREATE", "TABLE", name, ..] = words.as_slice()
                && let Some(table) = name.strip_prefix(&format!("{schema}."))
            {
                tables.insert(table.trim_end_matches('(').to_owned());
            }
        }
    }
    assert!(!tables.is_empty(), "{folder} creates tables");
    tables
}

#[test]
fn a_read_table_is_named_by_one_slice_only() {
    let tables = tables_created_in("read", "read");
    let mut named_by: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (room, _) in ARROWS {
        for (path, text) in sources_of(room) {
            let code = code_of(&text);
            let inside = path.strip_prefix(root().join(room).join("src")).expect("sources are under src");
            let slice = inside.components().next().expect("a file has a name").as_os_str().to_string_lossy();
            for table in &tables {
                let said = code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|word| word == table);
                if said && table.contains('_') {
                    named_by.entry(table).or_default().insert(format!("{room}/{}", slice.trim_end_matches(".rs")));
                }
            }
        }
    }
    let shared: Vec<_> = named_by.iter().filter(|(_, slices)| slices.len() > 1).collect();
    assert!(shared.is_empty(), "a read table belongs to one slice: {shared:#?}");
}
