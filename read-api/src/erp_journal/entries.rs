//! `GET /v1/journal`: the entries of the books.

use axum::{extract::State, response::Response};
use chrono::NaiveDate;
use guildhall_erp_sync as erp_sync;
use guildhall_projections::erp_journal::{self, Account, ErpJournal, JournalEntry, JournalLine};
use guildhall_web::{Position, Problem, Query, Role, problem::kind};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::export::{self, Span};
use crate::{
    ReadState,
    answer::{Answer, Asked, Early, Page},
    cursor::{self, Cursor},
    format::Format,
    parameters::{Day, Limit},
    problems::AnyRead,
    stale::Stale,
    state::Reading,
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
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Option<Limit>,
    /// A consistency token: wait until this is in the answer, five seconds at most.
    #[param(value_type = Option<String>, pattern = "^p-[0-9]{1,19}$")]
    at_least: Option<Position>,
    /// The shape of the answer; by `Accept` where not given. All but `json` give every entry, without pages.
    #[param(inline)]
    format: Option<Format>,
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
    /// True where the read model could not follow its stream: entries that came of it since are missing. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    stale: bool,
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

/// What the journal can be had as.
const OFFERS: &[Format] = &[Format::Json, Format::Csv, Format::Hledger, Format::Beancount];

/// The entries of the books, by date
///
/// As JSON page by page, or all of them as a table or as a journal for `hledger` or `beancount`. The accounts are
/// those of the association's mapping as it is now.
#[utoipa::path(
    get,
    path = "/v1/journal",
    tag = super::TAG,
    params(JournalQuery),
    responses(
        (
            status = OK,
            content(
                (Page<BookedEntry> = "application/json"),
                (String = "text/csv"),
                (String = "text/x-hledger"),
                (String = "text/x-beancount"),
            )
        ),
        AnyRead,
    ),
)]
pub(crate) async fn journal(
    State(read): State<ReadState>,
    asked: Asked,
    Query(query): Query<JournalQuery>,
) -> Result<Response, Early> {
    asked.caller.require(&Role::ALL)?;
    let format = asked.shape(query.format, OFFERS)?;
    let file = match format {
        Format::Json | Format::EventStream => None,
        Format::Csv => Some(erp_sync::Format::Csv),
        Format::Hledger => Some(erp_sync::Format::Hledger),
        Format::Beancount => Some(erp_sync::Format::Beancount),
    };
    let tenant = asked.caller.tenant;
    let reading = read.reading::<ErpJournal>(&asked, query.at_least).await?;
    let answer = asked.answer(format, reading.mark, super::mapping(&reading.client, tenant).await?)?;

    let span = Span { tenant, from: query.from.unwrap_or(Day::FIRST).0, to: query.to.unwrap_or(Day::LAST).0 };
    let Some(file) = file else { return page(&reading, answer, span, query).await };
    if query.after.is_some() || query.limit.is_some() {
        let detail = "`after` and `limit` are for JSON; a file holds every entry between `from` and `to`.";
        return Err(Problem::new(kind::INVALID_QUERY, detail).into());
    }
    drop(reading);
    let association = read.association(tenant).await?;
    let name = association.name().unwrap_or(&asked.caller.association);
    Ok(answer.file(export::body(read.pool, span, file, name)?, file.extension()))
}

async fn page(reading: &Reading, answer: Answer, span: Span, query: JournalQuery) -> Result<Response, Early> {
    let limit = query.limit.unwrap_or_default();
    let after = query.after.map(Cursor::into_key).map(|(Day(dated), entry)| (dated, entry));
    let mut entries = erp_journal::entries(&reading.client, span.tenant, span.from, span.to, after, limit.and_one())
        .await
        .map_err(|error| super::of_journal(&error))?;
    let more = entries.len() > limit.rows();
    entries.truncate(limit.rows());
    let next = entries.last().filter(|_| more).map(|last| cursor::behind(&(Day(last.dated), last.entry_id)));
    answer.page(entries.into_iter().map(|entry| BookedEntry::of(entry, &reading.stale)).collect(), next)
}

impl BookedEntry {
    fn of(entry: JournalEntry, stale: &Stale) -> Self {
        let JournalEntry { entry_id, dated, kind, description, currency, record_id, stream, rule_version, lines } =
            entry;
        let currency = currency.code().to_owned();
        let lines = lines.into_iter().map(BookedLine::from).collect();
        let stale = stale.has_named(&stream);
        Self { entry_id, dated, kind, description, currency, record_id, stream, rule_version, lines, stale }
    }
}

impl From<JournalLine> for BookedLine {
    fn from(line: JournalLine) -> Self {
        let JournalLine { role, account: Account { code, name, kind }, debit_minor, credit_minor } = line;
        Self { role, account_code: code, account_name: name, account_type: kind, debit_minor, credit_minor }
    }
}
