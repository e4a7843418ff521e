//! One module for each subcommand.

mod analyst;
mod audit;
mod config;
mod demo;
mod descriptions;
mod import;
mod output;
mod projections;
mod rebuild;
mod relay;
mod serve;
mod status;
mod store;
mod token;

use std::process::ExitCode;

use anyhow::Context as _;

pub(crate) use self::output::Output;
use crate::{
    cli::{Cli, Command, ConfigAction, ImportSystem},
    config::Config,
    node::Roles,
    telemetry,
};

/// Runs what was typed. A check that finds something wrong ends with a code other than zero.
///
/// # Errors
/// The subcommand cannot be run; the text says why and what to do.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let output = Output::new(cli.json);
    let load = || -> anyhow::Result<Config> {
        let environment: Vec<_> = std::env::vars().collect();
        let config = Config::load(cli.config.as_deref(), &environment)?;
        telemetry::start_logs(&config.log);
        Ok(config)
    };
    match cli.command {
        Command::Serve => serve::run(&load()?, Roles::SERVE, &output).await,
        Command::Relay(arguments) => relay::run(&load()?, &arguments, &output).await,
        Command::Project => serve::run(&load()?, Roles::PROJECT, &output).await,
        Command::Process => serve::run(&load()?, Roles::PROCESS, &output).await,
        Command::All => serve::run(&load()?, Roles::ALL, &output).await,
        Command::Status(arguments) => status::run(&load()?, &arguments, &output).await,
        Command::Migrate => migrate(&load()?, &output).await,
        Command::Demo(arguments) => demo::run(arguments, &output).await,
        Command::Import { system: ImportSystem::Civicrm(arguments) } => {
            import::civicrm(&load()?, &arguments, &output).await
        }
        Command::Import { system: ImportSystem::PostgresEs(arguments) } => {
            import::postgres_es(&load()?, &arguments, &output).await
        }
        Command::Audit { check } => audit::run(&load()?, check, &output).await,
        Command::Rebuild(arguments) => rebuild::run(&load()?, &arguments, &output).await,
        Command::Projections { action } => projections::run(&load()?, &action, &output).await,
        Command::Store { action } => store::run(&load()?, &action, &output).await,
        Command::Analyst { change } => analyst::run(&load()?, change, &output).await,
        Command::Token(arguments) => token::run(&load()?, &arguments, &output),
        Command::Config { action: ConfigAction::Check } => config::check(&load()?, &output),
        Command::Config { action: ConfigAction::New } => config::print_new(),
        Command::Openapi => descriptions::print_openapi(),
        Command::Asyncapi => descriptions::print_asyncapi(),
        Command::Schemas { folder } => descriptions::write_schemas(&folder, &output),
    }
}

async fn migrate(config: &Config, output: &Output) -> anyhow::Result<ExitCode> {
    let report = migrate_database(&config.database.url).await?;
    let text = match report.applied.as_slice() {
        [] => "The schema was up to date.".to_owned(),
        applied => format!("Applied:\n  {}", applied.join("\n  ")),
    };
    output.report(&text, &serde_json::json!({ "applied": report.applied }))?;
    Ok(ExitCode::SUCCESS)
}

/// Brings a database's schema up to date.
pub(crate) async fn migrate_database(url: &str) -> anyhow::Result<guildhall_migrations::Report> {
    let (mut client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.context("the database cannot be reached")?;
    let mut driver = tokio::task::JoinSet::new();
    driver.spawn(connection);
    guildhall_migrations::migrate(&mut client).await.context("the schema cannot be brought up to date")
}
