//! Reading the journal, by date and in pages, with the accounts of the association's mapping.

use chrono::NaiveDate;
use deadpool_postgres::Client;
use guildhall_aggregates::{TenantId, money::Currency};
use serde::Serialize;
use tokio_postgres::Row;
use uuid::Uuid;

use super::ENTRY;

/// The largest page of entries.
const LARGEST_PAGE: i64 = 5_000;

/// One entry of the journal. Its lines balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalEntry {
    /// What an ERP knows the entry by: sent twice it is the same entry.
    pub entry_id: Uuid,
    /// Its date.
    pub dated: NaiveDate,
    /// What was booked: `invoice`, `credit_note`, `recognition`, `payment`, `application`, `refund` ….
    pub kind: String,
    /// The same for people.
    pub description: String,
    /// The currency of all lines.
    pub currency: Currency,
    /// The record of history it follows from.
    pub record_id: Uuid,
    /// The stream of that record, as `invoice-<uuid>`.
    pub stream: String,
    /// The version of the posting rules.
    pub rule_version: i64,
    /// The lines, in order.
    pub lines: Vec<JournalLine>,
}

/// One line: a debit or a credit to one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalLine {
    /// What the account is for.
    pub role: String,
    /// The account.
    pub account: Account,
    /// Debit in minor units; 0 on a credit line.
    pub debit_minor: i64,
    /// Credit in minor units; 0 on a debit line.
    pub credit_minor: i64,
}

/// An account of the association's chart, as its mapping names it on the entry's date.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Account {
    /// Its number: digits and capital letters.
    pub code: String,
    /// Its name: letters, digits, spaces and hyphens.
    pub name: String,
    /// `asset`, `liability`, `equity`, `income` or `expense`.
    pub kind: String,
}

/// What one account stands at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// The account.
    pub account: Account,
    /// ISO 4217.
    pub currency: String,
    /// All debits, in minor units.
    pub debit_minor: i64,
    /// All credits, in minor units.
    pub credit_minor: i64,
}

/// Why the journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A role has no account on a date.
    #[error("no account plays `{role}` on {dated}: add a row to settings.account_mapping")]
    Unmapped {
        /// The role.
        role: String,
        /// The entry's date.
        dated: NaiveDate,
    },
    /// An entry's currency is none that this program knows.
    #[error("an entry of {dated} is in `{currency}`, which is no ISO 4217 currency")]
    UnknownCurrency {
        /// What stands there.
        currency: String,
        /// The entry's date.
        dated: NaiveDate,
    },
    /// Postgres refused or is not there.
    #[error("the journal cannot be read: {0}")]
    Database(#[from] tokio_postgres::Error),
}

/// Entries dated between two days, both included, by date and id. `after` is the date and id of the last entry of the page
/// before; at most 5,000 entries make a page.
pub async fn entries(
    client: &Client,
    tenant: TenantId,
    from: NaiveDate,
    to: NaiveDate,
    after: Option<(NaiveDate, Uuid)>,
    limit: i64,
) -> Result<Vec<JournalEntry>, JournalError> {
    // The page is cut from the entries by their index; only its lines are looked up.
    let sql = format!(
        "SELECT j.entry_id, j.dated, j.kind, j.description, j.currency, j.record_id, j.stream, j.rule_version, j.role, \
                j.account_code, j.account_name, j.account_type, j.debit_minor, j.credit_minor \
         FROM reporting.journal j \
         JOIN (SELECT e.entry_id FROM read.{ENTRY} e \
                WHERE e.tenant_id = $1 AND e.dated BETWEEN $2 AND $3 AND (e.dated, e.entry_id) > ($4, $5) \
                ORDER BY e.dated, e.entry_id LIMIT $6) page USING (entry_id) \
         WHERE j.tenant_id = $1 ORDER BY j.dated, j.entry_id, j.line"
    );
    let (after_day, after_id) = after.unwrap_or((from.pred_opt().unwrap_or(from), Uuid::max()));
    let statement = client.prepare_cached(&sql).await?;
    let limit = limit.clamp(1, LARGEST_PAGE);
    let rows = client.query(&statement, &[&tenant.uuid(), &from, &to, &after_day, &after_id, &limit]).await?;
    let mut entries: Vec<JournalEntry> = Vec::new();
    for row in &rows {
        if entries.last().is_none_or(|entry| entry.entry_id != row.get::<_, Uuid>(0)) {
            entries.push(entry(row)?);
        }
        if let Some(entry) = entries.last_mut() {
            let line = line(row, entry.dated)?;
            entry.lines.push(line);
        }
    }
    Ok(entries)
}

/// The sums of every account up to a day: a trial balance, whose debits equal its credits in each currency.
pub async fn trial_balance(client: &Client, tenant: TenantId, until: NaiveDate) -> Result<Vec<Balance>, JournalError> {
    let sql = "SELECT account_code, account_name, account_type, currency, min(role), max(dated), \
                      sum(debit_minor)::bigint, sum(credit_minor)::bigint \
               FROM reporting.journal WHERE tenant_id = $1 AND dated <= $2 \
               GROUP BY account_code, account_name, account_type, currency ORDER BY account_code, currency";
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&tenant.uuid(), &until]).await?;
    rows.iter()
        .map(|row| {
            let account = account([row.get(0), row.get(1), row.get(2)], row.get(4), row.get(5))?;
            Ok(Balance { account, currency: row.get(3), debit_minor: row.get(6), credit_minor: row.get(7) })
        })
        .collect()
}

fn entry(row: &Row) -> Result<JournalEntry, JournalError> {
    let (dated, currency): (NaiveDate, String) = (row.get(1), row.get(4));
    Ok(JournalEntry {
        entry_id: row.get(0),
        dated,
        kind: row.get(2),
        description: row.get(3),
        currency: Currency::from_code(&currency).ok_or(JournalError::UnknownCurrency { currency, dated })?,
        record_id: row.get(5),
        stream: row.get(6),
        rule_version: row.get(7),
        lines: vec![],
    })
}

fn line(row: &Row, dated: NaiveDate) -> Result<JournalLine, JournalError> {
    let role: String = row.get(8);
    let account = account([row.get(9), row.get(10), row.get(11)], role.clone(), dated)?;
    Ok(JournalLine { role, account, debit_minor: row.get(12), credit_minor: row.get(13) })
}

fn account(named: [Option<String>; 3], role: String, dated: NaiveDate) -> Result<Account, JournalError> {
    match named {
        [Some(code), Some(name), Some(kind)] => Ok(Account { code, name, kind }),
        _ => Err(JournalError::Unmapped { role, dated }),
    }
}
