//! `POST /v1/commands`: many commands, one outcome for each, in order.
//!
//! A bounded window of lines is worked on at once. Commands of one stream enter its lane in the order of their
//! lines, without waiting for each other's commit; a command that looks at other streams waits until earlier
//! lines have done with them. When outcomes are not taken, no more lines are read: that is how the sender
//! feels that it is too fast.

mod http;
mod line;
mod order;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use guildhall_event_store::Receipt;
use guildhall_web::Problem;
use tracing::{Instrument, Span};

use crate::{
    Executor,
    executor::Manner,
    registry::{Call, Sender, find},
};

pub(crate) use http::http;
use line::Parsed;
pub use line::{BulkLine, BulkOutcome, lines};
use order::Order;

/// What became of one line.
#[derive(Debug)]
pub struct LineOutcome {
    /// Which line, counting from 1; empty lines count.
    pub line: u64,
    /// Its key, where it could be read.
    pub idempotency_key: Option<String>,
    /// Its receipt, or why there is none.
    pub outcome: Result<Receipt, Problem>,
}

/// Executes lines, `window` at a time, and gives their outcomes in their order. A line that cannot be read is
/// a problem of its own and stops nothing.
pub fn run(
    executor: Executor,
    sender: Sender,
    window: usize,
    lines: impl Stream<Item = Result<Bytes, Problem>>,
) -> impl Stream<Item = LineOutcome> {
    let mut order = Order::default();
    let span = Span::current();
    lines
        .zip(futures::stream::iter(1..))
        .filter(|(line, _)| std::future::ready(!is_blank(line)))
        .map(move |(line, number)| work(&executor, &sender, &mut order, line, number).instrument(span.clone()))
        .buffered(window.max(1))
}

fn is_blank(line: &Result<Bytes, Problem>) -> bool {
    line.as_ref().is_ok_and(|line| line.trim_ascii().is_empty())
}

/// Reads a line and gives the work it makes. Reading happens here, in the order of the lines; the work is
/// done side by side.
fn work(
    executor: &Executor,
    sender: &Sender,
    order: &mut Order,
    line: Result<Bytes, Problem>,
    number: u64,
) -> impl Future<Output = LineOutcome> + Send + use<> {
    let read = line.and_then(|line| Parsed::read(&line));
    let key = read.as_ref().ok().map(|parsed| parsed.idempotency_key.clone());
    let started = read.and_then(|parsed| {
        let command = find(&parsed.command)?;
        let body = parsed.body.get().as_bytes();
        let request = command.parse(body)?;
        let mut call = Call::new(executor, sender, command.name, &parsed.idempotency_key, body);
        call.expected = parsed.expected;
        let origin = call.origin();
        let turn = order.turn(call.command_id, request.stream(&origin), &request.reads(&origin));
        call.manner = Manner { patient: true, entered: Some(turn.entered) };
        Ok((request, call, turn.before, turn.done))
    });
    async move {
        let outcome = match started {
            Ok((request, call, before, done)) => {
                before.await;
                let outcome = request.execute(call).await;
                drop(done);
                outcome
            }
            Err(problem) => Err(problem),
        };
        LineOutcome { line: number, idempotency_key: key, outcome }
    }
}
