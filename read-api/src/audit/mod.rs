//! The auditors' view: history itself, not what was made of it.
//!
//! Records are shown as they are stored, byte for byte, so that their hashes can be computed again. Personal
//! data is ciphertext in them. `?open=true` shows it in clear text to who may see history at all; such an
//! answer is logged, is never kept by a cache, and shows `{"forgotten": true}` where a person was erased.

mod command;
mod personal;
mod record;
mod records;
mod state;
mod stream;

use guildhall_web::{Caller, Problem, Role};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::ReadState;

pub(crate) const TAG: &str = "audit";

pub(crate) fn routes() -> OpenApiRouter<ReadState> {
    OpenApiRouter::new()
        .routes(routes!(stream::records_of_stream))
        .routes(routes!(state::state_of_stream))
        .routes(routes!(records::records))
        .routes(routes!(command::command))
}

/// History is for auditors alone.
fn admit(caller: &Caller) -> Result<(), Problem> {
    caller.require(&[Role::Auditor])
}
