//! A member's row in the directory: the only place where personal data is readable outside the vault, and where it is
//! taken out when the member is forgotten.

use std::collections::BTreeSet;

use guildhall_aggregates::{
    member::{ContactDetails, MemberEvent, PrivacySwitches},
    personal::{PersonName, Profile},
};
use guildhall_event_store::RecordedEvent;
use postgres_types::{FromSql, ToSql};
use uuid::Uuid;

use super::completeness::{ProfileParts, completeness};
use crate::{
    decode::Decoder,
    rows::{KeyedRow, Row},
};

/// The members of all associations.
pub(super) const TABLE: &str = "directory_member";

#[derive(Debug, Clone, ToSql, FromSql)]
#[postgres(name = "directory_member")]
#[expect(clippy::struct_excessive_bools, reason = "the columns of the table")]
pub(super) struct MemberRow {
    pub(super) tenant_id: Uuid,
    pub(super) member_id: Uuid,
    pub(super) kind: String,
    pub(super) member_number: Option<String>,
    pub(super) display_name: Option<String>,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) sort_name: String,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) city: Option<String>,
    pub(super) region: Option<String>,
    pub(super) country: Option<String>,
    pub(super) job_title: Option<String>,
    pub(super) biography: Option<String>,
    pub(super) picture_url: Option<String>,
    pub(super) social_links: Vec<String>,
    pub(super) credentials: Vec<String>,
    pub(super) organizations: Vec<Uuid>,
    pub(super) show_email: bool,
    pub(super) show_phone: bool,
    pub(super) show_in_directory: bool,
    pub(super) allow_messages: bool,
    pub(super) public_profile: bool,
    pub(super) completeness: i16,
    pub(super) deceased: bool,
    pub(super) forgotten: bool,
}

impl Row for MemberRow {
    const TYPE: &'static str = TABLE;
}
impl KeyedRow<2> for MemberRow {
    const KEY: [&'static str; 2] = ["tenant_id", "member_id"];
    const COLUMNS: &'static str = "tenant_id, member_id, kind, member_number, display_name, first_name, last_name, \
        sort_name, email, phone, city, region, country, job_title, biography, picture_url, social_links, credentials, \
        organizations, show_email, show_phone, show_in_directory, allow_messages, public_profile, completeness, \
        deceased, forgotten";
    fn key(&self) -> [Uuid; 2] {
        [self.tenant_id, self.member_id]
    }
}

impl MemberRow {
    /// A row of which nothing is known yet.
    fn blank([tenant_id, member_id]: [Uuid; 2], kind: &str) -> Self {
        let mut row = Self {
            tenant_id,
            member_id,
            kind: kind.to_owned(),
            member_number: None,
            display_name: None,
            first_name: None,
            last_name: None,
            sort_name: String::new(),
            email: None,
            phone: None,
            city: None,
            region: None,
            country: None,
            job_title: None,
            biography: None,
            picture_url: None,
            social_links: vec![],
            credentials: vec![],
            organizations: vec![],
            show_email: false,
            show_phone: false,
            show_in_directory: false,
            allow_messages: false,
            public_profile: false,
            completeness: 0,
            deceased: false,
            forgotten: false,
        };
        row.set_privacy(PrivacySwitches::default());
        row
    }

    /// The row after an event; none while the member was not registered.
    pub(super) fn folded(
        row: Option<&Self>,
        key: [Uuid; 2],
        event: &RecordedEvent,
        said: &MemberEvent,
        decoder: &mut Decoder<'_>,
    ) -> Option<Self> {
        let mut next = match (row, said) {
            (_, MemberEvent::MemberRegistered { kind, .. }) => Self::blank(key, kind.into()),
            (row, _) => row?.clone(),
        };
        match said {
            MemberEvent::MemberRegistered { name, contact, member_number, .. } => {
                next.set_name(decoder.open(event, name));
                next.set_contact(event, contact, decoder);
                next.member_number.clone_from(member_number);
            }
            MemberEvent::NameChanged { name } => next.set_name(decoder.open(event, name)),
            MemberEvent::ContactDetailsChanged { contact } => next.set_contact(event, contact, decoder),
            MemberEvent::ProfileChanged { profile } => next.set_profile(decoder.open(event, profile)),
            MemberEvent::CredentialAdded { credential } => {
                let mut all: BTreeSet<String> = next.credentials.drain(..).collect();
                all.insert(credential.clone());
                next.credentials = all.into_iter().collect();
            }
            MemberEvent::CredentialRemoved { credential } => next.credentials.retain(|held| held != credential),
            MemberEvent::PrivacyChanged { privacy } => next.set_privacy(*privacy),
            MemberEvent::AffiliationsChanged { organizations } => {
                next.organizations = organizations.iter().map(|id| id.uuid()).collect();
            }
            MemberEvent::DeathRecorded { .. } => next.deceased = true,
            MemberEvent::NoteAdded { .. } => {}
            MemberEvent::MemberForgotten {} => {
                // Nothing stays but that there was somebody: also what never was in the vault, like a credential,
                // points to the person.
                next = Self { forgotten: true, show_in_directory: false, ..Self::blank(key, &next.kind) };
            }
        }
        next.completeness = completeness(&next.parts());
        Some(next)
    }

    fn parts(&self) -> ProfileParts<'_> {
        ProfileParts {
            first_name: self.first_name.as_deref(),
            last_name: self.last_name.as_deref(),
            email: self.email.as_deref(),
            phone: self.phone.as_deref(),
            picture_url: self.picture_url.as_deref(),
            biography: self.biography.as_deref(),
            credentials: self.credentials.len(),
            social_links: self.social_links.len(),
        }
    }

    fn set_name(&mut self, name: Option<PersonName>) {
        let Some(PersonName { display, first, middle: _, last }) = name else { return };
        self.sort_name = match (&last, &first) {
            (Some(last), Some(first)) => format!("{last}, {first}"),
            (Some(last), None) => last.clone(),
            (None, _) => display.clone(),
        };
        (self.display_name, self.first_name, self.last_name) = (Some(display), first, last);
    }

    fn set_contact(&mut self, event: &RecordedEvent, contact: &ContactDetails, decoder: &mut Decoder<'_>) {
        self.email = contact.email.as_ref().and_then(|email| decoder.open(event, email)).map(|email| email.0);
        self.phone = contact.phone.as_ref().and_then(|phone| decoder.open(event, phone)).map(|phone| phone.0);
        let address = contact.address.as_ref().and_then(|address| decoder.open(event, address));
        (self.city, self.region, self.country) =
            address.map_or((None, None, None), |address| (address.city, address.region, address.country));
    }

    fn set_profile(&mut self, profile: Option<Profile>) {
        let Profile { biography, job_title, picture_url, social_links } = profile.unwrap_or_default();
        self.biography = biography;
        self.job_title = job_title;
        self.picture_url = picture_url;
        self.social_links = social_links;
    }

    fn set_privacy(&mut self, privacy: PrivacySwitches) {
        let PrivacySwitches { show_email, show_phone, show_in_directory, allow_messages, public_profile } = privacy;
        self.show_email = show_email;
        self.show_phone = show_phone;
        self.show_in_directory = show_in_directory;
        self.allow_messages = allow_messages;
        self.public_profile = public_profile;
    }
}
