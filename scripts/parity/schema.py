"""Kafka's message definitions, read from the jar of its clients, and a codec made of them.

A message is a dict of field names to values; a list of structs is a list of dicts. What a request
leaves out has its default. Nothing is checked on the way out: what Kafka's own client could not send
(null where there is none, a number that is too large) is what a test wants to send.
"""

import json
import re
import struct
import uuid
import zipfile

FIXED = {
    "bool": "?", "int8": "b", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "float64": "d",
}
ZERO_UUID = str(uuid.UUID(int=0))


class Malformed(Exception):
    """An answer that is not what its definition says."""


class Versions:
    """A range as `3`, `3-5`, `3+` or `none`."""

    def __init__(self, text):
        self.low, self.high = 0, -1
        if text and text != "none":
            low, _, high = text.partition("-")
            self.low = int(low.rstrip("+"))
            self.high = 32767 if low.endswith("+") else int(high or low)

    def __contains__(self, version):
        return self.low <= version <= self.high

    def __iter__(self):
        return iter(range(self.low, self.high + 1))


class Field:
    def __init__(self, spec, structs):
        self.name = spec["name"]
        self.type = spec["type"].strip()
        self.versions = Versions(spec.get("versions", "0+"))
        self.nullable = Versions(spec.get("nullableVersions"))
        self.tagged = Versions(spec.get("taggedVersions"))
        self.flexible = Versions(spec["flexibleVersions"]) if "flexibleVersions" in spec else None
        self.tag = spec.get("tag")
        self.map_key = spec.get("mapKey", False)
        self.entity = spec.get("entityType")
        self.is_list = self.type.startswith("[]")
        self.element = self.type[2:] if self.is_list else self.type
        fields = spec.get("fields")
        if fields is None and self.element not in FIXED and self.element in structs:
            fields = structs[self.element]
        self.fields = None if fields is None else [Field(f, structs) for f in fields]
        self.default = self._default(spec.get("default"))

    def _default(self, text):
        if text == "null":
            return None
        if self.is_list:
            return []
        if self.fields is not None:
            return {}
        if self.element == "bool":
            return text in (True, "true")
        if self.element == "float64":
            return float(text or 0)
        if self.element in FIXED:
            return int(str(text or 0), 0)
        if self.element == "uuid":
            return ZERO_UUID
        return "" if self.element == "string" else b""

    def keys(self):
        """The fields that say which entry of a list an entry is."""
        return [f.name for f in self.fields or [] if f.map_key]


class Message:
    def __init__(self, spec):
        self.name = spec["name"]
        self.key = spec.get("apiKey")
        self.valid = Versions(spec["validVersions"])
        self.flexible = Versions(spec["flexibleVersions"])
        self.unstable = spec.get("latestVersionUnstable", False)
        self.listeners = spec.get("listeners", [])
        structs = {s["name"]: s["fields"] for s in spec.get("commonStructs", [])}
        self.fields = [Field(f, structs) for f in spec["fields"]]

    def encode(self, body, version):
        out = bytearray()
        _encode_struct(out, self.fields, body, version, version in self.flexible)
        return bytes(out)

    def decode(self, data, version):
        reader = Reader(data)
        body = _decode_struct(reader, self.fields, version, version in self.flexible)
        if reader.rest():
            raise Malformed(f"{len(reader.rest())} bytes follow the answer")
        return body


class Api:
    """A request and its response."""

    def __init__(self, request, response):
        self.name = request.name.removesuffix("Request")
        self.key, self.request, self.response = request.key, request, response

    def request_header(self, version, correlation, client_id):
        head = struct.pack(">hhi", self.key, version, correlation)
        text = client_id.encode()
        head += struct.pack(">h", len(text)) + text
        return head + (b"\0" if version in self.request.flexible else b"")

    def response_header_version(self, version):
        return 1 if version in self.response.flexible and self.name != "ApiVersions" else 0


def load(jar):
    """All APIs of brokers by name."""
    specs = {}
    with zipfile.ZipFile(jar) as archive:
        for name in archive.namelist():
            if re.fullmatch(r"common/message/\w+\.json", name):
                text = re.sub(r"^\s*//.*$", "", archive.read(name).decode(), flags=re.M)
                spec = json.loads(text)
                specs[spec["name"]] = spec
    apis = {}
    for name, spec in specs.items():
        if spec["type"] == "request" and spec["validVersions"] != "none":
            api = Api(Message(spec), Message(specs[name.removesuffix("Request") + "Response"]))
            apis[api.name] = api
    return dict(sorted(apis.items(), key=lambda item: item[1].key))


def uvarint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _length(out, value, flexible, wide):
    """A length, or null's mark where it is -1."""
    if flexible:
        out += uvarint(value + 1)
    else:
        out += struct.pack(">i" if wide else ">h", value)


def _encode_struct(out, fields, body, version, flexible):
    tags = {}
    for field in fields:
        if version not in field.versions:
            continue
        value = body.get(field.name, field.default)
        if version in field.tagged:
            if value != field.default:
                tagged = bytearray()
                _encode_value(tagged, field, value, version, flexible)
                tags[field.tag] = bytes(tagged)
        else:
            _encode_value(out, field, value, version, flexible)
    if flexible:
        tags.update(body.get("_tags", {}))
        out += uvarint(len(tags))
        for tag, data in sorted(tags.items()):
            out += uvarint(tag) + uvarint(len(data)) + data


def _encode_value(out, field, value, version, flexible):
    if field.is_list:
        _length(out, -1 if value is None else len(value), flexible, True)
        for entry in value or []:
            _encode_one(out, field, entry, version, flexible, False)
    else:
        _encode_one(out, field, value, version, flexible, version in field.nullable)


def _encode_one(out, field, value, version, flexible, nullable):
    kind = field.element
    if field.fields is not None:
        if nullable or value is None:
            out += struct.pack(">b", -1 if value is None else 1)
        if value is not None:
            _encode_struct(out, field.fields, value, version, flexible)
    elif kind in ("bool", "float64"):
        out += struct.pack(">" + FIXED[kind], value)
    elif kind in FIXED:
        size = struct.calcsize(FIXED[kind])
        out += (value & (1 << 8 * size) - 1).to_bytes(size, "big")
    elif kind == "uuid":
        out += uuid.UUID(value).bytes
    else:
        data = value.encode() if isinstance(value, str) else value
        if field.flexible is not None:
            flexible = version in field.flexible
        _length(out, -1 if data is None else len(data), flexible, kind != "string")
        out += data or b""


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def rest(self):
        return self.data[self.at:]

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise Malformed(f"{count} bytes wanted at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(form)))[0]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def varint(self):
        value = self.uvarint()
        return value >> 1 ^ -(value & 1)

    def length(self, flexible, wide):
        return self.uvarint() - 1 if flexible else self.number("i" if wide else "h")


def _decode_struct(reader, fields, version, flexible):
    body, by_tag = {}, {}
    for field in fields:
        if version not in field.versions:
            continue
        if version in field.tagged:
            by_tag[field.tag] = field
            body[field.name] = field.default
        else:
            body[field.name] = _decode_value(reader, field, version, flexible)
    if flexible:
        for _ in range(reader.uvarint()):
            tag, data = reader.uvarint(), Reader(reader.take(reader.uvarint()))
            if tag in by_tag:
                body[by_tag[tag].name] = _decode_value(data, by_tag[tag], version, flexible)
                if data.rest():
                    raise Malformed(f"bytes follow tag {tag}")
            else:
                body[f"tag {tag}"] = data.data.hex()
    return body


def _decode_value(reader, field, version, flexible):
    if field.is_list:
        count = reader.length(flexible, True)
        if count > len(reader.rest()):
            raise Malformed(f"{count} entries of {field.name}")
        if count < 0:
            return None
        return [_decode_one(reader, field, version, flexible, False) for _ in range(count)]
    return _decode_one(reader, field, version, flexible, version in field.nullable)


def _decode_one(reader, field, version, flexible, nullable):
    kind = field.element
    if field.fields is not None:
        if nullable and reader.number("b") < 0:
            return None
        return _decode_struct(reader, field.fields, version, flexible)
    if kind in FIXED:
        return reader.number(FIXED[kind])
    if kind == "uuid":
        return str(uuid.UUID(bytes=reader.take(16)))
    count = reader.length(flexible, kind != "string")
    if count < 0:
        return None
    data = reader.take(count)
    return data.decode(errors="replace") if kind == "string" else data
