//! What an import consists of: command lines, and the report that is told how they end.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::report::Report;

/// One command of the bulk command path. The tenant is the caller's; it is not in here.
#[derive(Clone, PartialEq, Serialize)]
pub struct CommandLine {
    /// The command's name: `RegisterMember`.
    pub command: &'static str,
    /// `<system>/<table>/<id>/<command>`: one row asks for one thing once. When the row has changed by the
    /// next import, the same key comes with another body; see [`crate::Outcome::Differs`].
    pub idempotency_key: String,
    /// The request.
    pub body: Value,
}

impl fmt::Debug for CommandLine {
    /// Without the body, which holds personal data in the clear.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandLine({})", self.idempotency_key)
    }
}

/// An export that was read: what to send, and what is to be said about each row.
#[derive(Debug)]
pub struct Import {
    /// The commands. Each stands after those it depends on; keep the order for lines of one stream and for
    /// lines that name what an earlier line creates.
    pub lines: Vec<CommandLine>,
    /// The verdicts so far; complete once every line is settled.
    pub report: Report,
}
