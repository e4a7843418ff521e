//! Promises 1 and 2 as a state machine: random batches, duplicates, claims, aborts, lost answers, crashes and restarts,
//! held against the model that knows nothing of any of them.
//!
//! Which units share a batch is chance, and after a mishap so is their order. What is asked is what a caller can rely on:
//! there is one order of what was stored, that of the positions, in which the model stores exactly the same; and every
//! unit that was not stored was told something that was true at some moment of it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::atomic::{AtomicU64, Ordering},
};

use guildhall_event_store::{EventStore, RecordedCommand, StoreError, Unit, UnitOutcome, VerifyOptions};
use guildhall_sandbox::testing::TestDatabase;
use proptest::prelude::*;
use tokio::{runtime::Runtime, task::JoinHandle};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::{
    model::{Judged, Model, Wish, for_random, judged, real, wish},
    proxy::{Fault, How, Proxy, Way},
    support::{another_node, came_to, hold_the_log, tenant, torture, until},
};

/// What happens while units wait.
#[derive(Debug, Clone)]
enum Mishap {
    /// The statement is cancelled, as a statement timeout does.
    Cancelled,
    /// The server ends the session in the middle of the append.
    Terminated,
    /// The wire fails after so many bytes of the reply.
    AnswerLost(u64),
    /// The node stops in order; another takes over.
    Restarted,
    /// The node is gone in the middle of the append; another is asked the same.
    Crashed,
}

#[derive(Debug, Clone)]
struct Step {
    /// Each with whether the other node is asked, the one that nothing happens to.
    wishes: Vec<(Wish, bool)>,
    mishap: Option<Mishap>,
}

fn step() -> impl Strategy<Value = Step> {
    let mishap = prop_oneof![
        Just(Mishap::Cancelled),
        Just(Mishap::Terminated),
        (0..300_u64).prop_map(Mishap::AnswerLost),
        Just(Mishap::Restarted),
        Just(Mishap::Crashed),
    ];
    let wishes = prop::collection::vec((wish(), prop::bool::weighted(0.2)), 1..8);
    (wishes, prop::option::weighted(0.4, mishap)).prop_map(|(wishes, mishap)| {
        let mut step = Step { wishes, mishap };
        step.wishes.iter_mut().flat_map(|(wish, _)| &mut wish.commands).for_each(|(_, events, claims)| {
            // The position of a command without events does not tell when it was; what it claims would.
            if *events == 0 {
                claims.clear();
            }
        });
        if matches!(step.mishap, Some(Mishap::Crashed)) {
            // Of two that carry one command, nobody could say which of them the dead node stored.
            let mut seen = HashSet::new();
            step.wishes.retain(|(wish, _)| wish.commands.iter().all(|(id, ..)| seen.insert((wish.tenant, *id))));
        }
        step
    })
}

/// A store with a runtime of its own, so that it can be gone from one moment to the next.
struct Node {
    runtime: Option<Runtime>,
    store: EventStore,
}

impl Node {
    async fn start(url: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let url = url.to_owned();
        let store = runtime.spawn(async move { another_node(&url).await }).await.expect("it opens");
        Self { runtime: Some(runtime), store }
    }

    fn append(&self, unit: Unit) -> JoinHandle<Result<UnitOutcome, StoreError>> {
        let store = self.store.clone();
        self.runtime.as_ref().expect("it runs").spawn(async move { store.append(unit).await })
    }

    /// Sends a unit until there is an answer, as any client would.
    async fn append_surely(&self, unit: &Unit) -> UnitOutcome {
        loop {
            match self.append(unit.clone()).await.expect("the node runs") {
                Ok(outcome) => return outcome,
                Err(StoreError::Unavailable { .. }) => {}
                Err(error) => panic!("neither judged nor unavailable: {error}"),
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Asked {
    unit: Unit,
    elsewhere: bool,
    /// None of its commands was recorded before this step.
    is_new: bool,
}

struct World {
    database: TestDatabase,
    wire: Proxy,
    axe: Client,
    node: Node,
    other: Node,
}

impl World {
    async fn begin() -> Self {
        let database = TestDatabase::create().await;
        let wire = Proxy::before(database.url()).await;
        let axe = database.connect().await;
        let (node, other) = (Node::start(&wire.url).await, Node::start(database.url()).await);
        Self { database, wire, axe, node, other }
    }

    /// Sends all units at once, lets the mishap happen, and says what became of each.
    async fn suffer(&mut self, units: &[Asked], mishap: Option<&Mishap>) -> Vec<UnitOutcome> {
        let in_the_middle = matches!(mishap, Some(Mishap::Cancelled | Mishap::Terminated | Mishap::Crashed));
        let holder = self.database.connect().await;
        if in_the_middle {
            hold_the_log(&holder).await;
        }
        if let Some(Mishap::AnswerLost(after)) = mishap {
            self.wire.arm(Fault { way: Way::Reply, after: *after, how: How::Closed });
        }
        let waiting: Vec<_> = units
            .iter()
            .map(|asked| if asked.elsewhere { &self.other } else { &self.node }.append(asked.unit.clone()))
            .collect();
        if in_the_middle && !units.is_empty() {
            until("an append waits for its turn", || async { self.appending("wait_event = 'advisory'").await > 0 })
                .await;
            match mishap {
                Some(Mishap::Cancelled) => self.each_append("pg_cancel_backend").await,
                Some(Mishap::Terminated) => self.each_append("pg_terminate_backend").await,
                _ => self.node = Node::start(&self.wire.url).await,
            }
        }
        if in_the_middle {
            holder.batch_execute("COMMIT").await.expect("it commits");
        }
        let mut outcomes = Vec::new();
        for (asked, answer) in units.iter().zip(waiting) {
            outcomes.push(self.outcome(asked, answer).await);
        }
        // It may not have happened, where nothing was asked of this node.
        self.wire.disarm();
        if matches!(mishap, Some(Mishap::Restarted)) {
            self.node.store.shutdown().await;
            self.node = Node::start(&self.wire.url).await;
        }
        outcomes
    }

    /// What a unit was told; whoever was told nothing, or only that it is not known, asks again.
    async fn outcome(&self, asked: &Asked, answer: JoinHandle<Result<UnitOutcome, StoreError>>) -> UnitOutcome {
        let unit = &asked.unit;
        match answer.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(StoreError::Unavailable { .. })) => self.node.append_surely(unit).await,
            Ok(Err(error)) => panic!("neither judged nor unavailable: {error}"),
            Err(_crashed) => {
                // What the dead node had sent is still under way, and the server does not know that it is dead.
                until("the dead node's appends are over", || async { self.appending("true").await == 0 }).await;
                match self.node.append_surely(unit).await {
                    UnitOutcome::Duplicate(found) if asked.is_new && is_all_of(unit, &found) => {
                        UnitOutcome::Appended(found.into_iter().map(|command| command.receipt).collect())
                    }
                    outcome => outcome,
                }
            }
        }
    }

    async fn appending(&self, condition: &str) -> i64 {
        let backends = format!("SELECT count(*) FROM pg_stat_activity WHERE {APPENDING} AND {condition}");
        self.axe.query_one(&backends, &[]).await.expect("a superuser may look").get(0)
    }

    async fn each_append(&self, function: &str) {
        let statement = format!("SELECT {function}(pid) FROM pg_stat_activity WHERE {APPENDING}");
        self.axe.query(&statement, &[]).await.expect("a superuser may do that");
    }
}

const APPENDING: &str =
    "datname = current_database() AND pid <> pg_backend_pid() AND state = 'active' AND query LIKE '%es.append%'";

/// Whether what was found is what this unit stored: every command of it, with the events it has.
fn is_all_of(unit: &Unit, found: &[RecordedCommand]) -> bool {
    unit.commands.iter().all(|command| {
        let ours = found.iter().find(|recorded| recorded.receipt.command_id == command.command_id);
        ours.is_some_and(|recorded| {
            recorded.receipt.stream == unit.stream
                && recorded
                    .receipt
                    .events
                    .iter()
                    .map(|event| event.event_id)
                    .eq(command.events.iter().map(|event| event.event_id))
        })
    })
}

/// The model after a step, if there is an order in which it comes to what happened.
fn explained(before: &Model, sent: &[(Wish, u64)], outcomes: Vec<UnitOutcome>) -> Result<Model, TestCaseError> {
    let (mut stored, mut refused) = (BTreeMap::new(), Vec::new());
    for (nth, ((wish, expected), outcome)) in sent.iter().zip(outcomes).enumerate() {
        match judged(outcome) {
            Judged::Appended(mut places) => {
                places.sort_unstable();
                let last = places.last().map_or(0, |place| place.1);
                let without_events = wish.commands.iter().all(|(_, events, _)| *events == 0);
                stored.insert((last, without_events, nth), (wish, *expected, places));
            }
            other => refused.push((wish, *expected, other)),
        }
    }
    let mut moments = vec![before.clone()];
    for (wish, expected, places) in stored.into_values() {
        let mut next = moments.last().cloned().unwrap_or_default();
        let mut said = next.judge(wish, expected);
        if let Judged::Appended(places) = &mut said {
            places.sort_unstable();
        }
        prop_assert_eq!(said, Judged::Appended(places), "{:?} was stored", wish);
        moments.push(next);
    }
    for (wish, expected, outcome) in refused {
        let true_once = moments.iter().any(|moment| match (moment.clone().judge(wish, expected), &outcome) {
            (Judged::Duplicate(_), Judged::Duplicate(_)) => true,
            (said, outcome) => said == *outcome,
        });
        prop_assert!(true_once, "{:?} expecting {} was told {:?}, which was never true", wish, expected, outcome);
    }
    Ok(moments.pop().unwrap_or_default())
}

/// Everything that can be read is what the model says.
async fn compare(world: &World, model: &Model) -> Result<(), TestCaseError> {
    let store = another_node(world.database.url()).await;
    for ((of, id), version) in &model.versions {
        let stream = guildhall_event_store::StreamId::new("counter", Uuid::from_u128(id + 1));
        let events = store.read_stream(tenant(*of), &stream, 0, 10_000).await.expect("history is there");
        prop_assert!(events.iter().map(|event| event.version).eq(1..=*version));
    }
    for ((of, id), (version, position)) in &model.commands {
        let recorded = store.recorded_command(tenant(*of), Uuid::from_u128(id + 1)).await.expect("history is there");
        let place = recorded.map(|command| (command.receipt.version, command.receipt.position));
        prop_assert_eq!(place, Some((*version, *position)));
    }
    let rows = world
        .axe
        .query("SELECT c.tenant_id, c.value_hmac, s.id FROM es.claim c JOIN es.stream s USING (stream_key)", &[])
        .await
        .expect("the owner may read");
    let claims = rows.iter().map(|row| {
        let stream = row.get::<_, Uuid>(2).as_u128() - 1;
        ((row.get::<_, Uuid>(0).as_u128(), row.get::<_, &[u8]>(1)[0]), stream)
    });
    prop_assert_eq!(claims.collect::<std::collections::HashMap<_, _>>(), model.claims.clone());
    let report = store.verify(VerifyOptions::default(), |_| ()).await.expect("history is there");
    prop_assert_eq!((report.records, report.first_difference), (model.head, None));
    Ok(())
}

#[test]
fn whatever_goes_wrong_history_is_one_that_the_model_could_have_written() {
    let (cases, steps, told) = (if torture() { 150 } else { 8 }, AtomicU64::new(0), AtomicU64::new(0));
    for_random(cases, prop::collection::vec(step(), 1..20), |story| async {
        let mut world = World::begin().await;
        let mut model = Model::default();
        for Step { wishes, mishap } in story {
            let mut predicted = model.clone();
            let (mut sent, mut units) = (Vec::new(), Vec::new());
            for (wish, elsewhere) in wishes {
                let expected = predicted.version(&wish) + wish.off_by;
                predicted.judge(&wish, expected);
                let known =
                    |(id, ..): &(u128, usize, Vec<Option<u8>>)| model.commands.contains_key(&(wish.tenant, *id));
                let is_new = !wish.commands.iter().any(known);
                units.push(Asked { unit: real(&wish, expected), elsewhere, is_new });
                sent.push((wish, expected));
            }
            let outcomes = world.suffer(&units, mishap.as_ref()).await;
            steps.fetch_add(1, Ordering::Relaxed);
            told.fetch_add(outcomes.len() as u64, Ordering::Relaxed);
            model = explained(&model, &sent, outcomes)?;
        }
        compare(&world, &model).await
    });
    let (steps, told) = (steps.into_inner(), told.into_inner());
    let figures = format!("{cases} histories of {steps} steps and {told} units, mishaps in two of five: all equal");
    came_to("the model, with aborts, lost answers, crashes and restarts", &figures);
}
