//! Members of the group `g` that say what a test wants them to.

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;

use super::{eventually, Broker, Raw, Setup};

pub const UNKNOWN_MEMBER_ID: i16 = 25;
pub const ILLEGAL_GENERATION: i16 = 22;
pub const INCONSISTENT_GROUP_PROTOCOL: i16 = 23;
pub const INVALID_GROUP_ID: i16 = 24;
pub const INVALID_SESSION_TIMEOUT: i16 = 26;
pub const REBALANCE_IN_PROGRESS: i16 = 27;
pub const MEMBER_ID_REQUIRED: i16 = 79;
pub const FENCED_INSTANCE_ID: i16 = 82;

pub const QUICK: &str = "\"group.initial.rebalance.delay.ms\" = 0
\"group.min.session.timeout.ms\" = 100
\"offsets.topic.num.partitions\" = 3";

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

pub fn group() -> GroupId {
    GroupId(text("g"))
}

pub fn join(
    client: &mut Raw,
    version: i16,
    member: &str,
    instance: Option<&str>,
) -> JoinGroupResponse {
    let request = join_request(member, instance, "range");
    client.ask(ApiKey::JoinGroup, version, &request)
}

pub fn join_request(member: &str, instance: Option<&str>, protocol: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text(protocol))
        .with_metadata(Bytes::from_static(b"what it wants"));
    JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(5_000)
        .with_rebalance_timeout_ms(5_000)
        .with_member_id(text(member))
        .with_group_instance_id(instance.map(text))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

pub fn sync(client: &mut Raw, member: &str, generation: i32, given: &[&str]) -> SyncGroupResponse {
    let assignment = |id: &&str| {
        SyncGroupRequestAssignment::default()
            .with_member_id(text(id))
            .with_assignment(Bytes::from(format!("for {id}")))
    };
    let request = SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(generation)
        .with_member_id(text(member))
        .with_assignments(given.iter().map(assignment).collect());
    client.ask(ApiKey::SyncGroup, 3, &request)
}

pub fn heartbeat(client: &mut Raw, member: &str, instance: Option<&str>, generation: i32) -> i16 {
    let request = HeartbeatRequest::default()
        .with_group_id(group())
        .with_generation_id(generation)
        .with_member_id(text(member))
        .with_group_instance_id(instance.map(text));
    client.ask::<HeartbeatResponse>(ApiKey::Heartbeat, 3, &request).error_code
}

/// A broker that serves the group `g`; `more`: lines for its configuration.
pub fn start(more: &str) -> Broker {
    let extra = format!("{QUICK}\n{more}");
    let broker = Broker::start(Setup { extra, ..Setup::new("single") });
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    let answer: FindCoordinatorResponse = broker.client().ask(ApiKey::FindCoordinator, 4, &request);
    assert_eq!(answer.coordinators[0].error_code, 0);
    let mut client = broker.client();
    eventually("the group is served", || {
        heartbeat(&mut client, "nobody", None, 0) == UNKNOWN_MEMBER_ID
    });
    broker
}
