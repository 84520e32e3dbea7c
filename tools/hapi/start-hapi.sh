#!/bin/sh
# Start a real HAPI FHIR R4 JPA server from Maven Central jars.  Java 17+, Maven 3.8+, curl; no docker, no root.
#
#   ./start-hapi.sh                      in-memory H2 on 127.0.0.1:8080 (empty after every start)
#   HAPI_DATA=/some/dir ./start-hapi.sh  H2 files in that directory (survives restarts)
#   HAPI_JDBC_URL=jdbc:postgresql://127.0.0.1:5432/hapi HAPI_JDBC_USER=hapi HAPI_JDBC_PASSWORD=... ./start-hapi.sh
#   ./start-hapi.sh --build-only         only download and build (a CI cache-warming step)
#   ./stop-hapi.sh                       stop it
#
# HAPI_CLIENT_IDS=NOT_ALLOWED: the server gives every id itself, and refuses a PUT of what it does not know
# HAPI_PORT (8080)  HAPI_HOST (127.0.0.1)  HAPI_HEAP (2g)  HAPI_WAIT seconds (180)
# HAPI_FAST_START=1: for short test runs; the first such run writes a class archive when it is stopped
#   (160 MB, +15 s), later ones start in under half the time. Uses the C1 compiler only: not for benchmarks.
# HAPI_HOME: build cache, log and pid (default ~/.cache/hapi-test-server); cache this and ~/.m2 in CI.
# Exit: 0 the server answers, 1 it does not start, 3 java, mvn or curl is missing.
# Running it twice is safe: a server that already answers on the port is left alone.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd); src=$here/server
. "$here/need.sh"
home=${HAPI_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/hapi-test-server}
port=${HAPI_PORT:-8080}; host=${HAPI_HOST:-127.0.0.1}
url=http://$host:$port/fhir; pidfile=$home/$port.pid; log=$home/$port.log
need_java; need_curl
mkdir -p "$home"

# 1. Build once per version of the sources.
key=$(cat "$src/pom.xml" "$src"/src/main/java/careloop/hapi/*.java "$src"/src/main/resources/* | cksum | cut -d' ' -f1)
app=$(build_once "$src" "$home" hapi-test-server.jar "$key")
[ "${1:-}" = --build-only ] && exit 0

# 2. Already up?
up() { curl -fs -m 10 -o /dev/null "$url/metadata?_summary=true" 2>/dev/null; }
if up; then echo "already running: $url" >&2; exit 0; fi

# 3. Start.
if [ -n "${HAPI_DATA:-}" ]; then
  mkdir -p "$HAPI_DATA"
  HAPI_JDBC_URL="jdbc:h2:file:$(CDPATH= cd -- "$HAPI_DATA" && pwd)/hapi;DB_CLOSE_ON_EXIT=FALSE"; export HAPI_JDBC_URL
fi
fast=
if [ "${HAPI_FAST_START:-}" = 1 ]; then
  jsa=$app/classes-$(java -version 2>&1 | cksum | cut -d' ' -f1).jsa # an archive fits one JDK build only
  if [ -f "$jsa" ]; then fast="-XX:SharedArchiveFile=$jsa"; else fast="-XX:ArchiveClassesAtExit=$jsa"; fi
  fast="$fast -XX:TieredStopAtLevel=1"
fi
# shellcheck disable=SC2086  # $fast and HAPI_JAVA_OPTS hold several words
HAPI_PORT=$port HAPI_HOST=$host nohup java -Xmx${HAPI_HEAP:-2g} -XX:+UseParallelGC \
  $fast ${HAPI_JAVA_OPTS:-} \
  -cp "$app/hapi-test-server.jar:$app/lib/*" careloop.hapi.HapiServer >"$log" 2>&1 </dev/null &
pid=$!; echo $pid >"$pidfile"

# 4. Wait until it answers; say why if it does not.
i=0
until up; do
  kill -0 $pid 2>/dev/null || { echo "the server died; see $log:" >&2; tail -15 "$log" >&2; exit 1; }
  i=$((i + 1)); [ $i -gt "${HAPI_WAIT:-180}" ] && { echo "no answer in time; see $log" >&2; exit 1; }
  sleep 1
done
echo "ready: $url (pid $pid, log $log)"
