//! What a membership can be asked. "Today" is always the association's local date, given by the caller.

use chrono::NaiveDate;

use super::{ImportedOverride, MembershipStatus, SoldPlan, StatusRules, Term};
use crate::{
    decide::command_enum,
    ids::{MemberId, PaymentId},
    personal::{FreeText, Personal},
    source::SourceRef,
};

/// Ask to become a member of a plan.
#[derive(Debug, Clone)]
pub struct ApplyForMembership {
    /// Who.
    pub member_id: MemberId,
    /// The plan in its current version.
    pub plan: SoldPlan,
    /// A start other than by the plan's rule.
    pub requested_start: Option<NaiveDate>,
    /// How many terms at once; at least 1.
    pub terms: u32,
    /// The join date.
    pub today: NaiveDate,
}

/// Agree to an application.
#[derive(Debug, Clone)]
pub struct ApproveMembership {
    /// Today.
    pub today: NaiveDate,
}

/// Decline an application.
#[derive(Debug, Clone)]
pub struct DeclineMembership {
    /// Why.
    pub reason: Option<Personal<FreeText>>,
    /// Today.
    pub today: NaiveDate,
}

/// Start the first term because it was paid.
#[derive(Debug, Clone)]
pub struct ActivateMembership {
    /// The payment that settled the dues.
    pub payment_id: PaymentId,
    /// Today.
    pub today: NaiveDate,
}

/// Ask for another term. With a payment, or when nothing is to be paid, it runs at once; otherwise once
/// the dues are paid.
#[derive(Debug, Clone)]
pub struct RenewMembership {
    /// The plan in its current version.
    pub plan: SoldPlan,
    /// How many terms at once; at least 1.
    pub terms: u32,
    /// The payment already made for it. The same payment never extends twice.
    pub payment_id: Option<PaymentId>,
    /// The rules that say whether the membership is still current.
    pub rules: StatusRules,
    /// Today.
    pub today: NaiveDate,
}

/// Start the term a renewal asked for, because it was paid.
#[derive(Debug, Clone)]
pub struct CompleteRenewal {
    /// The payment that settled the dues.
    pub payment_id: PaymentId,
    /// The rules that say whether the membership is still current.
    pub rules: StatusRules,
    /// Today.
    pub today: NaiveDate,
}

/// Move the membership to another plan from today.
#[derive(Debug, Clone)]
pub struct ChangeMembershipPlan {
    /// The new plan in its current version.
    pub plan: SoldPlan,
    /// Today.
    pub today: NaiveDate,
}

/// End it before its time.
#[derive(Debug, Clone)]
pub struct CancelMembership {
    /// Why.
    pub reason: Option<Personal<FreeText>>,
    /// Today.
    pub today: NaiveDate,
}

/// Set the status by hand.
#[derive(Debug, Clone)]
pub struct OverrideStatus {
    /// The status that is to hold.
    pub status: MembershipStatus,
    /// The last day it holds.
    pub until: Option<NaiveDate>,
    /// Today.
    pub today: NaiveDate,
}

/// Let the rules decide about the status again.
#[derive(Debug, Clone)]
pub struct ClearStatusOverride {
    /// Today.
    pub today: NaiveDate,
}

/// Record the status if time has made it another one.
#[derive(Debug, Clone)]
pub struct RecordStatus {
    /// The rules in force.
    pub rules: StatusRules,
    /// Today.
    pub today: NaiveDate,
}

/// Take over a membership another system kept.
#[derive(Debug, Clone)]
pub struct ImportMembership {
    /// Whose.
    pub member_id: MemberId,
    /// Of what.
    pub plan: SoldPlan,
    /// When they first joined.
    pub joined_on: NaiveDate,
    /// The term that stands there.
    pub term: Term,
    /// The day the other system's record was taken.
    pub as_of: NaiveDate,
    /// A status set by hand there.
    pub overridden: Option<ImportedOverride>,
    /// Which row it is.
    pub source: SourceRef,
}

command_enum! {
    /// Everything a membership can be asked.
    MembershipCommand {
        ApplyForMembership, ApproveMembership, DeclineMembership, ActivateMembership, RenewMembership, CompleteRenewal, ChangeMembershipPlan, CancelMembership, OverrideStatus, ClearStatusOverride, RecordStatus, ImportMembership
    }
}
