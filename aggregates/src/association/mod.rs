//! What an association says of itself: its name, its zone, its currency, its rules.
//! The boundary is one association, which is also the tenant.

mod commands;
mod events;
mod refusal;

use chrono_tz::Tz;
pub use commands::*;
use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
pub use events::*;
pub use refusal::*;
use serde::{Deserialize, Serialize};

use crate::{Decide, StoredEvent, membership::StatusRules, money::Currency};

/// More rules than these nobody can follow by hand.
const MOST_STATUS_RULES: usize = 50;
/// As long as a label of a host name, because it may become one.
const LONGEST_SLUG: usize = 63;

/// An association as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Association {
    charter: Option<Charter>,
    status_rules: StatusRules,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Charter {
    name: String,
    slug: String,
    time_zone: Tz,
    currency: Currency,
}

impl Association {
    /// Whether the association keeps its records here.
    pub fn is_founded(&self) -> bool {
        self.charter.is_some()
    }

    /// Its name in full; none before it is founded.
    pub fn name(&self) -> Option<&str> {
        self.charter.as_ref().map(|charter| charter.name.as_str())
    }

    /// The zone its dates are local to: "today" of every rule is today there.
    pub fn time_zone(&self) -> Option<Tz> {
        self.charter.as_ref().map(|charter| charter.time_zone)
    }

    /// The currency it bills in.
    pub fn currency(&self) -> Option<Currency> {
        self.charter.as_ref().map(|charter| charter.currency)
    }

    /// The rules membership status is derived by; the usual ones until it gives its own.
    pub fn status_rules(&self) -> &StatusRules {
        &self.status_rules
    }

    fn charter(&self) -> Result<&Charter, AssociationRefusal> {
        self.charter.as_ref().ok_or(AssociationRefusal::AssociationUnknown)
    }

    fn found(&self, command: FoundAssociation) -> Result<Vec<AssociationRecord>, AssociationRefusal> {
        let FoundAssociation { name, slug, time_zone, currency } = command;
        let asked = Charter { name, slug, time_zone, currency };
        if let Some(charter) = &self.charter {
            return if *charter == asked { Ok(vec![]) } else { Err(AssociationRefusal::AssociationAlreadyFounded) };
        }
        let Charter { name, slug, time_zone, currency } = asked;
        check_name(&name)?;
        if !is_slug(&slug) {
            return Err(AssociationRefusal::SlugInvalid);
        }
        Ok(vec![AssociationRecord::AssociationFounded { name, slug, time_zone, currency }])
    }

    fn rename(&self, command: RenameAssociation) -> Result<Vec<AssociationRecord>, AssociationRefusal> {
        let RenameAssociation { name } = command;
        if self.charter()?.name == name {
            return Ok(vec![]);
        }
        check_name(&name)?;
        Ok(vec![AssociationRecord::AssociationRenamed { name }])
    }

    fn change_status_rules(&self, command: ChangeStatusRules) -> Result<Vec<AssociationRecord>, AssociationRefusal> {
        let ChangeStatusRules { rules } = command;
        self.charter()?;
        if self.status_rules == rules {
            return Ok(vec![]);
        }
        match rules.0.len() {
            0 => Err(AssociationRefusal::StatusRulesMissing),
            1..=MOST_STATUS_RULES => Ok(vec![AssociationRecord::StatusRulesChanged { rules }]),
            _ => Err(AssociationRefusal::TooManyStatusRules { most: MOST_STATUS_RULES }),
        }
    }
}

fn check_name(name: &str) -> Result<(), AssociationRefusal> {
    if name.trim().is_empty() { Err(AssociationRefusal::NameMissing) } else { Ok(()) }
}

fn is_slug(text: &str) -> bool {
    text.len() <= LONGEST_SLUG
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

impl Decide for Association {
    fn decide(&self, command: AssociationCommand) -> Result<Vec<AssociationRecord>, AssociationRefusal> {
        match command {
            AssociationCommand::FoundAssociation(command) => self.found(command),
            AssociationCommand::RenameAssociation(command) => self.rename(command),
            AssociationCommand::ChangeStatusRules(command) => self.change_status_rules(command),
        }
    }
}

impl Aggregate for Association {
    const TYPE: &'static str = AssociationRecord::CATEGORY;
    type Command = AssociationCommand;
    type Event = AssociationRecord;
    type Error = AssociationRefusal;
    type Services = ();

    async fn handle(
        &mut self,
        command: AssociationCommand,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), AssociationRefusal> {
        crate::decide::handle(self, command, sink).await
    }

    fn apply(&mut self, event: AssociationRecord) {
        match event {
            AssociationRecord::AssociationFounded { name, slug, time_zone, currency } => {
                self.charter = Some(Charter { name, slug, time_zone, currency });
            }
            AssociationRecord::AssociationRenamed { name } => {
                if let Some(charter) = &mut self.charter {
                    charter.name = name;
                }
            }
            AssociationRecord::StatusRulesChanged { rules } => self.status_rules = rules,
        }
    }
}

impl DomainEvent for AssociationRecord {
    fn event_type(&self) -> String {
        self.type_name().to_owned()
    }
    fn event_version(&self) -> String {
        self.schema_version().to_string()
    }
}

impl StoredEvent for AssociationRecord {
    const CATEGORY: &'static str = "association";
    fn type_name(&self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{membership::StatusRule, testing::given};

    fn found() -> FoundAssociation {
        FoundAssociation {
            name: "The Nurses".into(),
            slug: "nurses".into(),
            time_zone: Tz::Europe__Vienna,
            currency: Currency::EUR,
        }
    }
    fn founded() -> AssociationRecord {
        let FoundAssociation { name, slug, time_zone, currency } = found();
        AssociationRecord::AssociationFounded { name, slug, time_zone, currency }
    }
    fn rename(name: &str) -> RenameAssociation {
        RenameAssociation { name: name.into() }
    }
    fn rules(count: usize) -> StatusRules {
        let rule = StatusRule { status: crate::membership::MembershipStatus::Current, from: None, to: None };
        StatusRules(vec![rule; count])
    }

    #[test]
    fn an_association_is_founded() {
        given::<Association>([]).when(found()).then([founded()]);
    }

    #[test]
    fn founding_the_same_again_records_nothing() {
        given::<Association>([founded()]).when(found()).then_nothing();
    }

    #[test]
    fn an_association_cannot_be_founded_twice_in_two_ways() {
        given::<Association>([founded()])
            .when(FoundAssociation { currency: Currency::USD, ..found() })
            .then_refused(AssociationRefusal::AssociationAlreadyFounded);
    }

    #[test]
    fn an_association_needs_a_name() {
        let unnamed = FoundAssociation { name: " ".into(), ..found() };
        given::<Association>([]).when(unnamed).then_refused(AssociationRefusal::NameMissing);
        given::<Association>([founded()]).when(rename("")).then_refused(AssociationRefusal::NameMissing);
    }

    #[test]
    fn a_short_name_is_a_label_of_a_host_name() {
        for slug in ["", "Nurses", "2nd", "a b", "-a", "ä", &"a".repeat(64)] {
            given::<Association>([])
                .when(FoundAssociation { slug: slug.into(), ..found() })
                .then_refused(AssociationRefusal::SlugInvalid);
        }
    }

    #[test]
    fn an_association_is_renamed() {
        given::<Association>([founded()])
            .when(rename("Nurses United"))
            .then([AssociationRecord::AssociationRenamed { name: "Nurses United".into() }]);
    }

    #[test]
    fn renaming_to_the_name_it_has_records_nothing() {
        given::<Association>([founded()]).when(rename("The Nurses")).then_nothing();
    }

    #[test]
    fn what_was_not_founded_cannot_be_changed() {
        given::<Association>([]).when(rename("X")).then_refused(AssociationRefusal::AssociationUnknown);
        given::<Association>([])
            .when(ChangeStatusRules { rules: rules(1) })
            .then_refused(AssociationRefusal::AssociationUnknown);
    }

    #[test]
    fn status_rules_are_changed() {
        given::<Association>([founded()])
            .when(ChangeStatusRules { rules: rules(1) })
            .then([AssociationRecord::StatusRulesChanged { rules: rules(1) }]);
    }

    #[test]
    fn giving_the_rules_that_hold_records_nothing() {
        given::<Association>([founded()]).when(ChangeStatusRules { rules: StatusRules::default() }).then_nothing();
    }

    #[test]
    fn an_association_has_some_rules_but_not_endlessly_many() {
        given::<Association>([founded()])
            .when(ChangeStatusRules { rules: rules(0) })
            .then_refused(AssociationRefusal::StatusRulesMissing);
        given::<Association>([founded()])
            .when(ChangeStatusRules { rules: rules(MOST_STATUS_RULES + 1) })
            .then_refused(AssociationRefusal::TooManyStatusRules { most: MOST_STATUS_RULES });
    }
}
