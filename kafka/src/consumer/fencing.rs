//! The fencing argument as a property: relays that die, are paused, go on as zombies and are replaced at any moment, each sending
//! contiguous runs from the checkpoint it found; readers that begin again from theirs. Whatever the interleaving, each
//! event is handed over once and in order, and what Kafka has is enough: no reader ever misses anything.
//!
//! The logs of the partitions, the relays and the lease are modelled; the lanes are the real ones.

use std::collections::VecDeque;

use chrono::DateTime;
use guildhall_aggregates::TenantId;
use guildhall_event_store::{RecordedEvent, StreamId};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    Resume,
    lane::{Lane, Taken},
};
use crate::{
    envelope::{Content, Incoming, Watermark},
    topics::{Place, Topic},
};

const PARTITIONS: u16 = 3;
const RELAYS: usize = 3;

/// What may happen next. Whoever is not named stands still meanwhile, for as long as chance wants.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A relay takes the lease over, whoever has it, and begins at the checkpoint.
    Take(usize),
    /// A relay sends a batch, whether or not it still has the lease.
    Send(usize, usize),
    /// A relay tells every partition how far it has sent.
    Tell(usize),
    /// Kafka takes some of what a relay has under way in one partition.
    Deliver(usize, usize, usize),
    /// A relay writes its checkpoint, if it still may.
    Save(usize),
    /// A relay dies, and with it what it has under way.
    Die(usize),
    /// A reader takes some records of one partition.
    Read(usize, usize),
    /// A reader looks at the checkpoint.
    Follow(usize),
    /// What a reader has taken is applied.
    Apply(usize),
    /// A reader dies; another one begins where the last applied batch ended.
    BeginAgain(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (relay, partition) = (0..RELAYS, 0..usize::from(PARTITIONS));
    prop_oneof![
        1 => relay.clone().prop_map(Step::Take),
        4 => (relay.clone(), 1..6_usize).prop_map(|(relay, events)| Step::Send(relay, events)),
        2 => relay.clone().prop_map(Step::Tell),
        8 => (relay.clone(), partition.clone(), 1..5_usize).prop_map(|(r, p, records)| Step::Deliver(r, p, records)),
        2 => relay.clone().prop_map(Step::Save),
        1 => relay.prop_map(Step::Die),
        4 => (partition.clone(), 1..6_usize).prop_map(|(partition, records)| Step::Read(partition, records)),
        2 => partition.clone().prop_map(Step::Follow),
        2 => partition.clone().prop_map(Step::Apply),
        1 => partition.prop_map(Step::BeginAgain),
    ]
}

/// How far a relay has sent, and what each partition had last.
#[derive(Debug, Clone, Default)]
struct Sent {
    position: u64,
    last: [u64; PARTITIONS as usize],
}

/// A relay from taking the lease to its death.
struct Relay {
    epoch: u64,
    sent: Sent,
    /// What is acknowledged without a gap.
    acknowledged: Sent,
    /// Records under way in each partition, each with the number of its flight.
    under_way: [VecDeque<(usize, Incoming)>; PARTITIONS as usize],
    /// For each flight, how many records are not acknowledged and what it leads to.
    flights: Vec<(usize, Sent)>,
}

impl Relay {
    fn new(epoch: u64, checkpoint: &Sent) -> Self {
        let (sent, acknowledged) = (checkpoint.clone(), checkpoint.clone());
        Self { epoch, sent, acknowledged, under_way: Default::default(), flights: Vec::new() }
    }

    fn send(&mut self, history: &[RecordedEvent], events: usize) {
        let after = usize::try_from(self.sent.position).expect("a small number");
        let flight = self.flights.len();
        let batch = &history[after..history.len().min(after + events)];
        for event in batch {
            let partition = partition_of(event);
            let previous = std::mem::replace(&mut self.sent.last[partition], event.position);
            let record = Incoming { previous, content: Content::Event(event.clone()) };
            self.under_way[partition].push_back((flight, record));
            self.sent.position = event.position;
        }
        self.flights.push((batch.len(), self.sent.clone()));
    }

    fn tell(&mut self) {
        let (position, flight) = (self.sent.position, self.flights.len());
        for (under_way, &previous) in self.under_way.iter_mut().zip(&self.sent.last) {
            let watermark = Watermark { position, leaf_hash: [0; 32] };
            under_way.push_back((flight, Incoming { previous, content: Content::Watermark(watermark) }));
        }
        self.flights.push((self.under_way.len(), self.sent.clone()));
    }

    fn deliver(&mut self, partition: usize, records: usize, log: &mut Vec<Incoming>) {
        for _ in 0..records {
            let Some((flight, record)) = self.under_way[partition].pop_front() else { break };
            log.push(record);
            self.flights[flight].0 -= 1;
        }
        let landed = self.flights.iter().take_while(|(unacknowledged, _)| *unacknowledged == 0);
        if let Some((_, leads_to)) = landed.last() {
            self.acknowledged = leads_to.clone();
        }
    }
}

/// One partition's reader, and what it has durably applied.
struct Reader {
    lane: Lane,
    resume: Resume,
    applied: Vec<u64>,
}

impl Reader {
    fn new(partition: usize) -> Self {
        Self { lane: lane(partition, Resume::default()), resume: Resume::default(), applied: Vec::new() }
    }

    fn read(&mut self, log: &[Incoming], records: usize) {
        let next = usize::try_from(self.lane.next_offset()).expect("offsets are counted from 0");
        for (offset, record) in log.iter().enumerate().skip(next).take(records) {
            let taken = self.lane.offer(i64::try_from(offset).expect("a small number"), record.clone());
            assert!(!matches!(taken, Taken::AfterGap { .. }), "Kafka lacks something: {taken:?}");
        }
    }

    fn apply(&mut self) {
        let Some(batch) = self.lane.hand_over() else { return };
        self.applied.extend(batch.events.iter().map(|event| event.position));
        self.resume = Resume { next_offset: batch.next_offset, reached: batch.reached, claim: 0 };
    }

    fn begin_again(&mut self, partition: usize) {
        self.lane = lane(partition, self.resume);
    }
}

fn lane(partition: usize, resume: Resume) -> Lane {
    let place = Place { topic: Topic::Members, partition: u16::try_from(partition).expect("a small number") };
    Lane::new(place.topic.name("guildhall"), place, PARTITIONS, resume)
}

fn partition_of(event: &RecordedEvent) -> usize {
    let place = Place::of(event.tenant, &event.stream, PARTITIONS).expect("members have a topic");
    usize::from(place.partition)
}

fn event(position: u64, stream: u128) -> RecordedEvent {
    RecordedEvent {
        position,
        tenant: TenantId::new(Uuid::from_u128(1)),
        stream: StreamId::new("member", Uuid::from_u128(stream)),
        version: 1,
        event_id: Uuid::from_u128(u128::from(position)),
        type_name: "MemberRegistered".into(),
        schema_version: 1,
        payload: "{}".into(),
        metadata: "{}".into(),
        command_id: Uuid::nil(),
        leaf_hash: [0; 32],
        recorded_at: DateTime::UNIX_EPOCH,
    }
}

/// Everything there is between history and those who apply it.
struct World {
    history: Vec<RecordedEvent>,
    epoch: u64,
    checkpoint: Sent,
    relays: [Option<Relay>; RELAYS],
    logs: [Vec<Incoming>; PARTITIONS as usize],
    readers: Vec<Reader>,
}

impl World {
    fn new(streams: &[u128]) -> Self {
        let readers = (0..usize::from(PARTITIONS)).map(Reader::new).collect();
        let history = (1..).zip(streams).map(|(position, stream)| event(position, *stream)).collect();
        let (relays, logs) = (Default::default(), Default::default());
        Self { history, epoch: 0, checkpoint: Sent::default(), relays, logs, readers }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Take(relay) => {
                self.epoch += 1;
                self.relays[relay] = Some(Relay::new(self.epoch, &self.checkpoint));
            }
            Step::Send(relay, events) => {
                if let Some(relay) = &mut self.relays[relay] {
                    relay.send(&self.history, events);
                }
            }
            Step::Tell(relay) => {
                if let Some(relay) = &mut self.relays[relay] {
                    relay.tell();
                }
            }
            Step::Deliver(relay, partition, records) => {
                if let Some(relay) = &mut self.relays[relay] {
                    relay.deliver(partition, records, &mut self.logs[partition]);
                }
            }
            Step::Save(relay) => {
                if let Some(relay) = self.relays[relay].as_ref().filter(|relay| relay.epoch == self.epoch) {
                    self.checkpoint = relay.acknowledged.clone();
                }
            }
            Step::Die(relay) => self.relays[relay] = None,
            Step::Read(partition, records) => self.readers[partition].read(&self.logs[partition], records),
            Step::Follow(partition) => {
                let Sent { position, last } = &self.checkpoint;
                self.readers[partition].lane.follow(*position, last[partition]);
            }
            Step::Apply(partition) => self.readers[partition].apply(),
            Step::BeginAgain(partition) => self.readers[partition].begin_again(partition),
        }
    }

    /// Zombies bring out what they have under way, the last relay finishes, and everything is read.
    fn finish(&mut self) {
        let steps = (0..RELAYS)
            .flat_map(|relay| (0..usize::from(PARTITIONS)).map(move |p| Step::Deliver(relay, p, usize::MAX)));
        let rest = [Step::Take(0), Step::Send(0, usize::MAX >> 1), Step::Tell(0)];
        let delivered = (0..usize::from(PARTITIONS)).map(|partition| Step::Deliver(0, partition, usize::MAX));
        for step in steps.collect::<Vec<_>>().into_iter().chain(rest).chain(delivered) {
            self.take(step);
        }
        for partition in 0..usize::from(PARTITIONS) {
            self.take(Step::Read(partition, usize::MAX));
            self.take(Step::Apply(partition));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_relays_and_readers_do_each_event_is_applied_once_and_in_order(
        streams in prop::collection::vec(1..12_u128, 1..40),
        steps in prop::collection::vec(step(), 0..150),
    ) {
        let mut world = World::new(&streams);
        for step in steps {
            world.take(step);
        }
        world.finish();
        for (partition, reader) in world.readers.iter().enumerate() {
            let ours = world.history.iter().filter(|event| partition_of(event) == partition);
            let ours: Vec<_> = ours.map(|event| event.position).collect();
            prop_assert_eq!(&reader.applied, &ours, "partition {}", partition);
        }
    }
}
