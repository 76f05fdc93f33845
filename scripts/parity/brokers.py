"""The two brokers: a real Apache Kafka and Corelane, each alone, in directories of its own."""

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent

# What is set alike in both, beside addresses and directories: small numbers, no waiting.
SETTINGS = {
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.num.partitions": 4,
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1000,
    "log.retention.ms": -1,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
}
# What one node needs in Kafka.
KAFKA_ONLY = {
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "num.network.threads": 2,
    "num.io.threads": 3,
}


def class_path(version):
    """Kafka's class path; its jars come from Maven where they are not there yet."""
    fetch = [REPOSITORY / "scripts" / "fetch-kafka.sh", version]
    done = subprocess.run(fetch, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"Apache Kafka {version} could not be fetched")
    return Path(done.stdout.strip()).read_text().strip()


def clients_jar(classes):
    return next(jar for jar in classes.split(":") if Path(jar).name.startswith("kafka-clients-"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Broker:
    """A process and its directories."""

    def __init__(self, name):
        self.name = name
        self.work = Path(tempfile.mkdtemp(prefix=f"parity-{name}-"))
        self.dirs = [self.work / "d1", self.work / "d2"]
        self.port = free_port()
        self.process = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def launch(self, command):
        with open(self.work / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.work)

    def await_ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{self.name} did not start:\n{(self.work / 'log').read_text()[-3000:]}")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.work, ignore_errors=True)


def start_kafka(classes):
    broker = Broker("kafka")
    controller = free_port()
    settings = SETTINGS | KAFKA_ONLY | {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://{broker.address},CONTROLLER://127.0.0.1:{controller}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": ",".join(map(str, broker.dirs)),
    }
    file = broker.work / "server.properties"
    file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    java = ["java", "-Xmx600m", "-XX:TieredStopAtLevel=1", "-cp", classes]
    format_dirs = ["kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c", str(file)]
    done = subprocess.run([*java, *format_dirs, "--feature", "share.version=1"], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"kafka cannot format its directories:\n{done.stdout}{done.stderr}")
    broker.launch([*java, "kafka.Kafka", str(file)])
    return broker


def start_corelane(binary):
    broker = Broker("corelane")
    settings = SETTINGS | {
        "listeners": f"PLAINTEXT://{broker.address}",
        "log.dirs": ",".join(map(str, broker.dirs)),
        "shards": 2,
        "memory": "1GiB",
    }
    for directory in broker.dirs:
        directory.mkdir()
    file = broker.work / "corelane.toml"
    quoted = (f'"{k}" = {v}' if isinstance(v, int) else f'"{k}" = "{v}"' for k, v in settings.items())
    file.write_text("\n".join(quoted) + "\n")
    broker.launch([str(binary), "serve", "--config", str(file)])
    return broker
