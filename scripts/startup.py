#!/usr/bin/env python3
"""How long a broker takes from its start to its first answers, beside Apache Kafka.

Timed from the moment the process is made until a Metadata request is answered that names a leader for
every partition of one topic and a ListOffsets request for one of these partitions is answered without
an error (with an empty directory: until Metadata names a broker). Asked again every millisecond. In turns,
on the same machine: an empty directory; --partitions partitions with a record each after an orderly
stop, and after a SIGKILL. The resident memory is read two seconds after the first answer.

  scripts/startup.py --classpath "$(cat cp)"         cp: Kafka's jars, as scripts/import-kafka.sh gets them
  scripts/startup.py --rounds 11 --partitions 0      the empty directory alone, without Kafka

Python 3 alone is needed, and `cargo build --release -p corelane -p corelane-perf`.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOPICS = 10
PATIENCE_SECONDS = 300


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def ask(port, key, version, body):
    """One request on a connection of its own; the answer behind its correlation id."""
    header = struct.pack(">hhih", key, version, 7, -1)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
        (length,) = struct.unpack(">i", received(connection, 4))
        return received(connection, length)[4:]


def received(connection, length):
    answer = b""
    while len(answer) < length:
        piece = connection.recv(length - len(answer))
        if not piece:
            raise OSError("closed")
        answer += piece
    return answer


def text(name):
    return struct.pack(">h", len(name)) + name.encode()


class Reader:
    def __init__(self, answer):
        self.answer, self.at = answer, 0

    def take(self, form):
        (value,) = struct.unpack_from(">" + form, self.answer, self.at)
        self.at += struct.calcsize(">" + form)
        return value

    def skip_text(self):
        length = self.take("h")
        self.at += max(length, 0)

    def skip_numbers(self):
        count = self.take("i")
        self.at += 4 * count


def is_served(port, topic, partitions):
    """Whether a broker is named and, if there is a topic, all its partitions are led and readable."""
    asked = struct.pack(">i", 1 if topic else 0) + (text(topic) if topic else b"")
    answer = Reader(ask(port, 3, 1, asked))
    brokers = answer.take("i")
    for _ in range(brokers):
        answer.take("i"), answer.skip_text(), answer.take("i"), answer.skip_text()
    answer.take("i")
    if not topic:
        return brokers > 0
    led = 0
    for _ in range(answer.take("i")):
        if answer.take("h"):
            return False
        answer.skip_text(), answer.take("b")
        for _ in range(answer.take("i")):
            error, _, leader = answer.take("h"), answer.take("i"), answer.take("i")
            for _ in range(2):
                answer.skip_numbers()
            led += error == 0 and leader >= 0
    if led != partitions:
        return False
    offsets = struct.pack(">ii", -1, 1) + text(topic) + struct.pack(">iiq", 1, partitions - 1, -1)
    answer = Reader(ask(port, 2, 1, offsets))
    answer.take("i"), answer.skip_text(), answer.take("i"), answer.take("i")
    return answer.take("h") == 0


class Broker:
    """A process, its directory and its port."""

    def __init__(self, work, args):
        self.dir, self.port, self.args = work, free_port(), args
        self.process = None
        os.makedirs(work, exist_ok=True)

    def start(self, topic, partitions):
        """Milliseconds until it answers."""
        log = open(os.path.join(self.dir, "log"), "ab")
        began = time.monotonic()
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.dir)
        while True:
            try:
                if is_served(self.port, topic, partitions):
                    return (time.monotonic() - began) * 1000
            except (OSError, struct.error):
                pass
            if self.process.poll() is not None or time.monotonic() - began > PATIENCE_SECONDS:
                raise SystemExit(f"{self.name} does not start; see {self.dir}/log")
            time.sleep(0.001)

    def memory_mib(self):
        time.sleep(2)
        with open(f"/proc/{self.process.pid}/status") as status:
            line = next(line for line in status if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait()
        self.process = None

    def clear(self):
        shutil.rmtree(os.path.join(self.dir, "data"), ignore_errors=True)

    def fill(self):
        """Topics with a record in each partition, by the load generator."""
        for topic in range(TOPICS):
            command = [self.args.perf, "produce", "--bootstrap", f"127.0.0.1:{self.port}"]
            command += ["--topic", f"t{topic}", "--partitions", str(self.args.partitions // TOPICS)]
            command += ["--bytes", "64KiB", "--batch-bytes", "1KiB", "--seconds", "60"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Corelane(Broker):
    name = "Corelane"

    def command(self):
        data = os.path.join(self.dir, "data")
        return [self.args.corelane, "serve", "--listen", f"127.0.0.1:{self.port}", "--data-dir", data]


class Kafka(Broker):
    name = "Apache Kafka"

    def __init__(self, work, args):
        super().__init__(work, args)
        self.controller = free_port()
        with open(os.path.join(work, "server.properties"), "w") as properties:
            properties.write(
                f"process.roles=broker,controller\nnode.id=1\nlog.dirs={work}/data\n"
                f"controller.quorum.voters=1@127.0.0.1:{self.controller}\n"
                f"listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller}\n"
                "controller.listener.names=CONTROLLER\noffsets.topic.replication.factor=1\n"
            )
        self.clear()

    def java(self, *rest):
        # As kafka-server-start.sh has it.
        flags = ["-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]
        flags += ["-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"]
        return ["java", *flags, "-cp", self.args.classpath, *rest]

    def command(self):
        return self.java("kafka.Kafka", "server.properties")

    def clear(self):
        super().clear()
        tool = ["kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ"]
        command = self.java(*tool, "-c", "server.properties")
        subprocess.run(command, check=True, cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measured(broker, rounds_of):
    """One round of one broker: adds its figures to what is there."""
    broker.clear()
    rounds_of["empty, ms"].append(broker.start(None, 0))
    rounds_of["empty, resident MiB"].append(broker.memory_mib())
    broker.end(signal.SIGTERM)


def measured_with_partitions(broker, rounds_of):
    of_one = broker.args.partitions // TOPICS
    rounds_of["after a stop, ms"].append(broker.start("t0", of_one))
    rounds_of["partitions, resident MiB"].append(broker.memory_mib())
    broker.end(signal.SIGKILL)
    rounds_of["after SIGKILL, ms"].append(broker.start("t0", of_one))
    broker.end(signal.SIGTERM)


def main():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--corelane", default=f"{HERE}/target/release/corelane")
    parser.add_argument("--perf", default=f"{HERE}/target/release/corelane-perf")
    parser.add_argument("--classpath", help="Kafka's jars; without it Corelane alone is measured")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--partitions", type=int, default=10_000, help="0: the empty directory alone")
    parser.add_argument("--dir", help="where the brokers' directories are made; default: a temporary one")
    args = parser.parse_args()
    work = tempfile.mkdtemp(dir=args.dir)
    brokers = [Corelane(f"{work}/corelane", args)]
    if args.classpath:
        brokers.append(Kafka(f"{work}/kafka", args))
    names = ["empty, ms", "empty, resident MiB"]
    if args.partitions:
        names += ["after a stop, ms", "after SIGKILL, ms", "partitions, resident MiB"]
    found = {broker.name: {name: [] for name in names} for broker in brokers}
    try:
        for _ in range(args.rounds):
            for broker in brokers:
                measured(broker, found[broker.name])
        if args.partitions:
            for broker in brokers:
                broker.clear()
                broker.start(None, 0)
                broker.fill()
                broker.end(signal.SIGTERM)
            for _ in range(args.rounds):
                for broker in brokers:
                    measured_with_partitions(broker, found[broker.name])
    finally:
        for broker in brokers:
            if broker.process:
                broker.process.kill()
                broker.process.wait()
        if sys.exc_info()[0] is None:
            shutil.rmtree(work)
    print(f"medians of {args.rounds}; {args.partitions} partitions")
    for broker, values in found.items():
        for name, each in values.items():
            print(f"{broker:14} {name:26} {statistics.median(each):9.1f}   {[round(v, 1) for v in each]}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
