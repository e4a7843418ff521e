//! One person, organization or household an association knows.
//! The boundary is one member: what they are called, how they are reached, what others may see.

mod commands;
mod events;
mod refusal;

use std::collections::BTreeSet;

use chrono::NaiveDate;
pub use commands::*;
use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
pub use events::*;
pub use refusal::*;
use serde::{Deserialize, Serialize};

use crate::{
    Decide, StoredEvent,
    ids::MemberId,
    personal::{BirthDate, FreeText, PersonName, Personal, PersonalDigest, Profile},
    source::SourceRef,
};

const MOST_CREDENTIALS: usize = 100;
const MOST_AFFILIATIONS: usize = 1_000;

/// What an association knows of a member. Personal data is ciphertext here as everywhere; the decisions
/// only ask whether it is still the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Member {
    /// Nobody is on record under this identity.
    #[default]
    Unknown,
    /// On record.
    Known(Box<MemberFacts>),
    /// Was on record; nothing is known any more, for ever.
    Forgotten,
}

/// All that is known of a member now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberFacts {
    kind: MemberKind,
    name: Personal<PersonName>,
    contact: ContactDetails,
    birth_date: Option<Personal<BirthDate>>,
    member_number: Option<String>,
    // Who was not imported has none.
    source: Option<Box<SourceRef>>,
    profile: Option<Personal<Profile>>,
    credentials: BTreeSet<String>,
    privacy: PrivacySwitches,
    organizations: BTreeSet<MemberId>,
    death: Option<Death>,
    // The latest only: enough to tell a note sent twice from a new one.
    latest_note: Option<PersonalDigest<FreeText>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Death {
    on: Option<NaiveDate>,
}

impl Member {
    /// Whether the member is on record and not forgotten.
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    /// Person, organization or household.
    pub fn kind(&self) -> Option<MemberKind> {
        match self {
            Self::Known(facts) => Some(facts.kind),
            Self::Unknown | Self::Forgotten => None,
        }
    }

    /// Whether the person is on record as deceased.
    pub fn is_deceased(&self) -> bool {
        matches!(self, Self::Known(facts) if facts.death.is_some())
    }

    fn facts(&self) -> Result<&MemberFacts, MemberRefusal> {
        match self {
            Self::Unknown => Err(MemberRefusal::MemberUnknown),
            Self::Known(facts) => Ok(facts),
            Self::Forgotten => Err(MemberRefusal::MemberForgotten),
        }
    }

    /// Writes to what is known; there is nothing to write to before registration and after erasure.
    fn write(&mut self, change: impl FnOnce(&mut MemberFacts)) {
        if let Self::Known(facts) = self {
            change(facts);
        }
    }

    fn register(&self, command: RegisterMember) -> Result<Vec<MemberEvent>, MemberRefusal> {
        let RegisterMember { kind, name, contact, birth_date, member_number, source } = command;
        match self {
            Self::Unknown if member_number.as_ref().is_some_and(|number| number.trim().is_empty()) => {
                Err(MemberRefusal::MemberNumberEmpty)
            }
            Self::Unknown => {
                Ok(vec![MemberEvent::MemberRegistered { kind, name, contact, birth_date, member_number, source }])
            }
            Self::Known(facts) => {
                let imported_before = source.is_some() && source.as_ref() == facts.source.as_deref();
                let same = kind == facts.kind
                    && name == facts.name
                    && contact == facts.contact
                    && birth_date == facts.birth_date
                    && member_number == facts.member_number
                    && source.as_ref() == facts.source.as_deref();
                if imported_before || same { Ok(vec![]) } else { Err(MemberRefusal::MemberAlreadyRegistered) }
            }
            Self::Forgotten => Err(MemberRefusal::MemberForgotten),
        }
    }

    fn change_name(&self, command: ChangeName) -> Result<Vec<MemberEvent>, MemberRefusal> {
        let ChangeName { name } = command;
        Ok(if self.facts()?.name == name { vec![] } else { vec![MemberEvent::NameChanged { name }] })
    }

    fn change_contact(&self, command: ChangeContactDetails) -> Result<Vec<MemberEvent>, MemberRefusal> {
        let ChangeContactDetails { contact } = command;
        let same = self.facts()?.contact == contact;
        Ok(if same { vec![] } else { vec![MemberEvent::ContactDetailsChanged { contact }] })
    }

    fn change_profile(&self, command: ChangeProfile) -> Result<Vec<MemberEvent>, MemberRefusal> {
        let ChangeProfile { profile } = command;
        let same = self.facts()?.profile.as_ref() == Some(&profile);
        Ok(if same { vec![] } else { vec![MemberEvent::ProfileChanged { profile }] })
    }

    fn add_credential(&self, command: AddCredential) -> Result<Vec<MemberEvent>, MemberRefusal> {
        let AddCredential { credential } = command;
        let facts = self.facts()?;
        if credential.trim().is_empty() {
            return Err(MemberRefusal::CredentialMissing);
        }
        if facts.credentials.contains(&credential) {
            return Ok(vec![]);
        }
        if facts.credentials.len() >= MOST_CREDENTIALS {
            return Err(MemberRefusal::TooManyCredentials { most: MOST_CREDENTIALS });
        }
        Ok(vec![MemberEvent::CredentialAdded { credential }])
    }

    fn remove_credential(&self, command: RemoveCredential) -> Result<Vec<MemberEvent>, MemberRefusal> {
        let RemoveCredential { credential } = command;
        let held = self.facts()?.credentials.contains(&credential);
        Ok(if held { vec![MemberEvent::CredentialRemoved { credential }] } else { vec![] })
    }

    fn change_privacy(&self, command: ChangePrivacy) -> Result<Vec<MemberEvent>, MemberRefusal> {
        let ChangePrivacy { privacy } = command;
        let same = self.facts()?.privacy == privacy;
        Ok(if same { vec![] } else { vec![MemberEvent::PrivacyChanged { privacy }] })
    }

    fn change_affiliations(&self, command: ChangeAffiliations) -> Result<Vec<MemberEvent>, MemberRefusal> {
        let ChangeAffiliations { organizations } = command;
        if self.facts()?.organizations == organizations {
            return Ok(vec![]);
        }
        if organizations.len() > MOST_AFFILIATIONS {
            return Err(MemberRefusal::TooManyAffiliations { most: MOST_AFFILIATIONS });
        }
        Ok(vec![MemberEvent::AffiliationsChanged { organizations }])
    }

    /// A date that becomes known, or turns out to be another one, is recorded again.
    fn record_death(&self, command: RecordDeath) -> Result<Vec<MemberEvent>, MemberRefusal> {
        let RecordDeath { on } = command;
        let facts = self.facts()?;
        if facts.kind != MemberKind::Person {
            return Err(MemberRefusal::NotAPerson);
        }
        match facts.death {
            Some(death) if on.is_none() || death.on == on => Ok(vec![]),
            Some(_) | None => Ok(vec![MemberEvent::DeathRecorded { on }]),
        }
    }

    fn add_note(&self, command: AddNote) -> Result<Vec<MemberEvent>, MemberRefusal> {
        let AddNote { text } = command;
        let same = self.facts()?.latest_note == Some(text.digest());
        Ok(if same { vec![] } else { vec![MemberEvent::NoteAdded { text }] })
    }

    fn forget(&self) -> Result<Vec<MemberEvent>, MemberRefusal> {
        match self {
            Self::Unknown => Err(MemberRefusal::MemberUnknown),
            Self::Known(_) => Ok(vec![MemberEvent::MemberForgotten {}]),
            Self::Forgotten => Ok(vec![]),
        }
    }
}

impl Decide for Member {
    const FOLD: u32 = 2;

    fn decide(&self, command: MemberCommand) -> Result<Vec<MemberEvent>, MemberRefusal> {
        match command {
            MemberCommand::RegisterMember(command) => self.register(command),
            MemberCommand::ChangeName(command) => self.change_name(command),
            MemberCommand::ChangeContactDetails(command) => self.change_contact(command),
            MemberCommand::ChangeProfile(command) => self.change_profile(command),
            MemberCommand::AddCredential(command) => self.add_credential(command),
            MemberCommand::RemoveCredential(command) => self.remove_credential(command),
            MemberCommand::ChangePrivacy(command) => self.change_privacy(command),
            MemberCommand::ChangeAffiliations(command) => self.change_affiliations(command),
            MemberCommand::RecordDeath(command) => self.record_death(command),
            MemberCommand::AddNote(command) => self.add_note(command),
            MemberCommand::ForgetMember(ForgetMember {}) => self.forget(),
        }
    }
}

impl Aggregate for Member {
    const TYPE: &'static str = MemberEvent::CATEGORY;
    type Command = MemberCommand;
    type Event = MemberEvent;
    type Error = MemberRefusal;
    type Services = ();

    async fn handle(&mut self, command: MemberCommand, (): &(), sink: &EventSink<Self>) -> Result<(), MemberRefusal> {
        crate::decide::handle(self, command, sink).await
    }

    fn apply(&mut self, event: MemberEvent) {
        match event {
            MemberEvent::MemberRegistered { kind, name, contact, birth_date, member_number, source } => {
                *self = Self::Known(Box::new(MemberFacts {
                    kind,
                    name,
                    contact,
                    birth_date,
                    member_number,
                    source: source.map(Box::new),
                    profile: None,
                    credentials: BTreeSet::new(),
                    privacy: PrivacySwitches::default(),
                    organizations: BTreeSet::new(),
                    death: None,
                    latest_note: None,
                }));
            }
            MemberEvent::NameChanged { name } => self.write(|facts| facts.name = name),
            MemberEvent::ContactDetailsChanged { contact } => self.write(|facts| facts.contact = contact),
            MemberEvent::ProfileChanged { profile } => self.write(|facts| facts.profile = Some(profile)),
            MemberEvent::CredentialAdded { credential } => {
                self.write(|facts| {
                    facts.credentials.insert(credential);
                });
            }
            MemberEvent::CredentialRemoved { credential } => {
                self.write(|facts| {
                    facts.credentials.remove(&credential);
                });
            }
            MemberEvent::PrivacyChanged { privacy } => self.write(|facts| facts.privacy = privacy),
            MemberEvent::AffiliationsChanged { organizations } => {
                self.write(|facts| facts.organizations = organizations);
            }
            MemberEvent::DeathRecorded { on } => self.write(|facts| facts.death = Some(Death { on })),
            MemberEvent::NoteAdded { text } => self.write(|facts| facts.latest_note = Some(text.digest())),
            MemberEvent::MemberForgotten {} => *self = Self::Forgotten,
        }
    }
}

impl DomainEvent for MemberEvent {
    fn event_type(&self) -> String {
        self.type_name().to_owned()
    }
    fn event_version(&self) -> String {
        self.schema_version().to_string()
    }
}

impl StoredEvent for MemberEvent {
    const CATEGORY: &'static str = "member";
    fn type_name(&self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests;
