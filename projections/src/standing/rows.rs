//! The rows standing is kept in. The types are shared by the tables of every projection that keeps it.

use chrono::NaiveDate;
use guildhall_aggregates::{
    PlanId,
    membership::{MembershipFacts, StatusRules},
};
use postgres_types::{FromSql, Json, ToSql};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::rows::{KeyedRow, Row};

#[derive(Debug, Clone, ToSql, FromSql)]
#[postgres(name = "plan")]
pub(super) struct PlanRow {
    pub(super) tenant_id: Uuid,
    pub(super) plan_id: Uuid,
    pub(super) code: String,
    pub(super) name: String,
    pub(super) retired: bool,
}

#[derive(Debug, Clone, ToSql, FromSql)]
#[postgres(name = "status_rules")]
pub(super) struct RulesRow {
    pub(super) tenant_id: Uuid,
    pub(super) rules: Json<StatusRules>,
}

#[derive(Debug, Clone, ToSql, FromSql)]
#[postgres(name = "death")]
pub(super) struct DeathRow {
    pub(super) tenant_id: Uuid,
    pub(super) member_id: Uuid,
    pub(super) died_on: NaiveDate,
}

#[derive(Debug, Clone, ToSql, FromSql)]
#[postgres(name = "membership")]
pub(super) struct MembershipRow {
    pub(super) tenant_id: Uuid,
    pub(super) membership_id: Uuid,
    pub(super) member_id: Uuid,
    pub(super) plan_id: Uuid,
    pub(super) joined_on: NaiveDate,
    pub(super) active: bool,
    pub(super) starts_on: Option<NaiveDate>,
    pub(super) ends_on: Option<NaiveDate>,
    pub(super) facts: Json<Known>,
}

/// What is known of a membership, as it is kept in its row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Known {
    /// What its status follows from, but for a death.
    pub(super) status: MembershipFacts,
    /// The plans it was of, each with its first day, in the order they were sold.
    pub(super) plans: Vec<(NaiveDate, PlanId)>,
}

#[derive(Debug, Clone, ToSql)]
#[postgres(name = "status_span")]
pub(super) struct SpanRow {
    pub(super) tenant_id: Uuid,
    pub(super) membership_id: Uuid,
    pub(super) from_on: NaiveDate,
    pub(super) to_on: Option<NaiveDate>,
    pub(super) member_id: Uuid,
    pub(super) plan_id: Uuid,
    pub(super) status: &'static str,
}

impl Row for PlanRow {
    const TYPE: &'static str = "read.plan";
}
impl KeyedRow<2> for PlanRow {
    const KEY: [&'static str; 2] = ["tenant_id", "plan_id"];
    const COLUMNS: &'static str = "tenant_id, plan_id, code, name, retired";
    fn key(&self) -> [Uuid; 2] {
        [self.tenant_id, self.plan_id]
    }
}
impl Row for RulesRow {
    const TYPE: &'static str = "read.status_rules";
}
impl KeyedRow<1> for RulesRow {
    const KEY: [&'static str; 1] = ["tenant_id"];
    const COLUMNS: &'static str = "tenant_id, rules";
    fn key(&self) -> [Uuid; 1] {
        [self.tenant_id]
    }
}
impl Row for DeathRow {
    const TYPE: &'static str = "read.death";
}
impl KeyedRow<2> for DeathRow {
    const KEY: [&'static str; 2] = ["tenant_id", "member_id"];
    const COLUMNS: &'static str = "tenant_id, member_id, died_on";
    fn key(&self) -> [Uuid; 2] {
        [self.tenant_id, self.member_id]
    }
}
impl Row for MembershipRow {
    const TYPE: &'static str = "read.membership";
}
impl KeyedRow<2> for MembershipRow {
    const KEY: [&'static str; 2] = ["tenant_id", "membership_id"];
    const COLUMNS: &'static str =
        "tenant_id, membership_id, member_id, plan_id, joined_on, active, starts_on, ends_on, facts";
    fn key(&self) -> [Uuid; 2] {
        [self.tenant_id, self.membership_id]
    }
}
impl Row for SpanRow {
    const TYPE: &'static str = "read.status_span";
}
