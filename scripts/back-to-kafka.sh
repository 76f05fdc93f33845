#!/usr/bin/env bash
# The way back, as config/packaging/README.md describes it: fills Corelane (codecs, a transaction that was
# aborted, deleted records, a consumer group), stops it, gives its segments to a new Apache Kafka, and
# compares what consumers read from the two, record by record, and what the group has committed.
# CLASSPATH_FILE names a file with Kafka's class path; without it scripts/fetch-kafka.sh gets Kafka. Java
# and Python 3 with confluent-kafka are needed.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
binary=${CORELANE:-$here/target/release/corelane}
[ -x "$binary" ] || cargo build --release --manifest-path "$here/Cargo.toml"
python=${PYTHON:-python3}
"$python" -c 'import confluent_kafka' || { echo "confluent-kafka is needed: pip install confluent-kafka" >&2; exit 1; }
work=$(mktemp -d)
free_port() { "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=${PORT:-$(free_port)}
b=127.0.0.1:$port
controller=127.0.0.1:$(free_port)
running=
trap '[ -z "$running" ] || kill $running 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
cp "${CLASSPATH_FILE:-$("$here/scripts/fetch-kafka.sh" "${KAFKA_VERSION:-4.0.0}")}" cp
java="java -Xmx300m -cp $(cat cp)"
wait_for_port() { for _ in $(seq 600); do (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return; sleep 0.1; done; exit 1; }
stop() { kill $running; wait $running || true; running=; }
start_kafka() { $java kafka.Kafka server.properties >>kafka.log 2>&1 & running=$!; wait_for_port; }
corelane() { "$binary" "$@" --bootstrap "$b"; }
make_topics() {
  corelane topic create events --partitions 3 --config retention.ms=-1
  corelane topic create small --partitions 1 --config segment.bytes=1048576
}
read_all() {
  for topic in events small; do
    for isolation in read_committed read_uncommitted; do
      "$python" - "$b" "$topic" "$isolation" <<'P'
import sys
from confluent_kafka import Consumer, TopicPartition, KafkaError
address, topic, isolation = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": address, "group.id": "reader", "enable.partition.eof": True,
                     "isolation.level": isolation, "enable.auto.commit": False})
count = len(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
for partition in range(count):
    consumer.assign([TopicPartition(topic, partition, 0)])
    while True:
        record = consumer.poll(30)
        if record is None:
            sys.exit(f"{topic}-{partition}: nothing comes")
        if record.error() and record.error().code() == KafkaError._PARTITION_EOF:
            break
        if record.error() and record.error().code() == KafkaError.OFFSET_OUT_OF_RANGE:
            continue
        print(topic, isolation, partition, record.offset(), record.timestamp()[1], record.key(), record.value()[:40])
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
    print(topic, partition, "ends at", high)
P
    done
  done
  "$python" - "$b" <<'P'
import sys
from confluent_kafka import Consumer, TopicPartition
consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "workers"})
for found in consumer.committed([TopicPartition("events", p) for p in range(3)], timeout=60):
    print("committed", found.partition, found.offset)
P
}

"$binary" serve --listen "$b" --data-dir data >corelane.log 2>&1 & running=$!
wait_for_port
make_topics
"$python" - "$b" <<'P'
import sys
from confluent_kafka import Consumer, Producer
base = {"bootstrap.servers": sys.argv[1]}
for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
    producer = Producer({**base, "compression.type": codec, "enable.idempotence": True})
    for number in range(2000):
        producer.produce("events", f"{codec} {number} " + "x" * 50, str(number))
        producer.produce("small", "y" * 600, str(number))
    assert producer.flush(60) == 0
producer = Producer({**base, "transactional.id": "mover"})
producer.init_transactions(30)
for end in [producer.commit_transaction, producer.abort_transaction, producer.commit_transaction]:
    producer.begin_transaction()
    for number in range(100):
        producer.produce("events", f"{end.__name__} {number}", str(number))
    producer.flush(30)
    end(30)
consumer = Consumer({**base, "group.id": "workers", "auto.offset.reset": "earliest", "enable.auto.commit": False})
consumer.subscribe(["events"])
seen = 0
while seen < 5000:
    seen += len(consumer.consume(500, 30))
consumer.commit(asynchronous=False)
consumer.close()
P
read_all >from-corelane
stop

cat >server.properties <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@$controller
listeners=PLAINTEXT://$b,CONTROLLER://$controller
controller.listener.names=CONTROLLER
log.dirs=$work/kafka
offsets.topic.num.partitions=50
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
P
$java kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAQ -c server.properties >/dev/null
start_kafka
make_topics
# Makes __consumer_offsets.
"$python" - "$b" <<'P'
import sys, time
from confluent_kafka import Consumer, KafkaException, TopicPartition
consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "maker"})
for attempt in range(100):
    try:
        consumer.commit(offsets=[TopicPartition("small", 0, 0)], asynchronous=False)
        break
    except KafkaException:
        time.sleep(0.2)
P
stop
for partition in data/events-* data/small-* data/__consumer_offsets-*; do
  to=kafka/$(basename "$partition")
  rm -f "$to"/*.log "$to"/*.index "$to"/*.timeindex "$to"/*.txnindex "$to"/*.snapshot "$to"/leader-epoch-checkpoint
  for file in "$partition"/*.log "$partition"/*.txnindex "$partition"/*.snapshot "$partition"/leader-epoch-checkpoint; do
    [ ! -e "$file" ] || cp "$file" "$to"
  done
done
rm -f kafka/.kafka_cleanshutdown kafka/*-checkpoint
start_kafka
read_all >from-kafka
stop
cmp from-corelane from-kafka
echo "the same: $(grep -vc '^committed ' from-kafka) lines of records and ends, $(grep -c '^committed ' from-kafka) committed offsets"
