//! The members of a group, with what is asked of all of them kept up to date, so that a join of one
//! among thousands looks at none of the others.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Join, Token};
use crate::group::record::MemberRecord;

/// About what a member takes beside its texts and bytes.
const MEMBER_OVERHEAD: usize = 400;

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    /// Preferred first; no name twice.
    pub protocols: Vec<(String, Bytes)>,
    pub assignment: Bytes,
    /// It was heard of last.
    pub heard_ms: i64,
    pub joining: Option<Token>,
    pub syncing: Option<Token>,
}

impl Member {
    /// Somebody who joins, without what it joins with.
    pub fn new(now_ms: i64, join: &Join) -> Member {
        Member {
            instance_id: join.instance_id.clone(),
            client_id: join.client_id.clone(),
            client_host: join.client_host.clone(),
            session_timeout_ms: join.session_timeout_ms,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            protocols: Vec::new(),
            assignment: Bytes::new(),
            heard_ms: now_ms,
            joining: None,
            syncing: None,
        }
    }

    pub fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    pub fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    pub fn record(&self, id: &str, protocol: &str, assignment: Bytes) -> MemberRecord {
        MemberRecord {
            id: id.to_string(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment,
        }
    }

    /// A member of a generation that was read from the log.
    pub fn restored(now_ms: i64, record: MemberRecord, protocol: &str) -> Member {
        Member {
            instance_id: record.instance_id,
            client_id: record.client_id,
            client_host: record.client_host,
            session_timeout_ms: record.session_timeout_ms,
            rebalance_timeout_ms: record.rebalance_timeout_ms,
            protocols: vec![(protocol.to_string(), record.subscription)],
            assignment: record.assignment,
            heard_ms: now_ms,
            joining: None,
            syncing: None,
        }
    }

    fn bytes(&self) -> usize {
        let texts = [Some(&self.client_id), Some(&self.client_host), self.instance_id.as_ref()];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        MEMBER_OVERHEAD + texts + protocol_bytes(&self.protocols) + self.assignment.len()
    }
}

/// What a member's protocols take.
pub fn protocol_bytes(protocols: &[(String, Bytes)]) -> usize {
    protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).sum()
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Roster {
    members: BTreeMap<String, Member>,
    by_instance: BTreeMap<String, String>,
    joining: usize,
    bytes: usize,
    /// How many know each protocol.
    protocols: BTreeMap<String, usize>,
}

impl Roster {
    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn contains(&self, id: &str) -> bool {
        self.members.contains_key(id)
    }

    pub fn get(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.members.iter()
    }

    /// Ids of the members for which `is_so`.
    pub fn ids(&self, is_so: impl Fn(&Member) -> bool) -> Vec<String> {
        self.iter().filter(|(_, member)| is_so(member)).map(|(id, _)| id.clone()).collect()
    }

    /// The member of a static instance.
    pub fn of_instance(&self, instance_id: &str) -> Option<&String> {
        self.by_instance.get(instance_id)
    }

    /// How many have joined the generation to come.
    pub fn joining(&self) -> usize {
        self.joining
    }

    pub fn all_have_joined(&self) -> bool {
        self.joining == self.members.len()
    }

    /// Bytes that the members take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether all know a protocol; `but`: without asking this one.
    pub fn all_support(&self, protocol: &str, but: Option<&str>) -> bool {
        let but = but.and_then(|id| self.members.get(id));
        let count = self.protocols.get(protocol).copied().unwrap_or(0);
        let own = but.is_some_and(|member| member.supports(protocol));
        count - usize::from(own) == self.members.len() - usize::from(but.is_some())
    }

    pub fn insert(&mut self, id: String, member: Member) {
        self.remove(&id);
        self.count(&member, true);
        if let Some(instance) = &member.instance_id {
            self.by_instance.insert(instance.clone(), id.clone());
        }
        self.members.insert(id, member);
    }

    pub fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.members.remove(id)?;
        self.count(&member, false);
        if let Some(instance) = &member.instance_id {
            self.by_instance.remove(instance);
        }
        Some(member)
    }

    /// Changes a member, but for its instance.
    pub fn change<T>(&mut self, id: &str, change: impl FnOnce(&mut Member) -> T) -> Option<T> {
        // Out and in again: its counts with it.
        let (id, mut member) = self.members.remove_entry(id)?;
        self.count(&member, false);
        let done = change(&mut member);
        self.count(&member, true);
        self.members.insert(id, member);
        Some(done)
    }

    /// A member was heard of.
    pub fn hear(&mut self, now_ms: i64, id: &str) {
        if let Some(member) = self.members.get_mut(id) {
            member.heard_ms = now_ms;
        }
    }

    /// Whoever waits for an assignment does not any more.
    pub fn take_syncing(&mut self) -> Vec<Token> {
        self.members.values_mut().filter_map(|member| member.syncing.take()).collect()
    }

    fn count(&mut self, member: &Member, is_in: bool) {
        let joining = usize::from(member.joining.is_some());
        if is_in {
            self.joining += joining;
            self.bytes += member.bytes();
        } else {
            self.joining -= joining;
            self.bytes -= member.bytes();
        }
        for (name, _) in &member.protocols {
            let known = self.protocols.get_mut(name);
            match (known, is_in) {
                (Some(count), true) => *count += 1,
                (Some(count), false) if *count > 1 => *count -= 1,
                (_, false) => {
                    self.protocols.remove(name);
                }
                (None, true) => {
                    self.protocols.insert(name.clone(), 1);
                }
            }
        }
    }
}
