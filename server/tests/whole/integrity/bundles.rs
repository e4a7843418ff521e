//! What an auditor takes away from the real program is believed by the verifier, and only while nothing was changed.

use std::{fs, path::Path, process::Output};

use guildhall_sandbox::testing::TestDatabase;
use serde_json::json;
use tempfile::TempDir;

use super::verifier::{python, verify};
use crate::server::{Client, Server};

const ASSOCIATION: &str = "old-mint";

#[test]
fn the_verifier_passes_its_own_tests() {
    let output = python().args(["-m", "unittest"]).output().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn register(client: &Client, members: std::ops::Range<u128>) {
    for member in members {
        let member_id = uuid::Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0000 + member);
        let name = format!("Vera Łuński {member}");
        client
            .accepted(
                "RegisterMember",
                json!({ "member_id": member_id, "kind": "person", "name": { "display": name } }),
            )
            .await;
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path is text")
}

fn expect(output: &Output, code: i32, words: &str) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(words), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_checks_bundles_and_proofs_with_nothing_but_a_key() {
    let database = TestDatabase::create().await;
    let mut server = Server::configured(database.url(), None);
    server.start("serve");
    let client = server.client(ASSOCIATION);
    client.found(ASSOCIATION).await;
    register(&client, 0..5).await;
    let home = TempDir::new().expect("the auditor's folder");
    let file = |name: &str| home.path().join(name);
    let (bundle, proof, kept) = (file("bundle"), file("proof"), file("kept"));
    let keys = server.report(&["audit", "keys"]);
    let key = keys["keys"][0]["key"].as_str().expect("a key");

    let signed = server.report(&["audit", "checkpoint"]);
    fs::write(&kept, signed["checkpoints"][0].as_str().expect("a checkpoint")).expect("it is kept");
    register(&client, 5..9).await;
    server.report(&["audit", "checkpoint"]);
    let write = |more: &[&str]| {
        let arguments = ["audit", "bundle", "--association", ASSOCIATION, "--output", text(&bundle)];
        server.report(&[&arguments, more].concat());
        verify(&["bundle", text(&bundle), "--key", key, "--checkpoint", text(&kept)])
    };
    expect(&write(&[]), 0, "10 of 10 records of old-mint");
    expect(&write(&["--from", "2001-01-01", "--to", "2999-01-01"]), 0, "those from 2001-01-01");
    expect(&write(&["--from", "2998-01-01"]), 2, "--consistent-with");
    expect(&write(&["--from", "2998-01-01", "--consistent-with", text(&kept)]), 0, "1 of 10 records");
    server.report(&["audit", "prove", "3", "--output", text(&proof)]);
    expect(&verify(&["prove", text(&proof), "--key", key]), 0, "is at position 3, unaltered and as signed");

    let superuser = database.connect().await;
    let rewrite = "SET session_replication_role = replica;
                   UPDATE es.event SET payload = overlay(payload placing 'X' from 12 for 1) WHERE position = 3";
    superuser.batch_execute(rewrite).await.expect("a superuser can");
    expect(&write(&[]), 1, "the first wrong record is one of index 0 to 5");
    assert!(!server.output(&["audit", "verify", "--checkpoint", text(&kept)]).status.success());
}
