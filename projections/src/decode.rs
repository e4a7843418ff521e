//! From recorded events to the events of aggregates; what cannot be read is collected as poison.

use guildhall_aggregates::{Personal, PersonalData, StoredEvent};
use guildhall_event_store::{Batch, RecordedEvent, Selection};

use crate::{ProjectError, projector::Poison};

/// An event beside what it says.
pub(crate) type Decoded<'b, E> = Vec<(&'b RecordedEvent, E)>;

/// Reads the events of a batch. All that is unreadable is known at once, so a batch is never tried once per bad event.
pub(crate) struct Decoder<'b> {
    batch: &'b Batch,
    reads: Selection,
    poison: Vec<Poison>,
}

impl<'b> Decoder<'b> {
    /// Of the batch, only what the projector reads is looked at.
    pub(crate) fn new(batch: &'b Batch, reads: Selection) -> Self {
        Self { batch, reads, poison: Vec::new() }
    }

    /// All events of one aggregate that the projector reads.
    pub(crate) fn all<E: StoredEvent>(&mut self) -> Decoded<'b, E> {
        self.only(|_| true)
    }

    /// Those events of one aggregate whose type is wanted; the others are not even parsed.
    pub(crate) fn only<E: StoredEvent>(&mut self, wanted: impl Fn(&str) -> bool) -> Decoded<'b, E> {
        let mut decoded = Vec::new();
        for event in &self.batch.events {
            if &*event.stream.category != E::CATEGORY || !self.reads.takes(event) || !wanted(&event.type_name) {
                continue;
            }
            match event.decode() {
                Ok(said) => decoded.push((event, said)),
                Err(error) => self.blame(event, error.reason),
            }
        }
        decoded
    }

    /// Personal data of an event, or `None` when the person was forgotten.
    pub(crate) fn open<T: PersonalData>(&mut self, event: &RecordedEvent, personal: &Personal<T>) -> Option<T> {
        match self.batch.open(event.tenant, personal) {
            Ok(opened) => opened.known(),
            Err(error) => {
                self.blame(event, format!("its {} cannot be opened: {error}", T::FIELD));
                None
            }
        }
    }

    /// Says that an event cannot be folded.
    pub(crate) fn blame(&mut self, event: &RecordedEvent, reason: String) {
        self.poison.push(Poison { position: event.position, reason });
    }

    /// Ends in poison if anything was unreadable. Called before the first row is written.
    pub(crate) fn finish(self) -> Result<(), ProjectError> {
        if self.poison.is_empty() { Ok(()) } else { Err(ProjectError::Poison(self.poison)) }
    }
}
