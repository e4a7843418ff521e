//! Personal data opened for an auditor.

use std::collections::{BTreeMap, BTreeSet};

use futures::{FutureExt, future::BoxFuture};
use guildhall_aggregates::{
    Personal, PersonalData, TenantId,
    personal::{BirthDate, EmailAddress, FreeText, Opened, PersonName, PhoneNumber, PostalAddress, Profile},
};
use guildhall_event_store::{Vault, vault::VaultError};
use guildhall_web::{Caller, Problem};
use serde_json::{Value, json};

use crate::problems;

/// Opens the personal data of one association.
pub(super) struct Opener<'a> {
    vault: &'a Vault,
    tenant: TenantId,
}

impl<'a> Opener<'a> {
    /// The opener for a caller who may see history and asks to see the people in it, too. That it was asked
    /// for is logged.
    pub(super) fn for_auditor(vault: &'a Vault, caller: &Caller, what: &dyn std::fmt::Display) -> Self {
        tracing::info!(caller = %caller.subject, association = %caller.association, %what, "personal data is opened for an auditor");
        Self { vault, tenant: caller.tenant }
    }

    /// The value with every sealed text in it opened. Of a forgotten person it says so; what cannot be opened
    /// for another reason was changed since it was sealed, and is shown as unreadable.
    pub(super) async fn open(&self, mut value: Value) -> Result<Value, Problem> {
        let mut tokens = BTreeSet::new();
        collect(&value, &mut tokens);
        let mut opened = BTreeMap::new();
        for token in tokens {
            let clear = self.clear(&token).await?;
            opened.insert(token, clear);
        }
        replace(&mut value, &opened);
        Ok(value)
    }

    /// What a token holds. Its kind is not written on it, but it opens as what it was sealed as and as nothing
    /// else, so each kind is tried.
    async fn clear(&self, token: &str) -> Result<Value, Problem> {
        let attempts: [BoxFuture<'_, Result<Option<Value>, Problem>>; 7] = [
            self.opened_as::<PersonName>(token).boxed(),
            self.opened_as::<EmailAddress>(token).boxed(),
            self.opened_as::<PhoneNumber>(token).boxed(),
            self.opened_as::<PostalAddress>(token).boxed(),
            self.opened_as::<Profile>(token).boxed(),
            self.opened_as::<BirthDate>(token).boxed(),
            self.opened_as::<FreeText>(token).boxed(),
        ];
        for attempt in attempts {
            if let Some(value) = attempt.await? {
                return Ok(value);
            }
        }
        Ok(json!({ "unreadable": true }))
    }

    /// The clear text, if this is what was sealed.
    async fn opened_as<T: PersonalData>(&self, token: &str) -> Result<Option<Value>, Problem> {
        let Ok(personal) = Personal::<T>::parse(token) else { return Ok(None) };
        match self.vault.open(self.tenant, &personal).await {
            Ok(Opened::Known(clear)) => {
                serde_json::to_value(clear).map(Some).map_err(|error| Problem::internal(&error))
            }
            Ok(Opened::Forgotten) => Ok(Some(json!({ "forgotten": true }))),
            Err(VaultError::Tampered | VaultError::UnknownSubject | VaultError::Unreadable { .. }) => Ok(None),
            Err(error @ (VaultError::WrongKey { .. } | VaultError::SubjectForgotten)) => Err(Problem::internal(&error)),
            Err(error @ VaultError::Unavailable(_)) => Err(problems::unavailable(&error)),
        }
    }
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
