"""Cases made from the message definitions: each API and version, bent field by field."""

import copy
import random
import struct
from dataclasses import dataclass, field

import records
import valid
from schema import ZERO_UUID
from session import TopicId

# Mutations tried in versions before the last one; the last one gets all.
OLDER_VERSIONS_TRY = 12
# Names get the case's number, so that no case finds what another one left.
STRINGS = ["no-such-thing", "with/slash", "with space", "x" * 250, "ümläut"]
SHARED_STRINGS = ["", ".", "..", "__consumer_offsets"]
BATCHES = {
    "empty": b"", "garbage": b"\x07" * 80, "crc": records.batch(crc=1), "magic 1": records.batch(magic=1),
    "magic 3": records.batch(magic=3), "cut": records.batch(cut=3), "two": records.batch() + records.batch(),
    "no records": records.batch([]), "count is wrong": records.batch([b"a", b"b"], count=5),
    "offsets are wrong": records.batch([b"a", b"b"], last_delta=7), "negative count": records.batch(count=-1),
    "control": records.batch(attributes=0x20), "transactional": records.batch(attributes=0x10),
    "codec 7": records.batch(attributes=7), "gzip that is none": records.batch(attributes=1),
    "log append time": records.batch(attributes=8), "base offset": records.batch(base=77),
    "time far ahead": records.batch(time=1 << 60), "time before 1970": records.batch(time=-5),
    "producer": records.batch(producer=4000, producer_epoch=0, sequence=0),
    "sequence ahead": records.batch(producer=4001, producer_epoch=0, sequence=5),
    "producer without epoch": records.batch(producer=4002, producer_epoch=-1, sequence=0),
    "body is garbage": records.batch([b"a"], body=b"\xff" * 20), "large": records.batch([b"z" * 1100000]),
}
NUMBERS = {
    "int8": [-1, 0, 1, 2, 3, 127, -128], "int16": [-1, 0, 1, 2, 32767, -32768], "uint16": [0, 65535],
    "int32": [-2, -1, 0, 1, 2, 2**31 - 1, -2**31], "int64": [-3, -2, -1, 0, 1, 3, 2**63 - 1, -2**63],
    "float64": [0.0, -1.0, float("inf"), float("nan"), 1.5],
}
# Left as they are: they would make the brokers wait, or change more than their own case.
PINNED = {
    ("UnregisterBroker", "BrokerId"): [-1, 0, 2**31 - 1],
    ("AlterClientQuotas", "EntityName"): ["", "x" * 250],
    ("UpdateFeatures", "ValidateOnly"): [],
    ("AddPartitionsToTxn", "VerifyOnly"): [True],
}


# Would take the coordinators away from all that follows.
DESTRUCTIVE = ("DeleteTopics", "DeleteRecords", "CreatePartitions", "WriteTxnMarkers", "Produce")


@dataclass
class Case:
    name: str
    api: str
    needs: str
    run: object
    topics: list = field(default_factory=list)


class Numbered:
    """Text that ends in the case's number, and is as long as without it."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return repr(self.text)

    def of(self, n):
        return self.text + str(n) if len(self.text) < 50 else (self.text + str(n))[-len(self.text):]


def values(api, one, current):
    """What to put into a field in place of `current`, each with a name."""
    pinned = PINNED.get((api, one.name))
    if pinned is not None:
        return {repr(v)[:30]: v for v in pinned}
    if one.is_list:
        out = {"[]": [], "null": None}
        if current:
            out["twice"] = current + copy.deepcopy(current)
            if one.fields is not None or one.element == "string":
                out["entry null"] = [None]
        if one.fields is not None:
            out["entry of defaults"] = [{}]
        return out | scalars(api, one, current)
    if one.fields is not None:
        return {"null": None, "defaults": {}}
    if one.element == "records":
        return {"null": None, **BATCHES}
    return {repr(v)[:30]: v for v in single(api, one)}


def scalars(api, one, current):
    if one.fields is not None or not current:
        return {}
    return {f"[{v!r}]"[:30]: [v] for v in single(api, one)}


def single(api, one):
    kind = one.element
    if kind == "bool":
        return [True, False]
    if kind in NUMBERS:
        waits = "timeout" in one.name.lower() or "MaxWait" in one.name
        return [-1, 0] if waits and one.name != "SessionTimeoutMs" else NUMBERS[kind]
    if kind == "string":
        owned = one.entity in ("groupId", "transactionalId") or one.name == "MemberId"
        shared = [s for s in SHARED_STRINGS if not s.startswith("__") or api not in DESTRUCTIVE]
        return [None, *([""] if owned else shared), *map(Numbered, STRINGS)]
    if kind == "uuid":
        return [ZERO_UUID, valid.UNKNOWN_ID, TopicId("beta")]
    return [None, b"", b"\xff" * 9]


def paths(fields, body, version, at=()):
    """Every field that the version has, in the body's first entries, with the way to it."""
    for one in fields:
        if version in one.versions:
            yield at + (one.name,), one
            inner = body.get(one.name, one.default)
            if one.fields is not None and inner:
                step = at + (one.name, 0) if one.is_list else at + (one.name,)
                yield from paths(one.fields, inner[0] if one.is_list else inner, version, step)


def replaced(body, path, value):
    body = copy.deepcopy(body)
    place = body
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return body


def looked_up(body, path):
    for step in path:
        body = body[step] if isinstance(step, int) else body.get(step)
        if body is None:
            return None
    return body


def edits(api, version):
    """Changes to a request's bytes."""
    out = {
        "one byte cut": lambda b: b[:-1], "three bytes more": lambda b: b + b"\0\0\0", "no body": lambda b: b"",
        "half": lambda b: b[:len(b) // 2],
    }
    if version in api.request.flexible:
        tagged = b"\x01\x63\x02hi"
        out["unknown tag"] = lambda b: b[:-1] + tagged
        out["the same tag twice"] = lambda b: b[:-1] + b"\x02\x63\x01a\x63\x01b"
        if api.request.fields[0].is_list:
            out["2^31 entries"] = lambda b: b"\xff\xff\xff\xff\x0f" + b[1:]
    elif api.request.fields[0].is_list:
        out["2^31 entries"] = lambda b: struct.pack(">i", 2**31 - 1) + b[4:]
        out["-2 entries"] = lambda b: struct.pack(">i", -2) + b[4:]
    return out


class Generator:
    def __init__(self, apis, served, seed):
        self.apis, self.served, self.seed = apis, served, seed
        self.cases = []

    def all(self):
        for api in self.apis.values():
            if "broker" not in api.request.listeners:
                continue
            low, high = self.served.get(api.key, (0, -1))
            versions = range(max(low, api.request.valid.low), min(high, api.request.valid.high) + 1)
            for version in versions:
                self.one_version(api, version, version == versions[-1])
            if not versions:
                self.add(api, api.request.valid.high, "not served", "", lambda n, made: {})
            if low <= high:
                for version in sorted({low - 1, -1, high + 1, 32767}):
                    self.unknown(api.key, version, api)
        for key in (-1, 4, 7, 93, 1000, 32767):
            self.unknown(key, 0, None)
        return self.cases

    def add(self, api, version, what, needs, body, edit=None):
        n = len(self.cases)

        def run(session):
            made = valid.prepare(session, needs, n)
            session.ask(api.name, version, edit=edit, **body(n, made))

        topics = [f"t{n}"] if "topic" in needs else []
        self.cases.append(Case(f"gen/{api.name}/{version}/{what}", api.name, needs, run, topics))

    def one_version(self, api, version, last):
        needs, template = valid.TEMPLATES.get(api.name, ("", lambda n, made: {}))
        self.add(api, version, "valid", needs, template)
        self.add(api, version, "defaults", "", lambda n, made: {})
        bends = list(self.bends(api, version, template))
        draw = random.Random(f"{self.seed}/{api.name}/{version}")
        if not last:
            bends = draw.sample(bends, min(OLDER_VERSIONS_TRY, len(bends)))
        for what, path, value in bends:
            self.add(api, version, what, needs, lambda n, made, p=path, v=value: bend(template, n, made, p, v))
        for what, edit in edits(api, version).items():
            self.add(api, version, what, needs, template, edit)

    def bends(self, api, version, template):
        body = template(0, dict.fromkeys(("generation", "member", "producer", "epoch"), 0))
        for path, one in paths(api.request.fields, body, version):
            current = looked_up(body, path)
            for what, value in values(api.name, one, current).items():
                where = ".".join(str(step) for step in path if step != 0)
                yield f"{where}={what}", path, "twice" if what == "twice" else value

    def unknown(self, key, version, api):
        name = api.name if api else f"key {key}"

        def run(session):
            session.ask_unknown(key, version, api)

        self.cases.append(Case(f"gen/{name}/{version}/unknown version", name, "", run))


def bend(template, n, made, path, value):
    body = template(n, made)
    if isinstance(value, str) and value == "twice":
        current = looked_up(body, path)
        value = current + copy.deepcopy(current)
    elif isinstance(value, list):
        value = [one.of(n) if isinstance(one, Numbered) else one for one in value]
    return replaced(body, path, value.of(n) if isinstance(value, Numbered) else value)
