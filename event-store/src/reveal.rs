//! Events as whoever may see the people in them reads them: with every sealed text opened.

use std::collections::{BTreeMap, BTreeSet};

use guildhall_aggregates::{
    Personal, PersonalData, TenantId,
    personal::{BirthDate, EmailAddress, FreeText, Opened, PersonName, PhoneNumber, PostalAddress, Profile},
};
use serde_json::{Value, json};

use crate::{Batch, RecordedEvent, Vault, VaultError};

impl Batch {
    /// The payload of one of the events with every sealed text in it opened: `{"forgotten": true}` where the person was
    /// forgotten, `{"unreadable": true}` where the text was changed since it was sealed. A payload that is no JSON has
    /// nothing to open, and there is none.
    ///
    /// # Errors
    /// The data is under another key-encryption key, or the vault does not answer.
    pub fn revealed(&self, event: &RecordedEvent) -> Result<Option<Value>, VaultError> {
        let Ok(payload) = serde_json::from_slice(&event.payload) else { return Ok(None) };
        self.reveal(event.tenant, payload).map(Some)
    }

    fn reveal(&self, tenant: TenantId, mut value: Value) -> Result<Value, VaultError> {
        let clear = |token: String| self.clear(tenant, &token).map(|clear| (token, clear));
        let opened = tokens_in(&value).into_iter().map(clear).collect::<Result<BTreeMap<_, _>, _>>()?;
        replace(&mut value, &opened);
        Ok(value)
    }

    /// What a token holds. Its kind is not written on it, but it opens as what it was sealed as and as nothing else, so
    /// each kind is tried.
    fn clear(&self, tenant: TenantId, token: &str) -> Result<Value, VaultError> {
        let attempts = [
            Self::clear_as::<PersonName>,
            Self::clear_as::<EmailAddress>,
            Self::clear_as::<PhoneNumber>,
            Self::clear_as::<PostalAddress>,
            Self::clear_as::<Profile>,
            Self::clear_as::<BirthDate>,
            Self::clear_as::<FreeText>,
        ];
        for attempt in attempts {
            if let Some(value) = attempt(self, tenant, token)? {
                return Ok(value);
            }
        }
        Ok(json!({ "unreadable": true }))
    }

    fn clear_as<T: PersonalData>(&self, tenant: TenantId, token: &str) -> Result<Option<Value>, VaultError> {
        let Ok(personal) = Personal::<T>::parse(token) else { return Ok(None) };
        match self.open(tenant, &personal) {
            Ok(Opened::Known(clear)) => {
                serde_json::to_value(clear).map(Some).map_err(|_| VaultError::Unreadable { field: T::FIELD })
            }
            Ok(Opened::Forgotten) => Ok(Some(json!({ "forgotten": true }))),
            Err(VaultError::Tampered | VaultError::UnknownSubject | VaultError::Unreadable { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Vault {
    /// Any value with every sealed text in it opened, as [`Batch::revealed`] does it for events.
    ///
    /// # Errors
    /// The data is under another key-encryption key, or the vault does not answer.
    pub async fn revealed(&self, tenant: TenantId, value: Value) -> Result<Value, VaultError> {
        let tokens = tokens_in(&value);
        let subjects = tokens.iter().filter_map(|token| Personal::<FreeText>::parse(token).ok());
        let keys = self.keys_of(subjects.map(|personal| (tenant, personal.subject()))).await?;
        Batch::of_keys(keys).reveal(tenant, value)
    }
}

fn tokens_in(value: &Value) -> BTreeSet<String> {
    let mut tokens = BTreeSet::new();
    collect(value, &mut tokens);
    tokens
}

fn collect(value: &Value, tokens: &mut BTreeSet<String>) {
    match value {
        // What a person wrote may begin like a token; it is none unless it has all of its parts.
        Value::String(text) if Personal::<FreeText>::parse(text).is_ok() => {
            tokens.insert(text.clone());
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, tokens)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, tokens)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn replace(value: &mut Value, opened: &BTreeMap<String, Value>) {
    match value {
        Value::String(text) => {
            if let Some(clear) = opened.get(text.as_str()) {
                *value = clear.clone();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| replace(value, opened)),
        Value::Object(fields) => fields.values_mut().for_each(|value| replace(value, opened)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
