//! Commands to a membership plan.

mod create_plan;
mod retire_plan;
mod revise_plan;

use guildhall_aggregates::membership_plan::PlanRefusal;
use guildhall_web::Kind;

use crate::{endpoint::Refusal, registry::CommandType};

pub(crate) fn all() -> Vec<CommandType> {
    vec![
        CommandType::of::<create_plan::CreatePlan>(),
        CommandType::of::<revise_plan::RevisePlan>(),
        CommandType::of::<retire_plan::RetirePlan>(),
    ]
}

impl Refusal for PlanRefusal {
    fn kind(&self) -> Kind {
        let word = self.into();
        match self {
            Self::PlanUnknown => Kind::absent(word),
            Self::PlanAlreadyExists | Self::PlanRetired => Kind::refused(word),
            Self::CodeMissing
            | Self::NameMissing
            | Self::FeeNegative
            | Self::IntervalOutOfRange { .. }
            | Self::PeriodDoesNotFit
            | Self::DayOutOfRange
            | Self::PercentOutOfRange
            | Self::GraceTooLong { .. }
            | Self::RenewalWindowTooLong { .. }
            | Self::TooManyBenefits { .. } => Kind::invalid(word),
        }
    }
}
