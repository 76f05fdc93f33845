#!/usr/bin/env bash
# Fetches a released Apache Kafka from Maven Central and prints the file that holds its class path:
#
#   scripts/fetch-kafka.sh [VERSION] [DIR]
#   java -cp "$(cat "$(scripts/fetch-kafka.sh)")" kafka.Kafka server.properties
#
# Needs mvn and a Java of 17 or newer. The jars stay where Maven keeps what it fetched (~/.m2); DIR
# (default: ~/.cache/corelane) only holds the list. Nothing is fetched that is there already.
set -euo pipefail

version=${1:-4.0.0}
dir=${2:-${XDG_CACHE_HOME:-$HOME/.cache}/corelane}
list=$dir/kafka-$version.classpath

whole() {
    [ -s "$list" ] || return 1
    local jar
    while IFS= read -r jar; do
        [ -f "$jar" ] || return 1
    done < <(tr ':' '\n' <"$list")
}

if ! whole; then
    command -v mvn >/dev/null || { echo "fetch-kafka.sh: mvn is needed (Debian: apt install maven)" >&2; exit 1; }
    mkdir -p "$dir"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cat >"$work/pom.xml" <<POM
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>corelane</groupId><artifactId>fetch-kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$version</version></dependency>
  </dependencies>
</project>
POM
    goal=(dependency:build-classpath "-Dmdep.outputFile=$work/classpath")
    # What is there already is found without asking the network.
    (cd "$work" && { mvn -q -o "${goal[@]}" >/dev/null 2>&1 || mvn -q "${goal[@]}" >&2; })
    mv "$work/classpath" "$list"
fi
echo "$list"
