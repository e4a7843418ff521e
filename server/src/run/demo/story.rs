//! A year at the Lakeside Nurses Association, told through the public API: people join and pay, one renews, a
//! conference fills up, somebody waits, somebody gives a place back, and people come.
//!
//! Every command has a key of its own and a body that follows from the day the story began, so a demo that is
//! started again gets the same receipts and goes on from its data.

use chrono::{Days, NaiveDate};
use guildhall_aggregates::{ids::derived, tenant_of_slug};
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::Api;

/// The association's short name.
pub(super) const ASSOCIATION: &str = "lakeside";

/// Display name, family name, town, credential, plan.
const PEOPLE: [[&str; 5]; 10] = [
    ["Amara Okafor", "Okafor", "Duluth", "RN", "professional"],
    ["Björn Sandström", "Sandström", "Ashland", "NP", "professional"],
    ["Chloé Martin", "Martin", "Duluth", "RN", "professional"],
    ["Diego Fuentes", "Fuentes", "Superior", "CNS", "professional"],
    ["Elif Demir", "Demir", "Marquette", "RN", "student"],
    ["Fiona Gallagher", "Gallagher", "Duluth", "CRNA", "professional"],
    ["Goro Tanaka", "Tanaka", "Houghton", "RN", "lifetime"],
    ["Hannah Weiss", "Weiss", "Superior", "LPN", "student"],
    ["Ibrahim Haddad", "Haddad", "Bayfield", "RN", "professional"],
    ["Joan Littlefeather", "Littlefeather", "Ashland", "CNM", "professional"],
];

/// Places at the conference: fewer than people who want one.
const PLACES: usize = 3;

/// The id of a thing of the story.
pub(super) fn id(kind: &str, name: &str) -> Uuid {
    derived(tenant_of_slug(ASSOCIATION).uuid(), &["story", kind, name])
}

/// The conference.
pub(super) fn conference() -> Uuid {
    id("event", "conference")
}

/// Tells the story. `tell` gets a line for each thing that happens.
pub(super) async fn tell(
    api: &mut Api,
    began: NaiveDate,
    tell: &mut impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    tell("An association is founded, with three plans and an organization.")?;
    found(api).await?;
    tell("Ten people join. Dues are invoiced; who has paid is a member.")?;
    for person in PEOPLE {
        join(api, person).await?;
    }
    tell("Amara renews: another term, paid, that begins where the first one ends.")?;
    renew(api, PEOPLE[0]).await?;
    tell("A conference with three places. Five want to come: three are held, billed and paid, two wait.")?;
    open_conference(api, began).await?;
    for person in &PEOPLE[..5] {
        register(api, person[0]).await?;
    }
    for person in &PEOPLE[..PLACES] {
        pay_place(api, person[0]).await?;
    }
    tell("Björn gives his place back, and gets his money back. The first who waits is offered it, accepts and pays.")?;
    cancel(api, PEOPLE[1][0]).await?;
    let next = PEOPLE[PLACES][0];
    standing(api, next, "offered").await?;
    let body = json!({ "event_id": conference(), "registration_id": id("registration", next) });
    api.command("AcceptOffer", "story/accept", body).await?;
    pay_place(api, next).await?;
    tell("At the door, two are checked in; a scan that came twice is recorded once.")?;
    for (scan, person) in [PEOPLE[0][0], next, next].into_iter().enumerate() {
        check_in(api, person, scan).await?;
    }
    Ok(())
}

async fn found(api: &mut Api) -> anyhow::Result<()> {
    let association = json!({
        "name": "Lakeside Nurses Association", "slug": ASSOCIATION,
        "time_zone": "America/Chicago", "currency": "USD",
    });
    api.command("FoundAssociation", "story/found", association).await?;
    let hospital = json!({
        "member_id": id("member", "hospital"), "kind": "organization",
        "name": { "display": "Lakeside General Hospital" },
        "contact": { "address": { "lines": ["1 Harbor Road"], "city": "Duluth" } },
    });
    api.command("RegisterMember", "story/hospital", hospital).await?;
    for (code, name, fee, unit) in [
        ("professional", "Professional", 12_000, "year"),
        ("student", "Student", 3_000, "year"),
        ("lifetime", "Lifetime", 120_000, "lifetime"),
    ] {
        let terms = json!({
            "name": name, "fee": { "minor": fee, "currency": "USD" }, "duration_unit": unit,
            "benefits": ["Journal", "Member price at conferences"],
        });
        let plan = json!({ "plan_id": id("plan", code), "code": code, "terms": terms });
        api.command("CreatePlan", &format!("story/plan/{code}"), plan).await?;
    }
    Ok(())
}

async fn join(api: &mut Api, [name, family, town, credential, plan]: [&str; 5]) -> anyhow::Result<()> {
    let member = id("member", name);
    let key = |step: &str| format!("story/{step}/{member}");
    let first = name.split(' ').next().unwrap_or(name);
    let mailbox = name.to_lowercase().replace(' ', ".").replace('ö', "o").replace('é', "e");
    let registration = json!({
        "member_id": member, "kind": "person",
        "name": { "display": name, "first": first, "last": family },
        "contact": {
            "email": format!("{mailbox}@example.org"), "phone": "+1 218 555 0100",
            "address": { "lines": ["12 Shore Drive"], "city": town },
        },
    });
    api.command("RegisterMember", &key("register"), registration).await?;
    api.command("AddCredential", &key("credential"), json!({ "member_id": member, "credential": credential })).await?;
    let organizations = json!({ "member_id": member, "organizations": [id("member", "hospital")] });
    api.command("ChangeAffiliations", &key("affiliation"), organizations).await?;
    let application =
        json!({ "membership_id": id("membership", name), "member_id": member, "plan_id": id("plan", plan) });
    api.command("ApplyForMembership", &key("apply"), application).await?;
    let invoice = open_invoice(api, member, "membership_dues").await?;
    pay(api, member, &invoice, &key("dues")).await?;
    let is_member = |data: &Value| (data["memberships"][0]["status"] == "new").then_some(());
    api.wait_for("the membership", &format!("/v1/members/{member}"), is_member).await
}

async fn renew(api: &mut Api, [name, ..]: [&str; 5]) -> anyhow::Result<()> {
    let membership = id("membership", name);
    api.command("RenewMembership", "story/renew", json!({ "membership_id": membership })).await?;
    let invoice = open_invoice(api, id("member", name), "renewal_dues").await?;
    pay(api, id("member", name), &invoice, "story/renewal").await
}

async fn open_conference(api: &mut Api, began: NaiveDate) -> anyhow::Result<()> {
    let day = began.checked_add_days(Days::new(90)).unwrap_or(began);
    let event = json!({
        "event_id": conference(),
        "details": {
            "title": "Spring Conference", "summary": "A day on safe staffing.", "venue": "Harbor Hall, Duluth",
        },
        "schedule": {
            "starts": format!("{day}T09:00:00"), "ends": format!("{day}T17:00:00"), "time_zone": "America/Chicago",
        },
    });
    api.command("ScheduleEvent", "story/conference", event).await?;
    let roster = json!({
        "event_id": conference(),
        "pools": [{ "name": "hall", "size": PLACES }],
        "ticket_types": [{
            "code": "standard", "pools": ["hall"],
            "fee": { "minor": 9_000, "currency": "USD" }, "member_fee": { "minor": 5_000, "currency": "USD" },
        }],
        "policy": { "cancellation_fee": { "kind": "percent", "percent": 10 } },
    });
    api.command("OpenRegistration", "story/open", roster).await?;
    Ok(())
}

async fn register(api: &mut Api, name: &str) -> anyhow::Result<()> {
    let body = json!({
        "event_id": conference(), "registration_id": id("registration", name), "ticket_type": "standard",
        "registrant": { "kind": "member", "member_id": id("member", name) },
        "membership_id": id("membership", name),
    });
    api.command("RegisterForEvent", &format!("story/place/{}", id("registration", name)), body).await?;
    Ok(())
}

async fn pay_place(api: &mut Api, name: &str) -> anyhow::Result<()> {
    let invoice = open_invoice(api, id("member", name), "event_fee").await?;
    pay(api, id("member", name), &invoice, &format!("story/fee/{}", id("registration", name))).await?;
    standing(api, name, "confirmed").await
}

async fn cancel(api: &mut Api, name: &str) -> anyhow::Result<()> {
    let body = json!({
        "event_id": conference(), "registration_id": id("registration", name), "reason": "On duty that day.",
    });
    api.command("CancelRegistration", "story/cancel", body).await?;
    Ok(())
}

async fn check_in(api: &mut Api, name: &str, scan: usize) -> anyhow::Result<()> {
    let registration = id("registration", name);
    let body = json!({
        "event_id": conference(), "registration_id": registration, "nonce": format!("door-1/{registration}"),
    });
    api.command("CheckIn", &format!("story/check-in/{scan}"), body).await?;
    Ok(())
}

/// Waits until there is an open invoice for somebody.
async fn open_invoice(api: &Api, bill_to: Uuid, purpose: &str) -> anyhow::Result<Value> {
    let path = format!("/v1/invoices?bill_to={bill_to}&purpose={purpose}");
    api.wait_for("the invoice", &path, |data| {
        data.as_array()?.iter().find(|invoice| invoice["number"].is_number()).cloned()
    })
    .await
}

async fn pay(api: &mut Api, payer: Uuid, invoice: &Value, key: &str) -> anyhow::Result<()> {
    let body = json!({
        "provider": "bank", "reference": key, "payer": payer, "invoice_id": invoice["invoice_id"],
        "amount": { "minor": invoice["total_minor"], "currency": invoice["currency"] },
    });
    api.command("RecordPayment", key, body).await?;
    Ok(())
}

async fn standing(api: &Api, name: &str, wanted: &str) -> anyhow::Result<()> {
    let registration = id("registration", name).to_string();
    // Told again, the story finds everything further on than it was then.
    let good = [wanted, "confirmed", "checked_in", "cancelled"];
    api.wait_for(wanted, &format!("/v1/events/{}/roster", conference()), |data| {
        let line = data.as_array()?.iter().find(|line| line["registration_id"] == registration.as_str())?;
        good.contains(&line["standing"].as_str()?).then_some(())
    })
    .await
}
