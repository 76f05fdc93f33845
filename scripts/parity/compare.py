"""Makes two answers comparable, and says in which fields they differ."""

import re
from fnmatch import fnmatchcase

import errors
import records
from schema import ZERO_UUID

# Topics and groups that a case made for itself; lists of all leave them out.
MADE_BY_CASES = re.compile(r".*[^-\d]\d+")
UUID_IN_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?<=-)[A-Za-z0-9_-]{22}(?!\S)")

# What cannot be the same in two brokers: (API, path of the field, what becomes of it). `shown` keeps
# only whether there is a value beside -1, 0, "" and null, `id` beside -1.
NORMAL = [
    ("*", "*.Host", "shown"), ("*", "Host", "shown"), ("*", "*.ClientHost", "shown"),
    ("*", "*.Port", "shown"), ("*", "Port", "shown"),
    ("*", "ClusterId", "shown"),
    ("ApiVersions", "FinalizedFeaturesEpoch", "shown"),
    ("*", "ProducerId", "id"), ("*", "*.ProducerId", "id"),
    ("*", "*.TransactionStartTimeMs", "shown"), ("*", "*.LastTimestamp", "shown"),
    ("Produce", "*.LogAppendTimeMs", "shown"),
    ("CreateTopics", "*.TopicId", "shown"), ("DeleteTopics", "*.TopicId", "shown"),
    ("Fetch", "SessionId", "shown"),
    ("DescribeLogDirs", "*.TotalBytes", "shown"), ("DescribeLogDirs", "*.UsableBytes", "shown"),
    ("DescribeLogDirs", "*.LogDir", "directory"),
    ("AlterReplicaLogDirs", "*.LogDir", "directory"),
    ("GetTelemetrySubscriptions", "ClientInstanceId", "shown"),
    ("GetTelemetrySubscriptions", "SubscriptionId", "shown"),
]
KEYS = (
    "BaseOffset", "FirstOffset", "Name", "TopicName", "Topic", "TopicId", "GroupId", "ResourceType", "ResourceName",
    "PartitionIndex", "Partition", "PartitionId", "ConfigName", "ApiKey", "TransactionalId", "MemberId", "GroupInstanceId", "Key", "NodeId", "BrokerId",
    "LogDir", "Feature", "ProducerId",
)


class Normaliser:
    def __init__(self, side, exchange):
        self.side, self.api, self.asked = side, exchange.api, str(exchange.body)
        self.rules = [(path, what) for which, path, what in NORMAL if fnmatchcase(self.api.name, which)]

    def message(self, body):
        body = self.struct(self.api.response.fields, body, "")
        return whatever_directory(body) if self.api.name == "DescribeLogDirs" else body

    def struct(self, fields, body, path):
        known = {f.name: f for f in fields}
        return {name: self.value(known.get(name), value, f"{path}{name}") for name, value in body.items()}

    def value(self, field, value, path):
        if field is None or value is None:
            return value
        if field.element == "records":
            return records.summary(value)
        if field.is_list:
            entries = (self.one(field, entry, path) for entry in value)
            return [entry for entry in entries if not self.is_of_another_case(entry)]
        return self.one(field, value, path)

    def is_of_another_case(self, entry):
        if not isinstance(entry, dict):
            return False
        name = entry.get("Name") or entry.get("Topic") or entry.get("GroupId") or entry.get("TransactionalId")
        return isinstance(name, str) and MADE_BY_CASES.fullmatch(name) is not None and name not in self.asked

    def one(self, field, value, path):
        if field.fields is not None:
            return self.struct(field.fields, value, path + ".") if value is not None else None
        for rule, what in self.rules:
            if fnmatchcase(path, rule):
                return self.rewritten(what, value)
        if field.element == "uuid":
            return self.uuid(value)
        if isinstance(value, bytes):
            return value.hex()
        return self.text(value) if isinstance(value, str) else value

    def rewritten(self, what, value):
        if what == "directory":
            dirs = [str(d) for d in self.side.broker.dirs]
            return f"<dir {dirs.index(value)}>" if value in dirs else value
        nothing = (-1,) if what == "id" else (-1, 0, "", None, ZERO_UUID)
        return value if value in nothing else "<shown>"

    def uuid(self, value):
        if value == ZERO_UUID:
            return value
        name = self.side.topic_name(value)
        return f"<id of {name}>" if name else "<uuid>"

    def text(self, value):
        for index, directory in enumerate(self.side.broker.dirs):
            value = value.replace(str(directory), f"<dir {index}>")
        return UUID_IN_TEXT.sub("<uuid>", value).replace(str(self.side.broker.port), "<port>")


def whatever_directory(body):
    """Which directory a new partition comes to is the broker's choice: all are shown in one."""
    topics = {}
    for directory in body["Results"]:
        for topic in directory.pop("Topics") or []:
            topics.setdefault(topic["Name"], []).extend(topic["Partitions"])
    return body | {"Topics": [{"Name": name, "Partitions": parts} for name, parts in topics.items()]}


class Difference:
    """A path, what Kafka has there and what Corelane has."""

    def __init__(self, path, kafka, corelane):
        self.path, self.kafka, self.corelane = path, show(path, kafka), show(path, corelane)
        self.documented = None

    def __str__(self):
        return f"{self.path}: kafka {self.kafka} | corelane {self.corelane}"


def show(path, value):
    if path.endswith("ErrorCode") and isinstance(value, int) and not isinstance(value, bool):
        return f"{value} {errors.name(value)}"
    quoted = isinstance(value, str) and not value.startswith("<") and not path.startswith("(")
    text = repr(value) if quoted else str(value)
    return text if len(text) < 300 else text[:300] + "…"


ABSENT = "<absent>"


def differences(exchange, sides):
    kafka, corelane = exchange.kafka, exchange.corelane
    if kafka.outcome != corelane.outcome:
        return [Difference("(outcome)", told(kafka), told(corelane))]
    if kafka.outcome == "malformed":
        return [Difference("(malformed)", kafka.body, corelane.body)]
    if kafka.outcome != "answered":
        return []
    out = []
    if kafka.header_version != corelane.header_version:
        out.append(Difference("(header version)", kafka.header_version, corelane.header_version))
    bodies = [Normaliser(side, exchange).message(answer.body) for side, answer in zip(sides, (kafka, corelane))]
    _compare(out, "", *bodies)
    return out


def told(answer):
    """An outcome with the errors of the answer, if any."""
    codes = sorted(set(_codes(answer.body))) if answer.outcome == "answered" else []
    return " ".join([answer.outcome, *(errors.name(code) for code in codes)])


def _codes(value):
    if isinstance(value, dict):
        for name, one in value.items():
            if name == "ErrorCode":
                yield one
            yield from _codes(one)
    elif isinstance(value, list):
        for one in value:
            yield from _codes(one)


def _compare(out, path, kafka, corelane):
    if isinstance(kafka, dict) and isinstance(corelane, dict):
        for name in dict.fromkeys([*kafka, *corelane]):
            _compare(out, f"{path}.{name}" if path else name, kafka.get(name, ABSENT), corelane.get(name, ABSENT))
    elif isinstance(kafka, list) and isinstance(corelane, list):
        _compare_lists(out, path, kafka, corelane)
    elif kafka != corelane or type(kafka) is not type(corelane):
        out.append(Difference(path, kafka, corelane))


def _compare_lists(out, path, kafka, corelane):
    left, right = _keyed(kafka), _keyed(corelane)
    for key in dict.fromkeys([*left, *right]):
        _compare(out, f"{path}:{key}", left.get(key, ABSENT), right.get(key, ABSENT))


def _keyed(entries):
    """Entries by what identifies them, so that order does not matter: Kafka's is that of a hash map."""
    out, counts = {}, {}
    for entry in sorted(entries, key=lambda e: str(e)):
        if isinstance(entry, dict):
            names = [name for name in KEYS if name in entry]
            key = "/".join(str(entry[name]) for name in names[:3]) if names else ""
        else:
            key = str(entry)
        counts[key] = counts.get(key, 0) + 1
        out[key if counts[key] == 1 else f"{key} ({counts[key]})"] = entry
    return out
