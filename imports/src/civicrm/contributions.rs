//! `contribution`: money that came, or was to come.

use std::collections::HashMap;

use chrono::NaiveDate;
use guildhall_aggregates::{invoice::RevenueKind, payment::ContributionStanding};
use serde_json::json;

use super::{
    Tables,
    contacts::{self, Members},
    intake::{Intake, currency_of, source_of},
    links::Links,
    table::{Row, Table},
};

/// The types as the source installs them, for exports without the table that names them.
const USUAL_TYPES: [(u64, &str); 4] =
    [(1, "Donation"), (2, "Member Dues"), (3, "Campaign Contribution"), (4, "Event Fee")];

/// Takes the contributions.
pub(super) fn take(intake: &mut Intake<'_>, tables: &Tables, links: &Links, members: &Members) {
    let table = &tables.contribution;
    let types = Types::of(intake, tables);
    if !table.has("currency") {
        let code = intake.options.currency.code();
        intake.report.note(table.name, format!("has no column currency: all amounts are taken for {code}"));
    }
    for row in table.rows() {
        if let Err(reason) = take_contribution(intake, table, row, &types, links, members) {
            intake.refuse(row, reason);
        }
    }
}

fn take_contribution(
    intake: &mut Intake<'_>,
    table: &Table,
    row: Row<'_>,
    types: &Types,
    links: &Links,
    members: &Members,
) -> Result<(), String> {
    if row.flag("is_test") {
        return Err("is a test row".to_owned());
    }
    let contact = row.needed_number("contact_id")?;
    let payer = contacts::member_id(members, contact)?;
    let mut remarks = Vec::new();
    if table.has("currency") && row.text("currency").is_none() {
        remarks.push(format!("names no currency: it is taken for {}", intake.options.currency.code()));
    }
    let currency = currency_of(row, "currency", intake.options.currency)?;
    let amount = row.amount("total_amount", currency)?.ok_or("has no total_amount")?;
    if amount.minor < 0 {
        return Err("total_amount is negative: record what was given back as a refund".to_owned());
    }
    let standing = standing_of(row, &mut remarks)?;
    let on = date_of(row, &mut remarks)?;
    let kind = types.kind_of(row, &mut remarks)?;
    remarks.extend(links.mismatches(row.id, contact, amount));
    let index = intake.take(row, remarks);
    let body = json!({
        "payment_id": intake.id_of(row.table, row.id),
        "payer": payer,
        "amount": amount,
        "kind": kind,
        "standing": standing,
        "on": on,
        "source": source_of(row),
    });
    intake.order("ImportContribution", (row.table, row.id), &[index], body);
    Ok(())
}

/// The day the money came; where it did not come, another day the row knows.
fn date_of(row: Row<'_>, remarks: &mut Vec<String>) -> Result<NaiveDate, String> {
    if let Some(received) = row.date("receive_date")? {
        return Ok(received);
    }
    for column in ["receipt_date", "cancel_date"] {
        if let Some(date) = row.date(column)? {
            remarks.push(format!("has no receive_date: its {column} is taken"));
            return Ok(date);
        }
    }
    Err("has no date".to_owned())
}

/// Statuses are options of the source, with the same numbers in every installation.
fn standing_of(row: Row<'_>, remarks: &mut Vec<String>) -> Result<ContributionStanding, String> {
    let (standing, name) = match row.needed_number("contribution_status_id")? {
        1 => return Ok(ContributionStanding::Completed),
        2 => return Ok(ContributionStanding::Pending),
        3 => return Ok(ContributionStanding::Cancelled),
        4 => return Ok(ContributionStanding::Failed),
        7 => return Ok(ContributionStanding::Refunded),
        5 => (ContributionStanding::Pending, "in progress"),
        6 => (ContributionStanding::Pending, "overdue"),
        8 => (ContributionStanding::Pending, "partially paid"),
        9 => (ContributionStanding::Completed, "to be refunded"),
        10 => (ContributionStanding::Refunded, "charged back"),
        11 => return Err("is a template and no contribution".to_owned()),
        other => return Err(format!("contribution_status_id {other} is not known")),
    };
    let word: &str = standing.into();
    remarks.push(format!("is {name} there: it is taken for {word}"));
    Ok(standing)
}

/// What contributions were for, by the numbers of the export.
struct Types {
    names: HashMap<u64, String>,
}

impl Types {
    fn of(intake: &mut Intake<'_>, tables: &Tables) -> Self {
        let mut names: HashMap<_, _> = USUAL_TYPES.iter().map(|(id, name)| (*id, (*name).to_owned())).collect();
        for row in tables.financial_type.rows().chain(tables.contribution_type.rows()) {
            match row.text("name") {
                Some(name) => {
                    names.insert(row.id, name.to_owned());
                    intake.take(row, Vec::new());
                }
                None => intake.refuse(row, "has no name"),
            }
        }
        Self { names }
    }

    fn kind_of(&self, row: Row<'_>, remarks: &mut Vec<String>) -> Result<RevenueKind, String> {
        // Releases before 4.3 have the second name; some exports have both columns and fill one.
        let new = "financial_type_id";
        let column = if row.text(new).is_some() { new } else { "contribution_type_id" };
        let id = row.needed_number(column)?;
        Ok(match self.names.get(&id).map(String::as_str) {
            Some("Donation" | "Campaign Contribution") => RevenueKind::Donation,
            Some("Member Dues") => RevenueKind::Dues,
            Some("Event Fee") => RevenueKind::EventFee,
            _ => {
                remarks.push(format!("{column} {id} has no counterpart here: it is taken for other revenue"));
                RevenueKind::Other
            }
        })
    }
}
