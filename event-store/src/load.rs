//! The state of an aggregate: its events, folded.

use guildhall_aggregates::{Decide, StoredEvent, TenantId};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::{error::LoadError, options::MAX_PAGE, read, record::StreamId};

/// State and the version it is at. A stream that does not exist is the default state at version 0.
#[derive(Debug, Clone, Default)]
pub struct Loaded<A> {
    /// The folded state.
    pub state: A,
    /// The version of the last event folded in.
    pub version: u64,
}

/// Folds in what was recorded after `loaded.version`. If it fails half-way, what was folded in stays, and the
/// version says how far.
pub(crate) async fn catch_up<A: Decide>(
    client: &Client,
    tenant: TenantId,
    id: Uuid,
    loaded: &mut Loaded<A>,
) -> Result<(), LoadError> {
    let stream = StreamId::new(A::Event::CATEGORY, id);
    loop {
        let events = read::stream_after(client, tenant, &stream, loaded.version, MAX_PAGE).await?;
        for event in &events {
            loaded.state.apply(event.decode()?);
            loaded.version = event.version;
        }
        if events.len() < MAX_PAGE {
            return Ok(());
        }
    }
}
