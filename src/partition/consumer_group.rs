//! What members of a group of the consumer protocol (KIP-848) ask its coordinator, and what they are
//! told.

use std::collections::{BTreeMap, BTreeSet};

use crate::wire::{ErrorCode, Uuid};

/// Partitions by topic.
pub type Assignment = BTreeMap<Uuid, BTreeSet<i32>>;

/// What a member says with a heartbeat. What is `None` is as it was, but for the ids.
#[derive(Debug, Clone)]
pub struct Beat {
    pub member_id: String,
    /// The id that this member gets if it has none yet.
    pub fresh_id: String,
    /// 0: it joins; −1: it leaves; −2: a static member goes and will be back.
    pub epoch: i32,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub rebalance_timeout_ms: Option<i32>,
    pub topics: Option<BTreeSet<String>>,
    /// Empty: none any more.
    pub regex: Option<String>,
    pub assignor: Option<String>,
    /// What it works on.
    pub owned: Option<Assignment>,
    /// What it calls itself, and where it comes from, for those who look at the group.
    pub client_id: String,
    pub client_host: String,
}

impl Beat {
    pub fn joins(&self) -> bool {
        self.epoch == 0
    }
}

/// A heartbeat on its way to the group's coordinator.
#[derive(Debug, Clone)]
pub struct ConsumerCall {
    pub beat: Beat,
    /// Since version 1 of the request, members choose their own ids.
    pub needs_id: bool,
}

/// What a member is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub member_id: String,
    pub epoch: i32,
    pub interval_ms: i32,
    /// What it is to work on, where that is news.
    pub assignment: Option<Assignment>,
}

/// Why a member is not heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub code: ErrorCode,
    pub message: String,
}

impl Refused {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Refused {
        Refused { code, message: message.into() }
    }
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Refused {
        Refused { code, message: String::new() }
    }
}

/// A group of the consumer protocol as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerGroupView {
    /// Kafka's name of it.
    pub state: &'static str,
    pub epoch: i32,
    pub target_epoch: i32,
    pub assignor: &'static str,
    pub members: Vec<ConsumerView>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerView {
    pub id: String,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub epoch: i32,
    pub client_id: String,
    pub client_host: String,
    pub topics: Vec<String>,
    pub regex: Option<String>,
    pub assigned: Assignment,
    pub target: Assignment,
    /// Whether it speaks the classic protocol.
    pub classic: bool,
}
