//! Commands to a membership.

mod activate_membership;
mod apply_for_membership;
mod approve_membership;
mod cancel_membership;
mod change_membership_plan;
mod clear_status_override;
mod complete_renewal;
mod decline_membership;
mod import_membership;
mod override_status;
mod record_status;
mod renew_membership;

use guildhall_aggregates::{
    Personal, PlanId,
    membership::{Membership, MembershipRefusal},
    personal::FreeText,
};
use guildhall_web::{Kind, Problem};

use crate::{
    Context,
    endpoint::Refusal,
    registry::CommandType,
    wire::{Prose, clear_text},
};

pub(crate) fn all() -> Vec<CommandType> {
    vec![
        CommandType::of::<apply_for_membership::ApplyForMembership>(),
        CommandType::of::<approve_membership::ApproveMembership>(),
        CommandType::of::<decline_membership::DeclineMembership>(),
        CommandType::of::<activate_membership::ActivateMembership>(),
        CommandType::of::<renew_membership::RenewMembership>(),
        CommandType::of::<complete_renewal::CompleteRenewal>(),
        CommandType::of::<change_membership_plan::ChangeMembershipPlan>(),
        CommandType::of::<cancel_membership::CancelMembership>(),
        CommandType::of::<override_status::OverrideStatus>(),
        CommandType::of::<clear_status_override::ClearStatusOverride>(),
        CommandType::of::<record_status::RecordStatus>(),
        CommandType::of::<import_membership::ImportMembership>(),
    ]
}

impl Refusal for MembershipRefusal {
    fn kind(&self) -> Kind {
        let word = self.into();
        match self {
            Self::MembershipUnknown => Kind::absent(word),
            Self::MembershipAlreadyExists
            | Self::ApprovalOutstanding
            | Self::ApplicationDeclined
            | Self::MembershipIsCancelled
            | Self::AlreadyActive
            | Self::NotActive
            | Self::HasNoEnd
            | Self::OutsideRenewalWindow { .. }
            | Self::PlanDiffers
            | Self::RenewalOutstanding
            | Self::NoRenewalRequested
            | Self::NoTermRunning => Kind::refused(word),
            Self::TermsOutOfRange { .. } | Self::TermTooLong(_) | Self::OverrideInThePast | Self::Money(_) => {
                Kind::invalid(word)
            }
        }
    }
}

fn one() -> u32 {
    1
}

/// The plan the membership is of.
async fn plan_of(context: &Context) -> Result<PlanId, Problem> {
    let plan = context.find::<Membership, _>(context.id, |m| m.state.plan().map(|plan| plan.plan_id)).await?;
    plan.ok_or_else(|| MembershipRefusal::MembershipUnknown.problem())
}

/// A reason may say something about the member, so it is sealed as theirs.
async fn sealed_reason(context: &Context, reason: Option<Prose>) -> Result<Option<Personal<FreeText>>, Problem> {
    let Some(reason) = reason else { return Ok(None) };
    let member = context.find::<Membership, _>(context.id, |membership| membership.state.member_id()).await?;
    let member = member.ok_or_else(|| MembershipRefusal::MembershipUnknown.problem())?;
    context.seal(member.into(), &clear_text(reason)).await.map(Some)
}
