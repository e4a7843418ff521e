//! What proves that history is what was recorded, also to those who do not trust whoever runs the database.
//!
//! Each association's records are the leaves of a Merkle tree as in RFC 6962 ([`leaf`]). The [`Sealer`] keeps the tree's
//! hashes in tiles and signs [checkpoints](checkpoint) of it, which leave the database for places where the operator cannot
//! reach them. From then on no record under a checkpoint can be changed, removed, added or moved unnoticed: [`verify`] and
//! anybody with a bundle and a verifier key can tell.
//!
//! This room reads history through the store's door and never writes to it. It is off the path of an append: where it
//! lags or is down, records wait to be sealed, and nobody waits for it.
//!
//! What is published in a bundle or a proof is described in `docs/formats/bundle.md`; it is read by programs that are not
//! ours, so a change of it is a new version.

mod bundle;
pub mod checkpoint;
mod error;
mod finding;
mod keys;
mod log;
mod prove;
mod publish;
mod sealer;
mod sign;
mod standing;
mod tail;
mod tree;
mod verify;

pub use bundle::{BUNDLE_FORMAT, BundleRequest, Bundled, write_bundle};
pub use checkpoint::{Checkpoint, NoteError, Statement};
pub use error::IntegrityError;
pub use finding::{CheckpointProblem, Finding, TileProblem};
pub use keys::{KEY_NAME, Keys, NotAKey, SigningKey, check_verifier};
pub use log::associations_after;
pub use prove::{PROOF_FORMAT, Proof, Which, latest_checkpoint, prove};
pub use publish::{Folder, Place, carry};
pub use sealer::Sealer;
pub use sign::sign_now;
pub use standing::{SealStanding, standing};
pub use tlog_tiles::Hash;
pub use tree::leaf;
pub use verify::{AuditOptions, AuditReport, verify};
