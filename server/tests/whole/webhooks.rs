//! Webhooks, checked by a library that is none of ours.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use guildhall_sandbox::testing::TestDatabase;
use serde_json::json;
use tempfile::TempDir;

use crate::server::Server;

#[tokio::test]
async fn a_library_of_others_verifies_what_is_sent_and_refuses_what_was_tampered_with() {
    let database = TestDatabase::create().await;
    let mut server = Server::with(database.url(), None, |config| config.webhooks.allow_insecure = true);
    let certificates = TempDir::new().expect("a folder for certificates");
    let trusted = certify(certificates.path(), "trusted");
    certify(certificates.path(), "unknown");
    server.trust(&trusted);
    server.start("all");
    let client = server.client("harbor");
    client.found("harbor").await;
    for name in ["Ada", "Grace", "Mary"] {
        client.accepted("RegisterMember", json!({ "kind": "person", "name": { "display": name } })).await;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let python = root.join(".guildhall/venv/bin/python3");
    let output = tokio::process::Command::from({
        let mut python = Command::new(python);
        python.args(["-B", "tools/webhooks/check.py"]).current_dir(&root);
        python.env("URL", server.url()).env("TOKEN", server.token("harbor")).env("CERTIFICATES", certificates.path());
        python
    })
    .output()
    .await
    .expect("the project's Python is there: run `scripts/ensure-tools --webhooks`");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("4 messages over TLS verified"), "{said}");
}

/// Makes a certificate of this machine; it and its key are in one file, as a server wants them.
fn certify(folder: &Path, name: &str) -> PathBuf {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("an address can be certified");
    let file = folder.join(format!("{name}.pem"));
    fs::write(&file, made.cert.pem() + &made.signing_key.serialize_pem()).expect("the certificate is written");
    file
}
