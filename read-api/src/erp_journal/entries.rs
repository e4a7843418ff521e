//! `GET /v1/journal`: the entries of the books.

use axum::{extract::State, response::Response};
use chrono::NaiveDate;
use guildhall_projections::erp_journal::{self, Account, ErpJournal, JournalEntry, JournalLine};
use guildhall_web::{Position, Query, Role};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    ReadState,
    answer::{Asked, Early, Page},
    cursor::{self, Cursor},
    format::Format,
    parameters::{Day, Limit},
    problems::AnyRead,
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JournalQuery {
    /// Only entries dated on this day or later.
    #[param(value_type = Option<String>, format = Date)]
    from: Option<Day>,
    /// Only entries dated on this day or earlier.
    #[param(value_type = Option<String>, format = Date)]
    to: Option<Day>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    after: Option<Cursor<(Day, Uuid)>>,
    /// How many entries at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// A consistency token: wait until this is in the answer.
    #[param(value_type = Option<String>, pattern = "^p-[0-9]{1,19}$")]
    at_least: Option<Position>,
}

/// An entry of the books. Its lines balance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BookedEntry {
    /// What an ERP knows the entry by: sent twice it is the same entry.
    entry_id: Uuid,
    /// Its date.
    dated: NaiveDate,
    /// What was booked: `invoice`, `credit_note`, `recognition`, `payment`, `application`, `refund` ….
    kind: String,
    /// The same for people.
    description: String,
    /// ISO 4217, of all lines.
    currency: String,
    /// The record of history it follows from.
    record_id: Uuid,
    /// The stream of that record.
    stream: String,
    /// The version of the posting rules.
    rule_version: i64,
    /// The lines, in order.
    lines: Vec<BookedLine>,
}

/// A debit or a credit to one account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BookedLine {
    /// What the account is for.
    role: String,
    /// The account's number.
    account_code: String,
    /// Its name.
    account_name: String,
    /// `asset`, `liability`, `equity`, `income` or `expense`.
    account_type: String,
    /// Debit in minor units; 0 on a credit line.
    debit_minor: i64,
    /// Credit in minor units; 0 on a debit line.
    credit_minor: i64,
}

/// The entries of the books, by date
///
/// The accounts are those of the association's mapping as it is now.
#[utoipa::path(
    get,
    path = "/v1/journal",
    tag = super::TAG,
    params(JournalQuery),
    responses((status = OK, body = Page<BookedEntry>), AnyRead),
)]
pub(crate) async fn journal(
    State(read): State<ReadState>,
    asked: Asked,
    Query(query): Query<JournalQuery>,
) -> Result<Response, Early> {
    asked.caller.require(&Role::ALL)?;
    let format = asked.shape(None, &[Format::Json])?;
    let reading = read.reading::<ErpJournal>(query.at_least).await?;
    let answer = asked.answer(format, reading.mark, ())?;

    let (from, to) = (query.from.unwrap_or(Day::FIRST).0, query.to.unwrap_or(Day::LAST).0);
    let after = query.after.map(Cursor::into_key).map(|(Day(dated), entry)| (dated, entry));
    let limit = query.limit.rows();
    let mut entries =
        erp_journal::entries(&reading.client, asked.caller.tenant, from, to, after, query.limit.and_one())
            .await
            .map_err(|error| super::of_journal(&error))?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| more).map(|last| cursor::behind(&(Day(last.dated), last.entry_id)));
    answer.page(entries.into_iter().map(BookedEntry::from).collect(), next)
}

impl From<JournalEntry> for BookedEntry {
    fn from(entry: JournalEntry) -> Self {
        let JournalEntry { entry_id, dated, kind, description, currency, record_id, stream, rule_version, lines } =
            entry;
        let currency = currency.code().to_owned();
        let lines = lines.into_iter().map(BookedLine::from).collect();
        Self { entry_id, dated, kind, description, currency, record_id, stream, rule_version, lines }
    }
}

impl From<JournalLine> for BookedLine {
    fn from(line: JournalLine) -> Self {
        let JournalLine { role, account: Account { code, name, kind }, debit_minor, credit_minor } = line;
        Self { role, account_code: code, account_name: name, account_type: kind, debit_minor, credit_minor }
    }
}
