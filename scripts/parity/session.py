"""Asks two brokers the same, and keeps what each of them answered."""

import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass, field

import schema

ANSWER_SECONDS = 2.0
# How long a transient error is asked again.
PATIENCE_SECONDS = 1.5
# While the other one has answered already.
LATE_SECONDS = 5.0
# Errors that Kafka gives while something of its own is under way; asked again, for a while. (Not the
# leader: one that has not heard yet that it leads a new partition.)
TRANSIENT = {6, 14, 15, 16, 51}


class Both:
    """A value that differs from broker to broker."""

    def __init__(self, kafka, corelane):
        self.kafka, self.corelane = kafka, corelane

    def __getitem__(self, key):
        return Both(self.kafka[key], self.corelane[key])

    def map(self, function):
        return Both(function(self.kafka), function(self.corelane))


class TopicId:
    """The id that each broker gave a topic."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"id of {self.name}"


class LogDir:
    """Each broker's n-th log directory."""

    def __init__(self, index):
        self.index = index

    def __repr__(self):
        return f"dir {self.index}"


@dataclass
class Answer:
    """What came back: `answered` with a body, `closed`, `silent`, or `malformed` (why is the body)."""

    outcome: str
    body: object = None
    header_version: int = -1


class Connection:
    def __init__(self, side):
        self.side = side
        self.socket = socket.create_connection(("127.0.0.1", side.broker.port), 5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.correlation = 0

    def send(self, api, version, body, client_id="parity"):
        self.correlation += 1
        frame = api.request_header(version, self.correlation, client_id) + body
        self.send_frame(frame)

    def send_frame(self, frame):
        try:
            self.socket.sendall(struct.pack(">i", len(frame)) + frame)
        except OSError:
            pass  # what is read next says that it is closed

    def receive(self, api, version, deadline):
        frame = self.frame(deadline)
        if isinstance(frame, Answer):
            return frame
        return parse(api, version, frame, self.correlation)

    def frame(self, deadline):
        head = self._exactly(4, deadline)
        if isinstance(head, Answer):
            return head
        return self._exactly(struct.unpack(">i", head)[0], deadline)

    def _exactly(self, count, deadline):
        data = b""
        while len(data) < count:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                more = self.socket.recv(count - len(data))
            except TimeoutError:
                return Answer("silent")
            except OSError:
                return Answer("closed")
            if not more:
                return Answer("closed")
            data += more
        return data

    def close(self):
        self.socket.close()


def parse(api, version, frame, correlation):
    if struct.unpack(">i", frame[:4])[0] != correlation:
        return Answer("malformed", "another request's answer")
    expected = api.response_header_version(version)
    why = None
    for header_version in (expected, 1 - expected):
        start = 5 if header_version else 4
        try:
            return Answer("answered", api.response.decode(frame[start:], version), header_version)
        except (schema.Malformed, struct.error, IndexError) as error:
            why = why or str(error)
    return Answer("malformed", why)


class Side:
    """One broker as the session sees it."""

    def __init__(self, broker, apis):
        self.broker, self.apis = broker, apis
        self.name = broker.name
        self.connections = {}
        self.topics = {}

    def connection(self, name):
        if name not in self.connections:
            self.connections[name] = Connection(self)
        return self.connections[name]

    def drop(self, name=None):
        names = [name] if name is not None else list(self.connections)
        for one in names:
            connection = self.connections.pop(one, None)
            if connection:
                connection.close()

    def ask(self, api, version, body, name="own", seconds=20):
        """For the session's own needs: an answer's body, or None."""
        api = self.apis[api]
        connection = self.connection(name)
        connection.send(api, version, api.request.encode(self.resolve(body), version))
        answer = connection.receive(api, version, time.monotonic() + seconds)
        if answer.outcome != "answered":
            self.drop(name)
        return answer.body if answer.outcome == "answered" else None

    def metadata(self, names):
        topics = None if names is None else [{"Name": name} for name in names]
        return self.ask("Metadata", 12, {"Topics": topics, "AllowAutoTopicCreation": False}) or {"Topics": []}

    def learn_topics(self):
        self.topics = {t["TopicId"]: t["Name"] for t in self.metadata(None)["Topics"]}

    def topic_id(self, name):
        for _ in range(2):
            for known, topic in self.topics.items():
                if topic == name:
                    return known
            self.learn_topics()
        return "00000000-0000-0000-0000-00000000dead"

    def topic_name(self, topic_id):
        if topic_id not in self.topics:
            self.learn_topics()
        return self.topics.get(topic_id)

    def resolve(self, value):
        if isinstance(value, Both):
            return getattr(value, self.name)
        if isinstance(value, TopicId):
            return self.topic_id(value.name)
        if isinstance(value, LogDir):
            return str(self.broker.dirs[value.index])
        if isinstance(value, dict):
            return {key: self.resolve(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.resolve(one) for one in value]
        return value


@dataclass
class Exchange:
    """A request and its two answers."""

    case: str
    api: object
    version: int
    body: dict
    kafka: Answer
    corelane: Answer
    differences: list = field(default_factory=list)
    seconds: float = 0.0

    @property
    def kafka_fails(self):
        """Whether Kafka did not answer, or with an internal error."""
        return self.kafka.outcome in ("closed", "silent") or has_error(self.kafka.body, (-1,))


class Session:
    """What a case is written with. `ask` sends to both and hands the pair of answers to `report`."""

    def __init__(self, kafka, corelane, report):
        self.sides = [kafka, corelane]
        self.apis = kafka.apis
        self.report = report
        self.case = ""
        self.step = 0
        # How often each of them gave an error that passes, by its name.
        self.asked_again = Counter()

    def begin(self, case):
        self.case, self.step, self.started = case, 0, time.monotonic()
        for side in self.sides:
            for name in [n for n in side.connections if n != "own"]:
                side.drop(name)

    def ask(self, api, version, *, on="", edit=None, patient=False, quiet=False, **fields):
        """Both answers' bodies to one request; `edit` changes its bytes; `quiet` compares nothing. A
        broker that gives a transient error is asked again: if the other one gives none, or `patient`."""
        answers = self.exchange(api, version, fields, on, edit)
        deadline = time.monotonic() + (10 if patient else PATIENCE_SECONDS)
        while time.monotonic() < deadline and any(map(is_transient, answers)):
            if not patient and all(map(is_transient, answers)):
                break
            time.sleep(0.03)
            again = [side for side, answer in zip(self.sides, answers) if is_transient(answer)]
            self.asked_again.update(side.name for side in again)
            fresh = dict(zip([s.name for s in again], self.exchange(api, version, fields, on, edit, again)))
            answers = [fresh.get(side.name, answer) for side, answer in zip(self.sides, answers)]
        self.compared(api, version, fields, answers, quiet)
        return Both(*(answer.body for answer in answers))

    def compared(self, api, version, fields, answers, quiet=False):
        self.step += 1
        if not quiet:
            name = f"{self.case}#{self.step}" if self.step > 1 or not self.case.startswith("gen/") else self.case
            exchange = Exchange(name, self.apis[api], version, fields, *answers)
            exchange.seconds = time.monotonic() - self.started
            self.report(exchange)

    def exchange(self, api, version, fields, on, edit, sides=None):
        sides = sides or self.sides
        for side in sides:
            self.put(side, api, version, fields, on, edit)
        return self.collect(api, version, fields, on, sides)

    def put(self, side, api, version, fields, on, edit):
        api = self.apis[api]
        body = api.request.encode(side.resolve(fields), version)
        connection = side.connection(on)
        connection.send(api, version, edit(body) if edit else body)

    def collect(self, api, version, fields, on, sides):
        api, started = self.apis[api], time.monotonic()
        answers = []
        if api.name == "Produce" and fields.get("Acks", 0) == 0:
            return [self.unanswered(side, on) for side in sides]
        for side in sides:
            answers.append(side.connection(on).receive(api, version, started + ANSWER_SECONDS))
        if len({a.outcome == "silent" for a in answers}) == 2:
            late = started + LATE_SECONDS
            answers = [side.connection(on).receive(api, version, late) if a.outcome == "silent" else a
                       for side, a in zip(sides, answers)]
        for side, answer in zip(sides, answers):
            if answer.outcome != "answered":
                side.drop(on)
        return answers

    def unanswered(self, side, on):
        """Whether a request without an answer left the connection usable."""
        versions = self.apis["ApiVersions"]
        connection = side.connection(on)
        connection.send(versions, 0, b"")
        answer = connection.receive(versions, 0, time.monotonic() + LATE_SECONDS)
        if answer.outcome != "answered":
            side.drop(on)
        return Answer("no answer" if answer.outcome == "answered" else answer.outcome)

    def ask_unknown(self, key, version, api):
        """A version or an API that is perhaps not there: closed, or (ApiVersions) answered in version 0."""
        answers = []
        for side in self.sides:
            connection = side.connection("")
            connection.correlation += 1
            header = struct.pack(">hhih", key, version, connection.correlation, 1) + b"c"
            connection.send_frame(header + b"\0" * 40)
        for side in self.sides:
            connection, deadline = side.connection(""), time.monotonic() + ANSWER_SECONDS
            frame = connection.frame(deadline)
            if isinstance(frame, bytes):
                known = api is not None and api.name == "ApiVersions"
                frame = parse(api, 0, frame, connection.correlation) if known else Answer("answered", {})
            answers.append(frame)
            side.drop("")
        fallback = api or self.apis["ApiVersions"]
        self.step += 1
        self.report(Exchange(self.case, fallback, version, {}, *answers))

    def send(self, api, version, *, on, **fields):
        """The first half of `ask`, for requests that wait for another's."""
        for side in self.sides:
            self.put(side, api, version, fields, on, None)
        return api, version, fields, on

    def receive(self, pending, quiet=False):
        api, version, fields, on = pending
        answers = self.collect(api, version, fields, on, self.sides)
        self.compared(api, version, fields, answers, quiet)
        return Both(*(answer.body for answer in answers))

    def topics(self, names, partitions=1, configs=()):
        """Makes topics, compares nothing, and waits until both know their leaders."""
        spec = [{"Name": n, "NumPartitions": partitions, "ReplicationFactor": 1,
                 "Configs": [{"Name": k, "Value": v} for k, v in configs]} for n in names]
        for side in self.sides:
            for at in range(0, len(spec), 100):
                side.ask("CreateTopics", 7, {"Topics": spec[at:at + 100], "timeoutMs": 30000}, seconds=60)
        self.settle(names, partitions)

    def settle(self, names, partitions=1):
        for side in self.sides:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                topics = side.metadata(names)["Topics"]
                if all(len(t["Partitions"]) >= partitions and
                       all(p["ErrorCode"] == 0 and p["LeaderId"] >= 0 for p in t["Partitions"]) for t in topics):
                    break
                time.sleep(0.02)
            # In Metadata before the partitions are there.
            while time.monotonic() < deadline and any(self.unready(side, part) for part in chunks(names, 200)):
                time.sleep(0.02)

    @staticmethod
    def unready(side, names):
        first = [{"PartitionIndex": 0, "Timestamp": -1}]
        body = side.ask("ListOffsets", 7, {"ReplicaId": -1, "Topics": [{"Name": name, "Partitions": first} for name in names]})
        return body is None or has_error(body, (3, 5, 6))

    def delete_topics(self, names):
        for side in self.sides:
            for part in chunks(names, 200):
                topics = [{"Name": name} for name in part]
                side.ask("DeleteTopics", 6, {"Topics": topics, "TimeoutMs": 30000}, seconds=60)

    def gone(self, name):
        """Waits until neither knows a topic."""
        for side in self.sides:
            for _ in range(200):
                if side.metadata([name])["Topics"][0]["ErrorCode"] == 3:
                    break
                time.sleep(0.02)

    def pause(self, seconds=0.2):
        """For what takes effect a moment after it was answered."""
        time.sleep(seconds)

    def until_rebalancing(self, heartbeat):
        """Waits until a member is told that its group rebalances."""
        for side in self.sides:
            for _ in range(100):
                if side.ask("Heartbeat", 4, heartbeat)["ErrorCode"] == 27:
                    break
                time.sleep(0.02)

    def until_ended(self, transactional_id):
        """Waits until a transaction's markers are written."""
        for side in self.sides:
            for _ in range(200):
                states = side.ask("DescribeTransactions", 0, {"TransactionalIds": [transactional_id]})
                if states["TransactionStates"][0]["TransactionState"].startswith(("Complete", "Empty")):
                    break
                time.sleep(0.02)

    def warm_up(self):
        """Lets both make their internal topics and load their coordinators."""
        for side in self.sides:
            for kind, key in ((0, "warm"), (1, "warm"), (2, "warm:" + "A" * 21 + "Q:0")):
                for attempt in range(200):
                    body = side.ask("FindCoordinator", 6, {"KeyType": kind, "CoordinatorKeys": [key]})
                    if body and body["Coordinators"][0]["ErrorCode"] == 0:
                        break
                    time.sleep(0.05)
            for number in range(24):
                for attempt in range(100):
                    body = side.ask("OffsetFetch", 7, {"GroupId": f"warm-{number}", "Topics": None})
                    if body and body["ErrorCode"] == 0:
                        break
                    time.sleep(0.05)
                for attempt in range(100):
                    body = side.ask("InitProducerId", 4, {"TransactionalId": None, "TransactionTimeoutMs": 1000})
                    if body and body["ErrorCode"] == 0:
                        break
                    time.sleep(0.05)
                for attempt in range(100):
                    body = side.ask("DescribeTransactions", 0, {"TransactionalIds": [f"warm-{number}"]})
                    if body and body["TransactionStates"][0]["ErrorCode"] not in TRANSIENT:
                        break
                    time.sleep(0.05)


def chunks(entries, size):
    return [entries[at:at + size] for at in range(0, len(entries), size)]


def is_transient(answer):
    return answer.outcome == "answered" and has_error(answer.body, TRANSIENT)


def has_error(value, codes):
    if isinstance(value, dict):
        return value.get("ErrorCode", value.get("PartitionErrorCode")) in codes or any(has_error(one, codes) for one in value.values())
    return isinstance(value, list) and any(has_error(one, codes) for one in value)
