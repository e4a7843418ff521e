//! `guildhall analyst`: read-only logins to one association's data.

use std::process::ExitCode;

use anyhow::Context as _;
use guildhall_aggregates::tenant_of_slug;
use guildhall_event_store::KeyEncryptionKey;
use guildhall_projections::analyst;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use super::Output;
use crate::{cli::AnalystChange, config::Config};

pub(crate) async fn run(config: &Config, change: AnalystChange, output: &Output) -> anyhow::Result<ExitCode> {
    let (client, _driver) = connect(&config.database.url).await?;
    match change {
        AnalystChange::Add { login, association } => add(&client, &login, &association, output).await,
        AnalystChange::Remove { login } => remove(&client, &login, output).await,
        AnalystChange::List => list(&client, output).await,
    }
}

async fn connect(url: &str) -> anyhow::Result<(Client, JoinSet<Result<(), tokio_postgres::Error>>)> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("the database cannot be reached")?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    Ok((client, driver))
}

async fn add(client: &Client, login: &str, association: &str, output: &Output) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        guildhall_web::identity::is_slug(association),
        "--association: a short name is 1 to 64 lower-case letters, digits and hyphens"
    );
    // 32 random bytes, the same as a fresh key; letters and digits alone, so that it can stand in a URL.
    let password: String = KeyEncryptionKey::generate().encoded().chars().filter(char::is_ascii_alphanumeric).collect();
    analyst::add(client, tenant_of_slug(association), login, &password).await?;
    let text = format!(
        "The login {login} sees {association} in schema `reporting`. Its password, shown this once:\n{password}"
    );
    output.report(&text, &json!({ "login": login, "association": association, "password": password }))?;
    Ok(ExitCode::SUCCESS)
}

async fn remove(client: &Client, login: &str, output: &Output) -> anyhow::Result<ExitCode> {
    let removed = analyst::remove(client, login).await?;
    let text = if removed { format!("{login} can no longer log in.") } else { format!("There is no analyst {login}.") };
    output.report(&text, &json!({ "login": login, "removed": removed }))?;
    Ok(if removed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn list(client: &Client, output: &Output) -> anyhow::Result<ExitCode> {
    let analysts = analyst::list(client).await?;
    let lines: Vec<_> = analysts.iter().map(|analyst| format!("{}  {}", analyst.login, analyst.tenant)).collect();
    let text = if lines.is_empty() { "There are no analysts.".to_owned() } else { lines.join("\n") };
    let value: Vec<_> =
        analysts.iter().map(|analyst| json!({ "login": analyst.login, "association": analyst.tenant })).collect();
    output.report(&text, &value)?;
    Ok(ExitCode::SUCCESS)
}
