#!/usr/bin/env bash
# Has Apache Kafka's own DumpLogSegments read our segments, indexes and snapshots: plain, compressed
# and compacted ones, after an orderly stop. Java and Maven are needed.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
binary=${CORELANE:-$here/target/release/corelane}
[ -x "$binary" ] || cargo build --release --manifest-path "$here/Cargo.toml"
for tool in mvn java; do
  command -v $tool >/dev/null || { echo "$tool is needed" >&2; exit 1; }
done
work=$(mktemp -d)
port=${PORT:-19494}
b=127.0.0.1:$port
kafka=${KAFKA_VERSION:-4.0.0}
cat >"$work/corelane.toml" <<T
"log.segment.bytes" = 200000
"log.cleaner.backoff.ms" = 100
"log.cleaner.min.cleanable.ratio" = 0.01
"log.segment.delete.delay.ms" = 0
T
"$binary" serve --config "$work/corelane.toml" --data-dir "$work/data" --listen "$b" 2>"$work/log" &
broker=$!
trap 'kill $broker 2>/dev/null || true; wait $broker 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 200); do (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.05; done

seq 1 20000 | awk '{print "key-" $1 % 700 ":value " $1 " of this test"}' >"$work/in"
for codec in none gzip snappy lz4 zstd; do
  "$binary" produce "plain-$codec" --compression "$codec" --file "$work/in" --bootstrap "$b"
done
"$binary" topic create compacted --config cleanup.policy=compact --bootstrap "$b"
for codec in none gzip snappy lz4 zstd; do
  for _ in 1 2 3 4; do
    "$binary" produce compacted --key-separator : --compression "$codec" --file "$work/in" --bootstrap "$b"
  done
done
for _ in $(seq 200); do grep -q "compacted log" "$work/log" && break; sleep 0.1; done
grep -c "compacted log" "$work/log" | sed 's/$/ compactions/'
kill $broker
wait $broker

cat >"$work/pom.xml" <<P
<project><modelVersion>4.0.0</modelVersion><groupId>x</groupId><artifactId>x</artifactId><version>1</version>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$kafka</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$kafka</version></dependency></dependencies></project>
P
(cd "$work" && mvn -q dependency:build-classpath -Dmdep.outputFile=cp >/dev/null)
files=$(find "$work/data" \( -name '*.log' -o -name '*.index' -o -name '*.timeindex' -o -name '*.snapshot' \) \
  -path '*-0/*' -size +0 | sort)
java -cp "$(cat "$work/cp")" org.apache.kafka.tools.DumpLogSegments --deep-iteration --print-data-log \
  --files "$(echo "$files" | paste -sd,)" >"$work/dump" 2>"$work/dump.err" ||
  java -cp "$(cat "$work/cp")" kafka.tools.DumpLogSegments --deep-iteration --print-data-log \
    --files "$(echo "$files" | paste -sd,)" >"$work/dump" 2>"$work/dump.err"
if grep -iE "mismatch|corrupt|out of order|exception|error|not found for" "$work/dump" "$work/dump.err"; then
  echo "Kafka complains" >&2
  exit 1
fi
for codec in none gzip snappy lz4 zstd; do
  grep -qi "compresscodec: $codec" "$work/dump" || { echo "no batch in $codec was read" >&2; exit 1; }
done
echo "$(echo "$files" | wc -l) files and $(grep -c '| offset:' "$work/dump") records read by Kafka $kafka, without complaint"
