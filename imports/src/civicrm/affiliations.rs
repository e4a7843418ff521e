//! `relationship` and `relationship_type`, with the employer in `contact`: who works where.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use uuid::Uuid;

use super::{
    Tables,
    contacts::{Members, member_id},
    intake::Intake,
    table::Row,
};
use crate::report::RowIndex;

/// Takes the employers of the contacts and the relationships that are employments.
pub(super) fn take(intake: &mut Intake<'_>, tables: &Tables, members: &Members) {
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
