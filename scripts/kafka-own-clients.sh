#!/usr/bin/env bash
# The performance tools that come with Kafka's own clients, against Corelane and against Apache Kafka
# in turn, so that no figure rests on the client of this repository alone:
#
#   scripts/kafka-own-clients.sh --dir /mnt/nvme0 [--pairs 3] [--records 2000000] [--record-size 1024] [--warm-up 10]
#
# Java: kafka-producer-perf-test and kafka-consumer-perf-test. librdkafka: rdkafka_performance where it
# is installed, else a loop over Python's confluent_kafka, which is librdkafka too. KAFKA names Kafka's
# directory or class path (default: scripts/fetch-kafka.sh); CORELANE the broker's program.
set -euo pipefail

cd "$(dirname "$0")/.."
pairs=3 records=2000000 size=1024 acks=all warm_up=10 dir=
while [ $# -gt 0 ]; do
    case $1 in
        --dir) dir=$2 ;;
        --pairs) pairs=$2 ;;
        --records) records=$2 ;;
        --record-size) size=$2 ;;
        --acks) acks=$2 ;;
        --warm-up) warm_up=$2 ;;
        *) echo "kafka-own-clients.sh: $1 is not known; see its head" >&2; exit 2 ;;
    esac
    shift 2
done
[ -d "$dir" ] || { echo "kafka-own-clients.sh: --dir names the directory to write in" >&2; exit 2; }
corelane=${CORELANE:-${CARGO_TARGET_DIR:-target}/release/corelane}
kafka=${KAFKA:-$(scripts/fetch-kafka.sh)}
if [ -d "$kafka" ]; then classes="$kafka/libs/*"; elif [ -f "$kafka" ]; then classes=$(cat "$kafka"); else classes=$kafka; fi

work=$(mktemp -d "$dir/kafka-own-clients-XXXXXX")
broker=
stop() {
    [ -z "$broker" ] || { kill "$broker" 2>/dev/null; wait "$broker" 2>/dev/null || true; }
    broker=
}
trap 'stop; rm -rf "$work"' EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

await() { # until the broker answers
    for _ in $(seq 300); do
        kill -0 "$broker" 2>/dev/null || break
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
        sleep 0.1
    done
    tail -n 20 "$work/log" >&2
    exit 1
}

start() { # corelane or kafka, on an empty directory
    rm -rf "$work/data" && mkdir "$work/data"
    sync
    port=$(free_port)
    if [ "$1" = corelane ]; then
        "$corelane" serve --data-dir "$work/data" --listen "127.0.0.1:$port" >"$work/log" 2>&1 &
    else
        local controller
        controller=$(free_port)
        cat >"$work/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
log.dirs=$work/data
num.network.threads=3
num.io.threads=8
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
PROPERTIES
        java -cp "$classes" kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw \
            -c "$work/server.properties" >/dev/null 2>"$work/log"
        java -server -Xms2g -Xmx2g -XX:+UseG1GC -XX:MaxGCPauseMillis=20 \
            -XX:InitiatingHeapOccupancyPercent=35 -cp "$classes" \
            kafka.Kafka "$work/server.properties" >"$work/log" 2>&1 &
    fi
    broker=$!
    await
    local topic
    for topic in perf warm-up; do
        java -cp "$classes" org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$port" \
            --create --topic "$topic" --partitions 8 --replication-factor 1 >/dev/null 2>&1
    done
}

java_produce() { # records, topic
    java -cp "$classes" org.apache.kafka.tools.ProducerPerformance --topic "$2" --num-records "$1" \
        --record-size "$size" --throughput -1 --producer-props "bootstrap.servers=127.0.0.1:$port" \
        "acks=$acks" 2>/dev/null | tail -n 1
}

java_consume() { # records, topic
    java -cp "$classes" org.apache.kafka.tools.ConsumerPerformance --bootstrap-server "127.0.0.1:$port" \
        --topic "$2" --messages "$1" --timeout 60000 2>/dev/null | tail -n 1 |
        awk -F', ' '{ printf "%s MB in %s to %s: %s MB/s, %s records/s (fetching alone: %s MB/s)\n", $3, $1, $2, $4, $6, $9 }'
}

rdkafka() { # produce or consume, by librdkafka
    if command -v rdkafka_performance >/dev/null; then
        if [ "$1" = produce ]; then
            rdkafka_performance -P -t perf -s "$size" -c "$records" -a "${acks/all/-1}" \
                -b "127.0.0.1:$port" -u 2>/dev/null | tail -n 1
        else
            rdkafka_performance -G perf-rd -t perf -c "$records" -b "127.0.0.1:$port" \
                -X auto.offset.reset=earliest -u 2>/dev/null | tail -n 1
        fi
        return
    fi
    python3 - "$1" "127.0.0.1:$port" "$records" "$size" "$acks" <<'PYTHON'
import sys
import time

try:
    import confluent_kafka as ck
except ImportError:
    sys.exit("neither rdkafka_performance nor Python's confluent_kafka is there")

what, address, records, size, acks = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
common = {"bootstrap.servers": address, "enable.metrics.push": False}
began = time.monotonic()
if what == "produce":
    failed = []
    producer = ck.Producer({**common, "acks": acks, "queue.buffering.max.messages": 500000,
                            "delivery.report.only.error": True, "error_cb": failed.append})
    value = bytes(size)
    for _ in range(records):
        while True:
            try:
                producer.produce("perf", value, on_delivery=lambda error, _: failed.append(error) if error else None)
                break
            except BufferError:
                producer.poll(0.05)
    producer.flush()
    if failed:
        sys.exit(f"{len(failed)} failed, the first: {failed[0]}")
else:
    consumer = ck.Consumer({**common, "group.id": "perf-rd", "auto.offset.reset": "earliest",
                            "enable.auto.commit": False})
    consumer.subscribe(["perf"])
    got = 0
    while got < records:
        batch = consumer.consume(10000, 10)
        if not batch:
            sys.exit(f"only {got} of {records} records came")
        got += sum(not message.error() for message in batch)
    consumer.close()
took = time.monotonic() - began
print(f"confluent_kafka {what}: {records / took:.0f} records/s, {records * size / took / 1e6:.1f} MB/s")
PYTHON
}

cpu() { awk -v hz="$(getconf CLK_TCK)" '{ sub(/^.*\) /, ""); print ($12 + $13) / hz }' "/proc/$broker/stat"; }

echo "$records records of $size bytes, 8 partitions, acks=$acks, each side's default settings"
for pair in $(seq "$pairs"); do
    for side in corelane kafka; do
        start "$side"
        # The same load for a while, not counted: a Java virtual machine compiles meanwhile.
        began=$SECONDS
        while :; do
            java_produce $((records / 4)) warm-up >/dev/null
            java_consume $((records / 4)) warm-up >/dev/null
            [ $((SECONDS - began)) -lt "$warm_up" ] || break
        done
        before=$(cpu)
        echo "$pair $side java produce: $(java_produce "$records" perf)"
        echo "$pair $side java consume: $(java_consume "$records" perf)"
        echo "$pair $side librdkafka $(rdkafka produce)"
        echo "$pair $side librdkafka $(rdkafka consume)"
        echo "$pair $side broker CPU: $(awk -v a="$before" -v b="$(cpu)" 'BEGIN { print b - a }') s"
        stop
    done
done
