//! Members that want more than there is, or say what makes no sense: they are told so, what they take is
//! bounded, and other groups do not notice.

mod support;

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::*;
use support::members::*;
use support::{Broker, Raw};

const MESSAGE_TOO_LARGE: i16 = 10;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const GROUP_MAX_SIZE_REACHED: i16 = 81;

/// A member of `g` at work, who must not notice anything.
struct Bystander {
    client: Raw,
    id: String,
}

impl Bystander {
    fn join(broker: &Broker) -> Bystander {
        let mut client = broker.client();
        let id = join(&mut client, 3, "", None).member_id.to_string();
        assert_eq!(sync(&mut client, &id, 1, &[&id]).error_code, 0);
        Bystander { client, id }
    }

    fn is_unharmed(&mut self) {
        assert_eq!(heartbeat(&mut self.client, &self.id, None, 1), 0);
    }
}

/// A join to a group of this name with so much metadata.
fn join_of(name: &str, metadata: usize) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from(vec![7; metadata]));
    join_request("", None, "range")
        .with_group_id(GroupId(text(name)))
        .with_protocols(vec![protocol])
}

fn ask(client: &mut Raw, request: &JoinGroupRequest) -> JoinGroupResponse {
    client.ask(ApiKey::JoinGroup, 3, request)
}

fn groups(client: &mut Raw) -> Vec<String> {
    let listed: ListGroupsResponse =
        client.ask(ApiKey::ListGroups, 4, &ListGroupsRequest::default());
    listed.groups.iter().map(|group| group.group_id.to_string()).collect()
}

#[test]
fn subscriptions_of_megabytes_are_refused_and_all_together_are_bounded() {
    let broker = start("");
    let mut bystander = Bystander::join(&broker);
    let mut client = broker.client();
    assert_eq!(ask(&mut client, &join_of("big", 10_000_000)).error_code, MESSAGE_TOO_LARGE);
    assert_eq!(groups(&mut client), ["g"]);
    // 256 MiB of memory, two shards, 5 % for groups of three protocols: two fit on each shard.
    let codes: Vec<i16> = (0..64)
        .map(|n| ask(&mut client, &join_of(&format!("group-{n}"), 1_000_000)).error_code)
        .collect();
    let fit = codes.iter().filter(|code| **code == 0).count();
    assert!((2..=8).contains(&fit), "{codes:?}");
    assert!(codes.iter().all(|code| [0, COORDINATOR_NOT_AVAILABLE].contains(code)), "{codes:?}");
    bystander.is_unharmed();
    // Their sessions end, and there is room again.
    support::eventually("there is room", || {
        ask(&mut client, &join_of("another", 1_000_000)).error_code == 0
    });
}

#[test]
fn a_group_has_no_more_members_than_it_may() {
    let broker = start("\"group.max.size\" = 1");
    let mut bystander = Bystander::join(&broker);
    let mut client = broker.client();
    let refused = join(&mut client, 3, "", None);
    assert_eq!((refused.error_code, &*refused.member_id), (GROUP_MAX_SIZE_REACHED, ""));
    bystander.is_unharmed();
}

#[test]
fn a_member_that_joins_and_dies_in_a_loop_leaves_nothing() {
    let broker = start("");
    let mut bystander = Bystander::join(&broker);
    for version in [3, 5] {
        for _ in 0..300 {
            let mut client = broker.client();
            let request = join_of("loop", 100).with_session_timeout_ms(200);
            client.send(ApiKey::JoinGroup, version, &request);
        }
    }
    let mut client = broker.client();
    support::eventually("nobody is in it", || {
        let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text("loop"))]);
        let found: DescribeGroupsResponse = client.ask(ApiKey::DescribeGroups, 4, &request);
        ["Empty", "Dead"].contains(&&*found.groups[0].group_state)
    });
    bystander.is_unharmed();
}

#[test]
fn names_that_are_too_long_do_no_harm_and_long_ones_are_kept() {
    let broker = start("");
    let mut bystander = Bystander::join(&broker);
    // Longer than a text may be, which only the flexible versions could say.
    let mut client = broker.client();
    let name = "n".repeat(40_000);
    client.try_send(ApiKey::JoinGroup, 6, &join_of(&name, 1));
    assert!(client.is_closed());
    // As long as it may be.
    let mut client = broker.client();
    client.client_id = "c".repeat(32_767);
    let name = "n".repeat(32_767);
    let joined = ask(&mut client, &join_of(&name, 1));
    assert_eq!(joined.error_code, 0);
    let (id, group_id) = (joined.member_id, GroupId(text(&name)));
    let request = SyncGroupRequest::default()
        .with_group_id(group_id.clone())
        .with_generation_id(1)
        .with_member_id(id.clone());
    let synced: SyncGroupResponse = client.ask(ApiKey::SyncGroup, 3, &request);
    assert_eq!(synced.error_code, 0);
    bystander.is_unharmed();
    let broker = broker.crash_and_restart();
    bystander.client = broker.client();
    support::eventually("it is there", || {
        heartbeat(&mut bystander.client, &bystander.id, None, 1) == 0
    });
    let request = HeartbeatRequest::default()
        .with_group_id(group_id)
        .with_generation_id(1)
        .with_member_id(id);
    let heard: HeartbeatResponse = bystander.client.ask(ApiKey::Heartbeat, 3, &request);
    assert_eq!(heard.error_code, 0);
}
