#!/usr/bin/env bash
# What a steady producer of 20 MB/s (16 KiB batches, acks=1, open loop) feels of the rest: alone, beside
# four readers of old data as fast as they go, while another topic is compacted, and while old segments of
# another topic are deleted. In turns, on a fresh broker each round; p50 and p99 in milliseconds, medians.
# The readers' clients fill the cores that broker and producer need; NICE=19 has them wait, which is nearer
# to clients on machines of their own.
#   scripts/steady-beside.sh DIR [ROUNDS]
set -euo pipefail
below=${1:?a directory on the disk to measure}
rounds=${2:-5}
seconds=${SECONDS_EACH:-5}
records=${RECORDS:-2000000} # of some 400 bytes, each key twice
measures=yes
. "$(dirname "$0")/broker.sh"
mkdir "$work/workloads"
sed 's/^batches-per-second = .*/batches-per-second = 1250/' "$here/perf/workloads/steady-producer.toml" \
  >"$work/workloads/steady-producer.toml"
printf '"log.cleaner.backoff.ms" = 100\n"log.retention.check.interval.ms" = 200\n' >"$work/broker.toml"
alter() { "$binary" topic alter "$@" --bootstrap "$b" >/dev/null; }
megabytes() { du -cm "$work/data/$1"-* | tail -1 | cut -f1; }
fill() {
  "$binary" topic create keyed --partitions 4 --bootstrap "$b" --config segment.bytes=67108864 \
    --config file.delete.delay.ms=0 --config min.cleanable.dirty.ratio=0.01 >/dev/null
  python3 - "$records" <<'P' | "$binary" produce keyed --key-separator : --bootstrap "$b" >/dev/null
import random, sys
some = random.Random(1)
values = [some.randbytes(190).hex() for _ in range(64)]
count = int(sys.argv[1])
for n in range(count):
    print(f"key-{n % (count // 2):08}:{values[n % 61]}")
P
  "$perf" produce --bootstrap "$b" --topic old --partitions 4 --acks 1 --seconds 60 --bytes 4GiB \
    --topic-config segment.bytes=16777216 --topic-config file.delete.delay.ms=0 --json >/dev/null
}
steady() { # name
  "$perf" run steady-producer --workloads "$work/workloads" --bootstrap "$b" --seconds "$seconds" \
    --warm-up 2 --json >"$work/$1.json"
  python3 - "$1" "$work/$1.json" >>"$work/rows" <<'P'
import json, sys
latency = json.load(open(sys.argv[2]))["produced"]["latency"]
print(sys.argv[1], latency["p50_us"] / 1000, latency["p99_us"] / 1000)
P
}
for _ in $(seq "$rounds"); do
  rm -rf "$work/data"
  start --config "$work/broker.toml"
  fill
  steady alone
  for _ in 1 2 3 4; do
    (while :; do nice -n "${NICE:-0}" "$perf" fetch --bootstrap "$b" --topic old --json >/dev/null; done) & beside+=" $!"
  done
  steady readers
  kill $beside; wait $beside 2>/dev/null || true; beside=
  pkill -f "fetch --bootstrap $b" || true
  before=$(megabytes keyed)
  (sleep 1; alter keyed --set cleanup.policy=compact) &
  steady compaction
  echo "compacted from $before to $(megabytes keyed) MB" >&2
  before=$(megabytes old)
  (sleep 2.5; alter old --set retention.bytes=1) &
  steady retention
  echo "deleted from $before to $(megabytes old) MB" >&2
  stop
done
python3 - "$work/rows" <<'P'
import statistics, sys
rows = [line.split() for line in open(sys.argv[1])]
of = lambda name, at: [float(row[at]) for row in rows if row[0] == name]
alone = of("alone", 2)
print("| beside | p50 ms | p99 ms | range of p99 | p99 over alone |\n|---|---|---|---|---|")
for name in ("alone", "readers", "compaction", "retention"):
    p99 = of(name, 2)
    over = statistics.median(a / b for a, b in zip(p99, alone))
    print(f"| {name} | {statistics.median(of(name, 1)):.2f} | {statistics.median(p99):.2f} "
          f"| {min(p99):.2f}–{max(p99):.2f} | {over:.2f} |")
P
