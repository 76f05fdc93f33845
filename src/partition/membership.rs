//! What members of a group ask its coordinator, and what they are told.

use bytes::Bytes;

use crate::wire::ErrorCode;

/// Names a request that waits for its answer.
pub type Token = u64;

/// What a consumer joins with.
#[derive(Debug, Clone)]
pub struct Join {
    pub token: Token,
    pub member_id: String,
    /// The id that this member gets if it has none yet.
    pub fresh_id: String,
    pub instance_id: Option<String>,
    /// What it calls itself, and where it comes from, for those who look at the group.
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocol_type: String,
    /// Preferred first, each with what the group's leader is told of this member.
    pub protocols: Vec<(String, Bytes)>,
    /// Whether it must come again with the id it is given (KIP-394).
    pub must_come_again: bool,
    /// Whether it can be told that it leads and has nothing to assign (KIP-814).
    pub may_skip_assignment: bool,
}

#[derive(Debug, Clone)]
pub struct Sync {
    pub token: Token,
    pub member_id: String,
    pub instance_id: Option<String>,
    pub generation: i32,
    /// What the member believes, where it says so.
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    /// From the leader: what each member gets.
    pub assignments: Vec<(String, Bytes)>,
}

/// A member as the group's leader is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    pub id: String,
    pub instance_id: Option<String>,
    pub metadata: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    pub generation: i32,
    pub protocol_type: String,
    pub protocol: String,
    pub leader: String,
    pub member_id: String,
    /// All of them, for the leader alone.
    pub members: Vec<JoinedMember>,
    /// The leader has nothing to assign: what was assigned is still so.
    pub skip_assignment: bool,
}

/// Why a join was refused, with the member's id where it was given one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJoined {
    pub code: ErrorCode,
    pub member_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    pub protocol_type: String,
    pub protocol: String,
    pub assignment: Bytes,
}

/// A group as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    pub group: String,
    /// Kafka's name of its protocol.
    pub kind: &'static str,
    /// Kafka's name of it.
    pub state: &'static str,
    pub protocol_type: String,
    pub protocol: String,
    pub members: Vec<MemberView>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    pub id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub metadata: Bytes,
    pub assignment: Bytes,
}

/// What a member says besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberSays {
    Here { generation: i32 },
    Leaving,
}

/// A member, and what it says.
#[derive(Debug, Clone)]
pub struct MemberCall {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub says: MemberSays,
}
