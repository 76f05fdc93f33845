# Sourced by the scripts beside it: a broker of this repository, with its files in a directory that is
# removed at the end. `below` may name where that directory is made; `measures=yes` asks for `perf`, too.
# $CORELANE and $CORELANE_PERF may name the programs (else they are built), $PORT the port (else a free one
# is taken).
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$here/target}
build() { cargo build --release --manifest-path "$here/Cargo.toml" -p "$1"; }
[ -n "${CORELANE:-}" ] || build corelane
[ -n "${CORELANE_PERF:-}" ] || [ -z "${measures:-}" ] || build corelane-perf
binary=${CORELANE:-$target/release/corelane} perf=${CORELANE_PERF:-$target/release/corelane-perf}
port=${PORT:-$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')}
b=127.0.0.1:$port
work=$(mktemp -d -p "${below:-${TMPDIR:-/tmp}}")
running= beside= # the broker, and other processes that end with the script

stop() { # with what signal
  [ -z "$running" ] || { kill "$@" "$running" 2>/dev/null || true; wait "$running" 2>/dev/null || true; }
  running=
}
start() { # options of `corelane serve`
  "$binary" serve --data-dir "$work/data" --listen "$b" "$@" 2>>"$work/log" & running=$!
  for _ in $(seq 200); do
    (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
    kill -0 "$running" 2>/dev/null || break
    sleep 0.05
  done
  cat "$work/log" >&2
  exit 1
}
finish() {
  [ -z "$beside" ] || { kill $beside 2>/dev/null || true; wait $beside 2>/dev/null || true; }
  stop -9
  rm -rf "$work"
}
trap finish EXIT
