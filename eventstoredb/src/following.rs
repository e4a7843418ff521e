//! A read that has no end: first what is there, then what comes.

use std::{collections::VecDeque, sync::Arc};

use chrono::{DateTime, Utc};
use guildhall_event_store::{Clock, RecordedEvent};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

use crate::{
    access::Access,
    asked::{Asked, From, What},
    history::{Cursor, GATHER, History},
    limits::Place,
    reading::going_on,
    record::{Shown, timestamp},
    wire::read::{Checkpoint, Confirmation, Content, Position, Reached, ReadResponse},
};

/// One subscription. Holds a page at a time: a client that takes its time makes us wait, not remember.
pub(crate) struct Following {
    history: Arc<History>,
    access: Access,
    asked: Asked,
    clock: Clock,
    stop: CancellationToken,
    stage: Stage,
    /// How far all of history reached when this subscription last waited.
    known: u64,
    /// How many events were looked at since the client last heard of a position.
    unreported: u64,
    outbox: VecDeque<ReadResponse>,
    _place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The client has not heard of us yet.
    Beginning,
    /// It gets what was there before it came. What comes next is after this.
    CatchingUp(Cursor),
    /// It has everything, and gets what is new.
    Live(Cursor),
}

impl Following {
    pub(crate) fn new(
        history: Arc<History>,
        access: Access,
        asked: Asked,
        place: Place,
        clock: Clock,
        stop: CancellationToken,
    ) -> Self {
        let (stage, outbox) = (Stage::Beginning, VecDeque::new());
        Self { history, access, asked, clock, stop, stage, known: 0, unreported: 0, outbox, _place: place }
    }

    /// The next message. There always is one, in the end; only an error ends a subscription.
    pub(crate) async fn next(&mut self) -> Result<ReadResponse, Status> {
        loop {
            if let Some(message) = self.outbox.pop_front() {
                return Ok(message);
            }
            going_on(&self.access, &self.stop)?;
            match self.stage {
                Stage::Beginning => self.begin().await?,
                Stage::CatchingUp(cursor) => self.catch_up(cursor).await?,
                Stage::Live(cursor) => self.go_on(cursor).await?,
            }
        }
    }

    async fn begin(&mut self) -> Result<(), Status> {
        let last = match self.asked.from {
            From::End => self.history.last(&self.access, &self.asked.what).await?,
            From::Start | From::At(_) => None,
        };
        let cursor = Cursor::subscription(&self.asked.what, self.asked.from, last.as_ref());
        let subscription_id = Uuid::now_v7().to_string();
        self.outbox.push_back(Content::Confirmation(Confirmation { subscription_id }).into());
        self.stage = Stage::CatchingUp(cursor);
        Ok(())
    }

    async fn catch_up(&mut self, cursor: Cursor) -> Result<(), Status> {
        let (cursor, more) = self.fetch(cursor).await?;
        if more {
            self.stage = Stage::CatchingUp(cursor);
            return Ok(());
        }
        if self.unreported > 0
            && let Cursor::After(position) = cursor
        {
            self.checkpoint(position, self.clock.now());
        }
        self.outbox.push_back(Content::CaughtUp(self.reached(cursor)).into());
        self.stage = Stage::Live(cursor);
        Ok(())
    }

    async fn go_on(&mut self, cursor: Cursor) -> Result<(), Status> {
        let reached = tokio::select! {
            reached = self.history.wait_past(self.known) => reached?,
            () = self.stop.cancelled() => return Ok(()),
        };
        if reached <= self.known {
            return Ok(());
        }
        self.known = reached;
        let before = self.outbox.len();
        let (cursor, more) = self.fetch(cursor).await?;
        if more {
            self.outbox.insert(before, Content::FellBehind(self.reached(cursor)).into());
            self.stage = Stage::CatchingUp(cursor);
            return Ok(());
        }
        self.stage = Stage::Live(cursor);
        // What comes in the meantime is fetched together.
        tokio::time::sleep(GATHER).await;
        Ok(())
    }

    /// Gets a page; says how far that goes and whether there may be more.
    async fn fetch(&mut self, cursor: Cursor) -> Result<(Cursor, bool), Status> {
        let page = self.history.page_events();
        let events = self.history.page(&self.access, &self.asked.what, cursor, page).await?;
        let more = events.len() == page;
        let cursor = events.last().map_or(cursor, |last| cursor.passed(&self.asked.what, last));
        let shown = Shown::to(&self.access, &self.history, events).await?;
        for event in shown.events() {
            self.pass_on(&shown, event)?;
        }
        metrics::counter!("eventstoredb_events_total").increment(self.outbox.len() as u64);
        Ok((cursor, more))
    }

    fn pass_on(&mut self, shown: &Shown, event: &RecordedEvent) -> Result<(), Status> {
        if self.asked.wants(event)? {
            self.outbox.push_back(shown.content(event, self.asked.form)?.into());
        }
        let Some(filter) = &self.asked.filter else { return Ok(()) };
        self.unreported += 1;
        if self.unreported >= filter.checkpoint_every {
            self.checkpoint(event.position, event.recorded_at);
        }
        Ok(())
    }

    fn checkpoint(&mut self, position: u64, at: DateTime<Utc>) {
        let at = Some(timestamp(at));
        let checkpoint = Checkpoint { commit_position: position, prepare_position: position, at };
        self.outbox.push_back(Content::Checkpoint(checkpoint).into());
        self.unreported = 0;
    }

    fn reached(&self, cursor: Cursor) -> Reached {
        let at = Some(timestamp(self.clock.now()));
        let (Cursor::After(reached) | Cursor::Before(reached)) = cursor;
        match self.asked.what {
            What::All => Reached { at, revision: None, position: Some(Position { commit: reached, prepare: reached }) },
            What::Stream { .. } => {
                let revision = reached.checked_sub(1).and_then(|revision| i64::try_from(revision).ok());
                Reached { at, revision, position: None }
            }
        }
    }
}
