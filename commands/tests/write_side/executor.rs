//! The executor below HTTP.

use futures::future::join_all;
use guildhall_aggregates::{
    MemberId,
    member::{AddCredential, ForgetMember, Member, MemberRefusal, RemoveCredential},
};
use guildhall_commands::{ExecuteError, Executor, Expected, Order};
use guildhall_event_store::{Actor, Metadata};
use uuid::Uuid;

use crate::support::{WriteSide, founders};

fn order(n: u128, command_id: u128, command: impl Into<guildhall_aggregates::member::MemberCommand>) -> Order<Member> {
    Order {
        tenant: founders(),
        id: Uuid::from_u128(n),
        command: command.into(),
        command_id: Uuid::from_u128(command_id),
        request_hash: [7; 32],
        metadata: Metadata {
            command: "Test".into(),
            actor: Actor::Process("test".into()),
            correlation_id: Uuid::from_u128(1),
            causation_id: None,
            traceparent: None,
        },
        claims: vec![],
        expected_version: None,
    }
}

fn add(credential: &str) -> AddCredential {
    AddCredential { credential: credential.into() }
}

async fn version(executor: &Executor, member: MemberId) -> u64 {
    executor.state::<Member>(founders(), member.uuid()).await.expect("the state can be read").version
}

#[tokio::test]
async fn a_refusal_names_its_reason() {
    let side = WriteSide::start().await;
    let refused = side.executor.execute(order(1, 1, add("RN"))).await;
    assert_eq!(refused, Err(ExecuteError::Refused(MemberRefusal::MemberUnknown)));
}

#[tokio::test]
async fn commands_that_wait_together_are_recorded_in_one_unit_and_in_order() {
    let side = WriteSide::start().await;
    let member = side.member(1).await;
    let orders = (0..500).map(|n| {
        let credential = format!("C{}", n / 2);
        match n % 2 {
            0 => order(1, 1_000 + n, add(&credential)),
            _ => order(1, 1_000 + n, RemoveCredential { credential }),
        }
    });
    let receipts = join_all(orders.map(|order| side.executor.execute(order))).await;
    let versions: Vec<_> = receipts.into_iter().map(|receipt| receipt.map(|receipt| receipt.version)).collect();
    assert_eq!(versions, (2..=501).map(Ok).collect::<Vec<_>>());
    assert_eq!(version(&side.executor, member.into()).await, 501);
}

#[tokio::test]
async fn a_stale_node_catches_up_and_decides_again() {
    let side = WriteSide::start().await;
    side.member(1).await;
    let (_store, other, _router) = side.another_node().await;
    side.executor.execute(order(1, 1, add("RN"))).await.expect("one node is first");
    let second = other.execute(order(1, 2, add("PE"))).await.expect("the other reads it");
    let third = side.executor.execute(order(1, 3, add("MD"))).await.expect("the first catches up");
    assert_eq!((second.version, third.version), (3, 4));
}

#[tokio::test]
async fn a_stale_node_does_not_refuse_what_is_allowed_by_now() {
    let side = WriteSide::start().await;
    let (_store, other, _router) = side.another_node().await;
    let refused = other.execute(order(1, 1, add("RN"))).await;
    assert_eq!(refused, Err(ExecuteError::Refused(MemberRefusal::MemberUnknown)));
    side.member(1).await;
    assert!(other.execute(order(1, 2, add("RN"))).await.is_ok());
}

#[tokio::test]
async fn what_a_reader_has_seen_already_is_not_folded_in_twice() {
    let side = WriteSide::start().await;
    for n in 1..=20 {
        // A stream that does not exist is read anew by everyone who looks, so some look just after it is recorded.
        let looks = join_all((0..4).map(|_| async {
            for _ in 0..10 {
                version(&side.executor, Uuid::from_u128(n).into()).await;
            }
        }));
        let (member, _) = tokio::join!(side.member(n), looks);
        assert_eq!(version(&side.executor, member.into()).await, 1);
    }
}

#[tokio::test]
async fn two_nodes_on_one_stream_lose_nothing() {
    let side = WriteSide::start().await;
    side.member(1).await;
    let (_store, other, _router) = side.another_node().await;
    let orders = (0..200).map(|n| {
        let node = if n % 2 == 0 { &side.executor } else { &other };
        async move {
            loop {
                match node.execute(order(1, 100 + n, add(&format!("C{}", n % 40)))).await {
                    Err(ExecuteError::Contended) => {}
                    outcome => return outcome,
                }
            }
        }
    });
    let receipts = join_all(orders).await;
    let recorded = receipts.into_iter().map(|receipt| receipt.expect("recorded").events.len()).sum::<usize>();
    assert_eq!(recorded, 40, "each credential was added once, whoever was first");
}

#[tokio::test]
async fn a_command_sent_to_two_nodes_takes_effect_once() {
    let side = WriteSide::start().await;
    side.member(1).await;
    let (_store, other, _router) = side.another_node().await;
    let (here, there) =
        tokio::join!(side.executor.execute(order(1, 9, add("RN"))), other.execute(order(1, 9, add("RN"))));
    assert_eq!(here.expect("recorded"), there.expect("recorded"));
    let other_request = Order { request_hash: [8; 32], ..order(1, 9, add("PE")) };
    assert_eq!(other.execute(other_request).await, Err(ExecuteError::KeyReused));
}

#[tokio::test]
async fn an_expectation_is_checked_where_the_command_is_decided() {
    let side = WriteSide::start().await;
    side.member(1).await;
    let expecting = |id, expected| Order { expected_version: Some(expected), ..order(1, id, add(&format!("C{id}"))) };
    let (first, second) = tokio::join!(
        side.executor.execute(expecting(1, Expected::Version(1))),
        side.executor.execute(expecting(2, Expected::Version(1)))
    );
    assert_eq!(first.map(|receipt| receipt.version), Ok(2));
    assert_eq!(second, Err(ExecuteError::VersionMismatch { actual: 2 }));
    let nobody = Order { expected_version: Some(Expected::Exists), ..order(2, 3, ForgetMember {}) };
    assert_eq!(side.executor.execute(nobody).await, Err(ExecuteError::VersionMismatch { actual: 0 }));
}

#[tokio::test]
async fn a_caller_who_leaves_takes_nothing_along() {
    let side = WriteSide::start().await;
    side.member(1).await;
    let leaves = side.executor.execute(order(1, 1, add("RN")));
    assert!(futures::FutureExt::now_or_never(leaves).is_none(), "the caller does not wait for the answer");
    side.executor.drain().await;
    let again = side.executor.execute(order(1, 1, add("RN"))).await.expect("it was executed all the same");
    assert_eq!((again.version, again.events.len()), (2, 1));
}
