#!/usr/bin/env bash
# What share of the disk the broker gives: fio beside it on the same disk with the same block sizes,
# interleaved, medians; the broker in its second gigabyte. Sequential append to 1 and 8 partitions (files), each write durable (acks=all,
# O_DSYNC) and not (acks=1), and cold sequential reads after a restart. All with direct I/O.
#   scripts/disk-share.sh DIR [ROUNDS]
set -euo pipefail
below=${1:?a directory on the disk to measure}
rounds=${2:-3}
size=${SIZE_MIB:-1024}
command -v fio >/dev/null || { echo "fio is needed (apt-get install fio)" >&2; exit 1; }
measures=yes
. "$(dirname "$0")/broker.sh"
fresh() { stop; rm -rf "$work/data" "$work"/f*; start; }
mb() { python3 -c 'import json,sys; print(json.load(sys.stdin)["mb_per_second"])'; }
fio_mb() { # fio's output may have a line before the JSON
  python3 -c 'import json,sys; t=sys.stdin.read(); j=json.loads(t[t.index("{"):])["jobs"][0]; print(max(j["read"]["bw_bytes"], j["write"]["bw_bytes"])/1e6)'
}
job() { fio --name=f --directory="$work" --direct=1 --ioengine=io_uring --group_reporting \
  --output-format=json "$@" 2>/dev/null; }
row() { # name, ours, fio's
  python3 - "$@" <<'P'
import statistics as s, sys
name, ours, fio = sys.argv[1], *[[float(x) for x in a.split()] for a in sys.argv[2:]]
ratios = [a / b for a, b in zip(ours, fio)]
print(f"| {name} | {s.median(ours):.0f} | {s.median(fio):.0f} | {s.median(ratios):.2f} | {min(ratios):.2f}–{max(ratios):.2f} |")
P
}
echo "| load | Corelane MB/s | fio MB/s | share, median | range |"
echo "|---|---|---|---|---|"
for files in 1 8; do
  for acks in all 1; do
    for batch in 64 256; do
      ours= fio=
      for _ in $(seq "$rounds"); do
        fresh
        load() { "$perf" produce --bootstrap "$b" --topic t --partitions $files --acks $acks \
          --batch-bytes ${batch}KiB --in-flight 8 --connections $((files == 1 ? 1 : 2)) --seconds 30 \
          --bytes ${size}MiB --json; }
        load >/dev/null # memory is touched for the first time only once
        ours+=" $(load | mb)"
        stop
        rm -rf "$work/data"
        sync=; [ $acks = all ] && sync=--sync=dsync
        fio+=" $(job --rw=write --bs=${batch}k --iodepth=$((files == 1 ? 8 : 1)) --numjobs=$files \
          --size=$((size / files))m $sync | fio_mb)"
        rm -f "$work"/f.*
      done
      row "append, $files partition(s), ${batch} KiB, acks=$acks" "$ours" "$fio"
    done
  done
done
for files in 1 8; do
  ours= fio=
  for _ in $(seq "$rounds"); do
    fresh
    "$perf" produce --bootstrap "$b" --topic t --partitions $files --acks 1 --batch-bytes 256KiB \
      --seconds 60 --bytes ${size}MiB --json >/dev/null
    stop
    start # nothing is in memory now, and reads are direct
    ours+=" $("$perf" fetch --bootstrap "$b" --topic t --json | mb)"
    stop
    fio+=" $(cd "$work" && fio --name=r --filename="$(find data/t-* -name '*.log' | paste -sd:)" --direct=1 \
      --ioengine=io_uring --iodepth=4 --bs=256k --rw=read --readonly --output-format=json 2>/dev/null | fio_mb)"
  done
  row "cold read, $files partition(s)" "$ours" "$fio"
done
