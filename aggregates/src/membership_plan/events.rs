//! What a plan is made of and what can happen to it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use crate::{Money, source::SourceRef};

/// The unit a term is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DurationUnit {
    /// Days.
    Day,
    /// Calendar months.
    Month,
    /// Calendar years.
    Year,
    /// For life: the term has no end, and the interval means nothing.
    Lifetime,
}

/// A day of the year, such as 1 November.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct MonthDay {
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31; a day the month does not have runs on into the next month.
    pub day: u32,
}

/// When terms begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Period {
    /// On the day of joining.
    Rolling,
    /// On one day of the year for everyone; who joins on or after the rollover day gets the next year too.
    FixedYear {
        /// The day terms begin.
        start: MonthDay,
        /// The day from which joining counts for the next term as well.
        rollover: MonthDay,
    },
    /// On the first of the month; who joins on or after the rollover day gets the next month too.
    FixedMonth {
        /// Day of the month, 1 to 31.
        rollover_day: u32,
    },
}

/// How long after its end a membership is still in grace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "unit", content = "count", rename_all = "snake_case")]
pub enum GracePeriod {
    /// A number of days.
    Days(u32),
    /// A number of calendar months.
    Months(u32),
}

impl Default for GracePeriod {
    /// One month.
    fn default() -> Self {
        Self::Months(1)
    }
}

/// How a fee is reduced for a part of a term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Proration {
    /// It is not.
    None,
    /// A twelfth of the fee for each remaining month.
    ByMonth,
    /// By days; the day of joining counts.
    ByDay,
    /// A percentage of the fee for each month of joining, January first.
    ByBand {
        /// Twelve percentages, 0 to 100.
        percent: [u8; 12],
    },
}

/// Days around the end of a term in which it may be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RenewalWindow {
    /// Days before the end.
    pub days_before: u32,
    /// Days after the end.
    pub days_after: u32,
}

/// All that a plan says. A running term keeps the terms it was sold under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanTerms {
    /// Its name.
    pub name: String,
    /// What one term costs.
    pub fee: Money,
    /// What a term is counted in.
    pub duration_unit: DurationUnit,
    /// How many units make one term.
    pub duration_interval: u32,
    /// When terms begin.
    pub period: Period,
    /// How long after the end a membership is in grace.
    #[serde(default)]
    pub grace: GracePeriod,
    /// When it may be renewed; at any time where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_window: Option<RenewalWindow>,
    /// Whether someone has to approve an application.
    #[serde(default)]
    pub approval_required: bool,
    /// How the fee is reduced for a part of a term.
    pub proration: Proration,
    /// What members of the plan get, as people read it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub benefits: Vec<String>,
    /// How many related contacts may inherit a membership; none where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited_by_max: Option<u32>,
}

/// What happened. Stored for ever: add variants and versions, never change one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(tag = "type")]
pub enum PlanEvent {
    /// The plan can be applied for. Its version is 1.
    PlanCreated {
        /// Its code, unique within the association.
        code: String,
        /// All that it says.
        terms: PlanTerms,
        /// Where it was imported from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<SourceRef>,
    },
    /// It says something else for terms sold from now on.
    PlanRevised {
        /// The new plan version: one more than before.
        version: u32,
        /// All that it says now.
        terms: PlanTerms,
    },
    /// It can no longer be applied for.
    PlanRetired {},
}
