//! What a state keeps of personal data that nobody will ask it for.

use std::{fmt, marker::PhantomData};

use serde::{Deserialize, Serialize};

/// A digest under the key of the person the data is about: enough to tell whether what is offered is the same, and
/// nothing that could be opened. Under another person's key the same data has another one. Meaningless once the key is
/// gone, as the data itself.
#[derive(Serialize, Deserialize)]
#[serde(bound = "", transparent)]
pub struct PersonalDigest<T> {
    digest: [u8; 16],
    #[serde(skip)]
    kind: PhantomData<fn() -> T>,
}

impl<T> PersonalDigest<T> {
    pub(super) fn new(digest: [u8; 16]) -> Self {
        Self { digest, kind: PhantomData }
    }
}

impl<T> Clone for PersonalDigest<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for PersonalDigest<T> {}
impl<T> PartialEq for PersonalDigest<T> {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}
impl<T> Eq for PersonalDigest<T> {}
impl<T> fmt::Debug for PersonalDigest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonalDigest(…)")
    }
}
