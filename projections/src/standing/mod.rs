//! Where memberships stand on any date. Two projections need it and neither may wait for the other, so each has tables of
//! its own and this one piece of code fills them.
//!
//! What a status follows from lies in three streams that may come in any order: the membership itself, the association's
//! rules and the member's death. Each is kept, and whichever comes last computes the spans anew from all of them.

mod rows;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use deadpool_postgres::Transaction;
use guildhall_aggregates::{
    association::AssociationRecord,
    member::MemberEvent,
    membership::{MembershipEvent, MembershipFacts, StatusRules},
    membership_plan::PlanEvent,
};
use guildhall_event_store::RecordedEvent;
use postgres_types::Json;
use tokio_postgres::Error;
use uuid::Uuid;

use crate::{
    Stage,
    decode::{Decoded, Decoder},
    rows::{KeyedRow, WorkingSet, insert},
};
use rows::{DeathRow, Known, MembershipRow, PlanRow, RulesRow, SpanRow};

/// How many memberships are computed anew at once when an association changes its rules.
const PAGE: i64 = 5_000;

/// The tables of one projection's standing.
pub(crate) struct StandingTables {
    pub(crate) plan: &'static str,
    pub(crate) rules: &'static str,
    pub(crate) death: &'static str,
    pub(crate) membership: &'static str,
    pub(crate) span: &'static str,
}

/// The events of a batch that standing follows from.
pub(crate) struct StandingEvents<'b> {
    plans: Decoded<'b, PlanEvent>,
    rules: Decoded<'b, AssociationRecord>,
    deaths: Decoded<'b, MemberEvent>,
    pub(crate) memberships: Decoded<'b, MembershipEvent>,
}

impl<'b> StandingEvents<'b> {
    pub(crate) fn decode(decoder: &mut Decoder<'b>) -> Self {
        Self {
            plans: decoder.all(),
            rules: decoder.only(|kind| kind == "StatusRulesChanged"),
            deaths: decoder.only(|kind| kind == "DeathRecorded"),
            memberships: decoder.all(),
        }
    }
}

impl StandingEvents<'_> {
    /// The associations whose memberships these events may change.
    fn tenants(&self) -> BTreeSet<Uuid> {
        let rules = self.rules.iter().map(|(event, _)| event.tenant.uuid());
        let deaths = self.deaths.iter().map(|(event, _)| event.tenant.uuid());
        rules.chain(deaths).chain(self.memberships.iter().map(|(event, _)| event.tenant.uuid())).collect()
    }
}

/// Folds the events into the tables.
pub(crate) async fn apply(
    tx: &Transaction<'_>,
    tables: &StandingTables,
    events: &StandingEvents<'_>,
    stage: Stage,
) -> Result<(), Error> {
    if stage == Stage::Live {
        take_turns(tx, tables, &events.tenants()).await?;
    }
    apply_plans(tx, tables, &events.plans).await?;
    let ruled = apply_rules(tx, tables, &events.rules).await?;
    let died = apply_deaths(tx, tables, &events.deaths).await?;
    let touched = apply_memberships(tx, tables, &events.memberships).await?;
    if stage == Stage::Build {
        return Ok(());
    }
    let mut outdated: BTreeMap<[Uuid; 2], MembershipRow> = memberships_of(tx, tables, &died).await?;
    outdated.extend(touched.changed().map(|row| (row.key(), row.clone())));
    compute_spans(tx, tables, outdated.values()).await?;
    for tenant in ruled {
        let mut after = Uuid::nil();
        loop {
            let page = page_of(tx, tables, tenant, after).await?;
            let Some(last) = page.last() else { break };
            after = last.membership_id;
            compute_spans(tx, tables, page.iter()).await?;
        }
    }
    Ok(())
}

/// Computes the spans of all memberships, which a build has left out: they follow from streams that several fold.
pub(crate) async fn complete(tx: &Transaction<'_>, tables: &StandingTables) -> Result<(), Error> {
    let mut after = [Uuid::nil(); 2];
    loop {
        let page = page_after(tx, tables, after).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.key();
        compute_spans(tx, tables, page.iter()).await?;
    }
}

/// Waits for whoever folds the standing of one of these associations, and makes others wait until this transaction ends.
///
/// Several processes may fold several partitions at once. One that writes a death and one that writes the membership of
/// the same member would not see each other's rows, and neither would compute the spans that both together make.
async fn take_turns(tx: &Transaction<'_>, tables: &StandingTables, tenants: &BTreeSet<Uuid>) -> Result<(), Error> {
    if tenants.is_empty() {
        return Ok(());
    }
    // In the order of the ids, so that two cannot wait for each other; the schema keeps a rebuild out of the way.
    let sql = "SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(' ', current_schema(), $1::text, tenant), 0)) \
               FROM unnest($2::uuid[]) AS tenant";
    let tenants: Vec<&Uuid> = tenants.iter().collect();
    tx.query(&tx.prepare_cached(sql).await?, &[&tables.membership, &tenants]).await?;
    Ok(())
}

async fn apply_plans(
    tx: &Transaction<'_>,
    tables: &StandingTables,
    events: &Decoded<'_, PlanEvent>,
) -> Result<(), Error> {
    let mut plans = WorkingSet::<PlanRow, 2>::load(tx, tables.plan, keys(events)).await?;
    for (event, said) in events {
        let key = key_of(event);
        match said {
            PlanEvent::PlanCreated { code, terms, .. } => plans.put(PlanRow {
                tenant_id: key[0],
                plan_id: key[1],
                code: code.clone(),
                name: terms.name.clone(),
                retired: false,
            }),
            PlanEvent::PlanRevised { terms, .. } => plans.change(key, |plan| plan.name.clone_from(&terms.name)),
            PlanEvent::PlanRetired {} => plans.change(key, |plan| plan.retired = true),
        }
    }
    plans.write(tx).await
}

/// Returns the associations whose rules are other ones now.
async fn apply_rules(
    tx: &Transaction<'_>,
    tables: &StandingTables,
    events: &Decoded<'_, AssociationRecord>,
) -> Result<BTreeSet<Uuid>, Error> {
    let mut rules = WorkingSet::<RulesRow, 1>::load(tx, tables.rules, BTreeSet::new()).await?;
    for (event, said) in events {
        if let AssociationRecord::StatusRulesChanged { rules: changed } = said {
            rules.put(RulesRow { tenant_id: event.tenant.uuid(), rules: Json(changed.clone()) });
        }
    }
    rules.write(tx).await?;
    Ok(rules.changed().map(|row| row.tenant_id).collect())
}

/// Returns the members of whom it became known that they died.
async fn apply_deaths(
    tx: &Transaction<'_>,
    tables: &StandingTables,
    events: &Decoded<'_, MemberEvent>,
) -> Result<Vec<[Uuid; 2]>, Error> {
    let mut deaths = WorkingSet::<DeathRow, 2>::load(tx, tables.death, BTreeSet::new()).await?;
    for (event, said) in events {
        if let MemberEvent::DeathRecorded { on } = said {
            // Where the day is not known, the day of the record is the first on which it is true for sure.
            let died_on = on.unwrap_or_else(|| event.recorded_at.date_naive());
            let [tenant_id, member_id] = key_of(event);
            deaths.put(DeathRow { tenant_id, member_id, died_on });
        }
    }
    deaths.write(tx).await?;
    Ok(deaths.changed().map(KeyedRow::key).collect())
}

async fn apply_memberships(
    tx: &Transaction<'_>,
    tables: &StandingTables,
    events: &Decoded<'_, MembershipEvent>,
) -> Result<WorkingSet<MembershipRow, 2>, Error> {
    let mut memberships = WorkingSet::<MembershipRow, 2>::load(tx, tables.membership, keys(events)).await?;
    for (event, said) in events {
        let key = key_of(event);
        if let Some(row) = folded(memberships.get(key), key, said) {
            memberships.put(row);
        }
    }
    memberships.write(tx).await?;
    Ok(memberships)
}

/// The row after an event; none while nothing has begun the membership.
fn folded(
    row: Option<&MembershipRow>,
    [tenant_id, membership_id]: [Uuid; 2],
    said: &MembershipEvent,
) -> Option<MembershipRow> {
    let mut status = row.map(|row| row.facts.0.status.clone());
    MembershipFacts::fold(&mut status, said);
    let status = status?;
    let mut plans = row.map(|row| row.facts.0.plans.clone()).unwrap_or_default();
    let sold = match said {
        MembershipEvent::MembershipApplied { plan, applied_on, .. } => Some((*applied_on, plan.plan_id)),
        MembershipEvent::MembershipImported { plan, joined_on, .. } => Some((*joined_on, plan.plan_id)),
        MembershipEvent::MembershipRenewed { plan, term, .. } => Some((term.start, plan.plan_id)),
        MembershipEvent::MembershipPlanChanged { plan, on, .. } => Some((*on, plan.plan_id)),
        _ => None,
    };
    plans.extend(sold.filter(|(_, plan)| plans.last().is_none_or(|(_, last)| last != plan)));
    let member_id = match said {
        MembershipEvent::MembershipApplied { member_id, .. }
        | MembershipEvent::MembershipImported { member_id, .. } => member_id.uuid(),
        _ => row?.member_id,
    };
    let latest = status.spells.last();
    Some(MembershipRow {
        tenant_id,
        membership_id,
        member_id,
        plan_id: plans.last()?.1.uuid(),
        joined_on: status.joined_on,
        active: status.activated_on.is_some(),
        starts_on: latest.map(|spell| spell.start),
        ends_on: latest.and_then(|spell| spell.end),
        facts: Json(Known { status, plans }),
    })
}

/// The memberships of some members.
async fn memberships_of(
    tx: &Transaction<'_>,
    tables: &StandingTables,
    members: &[[Uuid; 2]],
) -> Result<BTreeMap<[Uuid; 2], MembershipRow>, Error> {
    if members.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (tenants, members): (Vec<Uuid>, Vec<Uuid>) = members.iter().map(|[tenant, member]| (*tenant, *member)).unzip();
    let sql = format!(
        "SELECT ROW(m.*)::read.membership FROM {} m JOIN unnest($1::uuid[], $2::uuid[]) AS k (tenant_id, member_id) \
         USING (tenant_id, member_id)",
        tables.membership
    );
    let statement = tx.prepare_cached(&sql).await?;
    let rows = tx.query(&statement, &[&tenants, &members]).await?;
    rows.iter().map(|row| row.try_get(0).map(|row: MembershipRow| (row.key(), row))).collect()
}

/// The next memberships of an association, by id.
async fn page_of(
    tx: &Transaction<'_>,
    tables: &StandingTables,
    tenant: Uuid,
    after: Uuid,
) -> Result<Vec<MembershipRow>, Error> {
    let sql = format!(
        "SELECT ROW(m.*)::read.membership FROM {} m WHERE tenant_id = $1 AND membership_id > $2 \
         ORDER BY membership_id LIMIT {PAGE}",
        tables.membership
    );
    let statement = tx.prepare_cached(&sql).await?;
    tx.query(&statement, &[&tenant, &after]).await?.iter().map(|row| row.try_get(0)).collect()
}

/// The next memberships of all associations, by association and id.
async fn page_after(
    tx: &Transaction<'_>,
    tables: &StandingTables,
    [tenant, membership]: [Uuid; 2],
) -> Result<Vec<MembershipRow>, Error> {
    let sql = format!(
        "SELECT ROW(m.*)::read.membership FROM {} m WHERE (tenant_id, membership_id) > ($1, $2) \
         ORDER BY tenant_id, membership_id LIMIT {PAGE}",
        tables.membership
    );
    let statement = tx.prepare_cached(&sql).await?;
    tx.query(&statement, &[&tenant, &membership]).await?.iter().map(|row| row.try_get(0)).collect()
}

/// Replaces the spans of these memberships.
async fn compute_spans(
    tx: &Transaction<'_>,
    tables: &StandingTables,
    memberships: impl Iterator<Item = &MembershipRow> + Clone,
) -> Result<(), Error> {
    let tenants: BTreeSet<_> = memberships.clone().map(|row| [row.tenant_id]).collect();
    let members: BTreeSet<_> = memberships.clone().map(|row| [row.tenant_id, row.member_id]).collect();
    let rules = WorkingSet::<RulesRow, 1>::load(tx, tables.rules, tenants).await?;
    let deaths = WorkingSet::<DeathRow, 2>::load(tx, tables.death, members).await?;
    let usual = StatusRules::default();
    let mut spans = Vec::new();
    for row in memberships.clone() {
        let rules = rules.get([row.tenant_id]).map_or(&usual, |row| &row.rules.0);
        let died_on = deaths.get([row.tenant_id, row.member_id]).map(|row| row.died_on);
        spans.extend(spans_of(row, rules, died_on));
    }
    let (of_tenants, ids): (Vec<Uuid>, Vec<Uuid>) = memberships.map(|row| (row.tenant_id, row.membership_id)).unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "DELETE FROM {} s USING unnest($1::uuid[], $2::uuid[]) AS k (tenant_id, membership_id) \
         WHERE s.tenant_id = k.tenant_id AND s.membership_id = k.membership_id",
        tables.span
    );
    tx.execute(&tx.prepare_cached(&sql).await?, &[&of_tenants, &ids]).await?;
    insert(tx, tables.span, &spans).await
}

/// The spans of one membership: its timeline, cut where it became one of another plan.
fn spans_of(row: &MembershipRow, rules: &StatusRules, died_on: Option<NaiveDate>) -> Vec<SpanRow> {
    let Known { status, plans } = &row.facts.0;
    let status = MembershipFacts { deceased_on: died_on, ..status.clone() };
    let mut spans = Vec::new();
    for span in status.timeline(rules) {
        let within = |day: &NaiveDate| *day > span.from && span.to.is_none_or(|to| *day <= to);
        let mut starts = vec![span.from];
        starts.extend(plans.iter().map(|(from, _)| *from).filter(within).collect::<BTreeSet<_>>());
        for (at, from) in starts.iter().enumerate() {
            // The plan sold last among those that have begun; the first one for the days before.
            let plan = plans.iter().rev().find(|(begins, _)| begins <= from).or(plans.first());
            spans.push(SpanRow {
                tenant_id: row.tenant_id,
                membership_id: row.membership_id,
                from_on: *from,
                to_on: starts.get(at + 1).map_or(span.to, NaiveDate::pred_opt),
                member_id: row.member_id,
                plan_id: plan.map_or(row.plan_id, |(_, plan)| plan.uuid()),
                status: span.status.into(),
            });
        }
    }
    spans
}

fn keys<E>(events: &Decoded<'_, E>) -> BTreeSet<[Uuid; 2]> {
    events.iter().map(|(event, _)| key_of(event)).collect()
}

/// What a stream's thing is known by in a read table.
pub(crate) fn key_of(event: &RecordedEvent) -> [Uuid; 2] {
    [event.tenant.uuid(), event.stream.id]
}
