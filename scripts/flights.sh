#!/usr/bin/env bash
# Sends a CSV keyed by one column through a broker and back, twice: undisturbed, and with the
# broker killed (kill -9) and restarted half way. Compares the sorted output byte by byte and the
# order per key.
#   scripts/flights.sh FILE.csv|FILE.zip [KEY_COLUMN_NAME]      (default column: tailnum)
set -euo pipefail
file=${1:?usage: scripts/flights.sh FILE.csv|FILE.zip [KEY_COLUMN_NAME]}
column=${2:-tailnum}
. "$(dirname "$0")/broker.sh"
case $file in *.zip) python3 -c 'import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); sys.stdout.buffer.write(z.read([n for n in z.namelist() if n.endswith(".csv")][0]))' "$file" >"$work/all.csv" ;; *) cp "$file" "$work/all.csv" ;; esac
field=$(head -1 "$work/all.csv" | tr -d '"\r' | tr , '\n' | grep -nx "$column" | cut -d: -f1)
[ -n "$field" ] || { echo "no column '$column' in the first line" >&2; exit 1; }
tail -n +2 "$work/all.csv" >"$work/in.csv"
rows=$(wc -l <"$work/in.csv")
LC_ALL=C sort "$work/in.csv" >"$work/in.sorted"
check() {
  "$binary" consume "$1" --bootstrap "$b" --from-beginning --exit-at-end >"$work/out.csv"
  LC_ALL=C sort "$work/out.csv" | cmp - "$work/in.sorted"
  if command -v kcat >/dev/null; then
    kcat -b "$b" -C -t "$1" -e -q | LC_ALL=C sort | cmp - "$work/in.sorted"
  fi
  python3 - "$work/in.csv" "$work/out.csv" "$field" <<'P'
import sys, collections
def by_key(path):
    rows = collections.defaultdict(list)
    for line in open(path, "rb"):
        rows[line.split(b",")[int(sys.argv[3]) - 1]].append(line)
    return rows
assert by_key(sys.argv[1]) == by_key(sys.argv[2]), "the order of some key has changed"
P
  echo "$1: $rows rows back, sorted output identical, order per key kept"
}
start
"$binary" topic create flights --bootstrap "$b" --partitions 8
"$binary" produce flights --bootstrap "$b" --file "$work/in.csv" --key-field "$field"
check flights
"$binary" topic create flights-killed --bootstrap "$b" --partitions 8
half=$((rows / 2))
{ head -n "$half" "$work/in.csv"; sleep 1; tail -n +$((half + 1)) "$work/in.csv"; } |
  "$binary" produce flights-killed --bootstrap "$b" --key-field "$field" &
producer=$!
sleep 0.8; stop -9; start
wait "$producer"
check flights-killed
