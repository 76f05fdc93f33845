//! Members of the classic protocol in groups of this one, and groups that change their protocol.

use std::rc::Rc;

use super::super::classic::{protocol_bytes, MEMBER_BYTES};
use super::super::consumer::{Beat, Group, Refused};
use super::super::record::GroupRecord;
use super::Consumers;
use crate::clock::now_ms;
use crate::metadata::MetadataImage;
use crate::partition::membership::{Join, Joined, MemberCall, MemberSays, NotJoined, Sync, Synced};
use crate::wire::ErrorCode;

impl Consumers {
    /// Makes a group, of the classic one if there is one of that name.
    pub(super) fn make(
        &self,
        partition: i32,
        name: &str,
        beat: &Beat,
        image: &MetadataImage,
    ) -> Result<(), Refused> {
        let refused = || {
            let message = format!("Group {name} is not a consumer group.");
            Refused::new(ErrorCode::GroupIdNotFound, message)
        };
        if !self.members.contains(name) {
            self.insert(name, partition, Group::new(self.limits_of(name)));
            return Ok(());
        }
        if !beat.joins() {
            return Err(refused());
        }
        let (group, first) = if self.members.has_members(name) {
            let record = self.members.to_give_over(name);
            let record = record.filter(|_| self.limits.migration.upgrade).ok_or_else(refused)?;
            if record.members.len() > self.limits.max_size {
                return Err(refused());
            }
            let limits = self.limits_of(name);
            let group = Group::take_over(limits, now_ms(), record, image).ok_or_else(refused)?;
            tracing::info!(group = name, "goes on with the consumer protocol");
            (group, Some(self.members.give_over(name)))
        } else {
            (Group::new(self.limits_of(name)), self.members.forget(name))
        };
        self.insert(name, partition, group);
        if let Some(served) = self.groups.borrow_mut().get_mut(name) {
            served.first.extend(first);
        }
        Ok(())
    }

    /// A member of the classic protocol joins a group of this one.
    ///
    /// # Errors
    /// Kafka's code, with the id of a member that is to come again.
    pub async fn classic_join(
        self: &Rc<Self>,
        name: &str,
        join: Join,
        image: &MetadataImage,
    ) -> Result<Joined, NotJoined> {
        let (said, fresh) = (join.member_id.clone(), join.fresh_id.clone());
        let not = |code| {
            let again = code == ErrorCode::MemberIdRequired;
            NotJoined { code, member_id: if again { fresh.clone() } else { said.clone() } }
        };
        self.members.check_session(join.session_timeout_ms).map_err(not)?;
        let large = protocol_bytes(&join.protocols) > MEMBER_BYTES;
        if large || self.bytes.get() > self.most_bytes {
            return Err(not(ErrorCode::CoordinatorNotAvailable));
        }
        let joined = self.on(name, |group| group.classic_join(now_ms(), join, image));
        let (joined, append) = joined.ok_or_else(|| not(ErrorCode::UnknownMemberId))?;
        self.store(append).await.map_err(not)?;
        joined.map_err(not)
    }

    /// # Errors
    /// Kafka's code.
    pub async fn classic_sync(
        self: &Rc<Self>,
        name: &str,
        sync: &Sync,
    ) -> Result<Synced, ErrorCode> {
        let synced = self.on(name, |group| group.classic_sync(now_ms(), sync));
        let (synced, append) = synced.ok_or(ErrorCode::UnknownMemberId)?;
        self.store(append).await?;
        synced
    }

    /// What members of the classic protocol say besides.
    pub async fn classic_says(
        self: &Rc<Self>,
        name: &str,
        said: &MemberCall,
    ) -> Result<(), ErrorCode> {
        let (member, instance) = (&said.member_id, said.instance_id.as_deref());
        let heard = self.on(name, |group| match said.says {
            MemberSays::Here { generation } => {
                group.classic_heartbeat(now_ms(), member, instance, generation)
            }
            MemberSays::Leaving => group.classic_leave(member, instance),
        });
        let (heard, append) = heard.ok_or(ErrorCode::UnknownMemberId)?;
        self.store(append).await?;
        heard
    }

    /// The group as a classic one, if it is to be one: the last member of our protocol has gone.
    pub(super) fn to_give_back(&self, group: &Group) -> Option<GroupRecord> {
        let is_to = self.limits.migration.downgrade
            && group.is_all_classic()
            && group.len() <= self.members.max_size();
        is_to.then(|| group.give_back(now_ms())).flatten()
    }
}
