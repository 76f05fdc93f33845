"""Conversations with state, the same with both brokers."""

import gzip

import records
from generate import Case
from session import Both, LogDir, TopicId
from valid import ASSIGNMENT, SUBSCRIPTION

NULL_ID = "00000000-0000-0000-0000-000000000000"


def all():
    import conversations

    rooms = (globals(), vars(conversations))
    return [of(f) for room in rooms for name, f in room.items() if name.startswith("scenario_")]


def last():
    """What leaves the brokers not as they were."""
    from conversations import deleting_topics_of_the_broker

    return [of(deleting_topics_of_the_broker)]


def of(function):
    return Case("flow/" + function.__name__.removeprefix("scenario_").replace("_", "-"), "flow", "", function)


def produce(s, topic, batch, *, version=9, partition=0, acks=-1, transactional=None, on=""):
    data = [{"Name": topic, "TopicId": TopicId(topic), "PartitionData": [{"Index": partition, "Records": batch}]}]
    return s.ask("Produce", version, on=on, TransactionalId=transactional, Acks=acks, TimeoutMs=5000, TopicData=data)


def fetch(s, topic, offset, *, version=12, partition=0, isolation=0, most=1 << 20, **fields):
    part = {"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": most}
    topics = [{"Topic": topic, "TopicId": TopicId(topic), "Partitions": [part]}]
    return s.ask("Fetch", version, MaxWaitMs=20, MinBytes=1, MaxBytes=most, IsolationLevel=isolation,
                 SessionEpoch=-1, Topics=topics, **fields)


def read_all(s, topic, at, isolation):
    """All that a consumer would see from an offset on: fetches, each from where the shorter one ended, since
    just after a transaction's end Kafka returns less at a time."""
    while True:
        answers = fetch(s, topic, at, isolation=isolation)
        ends = [end_of(body) for body in (answers.kafka, answers.corelane)]
        if None in ends or min(ends) <= at:
            break
        at = min(ends)


def end_of(body):
    """The offset behind the last record that was fetched, if any was."""
    found = records.summary(body["Responses"][0]["Partitions"][0]["Records"] or b"")
    return found[-1]["BaseOffset"] + found[-1]["LastOffsetDelta"] + 1 if found else None


def offsets(s, topic, times, *, partition=0, version=9, isolation=0):
    for time in times:
        part = {"PartitionIndex": partition, "Timestamp": time}
        s.ask("ListOffsets", version, ReplicaId=-1, IsolationLevel=isolation, Topics=[{"Name": topic, "Partitions": [part]}])


def describe(s, topic, keys=None, **fields):
    resource = {"ResourceType": 2, "ResourceName": topic, "ConfigurationKeys": keys}
    return s.ask("DescribeConfigs", 4, Resources=[resource], **fields)


def alter(s, name, changes, kind=2, validate=False):
    configs = [{"Name": key, "ConfigOperation": operation, "Value": value} for key, operation, value in changes]
    resource = {"ResourceType": kind, "ResourceName": name, "Configs": configs}
    return s.ask("IncrementalAlterConfigs", 1, Resources=[resource], ValidateOnly=validate)


def commit(s, group, partitions, *, version=8, **fields):
    parts = [{"PartitionIndex": p, "CommittedOffset": o, "CommittedMetadata": m} for p, o, m in partitions]
    topics = [{"Name": "alpha", "TopicId": TopicId("alpha"), "Partitions": parts}]
    fields = {"GenerationIdOrMemberEpoch": -1} | fields
    return s.ask("OffsetCommit", version, patient=True, GroupId=group, Topics=topics, **fields)


def committed(s, group, *, version=8, topics=None, **fields):
    asked = {"GroupId": group, "Topics": topics} | fields
    return s.ask("OffsetFetch", version, Groups=[asked], GroupId=group, Topics=topics)


def scenario_life_of_a_topic(s):
    spec = {"Name": "life", "NumPartitions": 2, "ReplicationFactor": 1,
            "Configs": [{"Name": "retention.ms", "Value": "60000"}]}
    s.ask("CreateTopics", 7, Topics=[spec], timeoutMs=5000, validateOnly=True)
    s.ask("CreateTopics", 7, Topics=[spec], timeoutMs=5000)
    s.settle(["life"], 2)
    s.ask("CreateTopics", 7, Topics=[spec], timeoutMs=5000)
    s.ask("Metadata", 12, Topics=[{"Name": "life"}], AllowAutoTopicCreation=False)
    for count in (1, 2, 5):
        s.ask("CreatePartitions", 3, Topics=[{"Name": "life", "Count": count, "Assignments": None}], TimeoutMs=5000)
    s.settle(["life"], 5)
    s.ask("CreatePartitions", 3, TimeoutMs=5000, Topics=[
        {"Name": "life", "Count": 6, "Assignments": [{"BrokerIds": [9]}]}])
    s.ask("CreatePartitions", 3, TimeoutMs=5000, ValidateOnly=True, Topics=[
        {"Name": "life", "Count": 6, "Assignments": [{"BrokerIds": [1]}]}])
    s.ask("Metadata", 12, Topics=[{"Name": "life"}], AllowAutoTopicCreation=False)
    describe(s, "life", ["retention.ms"], IncludeSynonyms=True)
    s.ask("DeleteTopics", 6, Topics=[{"Name": "life"}], TimeoutMs=5000)
    s.gone("life")
    s.ask("Metadata", 12, Topics=[{"Name": "life"}], AllowAutoTopicCreation=False)
    s.ask("DeleteTopics", 6, Topics=[{"Name": "life"}], TimeoutMs=5000)


def scenario_topics_that_cannot_be(s):
    def create(**fields):
        spec = {"Name": "cannot-be", "NumPartitions": 1, "ReplicationFactor": 1} | fields
        s.ask("CreateTopics", 7, Topics=[spec], timeoutMs=5000, validateOnly=True)

    create(ReplicationFactor=2)
    create(ReplicationFactor=0)
    create(NumPartitions=0)
    create(NumPartitions=-1, ReplicationFactor=-1)
    create(NumPartitions=100001)
    create(Name="__consumer_offsets")
    for key, value in (("retention.ms", "soon"), ("retention.ms", "-2"), ("cleanup.policy", "burn"), ("no.such", "1"),
                       ("cleanup.policy", ""), ("segment.bytes", "1"), ("max.message.bytes", "-1"), ("retention.ms", None),
                       ("compression.type", "rar"), ("min.cleanable.dirty.ratio", "2"), ("message.timestamp.type", "never"),
                       ("cleanup.policy", "compact,delete"), ("preallocate", "perhaps"), ("segment.ms", "0"),
                       ("min.insync.replicas", "0"), ("min.compaction.lag.ms", "10"), ("flush.messages", "0")):
        create(Configs=[{"Name": key, "Value": value}])
    create(Configs=[{"Name": "max.compaction.lag.ms", "Value": "5"}, {"Name": "min.compaction.lag.ms", "Value": "6"}])
    for brokers in ([[1]], [[1], [1]], [[2]], [[1, 1]], [[]], [[1, 2]]):
        assignments = [{"PartitionIndex": at, "BrokerIds": ids} for at, ids in enumerate(brokers)]
        create(NumPartitions=-1, ReplicationFactor=-1, Assignments=assignments)
    create(Assignments=[{"PartitionIndex": 0, "BrokerIds": [1]}])
    create(NumPartitions=-1, ReplicationFactor=-1, Assignments=[{"PartitionIndex": 1, "BrokerIds": [1]}])


def scenario_records_in_and_out(s):
    s.topics(["records"])
    for version in (3, 5, 7, 9, 11, 12, 13):
        produce(s, "records", records.batch([b"%d" % version, b"x"], key=b"k"), version=version)
    zipped = gzip.compress(b"".join(records.record(i, b"packed") for i in range(3)), mtime=0)
    produce(s, "records", records.batch([b""] * 3, attributes=1, body=zipped))
    produce(s, "records", records.batch([b"with headers"], body=records.record(0, b"v", b"k", [(b"h", b"1"), (b"h", None)])))
    produce(s, "records", records.batch([b"no value"], body=records.record(0, None, b"k")))
    produce(s, "records", records.batch([b"unheard"]), acks=0)
    produce(s, "records", records.batch([b"one"]), acks=1)
    for version in (4, 7, 11, 12, 13, 16, 17, 18):
        fetch(s, "records", 0, version=version)
    fetch(s, "records", 5)
    fetch(s, "records", 20)
    fetch(s, "records", 21)
    fetch(s, "records", 1000)
    fetch(s, "records", -1)
    fetch(s, "records", 0, most=1)
    fetch(s, "records", 3, isolation=1)
    fetch(s, "records", 0, partition=7)
    offsets(s, "records", (-1, -2, -3, -4, 0, records.TIME, records.TIME + 1))
    s.ask("OffsetForLeaderEpoch", 4, ReplicaId=-2, Topics=[{"Topic": "records", "Partitions": [
        {"Partition": 0, "LeaderEpoch": 0}, {"Partition": 1, "LeaderEpoch": 0}]}])
    s.ask("DescribeLogDirs", 4, Topics=[{"Topic": "records", "Partitions": [0]}])


def scenario_records_deleted(s):
    s.topics(["trimmed"])
    for at in range(4):
        produce(s, "trimmed", records.batch([b"%d" % at] * 5, time=records.TIME + at))

    def delete(offset):
        topics = [{"Name": "trimmed", "Partitions": [{"PartitionIndex": 0, "Offset": offset}]}]
        s.ask("DeleteRecords", 2, Topics=topics, TimeoutMs=5000)

    for offset in (3, 2, 21, -2, 10):
        delete(offset)
        offsets(s, "trimmed", (-2, -1))
    fetch(s, "trimmed", 0)
    fetch(s, "trimmed", 10)
    offsets(s, "trimmed", (0, records.TIME, records.TIME + 2))
    delete(-1)
    offsets(s, "trimmed", (-2, -1, -3))
    fetch(s, "trimmed", 20)


def scenario_idempotent_producer(s):
    s.topics(["idempotent"])
    made = s.ask("InitProducerId", 4, patient=True, TransactionalId=None, TransactionTimeoutMs=60000)
    producer = made["ProducerId"]

    def send(sequence, values=(b"a", b"b"), epoch=0):
        batch = producer.map(lambda pid: records.batch(list(values), producer=pid, producer_epoch=epoch, sequence=sequence))
        produce(s, "idempotent", batch)

    send(0)
    send(0)
    send(2)
    send(6)
    send(1)
    send(4, epoch=1)
    send(0, epoch=1)
    send(2, epoch=0)
    s.ask("DescribeProducers", 0, Topics=[{"Name": "idempotent", "PartitionIndexes": [0]}])
    fetch(s, "idempotent", 0)
    again = {"ProducerId": producer, "ProducerEpoch": 1}
    s.ask("InitProducerId", 4, TransactionalId=None, TransactionTimeoutMs=60000, **again)


def scenario_fetch_sessions(s):
    s.topics(["session"], 2)
    produce(s, "session", records.batch([b"a"]))
    parts = [{"Partition": p, "FetchOffset": 0, "PartitionMaxBytes": 1000} for p in (0, 1)]

    def ask(session, epoch, topics=(), forget=()):
        topics = [{"Topic": "session", "TopicId": TopicId("session"), "Partitions": list(topics)}] if topics else []
        forget = [{"Topic": "session", "TopicId": TopicId("session"), "Partitions": list(forget)}] if forget else []
        return s.ask("Fetch", 12, MaxWaitMs=20, MinBytes=1, MaxBytes=10000, SessionId=session, SessionEpoch=epoch,
                     Topics=topics, ForgottenTopicsData=forget)

    session = ask(0, 0, parts)["SessionId"]
    ask(session, 1)
    produce(s, "session", records.batch([b"b"]), partition=1)
    ask(session, 2)
    ask(session, 3, [parts[0] | {"FetchOffset": 1}])
    ask(session, 3)
    ask(session, 7)
    ask(session, 4, forget=[1])
    ask(session, 5)
    ask(session, -1)
    ask(session, 6)
    ask(12345, 1)


def scenario_offsets_without_members(s):
    group = "plain"
    committed(s, group)
    commit(s, group, [(0, 5, "m"), (1, 6, None), (2, -1, ""), (9, 1, "")])
    for version in range(2, 10):
        commit(s, group, [(0, 10 + version, f"v{version}")], version=version, RetentionTimeMs=-1)
    commit(s, group, [(0, 1, "x" * 5000)])
    for version in range(1, 10):
        committed(s, group, version=version, topics=[{"Name": "alpha", "PartitionIndexes": [0, 1, 2, 77]}])
    committed(s, group, version=2)
    committed(s, group, version=9)
    commit(s, group, [(0, 1, "")], GenerationIdOrMemberEpoch=3, MemberId="ghost")
    commit(s, group, [(0, 1, "")], MemberId="ghost")
    s.ask("DescribeGroups", 5, Groups=[group])
    s.ask("DescribeGroups", 6, Groups=[group])
    s.ask("ConsumerGroupDescribe", 1, GroupIds=[group])
    s.ask("ListGroups", 5)
    s.ask("OffsetDelete", 0, GroupId=group, Topics=[{"Name": "alpha", "Partitions": [
        {"PartitionIndex": 1}, {"PartitionIndex": 55}]}, {"Name": "nowhere", "Partitions": [{"PartitionIndex": 0}]}])
    committed(s, group, version=9)
    s.ask("DeleteGroups", 2, GroupsNames=[group, "never-was"])
    committed(s, group, version=9)
    s.ask("DescribeGroups", 6, Groups=[group])
    s.ask("OffsetDelete", 0, GroupId=group, Topics=[])


def joining(group, member="", **fields):
    protocols = [{"Name": "range", "Metadata": SUBSCRIPTION}, {"Name": "roundrobin", "Metadata": SUBSCRIPTION}]
    return {"GroupId": group, "SessionTimeoutMs": 10000, "RebalanceTimeoutMs": 10000, "MemberId": member,
            "ProtocolType": "consumer", "Protocols": protocols} | fields


def scenario_classic_group(s):
    group = "classic"
    first = s.ask("JoinGroup", 9, patient=True, **joining(group))["MemberId"]
    joined = s.ask("JoinGroup", 9, **joining(group, first))
    generation = joined["GenerationId"]
    me = {"GroupId": group, "GenerationId": generation, "MemberId": first}
    s.ask("Heartbeat", 4, **me)
    s.ask("DescribeGroups", 5, Groups=[group])
    commit(s, group, [(0, 1, "")], GenerationIdOrMemberEpoch=generation, MemberId=first)
    agreed = {"ProtocolType": "consumer", "ProtocolName": "range"}
    s.ask("SyncGroup", 5, **me | agreed | {"ProtocolName": "roundrobin"}, Assignments=[])
    s.ask("SyncGroup", 5, **me | agreed | {"GenerationId": 9}, Assignments=[])
    s.ask("SyncGroup", 5, **me | agreed, Assignments=[{"MemberId": first, "Assignment": ASSIGNMENT}])
    s.ask("SyncGroup", 5, **me | agreed, Assignments=[])
    s.ask("Heartbeat", 4, **me)
    s.ask("Heartbeat", 4, **me | {"GenerationId": 7})
    s.ask("Heartbeat", 4, **me | {"MemberId": "stranger"})
    for version in (2, 5, 6, 7, 8, 9):
        commit(s, group, [(0, version, "mine")], version=version, GenerationIdOrMemberEpoch=generation, MemberId=first)
    commit(s, group, [(0, 1, "")], GenerationIdOrMemberEpoch=7, MemberId=first)
    commit(s, group, [(0, 1, "")], GenerationIdOrMemberEpoch=generation, MemberId="stranger")
    commit(s, group, [(0, 1, "")])
    committed(s, group)
    s.ask("DescribeGroups", 6, Groups=[group])
    s.ask("ConsumerGroupDescribe", 1, GroupIds=[group])
    s.ask("ShareGroupDescribe", 1, GroupIds=[group])
    s.ask("ListGroups", 5, StatesFilter=["stable"])
    s.ask("DeleteGroups", 2, GroupsNames=[group])
    s.ask("OffsetDelete", 0, GroupId=group, Topics=[{"Name": "alpha", "Partitions": [{"PartitionIndex": 0}]}])
    s.ask("JoinGroup", 9, **joining(group, ProtocolType="connect"))
    s.ask("JoinGroup", 9, **joining(group, Protocols=[{"Name": "sticky", "Metadata": b""}]))
    s.ask("JoinGroup", 9, **joining(group, Protocols=[]))
    s.ask("JoinGroup", 9, **joining(group, "stranger"))
    s.ask("JoinGroup", 9, **joining(group, SessionTimeoutMs=5))
    second = s.ask("JoinGroup", 9, **joining(group))["MemberId"]
    waiting = s.send("JoinGroup", 9, on="second", **joining(group, second))
    s.until_rebalancing(me)
    s.ask("Heartbeat", 4, **me)
    s.ask("ListGroups", 5, StatesFilter=["PreparingRebalance"])
    commit(s, group, [(0, 2, "late")], GenerationIdOrMemberEpoch=generation, MemberId=first)
    rejoined = s.ask("JoinGroup", 9, **joining(group, first))
    s.receive(waiting)
    s.ask("ListGroups", 5, StatesFilter=["CompletingRebalance"])
    me["GenerationId"] = rejoined["GenerationId"]
    following = s.send("SyncGroup", 5, on="second", **me | agreed | {"MemberId": second}, Assignments=[])
    s.ask("SyncGroup", 5, **me | agreed, Assignments=[
        {"MemberId": first, "Assignment": ASSIGNMENT}, {"MemberId": second, "Assignment": b"two"}])
    s.receive(following)
    s.ask("LeaveGroup", 5, GroupId=group, Members=[{"MemberId": second}, {"MemberId": "stranger"}])
    s.ask("Heartbeat", 4, **me | {"MemberId": second})
    s.ask("LeaveGroup", 2, GroupId=group, MemberId=first)
    s.ask("DescribeGroups", 6, Groups=[group])
    s.ask("LeaveGroup", 2, GroupId=group, MemberId=first)
    s.ask("DeleteGroups", 2, GroupsNames=[group])


def scenario_static_members(s):
    group = "static"
    static = {"GroupInstanceId": "one"}
    first = s.ask("JoinGroup", 9, patient=True, **joining(group) | static)
    me = {"GroupId": group, "GenerationId": first["GenerationId"], "MemberId": first["MemberId"]} | static
    agreed = {"ProtocolType": "consumer", "ProtocolName": "range"}
    s.ask("SyncGroup", 5, **me | agreed, Assignments=[{"MemberId": first["MemberId"], "Assignment": ASSIGNMENT}])
    again = s.ask("JoinGroup", 9, **joining(group) | static)
    s.ask("Heartbeat", 4, **me)
    s.ask("Heartbeat", 4, **me | {"MemberId": again["MemberId"], "GenerationId": again["GenerationId"]})
    commit(s, group, [(0, 1, "")], GenerationIdOrMemberEpoch=me["GenerationId"], MemberId=me["MemberId"], **static)
    s.ask("Heartbeat", 4, **me | {"GroupInstanceId": "other"})
    s.ask("JoinGroup", 9, **joining(group, me["MemberId"]) | static)
    s.ask("DescribeGroups", 5, Groups=[group])
    s.ask("LeaveGroup", 5, GroupId=group, Members=[{"MemberId": "", "GroupInstanceId": "nobody"}])
    s.ask("LeaveGroup", 5, GroupId=group, Members=[{"MemberId": "", "GroupInstanceId": "one"}])
    s.ask("DescribeGroups", 5, Groups=[group])


def scenario_consumer_group(s):
    group = "modern"

    def beat(member, epoch, **fields):
        fields = {"RebalanceTimeoutMs": -1, "SubscribedTopicNames": None, "TopicPartitions": None} | fields
        return s.ask("ConsumerGroupHeartbeat", 1, patient=True, GroupId=group, MemberId=member, MemberEpoch=epoch, **fields)

    full = {"RebalanceTimeoutMs": 10000, "SubscribedTopicNames": ["alpha"], "TopicPartitions": []}
    beat("one", 0, **full)
    beat("one", 1)
    owned = [{"TopicId": TopicId("alpha"), "Partitions": [0, 1, 2]}]
    beat("one", 1, TopicPartitions=owned)
    beat("one", 5)
    beat("stranger", 1)
    beat("one", 1, ServerAssignor="nobody")
    beat("one", 1, SubscribedTopicRegex="(")
    s.ask("ConsumerGroupDescribe", 1, GroupIds=[group, "never-was"])
    s.ask("DescribeGroups", 6, Groups=[group])
    s.ask("ListGroups", 5, TypesFilter=["consumer"])
    for version in (8, 9):
        commit(s, group, [(0, 4, "by epoch")], version=version, GenerationIdOrMemberEpoch=1, MemberId="one")
    commit(s, group, [(0, 4, "")], version=9, GenerationIdOrMemberEpoch=7, MemberId="one")
    commit(s, group, [(0, 4, "")], version=9, GenerationIdOrMemberEpoch=1, MemberId="stranger")
    commit(s, group, [(0, 4, "")], version=9)
    committed(s, group, version=9, MemberId="one", MemberEpoch=1)
    committed(s, group, version=9, MemberId="one", MemberEpoch=9)
    committed(s, group, version=9, MemberId="stranger", MemberEpoch=1)
    s.ask("JoinGroup", 9, **joining(group))
    s.ask("Heartbeat", 4, GroupId=group, GenerationId=1, MemberId="one")
    s.ask("DeleteGroups", 2, GroupsNames=[group])
    beat("two", 0, **full)
    beat("one", 1)
    beat("one", -1)
    beat("one", 1)
    beat("two", -1)
    s.ask("ConsumerGroupDescribe", 1, GroupIds=[group])
    s.ask("DeleteGroups", 2, GroupsNames=[group])
    static = {"InstanceId": "inst"}
    beat("three", 0, **full, **static)
    beat("four", 0, **full, **static)
    beat("three", -2, **static)
    beat("four", 0, **full, **static)
    beat("three", 1, **static)
    beat("four", -1, **static)


def scenario_share_group(s):
    member = "AAAAAAAAAAAAAAAAAAAAAg"

    def beat(epoch, who=member, **fields):
        return s.ask("ShareGroupHeartbeat", 1, patient=True, GroupId="shared", MemberId=who, MemberEpoch=epoch, **fields)

    beat(0, SubscribedTopicNames=["alpha"])
    beat(1, SubscribedTopicNames=None)
    beat(9, SubscribedTopicNames=None)
    beat(1, who="stranger", SubscribedTopicNames=None)
    s.ask("ShareGroupDescribe", 1, GroupIds=["never-was"])
    s.ask("DescribeGroups", 6, Groups=["shared"])
    s.ask("ListGroups", 5, TypesFilter=["share"])
    s.ask("DeleteGroups", 2, GroupsNames=["shared"])
    beat(-1, SubscribedTopicNames=None)
    beat(1, SubscribedTopicNames=None)
    s.ask("ShareGroupDescribe", 1, GroupIds=["shared"])
    s.ask("DeleteGroups", 2, GroupsNames=["shared"])


def scenario_transaction(s):
    s.topics(["txn"], 2)
    name = "tx-one"
    made = s.ask("InitProducerId", 4, patient=True, TransactionalId=name, TransactionTimeoutMs=60000)
    who = {"ProducerId": made["ProducerId"], "ProducerEpoch": made["ProducerEpoch"]}
    old = {f"V3AndBelow{key}": value for key, value in who.items()}
    s.ask("DescribeTransactions", 0, TransactionalIds=[name, "never-was"])
    s.ask("EndTxn", 3, TransactionalId=name, Committed=True, **who)

    def add(partitions=(0, 1), topic="txn"):
        topics = [{"Name": topic, "Partitions": list(partitions)}]
        s.ask("AddPartitionsToTxn", 3, patient=True, V3AndBelowTransactionalId=name, V3AndBelowTopics=topics, **old)

    def send(value, sequence, partition=0, *, of=name, attributes=0x10, version=9):
        batch = Both(*(records.batch([value], producer=pid, producer_epoch=epoch, sequence=sequence, attributes=attributes,
                                     time=records.NOW)
                       for pid, epoch in ((who["ProducerId"].kafka, who["ProducerEpoch"].kafka),
                                          (who["ProducerId"].corelane, who["ProducerEpoch"].corelane))))
        produce(s, "txn", batch, partition=partition, transactional=of, version=version)

    def end(commit, version=3):
        s.ask("EndTxn", version, patient=True, TransactionalId=name, Committed=commit, **who)
        s.ask("DescribeTransactions", 0, quiet=True, TransactionalIds=[name])

    send(b"not added", 0)
    add(topic="nowhere")
    add()
    s.ask("DescribeTransactions", 0, TransactionalIds=[name])
    send(b"a", 0)
    send(b"no id", 0, 1, of=None)
    send(b"b", 0, 1)
    s.ask("AddOffsetsToTxn", 3, patient=True, TransactionalId=name, GroupId="txn-group", **who)
    part = {"PartitionIndex": 0, "CommittedOffset": 3, "CommittedMetadata": "t"}
    topics = [{"Name": "alpha", "Partitions": [part]}]
    s.ask("TxnOffsetCommit", 3, patient=True, TransactionalId=name, GroupId="txn-group", GenerationId=-1, Topics=topics, **who)
    asked = [{"Name": "alpha", "PartitionIndexes": [0]}]
    s.ask("OffsetFetch", 7, GroupId="txn-group", Topics=asked, RequireStable=True)
    s.ask("OffsetFetch", 7, GroupId="txn-group", Topics=asked, RequireStable=False)
    read_all(s, "txn", 0, 1)
    read_all(s, "txn", 0, 0)
    offsets(s, "txn", (-1,), isolation=1)
    offsets(s, "txn", (-1,), isolation=0)
    s.ask("ListTransactions", 1, StateFilters=["Ongoing"], DurationFilter=-1)
    s.ask("ListTransactions", 1, StateFilters=["Sleeping"], DurationFilter=-1)
    end(True)
    s.until_ended(name)
    s.ask("DescribeTransactions", 0, TransactionalIds=[name])
    s.ask("OffsetFetch", 7, GroupId="txn-group", Topics=asked, RequireStable=True)
    read_all(s, "txn", 0, 1)
    end(True)
    end(False)
    add((0,))
    send(b"aborted", 1)
    end(False)
    s.until_ended(name)
    read_all(s, "txn", 0, 1)
    read_all(s, "txn", 2, 1)
    offsets(s, "txn", (-1,), isolation=1)
    s.ask("DescribeProducers", 0, Topics=[{"Name": "txn", "PartitionIndexes": [0]}])
    again = s.ask("InitProducerId", 4, patient=True, TransactionalId=name, TransactionTimeoutMs=60000)
    add((0,))
    send(b"fenced", 2)
    s.ask("EndTxn", 3, TransactionalId=name, Committed=True, **who)
    s.ask("EndTxn", 1, TransactionalId=name, Committed=True, **who)
    who.update(ProducerId=again["ProducerId"], ProducerEpoch=again["ProducerEpoch"])
    s.ask("InitProducerId", 4, TransactionalId=name, TransactionTimeoutMs=60000, **who)
    s.ask("InitProducerId", 4, TransactionalId=name, TransactionTimeoutMs=0)
    s.ask("InitProducerId", 4, TransactionalId=name, TransactionTimeoutMs=2**31 - 1)
    s.ask("InitProducerId", 4, TransactionalId=name, TransactionTimeoutMs=60000, ProducerId=99999, ProducerEpoch=0)


def scenario_transaction_version_2(s):
    s.topics(["txn2"])
    name = "tx-two"
    made = s.ask("InitProducerId", 5, patient=True, TransactionalId=name, TransactionTimeoutMs=60000)

    def send(who, value, sequence):
        batch = Both(*(records.batch([value], producer=w["ProducerId"], producer_epoch=w["ProducerEpoch"],
                                     sequence=sequence, attributes=0x10, time=records.NOW) for w in (who.kafka, who.corelane)))
        produce(s, "txn2", batch, transactional=name, version=12)

    def end(who, commit):
        return s.ask("EndTxn", 5, patient=True, TransactionalId=name, Committed=commit,
                     ProducerId=who["ProducerId"], ProducerEpoch=who["ProducerEpoch"])

    end(made, True)
    send(made, b"a", 0)
    s.ask("DescribeTransactions", 0, TransactionalIds=[name])
    after = end(made, True)
    s.until_ended(name)
    end(made, True)
    end(made, False)
    send(made, b"old epoch", 1)
    send(after, b"b", 0)
    last = end(after, False)
    s.until_ended(name)
    end(last, False)
    read_all(s, "txn2", 0, 1)


def scenario_configs(s):
    s.topics(["configured"])
    alter(s, "configured", [("retention.ms", 0, "1000"), ("cleanup.policy", 2, "compact")], validate=True)
    describe(s, "configured", ["retention.ms", "cleanup.policy"], IncludeSynonyms=True)
    alter(s, "configured", [("retention.ms", 0, "1000"), ("cleanup.policy", 2, "compact")])
    s.pause()
    describe(s, "configured", ["retention.ms", "cleanup.policy", "no.such"], IncludeSynonyms=True)
    alter(s, "configured", [("cleanup.policy", 3, "delete")])
    s.pause()
    describe(s, "configured", ["cleanup.policy"])
    alter(s, "configured", [("retention.ms", 1, None), ("cleanup.policy", 1, None)])
    s.pause()
    describe(s, "configured", ["retention.ms", "cleanup.policy"])
    for change in (("no.such", 0, "1"), ("retention.ms", 0, "soon"), ("retention.ms", 0, None), ("retention.ms", 2, "1"),
                   ("cleanup.policy", 0, "burn"), ("no.such", 1, None), ("cleanup.policy", 3, "delete"),
                   ("segment.bytes", 0, "1"), ("retention.ms", 0, "")):
        alter(s, "configured", [change])
    alter(s, "configured", [("retention.ms", 0, "5"), ("retention.ms", 0, "6")])
    alter(s, "configured", [("retention.ms", 0, "5"), ("no.such", 0, "6")])
    describe(s, "configured", ["retention.ms"])
    alter(s, "nowhere", [("retention.ms", 0, "5")])
    whole = [{"ResourceType": 2, "ResourceName": "configured", "Configs": [{"Name": "flush.ms", "Value": "77"}]}]
    s.ask("AlterConfigs", 2, Resources=whole)
    s.pause()
    describe(s, "configured", ["flush.ms", "retention.ms"])
    for kind, name in ((4, "1"), (4, "7"), (4, "x"), (4, ""), (8, "1"), (32, "grp"), (16, "sub"), (1, "x"), (0, ""), (99, "")):
        resource = {"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": ["no.such"]}
        s.ask("DescribeConfigs", 4, Resources=[resource])
        alter(s, name, [("no.such", 0, "1")], kind=kind, validate=True)


def scenario_log_directories(s):
    s.topics(["moved"])
    produce(s, "moved", records.batch([b"x"] * 10))
    for at in (0, 1):
        s.ask("AlterReplicaLogDirs", 2, Dirs=[{"Path": LogDir(at), "Topics": [{"Name": "moved", "Partitions": [0]}]}])
        s.pause(1.5)
        s.ask("DescribeLogDirs", 4, Topics=[{"Topic": "moved", "Partitions": [0]}])
    s.ask("AlterReplicaLogDirs", 2, Dirs=[{"Path": "/nowhere", "Topics": [{"Name": "moved", "Partitions": [0, 9]}]}])
    s.ask("DescribeLogDirs", 4, Topics=[{"Topic": "nowhere", "Partitions": [0]}])
    fetch(s, "moved", 0)


def scenario_cluster(s):
    s.ask("DescribeCluster", 2, IncludeClusterAuthorizedOperations=True)
    s.ask("ApiVersions", 4, ClientSoftwareName="parity", ClientSoftwareVersion="1")
    s.ask("Metadata", 12, Topics=[])
    s.ask("Metadata", 12, Topics=[{"Name": "made-by-asking"}], AllowAutoTopicCreation=True)
    s.settle(["made-by-asking"])
    s.ask("Metadata", 12, Topics=[{"Name": "made-by-asking"}], AllowAutoTopicCreation=True)
    s.ask("Metadata", 12, Topics=[{"Name": None, "TopicId": TopicId("alpha")}, {"Name": None, "TopicId": NULL_ID[:-1] + "5"}])
    s.delete_topics(["made-by-asking"])
