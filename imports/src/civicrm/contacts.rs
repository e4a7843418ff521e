//! `contact`, with `relationship`: people, organizations and households, and who works where.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

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
    row: RowIndex,
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

/// Takes the contacts and what is known of their affiliations.
pub(super) fn take(intake: &mut Intake<'_>, tables: &Tables) -> Members {
    let known: HashSet<u64> = tables.contact.rows().map(|row| row.id).collect();
    let reached = Reached::read(intake, tables, &|contact| known.contains(&contact));
    let mut members = Members::new();
    for row in tables.contact.rows() {
        match take_contact(intake, row, &reached) {
            Ok(member) => {
                members.insert(row.id, member);
            }
            Err(reason) => intake.refuse(row, reason),
        }
    }
    affiliate(intake, tables, &members);
    members
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

fn take_contact(intake: &mut Intake<'_>, row: Row<'_>, reached: &Reached) -> Result<Member, String> {
    let mut remarks = Vec::new();
    let kind = kind_of(row)?;
    let name = name_of(row, kind, &mut remarks)?;
    let job_title = row.line("job_title")?;
    let birth_date = date_or_remark(row, "birth_date", &mut remarks);
    let deceased_date = date_or_remark(row, "deceased_date", &mut remarks);
    let email = reached.emails.get(&row.id);
    let shared = email.and_then(|(value, _)| reached.sharers.get(&value.as_str()?.to_lowercase()));
    let email_shared = shared.is_some_and(|&sharers| sharers > 1);
    if email_shared {
        remarks.push("shares its e-mail address with another contact: the address identifies neither".to_owned());
    }
    let deleted = row.flag("is_deleted");
    if deleted {
        remarks
            .push("is deleted there; imported because history refers to it, and kept out of the directory".to_owned());
    }
    let dead = row.flag("is_deceased");
    if dead && kind != MemberKind::Person {
        remarks.push("is marked as deceased there; only people die here".to_owned());
    }
    let (phone, address) = (reached.phones.get(&row.id), reached.addresses.get(&row.id));
    let index = intake.take(row, remarks);
    let parts = [email, phone, address].into_iter().flatten().map(|(_, part)| *part);
    let rows: Vec<_> = std::iter::once(index).chain(parts).collect();
    let member_id = intake.id_of(row.table, row.id);
    let value = |chosen: Option<&(Value, RowIndex)>| chosen.map(|(value, _)| value.clone());
    let body = json!({
        "member_id": member_id,
        "kind": kind,
        "name": name,
        "contact": { "email": value(email), "phone": value(phone), "address": value(address) },
        "email_shared": email_shared,
        "birth_date": birth_date,
        "source": source_of(row),
    });
    intake.order("RegisterMember", (row.table, row.id), &rows, body);
    let died = (dead && kind == MemberKind::Person).then_some(Death(deceased_date));
    let member = Member { id: member_id, row: index, died };
    describe(intake, row, &member, job_title, deleted);
    Ok(member)
}

/// Orders what the contact says and wants apart from who it is.
fn describe(intake: &mut Intake<'_>, row: Row<'_>, member: &Member, job_title: Option<String>, deleted: bool) {
    if let Some(job_title) = job_title {
        let body = json!({ "member_id": member.id, "profile": { "job_title": job_title } });
        intake.order("ChangeProfile", (row.table, row.id), &[member.row], body);
    }
    let no_messages = row.flag("do_not_email");
    if deleted || no_messages {
        let privacy = PrivacySwitches {
            show_in_directory: !deleted,
            allow_messages: !(deleted || no_messages),
            ..PrivacySwitches::default()
        };
        let body = json!({ "member_id": member.id, "privacy": privacy });
        intake.order("ChangePrivacy", (row.table, row.id), &[member.row], body);
    }
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

/// Takes who works where: the contact's employer and the relationships of that type.
fn affiliate(intake: &mut Intake<'_>, tables: &Tables, members: &Members) {
    let mut affiliations: BTreeMap<u64, (BTreeSet<Uuid>, Vec<RowIndex>)> = BTreeMap::new();
    for (row, member) in tables.contact.rows().filter_map(|row| Some((row, members.get(&row.id)?))) {
        match row.number("employer_id").and_then(|id| id.map(|id| member_id(members, id)).transpose()) {
            Ok(None) => {}
            Ok(Some(employer)) => {
                let (organizations, rows) = affiliations.entry(row.id).or_default();
                organizations.insert(employer);
                rows.push(member.row);
            }
            Err(reason) => intake.report.remark(member.row, format!("the employer is left out: {reason}")),
        }
    }
    let employments: BTreeSet<u64> =
        tables.relationship_type.rows().filter(|row| is_employment(*row)).map(|row| row.id).collect();
    for row in tables.relationship_type.rows() {
        if employments.contains(&row.id) {
            intake.take(row, Vec::new());
        } else {
            intake.refuse(row, "of the relationships, only employment is imported");
        }
    }
    for row in tables.relationship.rows() {
        match employment(intake, row, &employments, members) {
            Ok((contact, employer)) => {
                let index = intake.take(row, Vec::new());
                let (organizations, rows) = affiliations.entry(contact).or_default();
                organizations.insert(employer);
                rows.push(index);
            }
            Err(reason) => intake.refuse(row, reason),
        }
    }
    for (contact, (organizations, rows)) in affiliations {
        let body = json!({ "member_id": members[&contact].id, "organizations": organizations });
        intake.order("ChangeAffiliations", (tables.contact.name, contact), &rows, body);
    }
}

/// Types are known by their name; their ids differ from one association to the next.
fn is_employment(row: Row<'_>) -> bool {
    row.text("name_a_b").is_some_and(|name| name.eq_ignore_ascii_case("Employee of"))
}

/// The employee's id in the export and the employer's id here, of a relationship that is an employment now.
fn employment(
    intake: &Intake<'_>,
    row: Row<'_>,
    employments: &BTreeSet<u64>,
    members: &Members,
) -> Result<(u64, Uuid), String> {
    if !employments.contains(&row.needed_number("relationship_type_id")?) {
        return Err("of the relationships, only employment is imported".to_owned());
    }
    let ended = row.date("end_date")?.is_some_and(|end| end < intake.options.as_of);
    if ended || row.text("is_active") == Some("0") {
        return Err("has ended; only what holds now is imported".to_owned());
    }
    let employee = row.needed_number("contact_id_a")?;
    member_id(members, employee)?;
    Ok((employee, member_id(members, row.needed_number("contact_id_b")?)?))
}

/// The id of the member that a contact became.
pub(super) fn member_id(members: &Members, contact: u64) -> Result<Uuid, String> {
    members.get(&contact).map(|member| member.id).ok_or_else(|| format!("contact {contact} is not imported"))
}
