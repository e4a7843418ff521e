//! People at work: real commands over HTTP, each under one key until it is acknowledged, whatever happens meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use guildhall_aggregates::ids::derived;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{dice::Dice, server::Client};

/// Association events of each association.
const EVENTS: u64 = 3;

/// How long a command waits before it is sent again, somewhere else where there is somewhere else.
const PAUSE: Duration = Duration::from_millis(100);

/// A command that was acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Acknowledged {
    pub(super) association: usize,
    pub(super) name: &'static str,
    pub(super) key: String,
    pub(super) body: Value,
    pub(super) receipt: Value,
}

/// What all workers share.
pub(super) struct Load {
    pub(super) serving: watch::Receiver<Vec<Vec<Client>>>,
    pub(super) over: AtomicBool,
    /// Commands whose first sending was not answered with a receipt.
    pub(super) interrupted: AtomicU64,
    /// Reads of what was just written that came with it, and those that came too late to say.
    pub(super) own_reads: [AtomicU64; 2],
}

/// One who works for an association.
pub(super) struct Worker {
    load: Arc<Load>,
    dice: Dice,
    association: usize,
    number: u64,
    sent: u64,
    /// How long between two commands, at most.
    pause_ms: u64,
    members: Vec<Uuid>,
    acknowledged: Vec<Acknowledged>,
}

/// The id of a thing that an association has from the beginning.
pub(super) fn id(association: usize, kind: &str, number: u64) -> Uuid {
    derived(Uuid::nil(), &["chaos", &association.to_string(), kind, &number.to_string()])
}

impl Worker {
    pub(super) fn new(load: &Arc<Load>, seed: u64, number: u64, associations: usize, pause_ms: u64) -> Self {
        let dice = Dice::new(seed ^ (number + 1).wrapping_mul(0x5851_F42D_4C95_7F2D));
        let association = usize::try_from(number).expect("a small number") % associations;
        let load = Arc::clone(load);
        Self { load, dice, association, number, sent: 0, pause_ms, members: vec![], acknowledged: vec![] }
    }

    /// What an association begins with: itself, two plans, some association events.
    pub(super) async fn found(&mut self, slug: &str) {
        let body = json!({ "name": slug, "slug": slug, "time_zone": "UTC", "currency": "USD" });
        self.order("FoundAssociation", body).await;
        for (number, (code, fee)) in [("free", 0), ("full", 9_000)].into_iter().enumerate() {
            let terms = json!({
                "name": code, "fee": { "minor": fee, "currency": "USD" }, "duration_unit": "year",
            });
            let plan = id(self.association, "plan", number as u64);
            self.order("CreatePlan", json!({ "plan_id": plan, "code": code, "terms": terms })).await;
        }
        for number in 0..EVENTS {
            let event = id(self.association, "event", number);
            let schedule =
                json!({ "starts": "2099-06-01T09:00:00", "ends": "2099-06-01T17:00:00", "time_zone": "UTC" });
            let details = json!({ "title": format!("Meeting {number}") });
            self.order("ScheduleEvent", json!({ "event_id": event, "details": details, "schedule": schedule })).await;
            // The first is free and large, the others cost and fill up.
            let (fee, size) = if number == 0 { (0, 100_000) } else { (5_000, 25) };
            let ticket = json!({
                "code": "standard", "pools": ["hall"], "fee": { "minor": fee, "currency": "USD" },
            });
            let pools = json!([{ "name": "hall", "size": size }]);
            let body = json!({ "event_id": event, "pools": pools, "ticket_types": [ticket] });
            self.order("OpenRegistration", body).await;
        }
    }

    /// Works until it is over, and gives what was acknowledged.
    pub(super) async fn work(mut self) -> Vec<Acknowledged> {
        while !self.is_over() {
            match self.dice.below(20) {
                0..6 => self.welcome().await,
                6..9 => self.note().await,
                9..13 => self.register().await,
                13..15 => self.invoice().await,
                _ => self.pay().await,
            }
            let pause = self.dice.below(self.pause_ms + 1);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self.acknowledged
    }

    /// What was acknowledged until now.
    pub(super) fn so_far(&mut self) -> Vec<Acknowledged> {
        std::mem::take(&mut self.acknowledged)
    }

    fn is_over(&self) -> bool {
        self.load.over.load(Ordering::SeqCst)
    }

    fn someone(&mut self) -> Option<Uuid> {
        (!self.members.is_empty()).then(|| *self.dice.pick(&self.members))
    }

    /// A new member, who mostly applies for a membership.
    async fn welcome(&mut self) {
        let member = self.dice.uuid();
        let name = format!("Member {}", self.dice.below(1_000_000));
        let body = json!({ "member_id": member, "kind": "person", "name": { "display": name } });
        let Some(receipt) = self.order("RegisterMember", body).await else { return };
        self.members.push(member);
        self.read_own(member, &receipt).await;
        if self.dice.below(4) > 0 {
            let plan = id(self.association, "plan", self.dice.below(2));
            let body = json!({ "membership_id": self.dice.uuid(), "member_id": member, "plan_id": plan });
            self.order("ApplyForMembership", body).await;
        }
    }

    /// Something new about somebody.
    async fn note(&mut self) {
        let Some(member) = self.someone() else { return };
        if self.dice.below(2) == 0 {
            // The note that is the latest already would not be recorded again.
            let text = format!("Call {} of {}.", self.sent, self.number);
            self.order("AddNote", json!({ "member_id": member, "text": text })).await;
            return;
        }
        let credential = format!("C{}", self.dice.below(50));
        self.order("AddCredential", json!({ "member_id": member, "credential": credential })).await;
    }

    /// A place for somebody new, so that nobody asks twice for the same one.
    async fn register(&mut self) {
        let member = self.dice.uuid();
        let body = json!({ "member_id": member, "kind": "person", "name": { "display": "Guest of honour" } });
        if self.order("RegisterMember", body).await.is_none() {
            return;
        }
        self.members.push(member);
        let (event, registration) = (id(self.association, "event", self.dice.below(EVENTS)), self.dice.uuid());
        let body = json!({
            "event_id": event, "registration_id": registration, "ticket_type": "standard",
            "registrant": { "kind": "member", "member_id": member },
        });
        self.order("RegisterForEvent", body).await;
        if self.dice.below(5) == 0 {
            let body = json!({ "event_id": event, "registration_id": registration, "reason": "Ill." });
            self.order("CancelRegistration", body).await;
        }
    }

    async fn invoice(&mut self) {
        let Some(member) = self.someone() else { return };
        let unit = 100 + self.dice.below(10_000);
        let lines = json!([{ "description": "A book", "kind": "other", "unit_minor": unit }]);
        let body = json!({ "invoice_id": self.dice.uuid(), "bill_to": member, "lines": lines });
        self.order("DraftInvoice", body).await;
    }

    /// Pays what somebody owes, as far as the read model knows: the same invoice has the same reference, however often.
    async fn pay(&mut self) {
        let Some(member) = self.someone() else { return };
        let Some(node) = self.node() else { return };
        let Ok((200, open)) = node.read(&format!("/v1/invoices?bill_to={member}&open=true"), &[]).await else { return };
        for invoice in open["data"].as_array().cloned().unwrap_or_default() {
            let invoice_id = &invoice["invoice_id"];
            let amount = json!({ "minor": invoice["total_minor"], "currency": invoice["currency"] });
            let body = json!({
                "provider": "bank", "reference": invoice_id, "payer": member, "invoice_id": invoice_id, "amount": amount,
            });
            self.order("RecordPayment", body).await;
        }
    }

    /// One of the nodes that serve, if any does at the moment.
    fn node(&mut self) -> Option<Client> {
        let nodes = self.load.serving.borrow()[self.association].clone();
        (!nodes.is_empty()).then(|| self.dice.pick(&nodes).clone())
    }

    /// Whoever reads with the receipt's token, at whichever node, finds what was written, or is told that it is not there yet.
    async fn read_own(&mut self, member: Uuid, receipt: &Value) {
        let token = receipt["token"].as_str().expect("a receipt has a token");
        let Some(node) = self.node() else { return };
        let (path, strict) = (format!("/v1/members/{member}?at_least={token}"), [("Prefer", "handling=strict")]);
        let Ok((status, answer)) = node.read(&path, &strict).await else { return };
        match status {
            200 => {
                assert_eq!(answer["data"]["member_id"], member.to_string(), "{answer}");
                self.load.own_reads[0].fetch_add(1, Ordering::Relaxed);
            }
            503 | 504 => {
                self.load.own_reads[1].fetch_add(1, Ordering::Relaxed);
            }
            _ => panic!("a member registered at {token} is answered {status}: {answer}"),
        }
    }

    /// Sends a command until it is acknowledged. None once the load is over: it may be stored then, but nobody was told.
    async fn order(&mut self, name: &'static str, body: Value) -> Option<Value> {
        self.sent += 1;
        let key = format!("chaos-{}-{}", self.number, self.sent);
        let mut first = true;
        while !self.is_over() {
            let answered = match self.node() {
                Some(node) => node.send(name, &key, &body).await.ok(),
                None => None,
            };
            match answered {
                Some((200 | 201, receipt)) => {
                    let association = self.association;
                    self.acknowledged.push(Acknowledged { association, name, key, body, receipt: receipt.clone() });
                    return Some(receipt);
                }
                Some((503 | 504, _)) | None => {
                    self.load.interrupted.fetch_add(u64::from(first), Ordering::Relaxed);
                    first = false;
                    tokio::time::sleep(PAUSE).await;
                }
                Some((status, answer)) => panic!("{name} {key} {body} was answered {status}: {answer}"),
            }
        }
        None
    }
}
