//! Which line has to wait for which.

use std::collections::HashMap;

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, join_all},
};
use guildhall_event_store::StreamId;
use tokio::sync::oneshot::{self, Receiver, Sender};
use uuid::Uuid;

/// After this many lines, what is known about finished ones is dropped.
const TIDY_EVERY: usize = 1_024;

type Signal = Shared<Receiver<()>>;

/// The lines that are being worked on, by the stream they are for.
#[derive(Default)]
pub(super) struct Order {
    streams: HashMap<StreamId, InFlight>,
    /// A command sent twice in one request waits for itself, and has its receipt twice.
    commands: HashMap<Uuid, Signal>,
    since_tidied: usize,
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
    pub(super) entered: Sender<()>,
    /// To be dropped once the line is done.
    pub(super) done: Sender<()>,
}

impl Order {
    /// The turn of a command for `stream` that looks at the streams `reads` first.
    pub(super) fn turn(&mut self, command_id: Uuid, stream: StreamId, reads: &[StreamId]) -> Turn {
        self.tidy();
        let (entered, has_entered) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        let (has_entered, is_done) = (has_entered.shared(), is_done.shared());
        let looked_at = reads.iter().filter_map(|read| self.streams.get(read)).flat_map(|line| line.done.clone());
        let first: Vec<_> = looked_at.chain(self.commands.insert(command_id, is_done.clone())).collect();
        let line = self.streams.entry(stream).or_default();
        let previous = line.entered.replace(has_entered);
        line.done.push(is_done);
        // A signal is given by dropping its sender, so nothing can forget to give it.
        let before = async move {
            join_all(first).await;
            if let Some(previous) = previous {
                let _ = previous.await;
            }
        };
        Turn { before: before.boxed(), entered, done }
    }

    /// Drops what is known about finished lines: a stream of lines may be endless.
    fn tidy(&mut self) {
        self.since_tidied += 1;
        if self.since_tidied < TIDY_EVERY {
            return;
        }
        self.since_tidied = 0;
        let is_open = |done: &Signal| done.clone().now_or_never().is_none();
        self.commands.retain(|_, done| is_open(done));
        self.streams.retain(|_, line| {
            line.done.retain(is_open);
            !line.done.is_empty()
        });
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
