//! EventStoreDB's protocol for auditors: its settings, and its place in a node.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Whether and where EventStoreDB's clients are served.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventStoreDb {
    /// Address and port to listen on, such as `127.0.0.1:2113`. Not set: nobody is served.
    pub listen: Option<SocketAddr>,
    /// Certificate to show, and those between it and one that clients know: a PEM file. Not set: no encryption, and
    /// clients that send passwords over TLS only cannot be used.
    pub tls_certificate: Option<PathBuf>,
    /// The certificate's private key: a PEM file.
    pub tls_key: Option<PathBuf>,
}

impl EventStoreDb {
    /// What is wrong with the settings, each with its name.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            problems.push("eventstoredb.tls_certificate and eventstoredb.tls_key must be set together".to_owned());
        }
        if self.listen.is_some() && cfg!(not(feature = "eventstoredb")) {
            problems.push(
                "eventstoredb.listen must not be set: this program was built without the feature `eventstoredb`"
                    .to_owned(),
            );
        }
        problems
    }
}

#[cfg(feature = "eventstoredb")]
pub(crate) use wiring::bound;

#[cfg(feature = "eventstoredb")]
mod wiring {
    use std::{fs, path::Path};

    use anyhow::Context as _;
    use guildhall_event_store::EventStore;
    use guildhall_eventstoredb::{Endpoint, Limits, Options, Tls};
    use guildhall_web::TokenKeys;

    use super::EventStoreDb;

    /// The endpoint, listening, if there is to be one.
    pub(crate) async fn bound(
        settings: &EventStoreDb,
        store: &EventStore,
        keys: &TokenKeys,
    ) -> anyhow::Result<Option<Endpoint>> {
        let Some(listen) = settings.listen else { return Ok(None) };
        let options = Options { listen, tls: tls(settings)?, limits: Limits::default() };
        let endpoint = Endpoint::bind(options, store.clone(), keys.clone()).await.context("eventstoredb.listen")?;
        Ok(Some(endpoint))
    }

    fn tls(settings: &EventStoreDb) -> anyhow::Result<Option<Tls>> {
        let (Some(certificate), Some(key)) = (&settings.tls_certificate, &settings.tls_key) else { return Ok(None) };
        let certificate = contents("eventstoredb.tls_certificate", certificate)?;
        let key = contents("eventstoredb.tls_key", key)?;
        Ok(Some(Tls { certificate, key }))
    }

    fn contents(setting: &str, file: &Path) -> anyhow::Result<Vec<u8>> {
        fs::read(file).with_context(|| format!("{setting}: {} cannot be read", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_without_its_key_is_refused_by_name() {
        let alone = EventStoreDb { tls_certificate: Some("node.crt".into()), ..EventStoreDb::default() };
        assert_eq!(alone.problems(), ["eventstoredb.tls_certificate and eventstoredb.tls_key must be set together"]);
        assert_eq!(EventStoreDb::default().problems(), Vec::<String>::new());
    }

    #[cfg(feature = "eventstoredb")]
    #[tokio::test]
    async fn what_is_set_is_served_and_what_is_wrong_is_named() {
        use guildhall_event_store::{Clock, EventStore, KeyEncryptionKey, StoreOptions};
        use guildhall_sandbox::testing::TestDatabase;
        use guildhall_web::TokenKeys;

        let database = TestDatabase::create().await;
        let options = StoreOptions::new(database.url(), KeyEncryptionKey::generate());
        let store = EventStore::open(options, Clock::system()).await.unwrap();
        let keys = TokenKeys::parse(&KeyEncryptionKey::generate().encoded()).unwrap();
        let bound = async |settings: &EventStoreDb| bound(settings, &store, &keys).await;

        assert!(bound(&EventStoreDb::default()).await.unwrap().is_none());
        let plain = EventStoreDb { listen: Some(([127, 0, 0, 1], 0).into()), ..EventStoreDb::default() };
        let endpoint = bound(&plain).await.unwrap().unwrap();

        let taken = EventStoreDb { listen: Some(endpoint.address()), ..EventStoreDb::default() };
        let said = format!("{:#}", bound(&taken).await.err().unwrap());
        assert!(
            said.starts_with(&format!("eventstoredb.listen: {} cannot be listened on", endpoint.address())),
            "{said}"
        );
        let nowhere = Some(PathBuf::from("/nowhere/node.pem"));
        let encrypted = EventStoreDb { tls_certificate: nowhere.clone(), tls_key: nowhere, ..plain };
        let said = format!("{:#}", bound(&encrypted).await.err().unwrap());
        assert!(said.starts_with("eventstoredb.tls_certificate: /nowhere/node.pem cannot be read"), "{said}");
    }
}
