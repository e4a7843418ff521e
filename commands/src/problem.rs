//! What a client is told when a command has no receipt.

use std::time::Duration;

use guildhall_web::{Problem, problem::kind};

use crate::{ExecuteError, endpoint::Refusal};

/// When to come back after history did not answer.
pub(crate) const RETRY: Duration = Duration::from_secs(2);

/// The problem of an error. What happened inside is logged here, where it ends.
pub(crate) fn problem_of<E: Refusal>(error: &ExecuteError<E>) -> Problem {
    match error {
        ExecuteError::Refused(refusal) => refusal.problem(),
        ExecuteError::ClaimTaken { kind: claimed } => {
            let detail = format!("Another record of this association has this {} already.", claimed.replace('_', " "));
            Problem::new(kind::ALREADY_TAKEN, detail)
        }
        ExecuteError::KeyReused => {
            let detail = "The key was used for another command or another body. A new request needs a new key.";
            Problem::new(kind::KEY_REUSED, detail)
        }
        ExecuteError::InProgress => {
            let detail = "The same request is still being worked on. Send it again for its receipt.";
            Problem::new(kind::IN_PROGRESS, detail).retry_after(Duration::from_secs(1))
        }
        ExecuteError::VersionMismatch { actual: 0 } => {
            Problem::new(kind::VERSION_MISMATCH, "There is no such stream yet, so it is at no version.")
        }
        ExecuteError::VersionMismatch { actual } => {
            let detail = format!("The stream is at version {actual}. Read it again, and decide again.");
            Problem::new(kind::VERSION_MISMATCH, detail)
        }
        ExecuteError::Contended => {
            let detail = "Nothing was recorded: others were faster, again and again. Send it again with the same key.";
            Problem::new(kind::CONTENDED, detail).retry_after(Duration::from_secs(1))
        }
        ExecuteError::Overloaded { retry_after } => {
            let detail = "Nothing was recorded. Send it again with the same key after the time in Retry-After.";
            Problem::new(kind::OVERLOADED, detail).retry_after(*retry_after)
        }
        ExecuteError::TooLarge(why) => Problem::new(kind::TOO_LARGE, format!("Nothing was recorded: {why}.")),
        ExecuteError::Unavailable(why) => {
            tracing::warn!(%why, "history did not answer");
            let detail = "Whether it was recorded is not known. Sent again with the same key it takes effect once.";
            Problem::new(kind::UNAVAILABLE, detail).retry_after(RETRY)
        }
        ExecuteError::Failed(why) => Problem::internal(why),
    }
}
