//! What members of a share group (KIP-932) ask its coordinator; they are told what members of consumer
//! groups are.

use std::collections::BTreeSet;

/// What a member says with a heartbeat. What is `None` is as it was.
#[derive(Debug, Clone)]
pub struct ShareBeat {
    pub member_id: String,
    /// 0: it joins; −1: it leaves.
    pub epoch: i32,
    pub rack_id: Option<String>,
    pub topics: Option<BTreeSet<String>>,
    /// What it calls itself, and where it comes from, for those who look at the group.
    pub client_id: String,
    pub client_host: String,
}
