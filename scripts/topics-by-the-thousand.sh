#!/usr/bin/env bash
# Topics created and deleted by the thousand, on Corelane and on Apache Kafka in turn (KRaft, one node):
# 1,000 topics of 10 partitions, 100 in a request and one in a request, and Metadata of all 10,000
# partitions.
#
#   scripts/topics-by-the-thousand.sh [--rounds N] [--dir DIR] [--classpath FILE] [--batches "100 1"]
#       [--fresh GIB]
#
# --classpath: a file with the class path of Kafka's server (scripts/fetch-kafka.sh names it); without it
# Corelane is measured alone. --fresh: each broker and batch gets a new ext4 of that size in a file below
# DIR (needs root: it is mounted): otherwise ext4 looks past what the one before has deleted, for five
# minutes. Takes target/release/corelane and corelane-perf (cargo build --release -p corelane
# -p corelane-perf), or $CORELANE and $CORELANE_PERF.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=3 dir=${TMPDIR:-/tmp} classpath= batches="100 1" fresh=
while (($#)); do
    case $1 in
        --rounds) rounds=$2 ;;
        --dir) dir=$2 ;;
        --classpath) classpath=$2 ;;
        --batches) batches=$2 ;;
        --fresh) fresh=$2 ;;
        *) echo "unknown argument $1" >&2; exit 2 ;;
    esac
    shift 2
done
corelane=${CORELANE:-target/release/corelane}
perf=${CORELANE_PERF:-target/release/corelane-perf}
work=$(mktemp -d "$dir/topics-by-the-thousand.XXXXXX")
broker=
stop() {
    if [[ -n $broker ]]; then
        kill "$broker" 2>/dev/null || true
        wait "$broker" 2>/dev/null || true
        broker=
    fi
}

# Where a broker's files are: of a file system of its own, if asked for.
make_disk() {
    mkdir "$work/disk"
    [[ -n $fresh ]] || return 0
    fallocate -l "${fresh}G" "$work/image"
    mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$work/image"
    mount -o loop "$work/image" "$work/disk"
}
remove_disk() {
    if mountpoint -q "$work/disk"; then umount "$work/disk"; fi
    rm -rf "$work/disk" "$work/image"
}
trap 'stop; remove_disk; rm -rf "$work"' EXIT

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

wait_for() { # port
    for _ in $(seq 600); do
        if "$perf" topics --bootstrap "127.0.0.1:$1" --topics 1 --partitions 1 --metadata 1 \
            --prefix "warm-$RANDOM-" >/dev/null 2>&1; then
            return
        fi
        kill -0 "$broker" || { tail -20 "$work"/*.log >&2; exit 1; }
        sleep 0.1
    done
    echo "the broker on port $1 does not answer" >&2
    exit 1
}

start_corelane() { # port
    "$corelane" serve --listen "127.0.0.1:$1" --data-dir "$work/disk/data" 2>"$work/corelane.log" &
    broker=$!
}

start_kafka() { # port
    local controller
    controller=$(free_port)
    cat >"$work/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$1,CONTROLLER://127.0.0.1:$controller
controller.listener.names=CONTROLLER
log.dirs=$work/disk/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
PROPERTIES
    local java=(java -Xmx1g -cp "$(cat "$classpath")")
    "${java[@]}" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg \
        -c "$work/server.properties" >"$work/kafka.log" 2>&1
    "${java[@]}" kafka.Kafka "$work/server.properties" >>"$work/kafka.log" 2>&1 &
    broker=$!
}

measure() { # name, topics in a request
    local port
    port=$(free_port)
    make_disk
    "start_$1" "$port"
    wait_for "$port"
    echo "== $1, $2 topics in a request"
    "$perf" topics --bootstrap "127.0.0.1:$port" --batch "$2"
    echo "-- CPU time of the broker: $(ps -o cputime= -p "$broker"), resident KiB: $(ps -o rss= -p "$broker")"
    stop
    remove_disk
}

for round in $(seq "$rounds"); do
    echo "#### round $round"
    for batch in $batches; do
        measure corelane "$batch"
        if [[ -n $classpath ]]; then measure kafka "$batch"; fi
    done
done
