//! Reads history as an auditor does, and names the first record that is not what was recorded.
//!
//! What is seen: a changed, removed, inserted or moved record, a stream or a command in the log that events know nothing
//! of, and an end that was cut off. What is not seen: an attacker who may write to the database and rewrites a record
//! together with its hash and the command log. That takes a signed checkpoint kept elsewhere. Nothing at all attests the
//! hash of a request, and that a command that recorded nothing was ever sent.

mod books;

use std::fmt;

use deadpool_postgres::Pool;
use guildhall_aggregates::TenantId;
use tokio_postgres::{Client, Row, types::Type};
use uuid::Uuid;

use crate::{
    RecordedEvent, StoreError, StreamId,
    read::{natural, recorded, signed},
};

/// Events of one query. Queries are short, so that an audit holds up nobody.
const PAGE: u64 = 2_000;

/// What is to be verified.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerifyOptions {
    /// One association's records only; of the others only the positions are looked at. `None` for all.
    pub tenant: Option<TenantId>,
    /// Only what stands after this position.
    pub after: u64,
}

/// How far verifying has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Everything up to here is as it was recorded.
    pub position: u64,
    /// Where history ended when verifying began.
    pub head: u64,
}

/// What verifying found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// How many records were checked.
    pub records: u64,
    /// Where history ended when verifying began.
    pub head: u64,
    /// The first record that is not as it was recorded. `None`: all are.
    pub first_difference: Option<Difference>,
}

/// A record that is not as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where it stands, or should.
    pub position: u64,
    /// The stream it is in, where it is there at all.
    pub stream: Option<StreamId>,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no record at the position.
    #[error("the record is missing; the next one is at position {next}")]
    Missing {
        /// The next position with a record.
        next: u64,
    },
    /// History ends before commands that were recorded.
    #[error("history ends here, but the command log goes on to position {logged}")]
    CutOff {
        /// The highest position of the command log.
        logged: u64,
    },
    /// The record before it in its stream is missing, or stands after it.
    #[error("version {version} does not follow version {} of its stream", version - 1)]
    OutOfSequence {
        /// The record's version.
        version: u64,
    },
    /// Its content is not what was hashed when it was recorded.
    #[error("its content is not what its hash was made of")]
    Changed,
    /// The command it names is not in the command log, or recorded something else.
    #[error("the command log does not have it")]
    NotInLog,
    /// Its stream is of another association, or is not known at all.
    #[error("its stream is not its association's")]
    ForeignStream,
    /// A stream is there twice, or does not begin at the position it names.
    #[error("the stream does not begin here, or is there twice")]
    WrongStream,
    /// The command log has a command that events, or its stream, know nothing of.
    #[error("the command log has command {command_id}, and history does not")]
    NotInHistory {
        /// The command.
        command_id: Uuid,
    },
    /// There is a record below the first position, where nobody reads in order and a stream may still find it.
    #[error("a record is hidden below the first position")]
    Hidden,
}

/// Written for a person: `position 17 (member-0198…): its content is …`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "position {}", self.position)?;
        if let Some(stream) = &self.stream {
            write!(f, " ({stream})")?;
        }
        write!(f, ": {}", self.problem)
    }
}

pub(crate) async fn run(
    pool: &Pool,
    options: VerifyOptions,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<VerifyReport, StoreError> {
    let client = pool.get().await?;
    let head = crate::read::head(&client).await?;
    let mut report = VerifyReport { records: 0, head, first_difference: None };
    let mut position = options.after;
    while position < head {
        let rows = page(&client, options.tenant, position).await?;
        if rows.is_empty() {
            // What was there when this began is gone.
            break;
        }
        report.first_difference = check(&rows, &mut position, &mut report.records)?;
        progress(Progress { position, head });
        if let Some(difference) = &report.first_difference {
            // What lies in an archive can neither be verified nor be said to be missing.
            if let Problem::Missing { next } = difference.problem
                && let Some(archived) = crate::read::archived_below(&client, next).await?
            {
                return Err(archived);
            }
            return Ok(report);
        }
    }
    report.first_difference = match cut_off(&client, head).await? {
        None => books::first_difference(&client, options.tenant).await?,
        found => found,
    };
    Ok(report)
}

/// The next records, with what the rest of the database says about each. Of other associations' records only the
/// position is read.
async fn page(client: &Client, tenant: Option<TenantId>, position: u64) -> Result<Vec<Row>, StoreError> {
    let rows = client
        .query_typed(
            "SELECT e.position, e.tenant_id, coalesce(s.category, ''), coalesce(s.id, e.event_id), e.version, e.event_id,
                    e.type, e.schema_version, CASE WHEN mine THEN e.payload END,
                    CASE WHEN mine THEN e.metadata END, e.command_id, e.leaf_hash, e.recorded_at,
                    s.tenant_id IS NOT DISTINCT FROM e.tenant_id AND s.first_position <= e.position,
                    e.version = 1 OR before.position IS NOT NULL,
                    l.position IS NOT NULL,
                    mine
             FROM (SELECT *, $2 IS NULL OR tenant_id = $2 AS mine FROM es.event
                   WHERE position > $1 ORDER BY position LIMIT $3) e
             LEFT JOIN LATERAL (
                 SELECT s.* FROM es.stream s WHERE mine AND s.stream_key = e.stream_key LIMIT 1) s ON true
             LEFT JOIN LATERAL (
                 SELECT b.position FROM es.event b
                 WHERE mine AND b.stream_key = e.stream_key AND b.version = e.version - 1
                   AND b.position >= s.first_position AND b.position < e.position LIMIT 1) before ON true
             LEFT JOIN LATERAL (
                 SELECT l.position FROM es.command_log l
                 WHERE mine AND l.tenant_id = e.tenant_id AND l.command_id = e.command_id
                   AND l.stream_key = e.stream_key AND l.position - e.position = l.version - e.version
                   AND l.position - e.position BETWEEN 0 AND l.event_count - 1 LIMIT 1) l ON true
             ORDER BY e.position",
            &[
                (&signed(position), Type::INT8),
                (&tenant.map(TenantId::uuid), Type::UUID),
                (&signed(PAGE), Type::INT8),
            ],
        )
        .await?;
    Ok(rows)
}

fn check(rows: &[Row], position: &mut u64, records: &mut u64) -> Result<Option<Difference>, StoreError> {
    for row in rows {
        let at = natural(row, 0)?;
        if at != *position + 1 {
            let problem = Problem::Missing { next: at };
            return Ok(Some(Difference { position: *position + 1, stream: None, problem }));
        }
        let mine: bool = row.try_get(16)?;
        if mine {
            let event = recorded(std::slice::from_ref(row))?.remove(0);
            if let Some(problem) = problem(row, &event)? {
                return Ok(Some(Difference { position: at, stream: Some(event.stream), problem }));
            }
            *records += 1;
        }
        *position = at;
    }
    Ok(None)
}

fn problem(row: &Row, event: &RecordedEvent) -> Result<Option<Problem>, StoreError> {
    let (own_stream, in_sequence, logged): (bool, bool, bool) = (row.try_get(13)?, row.try_get(14)?, row.try_get(15)?);
    Ok(if !own_stream {
        Some(Problem::ForeignStream)
    } else if event.computed_leaf_hash() != event.leaf_hash {
        Some(Problem::Changed)
    } else if !in_sequence {
        Some(Problem::OutOfSequence { version: event.version })
    } else if !logged {
        Some(Problem::NotInLog)
    } else {
        None
    })
}

/// Whether commands were recorded behind the end. Read after the events, so what was appended meanwhile is no finding.
async fn cut_off(client: &Client, head: u64) -> Result<Option<Difference>, StoreError> {
    let row = client
        .query_one(
            "SELECT coalesce(max(position), 0), (SELECT coalesce(max(position), 0) FROM es.event) FROM es.command_log",
            &[],
        )
        .await?;
    let (logged, now) = (natural(&row, 0)?, natural(&row, 1)?);
    let problem = Problem::CutOff { logged };
    Ok((logged > now).then_some(Difference { position: head, stream: None, problem }))
}
