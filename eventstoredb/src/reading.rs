//! A read that has an end.

use std::{collections::VecDeque, sync::Arc};

use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{
    access::Access,
    asked::{Asked, Wanted, What},
    history::{Cursor, History},
    limits::Place,
    record::Shown,
    wire::read::{Content, ReadResponse, StreamNotFound},
};

/// One call of `Read` on its way through history. Holds a page at a time, and gets the next one when the client has
/// taken this one.
pub(crate) struct Reading {
    history: Arc<History>,
    access: Access,
    asked: Asked,
    stop: CancellationToken,
    cursor: Cursor,
    /// How many events the client still wants.
    left: u64,
    found_anything: bool,
    ended: bool,
    outbox: VecDeque<ReadResponse>,
    _place: Place,
}

impl Reading {
    pub(crate) fn new(
        history: Arc<History>,
        access: Access,
        asked: Asked,
        place: Place,
        stop: CancellationToken,
    ) -> Self {
        let (cursor, left) = match asked.amount {
            Wanted::Backwards(count) => (Cursor::backwards(&asked.what, asked.from), count),
            Wanted::Forwards(count) => (Cursor::forwards(&asked.what, asked.from), count),
            Wanted::Subscription => (Cursor::forwards(&asked.what, asked.from), u64::MAX),
        };
        let outbox = VecDeque::new();
        Self { history, access, asked, stop, cursor, left, found_anything: false, ended: false, outbox, _place: place }
    }

    /// The next message, or none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<ReadResponse>, Status> {
        loop {
            if let Some(message) = self.outbox.pop_front() {
                return Ok(Some(message));
            }
            if self.ended {
                return Ok(None);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), Status> {
        going_on(&self.access, &self.stop)?;
        let events = self.history.page(&self.access, &self.asked.what, self.cursor, self.page()).await?;
        let at_the_end = events.len() < self.page();
        if let Some(last) = events.last() {
            self.found_anything = true;
            self.cursor = self.cursor.passed(&self.asked.what, last);
        }
        let shown = Shown::to(&self.access, &self.history, events).await?;
        for event in shown.events() {
            if self.left == 0 {
                break;
            }
            if self.asked.wants(event)? {
                self.outbox.push_back(shown.content(event, self.asked.form)?.into());
                self.left -= 1;
            }
        }
        metrics::counter!("eventstoredb_events_total").increment(self.outbox.len() as u64);
        self.ended = at_the_end || self.left == 0;
        if at_the_end {
            self.tell_the_end().await?;
        }
        Ok(())
    }

    /// As many as the client still wants; where a filter chooses, nobody knows how many that will be.
    fn page(&self) -> usize {
        let page = self.history.page_events();
        if self.asked.filter.is_some() { page } else { page.min(usize::try_from(self.left).unwrap_or(page)) }
    }

    /// Says that there is no such stream, or where it ends.
    async fn tell_the_end(&mut self) -> Result<(), Status> {
        let What::Stream { name, .. } = &self.asked.what else { return Ok(()) };
        let tells = self.asked.form.tells_the_end && matches!(self.asked.amount, Wanted::Forwards(_));
        if self.found_anything && !tells {
            return Ok(());
        }
        match self.history.last(&self.access, &self.asked.what).await? {
            Some(last) if tells => {
                self.outbox.push_back(Content::LastStreamPosition(last.version.saturating_sub(1)).into());
            }
            Some(_) => {}
            None => {
                let stream = Some(crate::wire::StreamName { name: name.clone() });
                self.outbox.push_back(Content::StreamNotFound(StreamNotFound { stream }).into());
            }
        }
        Ok(())
    }
}

/// Whether the client may go on: its token holds and the server stays up.
pub(crate) fn going_on(access: &Access, stop: &CancellationToken) -> Result<(), Status> {
    if stop.is_cancelled() {
        return Err(Status::unavailable("the server is stopping; connect again"));
    }
    access.still_holds()
}
