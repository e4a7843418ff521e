//! An application or a renewal that costs something is billed, and taken back when nothing comes of it.

use chrono::{Days, NaiveDate};
use guildhall_aggregates::{
    Money,
    ids::{InvoiceId, MembershipId, derived},
    invoice::{DraftInvoice, Invoice, InvoiceLine, InvoicePurpose, RevenueKind, ServicePeriod},
    membership::{Membership, MembershipEvent, SoldPlan, first_term, renewed_end},
};
use guildhall_event_store::{MAX_PAGE, RecordedEvent};
use uuid::Uuid;

use crate::{
    account::Account,
    hands::{Hands, ProcessError, Reaction},
};

const PROCESS: &str = "dues";
/// Days until dues are to be paid.
const DUES_TERM: Days = Days::new(30);

pub(crate) async fn on_membership(hands: &Hands, cause: &RecordedEvent) -> Result<(), ProcessError> {
    let membership_id = MembershipId::new(cause.stream.id);
    match cause.decode()? {
        MembershipEvent::MembershipApplied { ref plan, .. } if plan.terms.approval_required => Ok(()),
        applied @ MembershipEvent::MembershipApplied { .. } => bill_application(hands, cause, &applied).await,
        MembershipEvent::MembershipApproved { .. } => {
            let stream = hands.store().read_stream(cause.tenant, &cause.stream, 0, 1).await?;
            let Some(first) = stream.first() else { return Ok(()) };
            bill_application(hands, cause, &first.decode()?).await
        }
        MembershipEvent::RenewalRequested { term_number, plan, terms, fee, on } => {
            let latest = hands.look(cause, cause.stream.id, Membership::latest_term).await?;
            let service = latest.and_then(|term| renewal_period(&plan, term.end?, terms));
            let purpose = InvoicePurpose::RenewalDues { membership_id, term_number };
            bill(hands, cause, &Dues { plan: &plan, fee, credit: 0, service, purpose, dated: on }).await
        }
        MembershipEvent::MembershipPlanChanged { plan, term, credit, fee, on } => {
            take_back_pending(hands, cause, "The membership has another plan.").await?;
            let service = Some(ServicePeriod { from: term.start, to: term.end });
            let credit = credit.minor.min(fee.minor);
            bill(hands, cause, &Dues { plan: &plan, fee, credit, service, purpose: InvoicePurpose::Other, dated: on })
                .await
        }
        MembershipEvent::MembershipDeclined { .. } => {
            take_back_pending(hands, cause, "The application was declined.").await
        }
        MembershipEvent::MembershipCancelled { .. } => {
            take_back_pending(hands, cause, "The membership was cancelled.").await
        }
        MembershipEvent::MembershipActivated { .. }
        | MembershipEvent::MembershipRenewed { .. }
        | MembershipEvent::StatusOverridden { .. }
        | MembershipEvent::StatusOverrideCleared { .. }
        | MembershipEvent::MembershipStatusChanged { .. }
        | MembershipEvent::MembershipImported { .. } => Ok(()),
    }
}

async fn bill_application(
    hands: &Hands,
    cause: &RecordedEvent,
    application: &MembershipEvent,
) -> Result<(), ProcessError> {
    let MembershipEvent::MembershipApplied { plan, applied_on, requested_start, terms, fee, .. } = application else {
        return Ok(());
    };
    let purpose = InvoicePurpose::MembershipDues { membership_id: MembershipId::new(cause.stream.id) };
    let service = first_term(&plan.terms, *applied_on, *requested_start, *terms)
        .ok()
        .map(|term| ServicePeriod { from: term.start, to: term.end });
    let dated = hands.today(cause).await?;
    bill(hands, cause, &Dues { plan, fee: *fee, credit: 0, service, purpose, dated }).await
}

/// The span a renewal is expected to be for.
fn renewal_period(plan: &SoldPlan, end: NaiveDate, terms: u32) -> Option<ServicePeriod> {
    Some(ServicePeriod { from: end.succ_opt()?, to: renewed_end(&plan.terms, end, terms).ok()? })
}

/// What was billed and never began is not owed: its invoice is taken back, and what was paid of it is paid back.
async fn take_back_pending(hands: &Hands, cause: &RecordedEvent, reason: &str) -> Result<(), ProcessError> {
    let mut pending = None;
    for event in hands.store().read_stream(cause.tenant, &cause.stream, 0, MAX_PAGE).await? {
        if event.version >= cause.version {
            break;
        }
        match event.decode()? {
            MembershipEvent::MembershipApplied { .. }
            | MembershipEvent::MembershipApproved { .. }
            | MembershipEvent::RenewalRequested { .. } => pending = Some(event.event_id),
            MembershipEvent::MembershipActivated { .. }
            | MembershipEvent::MembershipRenewed { .. }
            | MembershipEvent::MembershipPlanChanged { .. } => pending = None,
            MembershipEvent::MembershipDeclined { .. }
            | MembershipEvent::MembershipCancelled { .. }
            | MembershipEvent::StatusOverridden { .. }
            | MembershipEvent::StatusOverrideCleared { .. }
            | MembershipEvent::MembershipStatusChanged { .. }
            | MembershipEvent::MembershipImported { .. } => {}
        }
    }
    let Some(billed_for) = pending else { return Ok(()) };
    match Account::read(hands, cause, invoice_for(billed_for)).await? {
        Some(account) => account.take_back(hands, cause, account.paid(), reason).await,
        None => Ok(()),
    }
}

/// The invoice of an application, an approval or a renewal.
fn invoice_for(event_id: Uuid) -> InvoiceId {
    InvoiceId::new(derived(event_id, &["invoice"]))
}

struct Dues<'a> {
    plan: &'a SoldPlan,
    fee: Money,
    credit: i64,
    service: Option<ServicePeriod>,
    purpose: InvoicePurpose,
    dated: NaiveDate,
}

async fn bill(hands: &Hands, cause: &RecordedEvent, dues: &Dues<'_>) -> Result<(), ProcessError> {
    if dues.fee.minor <= dues.credit {
        return Ok(());
    }
    let Some(member_id) = hands.look(cause, cause.stream.id, Membership::member_id).await? else { return Ok(()) };
    let line = InvoiceLine {
        description: format!("Membership dues: {}", dues.plan.terms.name),
        kind: RevenueKind::Dues,
        quantity: 1,
        unit_minor: dues.fee.minor,
        discount_minor: dues.credit,
        tax_rate_bp: 0,
        service: dues.service,
    };
    let command = DraftInvoice {
        bill_to: member_id.into(),
        purpose: dues.purpose,
        lines: vec![line],
        currency: dues.fee.currency,
        today: dues.dated,
        due_on: dues.dated.checked_add_days(DUES_TERM).unwrap_or(dues.dated),
    };
    let id = invoice_for(cause.event_id).uuid();
    hands.send::<Invoice>(Reaction { process: PROCESS, name: "DraftInvoice", cause, id, command }).await
}
