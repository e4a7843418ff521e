//! What an association event offers: pools of places, ticket types, how those who ask are treated.

use guildhall_aggregates::{
    association_event::EventDetails,
    event_roster::{CancellationFee, CapacityPool, RosterPolicy, TicketType},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Amount, Line, Moment, Prose};

/// What people read about an association event.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// Its title.
    #[schema(example = "Annual meeting")]
    pub title: Line,
    /// A paragraph about it.
    pub summary: Option<Prose>,
    /// Where it is.
    pub venue: Option<Line>,
}

impl From<Details> for EventDetails {
    fn from(details: Details) -> Self {
        Self {
            title: details.title.into(),
            summary: details.summary.map(Into::into),
            venue: details.venue.map(Into::into),
        }
    }
}

/// A number of places that is filled once.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Its name within the event.
    #[schema(example = "hall")]
    pub name: Line,
    /// How many places it has; left out where there is no limit.
    pub size: Option<u32>,
}

/// What can be registered for.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// Its code within the event.
    #[schema(example = "standard")]
    pub code: Line,
    /// What it costs.
    pub fee: Amount,
    /// What it costs someone whose membership is current on the event's date; the fee where not given.
    pub member_fee: Option<Amount>,
    /// The pools one ticket draws one place from each; all must have room.
    #[serde(deserialize_with = "super::at_most::<50, _, _>")]
    #[schema(max_items = 50)]
    pub pools: Vec<Line>,
}

/// What is kept of the fee when a confirmed place is given back.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum KeptFee {
    /// Nothing.
    None {},
    /// A fixed amount.
    Fixed {
        /// The amount.
        amount: Amount,
    },
    /// A share of what was paid.
    Percent {
        /// 0 to 100.
        #[schema(maximum = 100)]
        percent: u8,
    },
}

/// How a roster treats those who ask. What is left out has its usual value.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Minutes a place is held before there is an invoice: 1 to 120, usually 30.
    #[schema(minimum = 1, maximum = 120)]
    pub hold_minutes: Option<u32>,
    /// Days an invoice may stay open, usually 14.
    pub payment_term_days: Option<u32>,
    /// Hours an offer stands: at least 1, usually 48.
    #[schema(minimum = 1)]
    pub offer_hours: Option<u32>,
    /// Whether those who find no room may wait; usually they may.
    pub waitlist: Option<bool>,
    /// Whether someone has to approve a registration; usually not.
    pub approval_required: Option<bool>,
    /// Whether one person may hold several live registrations; usually not.
    pub several_per_person: Option<bool>,
    /// Whether smaller parties may be offered a place past a group that is too large for it; usually not.
    pub pass_over_large_groups: Option<bool>,
    /// What is kept when a place is given back; usually nothing.
    pub cancellation_fee: Option<KeptFee>,
    /// Until when giving back is refunded; at any time where not given.
    pub refundable_until: Option<Moment>,
}

impl From<Pool> for CapacityPool {
    fn from(pool: Pool) -> Self {
        Self { name: pool.name.into(), size: pool.size }
    }
}

impl From<Ticket> for TicketType {
    fn from(ticket: Ticket) -> Self {
        Self {
            code: ticket.code.into(),
            fee: ticket.fee.into(),
            member_fee: ticket.member_fee.map(Into::into),
            pools: ticket.pools.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<KeptFee> for CancellationFee {
    fn from(kept: KeptFee) -> Self {
        match kept {
            KeptFee::None {} => Self::None,
            KeptFee::Fixed { amount } => Self::Fixed { amount: amount.into() },
            KeptFee::Percent { percent } => Self::Percent { percent },
        }
    }
}

impl From<Policy> for RosterPolicy {
    fn from(policy: Policy) -> Self {
        let usual = Self::default();
        Self {
            hold_minutes: policy.hold_minutes.unwrap_or(usual.hold_minutes),
            payment_term_days: policy.payment_term_days.unwrap_or(usual.payment_term_days),
            offer_hours: policy.offer_hours.unwrap_or(usual.offer_hours),
            waitlist: policy.waitlist.unwrap_or(usual.waitlist),
            approval_required: policy.approval_required.unwrap_or(usual.approval_required),
            several_per_person: policy.several_per_person.unwrap_or(usual.several_per_person),
            pass_over_large_groups: policy.pass_over_large_groups.unwrap_or(usual.pass_over_large_groups),
            cancellation_fee: policy.cancellation_fee.map_or(usual.cancellation_fee, Into::into),
            refundable_until: policy.refundable_until.map(|Moment(instant)| instant),
        }
    }
}
