#!/usr/bin/env bash
# Other people's clients against a broker of our own: kcat, Python's confluent-kafka and
# kafka-python, and, where Java and Maven are there, Apache Kafka's own tools. Each part is skipped
# with a line where its tool is missing.
set -euo pipefail
. "$(dirname "$0")/broker.sh"
kafka=${KAFKA_VERSION:-4.0.0}
mode=${MODE:-single}
echo "advertise = '$mode'" >"$work/corelane.toml"
start --config "$work/corelane.toml"
seq 1 5000 >"$work/in"
ok() { echo "ok: $*"; }
skip() { echo "skipped: $*"; }

if command -v kcat >/dev/null; then
  for codec in none gzip snappy lz4 zstd; do
    kcat -b "$b" -P -t "kcat-$codec" -z "$codec" <"$work/in"
    kcat -b "$b" -C -t "kcat-$codec" -e -q | cmp - "$work/in"
    ok "kcat $codec"
  done
else skip "kcat (Debian: apt-get install kcat)"; fi

python=${PYTHON:-}
if [ -z "$python" ] && python3 -m venv "$work/venv" 2>/dev/null; then
  "$work/venv/bin/pip" -q install confluent-kafka kafka-python && python=$work/venv/bin/python
fi
if [ -n "$python" ]; then
  "$python" - "$b" <<'P'
import sys
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
b = sys.argv[1]
admin = AdminClient({"bootstrap.servers": b})
for f in admin.create_topics([NewTopic("py", 3, 1)]).values(): f.result()
for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    p = Producer({"bootstrap.servers": b, "enable.idempotence": True, "compression.type": codec})
    for n in range(1000): p.produce("py", str(n), str(n % 7))
    assert p.flush(30) == 0
c = Consumer({"bootstrap.servers": b, "group.id": "g", "enable.auto.commit": False})
c.assign([TopicPartition("py", i, 0) for i in range(3)])
seen = 0
while seen < 5000:
    m = c.poll(10); assert m is not None and m.error() is None, m and m.error(); seen += 1
for f in admin.delete_topics(["py"]).values(): f.result()
print("ok: confluent-kafka")
import kafka
p = kafka.KafkaProducer(bootstrap_servers=b)
for n in range(100): p.send("kpy", str(n).encode())
p.flush()
c = kafka.KafkaConsumer(bootstrap_servers=b, consumer_timeout_ms=3000)
tp = kafka.TopicPartition("kpy", 0); c.assign([tp]); c.seek_to_beginning(tp)
assert [int(m.value) for m in c] == list(range(100))
print("ok: kafka-python")
P
else skip "Python clients (python3 -m venv and pip are needed)"; fi

if command -v mvn >/dev/null && command -v java >/dev/null; then
  cat >"$work/pom.xml" <<P
<project><modelVersion>4.0.0</modelVersion><groupId>x</groupId><artifactId>x</artifactId><version>1</version>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$kafka</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$kafka</version></dependency></dependencies></project>
P
  (cd "$work" && mvn -q dependency:build-classpath -Dmdep.outputFile=cp >/dev/null)
  tool() { local class=$1; shift; java -cp "$(cat "$work/cp")" "$class" "$@" 2>"$work/tool.err"; }
  topics=org.apache.kafka.tools.TopicCommand
  tool $topics --bootstrap-server "$b" --create --topic java --partitions 2
  tool $topics --bootstrap-server "$b" --describe --topic java | grep -q "PartitionCount: 2"; ok "kafka-topics"
  tool org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$b" --topic java1 <"$work/in"
  tool org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$b" --topic java1 --partition 0 \
    --offset earliest --max-messages 5000 | cmp - "$work/in"; ok "kafka-console-producer and -consumer"
  tool org.apache.kafka.tools.GetOffsetShell --bootstrap-server "$b" --topic java1 | grep -qx "java1:0:5000"; ok "kafka-get-offsets"
  tool org.apache.kafka.tools.ProducerPerformance --topic java --num-records 200000 --record-size 200 --throughput -1 \
    --producer-props bootstrap.servers="$b" | tail -1; ok "kafka-producer-perf-test"
  echo '{"partitions":[{"topic":"java1","partition":0,"offset":1000}],"version":1}' >"$work/trim.json"
  tool org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "$b" --offset-json-file "$work/trim.json" \
    | grep -q "java1-0.*1000"
  tool org.apache.kafka.tools.GetOffsetShell --bootstrap-server "$b" --topic java1 --time -2 | grep -qx "java1:0:1000"
  ok "kafka-delete-records"
  tool org.apache.kafka.tools.LogDirsCommand --bootstrap-server "$b" --describe --topic-list java1 \
    | grep -q '"partition":"java1-0","size":[1-9]'; ok "kafka-log-dirs"
  tool org.apache.kafka.tools.BrokerApiVersionsCommand --bootstrap-server "$b" | head -3; ok "kafka-broker-api-versions"
else skip "Apache Kafka's tools (java and mvn are needed)"; fi
