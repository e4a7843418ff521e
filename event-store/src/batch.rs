//! Events together with the keys of the people in them.

use std::fmt;

use guildhall_aggregates::{
    Personal, PersonalData, TenantId,
    personal::{Opened, subjects_in},
};

use crate::{
    RecordedEvent, StoreError,
    vault::{Keys, Vault, VaultError},
};

/// A run of events whose personal data can be opened without waiting: the keys were fetched with them.
pub struct Batch {
    /// The events, in order of position.
    pub events: Vec<RecordedEvent>,
    keys: Keys,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("events", &self.events).finish_non_exhaustive()
    }
}

impl Batch {
    /// Fetches the keys that the wanted ones of these events need.
    pub(crate) async fn of(
        events: Vec<RecordedEvent>,
        wanted: impl Fn(&RecordedEvent) -> bool,
        vault: &Vault,
    ) -> Result<Self, StoreError> {
        let persons = events
            .iter()
            .filter(|event| wanted(event))
            .flat_map(|event| subjects_in(&event.payload).map(|subject| (event.tenant, subject)));
        let keys = vault
            .keys_of(persons)
            .await
            .map_err(|error| StoreError::Unavailable { reason: error.to_string(), may_be_stored: false })?;
        Ok(Self { events, keys })
    }

    /// No events, but the keys to open what else holds sealed texts.
    pub(crate) fn of_keys(keys: Keys) -> Self {
        Self { events: Vec::new(), keys }
    }

    /// Opens personal data of one of the events.
    ///
    /// # Errors
    /// The data is not of this batch, or was changed since it was sealed.
    pub fn open<T: PersonalData>(&self, tenant: TenantId, personal: &Personal<T>) -> Result<Opened<T>, VaultError> {
        match self.keys.get(&(tenant, personal.subject())) {
            Some(Ok(state)) => state.open(tenant, personal),
            Some(Err(error)) => Err(error.clone()),
            None => Err(VaultError::UnknownSubject),
        }
    }
}
