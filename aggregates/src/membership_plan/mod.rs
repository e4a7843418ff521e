//! What can be bought as a membership.
//! The boundary is one plan; a price or rule change is a new version, and running terms keep theirs.

mod commands;
mod events;
mod refusal;
mod terms;

pub use commands::*;
use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
pub use events::*;
pub use refusal::*;
use serde::{Deserialize, Serialize};

use crate::{Decide, StoredEvent, ids::PlanId, membership::SoldPlan, source::SourceRef};

/// A plan in its current version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipPlan {
    offer: Option<Offer>,
    retired: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Offer {
    code: String,
    version: u32,
    terms: PlanTerms,
    source: Option<SourceRef>,
}

impl MembershipPlan {
    /// Whether there is such a plan, retired or not.
    pub fn exists(&self) -> bool {
        self.offer.is_some()
    }

    /// Whether it is no longer offered.
    pub fn is_retired(&self) -> bool {
        self.retired
    }

    /// Its code, unique within the association.
    pub fn code(&self) -> Option<&str> {
        self.offer.as_ref().map(|offer| offer.code.as_str())
    }

    /// The plan as it is sold today; `None` when there is no such plan or it is retired. The plan's
    /// identity is its stream's, which the state does not know.
    pub fn sold(&self, plan_id: PlanId) -> Option<SoldPlan> {
        if self.retired { None } else { self.latest(plan_id) }
    }

    /// The latest version, retired or not: what a running or imported membership is of.
    pub fn latest(&self, plan_id: PlanId) -> Option<SoldPlan> {
        let offer = self.offer.as_ref()?;
        Some(SoldPlan { plan_id, version: offer.version, terms: offer.terms.clone() })
    }

    fn offer(&self) -> Result<&Offer, PlanRefusal> {
        self.offer.as_ref().ok_or(PlanRefusal::PlanUnknown)
    }

    fn create(&self, command: CreatePlan) -> Result<Vec<PlanEvent>, PlanRefusal> {
        let CreatePlan { code, terms, source } = command;
        if let Some(offer) = &self.offer {
            let imported_before = source.is_some() && source == offer.source;
            let same = imported_before || (code == offer.code && terms == offer.terms && source == offer.source);
            return if same { Ok(vec![]) } else { Err(PlanRefusal::PlanAlreadyExists) };
        }
        if code.trim().is_empty() {
            return Err(PlanRefusal::CodeMissing);
        }
        terms.check()?;
        Ok(vec![PlanEvent::PlanCreated { code, terms, source }])
    }

    fn revise(&self, command: RevisePlan) -> Result<Vec<PlanEvent>, PlanRefusal> {
        let RevisePlan { terms } = command;
        let offer = self.offer()?;
        if self.retired {
            return Err(PlanRefusal::PlanRetired);
        }
        if terms == offer.terms {
            return Ok(vec![]);
        }
        terms.check()?;
        Ok(vec![PlanEvent::PlanRevised { version: offer.version + 1, terms }])
    }

    fn retire(&self) -> Result<Vec<PlanEvent>, PlanRefusal> {
        self.offer()?;
        Ok(if self.retired { vec![] } else { vec![PlanEvent::PlanRetired {}] })
    }
}

impl Decide for MembershipPlan {
    fn decide(&self, command: PlanCommand) -> Result<Vec<PlanEvent>, PlanRefusal> {
        match command {
            PlanCommand::CreatePlan(command) => self.create(command),
            PlanCommand::RevisePlan(command) => self.revise(command),
            PlanCommand::RetirePlan(RetirePlan {}) => self.retire(),
        }
    }
}

impl Aggregate for MembershipPlan {
    const TYPE: &'static str = PlanEvent::CATEGORY;
    type Command = PlanCommand;
    type Event = PlanEvent;
    type Error = PlanRefusal;
    type Services = ();

    async fn handle(&mut self, command: PlanCommand, (): &(), sink: &EventSink<Self>) -> Result<(), PlanRefusal> {
        crate::decide::handle(self, command, sink).await
    }

    fn apply(&mut self, event: PlanEvent) {
        match event {
            PlanEvent::PlanCreated { code, terms, source } => {
                self.offer = Some(Offer { code, version: 1, terms, source });
            }
            PlanEvent::PlanRevised { version, terms } => {
                if let Some(offer) = &mut self.offer {
                    (offer.version, offer.terms) = (version, terms);
                }
            }
            PlanEvent::PlanRetired {} => self.retired = true,
        }
    }
}

impl DomainEvent for PlanEvent {
    fn event_type(&self) -> String {
        self.type_name().to_owned()
    }
    fn event_version(&self) -> String {
        self.schema_version().to_string()
    }
}

impl StoredEvent for PlanEvent {
    const CATEGORY: &'static str = "membership_plan";
    fn type_name(&self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{terms::tests::yearly, *};
    use crate::testing::given;

    fn create() -> CreatePlan {
        CreatePlan { code: "full".into(), terms: yearly(), source: None }
    }
    fn created() -> PlanEvent {
        PlanEvent::PlanCreated { code: "full".into(), terms: yearly(), source: None }
    }
    fn dearer() -> PlanTerms {
        let mut terms = yearly();
        terms.fee.minor += 500;
        terms
    }

    #[test]
    fn a_plan_is_created() {
        given::<MembershipPlan>([]).when(create()).then([created()]);
    }

    #[test]
    fn creating_the_same_plan_again_records_nothing() {
        given::<MembershipPlan>([created()]).when(create()).then_nothing();
    }

    #[test]
    fn a_plan_is_not_created_twice_in_two_ways() {
        given::<MembershipPlan>([created()])
            .when(CreatePlan { terms: dearer(), ..create() })
            .then_refused(PlanRefusal::PlanAlreadyExists);
    }

    #[test]
    fn a_row_of_another_system_is_taken_over_once() {
        let row = || Some(SourceRef { system: "civicrm".into(), table: "membership_type".into(), id: "1".into() });
        let imported = PlanEvent::PlanCreated { code: "full".into(), terms: yearly(), source: row() };
        given::<MembershipPlan>([imported, PlanEvent::PlanRevised { version: 2, terms: dearer() }])
            .when(CreatePlan { source: row(), ..create() })
            .then_nothing();
    }

    #[test]
    fn a_plan_needs_a_code() {
        given::<MembershipPlan>([])
            .when(CreatePlan { code: String::new(), ..create() })
            .then_refused(PlanRefusal::CodeMissing);
    }

    #[test]
    fn a_revision_is_the_next_version() {
        given::<MembershipPlan>([created(), PlanEvent::PlanRevised { version: 2, terms: dearer() }])
            .when(RevisePlan { terms: yearly() })
            .then([PlanEvent::PlanRevised { version: 3, terms: yearly() }]);
    }

    #[test]
    fn a_revision_that_changes_nothing_records_nothing() {
        given::<MembershipPlan>([created()]).when(RevisePlan { terms: yearly() }).then_nothing();
    }

    #[test]
    fn a_revision_is_checked_like_a_new_plan() {
        let nameless = PlanTerms { name: String::new(), ..yearly() };
        given::<MembershipPlan>([created()])
            .when(RevisePlan { terms: nameless })
            .then_refused(PlanRefusal::NameMissing);
    }

    #[test]
    fn a_plan_is_retired_once() {
        given::<MembershipPlan>([created()]).when(RetirePlan {}).then([PlanEvent::PlanRetired {}]);
        given::<MembershipPlan>([created(), PlanEvent::PlanRetired {}]).when(RetirePlan {}).then_nothing();
    }

    #[test]
    fn a_retired_plan_is_not_revised() {
        given::<MembershipPlan>([created(), PlanEvent::PlanRetired {}])
            .when(RevisePlan { terms: dearer() })
            .then_refused(PlanRefusal::PlanRetired);
    }

    #[test]
    fn what_was_not_created_cannot_be_changed() {
        given::<MembershipPlan>([]).when(RevisePlan { terms: yearly() }).then_refused(PlanRefusal::PlanUnknown);
        given::<MembershipPlan>([]).when(RetirePlan {}).then_refused(PlanRefusal::PlanUnknown);
    }

    #[test]
    fn a_retired_plan_is_not_sold_but_still_known() {
        let plan_id = PlanId::new(Uuid::from_u128(1));
        let mut plan = MembershipPlan::default();
        assert_eq!(plan.sold(plan_id), None);
        plan.apply(created());
        assert_eq!(plan.sold(plan_id), Some(SoldPlan { plan_id, version: 1, terms: yearly() }));
        plan.apply(PlanEvent::PlanRetired {});
        assert_eq!(plan.sold(plan_id), None);
        assert_eq!(plan.latest(plan_id).map(|sold| sold.version), Some(1));
    }
}
