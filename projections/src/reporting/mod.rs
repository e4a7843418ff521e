//! What boards ask: memberships by plan and status on any date, who joined, renewed and lapsed, how full association events
//! are, revenue, and how old the open invoices are.

mod billing;
mod queries;
mod rosters;

use chrono::NaiveDate;
use deadpool_postgres::Transaction;
use guildhall_aggregates::membership::MembershipEvent;
use guildhall_event_store::{Batch, Selection};
use postgres_types::ToSql;
pub use queries::*;
use tokio_postgres::Error;
use uuid::Uuid;

use crate::{
    ProjectError, Projector, Stage,
    decode::{Decoded, Decoder},
    rows::{Row, insert},
    standing::{self, StandingEvents, StandingTables, key_of},
};
use billing::Billing;

/// The tables its memberships stand in.
const STANDING: StandingTables = StandingTables {
    plan: "reporting_plan",
    rules: "reporting_rules",
    death: "reporting_death",
    membership: "reporting_membership",
    span: "reporting_status_span",
};

const RENEWAL: &str = "reporting_renewal";

#[derive(Debug, Clone, ToSql)]
#[postgres(name = "reporting_renewal")]
struct RenewalRow {
    tenant_id: Uuid,
    membership_id: Uuid,
    term_number: i64,
    renewed_on: NaiveDate,
    starts_on: NaiveDate,
    ends_on: Option<NaiveDate>,
}

impl Row for RenewalRow {
    const TYPE: &'static str = RENEWAL;
}

/// Folds facts for reports. Holds no personal data.
#[derive(Debug)]
pub struct Reporting;

impl Projector for Reporting {
    const NAME: &'static str = "reporting";
    const VERSION: i32 = 1;
    const TABLES: &'static [&'static str] = &[
        STANDING.plan,
        STANDING.rules,
        STANDING.death,
        STANDING.membership,
        STANDING.span,
        RENEWAL,
        rosters::EVENT,
        rosters::ROSTER,
        rosters::REGISTRATION,
        billing::INVOICE,
        billing::MOVEMENT,
        billing::REVENUE,
        billing::CONTRIBUTION,
    ];

    /// Of members, only that they died.
    const READS: Selection = Selection {
        categories: &[
            "association",
            "association_event",
            "event_roster",
            "invoice",
            "member",
            "membership",
            "membership_plan",
            "payment",
        ],
        without: &[
            "AffiliationsChanged",
            "AssociationFounded",
            "AssociationRenamed",
            "ContactDetailsChanged",
            "CredentialAdded",
            "CredentialRemoved",
            "MemberForgotten",
            "MemberRegistered",
            "NameChanged",
            "NoteAdded",
            "PrivacyChanged",
            "ProfileChanged",
        ],
    };

    async fn apply(batch: &Batch, tx: &Transaction<'_>, stage: Stage) -> Result<(), ProjectError> {
        let mut decoder = Decoder::new(batch, Self::READS);
        let standing = StandingEvents::decode(&mut decoder);
        let events = decoder.all();
        let rosters = decoder.all();
        let (invoices, payments) = (decoder.all(), decoder.all());
        let billing = Billing::fold(tx, &invoices, &payments, &mut decoder).await?;
        decoder.finish()?;

        standing::apply(tx, &STANDING, &standing, stage).await?;
        insert(tx, RENEWAL, &renewals(&standing.memberships)).await?;
        rosters::apply_events(tx, &events).await?;
        rosters::apply_rosters(tx, &rosters).await?;
        Ok(billing.write(tx).await?)
    }

    async fn complete(tx: &Transaction<'_>) -> Result<(), Error> {
        standing::complete(tx, &STANDING).await
    }
}

fn renewals(events: &Decoded<'_, MembershipEvent>) -> Vec<RenewalRow> {
    events
        .iter()
        .filter_map(|(event, said)| {
            let MembershipEvent::MembershipRenewed { term, on, .. } = said else { return None };
            let [tenant_id, membership_id] = key_of(event);
            Some(RenewalRow {
                tenant_id,
                membership_id,
                term_number: i64::from(term.number),
                renewed_on: *on,
                starts_on: term.start,
                ends_on: term.end,
            })
        })
        .collect()
}
