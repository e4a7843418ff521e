//! The journal as a file for a bookkeeping program: streamed, so that its length costs no memory.

use std::{
    io,
    mem::take,
    sync::{Arc, Mutex, PoisonError},
};

use axum::body::{Body, Bytes};
use chrono::NaiveDate;
use deadpool_postgres::Pool;
use futures::{Stream, stream::try_unfold};
use guildhall_aggregates::TenantId;
use guildhall_erp_sync::{Export, Format};
use guildhall_projections::erp_journal::{self, JournalEntry};
use guildhall_web::Problem;
use uuid::Uuid;

use crate::problems;

/// How many entries are in memory at once.
const PAGE: i64 = 1_000;

/// Which entries to write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) tenant: TenantId,
    pub(super) from: NaiveDate,
    pub(super) to: NaiveDate,
}

/// The file, as a body that is written while it is sent.
///
/// # Errors
/// None but the writer's own; what goes wrong later breaks the body off, so that no half file looks like a whole.
pub(super) fn body(pool: Pool, span: Span, format: Format, association: &str) -> Result<Body, Problem> {
    let written = Written::default();
    let export = Export::begin(format, written.clone(), association).map_err(|error| Problem::internal(&error))?;
    Ok(Body::from_stream(chunks(Writing { pool, span, written, export: Some(export), after: None })))
}

/// A file half written.
struct Writing {
    pool: Pool,
    span: Span,
    written: Written,
    /// None once it is finished.
    export: Option<Export<Written>>,
    after: Option<(NaiveDate, Uuid)>,
}

fn chunks(writing: Writing) -> impl Stream<Item = Result<Bytes, Problem>> {
    try_unfold(writing, |mut writing| async move {
        let Some(mut export) = writing.export.take() else { return Ok(None) };
        let page = writing.page().await?;
        let last = page.last().map(|entry| (entry.dated, entry.entry_id));
        for entry in &page {
            export.entry(entry).map_err(|error| Problem::internal(&error))?;
        }
        match last {
            Some(last) => (writing.after, writing.export) = (Some(last), Some(export)),
            None => {
                export.finish().map_err(|error| Problem::internal(&error))?;
            }
        }
        Ok(Some((writing.written.taken(), writing)))
    })
}

impl Writing {
    /// The next entries. A connection is taken for each page, so that a slow client holds none.
    async fn page(&self) -> Result<Vec<JournalEntry>, Problem> {
        let Span { tenant, from, to } = self.span;
        let client = self.pool.get().await.map_err(|error| problems::unavailable(&error))?;
        erp_journal::entries(&client, tenant, from, to, self.after, PAGE)
            .await
            .map_err(|error| super::of_journal(&error))
    }
}

/// What was written and not sent yet. The export writes into it while the body takes out of it.
#[derive(Debug, Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn taken(&self) -> Bytes {
        take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
