//! What a request is prepared with: who asks, what time it is, and a look at what it refers to.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use guildhall_aggregates::{
    Clear, Decide, MemberId, Personal, PersonalData, PlanId, SubjectId, TenantId,
    association::{Association, AssociationRefusal},
    member::Member,
    membership::{SoldPlan, StatusRules},
    membership_plan::{MembershipPlan, PlanRefusal},
    money::Currency,
};
use guildhall_event_store::{Claim, Loaded, VaultError};
use guildhall_web::{Kind, Problem, problem::kind};
use uuid::Uuid;

use crate::{
    Executor,
    endpoint::{Origin, Refusal},
    problem::problem_of,
};

/// What is claimed for one stream of an association alone.
pub mod claim {
    /// An e-mail address, as it is compared.
    pub const EMAIL: &str = "email";
    /// The association's own number for a member.
    pub const MEMBER_NUMBER: &str = "member_number";
    /// The code of a membership plan.
    pub const PLAN_CODE: &str = "plan_code";
}

/// What a request is prepared with.
pub struct Context {
    /// Where states are read.
    pub executor: Executor,
    /// The association and the command's identity.
    pub origin: Origin,
    /// The stream that will decide.
    pub id: Uuid,
    /// Now.
    pub now: DateTime<Utc>,
    pub(crate) association: Option<Ground>,
}

/// What an association says of itself that its commands need.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The zone its dates are local to.
    pub time_zone: Tz,
    /// The currency it bills in.
    pub currency: Currency,
    /// The rules membership status follows from.
    pub status_rules: StatusRules,
}

impl Ground {
    pub(crate) fn of(association: &Loaded<Association>) -> Option<Self> {
        let state = &association.state;
        Some(Self {
            time_zone: state.time_zone()?,
            currency: state.currency()?,
            status_rules: state.status_rules().clone(),
        })
    }
}

impl Context {
    /// The association.
    pub fn tenant(&self) -> TenantId {
        self.origin.tenant
    }

    /// What the association says of itself.
    ///
    /// # Errors
    /// It was not founded yet.
    pub fn association(&self) -> Result<&Ground, Problem> {
        self.association.as_ref().ok_or_else(|| AssociationRefusal::AssociationUnknown.problem())
    }

    /// The association's date.
    ///
    /// # Errors
    /// It was not founded yet.
    pub fn today(&self) -> Result<NaiveDate, Problem> {
        Ok(self.now.with_timezone(&self.association()?.time_zone).date_naive())
    }

    /// Looks at a stream of the same association.
    ///
    /// # Errors
    /// History did not answer.
    pub async fn look<A: Decide<Error: Refusal>, R>(
        &self,
        id: Uuid,
        view: impl FnOnce(&Loaded<A>) -> R,
    ) -> Result<R, Problem> {
        self.executor.read(self.tenant(), id, view).await.map_err(|error| problem_of(&error))
    }

    /// Looks for something in a stream of the same association. What any node has recorded is found.
    ///
    /// # Errors
    /// History did not answer.
    pub async fn find<A: Decide<Error: Refusal>, R>(
        &self,
        id: Uuid,
        view: impl Fn(&Loaded<A>) -> Option<R>,
    ) -> Result<Option<R>, Problem> {
        self.executor.find(self.tenant(), id, view).await.map_err(|error| problem_of(&error))
    }

    /// Requires that what a field names exists in this association. This is the wall, too: another
    /// association's thing does not exist here.
    ///
    /// # Errors
    /// `unknown-reference`, pointing at the field.
    pub async fn require<A: Decide<Error: Refusal>>(&self, id: Uuid, pointer: &'static str) -> Result<(), Problem> {
        if self.glance::<A, _>(id, |loaded| loaded.version > 0).await? { Ok(()) } else { Err(unknown(pointer, id)) }
    }

    /// Looks at a stream of the same association for what stays true once it is true.
    ///
    /// # Errors
    /// History did not answer.
    pub async fn glance<A: Decide<Error: Refusal>, R>(
        &self,
        id: Uuid,
        view: impl FnOnce(&Loaded<A>) -> R,
    ) -> Result<R, Problem> {
        self.executor.glance(self.tenant(), id, view).await.map_err(|error| problem_of(&error))
    }

    /// Requires a member who exists and was not forgotten.
    ///
    /// # Errors
    /// `unknown-reference`, pointing at the field.
    pub async fn require_member(&self, id: MemberId, pointer: &'static str) -> Result<(), Problem> {
        let known = self.find::<Member, _>(id.uuid(), |member| member.state.is_known().then_some(())).await?;
        known.ok_or_else(|| unknown(pointer, id.uuid()))
    }

    /// The plan a field names, as it is sold today.
    ///
    /// # Errors
    /// There is no such plan, or it is retired.
    pub async fn plan_on_sale(&self, id: PlanId, pointer: &'static str) -> Result<SoldPlan, Problem> {
        if let Some(sold) = self.find::<MembershipPlan, _>(id.uuid(), |plan| plan.state.sold(id)).await? {
            return Ok(sold);
        }
        self.require::<MembershipPlan>(id.uuid(), pointer).await?;
        Err(PlanRefusal::PlanRetired.problem().at(pointer, "this plan is no longer offered"))
    }

    /// The plan a field names in its latest version, retired or not.
    ///
    /// # Errors
    /// There is no such plan.
    pub async fn plan(&self, id: PlanId, pointer: &'static str) -> Result<SoldPlan, Problem> {
        let latest = self.find::<MembershipPlan, _>(id.uuid(), |plan| plan.state.latest(id)).await?;
        latest.ok_or_else(|| unknown(pointer, id.uuid()))
    }

    /// Seals personal data under a person's key.
    ///
    /// # Errors
    /// The person was forgotten, or the vault did not answer.
    pub async fn seal<T: PersonalData>(&self, subject: SubjectId, clear: &Clear<T>) -> Result<Personal<T>, Problem> {
        let vault = self.executor.store().vault();
        vault.seal(self.tenant(), subject, self.origin.command_id, clear).await.map_err(vault_problem)
    }

    /// Seals what may be there.
    ///
    /// # Errors
    /// As [`Context::seal`].
    pub async fn seal_some<T: PersonalData>(
        &self,
        subject: SubjectId,
        clear: Option<Clear<T>>,
    ) -> Result<Option<Personal<T>>, Problem> {
        match clear {
            Some(clear) => self.seal(subject, &clear).await.map(Some),
            None => Ok(None),
        }
    }

    /// A claim to a value, or the end of the stream's claim of that kind.
    pub fn claim(&self, kind: &'static str, value: Option<&str>) -> Claim {
        let vault = self.executor.store().vault();
        Claim { kind, value_hmac: value.map(|value| vault.claim_hmac(self.tenant(), kind, value)) }
    }
}

/// A field names something that is not there.
pub(crate) fn unknown(pointer: &'static str, id: Uuid) -> Problem {
    let detail = "The request names something that does not exist in this association.";
    Problem::new(kind::UNKNOWN_REFERENCE, detail).at(pointer, format!("there is no {id}"))
}

pub(crate) fn vault_problem(error: VaultError) -> Problem {
    match error {
        VaultError::SubjectForgotten => Problem::new(
            Kind::refused("member-forgotten"),
            "The person was forgotten; nothing can be recorded about them.",
        ),
        VaultError::Unavailable(_) => {
            tracing::warn!(%error, "personal data could not be sealed");
            Problem::new(kind::UNAVAILABLE, "Nothing was recorded. Send it again with the same key.")
                .retry_after(crate::problem::RETRY)
        }
        VaultError::UnknownSubject
        | VaultError::Tampered
        | VaultError::Unreadable { .. }
        | VaultError::WrongKey { .. } => Problem::internal(&error),
    }
}
