//! The reports, each one query on a documented view of schema `reporting`: what an analyst sees and what the server says
//! are the same figures.

use chrono::{NaiveDate, NaiveDateTime};
use deadpool_postgres::Client;
use guildhall_aggregates::TenantId;
use serde::Serialize;
use tokio_postgres::{Error, Row, types::ToSql};
use uuid::Uuid;

/// The most rows a report gives.
pub const LARGEST_REPORT: i64 = 5_000;

/// Memberships of one plan in one status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MembershipCount {
    /// The plan.
    pub plan_id: Uuid,
    /// Its code.
    pub plan_code: Option<String>,
    /// Its name.
    pub plan_name: Option<String>,
    /// The status.
    pub status: String,
    /// How many.
    pub memberships: i64,
}

/// What moved in a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Movements {
    /// The month, as its first day.
    pub month: NaiveDate,
    /// Memberships with their join date in the month.
    pub joined: i64,
    /// Renewals recorded in the month.
    pub renewed: i64,
    /// Memberships that expired; in months to come, that will unless they are renewed.
    pub lapsed: i64,
    /// Memberships that were cancelled.
    pub cancelled: i64,
}

/// How full one capacity pool of an association event is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolFill {
    /// The association event.
    pub event_id: Uuid,
    /// Its title.
    pub title: Option<String>,
    /// Its start, local to `time_zone`.
    pub starts_local: Option<NaiveDateTime>,
    /// The IANA zone of the start.
    pub time_zone: Option<String>,
    /// Whether it was called off.
    pub cancelled: bool,
    /// The pool.
    pub pool: String,
    /// How many places it has; none for no limit.
    pub size: Option<i64>,
    /// Places confirmed.
    pub confirmed: i64,
    /// Places that wait for payment or approval.
    pub pending: i64,
    /// Places held for a short while.
    pub held: i64,
    /// Places offered to the waitlist.
    pub offered: i64,
    /// Places people wait for.
    pub waitlisted: i64,
    /// Places left; none for no limit.
    pub available: Option<i64>,
}

/// Who was expected at an association event and who came, in places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attendance {
    /// The association event.
    pub event_id: Uuid,
    /// Its title.
    pub title: String,
    /// Its start, local to `time_zone`.
    pub starts_local: NaiveDateTime,
    /// The IANA zone of the start.
    pub time_zone: String,
    /// Whether it was called off.
    pub cancelled: bool,
    /// Registrations in whatever standing.
    pub registrations: i64,
    /// Places confirmed.
    pub expected: i64,
    /// Places checked in.
    pub attended: i64,
    /// Places recorded as not used.
    pub no_shows: i64,
    /// Places cancelled, declined or lapsed.
    pub given_up: i64,
    /// Places people wait for.
    pub waitlisted: i64,
}

/// Revenue of one kind in a month, as invoiced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revenue {
    /// The month, as its first day.
    pub month: NaiveDate,
    /// `dues`, `event_fee`, `donation` or `other`.
    pub kind: String,
    /// ISO 4217.
    pub currency: String,
    /// The sum in minor units, before tax.
    pub amount_minor: i64,
    /// How many invoices, credit notes and contributions.
    pub records: i64,
}

/// What is open of invoices of one age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ageing {
    /// Days past due: `current`, `1-30`, `31-60`, `61-90` or `>90`.
    pub bucket: String,
    /// ISO 4217.
    pub currency: String,
    /// How many invoices.
    pub invoices: i64,
    /// What is open, in minor units.
    pub open_minor: i64,
}

/// Memberships by plan and status as of a date.
pub async fn memberships_as_of(
    client: &Client,
    tenant: TenantId,
    day: NaiveDate,
) -> Result<Vec<MembershipCount>, Error> {
    let sql = "SELECT plan_id, plan_code, plan_name, status, memberships FROM reporting.memberships_as_of($2) \
               WHERE tenant_id = $1 ORDER BY plan_code, plan_id, status";
    report(client, sql, &[&tenant.uuid(), &day], |row| MembershipCount {
        plan_id: row.get(0),
        plan_code: row.get(1),
        plan_name: row.get(2),
        status: row.get(3),
        memberships: row.get(4),
    })
    .await
}

/// Joiners, renewals, lapses and cancellations of the months between two days, both months included.
pub async fn movements_per_month(
    client: &Client,
    tenant: TenantId,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<Movements>, Error> {
    let sql = "SELECT month, joined, renewed, lapsed, cancelled FROM reporting.joiners_renewals_lapses_per_month \
               WHERE tenant_id = $1 AND month BETWEEN date_trunc('month', $2::date)::date AND $3 ORDER BY month";
    report(client, sql, &[&tenant.uuid(), &from, &to], |row| Movements {
        month: row.get(0),
        joined: row.get(1),
        renewed: row.get(2),
        lapsed: row.get(3),
        cancelled: row.get(4),
    })
    .await
}

/// How full the pools are: of one association event, or of all, the latest first.
pub async fn event_fill(client: &Client, tenant: TenantId, event: Option<Uuid>) -> Result<Vec<PoolFill>, Error> {
    let sql = "SELECT event_id, title, starts_local, time_zone, cancelled, pool, size, confirmed, pending, held, \
                      offered, waitlisted, available FROM reporting.event_fill \
               WHERE tenant_id = $1 AND ($2::uuid IS NULL OR event_id = $2) \
               ORDER BY starts_local DESC NULLS LAST, event_id, pool";
    report(client, sql, &[&tenant.uuid(), &event], |row| PoolFill {
        event_id: row.get(0),
        title: row.get(1),
        starts_local: row.get(2),
        time_zone: row.get(3),
        cancelled: row.get(4),
        pool: row.get(5),
        size: row.get(6),
        confirmed: row.get(7),
        pending: row.get(8),
        held: row.get(9),
        offered: row.get(10),
        waitlisted: row.get(11),
        available: row.get(12),
    })
    .await
}

/// Who was expected and who came: at one association event, or at all, the latest first.
pub async fn event_attendance(
    client: &Client,
    tenant: TenantId,
    event: Option<Uuid>,
) -> Result<Vec<Attendance>, Error> {
    let sql = "SELECT event_id, title, starts_local, time_zone, cancelled, registrations, expected, attended, no_shows, \
                      given_up, waitlisted FROM reporting.event_attendance \
               WHERE tenant_id = $1 AND ($2::uuid IS NULL OR event_id = $2) ORDER BY starts_local DESC, event_id";
    report(client, sql, &[&tenant.uuid(), &event], |row| Attendance {
        event_id: row.get(0),
        title: row.get(1),
        starts_local: row.get(2),
        time_zone: row.get(3),
        cancelled: row.get(4),
        registrations: row.get(5),
        expected: row.get(6),
        attended: row.get(7),
        no_shows: row.get(8),
        given_up: row.get(9),
        waitlisted: row.get(10),
    })
    .await
}

/// Revenue by month and kind of the months between two days, both months included.
pub async fn revenue_by_month(
    client: &Client,
    tenant: TenantId,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<Revenue>, Error> {
    let sql = "SELECT month, kind, currency, amount_minor, records FROM reporting.revenue_by_month_and_kind \
               WHERE tenant_id = $1 AND month BETWEEN date_trunc('month', $2::date)::date AND $3 \
               ORDER BY month, kind, currency";
    report(client, sql, &[&tenant.uuid(), &from, &to], |row| Revenue {
        month: row.get(0),
        kind: row.get(1),
        currency: row.get(2),
        amount_minor: row.get(3),
        records: row.get(4),
    })
    .await
}

/// What was open on a date, by days past due.
pub async fn invoice_ageing(client: &Client, tenant: TenantId, day: NaiveDate) -> Result<Vec<Ageing>, Error> {
    let sql = "SELECT bucket, currency, invoices, open_minor FROM reporting.invoice_ageing_as_of($2) \
               WHERE tenant_id = $1 \
               ORDER BY array_position(ARRAY['current', '1-30', '31-60', '61-90', '>90'], bucket), currency";
    report(client, sql, &[&tenant.uuid(), &day], |row| Ageing {
        bucket: row.get(0),
        currency: row.get(1),
        invoices: row.get(2),
        open_minor: row.get(3),
    })
    .await
}

async fn report<T>(
    client: &Client,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
    line: impl Fn(&Row) -> T,
) -> Result<Vec<T>, Error> {
    let statement = client.prepare_cached(&format!("{sql} LIMIT {LARGEST_REPORT}")).await?;
    Ok(client.query(&statement, parameters).await?.iter().map(line).collect())
}
