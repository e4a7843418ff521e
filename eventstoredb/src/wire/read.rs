//! `Streams/Read`: what is asked, and what comes back.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{StreamName, Timestamp, Uuid};

/// A call of `Read`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReadRequest {
    /// Everything about it.
    #[prost(message, optional, tag = "1")]
    pub options: Option<Options>,
}

/// What is read, and how.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Options {
    /// 0 forwards, 1 backwards.
    #[prost(int32, tag = "3")]
    pub direction: i32,
    /// Whether links are followed. There are none here.
    #[prost(bool, tag = "4")]
    pub resolve_links: bool,
    /// In which shape ids are wanted.
    #[prost(message, optional, tag = "9")]
    pub ids: Option<IdsWanted>,
    /// Which messages the client understands.
    #[prost(message, optional, tag = "10")]
    pub control: Option<Control>,
    /// Which stream.
    #[prost(oneof = "Source", tags = "1, 2")]
    pub source: Option<Source>,
    /// How much of it.
    #[prost(oneof = "Amount", tags = "5, 6")]
    pub amount: Option<Amount>,
    /// Which events of it.
    #[prost(oneof = "Choice", tags = "7, 8")]
    pub choice: Option<Choice>,
}

/// Which stream is read.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Source {
    /// One stream.
    #[prost(message, tag = "1")]
    Stream(FromStream),
    /// All of them, in one order.
    #[prost(message, tag = "2")]
    All(FromAll),
}

/// One stream, and where to begin in it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct FromStream {
    /// Which one.
    #[prost(message, optional, tag = "1")]
    pub stream: Option<StreamName>,
    /// Where to begin.
    #[prost(oneof = "Revision", tags = "2, 3, 4")]
    pub from: Option<Revision>,
}

/// A place in a stream.
#[derive(Clone, Copy, PartialEq, Eq, prost::Oneof)]
pub enum Revision {
    /// At an event, counted from 0.
    #[prost(uint64, tag = "2")]
    At(u64),
    /// At the first event.
    #[prost(message, tag = "3")]
    Start(()),
    /// After the last event.
    #[prost(message, tag = "4")]
    End(()),
}

/// All streams, and where to begin.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct FromAll {
    /// Where to begin.
    #[prost(oneof = "Place", tags = "1, 2, 3")]
    pub from: Option<Place>,
}

/// A place in the order of all events.
#[derive(Clone, Copy, PartialEq, Eq, prost::Oneof)]
pub enum Place {
    /// At a position.
    #[prost(message, tag = "1")]
    At(Position),
    /// Before the first event.
    #[prost(message, tag = "2")]
    Start(()),
    /// After the last event.
    #[prost(message, tag = "3")]
    End(()),
}

/// A position in the order of all events. Both numbers are the same here.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Position {
    /// Where the transaction was committed.
    #[prost(uint64, tag = "1")]
    pub commit: u64,
    /// Where the event was written.
    #[prost(uint64, tag = "2")]
    pub prepare: u64,
}

/// How much is read.
#[derive(Clone, Copy, PartialEq, Eq, prost::Oneof)]
pub enum Amount {
    /// At most so many events, and then an end.
    #[prost(uint64, tag = "5")]
    Count(u64),
    /// Everything, and what comes later as it comes.
    #[prost(message, tag = "6")]
    Subscription(()),
}

/// Which events are read.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Choice {
    /// Some.
    #[prost(message, tag = "7")]
    Filter(FilterOptions),
    /// All.
    #[prost(message, tag = "8")]
    NoFilter(()),
}

/// Which events pass.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FilterOptions {
    /// After how many windows of events a checkpoint is wanted.
    #[prost(uint32, tag = "5")]
    pub checkpoint_interval_multiplier: u32,
    /// What is looked at.
    #[prost(oneof = "FilterOn", tags = "1, 2")]
    pub on: Option<FilterOn>,
    /// How many events make a window.
    #[prost(oneof = "Window", tags = "3, 4")]
    pub window: Option<Window>,
}

/// What a filter looks at.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum FilterOn {
    /// The name of the event's stream.
    #[prost(message, tag = "1")]
    StreamName(Expression),
    /// The event's type.
    #[prost(message, tag = "2")]
    EventType(Expression),
}

/// What a name must look like.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Expression {
    /// Matches somewhere in it. Empty where prefixes are given.
    #[prost(string, tag = "1")]
    pub regex: String,
    /// It begins with one of these.
    #[prost(string, repeated, tag = "2")]
    pub prefixes: Vec<String>,
}

/// How many events a filter looks at between two checkpoints, before the multiplier.
#[derive(Clone, Copy, PartialEq, Eq, prost::Oneof)]
pub enum Window {
    /// So many.
    #[prost(uint32, tag = "3")]
    Max(u32),
    /// As many as the server likes.
    #[prost(message, tag = "4")]
    Unlimited(()),
}

/// The shape in which ids are wanted.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct IdsWanted {
    /// One of two.
    #[prost(oneof = "IdShape", tags = "1, 2")]
    pub shape: Option<IdShape>,
}

/// The shapes an id can have.
#[derive(Clone, Copy, PartialEq, Eq, prost::Oneof)]
pub enum IdShape {
    /// Two numbers.
    #[prost(message, tag = "1")]
    Structured(()),
    /// Text.
    #[prost(message, tag = "2")]
    Text(()),
}

/// What the client understands.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Control {
    /// From 1 on it understands where a stream ends.
    #[prost(uint32, tag = "1")]
    pub compatibility: u32,
}

/// One message of the answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReadResponse {
    /// What it says.
    #[prost(oneof = "Content", tags = "1, 2, 3, 4, 6, 8, 9")]
    pub content: Option<Content>,
}

impl From<Content> for ReadResponse {
    fn from(content: Content) -> Self {
        Self { content: Some(content) }
    }
}

/// What a message of the answer says.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Content {
    /// An event.
    #[prost(message, tag = "1")]
    Event(ReadEvent),
    /// The subscription is there. Comes first.
    #[prost(message, tag = "2")]
    Confirmation(Confirmation),
    /// Everything up to here was looked at.
    #[prost(message, tag = "3")]
    Checkpoint(Checkpoint),
    /// There is no such stream.
    #[prost(message, tag = "4")]
    StreamNotFound(StreamNotFound),
    /// The revision of the stream's last event.
    #[prost(uint64, tag = "6")]
    LastStreamPosition(u64),
    /// Everything that was there has been sent; what follows is new.
    #[prost(message, tag = "8")]
    CaughtUp(Reached),
    /// New events come faster than they are taken.
    #[prost(message, tag = "9")]
    FellBehind(Reached),
}

/// An event, as a read finds it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReadEvent {
    /// The event.
    #[prost(message, optional, tag = "1")]
    pub event: Option<Event>,
    /// Its position, once more.
    #[prost(uint64, optional, tag = "3")]
    pub commit_position: Option<u64>,
}

/// An event.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Event {
    /// Its identity.
    #[prost(message, optional, tag = "1")]
    pub id: Option<Uuid>,
    /// Its stream.
    #[prost(message, optional, tag = "2")]
    pub stream: Option<StreamName>,
    /// Its place in the stream, counted from 0.
    #[prost(uint64, tag = "3")]
    pub revision: u64,
    /// Its position in the order of all events.
    #[prost(uint64, tag = "4")]
    pub prepare_position: u64,
    /// The same.
    #[prost(uint64, tag = "5")]
    pub commit_position: u64,
    /// `type`, `content-type` and `created`.
    #[prost(btree_map = "string, string", tag = "6")]
    pub metadata: BTreeMap<String, String>,
    /// Who and why, as JSON.
    #[prost(bytes = "bytes", tag = "7")]
    pub custom_metadata: Bytes,
    /// What happened, as JSON.
    #[prost(bytes = "bytes", tag = "8")]
    pub data: Bytes,
}

/// The subscription is there.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Confirmation {
    /// What it is called.
    #[prost(string, tag = "1")]
    pub subscription_id: String,
}

/// How far a filter has looked.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Checkpoint {
    /// The position of the last event it looked at.
    #[prost(uint64, tag = "1")]
    pub commit_position: u64,
    /// The same.
    #[prost(uint64, tag = "2")]
    pub prepare_position: u64,
    /// When that was.
    #[prost(message, optional, tag = "3")]
    pub at: Option<Timestamp>,
}

/// How far a subscription has come.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Reached {
    /// When that was.
    #[prost(message, optional, tag = "1")]
    pub at: Option<Timestamp>,
    /// The revision of the last event, for a subscription to one stream.
    #[prost(int64, optional, tag = "2")]
    pub revision: Option<i64>,
    /// The position of the last event, for a subscription to all streams.
    #[prost(message, optional, tag = "3")]
    pub position: Option<Position>,
}

/// There is no such stream.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct StreamNotFound {
    /// The one that was asked for.
    #[prost(message, optional, tag = "1")]
    pub stream: Option<StreamName>,
}
