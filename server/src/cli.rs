//! What can be typed. Each subcommand is a module of the same name under `run/`.
#![expect(clippy::doc_markdown, reason = "these comments are the help that people read in a terminal")]

mod operations;

use std::{num::NonZeroU32, path::PathBuf};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, Parser, Subcommand, ValueEnum};
use guildhall_integrity::Which;
use guildhall_projections::MOST_SHARES;

pub use self::operations::{ProjectionsAction, ProjectionsRelease, ProjectionsRetry, Status};

/// Guildhall keeps the records of professional associations: an event-sourced backend on Postgres.
#[derive(Debug, Parser)]
#[command(name = "guildhall", version, about, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// Configuration file (TOML). The environment (GUILDHALL_…, DATABASE_URL, KAFKA_BROKERS) goes over it.
    #[arg(long, global = true, value_name = "FILE", env = "GUILDHALL_CONFIG")]
    pub config: Option<PathBuf>,

    /// Report as JSON on standard output, for other programs.
    #[arg(long, global = true)]
    pub json: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the HTTP API: commands, reads, audit.
    Serve,
    /// Carry history to Kafka.
    Relay(Relay),
    /// Fold history into the read models.
    Project,
    /// React to events and deadlines by sending commands.
    Process,
    /// Do all of it in one process.
    All,
    /// Say how far everything that follows history is, and whether anything is wrong.
    Status(Status),
    /// Bring the database's schema up to date.
    Migrate,
    /// Run everything on a private Postgres, tell a story through the API, and stay up to be explored.
    Demo(Demo),
    /// Bring in what another system kept.
    Import {
        /// From which system.
        #[command(subcommand)]
        system: ImportSystem,
    },
    /// Check and prove history.
    Audit {
        /// What to check or prove.
        #[command(subcommand)]
        check: AuditCheck,
    },
    /// Build a read model again from history and compare it with the live one, row for row.
    Rebuild(Rebuild),
    /// Look after streams that a read model could not follow.
    Projections {
        /// What to do.
        #[command(subcommand)]
        action: ProjectionsAction,
    },
    /// Look after the partitions of history: list them, take them to cold storage, bring them back.
    Store {
        /// What to do.
        #[command(subcommand)]
        action: StoreAction,
    },
    /// Give analysts a read-only login to their own association's data.
    Analyst {
        /// What to do.
        #[command(subcommand)]
        change: AnalystChange,
    },
    /// Make an access token.
    Token(Token),
    /// Look after the configuration.
    Config {
        /// What to do.
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Print the OpenAPI document of the HTTP API.
    Openapi,
    /// Print the AsyncAPI document of the topics on Kafka.
    Asyncapi,
    /// Write the JSON Schema of every event type in every version into a folder. Refuses to replace one by another that
    /// readers would trip over.
    Schemas {
        /// The folder, such as docs/schemas.
        folder: PathBuf,
    },
}

/// Where a relay begins.
#[derive(Debug, Args)]
pub struct Relay {
    /// Set the checkpoint back first, and send everything after this position again; 0 is all of history. Takes the lease
    /// from a relay at work. Consumers drop what they have seen.
    #[arg(long, value_name = "POSITION")]
    pub from: Option<u64>,
}

/// How the demo runs.
#[derive(Debug, Args)]
pub struct Demo {
    /// Carry events over a real Apache Kafka instead of the embedded transport.
    #[arg(long)]
    pub kafka: bool,
    /// Import the associations in this folder too: one folder of CiviCRM tables each.
    #[arg(long, value_name = "DIR")]
    pub civicrm: Option<PathBuf>,
    /// Where the demo keeps its data.
    #[arg(long, value_name = "DIR", default_value = ".guildhall/demo")]
    pub data: PathBuf,
    /// Port of the HTTP API; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Stop after the story instead of staying up.
    #[arg(long)]
    pub once: bool,
}

/// The systems that can be imported from.
#[derive(Debug, Subcommand)]
pub enum ImportSystem {
    /// CiviCRM, from one CSV file per table.
    Civicrm(ImportCivicrm),
    /// An application on postgres-es, from its events table; with order and versions kept.
    PostgresEs(ImportPostgresEs),
}

/// What is imported from CiviCRM, and as what.
#[derive(Debug, Args)]
pub struct ImportCivicrm {
    /// Folder with the tables: contact.csv, membership.csv, ….
    pub dir: PathBuf,
    /// Short name of the association the records become; founded if it is not there.
    #[arg(long, value_name = "NAME")]
    pub association: String,
    /// The day the tables were taken.
    #[arg(long, value_name = "DATE")]
    pub as_of: NaiveDate,
    /// Zone the association's dates are local to.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub time_zone: chrono_tz::Tz,
    /// Currency of amounts that do not name one.
    #[arg(long, value_name = "CODE", default_value = "USD")]
    pub currency: String,
    /// Write the full report, a row for each record, to this file (.csv or .json).
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// What is imported from postgres-es, and as what.
#[derive(Debug, Args)]
pub struct ImportPostgresEs {
    /// The database the events are in, as a Postgres URL. It is only read.
    pub url: String,
    /// Short name of the association whose history the events become part of.
    #[arg(long, value_name = "NAME")]
    pub association: String,
    /// The table, after its schema and a dot if need be.
    #[arg(long, value_name = "TABLE", default_value = "events")]
    pub table: String,
    /// Names for the categories of aggregate types, as in Customer=customer for app_customer. A type without one gets
    /// a category that spells its name.
    #[arg(long, value_name = "TYPE=NAME", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Order the events of different streams by a time in their metadata. Without it, one stream follows another.
    #[arg(long, value_name = "metadata.KEY")]
    pub order_by: Option<String>,
    /// Check everything and record nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Write the full report to this file (.json).
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// What can be checked of history.
#[derive(Debug, Subcommand)]
pub enum AuditCheck {
    /// Check every record (positions, versions, hashes, the command log), every checkpoint and what proves them.
    Verify(AuditVerify),
    /// Sign what was recorded since the last checkpoint, and publish it.
    Checkpoint {
        /// Short name of the association; without it, all.
        #[arg(long, value_name = "NAME")]
        association: Option<String>,
    },
    /// Prove that one record is in history.
    Prove(AuditProve),
    /// Write records into a file that can be checked without this database.
    Bundle(AuditBundle),
    /// List the keys that checkpoints are verified with.
    Keys,
}

/// What is verified.
#[derive(Debug, Args)]
pub struct AuditVerify {
    /// Short name of the association; without it, all.
    #[arg(long, value_name = "NAME")]
    pub association: Option<String>,
    /// A checkpoint that you kept. It must still be what history says. Can be given several times.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Vec<PathBuf>,
}

/// Which record is proved.
#[derive(Debug, Args)]
pub struct AuditProve {
    /// The record's event id, or its position, which is found sooner.
    #[arg(value_name = "EVENT", value_parser = parse_record)]
    pub record: Which,
    /// Write the proof to this file.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Which records a bundle has.
#[derive(Debug, Args)]
pub struct AuditBundle {
    /// Short name of the association.
    #[arg(long, value_name = "NAME")]
    pub association: String,
    /// From this day (UTC) or time (RFC 3339) on.
    #[arg(long, value_name = "DATE", value_parser = parse_time)]
    pub from: Option<DateTime<Utc>>,
    /// Before this day (UTC) or time (RFC 3339).
    #[arg(long, value_name = "DATE", value_parser = parse_time)]
    pub to: Option<DateTime<Utc>>,
    /// A checkpoint that you kept: prove that history still begins with what it says.
    #[arg(long, value_name = "FILE")]
    pub consistent_with: Option<PathBuf>,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
}

fn parse_record(text: &str) -> Result<Which, String> {
    if let Ok(position) = text.parse() {
        return Ok(Which::Position(position));
    }
    text.parse().map(Which::Event).map_err(|_| "a record is named by its event id (a UUID) or its position".to_owned())
}

fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|_| "give a day such as 2026-03-01, or a time such as 2026-03-01T09:30:00Z".to_owned())
}

/// Which read model is rebuilt, and what becomes of it.
#[derive(Debug, Args)]
pub struct Rebuild {
    /// The read model.
    #[arg(value_enum)]
    pub name: ReadModel,
    /// Give the live tables the rebuilt rows where they differ, in one transaction.
    #[arg(long)]
    pub repair: bool,
    /// How many shares of the streams are folded at the same time.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_SHARES)))]
    pub shares: u16,
    /// Go over about so many positions of history, and then rows of the tables, a second at most, to leave more of the machine to
    /// others.
    #[arg(long, value_name = "N")]
    pub pace: Option<NonZeroU32>,
    /// Begin with the first event though an earlier rebuild was stopped on its way.
    #[arg(long)]
    pub afresh: bool,
}

/// The read models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReadModel {
    /// The member directory.
    Directory,
    /// Memberships, events, revenue and invoices in figures.
    Reporting,
    /// Balanced lines for every financial fact.
    ErpJournal,
    /// All of them, one after another.
    All,
}

/// What can be done with partitions. All of it needs the login that owns history.
#[derive(Debug, Subcommand)]
pub enum StoreAction {
    /// List the partitions: their positions, sizes, and whether they are ahead, hot, sealed or archived.
    Partitions {
        /// Make this many partitions ahead first, where they are missing.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
        ahead: Option<u32>,
        /// Vacuum, freeze and analyse the sealed ones that need it first.
        #[arg(long)]
        vacuum: bool,
    },
    /// Move a sealed partition into a folder of checksummed files. The last event of each stream stays.
    Archive {
        /// The partition, as `store partitions` lists it.
        partition: String,
        /// The folder in which the archive's own folder is made.
        #[arg(long, value_name = "FOLDER")]
        to: PathBuf,
    },
    /// Check an archive, every event of it, and bring it back.
    Attach {
        /// The archive's folder: FOLDER/PARTITION.
        folder: PathBuf,
    },
}

/// What can be done about analysts' logins.
#[derive(Debug, Subcommand)]
pub enum AnalystChange {
    /// Make a login. Prints its password once unless one is given on standard input.
    Add {
        /// The login's name.
        login: String,
        /// Short name of the association it may see.
        #[arg(long, value_name = "NAME")]
        association: String,
    },
    /// Remove a login.
    Remove {
        /// The login's name.
        login: String,
    },
    /// List the logins.
    List,
}

/// Whom a token is for.
#[derive(Debug, Args)]
pub struct Token {
    /// Short name of the association.
    #[arg(long, value_name = "NAME")]
    pub association: String,
    /// Who will use it; stands in history as the one who acted.
    #[arg(long, value_name = "WHO", default_value = "developer")]
    pub subject: String,
    /// What it may be used for.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [TokenScope::Api])]
    pub scope: Vec<TokenScope>,
    /// How long it is good for, in minutes: 1 to 1440.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub minutes: u32,
}

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TokenScope {
    /// Sending commands and reading.
    Api,
    /// Reading reports and exports.
    Analyst,
    /// Reading history itself.
    Auditor,
}

/// What can be done about the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Check it, and print it without its secrets.
    Check,
    /// Print a new one with fresh secrets.
    New,
}
