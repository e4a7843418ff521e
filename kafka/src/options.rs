//! How to reach Kafka, and what generation of topics to use.

use std::{collections::BTreeMap, fmt};

use rdkafka::ClientConfig;

/// The most partitions a topic may have here: the relay remembers something about each.
const MOST_PARTITIONS: u16 = 1_000;

/// Settings that an installation may add for its connection. Everything else decides correctness and is set by
/// this room.
const CONNECTION_SETTINGS: [&str; 8] =
    ["security.", "ssl.", "sasl.", "enable.ssl.", "enable.sasl.", "socket.", "broker.address.", "client."];

/// How to reach Kafka, and the topics of one generation.
///
/// A generation is the topics with one prefix. Its partition count never changes, because the partition of a
/// stream would change with it and order in the stream would be lost; to have another count, choose another
/// prefix, and the relay fills the new topics from history.
#[derive(Clone)]
pub struct KafkaOptions {
    /// Where the brokers are, as `host:port,host:port`.
    pub brokers: String,
    /// What the topics' names begin with: `guildhall` gives `guildhall.members`.
    pub prefix: String,
    /// Partitions of each topic: the most consumers of one group that can share its work. Each that has something in a batch is
    /// a request to a broker, one after the other.
    pub partitions: u16,
    /// Copies of each partition. 1 is for a broker that stands alone; production has 3.
    pub replication: u16,
    /// Where the API is reached, without a slash at the end, such as `https://guildhall.example`. Records name their
    /// schemas there.
    pub public_url: String,
    /// More settings of the connection, by librdkafka's names, such as `security.protocol` and `sasl.password`.
    pub connection: BTreeMap<String, String>,
}

impl KafkaOptions {
    /// The brokers, with everything else as usual: prefix `guildhall`, 3 partitions, 1 copy, the API on this
    /// machine.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            prefix: "guildhall".to_owned(),
            partitions: 3,
            replication: 1,
            public_url: "http://localhost:8080".to_owned(),
            connection: BTreeMap::new(),
        }
    }

    /// Says what is wrong with the options, if anything is, before any of them is used.
    pub fn check(&self) -> Result<(), OptionsError> {
        if self.brokers.trim().is_empty() {
            return Err(OptionsError::NoBrokers);
        }
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if self.prefix.is_empty() || self.prefix.len() > 100 || !self.prefix.bytes().all(named) {
            return Err(OptionsError::Prefix(self.prefix.clone()));
        }
        if !(1..=MOST_PARTITIONS).contains(&self.partitions) {
            return Err(OptionsError::Partitions(self.partitions));
        }
        if self.replication == 0 {
            return Err(OptionsError::Replication);
        }
        let allowed = |key: &str| CONNECTION_SETTINGS.iter().any(|prefix| key.starts_with(prefix));
        if let Some(key) = self.connection.keys().find(|key| !allowed(key)) {
            return Err(OptionsError::NotAConnectionSetting(key.clone()));
        }
        // Values are the client's to judge; it also knows what it was built without, such as TLS.
        self.client().create_native_config().map_err(|error| OptionsError::Connection(error.to_string()))?;
        Ok(())
    }

    /// What every client of ours has in common.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "guildhall");
        config.extend(self.connection.clone());
        config.set("bootstrap.servers", &self.brokers);
        config
    }
}

/// Shows the names of connection settings, never their values: one of them is a password.
impl fmt::Debug for KafkaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaOptions")
            .field("brokers", &self.brokers)
            .field("prefix", &self.prefix)
            .field("partitions", &self.partitions)
            .field("replication", &self.replication)
            .field("public_url", &self.public_url)
            .field("connection", &self.connection.keys())
            .finish()
    }
}

/// Options that cannot be used. Each message says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// No broker is named.
    #[error("no Kafka broker is named: give at least one as host:port")]
    NoBrokers,
    /// The prefix cannot begin a topic's name.
    #[error("{0:?} cannot begin a topic's name: use 1 to 100 of the letters a-z, A-Z, 0-9, `.`, `_` and `-`")]
    Prefix(String),
    /// Too few or too many partitions.
    #[error("{0} partitions are not possible: choose 1 to {MOST_PARTITIONS}")]
    Partitions(u16),
    /// No copy at all.
    #[error("a topic needs at least 1 copy (replication)")]
    Replication,
    /// A setting that is not the installation's to choose.
    #[error("{0:?} is not a setting of the connection; {allowed}", allowed = allowed_settings())]
    NotAConnectionSetting(String),
    /// A setting of the connection that Kafka's client does not know, or cannot do.
    #[error("Kafka's client does not take the settings of the connection: {0}")]
    Connection(String),
    /// A limit or a list without which nothing would ever happen.
    #[error("{0} must not be empty or 0")]
    Nothing(&'static str),
}

/// Says which of these is empty or 0, if one is.
pub(crate) fn check_present(wanted: &[(&'static str, bool)]) -> Result<(), OptionsError> {
    match wanted.iter().find(|(_, present)| !present) {
        Some((name, _)) => Err(OptionsError::Nothing(name)),
        None => Ok(()),
    }
}

fn allowed_settings() -> String {
    format!("allowed are names that begin with {}", CONNECTION_SETTINGS.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_decides_correctness_cannot_be_overridden() {
        let mut options = KafkaOptions::new("localhost:9092");
        options.connection.insert("sasl.username".to_owned(), "guildhall".to_owned());
        assert_eq!(options.check(), Ok(()));
        options.connection.insert("acks".to_owned(), "1".to_owned());
        assert_eq!(options.check(), Err(OptionsError::NotAConnectionSetting("acks".to_owned())));
    }

    #[test]
    fn options_that_cannot_work_are_refused_before_use() {
        let good = KafkaOptions::new("localhost:9092");
        let no_brokers = KafkaOptions { brokers: " ".to_owned(), ..good.clone() };
        assert_eq!(no_brokers.check(), Err(OptionsError::NoBrokers));
        let spaced = KafkaOptions { prefix: "guild hall".to_owned(), ..good.clone() };
        assert_eq!(spaced.check(), Err(OptionsError::Prefix("guild hall".to_owned())));
        let none = KafkaOptions { partitions: 0, ..good.clone() };
        assert_eq!(none.check(), Err(OptionsError::Partitions(0)));
        let lost = KafkaOptions { replication: 0, ..good.clone() };
        assert_eq!(lost.check(), Err(OptionsError::Replication));
        let unknown = [("security.protocol".to_owned(), "carrier pigeon".to_owned())].into();
        let unknown = KafkaOptions { connection: unknown, ..good };
        assert!(matches!(unknown.check(), Err(OptionsError::Connection(_))));
    }

    #[test]
    fn a_password_is_not_shown() {
        let mut options = KafkaOptions::new("localhost:9092");
        options.connection.insert("sasl.password".to_owned(), "hunter2".to_owned());
        let shown = format!("{options:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }
}
