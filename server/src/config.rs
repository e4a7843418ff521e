//! Configuration: a TOML file, then the environment over it, checked before anything starts.
//!
//! Every setting has a name such as `http.listen`; in the environment it is `GUILDHALL_HTTP__LISTEN`.
//! `DATABASE_URL` and `KAFKA_BROKERS` work as people expect. A wrong value stops the start with the name of
//! the setting and what it should be.

use std::{fmt, net::SocketAddr, path::Path};

use config::{Environment, File, FileFormat};
use guildhall_event_store::KeyEncryptionKey;
use serde::{Deserialize, Serialize};

use crate::{grpc::EventStoreDb, kafka::Kafka, sealing::Integrity, webhooks::Webhooks};

/// What carries events from history to the projectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// The projectors read the event store themselves: one machine, no broker.
    Store,
    /// A relay produces to Kafka and the projectors consume from there.
    Kafka,
}

/// Where history and read models are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// Postgres URL. Also `DATABASE_URL`. Required. With standbys, name all hosts and ask for the one that may be written:
    /// `postgres://guildhall@first,second/guildhall?target_session_attrs=read-write`.
    pub url: String,
    /// Connections in the pool for reads and read models, 2 to 100. The writer has its own.
    pub pool_size: usize,
}

/// How clients are served.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Address and port at which a node without the API answers `/livez`, `/readyz` and `/metrics`. Not set: nowhere.
    pub operations_listen: Option<SocketAddr>,
    /// Where clients reach the API from outside, such as `https://guildhall.example`. Records on Kafka name their schemas
    /// there. Empty: at the address it listens on.
    pub public_url: String,
    /// Largest body of a single command, in bytes.
    pub body_limit_bytes: usize,
    /// Longest time one request may take, in seconds. Bulk requests are exempt.
    pub request_timeout_seconds: u64,
    /// Requests served at the same time; more get 503.
    pub max_in_flight: usize,
}

/// Who may call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Secret that signs access tokens: 32 bytes in base64. Required.
    pub token_secret: String,
}

/// How personal data is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vault {
    /// Key that wraps every person's data key: 32 bytes in base64. Required. Losing it loses all
    /// personal data.
    pub key_encryption_key: String,
}

/// What is logged, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `json` or `text`.
    pub format: LogFormat,
    /// A `tracing` filter, such as `info` or `guildhall=debug,info`.
    pub filter: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Everything that can be set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// See [`Transport`].
    pub transport: Transport,
    /// See [`Database`].
    pub database: Database,
    /// See [`Http`].
    pub http: Http,
    /// See [`Auth`].
    pub auth: Auth,
    /// See [`EventStoreDb`].
    pub eventstoredb: EventStoreDb,
    /// See [`Integrity`].
    pub integrity: Integrity,
    /// See [`Vault`].
    pub vault: Vault,
    /// See [`Kafka`].
    pub kafka: Kafka,
    /// See [`Log`].
    pub log: Log,
    /// See [`Webhooks`].
    pub webhooks: Webhooks,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: String::new(), pool_size: 16 }
    }
}
impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            operations_listen: None,
            public_url: String::new(),
            body_limit_bytes: 256 * 1024,
            request_timeout_seconds: 30,
            max_in_flight: 4096,
        }
    }
}
#[expect(clippy::derivable_impls, reason = "all defaults stand together")]
impl Default for Auth {
    fn default() -> Self {
        Self { token_secret: String::new() }
    }
}
#[expect(clippy::derivable_impls, reason = "all defaults stand together")]
impl Default for Vault {
    fn default() -> Self {
        Self { key_encryption_key: String::new() }
    }
}
impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Json, filter: "info".into() }
    }
}
impl Default for Config {
    fn default() -> Self {
        Self {
            transport: Transport::Store,
            database: Database::default(),
            http: Http::default(),
            auth: Auth::default(),
            eventstoredb: EventStoreDb::default(),
            integrity: Integrity::default(),
            vault: Vault::default(),
            kafka: Kafka::default(),
            log: Log::default(),
            webhooks: Webhooks::default(),
        }
    }
}

impl Http {
    /// Where clients reach the API.
    pub fn reached_at(&self) -> String {
        if !self.public_url.is_empty() {
            return self.public_url.clone();
        }
        // An address that stands for all of a machine's own is none that can be called.
        if self.listen.ip().is_unspecified() {
            return format!("http://localhost:{}", self.listen.port());
        }
        format!("http://{}", self.listen)
    }

    /// Whether the URL is one that a path can be put behind.
    fn public_url_holds(&self) -> bool {
        let is_base = |uri: axum::http::Uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
        };
        let url = &self.public_url;
        url.is_empty() || (!url.contains(['?', '#']) && !url.ends_with('/') && url.parse().is_ok_and(is_base))
    }
}

/// Settings that cannot be used, all of them at once.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration cannot be used:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the file, if one is named, and the environment, and checks everything.
    ///
    /// # Errors
    /// Every setting that is missing, unknown or wrong, by name.
    pub fn load(file: Option<&Path>, environment: &[(String, String)]) -> Result<Self, ConfigError> {
        let mut sources = config::Config::builder();
        if let Some(path) = file {
            sources = sources.add_source(File::from(path).format(FileFormat::Toml));
        }
        // Settings are `GUILDHALL_<SECTION>__<NAME>`; other names under the prefix belong to tools around us.
        let is_setting =
            |name: &str| name == "GUILDHALL_TRANSPORT" || name.starts_with("GUILDHALL_") && name.contains("__");
        let prefixed = environment.iter().filter(|(name, _)| is_setting(name)).cloned().collect();
        let mut loaded: Self = sources
            .add_source(
                Environment::with_prefix("GUILDHALL")
                    .separator("__")
                    .prefix_separator("_")
                    .try_parsing(true)
                    .list_separator(",")
                    .with_list_parse_key("integrity.retired_keys")
                    .source(Some(prefixed)),
            )
            .build()
            .and_then(config::Config::try_deserialize)
            .map_err(|error| ConfigError(vec![error.to_string()]))?;
        let well_known = |name| environment.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.clone());
        if let Some(url) = well_known("DATABASE_URL") {
            loaded.database.url = url;
        }
        if let Some(brokers) = well_known("KAFKA_BROKERS") {
            loaded.kafka.brokers = brokers;
            loaded.transport = Transport::Kafka;
        }
        loaded.check()?;
        Ok(loaded)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// All that is wrong, each with the setting's name and what it should be.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        let mut must = |holds: bool, problem: &str| {
            if !holds {
                problems.push(problem.to_owned());
            }
        };
        must(
            self.database.url.parse::<tokio_postgres::Config>().is_ok() && !self.database.url.is_empty(),
            "database.url (or DATABASE_URL) must be a Postgres URL, such as postgres://guildhall@localhost/guildhall",
        );
        must((2..=100).contains(&self.database.pool_size), "database.pool_size must be between 2 and 100");
        must(
            KeyEncryptionKey::parse(&self.vault.key_encryption_key).is_ok(),
            "vault.key_encryption_key must be 32 bytes in base64; `guildhall config new` writes one",
        );
        must(
            guildhall_web::TokenKeys::parse(&self.auth.token_secret).is_ok(),
            "auth.token_secret must be 32 bytes in base64; `guildhall config new` writes one",
        );
        must(
            self.http.public_url_holds(),
            "http.public_url must be empty or where clients reach the API, such as https://guildhall.example: http or \
             https, a host, and no query, fragment or slash at the end",
        );
        must(
            (1024..=16 * 1024 * 1024).contains(&self.http.body_limit_bytes),
            "http.body_limit_bytes must be between 1024 and 16777216",
        );
        must(
            (1..=600).contains(&self.http.request_timeout_seconds),
            "http.request_timeout_seconds must be between 1 and 600",
        );
        must((1..=100_000).contains(&self.http.max_in_flight), "http.max_in_flight must be between 1 and 100000");
        must(
            self.transport == Transport::Store || !self.kafka.brokers.is_empty(),
            "kafka.brokers (or KAFKA_BROKERS) must name the bootstrap servers when transport is `kafka`",
        );
        must(
            tracing_subscriber::EnvFilter::try_new(&self.log.filter).is_ok(),
            "log.filter must be a tracing filter, such as `info` or `guildhall=debug,info`",
        );
        problems.extend(self.kafka.problems());
        problems.extend(self.eventstoredb.problems());
        problems.extend(self.integrity.problems());
        problems.extend(self.webhooks.problems());
        if problems.is_empty() { Ok(()) } else { Err(ConfigError(problems)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::GroupProtocol;

    fn environment(extra: &[(&str, &str)]) -> Vec<(String, String)> {
        let secret = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        [
            ("DATABASE_URL", "postgres://guildhall@localhost/guildhall"),
            ("GUILDHALL_AUTH__TOKEN_SECRET", secret),
            ("GUILDHALL_VAULT__KEY_ENCRYPTION_KEY", secret),
        ]
        .iter()
        .chain(extra)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
    }

    #[test]
    fn the_environment_alone_is_enough() {
        let config = Config::load(None, &environment(&[("GUILDHALL_HTTP__LISTEN", "0.0.0.0:9000")])).unwrap();
        assert_eq!(config.http.listen.port(), 9000);
        assert_eq!(config.transport, Transport::Store);
    }

    #[test]
    fn naming_brokers_switches_the_transport() {
        let config = Config::load(None, &environment(&[("KAFKA_BROKERS", "localhost:9092")])).unwrap();
        assert_eq!(config.transport, Transport::Kafka);
    }

    #[test]
    fn every_wrong_setting_is_named_at_once() {
        let wrong = environment(&[("GUILDHALL_DATABASE__POOL_SIZE", "1"), ("GUILDHALL_KAFKA__PARTITIONS", "0")]);
        let ConfigError(problems) = Config::load(None, &wrong).unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("database.pool_size"));
        assert!(problems[1].starts_with("kafka.partitions"));
    }

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        let ConfigError(problems) = Config::load(None, &environment(&[("GUILDHALL_HTTP__LISTNE", "x")])).unwrap_err();
        assert!(problems[0].contains("listne"), "{problems:?}");
    }

    #[test]
    fn the_group_protocol_is_one_of_two() {
        let chosen = |protocol| Config::load(None, &environment(&[("GUILDHALL_KAFKA__GROUP_PROTOCOL", protocol)]));
        assert_eq!(chosen("consumer").unwrap().kafka.group_protocol, GroupProtocol::Consumer);
        let ConfigError(problems) = chosen("raft").unwrap_err();
        assert!(problems[0].contains("raft") && problems[0].contains("kafka.group_protocol"), "{problems:?}");
    }

    #[test]
    fn the_api_is_reached_where_it_is_said_or_else_where_it_listens() {
        let at = |name, value| Config::load(None, &environment(&[(name, value)])).unwrap().http.reached_at();
        assert_eq!(at("GUILDHALL_HTTP__PUBLIC_URL", "https://records.example/api"), "https://records.example/api");
        assert_eq!(at("GUILDHALL_HTTP__LISTEN", "10.0.0.7:9000"), "http://10.0.0.7:9000");
        assert_eq!(at("GUILDHALL_HTTP__LISTEN", "[::]:9000"), "http://localhost:9000");
        for wrong in
            ["records.example", "ftp://records.example", "https://", "https://r.example/", "https://r.example#a"]
        {
            let refused = Config::load(None, &environment(&[("GUILDHALL_HTTP__PUBLIC_URL", wrong)])).unwrap_err();
            assert!(refused.0[0].starts_with("http.public_url"), "{wrong}: {refused}");
        }
    }

    #[test]
    fn without_secrets_nothing_starts() {
        let ConfigError(problems) = Config::load(None, &[]).unwrap_err();
        assert!(problems.iter().any(|p| p.starts_with("database.url")));
        assert!(problems.iter().any(|p| p.starts_with("auth.token_secret")));
        assert!(problems.iter().any(|p| p.starts_with("vault.key_encryption_key")));
    }
}
