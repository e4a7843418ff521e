//! The messages of the protocol, as far as it is spoken here.
//!
//! Names and structure are ours; what both sides agree on is the number of each field, so a number is never changed.
//! Fields that this endpoint neither reads nor fills are left out: the format lets a reader pass over what it does
//! not know.

pub mod features;
pub mod gossip;
pub mod read;

/// An identity. Clients choose the shape in which they want events' ids.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Uuid {
    /// In one of its shapes.
    #[prost(oneof = "UuidShape", tags = "1, 2")]
    pub value: Option<UuidShape>,
}

/// The shapes of an identity.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum UuidShape {
    /// As two numbers.
    #[prost(message, tag = "1")]
    Structured(UuidBits),
    /// As text with hyphens.
    #[prost(string, tag = "2")]
    Text(String),
}

/// An identity's 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct UuidBits {
    /// The first 64 of them.
    #[prost(int64, tag = "1")]
    pub most_significant: i64,
    /// The last 64 of them.
    #[prost(int64, tag = "2")]
    pub least_significant: i64,
}

impl Uuid {
    /// The identity as text.
    pub fn text(id: uuid::Uuid) -> Self {
        Self { value: Some(UuidShape::Text(id.to_string())) }
    }

    /// The identity as two numbers.
    pub fn structured(id: uuid::Uuid) -> Self {
        let (most, least) = id.as_u64_pair();
        let bits = UuidBits { most_significant: most.cast_signed(), least_significant: least.cast_signed() };
        Self { value: Some(UuidShape::Structured(bits)) }
    }
}

/// A stream's name.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct StreamName {
    /// UTF-8, as a rule.
    #[prost(bytes = "bytes", tag = "3")]
    pub name: bytes::Bytes,
}

/// An instant.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Timestamp {
    /// Whole seconds since 1970.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// And this many nanoseconds.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}
