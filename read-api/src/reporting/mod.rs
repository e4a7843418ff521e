//! Figures for boards and analysts. The same as in the SQL views of schema `reporting`.

mod event_attendance;
mod event_fill;
mod invoice_ageing;
mod membership_changes;
mod memberships;
mod revenue;

use chrono::NaiveDate;
use guildhall_web::{Caller, Problem, Role, problem::kind};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{ReadState, parameters::Day};

pub(crate) const TAG: &str = "reports";

pub(crate) fn routes() -> OpenApiRouter<ReadState> {
    OpenApiRouter::new()
        .routes(routes!(memberships::memberships))
        .routes(routes!(membership_changes::membership_changes))
        .routes(routes!(event_fill::event_fill))
        .routes(routes!(event_attendance::event_attendance))
        .routes(routes!(revenue::revenue))
        .routes(routes!(invoice_ageing::invoice_ageing))
}

/// Figures name nobody: whoever may do anything may read them.
fn admit(caller: &Caller) -> Result<(), Problem> {
    caller.require(&Role::ALL)
}

/// A span of months, in the right order.
fn months(Day(from): Day, Day(to): Day) -> Result<(NaiveDate, NaiveDate), Problem> {
    if from <= to {
        return Ok((from, to));
    }
    Err(Problem::new(kind::INVALID_QUERY, "`from` is later than `to`; turn them round."))
}
