#!/usr/bin/env python3
"""A consumer group of real client processes while members and the broker are killed.

Members of a group (8 over 64 partitions unless told otherwise) note each record in a file of their own
and commit afterwards. In each round one of them is killed with SIGKILL and started again, is held still
for longer than its session, or leaves in order; or the broker is killed with SIGKILL, or stopped, and
started again on its data. A producer goes on all the time. In the end every acknowledged record must
have been noted by somebody, and the group must be stable, with all members, all partitions given to one
of them each, and nothing left to read.

Exit code: 0 all of that holds; 1 it does not; 2 a tool is missing.

  scripts/groups.py --client librdkafka --rounds 30 --seed 1
  scripts/groups.py --client kafka-python
  scripts/groups.py --client java --classpath "$(cat cp)"      Apache Kafka's console consumer
  scripts/groups.py --protocol consumer                        KIP-848, where the client has it
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOPIC, GROUP = "t", "workers"
SESSION_MS = 3000
# Seldom enough that most kills find something that is noted and not committed.
COMMIT_SECONDS = 0.5
# After the last kill: sessions end, rebalances are over, what is left is read.
SETTLE_SECONDS = 90


def note(out, lines):
    """One write, which a SIGKILL does not cut."""
    os.write(out, "".join(lines).encode())


def librdkafka_member(args, out):
    from confluent_kafka import Consumer, KafkaException

    config = {
        "bootstrap.servers": args.bootstrap,
        "group.id": GROUP,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "reconnect.backoff.max.ms": 500,
    }
    if args.protocol == "consumer":
        config["group.protocol"] = "consumer"
    else:
        config.update({"session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": 500})
        config["partition.assignment.strategy"] = args.assignor
    consumer = Consumer(config)
    consumer.subscribe([TOPIC])
    stop, committed, fresh = [], time.time(), False
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    while not stop:
        records = [r for r in consumer.consume(100, 0.2) if not r.error()]
        note(out, [f"{r.value().decode()}\n" for r in records])
        fresh = fresh or bool(records)
        if fresh and time.time() - committed > COMMIT_SECONDS:
            committed, fresh = time.time(), False
            try:
                consumer.commit(asynchronous=False)
            except KafkaException as error:
                # Another has the partition by now, or the broker is away: these are read again.
                print("commit:", error, file=sys.stderr)
    consumer.close()


def kafka_python_member(args, out):
    from kafka import KafkaConsumer
    from kafka.errors import KafkaError

    consumer = KafkaConsumer(
        TOPIC,
        bootstrap_servers=args.bootstrap,
        group_id=GROUP,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=500,
        reconnect_backoff_max_ms=500,
        request_timeout_ms=10000,
    )
    stop, committed, fresh = [], time.time(), False
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    while not stop:
        try:
            found = consumer.poll(timeout_ms=200)
            note(out, [f"{r.value.decode()}\n" for records in found.values() for r in records])
            fresh = fresh or bool(found)
            if fresh and time.time() - committed > COMMIT_SECONDS:
                committed, fresh = time.time(), False
                consumer.commit()
        except KafkaError as error:
            print("member:", repr(error), file=sys.stderr)
    consumer.close()


def java_command(args):
    settings = [f"session.timeout.ms={SESSION_MS}", "heartbeat.interval.ms=500"]
    if args.protocol == "consumer":
        settings = ["group.protocol=consumer"]
    settings += ["auto.commit.interval.ms=500", "reconnect.backoff.max.ms=500"]
    command = ["java", "-Xmx96m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", args.classpath]
    command += ["org.apache.kafka.tools.consumer.ConsoleConsumer", "--topic", TOPIC, "--group", GROUP]
    command += ["--bootstrap-server", args.bootstrap, "--from-beginning"]
    for setting in settings:
        command += ["--consumer-property", setting]
    return command


class Producer(threading.Thread):
    """Sends numbers, a few hundred a second, and keeps those that were acknowledged."""

    def __init__(self, bootstrap):
        super().__init__(daemon=True)
        from confluent_kafka import Producer as Client

        self.client = Client({
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "message.timeout.ms": 300000,
            "reconnect.backoff.max.ms": 500,
            "linger.ms": 5,
            "log_level": 0,
        })
        self.acked, self.stopped, self.partitions = set(), False, 1

    def told(self, error, record):
        if error is None:
            self.acked.add(int(record.value()))

    def run(self):
        number = 0
        while not self.stopped:
            for _ in range(10):
                try:
                    partition = number % self.partitions
                    self.client.produce(TOPIC, str(number), partition=partition, callback=self.told)
                    number += 1
                except BufferError:
                    break
            self.client.poll(0.02)
            time.sleep(0.01)
        self.client.flush(60)


class World:
    def __init__(self, args, work):
        self.args, self.work = args, work
        self.random = random.Random(args.seed)
        self.members = [None] * args.members
        self.broker, self.unexpected = None, 0
        with open(f"{work}/corelane.toml", "w") as config:
            config.write('"group.initial.rebalance.delay.ms" = 500\n')
            config.write('"group.min.session.timeout.ms" = 100\n')

    def cli(self, *command):
        command = [self.args.binary, *command, "--bootstrap", self.args.bootstrap]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def start_broker(self):
        log = open(f"{self.work}/broker.log", "a")
        command = [self.args.binary, "serve", "--config", f"{self.work}/corelane.toml"]
        command += ["--data-dir", f"{self.work}/data", "--listen", self.args.bootstrap, "--shards", "2"]
        self.broker = subprocess.Popen(command, stderr=log, stdout=log)
        for _ in range(300):
            # Another broker could answer in its place.
            if self.broker.poll() is not None:
                break
            if self.cli("topic", "list").returncode == 0:
                return
            time.sleep(0.05)
        sys.exit(f"the broker does not start: see {self.work}/broker.log")

    def create_topic(self):
        made = self.cli("topic", "create", TOPIC, "--partitions", str(self.args.partitions))
        if made.returncode != 0:
            sys.exit(f"no topic: {made.stderr.strip()}")

    def start_member(self, n):
        err = open(f"{self.work}/member-{n}.err", "a")
        out = os.open(f"{self.work}/member-{n}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        if self.args.client == "java":
            command = java_command(self.args)
        else:
            command = [sys.executable, os.path.abspath(__file__), "--member"]
            command += ["--client", self.args.client, "--bootstrap", self.args.bootstrap]
            command += ["--protocol", self.args.protocol, "--assignor", self.args.assignor]
        self.members[n] = subprocess.Popen(command, stdout=out, stderr=err)
        os.close(out)

    def end(self, process, how):
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def round(self):
        n = self.random.randrange(len(self.members))
        member = self.members[n]
        what = self.random.choices(
            ["kill a member", "hold a member", "a member leaves", "kill the broker", "stop the broker"],
            [5, 2, 2, 4, 1],
        )[0]
        if what == "kill a member":
            self.end(member, signal.SIGKILL)
            time.sleep(self.random.uniform(0, 2))
            self.start_member(n)
        elif what == "hold a member":
            member.send_signal(signal.SIGSTOP)
            time.sleep(SESSION_MS / 1000 * self.random.uniform(0.5, 1.5))
            member.send_signal(signal.SIGCONT)
        elif what == "a member leaves":
            self.end(member, signal.SIGTERM)
            self.start_member(n)
        else:
            self.end(self.broker, signal.SIGKILL if what.startswith("kill") else signal.SIGTERM)
            time.sleep(self.random.uniform(0, 1))
            self.start_broker()
        for n, member in enumerate(self.members):
            if member.poll() is not None:
                self.unexpected += 1
                print(f"  member {n} has ended by itself: {member.returncode}", flush=True)
                self.start_member(n)
        time.sleep(self.random.uniform(0, 2 if self.args.client != "java" else 4))
        return what

    def noted(self):
        """How often each number was noted."""
        seen = {}
        for n in range(len(self.members)):
            with open(f"{self.work}/member-{n}.out") as lines:
                for line in lines:
                    if line.strip().isdigit():
                        seen[int(line)] = seen.get(int(line), 0) + 1
        return seen

    def unsettled(self):
        """Why the group is not as it must be in the end; None where it is."""
        told = self.cli("group", "describe", GROUP, "--json")
        if told.returncode != 0:
            return told.stderr.strip()
        group = json.loads(told.stdout)
        partitions = [p for p in group["partitions"] if p["topic"] == TOPIC]
        owned = [p for p in partitions if p["member"]]
        lag = sum(p["lag"] if p["lag"] is not None else p["end"] for p in partitions)
        state = (group["state"], len(group["members"]), len(owned), lag)
        expected = ("Stable", self.args.members, self.args.partitions, 0)
        return None if state == expected else f"state, members, owned, lag: {state}"


def run(args):
    work = tempfile.mkdtemp(prefix="corelane-groups-")
    world = World(args, work)
    # Members that outlive this process would disturb the next run.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    producer = Producer(args.bootstrap)
    producer.partitions = args.partitions
    started = time.time()
    did = {}
    try:
        world.start_broker()
        world.create_topic()
        producer.start()
        for n in range(args.members):
            world.start_member(n)
        time.sleep(3 if args.client != "java" else 10)
        for _ in range(args.rounds):
            what = world.round()
            did[what] = did.get(what, 0) + 1
        producer.stopped = True
        producer.join()
        calm = time.time()
        while True:
            lost = producer.acked - world.noted().keys()
            why = f"{len(lost)} records were not read" if lost else None
            # KIP-848 groups are not shown by librdkafka's older calls.
            if why is None and args.protocol == "classic":
                why = world.unsettled()
            if why is None or time.time() - calm > SETTLE_SECONDS:
                break
            time.sleep(0.5)
        settled = time.time() - calm
    finally:
        for process in [*world.members, world.broker]:
            if process and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
    seen = world.noted()
    again = sum(seen.values()) - len(seen)
    print(
        f"{args.client} {args.protocol} seed {args.seed}: {args.rounds} rounds {did}, "
        f"{len(producer.acked)} records acknowledged, {again} noted again, "
        f"{world.unexpected} members ended by themselves, settled {settled:.1f} s after the last, "
        f"{time.time() - started:.0f} s in all"
    )
    if why is not None:
        print(f"FAILED: {why}; what there is to look at: {work}")
        return 1
    shutil.rmtree(work)
    print("ok: every record was read, and the group is stable")
    return 0


def free_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--client", choices=["librdkafka", "kafka-python", "java"], default="librdkafka")
    parser.add_argument("--protocol", choices=["classic", "consumer"], default="classic")
    parser.add_argument("--assignor", default="range", help="of librdkafka's classic members")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--partitions", type=int, default=64)
    parser.add_argument("--bootstrap", help="where the broker is to listen; a free port unless told")
    parser.add_argument("--binary", default=os.environ.get("CORELANE", f"{HERE}/target/release/corelane"))
    parser.add_argument("--classpath", default="", help="of Apache Kafka's tools, for --client java")
    parser.add_argument("--member", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.member:
        member = {"librdkafka": librdkafka_member, "kafka-python": kafka_python_member}[args.client]
        return member(args, sys.stdout.fileno())
    if args.client == "java" and not args.classpath:
        print("--classpath is needed for --client java", file=sys.stderr)
        return 2
    if not os.access(args.binary, os.X_OK):
        print(f"no broker at {args.binary}: cargo build --release, or --binary", file=sys.stderr)
        return 2
    args.bootstrap = args.bootstrap or free_address()
    return run(args)


if __name__ == "__main__":
    sys.exit(main())
