//! One member's membership of one plan: application, terms, renewals, end.
//! The boundary is one membership; each term is a fact of its own.

mod change;
mod commands;
mod events;
mod facts;
mod join;
mod proration;
mod refusal;
mod renew;
mod status;
mod term;
#[cfg(test)]
pub(crate) mod testing;
mod timeline;

use std::collections::BTreeSet;

use chrono::NaiveDate;
pub use commands::*;
use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
pub use events::*;
pub use facts::*;
pub use proration::value_from;
pub use refusal::*;
use serde::{Deserialize, Serialize};
pub use status::*;
pub use term::{BeyondCalendar, FirstTerm, first_term, renewed_end};
pub use timeline::StatusSpan;

use crate::{
    Decide, Money, StoredEvent,
    ids::{MemberId, PaymentId},
    source::SourceRef,
};

/// A membership, once somebody asked for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    record: Option<Box<Record>>,
    facts: Option<MembershipFacts>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    member_id: MemberId,
    origin: Origin,
    /// The plan in force: of the latest term, or applied for.
    plan: SoldPlan,
    /// What the latest application or renewal costs.
    fee: Money,
    stage: Stage,
    term: Option<Term>,
    /// How many terms were bought for the running stretch.
    terms_in_spell: u32,
    /// The payments that bought terms: none buys twice.
    payments: BTreeSet<PaymentId>,
    renewal: Option<RequestedRenewal>,
    /// The day of the latest renewal that cost nothing; such a renewal has no payment to be known by.
    renewed_free_on: Option<NaiveDate>,
    recorded: RecordedStatus,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Origin {
    Applied { requested_start: Option<NaiveDate>, terms: u32 },
    Imported(SourceRef),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    AwaitingApproval,
    AwaitingPayment,
    Active,
    Declined,
    Cancelled,
}

/// A renewal that runs once it is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedRenewal {
    /// The number the next term will have.
    pub term_number: u32,
    /// The plan version it is sold under.
    pub plan: SoldPlan,
    /// How many terms at once.
    pub terms: u32,
    /// What is to be paid.
    pub fee: Money,
}

/// The status that was last put on record. What a fact makes of the status on its own day goes without
/// saying; only what the passing of time makes of it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum RecordedStatus {
    AsOf(NaiveDate),
    Stated(MembershipStatus),
}

impl Membership {
    /// Whose it is; none before anybody asked for it.
    pub fn member_id(&self) -> Option<MemberId> {
        self.record.as_ref().map(|record| record.member_id)
    }

    /// The plan of the latest term, or the plan applied for, as it was sold.
    pub fn plan(&self) -> Option<&SoldPlan> {
        self.record.as_ref().map(|record| &record.plan)
    }

    /// The latest term; none while it is pending.
    pub fn latest_term(&self) -> Option<Term> {
        self.record.as_ref().and_then(|record| record.term)
    }

    /// What the latest application or renewal costs.
    pub fn fee(&self) -> Option<Money> {
        self.record.as_ref().map(|record| record.fee)
    }

    /// The renewal that waits for its payment.
    pub fn requested_renewal(&self) -> Option<&RequestedRenewal> {
        self.record.as_ref().and_then(|record| record.renewal.as_ref())
    }

    /// Everything its status follows from.
    pub fn facts(&self) -> Option<&MembershipFacts> {
        self.facts.as_ref()
    }

    /// Its status on a date by the association's rules; none before it exists.
    pub fn status_on(&self, rules: &StatusRules, date: NaiveDate) -> Option<MembershipStatus> {
        self.facts.as_ref().and_then(|facts| facts.status_on(rules, date))
    }

    /// Whether it counts as a membership on a date: new, current or in grace.
    pub fn is_current_on(&self, rules: &StatusRules, date: NaiveDate) -> bool {
        self.status_on(rules, date).is_some_and(MembershipStatus::is_current)
    }

    /// What decisions go by: record and facts begin together.
    fn known(&self) -> Result<(&Record, &MembershipFacts), MembershipRefusal> {
        self.record.as_deref().zip(self.facts.as_ref()).ok_or(MembershipRefusal::MembershipUnknown)
    }

    /// The same for decisions that need a membership whose terms run.
    fn active(&self) -> Result<(&Record, &MembershipFacts), MembershipRefusal> {
        let (record, facts) = self.known()?;
        match record.stage {
            Stage::Active => Ok((record, facts)),
            Stage::AwaitingApproval | Stage::AwaitingPayment => Err(MembershipRefusal::NotActive),
            Stage::Declined => Err(MembershipRefusal::ApplicationDeclined),
            Stage::Cancelled => Err(MembershipRefusal::MembershipIsCancelled),
        }
    }

    fn write(&mut self, on: NaiveDate, change: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            change(record);
            record.recorded = RecordedStatus::AsOf(on);
        }
    }

    fn begin(&mut self, member_id: MemberId, plan: SoldPlan, fee: Money, origin: Origin, on: NaiveDate) {
        let stage = if plan.terms.approval_required { Stage::AwaitingApproval } else { Stage::AwaitingPayment };
        self.record = Some(Box::new(Record {
            member_id,
            origin,
            plan,
            fee,
            stage,
            term: None,
            terms_in_spell: 0,
            payments: BTreeSet::new(),
            renewal: None,
            renewed_free_on: None,
            recorded: RecordedStatus::AsOf(on),
        }));
    }
}

impl Record {
    fn run(&mut self, term: Term, bought: u32, payment_id: Option<PaymentId>) {
        self.stage = Stage::Active;
        self.term = Some(term);
        self.terms_in_spell = bought;
        self.payments.extend(payment_id);
    }

    /// Another term runs. One that goes on from the last adds to what was bought for the stretch.
    fn renew(&mut self, term: Term, plan: SoldPlan, terms: u32, goes_on: bool, payment_id: Option<PaymentId>) {
        let before = if goes_on { self.terms_in_spell } else { 0 };
        self.plan = plan;
        self.renewal = None;
        self.run(term, before.saturating_add(terms), payment_id);
    }
}

impl Decide for Membership {
    fn decide(&self, command: MembershipCommand) -> Result<Vec<MembershipEvent>, MembershipRefusal> {
        match command {
            MembershipCommand::ApplyForMembership(command) => self.apply_for(command),
            MembershipCommand::ApproveMembership(command) => self.approve(command),
            MembershipCommand::DeclineMembership(command) => self.decline(command),
            MembershipCommand::ActivateMembership(command) => self.activate(command),
            MembershipCommand::RenewMembership(command) => self.renew(command),
            MembershipCommand::CompleteRenewal(command) => self.complete_renewal(command),
            MembershipCommand::ChangeMembershipPlan(command) => self.change_plan(command),
            MembershipCommand::CancelMembership(command) => self.cancel(command),
            MembershipCommand::OverrideStatus(command) => self.override_status(command),
            MembershipCommand::ClearStatusOverride(command) => self.clear_override(command),
            MembershipCommand::RecordStatus(command) => self.record_status(command),
            MembershipCommand::ImportMembership(command) => self.import(command),
        }
    }
}

impl Aggregate for Membership {
    const TYPE: &'static str = MembershipEvent::CATEGORY;
    type Command = MembershipCommand;
    type Event = MembershipEvent;
    type Error = MembershipRefusal;
    type Services = ();

    async fn handle(
        &mut self,
        command: MembershipCommand,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), MembershipRefusal> {
        crate::decide::handle(self, command, sink).await
    }

    fn apply(&mut self, event: MembershipEvent) {
        let spells_before = self.facts.as_ref().map_or(0, |facts| facts.spells.len());
        MembershipFacts::fold(&mut self.facts, &event);
        let goes_on = self.facts.as_ref().is_some_and(|facts| facts.spells.len() == spells_before);
        self.apply_to_record(event, goes_on);
    }
}

impl Membership {
    fn apply_to_record(&mut self, event: MembershipEvent, goes_on: bool) {
        match event {
            MembershipEvent::MembershipApplied { member_id, plan, applied_on, requested_start, terms, fee } => {
                self.begin(member_id, plan, fee, Origin::Applied { requested_start, terms }, applied_on);
            }
            MembershipEvent::MembershipImported { member_id, plan, term, as_of, source, .. } => {
                let fee = plan.terms.fee;
                self.begin(member_id, plan, fee, Origin::Imported(source), as_of);
                self.write(as_of, |record| record.run(term, 1, None));
            }
            MembershipEvent::MembershipApproved { on } => {
                self.write(on, |record| record.stage = Stage::AwaitingPayment);
            }
            MembershipEvent::MembershipDeclined { on, .. } => self.write(on, |record| record.stage = Stage::Declined),
            MembershipEvent::MembershipCancelled { on, .. } => self.write(on, |record| record.stage = Stage::Cancelled),
            MembershipEvent::MembershipActivated { term, payment_id, on } => self.write(on, |record| {
                let bought = if let Origin::Applied { terms, .. } = record.origin { terms } else { 1 };
                record.run(term, bought, payment_id);
            }),
            MembershipEvent::RenewalRequested { term_number, plan, terms, fee, on: _ } => {
                if let Some(record) = &mut self.record {
                    record.fee = fee;
                    record.renewal = Some(RequestedRenewal { term_number, plan, terms, fee });
                }
            }
            MembershipEvent::MembershipRenewed { term, plan, terms, payment_id, on, .. } => self.write(on, |record| {
                record.renew(term, plan, terms, goes_on, payment_id);
                record.renewed_free_on = payment_id.is_none().then_some(on);
            }),
            MembershipEvent::MembershipPlanChanged { plan, term, fee, on, credit: _ } => self.write(on, |record| {
                record.fee = fee;
                record.renew(term, plan, 1, false, None);
            }),
            MembershipEvent::StatusOverridden { on, .. } | MembershipEvent::StatusOverrideCleared { on } => {
                self.write(on, |_| {});
            }
            MembershipEvent::MembershipStatusChanged { to, .. } => {
                if let Some(record) = &mut self.record {
                    record.recorded = RecordedStatus::Stated(to);
                }
            }
        }
    }
}

impl DomainEvent for MembershipEvent {
    fn event_type(&self) -> String {
        self.type_name().to_owned()
    }
    fn event_version(&self) -> String {
        self.schema_version().to_string()
    }
}

impl StoredEvent for MembershipEvent {
    const CATEGORY: &'static str = "membership";
    fn type_name(&self) -> &'static str {
        self.into()
    }
}
