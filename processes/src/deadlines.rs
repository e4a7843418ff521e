//! What lapses with time: holds, unpaid registrations, offers. A deadline is noted when an event sets it;
//! the timer asks the roster to let go of what is due. A deadline that was overtaken costs one command that
//! records nothing.

use chrono::{DateTime, Utc};
use deadpool_postgres::Pool;
use guildhall_aggregates::{
    StoredEvent, TenantId,
    event_roster::{EventRoster, ExpireDue, RosterEvent},
    ids::derived,
};
use guildhall_event_store::{Actor, Metadata, RecordedEvent};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::hands::{Hands, ProcessError};

const PROCESS: &str = "deadlines";
/// Rosters asked in one round of the timer.
const ROUND: i64 = 100;

/// One deadline of a roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deadline {
    due_at: DateTime<Utc>,
    tenant: TenantId,
    stream_id: Uuid,
}

/// The deadline an event sets, if it sets one.
pub(crate) fn set_by(event: &RecordedEvent) -> Result<Option<Deadline>, ProcessError> {
    if &*event.stream.category != RosterEvent::CATEGORY {
        return Ok(None);
    }
    let due_at = match event.decode()? {
        RosterEvent::PlaceHeld { until, .. }
        | RosterEvent::PaymentAwaited { until, .. }
        | RosterEvent::PlaceOffered { until, .. }
        | RosterEvent::OfferAccepted { until, .. } => Some(until),
        _ => None,
    };
    Ok(due_at.map(|due_at| Deadline { due_at, tenant: event.tenant, stream_id: event.stream.id }))
}

/// Notes deadlines, each once.
pub(crate) async fn note(client: &Client, deadlines: &[Deadline]) -> Result<(), tokio_postgres::Error> {
    if deadlines.is_empty() {
        return Ok(());
    }
    let due: Vec<_> = deadlines.iter().map(|deadline| deadline.due_at).collect();
    let tenants: Vec<_> = deadlines.iter().map(|deadline| deadline.tenant.uuid()).collect();
    let streams: Vec<_> = deadlines.iter().map(|deadline| deadline.stream_id).collect();
    client
        .execute(
            "INSERT INTO process.deadline (due_at, tenant_id, stream_id)
             SELECT * FROM unnest($1::timestamptz[], $2::uuid[], $3::uuid[])
             ON CONFLICT DO NOTHING",
            &[&due, &tenants, &streams],
        )
        .await?;
    Ok(())
}

/// Lets lapse what is due now. Gives how many deadlines were dealt with.
pub(crate) async fn expire_due(hands: &Hands, pool: &Pool) -> Result<usize, ProcessError> {
    let now = hands.store().clock().now();
    let unreachable = |error: &dyn std::fmt::Display| ProcessError::Tables(error.to_string());
    let client = pool.get().await.map_err(|error| unreachable(&error))?;
    let due = client
        .query(
            "SELECT due_at, tenant_id, stream_id FROM process.deadline WHERE due_at <= $1 ORDER BY due_at LIMIT $2",
            &[&now, &ROUND],
        )
        .await
        .map_err(|error| unreachable(&error))?;
    for row in &due {
        let (due_at, tenant, stream_id): (DateTime<Utc>, Uuid, Uuid) = (row.get(0), row.get(1), row.get(2));
        let command_id = derived(stream_id, &[PROCESS, &due_at.timestamp_micros().to_string()]);
        let metadata = Metadata {
            command: "ExpireDue".to_owned(),
            actor: Actor::Process(PROCESS.to_owned()),
            correlation_id: command_id,
            causation_id: None,
            traceparent: None,
        };
        let command = ExpireDue { now }.into();
        hands.send_order::<EventRoster>(tenant.into(), stream_id, command, command_id, metadata).await?;
        client
            .execute(
                "DELETE FROM process.deadline WHERE due_at = $1 AND tenant_id = $2 AND stream_id = $3",
                &[&due_at, &tenant, &stream_id],
            )
            .await
            .map_err(|error| unreachable(&error))?;
    }
    Ok(due.len())
}
