//! `Gossip`: which nodes there are.

/// The state of a node that takes every call.
pub const LEADER: i32 = 8;

/// All nodes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ClusterInfo {
    /// One entry for each.
    #[prost(message, repeated, tag = "1")]
    pub members: Vec<Member>,
}

/// One node.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Member {
    /// Its identity for as long as it runs.
    #[prost(message, optional, tag = "1")]
    pub instance_id: Option<super::Uuid>,
    /// When this was said, in units of 100 ns since 1970.
    #[prost(int64, tag = "2")]
    pub time_stamp: i64,
    /// What it is in the cluster; see [`LEADER`].
    #[prost(int32, tag = "3")]
    pub state: i32,
    /// Whether it answers.
    #[prost(bool, tag = "4")]
    pub is_alive: bool,
    /// Where it is called.
    #[prost(message, optional, tag = "5")]
    pub end_point: Option<EndPoint>,
}

/// An address to call.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct EndPoint {
    /// Host name or IP address.
    #[prost(string, tag = "1")]
    pub host: String,
    /// TCP port.
    #[prost(uint32, tag = "2")]
    pub port: u32,
}
