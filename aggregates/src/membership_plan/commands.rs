//! What a plan can be asked.

use super::PlanTerms;
use crate::{decide::command_enum, source::SourceRef};

/// Offer a plan.
#[derive(Debug, Clone)]
pub struct CreatePlan {
    /// Its code, unique within the association.
    pub code: String,
    /// All that it says.
    pub terms: PlanTerms,
    /// Where it is imported from.
    pub source: Option<SourceRef>,
}

/// Change what it says, for terms sold from now on.
#[derive(Debug, Clone)]
pub struct RevisePlan {
    /// All that it says from now on.
    pub terms: PlanTerms,
}

/// Stop offering it.
#[derive(Debug, Clone)]
pub struct RetirePlan {}

command_enum! {
    /// Everything a plan can be asked.
    PlanCommand {
        CreatePlan, RevisePlan, RetirePlan
    }
}
