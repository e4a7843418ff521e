//! What a member record decides.

use uuid::Uuid;

use super::*;
use crate::{
    ids::SubjectId,
    personal::{EmailAddress, Personal, TokenParts},
    testing::given,
};

/// Personal data whose clear text `digest` stands for, as the vault would seal it in command `sealed_by`.
fn sealed<T>(digest: u8, sealed_by: u128) -> Personal<T> {
    Personal::from_parts(&TokenParts {
        subject: SubjectId::new(Uuid::from_u128(1)),
        sealed_by: Uuid::from_u128(sealed_by),
        digest: [digest; 16],
        ciphertext: sealed_by.to_be_bytes().to_vec(),
    })
}
fn contact(digest: u8, sealed_by: u128) -> ContactDetails {
    ContactDetails { email: Some(sealed::<EmailAddress>(digest, sealed_by)), ..ContactDetails::default() }
}
fn register(sealed_by: u128) -> RegisterMember {
    RegisterMember {
        kind: MemberKind::Person,
        name: sealed(1, sealed_by),
        contact: contact(2, sealed_by),
        birth_date: Some(sealed(3, sealed_by)),
        member_number: Some("M-1".into()),
        source: None,
    }
}
fn registered_as(command: RegisterMember) -> MemberEvent {
    let RegisterMember { kind, name, contact, birth_date, member_number, source } = command;
    MemberEvent::MemberRegistered { kind, name, contact, birth_date, member_number, source }
}
fn registered() -> MemberEvent {
    registered_as(register(1))
}
fn forgotten() -> MemberEvent {
    MemberEvent::MemberForgotten {}
}
fn organizations(n: u128) -> BTreeSet<MemberId> {
    (0..n).map(|n| MemberId::new(Uuid::from_u128(n))).collect()
}
fn day(day: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(2026, 1, day)
}
fn add(credential: &str) -> AddCredential {
    AddCredential { credential: credential.into() }
}
fn added(credential: &str) -> MemberEvent {
    MemberEvent::CredentialAdded { credential: credential.into() }
}
fn remove(credential: &str) -> RemoveCredential {
    RemoveCredential { credential: credential.into() }
}

#[test]
fn a_member_is_put_on_record() {
    given::<Member>([]).when(register(1)).then([registered()]);
}

#[test]
fn the_same_data_sealed_anew_is_the_same_data() {
    given::<Member>([registered()]).when(register(2)).then_nothing();
    given::<Member>([registered()]).when(ChangeName { name: sealed(1, 9) }).then_nothing();
    given::<Member>([registered()]).when(ChangeContactDetails { contact: contact(2, 9) }).then_nothing();
}

#[test]
fn other_data_for_a_member_on_record_is_refused() {
    given::<Member>([registered()])
        .when(RegisterMember { name: sealed(7, 2), ..register(2) })
        .then_refused(MemberRefusal::MemberAlreadyRegistered);
}

#[test]
fn a_row_of_another_system_is_taken_over_once() {
    let row = || SourceRef { system: "civicrm".into(), table: "contact".into(), id: "1".into() };
    let import = RegisterMember { source: Some(row()), ..register(1) };
    given::<Member>([registered_as(import.clone()), MemberEvent::NameChanged { name: sealed(8, 1) }])
        .when(import)
        .then_nothing();
}

#[test]
fn an_empty_member_number_is_no_number() {
    given::<Member>([])
        .when(RegisterMember { member_number: Some(" ".into()), ..register(1) })
        .then_refused(MemberRefusal::MemberNumberEmpty);
}

#[test]
fn a_member_changes_name_contact_and_profile() {
    given::<Member>([registered()])
        .when(ChangeName { name: sealed(7, 2) })
        .then([MemberEvent::NameChanged { name: sealed(7, 2) }]);
    given::<Member>([registered()])
        .when(ChangeContactDetails { contact: contact(7, 2) })
        .then([MemberEvent::ContactDetailsChanged { contact: contact(7, 2) }]);
    let changed = MemberEvent::ProfileChanged { profile: sealed(7, 2) };
    given::<Member>([registered()]).when(ChangeProfile { profile: sealed(7, 2) }).then([changed.clone()]);
    given::<Member>([registered(), changed]).when(ChangeProfile { profile: sealed(7, 3) }).then_nothing();
}

#[test]
fn a_credential_is_added_once() {
    given::<Member>([registered()]).when(add("RN")).then([added("RN")]);
    given::<Member>([registered(), added("RN")]).when(add("RN")).then_nothing();
}

#[test]
fn a_credential_is_removed_once() {
    let removed = MemberEvent::CredentialRemoved { credential: "RN".into() };
    given::<Member>([registered(), added("RN")]).when(remove("RN")).then([removed.clone()]);
    given::<Member>([registered(), added("RN"), removed]).when(remove("RN")).then_nothing();
}

#[test]
fn a_credential_has_a_name() {
    given::<Member>([registered()]).when(add(" ")).then_refused(MemberRefusal::CredentialMissing);
}

#[test]
fn a_record_holds_only_so_many_credentials() {
    let all = (0..MOST_CREDENTIALS).map(|n| added(&format!("C{n}")));
    given::<Member>([registered()].into_iter().chain(all))
        .when(add("one more"))
        .then_refused(MemberRefusal::TooManyCredentials { most: MOST_CREDENTIALS });
}

#[test]
fn a_member_decides_what_others_see() {
    let open = PrivacySwitches { show_email: true, ..PrivacySwitches::default() };
    given::<Member>([registered()])
        .when(ChangePrivacy { privacy: open })
        .then([MemberEvent::PrivacyChanged { privacy: open }]);
    given::<Member>([registered()]).when(ChangePrivacy { privacy: PrivacySwitches::default() }).then_nothing();
}

#[test]
fn a_member_belongs_to_organizations() {
    let changed = MemberEvent::AffiliationsChanged { organizations: organizations(2) };
    let change = ChangeAffiliations { organizations: organizations(2) };
    given::<Member>([registered()]).when(change.clone()).then([changed.clone()]);
    given::<Member>([registered(), changed]).when(change).then_nothing();
}

#[test]
fn a_record_holds_only_so_many_organizations() {
    given::<Member>([registered()])
        .when(ChangeAffiliations { organizations: organizations(MOST_AFFILIATIONS as u128 + 1) })
        .then_refused(MemberRefusal::TooManyAffiliations { most: MOST_AFFILIATIONS });
}

#[test]
fn a_death_is_recorded_once() {
    let recorded = MemberEvent::DeathRecorded { on: day(2) };
    given::<Member>([registered()]).when(RecordDeath { on: day(2) }).then([recorded.clone()]);
    given::<Member>([registered(), recorded.clone()]).when(RecordDeath { on: day(2) }).then_nothing();
    given::<Member>([registered(), recorded]).when(RecordDeath { on: None }).then_nothing();
}

#[test]
fn the_day_of_a_death_may_become_known_later() {
    given::<Member>([registered(), MemberEvent::DeathRecorded { on: None }])
        .when(RecordDeath { on: day(2) })
        .then([MemberEvent::DeathRecorded { on: day(2) }]);
}

#[test]
fn an_organization_does_not_die() {
    let company = registered_as(RegisterMember { kind: MemberKind::Organization, ..register(1) });
    given::<Member>([company]).when(RecordDeath { on: None }).then_refused(MemberRefusal::NotAPerson);
}

#[test]
fn a_note_sent_twice_is_one_note() {
    let noted = |digest| MemberEvent::NoteAdded { text: sealed(digest, 1) };
    given::<Member>([registered()]).when(AddNote { text: sealed(5, 1) }).then([noted(5)]);
    given::<Member>([registered(), noted(5)]).when(AddNote { text: sealed(5, 2) }).then_nothing();
    given::<Member>([registered(), noted(5), noted(6)]).when(AddNote { text: sealed(5, 1) }).then([noted(5)]);
}

#[test]
fn a_member_is_forgotten_once() {
    given::<Member>([registered()]).when(ForgetMember {}).then([forgotten()]);
    given::<Member>([registered(), forgotten()]).when(ForgetMember {}).then_nothing();
}

fn every_change() -> Vec<MemberCommand> {
    vec![
        ChangeName { name: sealed(7, 2) }.into(),
        ChangeContactDetails { contact: contact(7, 2) }.into(),
        ChangeProfile { profile: sealed(7, 2) }.into(),
        add("RN").into(),
        remove("RN").into(),
        ChangePrivacy { privacy: PrivacySwitches::default() }.into(),
        ChangeAffiliations { organizations: organizations(1) }.into(),
        RecordDeath { on: None }.into(),
        AddNote { text: sealed(5, 1) }.into(),
    ]
}

#[test]
fn a_forgotten_member_is_never_changed_again() {
    for change in every_change() {
        given::<Member>([registered(), forgotten()]).when(change).then_refused(MemberRefusal::MemberForgotten);
    }
    given::<Member>([registered(), forgotten()]).when(register(2)).then_refused(MemberRefusal::MemberForgotten);
}

#[test]
fn who_is_not_on_record_is_not_changed() {
    for change in every_change() {
        given::<Member>([]).when(change).then_refused(MemberRefusal::MemberUnknown);
    }
    given::<Member>([]).when(ForgetMember {}).then_refused(MemberRefusal::MemberUnknown);
}

#[test]
fn nothing_of_a_forgotten_member_stays_in_the_state() {
    let mut member = Member::default();
    member.apply(registered());
    member.apply(forgotten());
    assert_eq!(serde_json::to_string(&member).unwrap(), r#""Forgotten""#);
}
