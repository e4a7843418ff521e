//! `email`, `phone` and `address`: how contacts are reached. A contact may have several of each there and
//! has one of each here: the primary one, or else the first.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::{
    Tables,
    intake::Intake,
    table::{Row, Table},
};
use crate::report::RowIndex;

/// The longest e-mail address there can be.
const LONGEST_EMAIL: usize = 254;

/// Of each contact that has any, the chosen value as requests have it, and the row it is from.
pub(super) type Chosen = HashMap<u64, (Value, RowIndex)>;

/// The e-mail addresses. `knows` says which contacts are taken.
pub(super) fn emails(intake: &mut Intake<'_>, table: &Table, knows: &dyn Fn(u64) -> bool) -> Chosen {
    choose(intake, table, knows, &|row| {
        let email = row.text("email").ok_or("is empty")?;
        if is_email(email) { Ok(json!(email)) } else { Err("is not an e-mail address".to_owned()) }
    })
}

/// The telephone numbers.
pub(super) fn phones(intake: &mut Intake<'_>, table: &Table, knows: &dyn Fn(u64) -> bool) -> Chosen {
    choose(intake, table, knows, &|row| {
        let phone = row.line("phone")?.ok_or("is empty")?;
        Ok(json!(match row.line("phone_ext")? {
            Some(extension) => format!("{phone} ext. {extension}"),
            None => phone,
        }))
    })
}

/// The postal addresses. States and countries are numbers there, which two tables of the source name; the
/// numbers of an export without these tables are left out.
pub(super) fn addresses(intake: &mut Intake<'_>, tables: &Tables, knows: &dyn Fn(u64) -> bool) -> Chosen {
    let regions = names(&tables.state_province, &["name"]);
    let countries = names(&tables.country, &["iso_code", "name"]);
    let unnamed = |row: Row<'_>| {
        (row.text("state_province_id").is_some() && regions.is_empty())
            || (row.text("country_id").is_some() && countries.is_empty())
    };
    if tables.address.rows().any(unnamed) {
        let note = "states and countries are numbers in the export and are left out: \
                    add the tables state_province and country to the folder to have their names";
        intake.report.note(tables.address.name, note.to_owned());
    }
    choose(intake, &tables.address, knows, &|row| {
        let columns = ["street_address", "supplemental_address_1", "supplemental_address_2", "supplemental_address_3"];
        let lines = columns.iter().filter_map(|column| row.line(column).transpose());
        let lines = lines.collect::<Result<Vec<_>, _>>()?;
        let (city, postal_code) = (row.line("city")?, row.line("postal_code")?);
        let region = row.text("state_province_id").and_then(|id| regions.get(id));
        let country = row.text("country_id").and_then(|id| countries.get(id));
        if lines.is_empty() && [&city, &postal_code].iter().all(|part| part.is_none()) {
            return Err("is empty".to_owned());
        }
        Ok(json!({
            "lines": lines, "city": city, "region": region, "postal_code": postal_code, "country": country
        }))
    })
}

/// Whether the text is an address and nothing but an address, of a length that commands take.
fn is_email(text: &str) -> bool {
    let stray = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | ',' | ';');
    let sides = text.rsplit_once('@').is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty());
    sides && !text.contains(stray) && text.len() <= LONGEST_EMAIL
}

/// Enters every row, and chooses one of each contact.
fn choose(
    intake: &mut Intake<'_>,
    table: &Table,
    knows: &dyn Fn(u64) -> bool,
    value_of: &dyn Fn(Row<'_>) -> Result<Value, String>,
) -> Chosen {
    let mut usable: BTreeMap<u64, Vec<(Row<'_>, Value)>> = BTreeMap::new();
    for row in table.rows() {
        match contact_of(row, knows).and_then(|contact| Ok((contact, value_of(row)?))) {
            Ok((contact, value)) => usable.entry(contact).or_default().push((row, value)),
            Err(reason) => intake.refuse(row, reason),
        }
    }
    let mut chosen = Chosen::new();
    for (contact, rows) in usable {
        let best = rows.iter().position(|(row, _)| row.flag("is_primary")).unwrap_or(0);
        for (at, (row, value)) in rows.into_iter().enumerate() {
            if at == best {
                chosen.insert(contact, (value, intake.take(row, Vec::new())));
            } else {
                intake.refuse(row, "a member has one here, and another row of the contact comes first");
            }
        }
    }
    chosen
}

fn contact_of(row: Row<'_>, knows: &dyn Fn(u64) -> bool) -> Result<u64, String> {
    let contact = row.number("contact_id")?.ok_or("belongs to no contact")?;
    if knows(contact) { Ok(contact) } else { Err(format!("contact {contact} is not imported")) }
}

/// The names of a table of names, by id as other tables write it.
fn names<'t>(table: &'t Table, columns: &[&str]) -> HashMap<String, &'t str> {
    let name = |row: Row<'t>| columns.iter().find_map(|column| row.text(column));
    table.rows().filter_map(|row| Some((row.id.to_string(), name(row)?))).collect()
}
