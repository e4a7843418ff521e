//! What of the configuration is about integrity, and the sealer as it runs in a process.

use std::{path::PathBuf, time::Duration};

use futures::future::BoxFuture;
use guildhall_event_store::EventStore;
use guildhall_integrity::{Checkpoint, Folder, IntegrityError, Keys, NotAKey, Place, Sealer, SigningKey};
use guildhall_kafka::CheckpointTopic;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, Transport},
    kafka,
};

/// How history is signed, so that it cannot be changed unnoticed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Integrity {
    /// Key that signs checkpoints: 32 bytes in base64. Without one nothing is signed. Only the node with the role
    /// `process`, and whoever runs `guildhall audit checkpoint`, needs it.
    pub signing_key: String,
    /// The key that signed before, while a new one takes over: then both sign.
    pub previous_signing_key: String,
    /// Verifier keys of those that sign no more, as `guildhall audit keys` prints them.
    pub retired_keys: Vec<String>,
    /// How often a checkpoint is signed for an association that has recorded something, in seconds, 1 to 86400.
    pub checkpoint_seconds: u64,
    /// Folder that checkpoints are written to, a file each; none is ever written again. Empty: nowhere.
    pub checkpoint_folder: PathBuf,
}

impl Default for Integrity {
    fn default() -> Self {
        Self {
            signing_key: String::new(),
            previous_signing_key: String::new(),
            retired_keys: Vec::new(),
            checkpoint_seconds: 60,
            checkpoint_folder: PathBuf::new(),
        }
    }
}

impl Integrity {
    /// The keys that sign and verify.
    ///
    /// # Errors
    /// One of them is none.
    pub fn keys(&self) -> Result<Keys, NotAKey> {
        let parsed = |text: &str| if text.is_empty() { Ok(None) } else { SigningKey::parse(text).map(Some) };
        Keys::new(parsed(&self.signing_key)?, parsed(&self.previous_signing_key)?, &self.retired_keys)
    }

    /// What is wrong with the settings, each by name.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, key) in [("signing_key", &self.signing_key), ("previous_signing_key", &self.previous_signing_key)] {
            if !key.is_empty() && SigningKey::parse(key).is_err() {
                problems.push(format!("integrity.{name}: {}", NotAKey::Signing));
            }
        }
        if self.signing_key.is_empty() && !self.previous_signing_key.is_empty() {
            problems.push(
                "integrity.previous_signing_key is set and integrity.signing_key is not: name the new key there, or \
                 move the old one back"
                    .to_owned(),
            );
        }
        if self.retired_keys.iter().any(|key| guildhall_integrity::check_verifier(key).is_err()) {
            problems.push(format!("integrity.retired_keys: {}", NotAKey::Verifier));
        }
        if !(1..=86_400).contains(&self.checkpoint_seconds) {
            problems.push("integrity.checkpoint_seconds must be between 1 and 86400".to_owned());
        }
        problems
    }

    /// The same without its secrets, to be shown.
    pub(crate) fn shown(&self, hidden: &str) -> Self {
        let hide = |secret: &String| if secret.is_empty() { String::new() } else { hidden.to_owned() };
        Self {
            signing_key: hide(&self.signing_key),
            previous_signing_key: hide(&self.previous_signing_key),
            ..self.clone()
        }
    }
}

/// Where checkpoints of this installation are published.
///
/// # Errors
/// The folder cannot be made.
pub(crate) fn places(config: &Config) -> Result<Vec<Box<dyn Place>>, IntegrityError> {
    let mut places: Vec<Box<dyn Place>> = Vec::new();
    if !config.integrity.checkpoint_folder.as_os_str().is_empty() {
        places.push(Box::new(Folder::open(&config.integrity.checkpoint_folder)?));
    }
    if config.transport == Transport::Kafka {
        places.push(Box::new(InKafka(CheckpointTopic::new(kafka::options(config)))));
    }
    Ok(places)
}

/// Seals and signs until it is told to stop. Without a key it says so, once, and does nothing.
pub(crate) async fn run(config: Config, store: EventStore, shutdown: CancellationToken) -> anyhow::Result<()> {
    let keys = config.integrity.keys()?;
    if keys.signing().is_none() {
        tracing::warn!("integrity.signing_key is not set: no checkpoints are signed, and history binds nobody");
        shutdown.cancelled().await;
        return Ok(());
    }
    let every = Duration::from_secs(config.integrity.checkpoint_seconds);
    Ok(Sealer::new(store, keys, every, places(&config)?).run(shutdown).await?)
}

/// The topic of checkpoints.
struct InKafka(CheckpointTopic);

impl Place for InKafka {
    fn name(&self) -> String {
        format!("kafka {}", self.0.name())
    }

    fn publish<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, Result<(), IntegrityError>> {
        Box::pin(async move {
            let sent = self.0.publish(checkpoint.statement.tenant, &checkpoint.note).await;
            sent.map_err(|error| IntegrityError::NotPublished(error.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    #[test]
    fn every_wrong_setting_is_named() {
        assert_eq!(Integrity::default().problems(), Vec::<String>::new());
        let wrong = Integrity {
            previous_signing_key: "x".to_owned(),
            retired_keys: vec!["guildhall+x".to_owned()],
            checkpoint_seconds: 0,
            ..Integrity::default()
        };
        let problems = wrong.problems();
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems.iter().all(|problem| problem.starts_with("integrity.")), "{problems:?}");
    }

    #[test]
    fn the_environment_gives_retired_keys_as_a_list() {
        let retired = SigningKey::parse(KEY).unwrap().verifier();
        let other = SigningKey::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap().verifier();
        let environment: Vec<_> = [
            ("DATABASE_URL", "postgres://guildhall@localhost/guildhall"),
            ("GUILDHALL_AUTH__TOKEN_SECRET", KEY),
            ("GUILDHALL_VAULT__KEY_ENCRYPTION_KEY", KEY),
            ("GUILDHALL_INTEGRITY__RETIRED_KEYS", &format!("{retired},{other}")),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let config = Config::load(None, &environment).unwrap();
        assert_eq!(config.integrity.retired_keys, [retired, other]);
    }

    #[test]
    fn keys_are_not_shown() {
        let integrity = Integrity { signing_key: KEY.to_owned(), ..Integrity::default() };
        let shown = integrity.shown("(set)");
        assert_eq!((shown.signing_key.as_str(), shown.previous_signing_key.as_str()), ("(set)", ""));
        assert!(!format!("{:?}", integrity.keys().unwrap()).contains(KEY));
    }
}
