//! The commands of the guides, run as a reader would type them.

use std::{path::Path, process::Command};

use guildhall_sandbox::testing::TestDatabase;

use crate::server::{Server, binary};

/// The `sh` blocks of a page, in order.
fn commands_of(page: &str) -> String {
    let mut commands = String::new();
    for block in page.split("```sh\n").skip(1) {
        commands.push_str(block.split("```").next().unwrap_or_default());
    }
    assert!(!commands.is_empty(), "a guide has commands");
    commands
}

async fn first_hour(page: &str) {
    let database = TestDatabase::create().await;
    let mut server = Server::configured(database.url(), None);
    server.start("all");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides").join(page);
    let text = std::fs::read_to_string(path).expect("the guide is there");
    let commands = commands_of(&text).replace("http://127.0.0.1:8080", server.url());
    let folder = binary().parent().expect("the binary is in a folder");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let here = tempfile::TempDir::new().expect("a folder to work in");
    let output = tokio::process::Command::from({
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", &commands]).current_dir(here.path()).env("PATH", path);
        shell.env("GUILDHALL_CONFIG", server.config_file()).env("DATABASE_URL", database.url());
        shell
    })
    .output()
    .await
    .expect("bash runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{page}:\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn the_first_hour_of_an_api_client_works() {
    first_hour("api-clients.md").await;
}

#[tokio::test]
async fn the_first_look_of_a_consumer_works() {
    first_hour("consumers.md").await;
}

#[tokio::test]
async fn the_first_hour_of_an_analyst_works() {
    first_hour("analysts.md").await;
}

#[tokio::test]
async fn the_first_hour_of_an_auditor_works() {
    first_hour("auditors.md").await;
}
