//! What a consumer knows of one partition, and what a record means to it.

use std::mem;

use guildhall_event_store::RecordedEvent;

use crate::{
    consumer::{PartitionBatch, Resume},
    envelope::{Content, Incoming},
    topics::Place,
};

/// One partition on its way to whoever is given.
#[derive(Debug)]
pub(super) struct Lane {
    topic: String,
    partition: i32,
    place: Place,
    partitions: u16,
    /// Every event of the partition up to this position was taken.
    reached: u64,
    next_offset: i64,
    claim: i64,
    taken: Vec<RecordedEvent>,
    /// What was taken from Kafka since, to be compared with history.
    told: Vec<Told>,
    /// Whether there is something to hand over: events, or only that the lane got further.
    moved: bool,
    repair: Option<Repair>,
    /// Where it stood when it last handed over: the position it had reached and the next offset.
    handed_over: (u64, i64),
}

/// What a record says stands in history.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) offset: i64,
    pub(super) position: u64,
    pub(super) leaf_hash: [u8; 32],
}

impl Told {
    /// As history is asked about it.
    pub(super) fn stands_at(self) -> (u64, [u8; 32]) {
        (self.position, self.leaf_hash)
    }
}

/// A gap, and the record that showed it.
#[derive(Debug)]
struct Repair {
    until: u64,
    shown_by: Incoming,
    offset: i64,
}

/// What became of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It follows what was taken, or says nothing that was not known.
    InOrder,
    /// An event that was taken before.
    Repeated,
    /// Events before it are missing: the lane waits for them, to be taken from history.
    AfterGap {
        /// The last position it has.
        after: u64,
        /// The position of the last event that may be missing.
        until: u64,
    },
}

impl Lane {
    pub(super) fn new(topic: String, place: Place, partitions: u16, resume: Resume) -> Self {
        Self {
            topic,
            partition: place.number(),
            place,
            partitions,
            reached: resume.reached,
            next_offset: resume.next_offset,
            claim: resume.claim,
            taken: Vec::new(),
            told: Vec::new(),
            moved: false,
            repair: None,
            handed_over: (resume.reached, resume.next_offset),
        }
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    pub(super) fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// While a gap is open: the position after which history is to be read, and the last one that is missing.
    pub(super) fn gap(&self) -> Option<(u64, u64)> {
        self.repair.as_ref().map(|repair| (self.reached, repair.until))
    }

    pub(super) fn claim(&self) -> i64 {
        self.claim
    }

    /// What was taken from Kafka since the last hand-over.
    pub(super) fn told(&self) -> &[Told] {
        &self.told
    }

    /// While a gap is open: what the record says that showed it.
    pub(super) fn shown_by(&self) -> Option<Told> {
        let Repair { shown_by, offset, .. } = self.repair.as_ref()?;
        let (position, leaf_hash) = shown_by.content.stands_at();
        Some(Told { offset: *offset, position, leaf_hash })
    }

    /// Stands where it stood when it last handed over, as if nothing had come since.
    pub(super) fn go_back(&mut self) {
        (self.reached, self.next_offset) = self.handed_over;
        self.taken.clear();
        self.told.clear();
        self.moved = false;
        self.repair = None;
    }

    /// Takes a record. One that says that another is missing before it is kept until [`Lane::fill`] has closed the
    /// gap; no more must be offered until then.
    pub(super) fn offer(&mut self, offset: i64, incoming: Incoming) -> Taken {
        let (position, leaf_hash) = incoming.content.stands_at();
        if position <= self.reached {
            // Sent again by a relay that started again, or by one that did not know it had been replaced.
            self.next_offset = offset + 1;
            return match incoming.content {
                Content::Event(_) => Taken::Repeated,
                Content::Watermark(_) => Taken::InOrder,
            };
        }
        if incoming.previous > self.reached {
            let gap = Taken::AfterGap { after: self.reached, until: incoming.previous };
            self.repair = Some(Repair { until: incoming.previous, shown_by: incoming, offset });
            return gap;
        }
        self.reached = position;
        self.next_offset = offset + 1;
        self.moved = true;
        self.told.push(Told { offset, position, leaf_hash });
        if let Content::Event(event) = incoming.content {
            self.taken.push(event);
        }
        Taken::InOrder
    }

    /// Gets as far as Kafka has everything, where the last event of the partition up to there was taken. True if that is further
    /// than it was.
    pub(super) fn follow(&mut self, relayed: u64, last: u64) -> bool {
        let further = self.repair.is_none() && last <= self.reached && self.reached < relayed;
        if further {
            self.reached = relayed;
            self.moved = true;
        }
        further
    }

    /// Leaves out a record that cannot be read, or that history contradicts, also where it showed a gap. If there was an
    /// event in its place, the next one shows a gap.
    pub(super) fn pass_over(&mut self, offset: i64) {
        self.repair = None;
        self.next_offset = offset + 1;
        self.moved = true;
    }

    /// Takes this partition's share of a page of history that begins after [`Lane::gap`]. True when that closed
    /// the gap.
    ///
    /// The lane gets as far as the page does, whether or not anything in it was its own.
    pub(super) fn fill(&mut self, page: &[RecordedEvent]) -> bool {
        let Some(repair) = &self.repair else { return true };
        for event in page {
            if event.position > repair.until {
                break;
            }
            self.reached = event.position;
            self.moved = true;
            if Place::of(event.tenant, &event.stream, self.partitions) == Some(self.place) {
                self.taken.push(event.clone());
            }
        }
        if self.reached < repair.until {
            return false;
        }
        if let Some(repair) = self.repair.take() {
            self.offer(repair.offset, repair.shown_by);
        }
        true
    }

    /// What was taken since the last time; nothing if the lane stands where it stood.
    pub(super) fn hand_over(&mut self) -> Option<PartitionBatch> {
        self.told.clear();
        self.handed_over = (self.reached, self.next_offset);
        mem::take(&mut self.moved).then(|| PartitionBatch {
            topic: self.topic.clone(),
            partition: self.partition,
            events: mem::take(&mut self.taken),
            next_offset: self.next_offset,
            reached: self.reached,
            claim: self.claim,
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use guildhall_aggregates::TenantId;
    use guildhall_event_store::StreamId;
    use uuid::Uuid;

    use super::*;
    use crate::{envelope::Watermark, topics::Topic};

    const PARTITIONS: u16 = 2;

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

    fn place_of(event: &RecordedEvent) -> Place {
        Place::of(event.tenant, &event.stream, PARTITIONS).expect("members have a topic")
    }

    /// A stream whose events go to another partition than those of stream 1.
    fn elsewhere() -> u128 {
        let here = place_of(&event(1, 1));
        (2..100).find(|stream| place_of(&event(1, *stream)) != here).expect("keys spread over partitions")
    }

    fn lane(reached: u64) -> Lane {
        let resume = Resume { reached, ..Resume::default() };
        Lane::new(Topic::Members.name("guildhall"), place_of(&event(1, 1)), PARTITIONS, resume)
    }

    fn sent(position: u64, previous: u64) -> Incoming {
        Incoming { previous, content: Content::Event(event(position, 1)) }
    }

    fn watermark(position: u64, previous: u64) -> Incoming {
        Incoming { previous, content: Content::Watermark(Watermark { position, leaf_hash: [0; 32] }) }
    }

    fn positions(batch: &PartitionBatch) -> Vec<u64> {
        batch.events.iter().map(|event| event.position).collect()
    }

    #[test]
    fn records_in_order_are_handed_over_once() {
        let mut lane = lane(0);
        assert_eq!(lane.offer(0, sent(3, 0)), Taken::InOrder);
        assert_eq!(lane.offer(1, sent(9, 3)), Taken::InOrder);
        let batch = lane.hand_over().expect("two events were taken");
        assert_eq!((positions(&batch), batch.next_offset, batch.reached), (vec![3, 9], 2, 9));
        assert_eq!(lane.hand_over(), None);
    }

    #[test]
    fn what_was_taken_before_is_dropped_but_its_offset_is_passed() {
        let mut lane = lane(9);
        assert_eq!(lane.offer(4, sent(3, 0)), Taken::Repeated);
        assert_eq!(lane.offer(5, sent(9, 3)), Taken::Repeated);
        assert_eq!(lane.next_offset(), 6);
        assert_eq!(lane.hand_over(), None, "a lane that got no further has nothing to say");
    }

    #[test]
    fn a_watermark_moves_a_lane_that_has_no_events() {
        let mut lane = lane(9);
        assert_eq!(lane.offer(0, watermark(40, 9)), Taken::InOrder);
        let batch = lane.hand_over().expect("the lane got further");
        assert_eq!((positions(&batch), batch.reached), (vec![], 40));
        assert_eq!(lane.offer(1, sent(41, 9)), Taken::InOrder, "events name the event before them, not the watermark");
    }

    #[test]
    fn a_lane_follows_the_relay_once_it_has_the_last_event_that_is_its_own() {
        let mut lane = lane(3);
        assert!(!lane.follow(40, 9), "an event of this partition is on its way");
        assert_eq!(lane.hand_over(), None);
        lane.offer(0, sent(9, 3));
        assert!(lane.follow(40, 9));
        let batch = lane.hand_over().expect("the lane got further");
        assert_eq!((positions(&batch), batch.next_offset, batch.reached), (vec![9], 1, 40));
        assert!(!lane.follow(40, 9) && !lane.follow(30, 9), "it is there, or further");
        assert_eq!(lane.offer(1, sent(50, 45)), Taken::AfterGap { after: 40, until: 45 });
        assert!(!lane.follow(44, 9), "not beside a repair");
    }

    #[test]
    fn a_gap_is_filled_from_history_with_the_events_of_this_partition_only() {
        let mut lane = lane(3);
        assert_eq!(lane.offer(7, sent(12, 10)), Taken::AfterGap { after: 3, until: 10 });
        assert_eq!(lane.gap(), Some((3, 10)));
        let history = [event(4, 1), event(5, elsewhere()), event(6, elsewhere())];
        assert!(!lane.fill(&history));
        assert_eq!(lane.gap(), Some((6, 10)), "the part that was read need not be read again");
        let batch = lane.hand_over().expect("a part of the gap is handed over at once");
        assert_eq!((positions(&batch), batch.next_offset, batch.reached), (vec![4], 0, 6));
        let history = [event(7, 1), event(8, 1), event(9, elsewhere()), event(10, 1), event(11, elsewhere())];
        assert!(lane.fill(&history));
        let batch = lane.hand_over().expect("the gap is closed");
        assert_eq!((positions(&batch), batch.next_offset, batch.reached), (vec![7, 8, 10, 12], 8, 12));
    }

    #[test]
    fn a_watermark_shows_a_gap_at_the_end_of_a_partition() {
        let mut lane = lane(3);
        assert_eq!(lane.offer(7, watermark(12, 10)), Taken::AfterGap { after: 3, until: 10 });
    }

    #[test]
    fn a_record_that_cannot_be_read_is_taken_from_history_when_the_next_one_misses_it() {
        let mut lane = lane(3);
        lane.pass_over(4);
        assert_eq!(lane.offer(5, sent(12, 10)), Taken::AfterGap { after: 3, until: 10 });
    }

    #[test]
    fn a_lane_that_goes_back_stands_where_it_last_handed_over() {
        let mut lane = lane(0);
        lane.offer(0, sent(3, 0));
        lane.hand_over();
        lane.offer(1, sent(9, 3));
        lane.offer(2, sent(20, 12));
        let told: Vec<_> = lane.told().iter().map(|told| (told.offset, told.position)).collect();
        assert_eq!((told, lane.shown_by().map(|told| told.position)), (vec![(1, 9)], Some(20)));
        lane.go_back();
        assert_eq!((lane.next_offset(), lane.gap(), lane.told().len()), (1, None, 0));
        assert_eq!(lane.hand_over(), None);
        lane.pass_over(1);
        assert_eq!(lane.offer(2, sent(20, 12)), Taken::AfterGap { after: 3, until: 12 });
    }

    #[test]
    fn a_relay_that_begins_again_from_its_checkpoint_is_followed_without_loss_or_repetition() {
        let mut lane = lane(0);
        // The first relay got to 9; the second begins after 3; then the first, paused all the while, goes on.
        let records = [(3, 0), (9, 3), (9, 3), (12, 9), (12, 9), (15, 12), (15, 12), (18, 15)];
        for (offset, (position, previous)) in (0..).zip(records) {
            assert!(!matches!(lane.offer(offset, sent(position, previous)), Taken::AfterGap { .. }));
        }
        let batch = lane.hand_over().expect("events were taken");
        assert_eq!(positions(&batch), [3, 9, 12, 15, 18]);
    }
}
