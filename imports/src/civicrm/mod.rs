//! `CiviCRM`, as one CSV file per table (`contact.csv`, `membership.csv`, …) with a header row.
//!
//! [`read`] knows which tables and columns it needs (see `schema.rs`); what is more is ignored and named in
//! the report, what is less is an error before anything is sent. To take one more table: its columns in
//! `schema.rs`, a file with a `take` here, a line in [`read`].

mod addresses;
mod affiliations;
mod contacts;
mod contributions;
mod events;
mod intake;
mod links;
mod memberships;
mod participants;
mod plans;
mod schema;
mod statuses;
mod table;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use chrono::NaiveDate;
use chrono_tz::Tz;
use guildhall_aggregates::{TenantId, money::Currency};

use self::{
    intake::Intake,
    links::Links,
    schema::TableSpec,
    table::{Table, count_rows},
};
use crate::{Import, LeftOut, Report};

/// What an export does not say itself.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The association imported into: the ids of everything follow from it.
    pub tenant: TenantId,
    /// Its short name, for the report.
    pub association: String,
    /// The day the export was taken. Statuses are compared as of it, and what is over by then is closed.
    pub as_of: NaiveDate,
    /// The currency of amounts that name none.
    pub currency: Currency,
    /// The zone the export's times are local to.
    pub time_zone: Tz,
}

/// Why an export cannot be read at all. Nothing has been sent then.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The folder is not there, or cannot be listed.
    #[error("the folder {} cannot be read: {reason}", .path.display())]
    NoFolder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// A file cannot be read.
    #[error("{} cannot be imported: {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Tables or columns are missing that an import makes no sense without; all of them.
    #[error(
        "the export in {} lacks what an import needs:\n  {}\nexport these as CSV with a header row and run the import again; nothing was written",
        .path.display(),
        .missing.join("\n  ")
    )]
    Missing {
        /// The folder.
        path: PathBuf,
        /// `contact.csv`, or `contact.csv: column contact_type`.
        missing: Vec<String>,
    },
}

/// Reads the export in a folder.
///
/// ```no_run
/// use guildhall_aggregates::{money::Currency, tenant_of_slug};
/// use guildhall_imports::civicrm::{self, ImportOptions};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let import = civicrm::read(
///     "exports/bell-ringers".as_ref(),
///     &ImportOptions {
///         tenant: tenant_of_slug("bell-ringers"),
///         association: "bell-ringers".to_owned(),
///         as_of: "2026-11-20".parse()?,
///         currency: Currency::GBP,
///         time_zone: "Europe/London".parse()?,
///     },
/// )?;
/// println!("{} commands for {} rows", import.lines.len(), import.report.rows.len());
/// # Ok(()) }
/// ```
pub fn read(dir: &Path, options: &ImportOptions) -> Result<Import, ImportError> {
    let mut intake = Intake::new(options);
    let tables = Tables::read(dir, &mut intake.report)?;

    let statuses = statuses::take(&mut intake, &tables.membership_status);
    let plans = plans::take(&mut intake, &tables.membership_type, statuses.grace);
    let members = contacts::take(&mut intake, &tables);
    affiliations::take(&mut intake, &tables, &members);
    let memberships = memberships::take(&mut intake, &tables.membership, &statuses, &plans, &members);
    let events = events::take(&mut intake, &tables.event, &tables.participant);
    let registrations = participants::take(&mut intake, &tables, &events, &members);
    let mut links = Links::default();
    links.add(&tables.membership_payment, "membership", &memberships);
    links.add(&tables.participant_payment, "participant", &registrations);
    contributions::take(&mut intake, &tables, &links, &members);
    events::close(&mut intake, &events);
    contacts::record_deaths(&mut intake, &members);
    plans::retire(&mut intake, &plans);
    Ok(intake.finish())
}

/// The tables that are imported, in memory.
struct Tables {
    contact: Table,
    email: Table,
    phone: Table,
    address: Table,
    state_province: Table,
    country: Table,
    relationship: Table,
    relationship_type: Table,
    membership_status: Table,
    membership_type: Table,
    membership: Table,
    event: Table,
    participant: Table,
    participant_status_type: Table,
    contribution: Table,
    financial_type: Table,
    contribution_type: Table,
    /// Read to compare, not to be imported.
    membership_payment: Table,
    participant_payment: Table,
}

impl Tables {
    /// Reads every table of the folder that is imported, and enters the others as left out.
    fn read(dir: &Path, report: &mut Report) -> Result<Self, ImportError> {
        let mut files = csv_files(dir)?;
        let links = [glance(&files, &schema::MEMBERSHIP_PAYMENT)?, glance(&files, &schema::PARTICIPANT_PAYMENT)?];
        let [membership_payment, participant_payment] = links;
        let mut missing = Vec::new();
        let mut read = |spec: &TableSpec| {
            if let Some(path) = files.remove(spec.name) {
                return Table::read(&path, spec, report, &mut missing);
            }
            missing.extend(spec.needed.then(|| format!("{}.csv", spec.name)));
            Ok(Table::absent(spec))
        };
        let tables = Self {
            contact: read(&schema::CONTACT)?,
            email: read(&schema::EMAIL)?,
            phone: read(&schema::PHONE)?,
            address: read(&schema::ADDRESS)?,
            state_province: read(&schema::STATE_PROVINCE)?,
            country: read(&schema::COUNTRY)?,
            relationship: read(&schema::RELATIONSHIP)?,
            relationship_type: read(&schema::RELATIONSHIP_TYPE)?,
            membership_status: read(&schema::MEMBERSHIP_STATUS)?,
            membership_type: read(&schema::MEMBERSHIP_TYPE)?,
            membership: read(&schema::MEMBERSHIP)?,
            event: read(&schema::EVENT)?,
            participant: read(&schema::PARTICIPANT)?,
            participant_status_type: read(&schema::PARTICIPANT_STATUS_TYPE)?,
            contribution: read(&schema::CONTRIBUTION)?,
            financial_type: read(&schema::FINANCIAL_TYPE)?,
            contribution_type: read(&schema::CONTRIBUTION_TYPE)?,
            membership_payment,
            participant_payment,
        };
        if !missing.is_empty() {
            return Err(ImportError::Missing { path: dir.to_owned(), missing });
        }
        for (table, path) in files {
            let known = schema::LEFT_OUT.iter().find(|(name, _)| *name == table);
            let reason = known.map_or("this importer does not know the table", |(_, reason)| reason).to_owned();
            report.left_out.push(LeftOut { table, rows: count_rows(&path)?, reason });
        }
        Ok(tables)
    }
}

/// Reads a table whose rows need no verdict.
fn glance(files: &BTreeMap<String, PathBuf>, spec: &TableSpec) -> Result<Table, ImportError> {
    let unheard = &mut Report::new("", String::new(), NaiveDate::default());
    let path = files.get(spec.name);
    path.map_or_else(|| Ok(Table::absent(spec)), |path| Table::read(path, spec, unheard, &mut Vec::new()))
}

/// The folder's tables by name, in alphabetical order.
fn csv_files(dir: &Path) -> Result<BTreeMap<String, PathBuf>, ImportError> {
    let failed = |reason| ImportError::NoFolder { path: dir.to_owned(), reason };
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
            && let Some(name) = path.file_stem().and_then(|stem| stem.to_str())
        {
            files.insert(name.trim_start_matches("civicrm_").to_lowercase(), path);
        }
    }
    Ok(files)
}
