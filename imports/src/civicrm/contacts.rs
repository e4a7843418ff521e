//! `contact`: people, organizations and households.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::NaiveDate;
use guildhall_aggregates::member::{MemberKind, PrivacySwitches};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Tables,
    addresses::{self, Chosen},
    intake::{Intake, source_of},
    table::Row,
};
use crate::report::RowIndex;

/// The members that are taken, by the ids of the export.
pub(super) type Members = BTreeMap<u64, Member>;

/// A member that is taken.
pub(super) struct Member {
    pub(super) id: Uuid,
    pub(super) row: RowIndex,
    died: Option<Death>,
}

/// That a member has died, and when, where it is known.
#[derive(Clone, Copy)]
struct Death(Option<NaiveDate>);

/// How every contact is reached, where it is known.
struct Reached {
    emails: Chosen,
    phones: Chosen,
    addresses: Chosen,
    /// How many contacts have an e-mail address, in small letters.
    sharers: HashMap<String, usize>,
}

/// What is known of a contact before it is entered.
struct Facts {
    kind: MemberKind,
    name: Value,
    job_title: Option<String>,
    birth_date: Option<NaiveDate>,
    died: Option<Death>,
    deleted: bool,
    remarks: Vec<String>,
}

/// Takes the contacts, and with them how they are reached.
pub(super) fn take(intake: &mut Intake<'_>, tables: &Tables) -> Members {
    let mut contacts = Vec::new();
    for row in tables.contact.rows() {
        match facts_of(row) {
            Ok(facts) => contacts.push((row, facts)),
            Err(reason) => intake.refuse(row, reason),
        }
    }
    let known: HashSet<u64> = contacts.iter().map(|(row, _)| row.id).collect();
    let reached = Reached::read(intake, tables, &|contact| known.contains(&contact));
    contacts.into_iter().map(|(row, facts)| (row.id, order(intake, row, facts, &reached))).collect()
}

/// Records the deaths; after everything else, because a life comes first.
pub(super) fn record_deaths(intake: &mut Intake<'_>, members: &Members) {
    for (contact, member) in members {
        if let Some(Death(on)) = member.died {
            let body = json!({ "member_id": member.id, "on": on });
            intake.order("RecordDeath", ("contact", contact), &[member.row], body);
        }
    }
}

impl Reached {
    fn read(intake: &mut Intake<'_>, tables: &Tables, knows: &dyn Fn(u64) -> bool) -> Self {
        let emails = addresses::emails(intake, &tables.email, knows);
        let phones = addresses::phones(intake, &tables.phone, knows);
        let addresses = addresses::addresses(intake, tables, knows);
        let mut sharers = HashMap::new();
        for email in emails.values().filter_map(|(value, _)| value.as_str()) {
            *sharers.entry(email.to_lowercase()).or_default() += 1;
        }
        Self { emails, phones, addresses, sharers }
    }

    fn is_shared(&self, email: Option<&Value>) -> bool {
        let sharers = email.and_then(|email| self.sharers.get(&email.as_str()?.to_lowercase()));
        sharers.is_some_and(|&sharers| sharers > 1)
    }
}

fn kind_of(row: Row<'_>) -> Result<MemberKind, String> {
    match row.text("contact_type") {
        Some("Individual") => Ok(MemberKind::Person),
        Some("Organization") => Ok(MemberKind::Organization),
        Some("Household") => Ok(MemberKind::Household),
        Some(other) => Err(format!("contact_type {other:?} is not known")),
        None => Err("contact_type is empty".to_owned()),
    }
}

fn facts_of(row: Row<'_>) -> Result<Facts, String> {
    let mut remarks = Vec::new();
    let kind = kind_of(row)?;
    let name = name_of(row, kind, &mut remarks)?;
    let job_title = row.line("job_title")?;
    let birth_date = date_or_remark(row, "birth_date", &mut remarks);
    let deceased_date = date_or_remark(row, "deceased_date", &mut remarks);
    let deleted = row.flag("is_deleted");
    if deleted {
        let remark = "is deleted there; imported because history refers to it, and kept out of the directory";
        remarks.push(remark.to_owned());
    }
    let mut died = row.flag("is_deceased").then_some(Death(deceased_date));
    if died.is_some() && kind != MemberKind::Person {
        remarks.push("is marked as deceased there; only people die here".to_owned());
        died = None;
    }
    Ok(Facts { kind, name, job_title, birth_date, died, deleted, remarks })
}

fn order(intake: &mut Intake<'_>, row: Row<'_>, mut facts: Facts, reached: &Reached) -> Member {
    let of = |chosen: &Chosen| chosen.get(&row.id).cloned().unzip();
    let (email, email_row) = of(&reached.emails);
    let (phone, phone_row) = of(&reached.phones);
    let (address, address_row) = of(&reached.addresses);
    let email_shared = reached.is_shared(email.as_ref());
    if email_shared {
        let remark = "shares its e-mail address with another contact: the address identifies neither";
        facts.remarks.push(remark.to_owned());
    }
    let index = intake.take(row, facts.remarks);
    let id = intake.id_of(row.table, row.id);
    let registered = json!({
        "member_id": id,
        "kind": facts.kind,
        "name": facts.name,
        "contact": { "email": email, "phone": phone, "address": address },
        "email_shared": email_shared,
        "birth_date": facts.birth_date,
        "source": source_of(row),
    });
    let rows: Vec<_> = [Some(index), email_row, phone_row, address_row].into_iter().flatten().collect();
    intake.order("RegisterMember", (row.table, row.id), &rows, registered);
    if let Some(job_title) = facts.job_title {
        let described = json!({ "member_id": id, "profile": { "job_title": job_title } });
        intake.order("ChangeProfile", (row.table, row.id), &[index], described);
    }
    let no_messages = facts.deleted || row.flag("do_not_email");
    if no_messages {
        let usual = PrivacySwitches::default();
        let privacy = PrivacySwitches { show_in_directory: !facts.deleted, allow_messages: false, ..usual };
        let wished = json!({ "member_id": id, "privacy": privacy });
        intake.order("ChangePrivacy", (row.table, row.id), &[index], wished);
    }
    Member { id, row: index, died: facts.died }
}

/// What the contact is called; parts of the name only people have.
fn name_of(row: Row<'_>, kind: MemberKind, remarks: &mut Vec<String>) -> Result<Value, String> {
    let part = |column| if kind == MemberKind::Person { row.line(column) } else { Ok(None) };
    let (first, middle, last) = (part("first_name")?, part("middle_name")?, part("last_name")?);
    let columns = ["display_name", "organization_name", "household_name"];
    let mut display = columns.into_iter().find_map(|column| row.line(column).transpose()).transpose()?;
    if display.is_none() {
        let parts: Vec<_> = [&first, &middle, &last].into_iter().flatten().map(String::as_str).collect();
        display = Some(parts.join(" ")).filter(|name| !name.is_empty());
    }
    if display.is_none() {
        remarks.push("has no name: it is called \"(no name)\"".to_owned());
    }
    let display = display.unwrap_or_else(|| "(no name)".to_owned());
    Ok(json!({ "display": display, "first": first, "middle": middle, "last": last }))
}

/// A date the contact can do without: what is not a date is left out, and said without quoting it.
fn date_or_remark(row: Row<'_>, column: &str, remarks: &mut Vec<String>) -> Option<NaiveDate> {
    row.date(column).unwrap_or_else(|reason| {
        remarks.push(format!("{reason}: it is left out"));
        None
    })
}

/// The id of the member that a contact became.
pub(super) fn member_id(members: &Members, contact: u64) -> Result<Uuid, String> {
    members.get(&contact).map(|member| member.id).ok_or_else(|| format!("contact {contact} is not imported"))
}
