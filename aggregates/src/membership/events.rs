//! What can happen to a membership.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use super::MembershipStatus;
use crate::{
    Money,
    ids::{MemberId, PaymentId, PlanId},
    membership_plan::PlanTerms,
    personal::{FreeText, Personal},
    source::SourceRef,
};

/// The plan a membership was sold under, as it was then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SoldPlan {
    /// Which plan.
    pub plan_id: PlanId,
    /// Which version of it.
    pub version: u32,
    /// What that version said.
    pub terms: PlanTerms,
}

/// One paid-for span of a membership. Each term is a fact of its own; a renewal adds one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Term {
    /// 1 for the first, counting up.
    pub number: u32,
    /// First day.
    pub start: NaiveDate,
    /// Last day; none for life.
    pub end: Option<NaiveDate>,
}

/// What happened. Stored for ever: add variants and versions, never change one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(tag = "type")]
pub enum MembershipEvent {
    /// Someone asked to become a member. The membership is pending.
    MembershipApplied {
        /// Who.
        member_id: MemberId,
        /// Of what.
        plan: SoldPlan,
        /// When they asked: the join date.
        applied_on: NaiveDate,
        /// The start they asked for, if not by the plan's rule.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requested_start: Option<NaiveDate>,
        /// How many terms at once.
        terms: u32,
        /// What is to be paid, after proration.
        fee: Money,
    },
    /// Someone with the authority to do so agreed.
    MembershipApproved {
        /// On which day.
        on: NaiveDate,
    },
    /// Someone with the authority to do so declined.
    MembershipDeclined {
        /// On which day.
        on: NaiveDate,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Personal<FreeText>>,
    },
    /// The first term runs.
    MembershipActivated {
        /// The term.
        term: Term,
        /// The payment it was activated by; none when nothing was to be paid.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payment_id: Option<PaymentId>,
        /// On which day.
        on: NaiveDate,
    },
    /// The member wants another term; it runs once it is paid.
    RenewalRequested {
        /// The number the next term will have.
        term_number: u32,
        /// The plan version it is sold under.
        plan: SoldPlan,
        /// How many terms at once.
        terms: u32,
        /// What is to be paid.
        fee: Money,
        /// On which day.
        on: NaiveDate,
    },
    /// Another term runs.
    MembershipRenewed {
        /// The term.
        term: Term,
        /// The plan version it was sold under.
        plan: SoldPlan,
        /// How many terms at once.
        terms: u32,
        /// The start of the membership as people read it: kept while current, today after a lapse.
        membership_start: NaiveDate,
        /// The payment it was renewed by; none when nothing was to be paid.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payment_id: Option<PaymentId>,
        /// On which day.
        on: NaiveDate,
    },
    /// The membership is of another plan from a day on.
    MembershipPlanChanged {
        /// The new plan.
        plan: SoldPlan,
        /// The new term.
        term: Term,
        /// The unused value of the old term.
        credit: Money,
        /// What the new term costs.
        fee: Money,
        /// The day of the change.
        on: NaiveDate,
    },
    /// It ended before its time.
    MembershipCancelled {
        /// On which day.
        on: NaiveDate,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Personal<FreeText>>,
    },
    /// Somebody set the status by hand.
    StatusOverridden {
        /// The status that holds now.
        status: MembershipStatus,
        /// The last day it holds; until cleared where not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<NaiveDate>,
        /// The first day it holds.
        on: NaiveDate,
    },
    /// The rules decide about the status again.
    StatusOverrideCleared {
        /// From which day.
        on: NaiveDate,
    },
    /// The status became another one by the passing of time.
    MembershipStatusChanged {
        /// What it was recorded as before.
        from: MembershipStatus,
        /// What it is.
        to: MembershipStatus,
        /// On which day this was noticed.
        on: NaiveDate,
    },
    /// A membership another system kept, as it stood there. Not decided here.
    MembershipImported {
        /// Whose.
        member_id: MemberId,
        /// Of what.
        plan: SoldPlan,
        /// When they first joined.
        joined_on: NaiveDate,
        /// The term that stood there.
        term: Term,
        /// The day another system's record was taken.
        as_of: NaiveDate,
        /// A status set by hand there, and until when it holds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        overridden: Option<ImportedOverride>,
        /// Which row it was.
        source: SourceRef,
    },
}

/// A status that was set by hand in the system a membership came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedOverride {
    /// The status.
    pub status: MembershipStatus,
    /// The last day it holds; until cleared where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<NaiveDate>,
}
