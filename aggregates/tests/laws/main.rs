//! Laws that hold for every aggregate under any history, tried on random ones.

mod membership;
mod money;
mod records;
mod roster;

use chrono::NaiveDate;
use guildhall_aggregates::{
    Decide,
    ids::Id,
    personal::{Personal, TokenParts},
};
use proptest::prelude::*;
use uuid::Uuid;

/// One of a few ids, so that commands meet each other.
pub(crate) fn few<K: 'static>() -> impl Strategy<Value = Id<K>> + Clone {
    (0_u128..6).prop_map(|n| Id::new(Uuid::from_u128(n)))
}

/// A date that exists.
pub(crate) fn date(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).expect("the tests name dates that exist")
}

/// Personal data of one person; equal digests are equal data, sealed anew each time.
pub(crate) fn sealed<T: 'static>() -> impl Strategy<Value = Personal<T>> + Clone {
    (0_u8..3, any::<u64>()).prop_map(|(digest, sealed_by)| {
        Personal::from_parts(&TokenParts {
            subject: Id::new(Uuid::from_u128(1)),
            sealed_by: Uuid::from_u128(u128::from(sealed_by)),
            digest: [digest; 16],
            ciphertext: sealed_by.to_be_bytes().to_vec(),
        })
    })
}

/// Runs a history and checks after each accepted command that
///
/// * the same command again is accepted and records nothing: sent twice is sent once;
/// * the state survives being written down and read back, as snapshots do.
///
/// `check` sees the state before, the command, and the state after.
pub(crate) fn run<A: Decide + PartialEq + std::fmt::Debug>(
    commands: Vec<A::Command>,
    mut check: impl FnMut(&A, &A::Command, &[A::Event], &A) -> Result<(), TestCaseError>,
) -> Result<A, TestCaseError>
where
    A::Command: std::fmt::Debug,
{
    let mut state = A::default();
    for command in commands {
        let Ok(events) = state.decide(command.clone()) else { continue };
        let before = state.clone();
        for event in events.clone() {
            state.apply(event);
        }
        prop_assert_eq!(state.decide(command.clone()), Ok(vec![]), "sent twice: {:?} after {:?}", command, events);
        let written = serde_json::to_string(&state).expect("a state can be written");
        prop_assert_eq!(&serde_json::from_str::<A>(&written).expect("and read back"), &state);
        check(&before, &command, &events, &state)?;
    }
    Ok(state)
}

/// As many cases as keep the whole file under a few seconds; no file of regressions beside it.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}
