"""Record batches by hand: made for Produce, read from Fetch."""

import gzip
import struct
import time as clock

from schema import Reader, uvarint

TIME = 1_700_000_000_000
# Beside the times of markers, which are the brokers': a topic's records of years before begin another segment,
# and one fetch of Kafka's returns records of one segment.
NOW = int(clock.time() * 1000)


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = _crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def varint(value):
    return uvarint((value << 1 ^ value >> 63) & (1 << 64) - 1)


def _sized(data):
    return varint(-1) if data is None else varint(len(data)) + data


def record(delta, value, key=None, headers=(), time_delta=0):
    body = b"\0" + varint(time_delta) + varint(delta) + _sized(key) + _sized(value) + varint(len(headers))
    for name, content in headers:
        body += _sized(name) + _sized(content)
    return varint(len(body)) + body


def batch(values=(b"one",), *, base=0, epoch=-1, magic=2, attributes=0, time=TIME, last_time=None, producer=-1,
          producer_epoch=-1, sequence=-1, key=None, crc=None, count=None, last_delta=None, cut=0, body=None):
    """One batch; what a broker should refuse can be asked for."""
    if body is None:
        body = b"".join(record(i, v, key) for i, v in enumerate(values))
    count = len(values) if count is None else count
    last = (len(values) - 1) if last_delta is None else last_delta
    last_time = time if last_time is None else last_time
    tail = struct.pack(">hiqqqhii", attributes, last, time, last_time, producer, producer_epoch, sequence, count) + body
    crc = crc32c(tail) if crc is None else crc
    head = struct.pack(">ibI", epoch, magic, crc)
    whole = struct.pack(">qi", base, len(head) + len(tail)) + head + tail
    return whole[:len(whole) - cut] if cut else whole


def timed(deltas, last_delta=None, gzipped=False, time=NOW, **kwargs):
    """A batch of records of times `deltas` after its own; its header claims the last, or `last_delta`."""
    body = b"".join(record(at, b"v", time_delta=delta) for at, delta in enumerate(deltas))
    last_time = time + (max(deltas) if last_delta is None else last_delta)
    attributes = kwargs.pop("attributes", 0) | gzipped
    body = gzip.compress(body, mtime=0) if gzipped else body
    return batch([b""] * len(deltas), time=time, last_time=last_time, attributes=attributes, body=body, **kwargs)


def summary(data):
    """Batches as dicts of what can be compared; an incomplete last one is named."""
    if not data:
        return None if data is None else []
    out, reader = [], Reader(data)
    while reader.rest():
        if len(reader.rest()) < 61:
            out.append({"Incomplete": True})
            break
        base, length = reader.number("q"), reader.number("i")
        if length > len(reader.rest()):
            out.append({"BaseOffset": base, "Incomplete": True})
            break
        one = Reader(reader.take(length))
        fields = {"BaseOffset": base, "PartitionLeaderEpoch": one.number("i"), "Magic": one.number("b")}
        crc, covered = one.number("I"), one.rest()
        fields["CrcIsRight"] = crc == crc32c(covered)
        names = ("Attributes", "LastOffsetDelta", "FirstTimestamp", "MaxTimestamp", "ProducerId", "ProducerEpoch",
                 "BaseSequence", "Count")
        fields.update(zip(names, (one.number(form) for form in "hiqqqhii")))
        fields["ProducerId"] = -1 if fields["ProducerId"] == -1 else "<shown>"
        if fields["Attributes"] & 0x20:
            fields["FirstTimestamp"] = fields["MaxTimestamp"] = "of the marker"
        fields["Records"] = one.rest().hex() if len(one.rest()) < 2000 else f"{len(one.rest())} bytes"
        out.append(fields)
    return out
