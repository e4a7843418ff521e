//! Which line has to wait for which.

use std::collections::HashMap;

use futures::{FutureExt, future::BoxFuture};
use guildhall_event_store::StreamId;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// What is known about finished lines is dropped when so many came since, and again as many as were open then.
const TIDY_EVERY: usize = 1_024;

/// Given by dropping its guard, so nothing can forget to give it.
type Signal = CancellationToken;

/// The lines that are being worked on, by the stream they are for.
#[derive(Default)]
pub(super) struct Order {
    streams: HashMap<StreamId, InFlight>,
    /// A command sent twice in one request waits for itself, and has its receipt twice.
    commands: HashMap<Uuid, Signal>,
    /// So many lines may come before it is tidied.
    untidy: usize,
}

#[derive(Default)]
struct InFlight {
    /// The last line has its place in the stream's lane.
    entered: Option<Signal>,
    /// Each line is done.
    done: Vec<Signal>,
}

/// A line's turn.
pub(super) struct Turn {
    /// Comes when everything that has to be before it is.
    pub(super) before: BoxFuture<'static, ()>,
    /// To be dropped once the line has its place in its stream's lane.
    pub(super) entered: DropGuard,
    /// To be dropped once the line is done.
    pub(super) done: DropGuard,
}

impl Order {
    /// The turn of a command for `stream` that looks at the streams `reads` first.
    pub(super) fn turn(&mut self, command_id: Uuid, stream: StreamId, reads: &[StreamId]) -> Turn {
        self.tidy();
        let (entered, done) = (Signal::new(), Signal::new());
        let looked_at = reads.iter().filter_map(|read| self.streams.get(read)).flat_map(|line| &line.done);
        let open = looked_at.filter(|done| !done.is_cancelled()).cloned();
        let mut first: Vec<_> = open.chain(self.commands.insert(command_id, done.clone())).collect();
        let line = self.streams.entry(stream).or_default();
        first.extend(line.entered.replace(entered.clone()));
        line.done.push(done.clone());
        let before = async move {
            for signal in first {
                signal.cancelled().await;
            }
        };
        Turn { before: before.boxed(), entered: entered.drop_guard(), done: done.drop_guard() }
    }

    /// Drops what is known about finished lines: a stream of lines may be endless.
    fn tidy(&mut self) {
        if let Some(left) = self.untidy.checked_sub(1) {
            self.untidy = left;
            return;
        }
        self.commands.retain(|_, done| !done.is_cancelled());
        self.streams.retain(|_, line| {
            line.done.retain(|done| !done.is_cancelled());
            !line.done.is_empty()
        });
        self.untidy = self.commands.len().max(TIDY_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(n: u128) -> StreamId {
        StreamId::new("member", Uuid::from_u128(n))
    }

    fn command(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn is_ready(before: &mut BoxFuture<'static, ()>) -> bool {
        before.now_or_never().is_some()
    }

    #[test]
    fn lines_for_one_stream_enter_one_after_another() {
        let mut order = Order::default();
        let mut first = order.turn(command(1), stream(1), &[]);
        let mut second = order.turn(command(2), stream(1), &[]);
        let mut other = order.turn(command(3), stream(2), &[]);
        assert!(is_ready(&mut first.before) && is_ready(&mut other.before));
        assert!(!is_ready(&mut second.before));
        drop(first.entered);
        assert!(is_ready(&mut second.before), "nobody waits for another's commit");
    }

    #[test]
    fn a_line_waits_until_what_it_looks_at_is_done() {
        let mut order = Order::default();
        let made = order.turn(command(4), stream(1), &[]);
        let changed = order.turn(command(5), stream(1), &[]);
        let mut looks = order.turn(command(6), stream(2), &[stream(1)]);
        drop((made.entered, changed.entered, changed.done));
        assert!(!is_ready(&mut looks.before));
        drop(made.done);
        assert!(is_ready(&mut looks.before));
    }

    #[test]
    fn a_command_sent_twice_waits_for_itself() {
        let mut order = Order::default();
        let first = order.turn(command(1), stream(1), &[]);
        let mut again = order.turn(command(1), stream(1), &[]);
        drop(first.entered);
        assert!(!is_ready(&mut again.before));
        drop(first.done);
        assert!(is_ready(&mut again.before));
    }

    #[test]
    fn finished_lines_are_not_kept() {
        let mut order = Order::default();
        for n in 0..2 * TIDY_EVERY as u128 {
            drop(order.turn(command(n), stream(n), &[]));
        }
        assert!(order.streams.len() <= TIDY_EVERY && order.commands.len() <= TIDY_EVERY);
    }
}
