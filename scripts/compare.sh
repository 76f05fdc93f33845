#!/usr/bin/env bash
# Compares Corelane with Apache Kafka on this machine: builds, fetches Kafka where KAFKA does not name
# one, and hands everything on to `corelane-perf compare`:
#
#   scripts/compare.sh --dir /mnt/nvme0 --dir /mnt/nvme1
#   KAFKA=/opt/kafka scripts/compare.sh --dir /mnt/nvme0 --only produce-1k-acks-1 --pairs 3
#
# perf/README.md explains the rest. As root, caches are dropped before cold reads.
set -euo pipefail

cd "$(dirname "$0")/.."
kafka=${KAFKA:-$(scripts/fetch-kafka.sh)}
cargo build --release -p corelane -p corelane-perf
target=${CARGO_TARGET_DIR:-target}/release
exec "$target/corelane-perf" compare --corelane "$target/corelane" --kafka "$kafka" "$@"
