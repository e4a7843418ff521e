//! Invoices and what they are for.

use guildhall_aggregates::{
    AssociationEventId, MembershipId, RegistrationId,
    invoice::{InvoiceLine, InvoicePurpose, RevenueKind, ServicePeriod},
    payment::ContributionStanding,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Day, Line};

/// What is charged for; decides the account of the revenue and when it is recognised.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Revenue {
    /// Membership dues.
    Dues,
    /// A place at an association event.
    EventFee,
    /// A gift.
    Donation,
    /// Anything else.
    Other,
}

/// The span a charge is for.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// First day.
    pub from: Day,
    /// Last day; left out for life.
    pub to: Option<Day>,
}

/// One line of an invoice. Amounts are of the invoice's currency.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// What is charged for, as people read it; must not say anything about a person.
    #[schema(example = "Professional membership 2027")]
    pub description: Line,
    /// What kind of revenue it is.
    pub kind: Revenue,
    /// How many; 1 where not given.
    #[serde(default = "one")]
    #[schema(minimum = 1)]
    pub quantity: u32,
    /// What one costs, in minor units.
    pub unit_minor: i64,
    /// Discount on the whole line, in minor units.
    #[serde(default)]
    pub discount_minor: i64,
    /// Tax rate in hundredths of a percent, on the amount after discount.
    #[serde(default)]
    #[schema(maximum = 10_000)]
    pub tax_rate_bp: u32,
    /// The span it is for, where revenue is recognised over time or on a later date.
    pub service: Option<Service>,
}

fn one() -> u32 {
    1
}

/// What an invoice is for: whose settlement starts something.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Purpose {
    /// The first term of a membership.
    MembershipDues {
        /// Which membership.
        #[schema(value_type = Uuid)]
        membership_id: MembershipId,
    },
    /// A further term of a membership.
    RenewalDues {
        /// Which membership.
        #[schema(value_type = Uuid)]
        membership_id: MembershipId,
        /// The number the term will have.
        term_number: u32,
    },
    /// A place at an association event.
    EventFee {
        /// Which association event.
        #[schema(value_type = Uuid)]
        event_id: AssociationEventId,
        /// Whose registration.
        #[schema(value_type = Uuid)]
        registration_id: RegistrationId,
    },
    /// Something that starts nothing.
    Other {},
}

/// Where an imported contribution stood.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoneyStanding {
    /// The money is there.
    Completed,
    /// It is expected.
    Pending,
    /// It will not come.
    Cancelled,
    /// It did not come.
    Failed,
    /// It was given back.
    Refunded,
}

impl From<Revenue> for RevenueKind {
    fn from(kind: Revenue) -> Self {
        match kind {
            Revenue::Dues => Self::Dues,
            Revenue::EventFee => Self::EventFee,
            Revenue::Donation => Self::Donation,
            Revenue::Other => Self::Other,
        }
    }
}

impl From<Charge> for InvoiceLine {
    fn from(charge: Charge) -> Self {
        let service = |service: Service| ServicePeriod { from: service.from.0, to: service.to.map(|Day(day)| day) };
        Self {
            description: charge.description.into(),
            kind: charge.kind.into(),
            quantity: charge.quantity,
            unit_minor: charge.unit_minor,
            discount_minor: charge.discount_minor,
            tax_rate_bp: charge.tax_rate_bp,
            service: charge.service.map(service),
        }
    }
}

impl From<Purpose> for InvoicePurpose {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::MembershipDues { membership_id } => Self::MembershipDues { membership_id },
            Purpose::RenewalDues { membership_id, term_number } => Self::RenewalDues { membership_id, term_number },
            Purpose::EventFee { event_id, registration_id } => Self::EventFee { event_id, registration_id },
            Purpose::Other {} => Self::Other,
        }
    }
}

impl From<MoneyStanding> for ContributionStanding {
    fn from(standing: MoneyStanding) -> Self {
        match standing {
            MoneyStanding::Completed => Self::Completed,
            MoneyStanding::Pending => Self::Pending,
            MoneyStanding::Cancelled => Self::Cancelled,
            MoneyStanding::Failed => Self::Failed,
            MoneyStanding::Refunded => Self::Refunded,
        }
    }
}
