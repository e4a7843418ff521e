//! A sealer in a process of its own: what proves history, and costs whoever appends something.

use std::time::Duration;

use anyhow::Context as _;
use guildhall_event_store::{Clock, EventStore, KeyEncryptionKey, StoreOptions};
use guildhall_integrity::{Keys, Sealer, SigningKey};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// So often a checkpoint is signed: thirty times as often as usual, to have several in a run.
const EVERY: Duration = Duration::from_secs(2);

/// Seals until it is told to stop. Takes its settings from the same environment as `guildhall serve`.
pub fn seal() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let setting = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
        let key = KeyEncryptionKey::parse(&setting("GUILDHALL_VAULT__KEY_ENCRYPTION_KEY")?)?;
        let store = EventStore::open(StoreOptions::new(setting("DATABASE_URL")?, key), Clock::system()).await?;
        let signing = SigningKey::parse(&KeyEncryptionKey::generate().encoded())?;
        let keys = Keys::new(Some(signing), None, &[])?;
        let told = CancellationToken::new();
        let mut stop = signal(SignalKind::terminate())?;
        let sealer = Sealer::new(store.clone(), keys, EVERY, Vec::new());
        let sealing = sealer.run(told.clone());
        tokio::pin!(sealing);
        tokio::select! {
            ended = &mut sealing => ended?,
            _ = stop.recv() => {
                told.cancel();
                sealing.await?;
            }
        }
        store.shutdown().await;
        Ok(())
    })
}
