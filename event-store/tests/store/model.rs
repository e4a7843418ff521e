//! Random batches against a history that is simple enough to be right: units judged one after another in memory.

use std::collections::HashMap;

use futures::{future::join_all, poll};
use guildhall_event_store::{Claim, Unit, UnitOutcome, VerifyOptions};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use uuid::Uuid;

use crate::support::{command, open_store, tenant};

/// A unit before its ids are real: small numbers, so that things collide.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) tenant: u128,
    pub(crate) stream: u128,
    /// How far the expected version is off.
    pub(crate) off_by: u64,
    pub(crate) commands: Vec<(u128, usize, Vec<Option<u8>>)>,
}

pub(crate) fn wish() -> impl Strategy<Value = Wish> {
    let commands =
        prop::collection::vec((0..60_u128, 0..3_usize, prop::collection::vec(prop::option::of(0..4_u8), 0..3)), 1..3);
    (1..3_u128, 0..5_u128, prop_oneof![9 => Just(0), 1 => Just(1_u64)], commands).prop_map(
        |(tenant, stream, off_by, mut commands)| {
            commands.dedup_by_key(|command| command.0);
            Wish { tenant, stream, off_by, commands }
        },
    )
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) head: u64,
    pub(crate) versions: HashMap<(u128, u128), u64>,
    pub(crate) commands: HashMap<(u128, u128), (u64, u64)>,
    pub(crate) claims: HashMap<(u128, u8), u128>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Judged {
    Appended(Vec<(u64, u64)>),
    Conflict(u64),
    Duplicate(usize),
    ClaimTaken,
}

impl Model {
    pub(crate) fn version(&self, wish: &Wish) -> u64 {
        self.versions.get(&(wish.tenant, wish.stream)).copied().unwrap_or(0)
    }

    pub(crate) fn judge(&mut self, wish: &Wish, expected: u64) -> Judged {
        let known =
            wish.commands.iter().filter(|command| self.commands.contains_key(&(wish.tenant, command.0))).count();
        let claims = || wish.commands.iter().flat_map(|command| &command.2);
        let actual = self.version(wish);
        if known > 0 {
            return Judged::Duplicate(known);
        }
        if actual != expected {
            return Judged::Conflict(actual);
        }
        let holder = |value| self.claims.get(&(wish.tenant, value));
        if claims().flatten().any(|value| holder(*value).is_some_and(|holder| *holder != wish.stream)) {
            return Judged::ClaimTaken;
        }
        let mut version = actual;
        let mut places = Vec::new();
        for (id, events, _) in &wish.commands {
            version += *events as u64;
            self.head += *events as u64;
            self.commands.insert((wish.tenant, *id), (version, self.head));
            places.push((version, self.head));
        }
        self.versions.insert((wish.tenant, wish.stream), version);
        if let Some(last) = claims().next_back() {
            self.claims.retain(|(tenant, _), holder| *tenant != wish.tenant || *holder != wish.stream);
            if let Some(value) = last {
                self.claims.insert((wish.tenant, *value), wish.stream);
            }
        }
        Judged::Appended(places)
    }
}

pub(crate) fn real(wish: &Wish, expected_version: u64) -> Unit {
    let commands = wish.commands.iter().map(|(id, events, claims)| {
        let mut command = command(*events);
        command.command_id = Uuid::from_u128(*id + 1);
        command
            .claims
            .extend(claims.iter().map(|value| Claim { kind: "email", value_hmac: value.map(|value| [value; 32]) }));
        command
    });
    let stream = guildhall_event_store::StreamId::new("counter", Uuid::from_u128(wish.stream + 1));
    Unit { tenant: tenant(wish.tenant), stream, expected_version, commands: commands.collect() }
}

pub(crate) fn judged(outcome: UnitOutcome) -> Judged {
    match outcome {
        UnitOutcome::Appended(receipts) => {
            Judged::Appended(receipts.iter().map(|receipt| (receipt.version, receipt.position)).collect())
        }
        UnitOutcome::Conflict { actual } => Judged::Conflict(actual),
        UnitOutcome::Duplicate(found) => Judged::Duplicate(found.len()),
        UnitOutcome::ClaimTaken { .. } => Judged::ClaimTaken,
    }
}

/// Runs a test over random cases, on a runtime of its own because `proptest` knows nothing of `async`.
pub(crate) fn for_random<S: Strategy, F: Future<Output = Result<(), TestCaseError>>>(
    cases: u32,
    strategy: S,
    test: impl Fn(S::Value) -> F,
) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = Config { cases, max_shrink_iters: 40, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&strategy, |case| runtime.block_on(test(case)));
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

fn for_random_wishes<F: Future<Output = Result<(), TestCaseError>>>(test: impl Fn(Vec<Wish>) -> F) {
    for_random(12, prop::collection::vec(wish(), 1..60), test);
}

#[test]
fn units_one_after_another_come_to_what_the_model_says() {
    for_random_wishes(|wishes| async {
        let (_database, store) = open_store().await;
        let mut model = Model::default();
        for wish in wishes {
            let expected = model.version(&wish) + wish.off_by;
            let outcome = store.append(real(&wish, expected)).await.expect("it is judged");
            prop_assert_eq!(judged(outcome), model.judge(&wish, expected));
        }
        let report = store.verify(VerifyOptions::default(), |_| ()).await.expect("history is there");
        prop_assert_eq!((report.records, report.first_difference), (model.head, None));
        Ok(())
    });
}

/// Which units share a batch is chance, and positions with it, and how much of a duplicate was recorded when it was
/// looked up. What an association's units come to is not, as long as nothing is claimed: a value let go and claimed at the
/// same time may be refused or not.
#[test]
fn units_that_wait_together_come_to_the_same_as_one_after_another() {
    let without_chance = |judged| match judged {
        Judged::Appended(places) => Judged::Appended(places.into_iter().map(|(version, _)| (version, 0)).collect()),
        Judged::Duplicate(_) => Judged::Duplicate(1),
        other => other,
    };
    for_random_wishes(|mut wishes| async move {
        let (_database, store) = open_store().await;
        let mut model = Model::default();
        let (mut said, mut waiting) = (Vec::new(), Vec::new());
        for wish in &mut wishes {
            wish.commands.iter_mut().for_each(|command| command.2.clear());
            let expected = model.version(wish) + wish.off_by;
            said.push(without_chance(model.judge(wish, expected)));
            // Polled once, it waits in the queue, behind those before it.
            let mut append = Box::pin(store.append(real(wish, expected)));
            prop_assert!(poll!(&mut append).is_pending());
            waiting.push(append);
        }
        let outcomes = join_all(waiting).await.into_iter().map(|outcome| outcome.expect("it is judged"));
        prop_assert_eq!(outcomes.map(judged).map(without_chance).collect::<Vec<_>>(), said);
        let report = store.verify(VerifyOptions::default(), |_| ()).await.expect("history is there");
        prop_assert_eq!((report.records, report.first_difference), (model.head, None));
        Ok(())
    });
}
