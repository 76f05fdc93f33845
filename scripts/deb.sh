#!/usr/bin/env bash
# The Debian package: the release build, the manual pages that it writes, cargo-deb.
#
#   scripts/deb.sh [--no-build]      target/debian/corelane_*.deb, corelane-dbgsym_*.ddeb
#
# --no-build: of the release build that is there. Needs cargo-deb (cargo install cargo-deb --locked).
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
[[ ${1:-} == --no-build ]] || cargo build --release -p corelane
# A page of a command that is gone must not stay.
rm -rf "$target/release/man"
"$target/release/corelane" man "$target/release/man"
gzip -9n "$target/release/man/"*.1
cargo deb -p corelane --no-build
