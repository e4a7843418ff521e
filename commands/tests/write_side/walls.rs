//! Associations are walls: on every command, a token of one shows and changes nothing of another.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use guildhall_aggregates::tenant_of_slug;
use guildhall_commands::registry::COMMANDS;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{WriteSide, founders, member, plan};

const MEMBER: Uuid = Uuid::from_u128(1);
const PLAN: Uuid = Uuid::from_u128(2);
const MEMBERSHIP: Uuid = Uuid::from_u128(3);
const EVENT: Uuid = Uuid::from_u128(4);
const REGISTRATION: Uuid = Uuid::from_u128(5);
const INVOICE: Uuid = Uuid::from_u128(6);

fn money(minor: i64) -> Value {
    json!({"minor": minor, "currency": "EUR"})
}

fn about(id: &str, value: Uuid, mut body: Value) -> Value {
    body[id] = json!(value);
    body
}

fn of_member(rest: Value) -> Value {
    about("member_id", MEMBER, rest)
}

fn of_membership(rest: Value) -> Value {
    about("membership_id", MEMBERSHIP, rest)
}

fn of_event(rest: Value) -> Value {
    about("event_id", EVENT, rest)
}

fn of_registration(rest: Value) -> Value {
    about("registration_id", REGISTRATION, of_event(rest))
}

fn source() -> Value {
    json!({"system": "other", "table": "row", "id": "1"})
}

type Bodies = Vec<(&'static str, Value)>;

/// A body for every command, about things that one association has and the other has not.
fn bodies(payment: Uuid) -> Bodies {
    [about_people(), about_memberships(payment), about_events(), about_places(payment), about_money(payment)].concat()
}

fn about_people() -> Bodies {
    let open = json!({"show_email": true, "show_phone": true, "show_in_directory": true, "allow_messages": true,
        "public_profile": true});
    vec![
        ("FoundAssociation", json!({"name": "X", "slug": "founders", "time_zone": "UTC", "currency": "EUR"})),
        ("RenameAssociation", json!({"name": "Renamed"})),
        ("ChangeStatusRules", json!({"rules": [{"status": "current"}]})),
        ("RegisterMember", member(1)),
        ("ChangeName", of_member(json!({"name": {"display": "Other"}}))),
        ("ChangeContactDetails", of_member(json!({"contact": {"phone": "1"}}))),
        ("ChangeProfile", of_member(json!({"profile": {"biography": "b"}}))),
        ("AddCredential", of_member(json!({"credential": "RN"}))),
        ("RemoveCredential", of_member(json!({"credential": "RN"}))),
        ("ChangePrivacy", of_member(json!({ "privacy": open }))),
        ("ChangeAffiliations", of_member(json!({"organizations": [MEMBER]}))),
        ("RecordDeath", of_member(json!({}))),
        ("AddNote", of_member(json!({"text": "note"}))),
        ("ForgetMember", of_member(json!({}))),
    ]
}

fn about_memberships(payment: Uuid) -> Bodies {
    let imported = json!({"membership_id": MEMBERSHIP, "plan_id": PLAN, "joined_on": "2020-01-01",
        "term": {"start": "2020-01-01", "end": "2020-12-31"}, "as_of": "2026-01-01", "source": source()});
    vec![
        ("CreatePlan", plan(2)),
        ("RevisePlan", json!({"plan_id": PLAN, "terms": plan(2)["terms"]})),
        ("RetirePlan", json!({"plan_id": PLAN})),
        ("ApplyForMembership", of_member(json!({"membership_id": MEMBERSHIP, "plan_id": PLAN}))),
        ("ApproveMembership", of_membership(json!({}))),
        ("DeclineMembership", of_membership(json!({"reason": "r"}))),
        ("ActivateMembership", of_membership(json!({"payment_id": payment}))),
        ("RenewMembership", of_membership(json!({"payment_id": payment}))),
        ("CompleteRenewal", of_membership(json!({"payment_id": payment}))),
        ("ChangeMembershipPlan", of_membership(json!({"plan_id": PLAN}))),
        ("CancelMembership", of_membership(json!({"reason": "r"}))),
        ("OverrideStatus", of_membership(json!({"status": "current"}))),
        ("ClearStatusOverride", of_membership(json!({}))),
        ("RecordStatus", of_membership(json!({}))),
        ("ImportMembership", of_member(imported)),
    ]
}

fn about_events() -> Bodies {
    let schedule =
        json!({"starts": "2027-06-01T09:00:00", "ends": "2027-06-01T17:00:00", "time_zone": "Europe/Berlin"});
    let details = json!({"title": "Annual meeting"});
    let offer = json!({"pools": [{"name": "hall", "size": 9}],
        "ticket_types": [{"code": "standard", "fee": money(0), "pools": ["hall"]}]});
    vec![
        ("ScheduleEvent", of_event(json!({"details": details, "schedule": schedule}))),
        ("RescheduleEvent", of_event(json!({ "schedule": schedule }))),
        ("ChangeEventDetails", of_event(json!({ "details": details }))),
        ("CancelEvent", of_event(json!({"reason": "r"}))),
        ("OpenRegistration", of_event(offer)),
        ("CloseRegistration", of_event(json!({}))),
        ("ChangeCapacity", of_event(json!({"pool": "hall", "size": 5}))),
    ]
}

fn about_places(payment: Uuid) -> Bodies {
    let registrant = json!({"kind": "member", "member_id": MEMBER});
    let imported = json!({"registrant": registrant, "ticket_type": "standard", "fee": money(0),
        "standing": "confirmed", "at": "2026-01-01T00:00:00Z", "source": source()});
    vec![
        ("RegisterForEvent", of_registration(json!({"registrant": registrant, "ticket_type": "standard"}))),
        ("ConfirmRegistration", of_registration(json!({"payment_id": payment, "paid": money(100)}))),
        ("ApproveRegistration", of_registration(json!({}))),
        ("DeclineRegistration", of_registration(json!({"reason": "r"}))),
        ("AcceptOffer", of_registration(json!({}))),
        ("DeclineOffer", of_registration(json!({}))),
        ("CancelRegistration", of_registration(json!({"reason": "r"}))),
        ("TransferRegistration", of_registration(json!({ "registrant": registrant }))),
        ("CheckIn", of_registration(json!({"nonce": "1"}))),
        ("RecordNoShow", of_registration(json!({}))),
        ("ImportRegistration", of_registration(imported)),
    ]
}

fn about_money(payment: Uuid) -> Bodies {
    let lines = json!([{"description": "Dues", "kind": "dues", "unit_minor": 100}]);
    let paid =
        json!({"provider": "bank", "reference": "1", "payer": MEMBER, "amount": money(100), "invoice_id": INVOICE});
    let imported = json!({"payer": MEMBER, "amount": money(100), "kind": "donation", "standing": "completed",
        "on": "2026-01-01", "source": source()});
    vec![
        ("DraftInvoice", json!({"invoice_id": INVOICE, "bill_to": MEMBER, "lines": lines})),
        ("CreditInvoice", json!({"invoice_id": INVOICE, "amount": money(1), "reason": "r"})),
        ("ReversePayment", json!({"invoice_id": INVOICE, "payment_id": payment})),
        ("WriteOffInvoice", json!({"invoice_id": INVOICE, "reason": "r"})),
        ("RecordPayment", paid),
        ("RefundPayment", json!({"payment_id": payment, "amount": money(1), "reason": "r"})),
        ("RecordChargeback", json!({"payment_id": payment})),
        ("ImportContribution", imported),
    ]
}

fn bank_payment(slug: &str) -> Uuid {
    guildhall_commands::payment_id(tenant_of_slug(slug), "bank", "1")
}

async fn everything_of_the_founders(side: &WriteSide) {
    for (command, body) in bodies(bank_payment("founders")) {
        let makes = ["RegisterMember", "CreatePlan", "ApplyForMembership", "ScheduleEvent", "OpenRegistration"];
        let also = ["RegisterForEvent", "DraftInvoice", "RecordPayment"];
        if makes.contains(&command) || also.contains(&command) {
            let reply = side.send(command, &format!("make-{command}"), body).await;
            assert!(reply.status.is_success(), "{command}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn no_command_of_one_association_touches_another() {
    let side = WriteSide::start().await;
    side.found("others").await;
    everything_of_the_founders(&side).await;
    let before = side.history(founders()).await;
    let sent = bodies(bank_payment("founders"));
    let named: BTreeSet<_> = sent.iter().map(|(command, _)| *command).collect();
    assert_eq!(named, COMMANDS.keys().copied().collect(), "every command is tried");

    // What the other association could come by is made in it: those commands are about its own things, which
    // may have the same ids. Everything else is tried first.
    let makes = ["RegisterMember", "CreatePlan", "ScheduleEvent", "RenameAssociation", "ChangeStatusRules"];
    for (command, body) in sent.iter().filter(|(command, _)| !makes.contains(command)) {
        let reply = side.send_as("others", command, &format!("try-{command}"), body.clone()).await;
        assert!(reply.status.is_client_error(), "{command}: {reply:?}");
        let text = reply.body.to_string();
        assert!(!text.contains("Member 1") && !text.contains("Professional"), "{command} reveals {text}");
    }
    for (command, body) in sent.iter().filter(|(command, _)| makes.contains(command)) {
        let reply = side.send_as("others", command, &format!("make-{command}"), body.clone()).await;
        assert!(reply.status.is_success(), "{command}: {reply:?}");
    }
    assert_eq!(side.history(founders()).await, before, "not a byte of the founders' history changed");
}

#[tokio::test]
async fn the_same_key_of_two_associations_is_two_keys() {
    let side = WriteSide::start().await;
    side.found("others").await;
    let ours = side.send("RegisterMember", "ada", member(1)).await;
    let theirs = side.send_as("others", "RegisterMember", "ada", member(1)).await;
    assert_eq!(theirs.status, StatusCode::CREATED);
    assert_ne!(ours.body["command_id"], theirs.body["command_id"]);
}

#[tokio::test]
async fn the_same_email_address_may_be_known_to_two_associations() {
    let side = WriteSide::start().await;
    side.found("others").await;
    let mut body = member(1);
    body["contact"] = json!({"email": "ada@example.org"});
    assert_eq!(side.send("RegisterMember", "ada", body.clone()).await.status, StatusCode::CREATED);
    assert_eq!(side.send_as("others", "RegisterMember", "ada", body).await.status, StatusCode::CREATED);
}
