//! What lapses with time: holds, unpaid registrations, offers. A deadline is noted when an event sets it; the timer
//! asks the roster to let go of what is due, and to offer what is free. A roster that has nothing to do records
//! nothing, so a deadline that was overtaken, or met by two nodes at once, costs a command and nothing else.

use chrono::{DateTime, Utc};
use deadpool_postgres::Pool;
use guildhall_aggregates::{
    StoredEvent, TenantId,
    event_roster::{EventRoster, ExpireDue, RosterEvent},
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

/// The deadlines an event sets.
///
/// A decision offers so many places and no more, and none while registration is closed: where places were offered, or
/// registration was opened, the roster is to look again at once.
pub(crate) fn set_by(event: &RecordedEvent) -> Result<Vec<Deadline>, ProcessError> {
    if &*event.stream.category != RosterEvent::CATEGORY {
        return Ok(vec![]);
    }
    let due = match event.decode()? {
        RosterEvent::PlaceHeld { until, .. }
        | RosterEvent::PaymentAwaited { until, .. }
        | RosterEvent::OfferAccepted { until, .. } => vec![until],
        RosterEvent::PlaceOffered { until, .. } => vec![until, event.recorded_at],
        RosterEvent::RegistrationOpened { .. } => vec![event.recorded_at],
        _ => vec![],
    };
    let (tenant, stream_id) = (event.tenant, event.stream.id);
    Ok(due.into_iter().map(|due_at| Deadline { due_at, tenant, stream_id }).collect())
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

/// Lets lapse what is due now, roster by roster. Gives how many rosters were asked.
pub(crate) async fn expire_due(hands: &Hands, pool: &Pool) -> Result<usize, ProcessError> {
    let now = hands.store().clock().now();
    let unreachable = |error: &dyn std::fmt::Display| ProcessError::Tables(error.to_string());
    let client = pool.get().await.map_err(|error| unreachable(&error))?;
    let due = client
        .query(
            "SELECT tenant_id, stream_id, array_agg(due_at) FROM process.deadline WHERE due_at <= $1
             GROUP BY tenant_id, stream_id ORDER BY min(due_at) LIMIT $2",
            &[&now, &ROUND],
        )
        .await
        .map_err(|error| unreachable(&error))?;
    for row in &due {
        let (tenant, stream_id): (Uuid, Uuid) = (row.get(0), row.get(1));
        let met: Vec<DateTime<Utc>> = row.get(2);
        expire(hands, tenant.into(), stream_id, now).await?;
        client
            .execute(
                "DELETE FROM process.deadline WHERE due_at = ANY($1) AND tenant_id = $2 AND stream_id = $3",
                &[&met, &tenant, &stream_id],
            )
            .await
            .map_err(|error| unreachable(&error))?;
    }
    Ok(due.len())
}

/// Asks a roster until it has nothing to do. Each decision lets lapse so many registrations and no more, because what
/// is decided at once is recorded at once.
async fn expire(hands: &Hands, tenant: TenantId, roster: Uuid, now: DateTime<Utc>) -> Result<(), ProcessError> {
    let metadata = Metadata {
        command: "ExpireDue".to_owned(),
        actor: Actor::Process(PROCESS.to_owned()),
        correlation_id: Uuid::now_v7(),
        causation_id: None,
        traceparent: None,
    };
    let ask =
        || hands.send_order::<EventRoster>(tenant, roster, ExpireDue { now }.into(), Uuid::now_v7(), metadata.clone());
    while ask().await? {}
    Ok(())
}
