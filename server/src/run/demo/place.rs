//! Where a demo lives: its folder, its Postgres and Kafka, its configuration.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use guildhall_event_store::KeyEncryptionKey;
use guildhall_sandbox::{
    kafka::{Kafka, KafkaOptions},
    postgres::{Postgres, PostgresOptions},
};

use crate::{
    cli::Demo,
    config::{Config, LogFormat, Transport},
};

/// The servers a demo has started, and the configuration it runs with. Dropping it stops the servers.
pub(super) struct Place {
    pub(super) config: Config,
    pub(super) config_file: PathBuf,
    /// What a person should know about where things are.
    pub(super) notices: Vec<String>,
    postgres: Option<Postgres>,
    kafka: Option<Kafka>,
}

impl Place {
    /// Starts what is not given and writes the configuration, so that every other subcommand can be used with it.
    pub(super) fn prepare(arguments: &Demo) -> anyhow::Result<Self> {
        let data = &arguments.data;
        fs::create_dir_all(data).with_context(|| format!("{} cannot be made", data.display()))?;
        let config_file = data.join("guildhall.toml");
        let mut config = remembered(&config_file)?;
        config.http.listen.set_port(arguments.port);
        config.log.format = LogFormat::Text;
        config.log.filter = "warn".into();
        let mut place = Self { config, config_file, notices: vec![], postgres: None, kafka: None };
        place.start_postgres(data)?;
        place.start_kafka(arguments, data)?;
        place.config.check()?;
        write_private(&place.config_file, &toml::to_string(&place.config)?)?;
        Ok(place)
    }

    fn start_postgres(&mut self, data: &Path) -> anyhow::Result<()> {
        if let Some(url) = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()) {
            self.config.database.url = url;
            self.notices.push("Postgres: the one DATABASE_URL names.".to_owned());
            return Ok(());
        }
        let options = PostgresOptions { data_dir: data.join("postgres"), durable: true, settings: vec![], port: None };
        let postgres = Postgres::start(options)?;
        self.config.database.url = postgres.url();
        self.notices.push(format!("Postgres: a private one, data in {}.", postgres.data_dir().display()));
        self.notices.extend(postgres.notice().map(str::to_owned));
        self.postgres = Some(postgres);
        Ok(())
    }

    fn start_kafka(&mut self, arguments: &Demo, data: &Path) -> anyhow::Result<()> {
        if !arguments.kafka {
            self.config.transport = Transport::Store;
            self.notices
                .push("Events are carried by the embedded transport; `make demo KAFKA=1` uses Kafka.".to_owned());
            return Ok(());
        }
        self.config.transport = Transport::Kafka;
        if let Some(brokers) = std::env::var("KAFKA_BROKERS").ok().filter(|brokers| !brokers.is_empty()) {
            self.notices.push(format!("Kafka: the brokers KAFKA_BROKERS names, {brokers}."));
            self.config.kafka.brokers = brokers;
            return Ok(());
        }
        let kafka = Kafka::start(KafkaOptions { data_dir: data.join("kafka"), settings: vec![] })?;
        self.notices.push(format!(
            "Kafka: a private one at {}, data in {}.",
            kafka.brokers(),
            kafka.data_dir().display()
        ));
        self.config.kafka.brokers = kafka.brokers();
        self.kafka = Some(kafka);
        Ok(())
    }

    /// Stops the servers that were started here.
    pub(super) fn leave(mut self) -> anyhow::Result<()> {
        if let Some(kafka) = &mut self.kafka {
            kafka.stop()?;
        }
        if let Some(postgres) = &mut self.postgres {
            postgres.stop()?;
        }
        Ok(())
    }
}

/// The configuration of the last time, or a new one with fresh secrets.
fn remembered(file: &Path) -> anyhow::Result<Config> {
    match fs::read_to_string(file) {
        Ok(text) => toml::from_str(&text).with_context(|| format!("{} is not a configuration", file.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut fresh = Config::default();
            fresh.auth.token_secret = KeyEncryptionKey::generate().encoded();
            fresh.vault.key_encryption_key = KeyEncryptionKey::generate().encoded();
            fresh.integrity.signing_key = KeyEncryptionKey::generate().encoded();
            Ok(fresh)
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", file.display())),
    }
}

/// Writes a file that only its owner can read: it holds secrets.
fn write_private(file: &Path, text: &str) -> anyhow::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut options = fs::OpenOptions::new();
    let mut open = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    Ok(open.write_all(text.as_bytes())?)
}
