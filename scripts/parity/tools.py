"""Kafka's own shell tools against both brokers, unmodified: what they print is compared."""

import re
import struct
import subprocess
import tempfile
from pathlib import Path

import brokers
import table

TOOLS = "org.apache.kafka.tools."
MAINS = {
    "topics": TOOLS + "TopicCommand", "configs": "kafka.admin.ConfigCommand",
    "console-producer": TOOLS + "ConsoleProducer", "console-consumer": TOOLS + "consumer.ConsoleConsumer",
    "consumer-groups": TOOLS + "consumer.group.ConsumerGroupCommand", "get-offsets": TOOLS + "GetOffsetShell",
    "console-share-consumer": TOOLS + "consumer.ConsoleShareConsumer",
    "share-groups": TOOLS + "consumer.group.ShareGroupCommand", "groups": TOOLS + "GroupsCommand",
    "delete-records": TOOLS + "DeleteRecordsCommand", "log-dirs": TOOLS + "LogDirsCommand",
    "transactions": TOOLS + "TransactionsCommand", "broker-api-versions": TOOLS + "BrokerApiVersionsCommand",
    "producer-perf-test": TOOLS + "ProducerPerformance", "consumer-perf-test": TOOLS + "ConsumerPerformance",
    "verifiable-producer": TOOLS + "VerifiableProducer", "verifiable-consumer": TOOLS + "VerifiableConsumer",
    "features": TOOLS + "FeatureCommand", "leader-election": TOOLS + "LeaderElectionCommand",
    "reassign-partitions": TOOLS + "reassign.ReassignPartitionsCommand", "client-metrics": TOOLS + "ClientMetricsCommand",
    "cluster": TOOLS + "ClusterTool",
}
LINES = "".join(f"key{n}:value {n}\n" for n in range(50))
# Each tool's runs, in an order that makes sense: (tool, arguments, what it reads). FILE:name is a file below.
RUNS = [
    ("cluster", "cluster-id", ""),
    ("topics", "--list", ""),
    ("topics", "--create --topic tools --partitions 3 --config retention.ms=70000", ""),
    ("topics", "--create --topic tools --partitions 3", ""),
    ("topics", "--create --topic tools --partitions 3 --if-not-exists", ""),
    ("topics", "--create --topic bad/name", ""),
    ("topics", "--create --topic bad --config no.such=1", ""),
    ("topics", "--create --topic bad --replication-factor 3", ""),
    ("topics", "--create --topic placed --replica-assignment 1,1", ""),
    ("topics", "--describe --topic tools", ""),
    ("topics", "--describe --topic nowhere", ""),
    ("topics", "--describe --under-replicated-partitions", ""),
    ("topics", "--describe --topics-with-overrides --topic tools", ""),
    ("topics", "--alter --topic tools --partitions 4", ""),
    ("topics", "--alter --topic tools --partitions 2", ""),
    ("topics", "--list --exclude-internal", ""),
    ("configs", "--describe --topic tools", ""),
    ("configs", "--alter --topic tools --add-config max.message.bytes=2000000,cleanup.policy=[compact,delete]", ""),
    ("configs", "--describe --topic tools", ""),
    ("configs", "--alter --topic tools --delete-config cleanup.policy", ""),
    ("configs", "--alter --topic tools --add-config retention.ms=soon", ""),
    ("configs", "--alter --topic tools --delete-config no.such", ""),
    ("configs", "--alter --topic nowhere --add-config retention.ms=1", ""),
    ("configs", "--alter --broker 1 --add-config log.cleaner.threads=2", ""),
    ("configs", "--describe --broker 1", ""),
    ("configs", "--alter --broker-defaults --add-config message.max.bytes=1100000", ""),
    ("configs", "--describe --broker-defaults", ""),
    ("configs", "--alter --broker-defaults --delete-config message.max.bytes", ""),
    ("configs", "--alter --entity-type users --entity-name u --add-config producer_byte_rate=1000000", ""),
    ("configs", "--describe --entity-type users --entity-name u", ""),
    ("configs", "--describe --entity-type users", ""),
    ("configs", "--alter --group g1 --add-config consumer.session.timeout.ms=50000", ""),
    ("configs", "--describe --group g1", ""),
    ("client-metrics", "--alter --name m --metrics org.apache.kafka --interval 60000", ""),
    ("client-metrics", "--list", ""),
    ("client-metrics", "--describe --name m", ""),
    ("client-metrics", "--delete --name m", ""),
    ("console-producer", "--topic placed --property parse.key=true --property key.separator=:", LINES),
    ("console-producer", "--topic tools", "x\n" * 20),
    ("console-consumer", "--topic placed --from-beginning --max-messages 50 --group readers --property print.key=true", ""),
    ("console-consumer", "--topic placed --partition 0 --offset earliest --timeout-ms 2000", ""),
    ("get-offsets", "--topic placed", ""),
    ("get-offsets", "--topic placed --time -2", ""),
    ("get-offsets", "--topic-partitions placed:0,nowhere:1 --time -1", ""),
    ("consumer-groups", "--list", ""),
    ("consumer-groups", "--list --state", ""),
    ("consumer-groups", "--describe --group readers", ""),
    ("consumer-groups", "--describe --group readers --members", ""),
    ("consumer-groups", "--describe --group readers --state", ""),
    ("consumer-groups", "--describe --group nobody", ""),
    ("consumer-groups", "--group readers --reset-offsets --to-earliest --topic placed --dry-run", ""),
    ("consumer-groups", "--group readers --reset-offsets --to-earliest --topic placed --execute", ""),
    ("consumer-groups", "--describe --group readers --offsets", ""),
    ("consumer-groups", "--group readers --reset-offsets --shift-by 5 --all-topics --execute", ""),
    ("consumer-groups", "--group readers --delete-offsets --topic placed:0", ""),
    ("consumer-groups", "--group readers --delete", ""),
    ("consumer-groups", "--group readers --delete", ""),
    ("groups", "--list", ""),
    ("configs", "--alter --entity-type groups --entity-name sharers --add-config share.auto.offset.reset=earliest", ""),
    ("console-share-consumer", "--topic tools --group sharers --max-messages 3 --timeout-ms 20000", ""),
    ("share-groups", "--list", ""),
    ("share-groups", "--delete-offsets --group sharers --topic tools --topic nowhere", ""),
    ("share-groups", "--delete-offsets --group sharers --topic tools", ""),
    ("share-groups", "--delete-offsets --group nobody --topic tools", ""),
    ("share-groups", "--describe --group sharers", ""),
    ("share-groups", "--reset-offsets --group sharers --topic tools --to-earliest --execute", ""),
    ("share-groups", "--delete --group sharers", ""),
    ("delete-records", "--offset-json-file FILE:trim", ""),
    ("get-offsets", "--topic placed --time -2", ""),
    ("log-dirs", "--describe --topic-list placed", ""),
    ("transactions", "list", ""),
    ("transactions", "describe-producers --topic placed --partition 0", ""),
    ("transactions", "describe --transactional-id nobody", ""),
    ("transactions", "find-hanging --broker-id 1", ""),
    ("broker-api-versions", "", ""),
    ("features", "describe", ""),
    ("features", "upgrade --feature group.version=1 --dry-run", ""),
    ("features", "upgrade --feature no.such=1", ""),
    ("leader-election", "--election-type preferred --topic placed --partition 0", ""),
    ("leader-election", "--election-type preferred --all-topic-partitions", ""),
    ("leader-election", "--election-type preferred --topic nowhere --partition 0", ""),
    ("reassign-partitions", "--list", ""),
    ("reassign-partitions", "--generate --topics-to-move-json-file FILE:move --broker-list 1", ""),
    ("reassign-partitions", "--execute --reassignment-json-file FILE:plan", ""),
    ("reassign-partitions", "--verify --reassignment-json-file FILE:plan", ""),
    ("reassign-partitions", "--execute --reassignment-json-file FILE:elsewhere", ""),
    ("producer-perf-test", "--topic tools --num-records 5000 --record-size 100 --throughput -1 --producer-props PROPS", ""),
    ("consumer-perf-test", "--topic tools --messages 5000 --timeout 10000", ""),
    ("verifiable-producer", "--topic tools --max-messages 20 --throughput -1", ""),
    ("verifiable-consumer", "--topic tools --group-id v --max-messages 20", ""),
    ("topics", "--delete --topic placed", ""),
    ("topics", "--delete --topic placed", ""),
    ("topics", "--delete --topic tools", ""),
    ("topics", "--list --exclude-internal", ""),
]
FILES = {
    "trim": '{"partitions":[{"topic":"placed","partition":0,"offset":3}],"version":1}',
    "move": '{"topics":[{"topic":"placed"}],"version":1}',
    "plan": '{"version":1,"partitions":[{"topic":"placed","partition":0,"replicas":[1],"log_dirs":["any"]}]}',
    "elsewhere": '{"version":1,"partitions":[{"topic":"placed","partition":0,"replicas":[2],"log_dirs":["any"]}]}',
}
# What cannot be the same, and what stands for it.
NORMAL = [
    (r"127\.0\.0\.1:\d+|localhost:\d+", "<address>"), (r"/127\.0\.0\.1", "/<host>"),
    (r"(?<![A-Za-z0-9_-])(?=\S*\d)[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])", "<uuid>"), (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.,:]\d+Z?", "<time>"), (r"\[<time>\] ", ""), (r"\b1[67]\d{11}\b", "<ms>"),
    (r"\d+\.\d+ (records/sec|MB/sec|ms|MiB/sec)", r"<n> \1"), (r"\d+ ms", "<n> ms"), (r"\((<n>|\d+\.\d+) MB", "(<n> MB"),
    (r"PID \d+|ProducerId: \d+", "<pid>"), (r"0x[0-9a-f]+", "<hex>"), (r"Epoch: \d+", "Epoch: <n>"),
    (r"^<time>, <time>, [\d., -]+$", "<figures>"), (r'"partition":\d+,"offset":\d+', "<place>"), (r"\d+\.\d{3,}", "<n>"),
    (r"^\d+ records sent.*", "<figures>"), (r'.*"name":"(records_consumed|offsets_committed|partitions_\w+)".*', r"\1"),
    (r"(/\S*)?/parity-(kafka|corelane)-\w+/d(\d)", r"<dir>"), (r"[ \t]+", " "),
]


class Runner:
    """The JVM that runs the tools, and the files that they are given."""

    def __init__(self, classes):
        source = brokers.HERE / "ToolRunner.java"
        java = ["java", "-Xmx400m", "-XX:TieredStopAtLevel=1", "-cp", classes, str(source)]
        self.process = subprocess.Popen(java, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.files = tempfile.TemporaryDirectory(prefix="parity-tools-")
        for name, text in FILES.items():
            (Path(self.files.name) / name).write_text(text)

    def run(self, tool, arguments, stdin, address):
        at = "--bootstrap-server"
        args = [arg.replace("FILE:", self.files.name + "/") for arg in arguments.split()]
        args = [f"bootstrap.servers={address}" if arg == "PROPS" else arg for arg in args]
        if tool != "producer-perf-test":
            args = [at, address, *args] if tool not in ("cluster",) else [*args, at, address]
        texts = [MAINS[tool], stdin, *args]
        frame = struct.pack(">i", len(texts))
        for text in texts:
            data = text.encode()
            frame += struct.pack(">H", len(data)) + data
        self.process.stdin.write(frame)
        self.process.stdin.flush()
        code = struct.unpack(">i", self.read(4))[0]
        return code, *(self.read(struct.unpack(">i", self.read(4))[0]).decode(errors="replace") for _ in range(2))

    def read(self, count):
        return self.process.stdout.read(count)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.files.cleanup()


def normal(answer):
    """Lines without what cannot be the same; sorted, because Kafka's are in the order of a hash map."""
    code, said, complained = answer
    lines = []
    for line in [*said.splitlines(), *complained.splitlines()]:
        if line.startswith(("SLF4J", "\t")):
            continue  # a stack trace
        for pattern, instead in NORMAL:
            line = re.sub(pattern, instead, line)
        if line.strip():
            lines.append(line.strip())
    return [f"exit {code}", *sorted(lines)]


def compare(runner, sides, only, entries, show):
    counts = dict.fromkeys(table.VERDICTS, 0)
    for number, (tool, arguments, stdin) in enumerate(RUNS):
        if only and only != tool:
            continue
        kafka, corelane = (normal(runner.run(tool, arguments, stdin, side.address)) for side in sides)
        name = f"{tool} {arguments}".strip()
        gone, new = [x for x in kafka if x not in corelane], [x for x in corelane if x not in kafka]
        if not gone and not new:
            counts["same"] += 1
            continue
        entry = next((e for e in entries if e.covers_lines(name, gone, new)), None)
        counts[entry.kind if entry else "open"] += 1
        if show and not entry:
            print(f"OPEN {number} kafka-{name}")
            for side, lines in (("kafka", gone), ("corelane", new)):
                print("".join(f"  {side:9} {line[:220]}\n" for line in lines[:12]), end="")
    return counts
