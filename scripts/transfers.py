"""Money moved between accounts under transactions while workers and the broker are killed.

Workers read commands and write, in one transaction with their offsets, two records to a partition of
`ledger` (what one account loses and the other gains) and one to another partition of `audit`. An
auditor reads committed records all the while: whenever it comes to the end of a partition its sum is
zero. At the end every command is in both topics, once.

    transfers.py BROKER_BINARY [--seconds 40] [--commands 20000] [--seed N] [--calm]
                 [--classpath FILE]   (of Apache Kafka's tools: its copier takes part then)
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
import time

PARTITIONS = 4
HERE = os.path.abspath(__file__)


def librdkafka_worker(bootstrap, name, seed):
    from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

    draw = random.Random(seed)
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "bank", "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "isolation.level": "read_committed",
        "session.timeout.ms": 6000, "max.poll.interval.ms": 20000,
    })
    consumer.subscribe(["commands"])
    producer = Producer({
        "bootstrap.servers": bootstrap, "transactional.id": name, "transaction.timeout.ms": 10000,
        "linger.ms": 1,
    })
    producer.init_transactions(60)
    while True:
        batch = [m for m in consumer.consume(draw.randint(1, 50), 0.5) if not m.error()]
        if not batch:
            continue
        producer.begin_transaction()
        try:
            for message in batch:
                command = json.loads(message.value())
                number = command["id"]
                for account, amount in ((command["from"], -command["amount"]), (command["to"], command["amount"])):
                    record = json.dumps({"id": number, "account": account, "amount": amount})
                    producer.produce("ledger", record, partition=number % PARTITIONS)
                producer.produce("audit", str(number), partition=(number + 1) % PARTITIONS)
                producer.poll(0)
            done = {}
            for message in batch:
                done[(message.topic(), message.partition())] = message.offset() + 1
            offsets = [TopicPartition(t, p, o) for (t, p), o in done.items()]
            producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 60)
            if draw.random() < 0.1:
                raise RuntimeError("changed its mind")
            producer.commit_transaction(60)
        except (KafkaException, RuntimeError) as error:
            if isinstance(error, KafkaException) and error.args[0].fatal():
                sys.exit(f"{name}: {error}")
            producer.abort_transaction(60)
            try:
                for partition in consumer.committed(consumer.assignment(), 30):
                    if partition.offset < 0:
                        partition.offset = -2
                    consumer.seek(partition)
            except KafkaException as error:
                sys.exit(f"{name}: {error}")


def kafka_python_worker(bootstrap, name, seed):
    from kafka import KafkaConsumer, KafkaProducer
    from kafka.structs import OffsetAndMetadata

    draw = random.Random(seed)
    consumer = KafkaConsumer(
        "commands", bootstrap_servers=bootstrap, group_id="bank", enable_auto_commit=False,
        auto_offset_reset="earliest", isolation_level="read_committed", session_timeout_ms=6000,
        max_poll_interval_ms=20000,
    )
    producer = KafkaProducer(
        bootstrap_servers=bootstrap, transactional_id=name, transaction_timeout_ms=10000,
    )
    producer.init_transactions()
    while True:
        polled = consumer.poll(500, max_records=draw.randint(1, 50))
        if not polled:
            continue
        producer.begin_transaction()
        for messages in polled.values():
            for message in messages:
                command = json.loads(message.value)
                number = command["id"]
                for account, amount in ((command["from"], -command["amount"]), (command["to"], command["amount"])):
                    record = json.dumps({"id": number, "account": account, "amount": amount})
                    producer.send("ledger", record.encode(), partition=number % PARTITIONS)
                producer.send("audit", str(number).encode(), partition=(number + 1) % PARTITIONS)
        offsets = {at: OffsetAndMetadata(m[-1].offset + 1, "", -1) for at, m in polled.items()}
        producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
        # It dies of any error, and is started again.
        producer.commit_transaction()


class World:
    def __init__(self, options):
        self.options = options
        self.draw = random.Random(options.seed)
        self.dir = tempfile.mkdtemp()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.broker = None
        self.workers = {}
        self.kills = {"broker": 0, "worker": 0}
        self.log = open(os.path.join(self.dir, "log"), "ab")

    def start_broker(self):
        self.broker = subprocess.Popen(
            [self.options.binary, "serve", "--data-dir", os.path.join(self.dir, "data"),
             "--listen", self.bootstrap], stdout=self.log, stderr=self.log)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.broker.poll() is not None:
                    sys.exit(f"the broker ends with {self.broker.returncode}")
                time.sleep(0.02)

    def start_worker(self, name):
        kind = name.split("-")[0]
        if kind == "java":
            command = ["java", "-cp", open(self.options.classpath).read().strip(),
                       "org.apache.kafka.tools.TransactionalMessageCopier",
                       "--broker-list", self.bootstrap, "--input-topic", "commands",
                       "--input-partition", name.split("-")[1], "--output-topic", "copies",
                       "--consumer-group", "copiers", "--transactional-id", name,
                       "--transaction-size", "40", "--transaction-timeout", "10000",
                       "--enable-random-aborts"]
        else:
            command = [sys.executable, HERE, "worker", kind, self.bootstrap, name,
                       str(self.draw.randrange(1 << 30))]
        self.workers[name] = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def keep_workers(self):
        for name, worker in list(self.workers.items()):
            if worker.poll() is not None:
                self.start_worker(name)

    def disturb(self):
        """Kills something now and then."""
        what = self.draw.random()
        if what < 0.02:
            self.broker.send_signal(signal.SIGKILL)
            self.broker.wait()
            self.kills["broker"] += 1
            self.start_broker()
        elif what < 0.08:
            self.workers[self.draw.choice(list(self.workers))].kill()
            self.kills["worker"] += 1

    def end(self):
        for worker in self.workers.values():
            worker.kill()
        if self.broker:
            self.broker.kill()


class Auditor:
    """Reads committed records of the output and checks them at every end of a partition."""

    def __init__(self, world):
        from confluent_kafka import Consumer, TopicPartition

        self.consumer = Consumer({
            "bootstrap.servers": world.bootstrap, "group.id": "audit", "enable.auto.commit": False,
            "isolation.level": "read_committed", "enable.partition.eof": True,
            "auto.offset.reset": "error",
        })
        topics = ["ledger", "audit"] + (["copies"] if world.options.classpath else [])
        everything = [TopicPartition(t, p, 0) for t in topics for p in range(PARTITIONS)]
        self.consumer.assign(everything)
        self.sums = [0] * PARTITIONS
        self.seen = {topic: {} for topic in topics}
        self.checks = 0

    def look(self, timeout):
        from confluent_kafka import KafkaError

        for message in self.consumer.consume(1000, timeout):
            topic, partition = message.topic(), message.partition()
            if message.error():
                if message.error().code() == KafkaError._PARTITION_EOF:
                    if topic == "ledger":
                        self.checks += 1
                        if self.sums[partition] != 0:
                            sys.exit(f"ledger-{partition} at {message.offset()}: the sum is {self.sums[partition]}")
                elif message.error().fatal() or message.error().code() == KafkaError._AUTO_OFFSET_RESET:
                    sys.exit(f"auditor: {message.error()}")
                continue
            value = json.loads(message.value())
            number = value if topic == "audit" else value["id"]
            if topic == "ledger":
                self.sums[partition] += value["amount"]
            times = self.seen[topic].get(number, 0) + 1
            self.seen[topic][number] = times
            if times > (2 if topic == "ledger" else 1):
                sys.exit(f"command {number} is in {topic} {times} times")

    def done(self, commands):
        return all(len(seen) == commands for seen in self.seen.values()) and all(
            times == 2 for times in self.seen["ledger"].values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--seconds", type=int, default=40, help="time during which things are killed")
    parser.add_argument("--commands", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--calm", action="store_true", help="nothing is killed")
    parser.add_argument("--classpath")
    options = parser.parse_args()
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    # Workers that outlive this process would disturb the next run.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    world = World(options)
    print(f"seed {options.seed}, directory {world.dir}", flush=True)
    try:
        world.start_broker()
        admin = AdminClient({"bootstrap.servers": world.bootstrap})
        topics = ["commands", "ledger", "audit", "copies"]
        for made in admin.create_topics([NewTopic(t, PARTITIONS, 1) for t in topics]).values():
            made.result()
        producer = Producer({"bootstrap.servers": world.bootstrap, "enable.idempotence": True})
        names = ["librdkafka-0", "librdkafka-1", "librdkafka-2", "kafkapython-0"]
        if options.classpath:
            names += [f"java-{p}" for p in range(PARTITIONS)]
        for name in names:
            world.start_worker(name)
        auditor = Auditor(world)
        begun = time.monotonic()
        sent = 0
        while not auditor.done(options.commands):
            took = time.monotonic() - begun
            if took > options.seconds + 180:
                missing = {t: options.commands - len(s) for t, s in auditor.seen.items()}
                sys.exit(f"after {took:.0f} s there are missing: {missing}")
            while sent < min(options.commands, options.commands * took / max(options.seconds - 5, 1)):
                amount = world.draw.randint(1, 1000)
                people = world.draw.sample(range(100), 2)
                command = {"id": sent, "from": people[0], "to": people[1], "amount": amount}
                producer.produce("commands", json.dumps(command), partition=sent % PARTITIONS)
                sent += 1
            producer.poll(0)
            auditor.look(0.1)
            world.keep_workers()
            if took < options.seconds and not options.calm:
                world.disturb()
        took = time.monotonic() - begun
        print(f"{options.commands} transfers, each once, in {took:.0f} s; {auditor.checks} audits found the sum "
              f"right; killed: {world.kills['broker']} times the broker, {world.kills['worker']} times a worker")
    except SystemExit:
        print(f"what was said is in {world.dir}/log", file=sys.stderr)
        raise
    finally:
        world.end()
    shutil.rmtree(world.dir)


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        kind, bootstrap, name, seed = sys.argv[2:6]
        {"librdkafka": librdkafka_worker, "kafkapython": kafka_python_worker}[kind](bootstrap, name, int(seed))
    else:
        main()
