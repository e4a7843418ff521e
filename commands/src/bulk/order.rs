//! Which line has to wait for which.

use std::collections::HashMap;

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, join_all},
};
use guildhall_event_store::StreamId;
use tokio::sync::oneshot::{self, Receiver, Sender};

/// After this many lines, what is known about finished ones is dropped.
const TIDY_EVERY: usize = 1_024;

type Signal = Shared<Receiver<()>>;

/// The lines that are being worked on, by the stream they are for.
#[derive(Default)]
pub(super) struct Order {
    streams: HashMap<StreamId, InFlight>,
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
    /// The turn of a line for `stream` that looks at the streams `reads` first.
    pub(super) fn turn(&mut self, stream: StreamId, reads: &[StreamId]) -> Turn {
        self.tidy();
        let read: Vec<_> =
            reads.iter().filter_map(|read| self.streams.get(read)).flat_map(|line| line.done.clone()).collect();
        let (entered, has_entered) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        let line = self.streams.entry(stream).or_default();
        let previous = line.entered.replace(has_entered.shared());
        line.done.push(is_done.shared());
        // A signal is given by dropping its sender, so nothing can forget to give it.
        let before = async move {
            join_all(read).await;
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
        self.streams.retain(|_, line| {
            line.done.retain(|done| done.clone().now_or_never().is_none());
            !line.done.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn stream(n: u128) -> StreamId {
        StreamId::new("member", Uuid::from_u128(n))
    }

    fn is_ready(before: &mut BoxFuture<'static, ()>) -> bool {
        before.now_or_never().is_some()
    }

    #[test]
    fn lines_for_one_stream_enter_one_after_another() {
        let mut order = Order::default();
        let mut first = order.turn(stream(1), &[]);
        let mut second = order.turn(stream(1), &[]);
        let mut other = order.turn(stream(2), &[]);
        assert!(is_ready(&mut first.before) && is_ready(&mut other.before));
        assert!(!is_ready(&mut second.before));
        drop(first.entered);
        assert!(is_ready(&mut second.before), "nobody waits for another's commit");
    }

    #[test]
    fn a_line_waits_until_what_it_looks_at_is_done() {
        let mut order = Order::default();
        let made = order.turn(stream(1), &[]);
        let changed = order.turn(stream(1), &[]);
        let mut looks = order.turn(stream(2), &[stream(1)]);
        drop((made.entered, changed.entered, changed.done));
        assert!(!is_ready(&mut looks.before));
        drop(made.done);
        assert!(is_ready(&mut looks.before));
    }

    #[test]
    fn finished_lines_are_not_kept() {
        let mut order = Order::default();
        for n in 0..2 * TIDY_EVERY as u128 {
            drop(order.turn(stream(n), &[]));
        }
        assert!(order.streams.len() <= TIDY_EVERY);
    }
}
