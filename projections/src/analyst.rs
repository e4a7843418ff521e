//! Logins of analysts: read-only, each for one association. What they may see is decided by row-level security in the
//! database; here they are made and taken away.

use guildhall_aggregates::TenantId;
use serde::Serialize;
use tokio_postgres::{Client, error::SqlState};
use uuid::Uuid;

/// Shorter passwords are guessed.
const SHORTEST_PASSWORD: usize = 12;
/// Postgres cuts names at 63 bytes.
const LONGEST_LOGIN: usize = 63;

/// A login of an analyst.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Analyst {
    /// The name to log in with.
    pub login: String,
    /// The association they see.
    pub tenant: Uuid,
}

/// Why a login was not made or taken away.
#[derive(Debug, thiserror::Error)]
pub enum AnalystError {
    /// The name is none.
    #[error(
        "`{0}` cannot be a login: use 1 to 63 lower-case letters, digits and underscores, beginning with a letter, \
         and not with pg_"
    )]
    BadLogin(String),
    /// The password is too short.
    #[error("the password is too short: use at least {SHORTEST_PASSWORD} characters")]
    WeakPassword,
    /// Postgres has a role of that name.
    #[error("there is a login `{0}` already; choose another name, or remove it first")]
    LoginTaken(String),
    /// This connection may not create roles.
    #[error("this database user may not create logins: run this as a user with CREATEROLE")]
    NotAllowed,
    /// Postgres refused or is not there.
    #[error("the database: {0}")]
    Database(tokio_postgres::Error),
}

/// Makes a read-only login that sees this association's reporting views and nothing else.
pub async fn add(client: &Client, tenant: TenantId, login: &str, password: &str) -> Result<(), AnalystError> {
    check_login(login)?;
    if password.chars().count() < SHORTEST_PASSWORD {
        return Err(AnalystError::WeakPassword);
    }
    let sql = "SELECT settings.add_analyst($1, $2, $3)";
    match client.execute(sql, &[&tenant.uuid(), &login, &password]).await {
        Ok(_) => Ok(()),
        Err(error) => Err(explain(error, login)),
    }
}

/// Takes a login away. False when there was none; a role that was not made by [`add`] is left alone.
pub async fn remove(client: &Client, login: &str) -> Result<bool, AnalystError> {
    check_login(login)?;
    let removed = client.query_one("SELECT settings.remove_analyst($1)", &[&login]).await;
    removed.map(|row| row.get(0)).map_err(|error| explain(error, login))
}

/// All logins, by association and name.
pub async fn list(client: &Client) -> Result<Vec<Analyst>, AnalystError> {
    let sql = "SELECT login::text, tenant_id FROM settings.analyst ORDER BY tenant_id, login";
    let rows = client.query(sql, &[]).await.map_err(AnalystError::Database)?;
    Ok(rows.iter().map(|row| Analyst { login: row.get(0), tenant: row.get(1) }).collect())
}

fn check_login(login: &str) -> Result<(), AnalystError> {
    let plain = login.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let named = login.starts_with(|first: char| first.is_ascii_lowercase()) && !login.starts_with("pg_");
    if plain && named && login.len() <= LONGEST_LOGIN { Ok(()) } else { Err(AnalystError::BadLogin(login.to_owned())) }
}

fn explain(error: tokio_postgres::Error, login: &str) -> AnalystError {
    match error.code() {
        Some(&SqlState::DUPLICATE_OBJECT) => AnalystError::LoginTaken(login.to_owned()),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => AnalystError::NotAllowed,
        _ => AnalystError::Database(error),
    }
}
