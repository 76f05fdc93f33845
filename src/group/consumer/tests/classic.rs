//! What members of the classic protocol are told.

use std::rc::Rc;

use bytes::Bytes;

use super::super::embedded::{decode_assignment, decode_subscription, encode_assignment};
use super::super::{Group, LEAVES};
use super::{joining, of_t, room, Room};
use crate::group::record::{GroupRecord, MemberRecord};
use crate::partition::membership::{Join, Sync};
use crate::wire::ErrorCode;

/// What a classic member says of itself: it reads `t`, and has these partitions of it.
fn subscription(owned: &[i32]) -> Bytes {
    let mut out = vec![0, 1, 0, 0, 0, 1, 0, 1, b't', 255, 255, 255, 255, 0, 0, 0, 1, 0, 1, b't'];
    out.extend((owned.len() as i32).to_be_bytes());
    owned.iter().for_each(|partition| out.extend(partition.to_be_bytes()));
    Bytes::from(out)
}

impl Room {
    fn join(&mut self, id: &str, owned: &[i32]) -> Result<i32, ErrorCode> {
        let join = Join {
            token: 0,
            member_id: id.to_string(),
            fresh_id: "fresh".to_string(),
            instance_id: None,
            client_id: "classic".to_string(),
            client_host: String::new(),
            session_timeout_ms: 6_000,
            rebalance_timeout_ms: 10_000,
            protocol_type: "consumer".to_string(),
            protocols: vec![("sticky".to_string(), subscription(owned))],
            must_come_again: true,
            may_skip_assignment: false,
        };
        let joined = self.group.classic_join(self.now_ms, join, &self.image)?;
        assert_eq!((joined.protocol.as_str(), joined.leader.as_str()), ("sticky", ""));
        Ok(joined.generation)
    }

    fn sync(&mut self, id: &str, generation: i32) -> Result<Vec<i32>, ErrorCode> {
        let sync = Sync {
            token: 0,
            member_id: id.to_string(),
            instance_id: None,
            generation,
            protocol_type: Some("consumer".to_string()),
            protocol_name: Some("sticky".to_string()),
            assignments: Vec::new(),
        };
        let synced = self.group.classic_sync(self.now_ms, &sync)?;
        let given = decode_assignment(&synced.assignment).expect("reads");
        Ok(given.into_iter().flat_map(|(_, partitions)| partitions).collect())
    }

    fn beat(&mut self, id: &str, generation: i32) -> Result<(), ErrorCode> {
        self.group.classic_heartbeat(self.now_ms, id, None, generation)
    }
}

#[test]
fn classic_members_share_with_the_others() {
    let again = Err(ErrorCode::RebalanceInProgress);
    let mut room = room(4);
    room.says(joining("a"));
    assert_eq!(room.join("", &[]), Err(ErrorCode::MemberIdRequired));
    assert_eq!(room.join("c", &[]), Ok(2));
    assert_eq!(room.sync("c", 2), Ok(vec![]));
    assert_eq!(room.beat("c", 2), Ok(()), "nothing is free yet");
    room.owning("a", 1, &[0, 1]);
    assert_eq!(room.beat("c", 2), again);
    assert_eq!(room.join("c", &[]), Ok(2));
    assert_eq!(room.sync("c", 2), Ok(vec![2, 3]));
    assert_eq!(room.beat("c", 2), Ok(()));
    assert_eq!(room.beat("c", 1), Err(ErrorCode::IllegalGeneration));
    assert_eq!(room.beat("a", 2), Err(ErrorCode::UnknownMemberId), "it speaks otherwise");
    // A third one comes: it gives up, in its way, what the new one gets.
    room.says(joining("d"));
    assert_eq!(room.beat("c", 2), again);
    assert_eq!(room.sync("c", 2), Err(ErrorCode::RebalanceInProgress));
    assert_eq!(room.join("c", &[2, 3]), Ok(2));
    let kept = room.sync("c", 2).expect("what it keeps");
    assert_eq!(kept.len(), 1);
    assert_eq!(room.beat("c", 2), again);
    assert_eq!(room.join("c", &kept), Ok(3));
    assert_eq!(room.sync("c", 3), Ok(kept));
    assert_eq!(room.here("d", 3).1.expect("the rest").values().flatten().count(), 1);
    // One that does not join again in time is out, and one that goes, too.
    assert_eq!(room.group.may_commit("c", 2, false), Err(ErrorCode::IllegalGeneration));
    assert_eq!(room.group.may_commit("c", 3, false), Ok(()));
    room.here("d", LEAVES);
    assert_eq!(room.beat("c", 3), again);
    room.now_ms += 5_000;
    assert_eq!(room.beat("c", 3), again);
    room.now_ms += 5_000;
    room.group.tick(room.now_ms);
    assert_eq!(room.beat("c", 3), Err(ErrorCode::UnknownMemberId));
    assert_eq!(room.join("e", &[]), Ok(6));
    assert_eq!(room.group.classic_leave("e", None), Ok(()));
    assert_eq!(room.group.classic_leave("a", None), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn a_group_changes_its_protocol_and_back() {
    let mut room = room(2);
    let member = MemberRecord {
        id: "c".to_string(),
        instance_id: None,
        client_id: String::new(),
        client_host: String::new(),
        rebalance_timeout_ms: 10_000,
        session_timeout_ms: 6_000,
        subscription: subscription(&[]),
        assignment: encode_assignment(1, &vec![("t".to_string(), vec![0, 1])]),
    };
    let record = GroupRecord {
        protocol_type: "consumer".to_string(),
        generation: 7,
        protocol: "sticky".to_string(),
        leader: "c".to_string(),
        since_ms: None,
        members: vec![member],
    };
    let limits = Rc::clone(&room.group.limits);
    let wrong =
        MemberRecord { subscription: Bytes::from_static(b"?"), ..record.members[0].clone() };
    let wrong = GroupRecord { members: vec![wrong], ..record.clone() };
    assert!(Group::take_over(Rc::clone(&limits), 0, wrong, &room.image).is_none());
    room.group =
        Group::take_over(limits, room.now_ms, record.clone(), &room.image).expect("goes on");
    assert!(room.group.is_all_classic());
    assert_eq!(room.beat("c", 7), Ok(()));
    assert_eq!(room.says(joining("a")), (8, Some(of_t(&[]))));
    assert_eq!(room.beat("c", 7), Err(ErrorCode::RebalanceInProgress));
    assert_eq!(room.join("c", &[0]), Ok(8));
    assert_eq!(room.sync("c", 8), Ok(vec![0]));
    assert_eq!(room.here("a", 8), (8, Some(of_t(&[1]))));
    room.here("a", LEAVES);
    assert!(room.group.is_all_classic());
    let back = room.group.give_back(5).expect("goes on");
    assert_eq!((back.generation, back.protocol.as_str()), (8, "sticky"));
    assert_eq!(back.members[0].assignment, encode_assignment(1, &vec![("t".to_string(), vec![0])]));
    assert_eq!(decode_subscription(&back.members[0].subscription).expect("reads").topics, ["t"]);
}
