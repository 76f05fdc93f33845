"""A request of each API that means something, from which the generated cases are bent.

A template is called with the case's number, for names that only it uses, and with what its `needs`
made. Fields of all versions are given: the encoder takes those that a version has.
"""

import time

import records
from session import Both, LogDir, TopicId

SUBSCRIPTION = b"\0\1\0\0\0\1\0\5alpha\xff\xff\xff\xff\0\0\0\0"
ASSIGNMENT = b"\0\1\0\0\0\1\0\5alpha\0\0\0\1\0\0\0\0\xff\xff\xff\xff"
UNKNOWN_ID = "00000000-0000-0000-0000-00000000beef"
# An id as Kafka prints it, which members of share groups call themselves.
MEMBER = "AAAAAAAAAAAAAAAAAAAAAQ"


def instance(n):
    """An id of a client, which is asked by only once in a while."""
    return UNKNOWN_ID[:-8] + f"{n:08d}"


def produce(n, made):
    return {
        "Acks": -1, "TimeoutMs": 5000,
        "TopicData": [{"Name": f"t{n}", "TopicId": TopicId(f"t{n}"),
                       "PartitionData": [{"Index": 0, "Records": records.batch([b"a", b"b"])}]}],
    }


def fetch(n, made):
    return {
        "MaxWaitMs": 20, "MinBytes": 1, "MaxBytes": 1 << 20, "SessionEpoch": -1,
        "Topics": [{"Topic": "alpha", "TopicId": TopicId("alpha"), "Partitions": [
            {"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1 << 16}]}],
        "ForgottenTopicsData": [],
    }


def list_offsets(n, made):
    partitions = [{"PartitionIndex": 0, "Timestamp": -1}]
    return {"ReplicaId": -1, "TimeoutMs": 1000, "Topics": [{"Name": "alpha", "Partitions": partitions}]}


def metadata(n, made):
    return {"Topics": [{"Name": "alpha"}], "AllowAutoTopicCreation": False}


def offset_commit(n, made):
    partition = {"PartitionIndex": 0, "CommittedOffset": 5, "CommittedMetadata": "m"}
    return {"GroupId": f"g{n}", "GenerationIdOrMemberEpoch": -1, "RetentionTimeMs": -1,
            "Topics": [{"Name": "alpha", "TopicId": TopicId("alpha"), "Partitions": [partition]}]}


def offset_fetch(n, made):
    topics = [{"Name": "alpha", "TopicId": TopicId("alpha"), "PartitionIndexes": [0, 1]}]
    return {"GroupId": "grp", "Topics": topics, "Groups": [{"GroupId": "grp", "Topics": topics}]}


def join_group(n, made):
    return {"GroupId": f"g{n}", "SessionTimeoutMs": 10000, "RebalanceTimeoutMs": 3000, "ProtocolType": "consumer",
            "Protocols": [{"Name": "range", "Metadata": SUBSCRIPTION}]}


def of_member(n, made, **fields):
    return {"GroupId": f"g{n}", "GenerationId": made["generation"], "MemberId": made["member"], **fields}


def sync_group(n, made):
    assignments = [{"MemberId": made["member"], "Assignment": ASSIGNMENT}]
    return of_member(n, made, ProtocolType="consumer", ProtocolName="range", Assignments=assignments)


def leave_group(n, made):
    return of_member(n, made, Members=[{"MemberId": made["member"]}])


def create_topics(n, made):
    topic = {"Name": f"c{n}", "NumPartitions": 2, "ReplicationFactor": 1,
             "Configs": [{"Name": "retention.ms", "Value": "60000"}]}
    return {"Topics": [topic], "timeoutMs": 5000}


def delete_topics(n, made):
    return {"Topics": [{"Name": f"t{n}"}], "TopicNames": [f"t{n}"], "TimeoutMs": 5000}


def delete_records(n, made):
    return {"Topics": [{"Name": f"t{n}", "Partitions": [{"PartitionIndex": 0, "Offset": 2}]}], "TimeoutMs": 3000}


def leader_epoch(n, made):
    partition = {"Partition": 0, "LeaderEpoch": 0}
    return {"ReplicaId": -2, "Topics": [{"Topic": "alpha", "Partitions": [partition]}]}


def of_transaction(n, made, **fields):
    return {"TransactionalId": f"x{n}", "ProducerId": made["producer"], "ProducerEpoch": made["epoch"], **fields}


def add_partitions(n, made):
    topics = [{"Name": "alpha", "Partitions": [0, 1]}]
    old = {f"V3AndBelow{key}": value for key, value in of_transaction(n, made, Topics=topics).items()}
    return {"Transactions": [of_transaction(n, made, Topics=topics, VerifyOnly=False)], **old}


def txn_offset_commit(n, made):
    partition = {"PartitionIndex": 0, "CommittedOffset": 5}
    topics = [{"Name": "alpha", "Partitions": [partition]}]
    return of_transaction(n, made, GroupId=f"g{n}", GenerationId=-1, Topics=topics)


def write_markers(n, made):
    topics = [{"Name": f"t{n}", "PartitionIndexes": [0]}]
    marker = {"ProducerId": 900000 + n, "ProducerEpoch": 0, "TransactionResult": True, "Topics": topics}
    return {"Markers": [marker]}


def describe_configs(n, made):
    keys = ["retention.ms", "cleanup.policy"]
    return {"Resources": [{"ResourceType": 2, "ResourceName": "alpha", "ConfigurationKeys": keys}]}


def alter_configs(n, made):
    config = {"Name": "retention.ms", "Value": "70000", "ConfigOperation": 0}
    return {"Resources": [{"ResourceType": 2, "ResourceName": f"t{n}", "Configs": [config]}]}


def share_fetch(n, made):
    return {"GroupId": f"g{n}", "MemberId": MEMBER, "MaxWaitMs": 300, "MinBytes": 1, "MaxBytes": 1 << 20,
            "MaxRecords": 10, "BatchSize": 10,
            "Topics": [{"TopicId": TopicId("alpha"), "Partitions": [{"PartitionIndex": 0}]}]}


def share_acknowledge(n, made):
    judged = {"PartitionIndex": 0, "AcknowledgementBatches": [
        {"FirstOffset": 0, "LastOffset": 0, "AcknowledgeTypes": [1]}]}
    return {"GroupId": f"g{n}", "MemberId": MEMBER, "ShareSessionEpoch": made["epoch"],
            "Topics": [{"TopicId": TopicId("alpha"), "Partitions": [judged]}]}


def consumer_heartbeat(n, made):
    return {"GroupId": f"g{n}", "MemberId": f"member-{n}", "RebalanceTimeoutMs": 10000,
            "SubscribedTopicNames": ["alpha"], "TopicPartitions": []}


# API: (what it needs, its template). Needs: topic (t<n>, one partition), records (three in it), group
# (g<n>, with one committed offset), member (one that joined g<n>), producer (of transactional id x<n>),
# share (a share group g<n> with a member, whose partitions are ready), session (that has fetched records).
TEMPLATES = {
    "Produce": ("topic", produce),
    "Fetch": ("", fetch),
    "ListOffsets": ("", list_offsets),
    "Metadata": ("", metadata),
    "OffsetCommit": ("", offset_commit),
    "OffsetFetch": ("", offset_fetch),
    "FindCoordinator": ("", lambda n, made: {"Key": "grp", "CoordinatorKeys": ["grp", "other"]}),
    "JoinGroup": ("", join_group),
    "Heartbeat": ("member", of_member),
    "LeaveGroup": ("member", leave_group),
    "SyncGroup": ("member", sync_group),
    "DescribeGroups": ("", lambda n, made: {"Groups": ["grp"]}),
    "ListGroups": ("", lambda n, made: {"StatesFilter": ["Stable"], "TypesFilter": ["classic"]}),
    "ApiVersions": ("", lambda n, made: {"ClientSoftwareName": "parity", "ClientSoftwareVersion": "1.0"}),
    "CreateTopics": ("", create_topics),
    "DeleteTopics": ("topic", delete_topics),
    "DeleteRecords": ("topic records", delete_records),
    "InitProducerId": ("", lambda n, made: {"TransactionalId": f"x{n}", "TransactionTimeoutMs": 60000}),
    "OffsetForLeaderEpoch": ("", leader_epoch),
    "AddPartitionsToTxn": ("producer", add_partitions),
    "AddOffsetsToTxn": ("producer", lambda n, made: of_transaction(n, made, GroupId=f"g{n}")),
    "EndTxn": ("producer", lambda n, made: of_transaction(n, made, Committed=True)),
    "WriteTxnMarkers": ("topic", write_markers),
    "TxnOffsetCommit": ("producer", txn_offset_commit),
    "DescribeConfigs": ("", describe_configs),
    "AlterConfigs": ("topic", alter_configs),
    "IncrementalAlterConfigs": ("topic", alter_configs),
    "AlterReplicaLogDirs": ("topic", lambda n, made: {
        "Dirs": [{"Path": LogDir(0), "Topics": [{"Name": f"t{n}", "Partitions": [0]}]}]}),
    "DescribeLogDirs": ("", lambda n, made: {"Topics": [{"Topic": "alpha", "Partitions": [0, 1, 2]}]}),
    "CreatePartitions": ("topic", lambda n, made: {"Topics": [{"Name": f"t{n}", "Count": 3, "Assignments": None}], "TimeoutMs": 5000}),
    "DeleteGroups": ("group", lambda n, made: {"GroupsNames": [f"g{n}"]}),
    "OffsetDelete": ("group", lambda n, made: {
        "GroupId": f"g{n}", "Topics": [{"Name": "alpha", "Partitions": [{"PartitionIndex": 0}]}]}),
    "ElectLeaders": ("", lambda n, made: {
        "TopicPartitions": [{"Topic": "alpha", "Partitions": [0]}], "TimeoutMs": 1000}),
    "AlterPartitionReassignments": ("topic", lambda n, made: {"TimeoutMs": 1000, "Topics": [
        {"Name": f"t{n}", "Partitions": [{"PartitionIndex": 0, "Replicas": [1]}]}]}),
    "ListPartitionReassignments": ("", lambda n, made: {
        "TimeoutMs": 1000, "Topics": [{"Name": "alpha", "PartitionIndexes": [0]}]}),
    "DescribeClientQuotas": ("", lambda n, made: {
        "Components": [{"EntityType": "user", "MatchType": 0, "Match": "nobody"}]}),
    "AlterClientQuotas": ("", lambda n, made: {"Entries": [{
        "Entity": [{"EntityType": "user", "EntityName": f"u{n}"}],
        "Ops": [{"Key": "producer_byte_rate", "Value": 1e6, "Remove": False}]}]}),
    "DescribeUserScramCredentials": ("", lambda n, made: {"Users": [{"Name": "nobody"}]}),
    "DescribeQuorum": ("", lambda n, made: {
        "Topics": [{"TopicName": "__cluster_metadata", "Partitions": [{"PartitionIndex": 0}]}]}),
    "UpdateFeatures": ("", lambda n, made: {"timeoutMs": 1000, "ValidateOnly": True, "FeatureUpdates": [
        {"Feature": "group.version", "MaxVersionLevel": 1, "UpgradeType": 1}]}),
    "UnregisterBroker": ("", lambda n, made: {"BrokerId": 77}),
    "DescribeCluster": ("", lambda n, made: {"EndpointType": 1}),
    "DescribeProducers": ("", lambda n, made: {"Topics": [{"Name": "alpha", "PartitionIndexes": [0]}]}),
    "DescribeTransactions": ("producer", lambda n, made: {"TransactionalIds": [f"x{n}"]}),
    "ListTransactions": ("", lambda n, made: {"StateFilters": ["Ongoing"], "DurationFilter": -1}),
    "ConsumerGroupHeartbeat": ("", consumer_heartbeat),
    "ConsumerGroupDescribe": ("", lambda n, made: {"GroupIds": ["grp"]}),
    "ShareGroupHeartbeat": ("", lambda n, made: {
        "GroupId": f"g{n}", "MemberId": MEMBER, "SubscribedTopicNames": ["alpha"]}),
    "ShareGroupDescribe": ("", lambda n, made: {"GroupIds": ["grp"]}),
    "ShareFetch": ("share", share_fetch),
    "ShareAcknowledge": ("share session", share_acknowledge),
    "GetTelemetrySubscriptions": ("", lambda n, made: {"ClientInstanceId": instance(n)}),
    "PushTelemetry": ("", lambda n, made: {"ClientInstanceId": instance(n), "Metrics": b"x"}),
    "ListConfigResources": ("", lambda n, made: {"ResourceTypes": [2]}),
    "DescribeTopicPartitions": ("", lambda n, made: {
        "Topics": [{"Name": "alpha"}], "ResponsePartitionLimit": 10, "Cursor": None}),
    "DescribeShareGroupOffsets": ("", lambda n, made: {
        "Groups": [{"GroupId": "nobody", "Topics": [{"TopicName": "alpha", "Partitions": [0]}]}]}),
    "AlterShareGroupOffsets": ("share left", lambda n, made: {
        "GroupId": f"g{n}", "Topics": [{"TopicName": "alpha", "Partitions": [{"PartitionIndex": 0, "StartOffset": 1}]}]}),
    "DeleteShareGroupOffsets": ("share left", lambda n, made: {"GroupId": f"g{n}", "Topics": [{"TopicName": "alpha"}]}),
}


def prepare(session, needs, n):
    """Makes what a template needs; topics were made before, many at once."""
    made = {}
    if "records" in needs:
        body = produce(n, made)
        body["TopicData"][0]["PartitionData"][0]["Records"] = records.batch([b"a", b"b", b"c"])
        session.ask("Produce", 9, quiet=True, patient=True, **body)
    if "group" in needs:
        session.ask("OffsetCommit", 8, quiet=True, patient=True, **offset_commit(n, made))
    if "member" in needs:
        body = session.ask("JoinGroup", 3, quiet=True, patient=True, **join_group(n, made))
        made.update(generation=body["GenerationId"], member=body["MemberId"])
    if "producer" in needs:
        fields = {"TransactionalId": f"x{n}", "TransactionTimeoutMs": 60000}
        body = session.ask("InitProducerId", 4, quiet=True, patient=True, **fields)
        made.update(producer=body["ProducerId"], epoch=body["ProducerEpoch"])
    if "share" in needs:
        join_share_group(session, f"g{n}", MEMBER, ["alpha"])
    if "left" in needs:
        gone = {"GroupId": f"g{n}", "MemberId": MEMBER, "MemberEpoch": -1}
        session.ask("ShareGroupHeartbeat", 1, quiet=True, patient=True, **gone)
    if "session" in needs:
        made["epoch"] = Both(*(open_share_session(side, share_fetch(n, made)) for side in session.sides))
    return made


def join_share_group(session, group, member, topics):
    """Until both brokers have assigned something: Kafka readies partitions behind the first heartbeat."""
    earliest = {"Name": "share.auto.offset.reset", "ConfigOperation": 0, "Value": "earliest"}
    resource = {"ResourceType": 32, "ResourceName": group, "Configs": [earliest]}
    for side in session.sides:
        side.ask("IncrementalAlterConfigs", 1, {"Resources": [resource]})
        who, epoch, asked = {"GroupId": group, "MemberId": member}, 0, topics
        for _ in range(300):
            body = side.ask("ShareGroupHeartbeat", 1, who | {"MemberEpoch": epoch, "SubscribedTopicNames": asked})
            if body["ErrorCode"] == 0:
                epoch, asked = body["MemberEpoch"], None
            if body["Assignment"] and body["Assignment"]["TopicPartitions"]:
                break
            time.sleep(0.01)


def open_share_session(side, fetch):
    """The session's next epoch, once it has got records."""
    for epoch in range(50):
        body = side.ask("ShareFetch", 1, fetch | {"ShareSessionEpoch": epoch}, name="")
        if any(p["AcquiredRecords"] for topic in body["Responses"] for p in topic["Partitions"]):
            break
    return epoch + 1
