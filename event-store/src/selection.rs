//! Some of history, for a reader that goes over all of it and wants a part: the rest is not fetched for it.

use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};

use crate::{
    StoreError,
    read::{archived_between, natural, recorded, signed},
    record::RecordedEvent,
};

/// The most positions one reading of what is selected goes over.
pub const MAX_RANGE: u64 = 100_000;

/// The events a reader wants: those of some categories, less the types that mean nothing to it. A type nobody has thought
/// of is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// The categories of streams.
    pub categories: &'static [&'static str],
    /// Types of events that are left out, in whichever of the categories they are.
    pub without: &'static [&'static str],
}

impl Selection {
    /// Whether the reader wants an event.
    pub fn takes(&self, event: &RecordedEvent) -> bool {
        self.categories.contains(&&*event.stream.category) && !self.without.contains(&&*event.type_name)
    }
}

/// One of several shares of all streams; together they hold each stream once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Which one, from 0.
    pub number: u16,
    /// How many there are, at least 1.
    pub of: u16,
}

impl Share {
    /// All streams.
    pub const WHOLE: Self = Self { number: 0, of: 1 };
}

/// The selected events of a share after `after` and up to `until`, in order.
pub(crate) async fn selected(
    client: &Client,
    after: u64,
    until: u64,
    selection: &Selection,
    share: Share,
) -> Result<Vec<RecordedEvent>, StoreError> {
    let (from, to) = (signed(after), signed(until));
    let (number, of) = (i64::from(share.number), i64::from(share.of));
    let arguments: &[(&(dyn ToSql + Sync), Type)] = &[
        (&from, Type::INT8),
        (&to, Type::INT8),
        (&selection.without, Type::TEXT_ARRAY),
        (&of, Type::INT8),
        (&number, Type::INT8),
        (&selection.categories, Type::TEXT_ARRAY),
    ];
    let rows = client
        .query_typed(
            "SELECT e.position, e.tenant_id, s.category, s.id, e.version, e.event_id, e.type, e.schema_version,
                    e.payload, e.metadata, e.command_id, e.leaf_hash, e.recorded_at
             FROM (SELECT * FROM es.event
                   WHERE position > $1 AND position <= $2 AND type <> ALL ($3) AND stream_key % $4 = $5) e
             CROSS JOIN LATERAL (SELECT category, id FROM es.stream WHERE stream_key = e.stream_key LIMIT 1) s
             WHERE s.category = ANY ($6)
             ORDER BY e.position",
            arguments,
        )
        .await?;
    recorded(&rows)
}

/// Sees that every position after `after` and up to `until` is here, which what was selected cannot show.
pub(crate) async fn check_whole(client: &Client, after: u64, until: u64) -> Result<(), StoreError> {
    let range: &[(&(dyn ToSql + Sync), Type)] = &[(&signed(after), Type::INT8), (&signed(until), Type::INT8)];
    let counted = "SELECT count(*) FROM es.event WHERE position > $1 AND position <= $2";
    let row = client.query_typed(counted, range).await?.into_iter().next();
    let found = row.map(|row| natural(&row, 0)).transpose()?.unwrap_or(0);
    if found == until.saturating_sub(after) {
        return Ok(());
    }
    let missing = after.saturating_add(1);
    Err(archived_between(client, missing, until).await?.unwrap_or(StoreError::Hole { expected: missing, found: until }))
}
