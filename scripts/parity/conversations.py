"""More conversations with state: records of share groups and of transactions, topics of the broker's own,
settings that contradict each other, records that a topic does not take."""

import records
from scenarios import alter, describe, fetch, offsets, produce, read_all
from session import Both, TopicId
from valid import join_share_group

TRANSACTIONAL = 0x10


class ShareMember:
    """A member of a share group, with a share session of its own."""

    def __init__(self, s, group, member, topic):
        self.s, self.group, self.member, self.topic = s, group, member, topic
        self.epoch = 0

    def join(self):
        join_share_group(self.s, self.group, self.member, [self.topic])
        self.s.ask("ShareGroupDescribe", 1, GroupIds=[self.group])

    def _topics(self, batches):
        judged = [{"FirstOffset": first, "LastOffset": last, "AcknowledgeTypes": types} for first, last, types in batches]
        return [{"TopicId": TopicId(self.topic), "Partitions": [{"PartitionIndex": 0, "AcknowledgementBatches": judged}]}]

    def fetch(self, batches=(), *, epoch=None, most=100):
        epoch = self.epoch if epoch is None else epoch
        limits = {"MaxWaitMs": 300, "MinBytes": 1, "MaxBytes": 1 << 20, "BatchSize": most, "MaxRecords": most}
        self.s.ask("ShareFetch", 1, on=self.member, GroupId=self.group, MemberId=self.member, ShareSessionEpoch=epoch,
                   Topics=self._topics(batches), **limits)
        self._next(epoch)

    def acknowledge(self, batches, *, epoch=None):
        epoch = self.epoch if epoch is None else epoch
        self.s.ask("ShareAcknowledge", 1, on=self.member, GroupId=self.group, MemberId=self.member,
                   ShareSessionEpoch=epoch, Topics=self._topics(batches))
        self._next(epoch)

    def _next(self, epoch):
        if epoch == self.epoch:
            self.epoch += 1
        if epoch == -1:
            self.epoch = 0


ACCEPT, RELEASE, REJECT, GAP = 1, 2, 3, 0


def scenario_share_records(s):
    s.topics(["shared-records"])
    produce(s, "shared-records", records.batch([b"%d" % n for n in range(10)]))
    one = ShareMember(s, "sharing", "AAAAAAAAAAAAAAAAAAAAAw", "shared-records")
    one.join()
    one.fetch()
    one.fetch()
    one.acknowledge([(0, 1, [ACCEPT]), (2, 3, [RELEASE]), (4, 4, [REJECT])])
    one.fetch()
    one.acknowledge([(2, 2, [RELEASE]), (3, 3, [ACCEPT])])
    one.fetch()
    one.acknowledge([(0, 0, [ACCEPT])])
    one.acknowledge([(2, 2, [RELEASE, ACCEPT])])
    one.acknowledge([(2, 2, [9])])
    one.acknowledge([(3, 2, [ACCEPT])])
    one.acknowledge([(50, 60, [ACCEPT])])
    one.acknowledge([(5, 7, [ACCEPT, RELEASE, REJECT])])
    one.fetch([(6, 6, [ACCEPT])])
    one.fetch()
    one.acknowledge([(8, 9, [GAP])])
    one.acknowledge([])
    one.acknowledge([(2, 2, [ACCEPT])], epoch=77)
    one.fetch([(2, 2, [ACCEPT])], epoch=-1)
    one.fetch([(2, 2, [ACCEPT])], epoch=0)
    one.fetch()
    one.fetch()


def scenario_share_redelivery(s):
    """A record that is released again and again is given up after five deliveries."""
    s.topics(["shared-again"])
    produce(s, "shared-again", records.batch([b"poison", b"fine"]))
    one = ShareMember(s, "again", "AAAAAAAAAAAAAAAAAAAABA", "shared-again")
    one.join()
    one.fetch()
    one.fetch()
    for _ in range(6):
        one.acknowledge([(0, 0, [RELEASE])])
        one.fetch()
    one.acknowledge([(1, 1, [ACCEPT])])
    produce(s, "shared-again", records.batch([b"next"]))
    one.fetch()
    one.fetch()
    one.acknowledge([(2, 2, [ACCEPT])], epoch=-1)


def scenario_share_two_members(s):
    """What one member has the other does not get, until its session ends."""
    s.topics(["shared-by-two"])
    for at in range(3):
        produce(s, "shared-by-two", records.batch([b"%d" % at, b"x"]))
    one = ShareMember(s, "both", "AAAAAAAAAAAAAAAAAAAABQ", "shared-by-two")
    two = ShareMember(s, "both", "AAAAAAAAAAAAAAAAAAAABg", "shared-by-two")
    one.join()
    two.join()
    one.fetch(most=2)
    one.fetch(most=2)
    two.fetch(most=2)
    two.fetch(most=2)
    two.acknowledge([(0, 1, [ACCEPT])])
    one.fetch(most=2)
    one.acknowledge([(0, 0, [ACCEPT])])
    one.fetch(epoch=-1)
    s.pause()
    two.fetch()
    two.fetch()
    two.acknowledge([(0, 5, [ACCEPT])])
    two.acknowledge([(1, 5, [ACCEPT])])
    two.fetch([], epoch=-1)
    s.ask("DeleteGroups", 2, GroupsNames=["both"])


def scenario_share_elsewhere(s):
    """Where a group begins is set (to where it is: Kafka sets nothing) and forgotten, when nobody is in it."""
    topic, group = "shared-elsewhere", "elsewhere"
    s.topics([topic])
    produce(s, topic, records.batch([b"%d" % n for n in range(6)]))

    def begin(offset, *topics):
        places = [{"PartitionIndex": index, "StartOffset": offset} for index in (0, 7)]
        named = [{"TopicName": name, "Partitions": places} for name in topics]
        s.ask("AlterShareGroupOffsets", 0, patient=True, GroupId=group, Topics=named)

    def forget(*topics):
        named = [{"TopicName": name} for name in topics]
        s.ask("DeleteShareGroupOffsets", 0, patient=True, GroupId=group, Topics=named)

    def where():
        s.ask("DescribeShareGroupOffsets", 0, Groups=[{"GroupId": group, "Topics": None}])

    forget(topic)
    one = ShareMember(s, group, "AAAAAAAAAAAAAAAAAAAACQ", topic)
    one.join()
    one.fetch()
    one.fetch()
    one.acknowledge([(0, 1, [ACCEPT])])
    forget(topic)
    one.fetch(epoch=-1)
    s.ask("ShareGroupHeartbeat", 1, patient=True, GroupId=group, MemberId=one.member, MemberEpoch=-1)
    begin(2, topic, "nowhere")
    begin(2, "nowhere")
    where()
    forget("nowhere", topic)
    where()
    forget(topic)
    forget()
    s.ask("DeleteGroups", 2, GroupsNames=[group])
    forget(topic)


def scenario_share_read_committed(s):
    """Aborted records and markers are skipped by a share group that reads what is committed."""
    s.topics(["shared-txn"])
    alter(s, "settled", [("share.isolation.level", 0, "read_committed")], kind=32)
    s.pause()
    producer = Producer(s, "tx-shared")
    producer.send("shared-txn", [b"gone"])
    producer.end(False)
    producer.send("shared-txn", [b"kept"])
    producer.end(True)
    producer.send("shared-txn", [b"open"])
    one = ShareMember(s, "settled", "AAAAAAAAAAAAAAAAAAAABw", "shared-txn")
    one.join()
    one.fetch()
    one.fetch()
    one.acknowledge([(2, 2, [ACCEPT])])
    producer.end(True)
    one.fetch()
    one.fetch(epoch=-1)


class Producer:
    """A transactional producer as of version 2 of transactions: a new epoch at each end."""

    def __init__(self, s, name):
        self.s, self.name = s, name
        made = s.ask("InitProducerId", 5, patient=True, quiet=True, TransactionalId=name, TransactionTimeoutMs=60000)
        self.who, self.sequences = made, {}

    def send(self, topic, values, partition=0):
        sequence = self.sequences.get((topic, partition), 0)
        self.sequences[topic, partition] = sequence + len(values)
        batch = Both(*(records.batch(values, producer=w["ProducerId"], producer_epoch=w["ProducerEpoch"], sequence=sequence,
                                     attributes=TRANSACTIONAL, time=records.NOW) for w in (self.who.kafka, self.who.corelane)))
        return produce(self.s, topic, batch, transactional=self.name, version=12, partition=partition)

    def end(self, commit):
        body = self.s.ask("EndTxn", 5, patient=True, TransactionalId=self.name, Committed=commit,
                          ProducerId=self.who["ProducerId"], ProducerEpoch=self.who["ProducerEpoch"])
        self.s.until_ended(self.name)
        self.who, self.sequences = body, {}


def scenario_transactions_read(s):
    """Two producers whose transactions lie in each other: commit, abort, open; read in both levels."""
    s.topics(["levels"], 2)
    one, two = Producer(s, "tx-a"), Producer(s, "tx-b")
    produce(s, "levels", records.batch([b"plain"], time=records.NOW))
    one.send("levels", [b"a1", b"a2"])
    two.send("levels", [b"b1"])
    produce(s, "levels", records.batch([b"plain too"], time=records.NOW))
    read_both(s)
    two.end(False)
    read_both(s)
    one.send("levels", [b"a3"])
    two.send("levels", [b"b2"])
    one.send("levels", [b"a on another"], partition=1)
    one.end(True)
    read_both(s)
    two.end(True)
    one.send("levels", [b"a4"])
    one.end(False)
    read_both(s)
    for offset in (1, 3, 5, 8):
        fetch(s, "levels", offset, isolation=1)
    s.ask("DescribeProducers", 0, Topics=[{"Name": "levels", "PartitionIndexes": [0, 1]}])
    two.send("levels", [b"open"])
    produce(s, "levels", records.batch([b"behind it"], time=records.NOW))
    read_both(s)
    topics = [{"Name": "levels", "Partitions": [{"PartitionIndex": 0, "Offset": -1}]}]
    s.ask("DeleteRecords", 2, Topics=topics, TimeoutMs=5000)
    offsets(s, "levels", (-1, -2), isolation=1)
    two.end(True)
    read_both(s, trimmed=True)


def read_both(s, trimmed=False):
    for isolation in (0, 1):
        read_all(s, "levels", 0, isolation)
        offsets(s, "levels", (-1, -2), isolation=isolation)
        # Once the records are deleted a marker would be found, and its time is the broker's.
        if not trimmed:
            offsets(s, "levels", (records.TIME, records.NOW), isolation=isolation)


def scenario_topics_of_the_broker(s):
    """Settings, records and partitions of internal topics."""
    for topic in ("__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"):
        produce(s, topic, records.batch([b"x"], key=b"k"))
        s.ask("CreatePartitions", 3, TimeoutMs=5000, ValidateOnly=True, Topics=[{"Name": topic, "Count": 60, "Assignments": None}])
        s.ask("CreateTopics", 7, Topics=[{"Name": topic, "NumPartitions": 1, "ReplicationFactor": 1}], timeoutMs=5000, validateOnly=True)
        s.ask("DeleteRecords", 2, Topics=[{"Name": topic, "Partitions": [{"PartitionIndex": 0, "Offset": 0}]}], TimeoutMs=5000)
        describe(s, topic, ["cleanup.policy", "segment.bytes", "compression.type", "min.insync.replicas", "retention.ms"])
        for change in (("cleanup.policy", 0, "delete"), ("cleanup.policy", 0, "compact,delete"), ("segment.bytes", 0, "1048576"),
                       ("compression.type", 0, "gzip"), ("retention.ms", 0, "1000"), ("no.such", 0, "1"),
                       ("cleanup.policy", 1, None), ("max.message.bytes", 0, "100")):
            alter(s, topic, [change], validate=True)
        alter(s, topic, [("segment.ms", 0, "86400000")])
        s.pause()
        describe(s, topic, ["segment.ms"])
        alter(s, topic, [("segment.ms", 1, None)])
        s.pause()
        describe(s, topic, ["segment.ms"])
        s.ask("Metadata", 12, Topics=[{"Name": topic}], AllowAutoTopicCreation=False)
        s.ask("DescribeTopicPartitions", 0, Topics=[{"Name": topic}], ResponsePartitionLimit=1, Cursor=None)
        s.ask("ElectLeaders", 2, TopicPartitions=[{"Topic": topic, "Partitions": [0]}], TimeoutMs=1000)
        s.ask("AlterPartitionReassignments", 1, TimeoutMs=1000, Topics=[
            {"Name": topic, "Partitions": [{"PartitionIndex": 0, "Replicas": [1]}]}])


COMPACTED = [
    (("min.compaction.lag.ms", "6"), ("max.compaction.lag.ms", "5")),
    (("cleanup.policy", "compact"), ("min.compaction.lag.ms", "6"), ("max.compaction.lag.ms", "5")),
    (("cleanup.policy", "delete"), ("min.cleanable.dirty.ratio", "0.1"), ("delete.retention.ms", "5")),
    (("cleanup.policy", "compact"), ("retention.ms", "1"), ("retention.bytes", "1")),
    (("cleanup.policy", "compact,compact"),), (("cleanup.policy", "delete,compact"),), (("cleanup.policy", "compact, delete"),),
    (("cleanup.policy", "none"),), (("cleanup.policy", "COMPACT"),),
    (("min.cleanable.dirty.ratio", "-0.1"),), (("min.cleanable.dirty.ratio", "1.01"),), (("min.cleanable.dirty.ratio", "1"),),
    (("delete.retention.ms", "-1"),), (("max.compaction.lag.ms", "0"),), (("min.compaction.lag.ms", "-1"),),
    (("segment.bytes", "1048576"), ("max.message.bytes", "2097152")), (("segment.index.bytes", "3"),),
    (("segment.jitter.ms", "-1"),), (("segment.ms", "1"), ("segment.jitter.ms", "5")), (("file.delete.delay.ms", "-1"),),
    (("cleanup.policy", "compact"), ("remote.storage.enable", "true")), (("remote.storage.enable", "true"),),
    (("local.retention.ms", "5"), ("retention.ms", "4")), (("local.retention.ms", "-2"),), (("local.retention.bytes", "5"), ("retention.bytes", "4")),
    (("message.timestamp.before.max.ms", "-1"),), (("message.timestamp.after.max.ms", "0"),), (("index.interval.bytes", "-1"),),
    (("unclean.leader.election.enable", "maybe"),), (("compression.type", "gzip"), ("compression.gzip.level", "99")),
    (("compression.type", "zstd"), ("compression.zstd.level", "99")), (("compression.lz4.level", "0"),),
    (("leader.replication.throttled.replicas", "1:2"),), (("leader.replication.throttled.replicas", "nonsense"),),
    (("retention.bytes", "-2"),), (("flush.ms", "-1"),), (("retention.ms", "9223372036854775808"),), (("max.message.bytes", "2147483648"),),
    (("preallocate", "TRUE"),), (("retention.ms", " 5 "),), (("segment.bytes", "1e6"),), (("message.format.version", "3.0"),),
]


def scenario_settings_that_contradict(s):
    """Made, and altered into being, on topics; altered one after the other; and of the whole broker."""
    s.topics(["contrary"])
    for settings in COMPACTED:
        spec = {"Name": "contrary-new", "NumPartitions": 1, "ReplicationFactor": 1,
                "Configs": [{"Name": key, "Value": value} for key, value in settings]}
        s.ask("CreateTopics", 4, Topics=[spec], timeoutMs=5000, validateOnly=True)
        alter(s, "contrary", [(key, 0, value) for key, value in settings], validate=True)
    alter(s, "contrary", [("max.compaction.lag.ms", 0, "5")])
    s.pause()
    alter(s, "contrary", [("min.compaction.lag.ms", 0, "6")])
    alter(s, "contrary", [("min.compaction.lag.ms", 0, "5")])
    s.pause()
    alter(s, "contrary", [("max.compaction.lag.ms", 0, "4")])
    alter(s, "contrary", [("max.compaction.lag.ms", 1, None), ("min.compaction.lag.ms", 1, None)])
    s.pause()
    describe(s, "contrary", ["min.compaction.lag.ms", "max.compaction.lag.ms"])
    for name in ("1", ""):
        for changes in ([("log.cleaner.min.compaction.lag.ms", 0, "6"), ("log.cleaner.max.compaction.lag.ms", 0, "5")],
                        [("log.cleanup.policy", 0, "burn")], [("log.cleaner.min.cleanable.ratio", 0, "2")], [("log.segment.bytes", 0, "1")],
                        [("log.retention.ms", 0, "-5")], [("log.cleaner.dedupe.buffer.size", 0, "1")], [("log.cleaner.threads", 0, "0")],
                        [("log.cleaner.threads", 0, "99")], [("num.io.threads", 0, "0")], [("node.id", 0, "5")], [("log.dirs", 0, "/x")],
                        [("offsets.topic.num.partitions", 0, "9")], [("message.max.bytes", 0, "-1")], [("log.local.retention.ms", 0, "-3")],
                        [("background.threads", 0, "99")], [("compression.type", 0, "rar")], [("max.connections", 0, "-1")]):
            alter(s, name, changes, kind=4, validate=True)


def scenario_compacted_records(s):
    """A topic that compacts takes only records with keys."""
    s.topics(["keyed"], configs=[("cleanup.policy", "compact")])
    produce(s, "keyed", records.batch([b"no key"]))
    produce(s, "keyed", records.batch([b"a", b"b"], key=b"k"))
    mixed = records.record(0, b"v", b"k") + records.record(1, b"v") + records.record(2, b"v")
    produce(s, "keyed", records.batch([b""] * 3, body=mixed))
    produce(s, "keyed", records.batch([b""] * 3, body=mixed), version=7)
    produce(s, "keyed", records.batch([b"tombstone"], body=records.record(0, None, b"k")))
    produce(s, "keyed", records.batch([b"empty key"], body=records.record(0, b"v", b"")))
    produce(s, "keyed", records.batch([b"far"], key=b"k", time=1 << 60))
    fetch(s, "keyed", 0)
    alter(s, "keyed", [("cleanup.policy", 0, "delete")])
    s.pause()
    produce(s, "keyed", records.batch([b"no key"]))
    alter(s, "keyed", [("cleanup.policy", 0, "compact,delete")])
    s.pause()
    produce(s, "keyed", records.batch([b"no key"]))


def scenario_record_times(s):
    """Bounds of records' times, and times that the broker gives."""
    s.topics(["bounded"], configs=[("message.timestamp.after.max.ms", "1000"), ("message.timestamp.before.max.ms", "1000")])
    produce(s, "bounded", records.batch([b"old"]))
    produce(s, "bounded", records.batch([b"old", b"old"]), version=7)
    produce(s, "bounded", records.batch([b"far"], time=1 << 60))
    produce(s, "bounded", records.batch([b"none"], time=-1))
    s.topics(["stamped"], configs=[("message.timestamp.type", "LogAppendTime")])
    produce(s, "stamped", records.batch([b"old"]))


def scenario_times_of_single_records(s):
    """Times between a batch's first and its claimed last, before the first, and after the claimed."""
    hour, day = 3_600_000, 86_400_000
    s.topics(["between"], configs=[("message.timestamp.after.max.ms", f"{hour}"), ("message.timestamp.before.max.ms", f"{hour}")])
    s.topics(["unbounded"])
    for gzipped in (False, True):
        for topic in ("between", "unbounded"):
            produce(s, topic, records.timed([0, -10, 5], gzipped=gzipped))
            if topic == "between":
                produce(s, topic, records.timed([0, -day, 0], gzipped=gzipped))
                produce(s, topic, records.timed([0, -day, day, -day], gzipped=gzipped), version=7)
                produce(s, topic, records.timed([0, day, 0], last_delta=0, gzipped=gzipped))
            produce(s, topic, records.timed([0, day, 0], gzipped=gzipped))
            # What the header claims is put right.
            produce(s, topic, records.timed([0, 1, 0], last_delta=day, gzipped=gzipped))
            if topic == "between" or not gzipped:
                produce(s, topic, records.timed([0, 7, 0], last_delta=0, gzipped=gzipped))
            else:
                s.topics(["claimed"])
                produce(s, "claimed", records.timed([0, 7, 0], last_delta=0, gzipped=True))
                fetch(s, "claimed", 0)
            produce(s, topic, records.timed([0, -1], time=-1, gzipped=gzipped))
            produce(s, topic, records.timed([0, 2], attributes=8, gzipped=gzipped))
    for topic in ("between", "unbounded"):
        fetch(s, topic, 0)
        for time in (records.NOW + 6, records.NOW + 8, -3):
            s.ask("ListOffsets", 7, ReplicaId=-1, Topics=[{"Name": topic, "Partitions": [{"PartitionIndex": 0, "Timestamp": time}]}])


def deleting_topics_of_the_broker(s):
    """The last one of all: takes the coordinators away, where it is allowed."""
    for topic in ("__share_group_state", "__cluster_metadata", "__transaction_state", "__consumer_offsets"):
        for count in (1, 90):
            s.ask("CreatePartitions", 2, Topics=[{"Name": topic, "Count": count, "Assignments": None}], TimeoutMs=5000, ValidateOnly=True)
    for topic in ("__share_group_state", "__cluster_metadata", "__transaction_state", "__consumer_offsets"):
        for version in (5, 6):
            s.ask("DeleteTopics", version, Topics=[{"Name": topic}], TopicNames=[topic], TimeoutMs=5000)
        s.pause()
        s.ask("Metadata", 12, Topics=[{"Name": topic}], AllowAutoTopicCreation=False)
