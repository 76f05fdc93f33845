#!/usr/bin/env bash
# Runs a real Apache Kafka, fills it (all codecs, compaction, transactions, deleted records, a deleted
# topic, changed settings, a restart, a consumer group), stops it, takes its directories over with
# `corelane import kafka`, and compares what consumers read from the two, record by record.
# SAVE=FILE keeps Kafka's directories and what was read from them, as tests/fixtures has it.
# Java, Maven and Python with venv are needed.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
binary=${CORELANE:-$here/target/release/corelane}
[ -x "$binary" ] || cargo build --release --manifest-path "$here/Cargo.toml"
for tool in mvn java python3; do
  command -v $tool >/dev/null || { echo "$tool is needed" >&2; exit 1; }
done
work=$(mktemp -d)
port=${PORT:-19495}
b=127.0.0.1:$port
kafka=${KAFKA_VERSION:-4.0.0}
running=
trap '[ -z "$running" ] || kill $running 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

cat >pom.xml <<P
<project><modelVersion>4.0.0</modelVersion><groupId>x</groupId><artifactId>x</artifactId><version>1</version>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$kafka</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$kafka</version></dependency></dependencies></project>
P
mvn -q dependency:build-classpath -Dmdep.outputFile=cp >/dev/null
cat >server.properties <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://$b,CONTROLLER://127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
log.dirs=$work/k1,$work/k2
offsets.topic.num.partitions=2
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=2
log.cleaner.backoff.ms=500
group.initial.rebalance.delay.ms=0
metadata.log.max.snapshot.interval.ms=1500
P
python=${PYTHON:-}
if [ -z "$python" ]; then
  python3 -m venv venv
  venv/bin/pip -q install confluent-kafka
  python=$work/venv/bin/python
fi

java="java -Xmx300m -cp $(cat cp)"
wait_for_port() { for _ in $(seq 300); do (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return; sleep 0.2; done; }
stop() { kill $running; wait $running || true; running=; }
start_kafka() { $java kafka.Kafka server.properties >>kafka.log 2>&1 & running=$!; wait_for_port; }
read_all() {
  for partition in compacted-0 empty-0 events-0 events-1 events-2; do
    "$binary" consume "${partition%-*}" --partition "${partition#*-}" --from-beginning --exit-at-end \
      --format '%t %p %o %T %k %s %h\n' --bootstrap "$b"
  done
}

timeout 60 $java kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw -c server.properties >format.log 2>&1
start_kafka
timeout 120 "$python" - "$b" <<'P'
import sys, time
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource,
                                   NewPartitions, NewTopic)
b = sys.argv[1]
admin = AdminClient({"bootstrap.servers": b})
def done(futures):
    for future in futures.values(): future.result(30)
small = {"segment.index.bytes": "96", "index.interval.bytes": "1024"}
done(admin.create_topics([
    NewTopic("events", 3, 1, config={"retention.ms": "-1", "min.insync.replicas": "1", **small}),
    NewTopic("compacted", 1, 1, config={"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", **small}),
    NewTopic("ledger", 1, 1), NewTopic("gone", 2, 1, config={"retention.ms": "1000"}), NewTopic("empty", 1, 1)]))
for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    p = Producer({"bootstrap.servers": b, "enable.idempotence": True, "compression.type": codec,
                  "linger.ms": 2, "batch.num.messages": 50})
    for n in range(600):
        p.produce("events", f"{codec} value {n} " + "x" * (n % 90), f"key {n % 40}", partition=n % 3,
                  headers={"h": str(n)}, timestamp=1700000000000 + n)
    for n in range(400): p.produce("compacted", f"{codec} {n}", f"k{n % 50}")
    assert p.flush(30) == 0
for _ in range(3):
    p = Producer({"bootstrap.servers": b, "batch.num.messages": 50})
    for n in range(400): p.produce("compacted", f"last {n} " + "y" * 60, f"k{n % 50}")
    assert p.flush(30) == 0
t = Producer({"bootstrap.servers": b, "transactional.id": "tx-1"})
t.init_transactions(30)
for n in range(6):
    t.begin_transaction()
    for m in range(20): t.produce("ledger", f"tx {n} {m}")
    t.flush()
    (t.abort_transaction if n % 3 == 2 else t.commit_transaction)(30)
done(admin.delete_topics(["gone"]))
done(admin.create_partitions([NewPartitions("empty", 2)]))
done(admin.delete_records([TopicPartition("events", 1, 123)]))
for key, value, how in (("max.message.bytes", "500000", AlterConfigOpType.SET),
                        ("flush.ms", "5000", AlterConfigOpType.SET),
                        ("flush.ms", None, AlterConfigOpType.DELETE)):
    entry = ConfigEntry(key, value, incremental_operation=how)
    done(admin.incremental_alter_configs(
        [ConfigResource(ConfigResource.Type.TOPIC, "events", incremental_configs=[entry])]))
c = Consumer({"bootstrap.servers": b, "group.id": "readers", "enable.auto.commit": False,
              "auto.offset.reset": "earliest"})
c.subscribe(["events"])
for _ in range(500):
    m = c.poll(10)
    assert m and not m.error(), m and m.error()
c.commit(asynchronous=False)
c.close()
time.sleep(4)
P
stop
start_kafka # another leader epoch
seq 1 50 | "$binary" produce events --partition 0 --acks 1 --bootstrap "$b"
read_all >expected
sleep 2
stop
find k1 k2 -type f | sort | xargs md5sum >before
if [ -n "${SAVE:-}" ]; then tar czf "$SAVE" k1 k2 expected; fi

for how in --copy --link; do
  rm -rf c1 c2
  "$binary" import kafka --from k1 --from k2 --data-dir c1 --data-dir c2 $how
  "$binary" serve --data-dir c1 --data-dir c2 --listen "$b" 2>>serve.log &
  running=$!
  wait_for_port
  read_all | cmp - expected
  seq 1 100 | "$binary" produce events --partition 0 --bootstrap "$b"
  "$binary" topic describe events --bootstrap "$b" | head -8
  stop
  find k1 k2 -type f | sort | xargs md5sum | cmp - before
  echo "ok: $(wc -l <expected) records read alike after $how, Kafka's files unchanged"
done
