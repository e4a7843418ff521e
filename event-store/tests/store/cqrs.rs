//! Aggregates of `cqrs-es` on our history: what they may rely on elsewhere, they may rely on here.

use std::collections::HashMap;

use cqrs_es::{
    AggregateError, CqrsFramework, EventEnvelope, EventStore as _,
    persist::{
        PersistedEventRepository, PersistedEventStore, QueryReplay, SemanticVersionEventUpcaster, SerializedEvent,
    },
};
use futures::future::join_all;
use guildhall_aggregates::TenantId;
use guildhall_event_store::{
    Actor, EventStore, StreamId,
    cqrs::{Categories, Context, CqrsError, CqrsStore},
};
use serde_json::{Value, json};
use uuid::Uuid;

use self::bank_account::{BankAccount, BankCommand, BankError, BankEvent, Fees, Statement, framework, story};
use crate::{
    proxy::{Fault, How, Proxy, Way},
    support::{another_node, open_store, tenant},
};

#[expect(dead_code, reason = "a program of its own, too")]
#[path = "../../examples/bank_account.rs"]
mod bank_account;

const FEES: Fees = Fees { withdrawal_cents: 25 };

fn named(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

async fn loaded(store: &CqrsStore, id: &str) -> Context<BankAccount> {
    store.load_aggregate(id).await.expect("it is read")
}

async fn envelopes(store: &CqrsStore, id: &str) -> Vec<EventEnvelope<BankAccount>> {
    store.load_events(id).await.expect("they are read")
}

/// Opens an account and puts something on it.
async fn opened(store: &CqrsStore, id: &str, deposits: usize) {
    let bank = framework(store.clone(), Statement::default());
    bank.execute(id, BankCommand::Open).await.expect("it opens");
    for _ in 0..deposits {
        bank.execute(id, BankCommand::Deposit { cents: 100 }).await.expect("it is open");
    }
}

async fn history(store: &EventStore, tenant: TenantId) -> Vec<guildhall_event_store::RecordedEvent> {
    store.read_tenant_after(tenant, 0, 1_000).await.expect("history is there")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_does_what_it_says() {
    let (_database, store) = open_store().await;
    let statement = story(&store, tenant(1)).await.expect("it runs");
    let lines =
        ["ada 1: Opened", "ada 2: Deposited { cents: 10000 }", "ada 3: Withdrawn { cents: 4000, fee_cents: 25 }"];
    assert_eq!(statement.lines(), lines);
    let account = loaded(&CqrsStore::new(store, tenant(1)), "ada").await;
    assert_eq!(account.aggregate, BankAccount { opened: true, cents: 5_975, bookings: 3 });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_stands_in_history_and_nothing_of_it_is_lost() {
    let (_database, store) = open_store().await;
    let handle = CqrsStore::new(store.clone(), tenant(1)).acting_as(Actor::Process("bank".to_owned()));
    let correlation = Uuid::now_v7();
    let metadata = named(&[("time", "noon"), ("correlation_id", &correlation.to_string())]);
    let bank = framework(handle.clone(), Statement::default());
    bank.execute_with_metadata("ada", BankCommand::Open, metadata.clone()).await.expect("it opens");

    let recorded = history(&store, tenant(1)).await;
    let [event] = recorded.as_slice() else { panic!("one event, not {recorded:?}") };
    assert_eq!(&*event.stream.category, "app___bank_account");
    assert_eq!((event.version, &*event.type_name, event.schema_version), (1, "Opened", 1));
    assert_eq!(event.payload.as_ref(), br#""Opened""#);
    assert_eq!(event.computed_leaf_hash(), event.leaf_hash);
    let ours = event.parsed_metadata().expect("it is metadata of ours");
    assert_eq!((ours.actor, ours.correlation_id), (Actor::Process("bank".to_owned()), correlation));
    let whole: Value = serde_json::from_slice(&event.metadata).expect("it is JSON");
    let theirs = json!({
        "aggregate_type": "BankAccount", "aggregate_id": "ada", "event_version": "1.0", "metadata": metadata,
    });
    assert_eq!(whole["cqrs_es"], theirs);

    let read = envelopes(&handle, "ada").await;
    assert_eq!((read[0].aggregate_id.as_str(), read[0].sequence, &read[0].payload), ("ada", 1, &BankEvent::Opened));
    assert_eq!(read[0].metadata, metadata);
    // The same id in another association is another account.
    assert!(envelopes(&CqrsStore::new(store, tenant(2)), "ada").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_several_versions_are_recorded_together_and_each_keeps_its_own() {
    let (_database, store) = open_store().await;
    let handle = CqrsStore::new(store.clone(), tenant(1));
    let context = loaded(&handle, "ada").await;
    let withdrawn = BankEvent::Withdrawn { cents: 1, fee_cents: 0 };
    let events = vec![BankEvent::Opened, withdrawn.clone(), withdrawn, BankEvent::Opened];
    let committed = handle.commit(events.clone(), context, named(&[("by", "test")])).await.expect("they are recorded");
    assert_eq!(committed.iter().map(|envelope| envelope.sequence).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let read = envelopes(&handle, "ada").await;
    assert_eq!(read.iter().map(|envelope| envelope.payload.clone()).collect::<Vec<_>>(), events);
    let serialized: Vec<SerializedEvent> = handle.get_last_events::<BankAccount>("ada", 1).await.expect("three");
    let versions: Vec<_> = serialized.iter().map(|event| (event.sequence, event.event_version.as_str())).collect();
    assert_eq!(versions, [(2, "2.1"), (3, "2.1"), (4, "1.0")]);
    let schema: Vec<_> = history(&store, tenant(1)).await.iter().map(|event| event.schema_version).collect();
    assert_eq!(schema, [1, 2, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_decide_on_one_state_the_second_has_a_conflict() {
    let (_database, store) = open_store().await;
    let handle = CqrsStore::new(store, tenant(1));
    opened(&handle, "ada", 1).await;
    let (first, second) = (loaded(&handle, "ada").await, loaded(&handle, "ada").await);
    let deposit = || vec![BankEvent::Deposited { cents: 1 }];
    handle.commit(deposit(), first, HashMap::new()).await.expect("nobody was faster");
    let late = handle.commit(deposit(), second, HashMap::new()).await;
    assert!(matches!(late, Err(AggregateError::AggregateConflict)), "{late:?}");

    let persisted = PersistedEventStore::<_, BankAccount>::new_event_store(handle.clone());
    let (first, second) = (persisted.load_aggregate("ada").await, persisted.load_aggregate("ada").await);
    persisted.commit(deposit(), first.expect("it is read"), HashMap::new()).await.expect("nobody was faster");
    let late = persisted.commit(deposit(), second.expect("it is read"), HashMap::new()).await;
    assert!(matches!(late, Err(AggregateError::AggregateConflict)), "{late:?}");
    assert_eq!(loaded(&handle, "ada").await.aggregate.cents, 102);
}

async fn deposit_until_done(store: &EventStore) {
    let bank = framework(CqrsStore::new(store.clone(), tenant(1)), Statement::default());
    loop {
        match bank.execute("ada", BankCommand::Deposit { cents: 1 }).await {
            Ok(()) => return,
            Err(AggregateError::AggregateConflict) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_commands_at_once_none_is_lost_also_across_a_restart() {
    let (database, store) = open_store().await;
    opened(&CqrsStore::new(store.clone(), tenant(1)), "ada", 0).await;
    join_all((0..64).map(|_| deposit_until_done(&store))).await;
    store.shutdown().await;
    let store = another_node(database.url()).await;
    join_all((0..64).map(|_| deposit_until_done(&store))).await;
    let account = loaded(&CqrsStore::new(store, tenant(1)), "ada").await;
    assert_eq!((account.aggregate.cents, account.version), (128, 129));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_recorded_once_and_answered() {
    let (database, _store) = open_store().await;
    let wire = Proxy::before(database.url()).await;
    let handle = CqrsStore::new(another_node(&wire.url).await, tenant(1));
    opened(&handle, "ada", 0).await;
    for nth in 0..20 {
        let context = loaded(&handle, "ada").await;
        wire.arm(Fault { way: Way::Reply, after: nth, how: How::Closed });
        let deposit = vec![BankEvent::Deposited { cents: 1 }];
        let committed = handle.commit(deposit, context, HashMap::new()).await.expect("it is recorded");
        assert_eq!(committed.len(), 1, "whoever asked is told, as if nothing had happened");
        assert!(!wire.is_armed(), "the answer was cut off");
    }
    let account = loaded(&handle, "ada").await;
    assert_eq!((account.aggregate.cents, account.version), (20, 21));
}

/// Does the same on three kinds of stores, and expects the state that the events make.
async fn lives(store: PersistedEventStore<CqrsStore, BankAccount>, id: &str) {
    let bank = CqrsFramework::new(store, vec![], FEES);
    bank.execute(id, BankCommand::Open).await.expect("it opens");
    for cents in [100, 200, 300, 400] {
        bank.execute(id, BankCommand::Deposit { cents }).await.expect("it is open");
    }
    let too_much = bank.execute(id, BankCommand::Withdraw { cents: 1_000 }).await;
    assert!(matches!(too_much, Err(AggregateError::UserError(BankError::NotEnough))), "{id}: {too_much:?}");
    bank.execute(id, BankCommand::Withdraw { cents: 900 }).await.expect("there is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_snapshots_every_event_is_applied_once() {
    let (_database, store) = open_store().await;
    let handle = CqrsStore::new(store, tenant(1));
    let on_events = PersistedEventStore::new_event_store;
    let on_aggregates = PersistedEventStore::new_aggregate_store;
    lives(on_events(handle.clone()), "events").await;
    lives(on_aggregates(handle.clone()), "aggregates").await;
    lives(PersistedEventStore::new_snapshot_store(handle.clone(), 2), "snapshots").await;
    let expected = BankAccount { opened: true, cents: 75, bookings: 6 };
    for store in [
        on_events(handle.clone()),
        on_aggregates(handle.clone()),
        PersistedEventStore::new_snapshot_store(handle.clone(), 2),
    ] {
        for id in ["events", "aggregates", "snapshots"] {
            let context = store.load_aggregate(id).await.expect("it is read");
            assert_eq!((&context.aggregate, context.current_sequence), (&expected, 6), "{id}");
        }
    }
    assert!(handle.get_snapshot::<BankAccount>("nobody").await.expect("it is asked").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_shows_every_event_of_a_type_in_order_and_no_other() {
    let (_database, store) = open_store().await;
    let handle = CqrsStore::new(store.clone(), tenant(1));
    // More than the replay reads ahead.
    opened(&handle, "ada", 230).await;
    opened(&handle, "grace", 2).await;
    opened(&handle, "ada", 1).await;
    opened(&CqrsStore::new(store, tenant(2)), "ada", 1).await;
    let elsewhere = Categories::default().with("BankAccount", "other").expect("it is a name");
    opened(&handle.clone().with_categories(elsewhere), "ada", 1).await;

    let statement = Statement::default();
    let replay = QueryReplay::<_, _, BankAccount>::new(handle, statement.clone());
    replay.replay("grace").await.expect("it is read");
    let deposited = |account: &str, sequence: usize| format!("{account} {sequence}: Deposited {{ cents: 100 }}");
    assert_eq!(statement.lines(), ["grace 1: Opened".to_owned(), deposited("grace", 2), deposited("grace", 3)]);
    replay.replay_all().await.expect("it is read");
    let all = statement.lines().split_off(3);
    assert_eq!(all.len(), 235);
    let of = |account: &str| all.iter().filter(|line| line.starts_with(account)).cloned().collect::<Vec<_>>();
    assert_eq!(of("ada").last(), Some(&deposited("ada", 232)));
    assert_eq!(of("grace").len(), 3);
    assert_eq!(all[231], "grace 1: Opened", "history's order, not the accounts'");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_sent_again_under_its_name_takes_effect_once_and_nobody_hears_of_it_twice() {
    let (_database, store) = open_store().await;
    let handle = CqrsStore::new(store, tenant(1));
    let statement = Statement::default();
    let bank = framework(handle.clone(), statement.clone());
    let deposit = BankCommand::Deposit { cents: 5 };
    let id = Uuid::now_v7().to_string();
    for name in [named(&[("command_id", &id)]), named(&[("idempotency_key", "cheque 17")])] {
        // A command that decides nothing is recorded under its name, too.
        bank.execute("ada", BankCommand::Open).await.expect("it opens, or is open");
        for _ in 0..3 {
            bank.execute_with_metadata("ada", deposit, name.clone()).await.expect("it is open");
        }
    }
    assert_eq!(statement.lines().len(), 3, "{:?}", statement.lines());
    bank.execute_with_metadata("ada", BankCommand::Open, named(&[("command_id", "nothing")]))
        .await
        .expect("it is open");
    bank.execute_with_metadata("ada", deposit, named(&[("command_id", "nothing")])).await.expect("it is open");
    assert_eq!(loaded(&handle, "ada").await.aggregate.cents, 10);

    opened(&handle, "grace", 0).await;
    let other = bank.execute_with_metadata("grace", deposit, named(&[("idempotency_key", "cheque 17")])).await;
    let Err(AggregateError::UnexpectedError(error)) = other else { panic!("the name was taken: {other:?}") };
    assert!(error.to_string().contains("was recorded before"), "{error}");
    // What would tell its queries of events that are none is told so.
    let persisted = CqrsFramework::<BankAccount, _>::new(PersistedEventStore::new_event_store(handle), vec![], FEES);
    let again = persisted.execute_with_metadata("ada", deposit, named(&[("command_id", &id)])).await;
    let Err(AggregateError::UnexpectedError(error)) = again else { panic!("it was recorded: {again:?}") };
    assert!(matches!(error.downcast_ref(), Some(CqrsError::AlreadyRecorded { .. })), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_not_read_by_another_id_than_its_own() {
    let (_database, store) = open_store().await;
    let handle = CqrsStore::new(store.clone(), tenant(1));
    opened(&handle, "ada", 0).await;
    let stream: StreamId = history(&store, tenant(1)).await.remove(0).stream;
    let other = cqrs_es::EventStore::<BankAccount>::load_aggregate(&handle, &stream.id.to_string()).await;
    let Err(AggregateError::UnexpectedError(error)) = other.map(|_| ()) else { panic!("it is ada's") };
    assert!(error.to_string().contains("\"ada\""), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_events_are_read_as_todays() {
    let (_database, store) = open_store().await;
    let handle = CqrsStore::new(store, tenant(1));
    opened(&handle, "ada", 0).await;
    let old = SerializedEvent::new(
        "ada".to_owned(),
        2,
        "BankAccount".to_owned(),
        "Withdrawn".to_owned(),
        "2.0.3".to_owned(),
        json!({ "Withdrawn": { "cents": 7 } }),
        json!({}),
    );
    handle.persist::<BankAccount>(&[old], None).await.expect("it is recorded");
    let unread = cqrs_es::EventStore::<BankAccount>::load_aggregate(&handle, "ada").await.map(|_| ());
    assert!(matches!(unread, Err(AggregateError::DeserializationError(_))), "{unread:?}");
    let upcast = |mut payload: Value| {
        payload["Withdrawn"]["fee_cents"] = json!(0);
        payload
    };
    let handle = handle.with_upcasters(vec![Box::new(SemanticVersionEventUpcaster::new(
        "Withdrawn",
        "2.1.0",
        Box::new(upcast),
    ))]);
    assert_eq!(loaded(&handle, "ada").await.aggregate.cents, -7);
    let snapshot = handle.get_snapshot::<BankAccount>("ada").await.expect("it is read").expect("it exists");
    assert_eq!(snapshot.aggregate["cents"], -7);
}
