//! One stay in the group: polls, sorts into lanes, repairs, hands over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::MutexGuard,
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::BorrowedMessage,
};
use tokio::sync::mpsc;

use super::{
    ConsumerError, Mark,
    assignment::{Assignment, lock},
    lane::{Lane, Taken, Told},
    look::{Look, until},
    watch::{Watch, has_more},
    worker::{Unlike, Worker},
};
use crate::{
    envelope::{Decoder, EnvelopeError},
    relay::lease::Checkpoint,
    topics::{self, Place},
};

/// How long one poll waits for the first record of a round.
const WAIT: Duration = Duration::from_millis(100);
/// How long a round waits for more: what a broker answers comes partition by partition, and each round is a transaction.
const GATHER: Duration = Duration::from_millis(5);
/// How long Kafka's client may take to go back in a partition.
const SEEK_WITHIN: Duration = Duration::from_secs(10);
/// How much of history a repair reads, or a comparison asks for, at once, at most.
pub(super) const REPAIR_PAGE: usize = 2_000;

/// Why a session ended without an error.
pub(super) enum End {
    /// Nobody wants more.
    Stopped,
    /// A partition stood still.
    Stalled,
}

/// One member of the group, from joining to leaving.
pub(super) struct Session {
    consumer: BaseConsumer<Assignment>,
    decoder: Decoder,
    look: Look,
    watch: Watch,
    compares: bool,
    /// Offsets of records that history contradicts and that are read again, to be left out.
    refused: BTreeSet<(Place, i64)>,
}

impl Session {
    pub(super) fn open(worker: &Worker) -> Result<Self, ConsumerError> {
        let options = &worker.options;
        let ready = worker.runtime.block_on(worker.stop.run_until_cancelled(topics::ensure(&options.kafka)));
        ready.unwrap_or(Ok(()))?;
        lock(&worker.lanes).clear();
        let (resume, runtime, lanes) = (worker.resume.clone(), worker.runtime.clone(), worker.lanes.clone());
        let assignment = Assignment::new(resume, runtime, &options.kafka, lanes);
        let consumer: BaseConsumer<_> = options.client().create_with_context(assignment)?;
        let names: Vec<_> = options.topics.iter().map(|topic| topic.name(&options.kafka.prefix)).collect();
        consumer.subscribe(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let compares = options.compare;
        Ok(Self {
            consumer,
            compares,
            decoder: Decoder::default(),
            look: Look::new(),
            watch: Watch::new(options.stalled_after),
            refused: BTreeSet::new(),
        })
    }

    pub(super) fn run(mut self, worker: &mut Worker) -> Result<End, ConsumerError> {
        while !worker.is_stopped() {
            let began = Instant::now();
            self.poll(worker)?;
            self.repair(worker)?;
            self.compare_and_follow(worker)?;
            if self.watch.waited(began.elapsed()) && self.is_stalled()? {
                return Ok(End::Stalled);
            }
            let round: Vec<_> = self.lanes().values_mut().filter_map(Lane::hand_over).collect();
            self.forget_refused();
            if !round.is_empty() && worker.rounds.blocking_send(Ok(round)).is_err() {
                break;
            }
            self.report(&mut worker.applied);
        }
        Ok(End::Stopped)
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<Place, Lane>> {
        self.consumer.context().lanes()
    }

    /// Takes what there is, up to a round.
    fn poll(&mut self, worker: &Worker) -> Result<(), ConsumerError> {
        let options = &worker.options;
        let repairing = self.lanes().values().any(|lane| lane.gap().is_some());
        let mut wait = if repairing { Duration::ZERO } else { WAIT.min(self.look.wait()) };
        let (mut bytes, mut gathered) = (0, None);
        for _ in 0..options.round_records {
            let polled = self.consumer.poll(wait);
            if let Some(reason) = self.consumer.context().failure() {
                return Err(ConsumerError::Resume(reason));
            }
            match polled {
                // Not the end of anything: only that nothing is here at the moment.
                None => break,
                Some(Ok(record)) => {
                    bytes += record.payload_len();
                    if let Some(place) = take(&self.consumer, &mut self.decoder, &self.refused, &record) {
                        self.close_or_pause(worker, place)?;
                    }
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error.into()),
                Some(Err(error)) => tracing::warn!(%error, "Kafka reports a problem; going on"),
            }
            if bytes >= options.round_bytes {
                break;
            }
            wait = until(*gathered.get_or_insert_with(|| Instant::now() + GATHER));
        }
        Ok(())
    }

    /// Closes a small gap at once. A large one takes many pages: its partition is paused meanwhile, and the others go
    /// on. Pausing is not for every gap, because a partition resumed is fetched again only after a good while.
    fn close_or_pause(&self, worker: &Worker, place: Place) -> Result<(), ConsumerError> {
        let found = self.lanes().get(&place).and_then(|lane| lane.gap().zip(lane.shown_by()));
        let Some(((after, until), shown_by)) = found else { return Ok(()) };
        if self.compares && !worker.unlike(&[shown_by.stands_at()])?.is_empty() {
            worker.must_be_ours()?;
            note_forged(place, shown_by);
            if let Some(lane) = self.lanes().get_mut(&place) {
                lane.pass_over(shown_by.offset);
            }
            return Ok(());
        }
        match usize::try_from(until - after) {
            Ok(missing) if missing <= REPAIR_PAGE => {
                let page = worker.history(after, missing)?;
                self.lanes().get_mut(&place).map(|lane| lane.fill(&page));
            }
            _ => self.consumer.pause(&only(self.lanes().get(&place)))?,
        }
        Ok(())
    }

    /// Reads one page of history for each partition that is paused. Gaps that begin at the same position share it, and
    /// go on sharing.
    fn repair(&self, worker: &Worker) -> Result<(), ConsumerError> {
        let mut gaps: BTreeMap<u64, Vec<Place>> = BTreeMap::new();
        for (place, lane) in self.lanes().iter() {
            if let Some((after, _)) = lane.gap() {
                gaps.entry(after).or_default().push(*place);
            }
        }
        for (after, places) in gaps {
            let page = worker.history(after, REPAIR_PAGE)?;
            let mut lanes = self.lanes();
            for place in places {
                if lanes.get_mut(&place).is_some_and(|lane| lane.fill(&page)) {
                    tracing::info!(%place, "the gap is closed");
                    self.consumer.resume(&only(lanes.get(&place)))?;
                }
            }
        }
        Ok(())
    }

    /// Compares what was taken from Kafka with history, and goes as far as the relay is where nothing of that was for the
    /// partition. Records that say so come seldom: each costs the brokers as much as one with an event, and each partition
    /// would want its own.
    fn compare_and_follow(&mut self, worker: &Worker) -> Result<(), ConsumerError> {
        let mut told: Vec<_> = self.lanes().values().flat_map(Lane::told).map(|told| told.stands_at()).collect();
        if !told.is_empty() {
            self.look.something_came();
        }
        if !self.compares {
            told.clear();
        }
        let due = self.look.is_due();
        let (unlike, relayed) = worker.unlike_and_relayed(&told, due)?;
        if !unlike.is_empty() {
            worker.must_be_ours()?;
            self.go_back(&unlike)?;
        }
        if due {
            self.follow(relayed.as_ref());
        }
        Ok(())
    }

    /// Takes back what history contradicts: a lane that took it goes back, and reads the rest again without it.
    fn go_back(&mut self, unlike: &Unlike) -> Result<(), ConsumerError> {
        let mut refused = BTreeSet::new();
        for (place, lane) in self.lanes().iter_mut() {
            let forged = lane.told().iter().filter(|told| unlike.contains(&told.stands_at()));
            let forged: Vec<_> = forged.copied().collect();
            if forged.is_empty() {
                continue;
            }
            for told in &forged {
                note_forged(*place, *told);
            }
            refused.extend(forged.iter().map(|told| (*place, told.offset)));
            lane.go_back();
            let (partition, next) = (place.number(), Offset::Offset(lane.next_offset()));
            self.consumer.seek(lane.topic(), partition, next, SEEK_WITHIN)?;
            // A large gap may have been shown by one of them.
            self.consumer.resume(&only(Some(lane)))?;
        }
        self.refused.extend(refused);
        Ok(())
    }

    fn follow(&mut self, relayed: Option<&Checkpoint>) {
        let mut further = false;
        if let Some(relayed) = relayed {
            for lane in self.lanes().values_mut() {
                further |= lane.follow(relayed.position, relayed.last.at(lane.place()));
            }
        }
        self.look.looked(further);
    }

    /// What was handed over is not read again, and so need not be refused again.
    fn forget_refused(&mut self) {
        if !self.refused.is_empty() {
            let lanes = self.consumer.context().lanes();
            let ahead = |place: &Place, offset: i64| lanes.get(place).is_some_and(|lane| offset >= lane.next_offset());
            self.refused.retain(|(place, offset)| ahead(place, *offset));
        }
    }

    /// Whether a partition stands still though the broker has more of it.
    fn is_stalled(&mut self) -> Result<bool, ConsumerError> {
        let now_at: BTreeMap<_, _> = {
            let lanes = self.lanes();
            let ought_to_move = lanes.iter().filter(|(_, lane)| lane.gap().is_none());
            ought_to_move.map(|(place, lane)| (*place, lane.next_offset())).collect()
        };
        for (place, next) in self.watch.standing_still(now_at) {
            let Some(name) = self.lanes().get(&place).map(|lane| lane.topic().to_owned()) else { continue };
            let (oldest, end) = topics::offsets(self.consumer.client(), &name, place)?;
            if has_more(next, oldest, end) {
                tracing::warn!(%place, next, end, "a partition stands still though there is more; joining anew");
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tells Kafka how far the caller has got, for lag tools.
    fn report(&self, applied: &mut mpsc::Receiver<Vec<Mark>>) {
        while let Ok(marks) = applied.try_recv() {
            for mark in marks.iter().filter(|mark| mark.next_offset > 0) {
                // A partition that has meanwhile gone elsewhere is reported on by its new reader.
                let _ = self.consumer.store_offset(&mark.topic, mark.partition, mark.next_offset - 1);
            }
        }
    }
}

/// Sorts a record into its lane, unless it is refused. Gives the place if the record shows a gap there.
fn take(
    consumer: &BaseConsumer<Assignment>,
    decoder: &mut Decoder,
    refused: &BTreeSet<(Place, i64)>,
    record: &BorrowedMessage<'_>,
) -> Option<Place> {
    let mut lanes = consumer.context().lanes();
    let place = consumer.context().place(record.topic(), record.partition())?;
    let lane = lanes.get_mut(&place)?;
    if lane.gap().is_some() {
        // The partition is paused. If a record came through all the same, the next one will show that it is missing.
        return None;
    }
    if refused.contains(&(place, record.offset())) {
        lane.pass_over(record.offset());
        return None;
    }
    let read = match record.headers() {
        Some(headers) => decoder.decode(headers, record.payload()),
        None => Err(EnvelopeError::Missing("ce_position")),
    };
    let labels = [("topic", place.topic.suffix())];
    match read.map(|incoming| lane.offer(record.offset(), incoming)) {
        Ok(Taken::InOrder) => {}
        Ok(Taken::Repeated) => metrics::counter!("kafka_consumer_duplicates_total", &labels).increment(1),
        Ok(Taken::AfterGap { after, until }) => {
            metrics::counter!("kafka_consumer_gaps_total", &labels).increment(1);
            tracing::warn!(%place, after, until, "events are missing here; taking them from history");
            return Some(place);
        }
        Err(error) => {
            metrics::counter!("kafka_consumer_unreadable_total", &labels).increment(1);
            tracing::warn!(%place, offset = record.offset(), %error, "leaving out a record");
            lane.pass_over(record.offset());
        }
    }
    None
}

/// Says that a record is none of history's, where people and metrics see it.
fn note_forged(place: Place, told: Told) {
    metrics::counter!("kafka_consumer_forged_total", "topic" => place.topic.suffix()).increment(1);
    let Told { offset, position, .. } = told;
    tracing::error!(%place, offset, position, "history has another event here than a record says; leaving the record out");
}

/// A lane's partition, as Kafka's client wants it named; none for one that went elsewhere.
fn only(lane: Option<&Lane>) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(1);
    if let Some(lane) = lane {
        list.add_partition(lane.topic(), lane.place().number());
    }
    list
}
