#!/usr/bin/env bash
# Measures queues that survive: SEND with receipt, and consume with
# acknowledgements, by Hoofbeat with a store and by RabbitMQ's durable classic and
# quorum queues, alternating, and prints a line of JSON for each run. Linux,
# with RabbitMQ and its plugin rabbitmq_stomp installed (Debian: rabbitmq-server).
#
#	docs/performance/kept.sh > kept.jsonl          two rounds, about 10 minutes
#	ROUNDS=1 SECONDS_EACH=4 docs/performance/kept.sh
#	docs/performance/kept.sh restart >> kept.jsonl  start after kill -9 with what FILL
#	                                               seconds have put in, about 5 minutes
#	docs/performance/kept.sh memory >> kept.jsonl  idle memory and size of the binary with
#	                                               and without a store, about 2 minutes
#	docs/performance/kept.sh table kept.jsonl      medians
#
# Everything listens on 127.0.0.1 and is stopped at the end, by pid. Directories
# are below DATA (default: a new one below the directory for temporary files, which
# must be on a disk, not in memory).
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "${1:-}" = table ]; then
  jq -rs '
    def median: sort | .[(length - 1) / 2 | floor];
    def mib: . / 1048576 * 10 | round / 10;
    def groups: group_by(.load) | .[] | group_by(.server) | .[];
    (map(select(.per_second)) | groups |
    "| \(.[0].load) | \(.[0].server) | \(map(.per_second) | median | round)/s | \(map(.latency.p50_ms // 0) | median * 100 | round / 100) ms | \(map(.latency.p99_ms // 0) | median * 100 | round / 100) ms | \(map(.server_cpu // 0) | median * 10 | round / 10) s | \(map(.verdict) | unique | join(", ")) |"),
    (map(select(.ready_ms)) | groups |
    "| \(.[0].load) | \(.[0].server) | \(map(.confirmed) | median) confirmed, \(map(.lost // "unknown" | tostring) | unique | join(", ")) lost | \(map(.ready_ms) | median) ms | \(map(.rss) | median | mib) MiB |"),
    (map(select(.binary)) | groups |
    "| \(.[0].load) | \(.[0].server) | \(map(.rss) | median | mib) MiB | binary \(map(.binary) | median | mib) MiB |")
  ' "${2:?the file to read}"
  exit
fi

mode=${1:-loads}
case $mode in loads | restart | memory) ;; *) echo "kept.sh: $mode: want restart, memory, table FILE or nothing" >&2 && exit 2 ;; esac
rounds=${ROUNDS:-2} each=${SECONDS_EACH:-8}s fill=${FILL:-8}s
flags=() binary=
data=${DATA:-$(mktemp -d)}
pids=()
stop() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
  done
  pids=()
}
trap 'rc=$?; stop; [ -n "${DATA:-}" ] || rm -rf "$data"; exit "$rc"' EXIT

port_open() { # PORT SECONDS
  for _ in $(seq $((10 * $2))); do
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
    sleep 0.1
  done
  echo "port $1 did not open" >&2
  return 1
}

go build -o "$data/hoofbeat" ./cmd/hoofbeat

# start_hoofbeat SYNC [kept] sets pid and url. With "kept" the store is the one that
# is there; SYNC "off" is a broker without a store.
start_hoofbeat() {
  local store="store: {dir: $data/store, sync: $1, disk: 20GiB}"
  [ "$1" != off ] || store=
  [ "${2:-}" = kept ] || rm -rf "$data/store"
  cat >"$data/hoofbeat.yaml" <<C
listen: "off"
tcp: 127.0.0.1:0
admin: "off"
$store
auth: {anonymous: true}
limits: {unauthenticated_per_address: 1024, sessions_per_address: off}
rules:
  - {allow: [send, subscribe], destination: "/queue/bench.**"}
queues: {messages: 20000000, bytes: 8GiB, total_bytes: 8GiB, bytes_per_user: 8GiB, queues: 5000, queues_per_user: 5000}
C
  : >"$data/hoofbeat.log"
  "${binary:-$data/hoofbeat}" serve --config "$data/hoofbeat.yaml" 2>"$data/hoofbeat.log" &
  pid=$!
  pids+=("$pid")
  for _ in $(seq 300); do
    grep -q '"msg":"ready"' "$data/hoofbeat.log" && break
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  url=$(sed -n 's/.*"listener":"tcp".*"url":"\([^"]*\)".*/\1/p' "$data/hoofbeat.log")
  [ -n "$url" ] || { cat "$data/hoofbeat.log" >&2; return 1; }
}

# start_rabbitmq [kept] sets pid and url.
start_rabbitmq() {
  local d=$data/rabbitmq
  [ "${1:-}" = kept ] || rm -rf "$d"
  mkdir -p "$d/home" "$d/log"
  cat >"$d/rabbitmq.conf" <<C
listeners.tcp.default = 127.0.0.1:5682
stomp.listeners.tcp.1 = 127.0.0.1:61713
C
  echo '[rabbitmq_stomp].' >"$d/enabled_plugins"
  export ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=4370
  HOME=$d/home epmd -address 127.0.0.1 -port 4370 >/dev/null 2>&1 &
  pids+=($!)
  (cd "$d" && HOME=$d/home RABBITMQ_DIST_PORT=25682 RABBITMQ_NODENAME=bench@localhost RABBITMQ_MNESIA_BASE=$d/mnesia \
    RABBITMQ_LOG_BASE=$d/log RABBITMQ_CONFIG_FILE=$d/rabbitmq.conf RABBITMQ_ENABLED_PLUGINS_FILE=$d/enabled_plugins \
    RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_PID_FILE=$d/pid RABBITMQ_ADVANCED_CONFIG_FILE=$d/none \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
    exec /usr/lib/rabbitmq/bin/rabbitmq-server >"$d/out" 2>&1) &
  pids+=($!)
  port_open 61713 60
  pid=$(cat "$d/pid")
  pids+=("$pid")
  url=tcp://127.0.0.1:61713
}

# load SERVER NAME ARGS... runs one load.
load() {
  local server=$1 name=$2 out
  shift 2
  out=$("$data/hoofbeat" bench "$@" -u "$url" --destination /queue/bench --duration "$each" --patience 30s --timeout 30s \
    --server-pid "$pid" --json "${flags[@]}" 2>"$data/bench.log" || true)
  jq -c --arg server "$server" --arg load "$name" \
    '{load: $load, server: $server, per_second, latency, verdict, failures, server_cpu: .server.cpu_seconds_per_million, rss: .server.rss_bytes_peak}' <<<"$out"
  printf '%s, %s: %s\n' "$name" "$server" "$(jq -r '"\(.per_second | round)/s, \(.verdict)"' <<<"$out")" >&2
}

loads() {
  load "$1" "receipts, one at a time" receipts --connections 1
  load "$1" "receipts, 100 clients, one each" receipts --connections 100
  load "$1" "receipts, one client, 1,000 under way" receipts --connections 1 --window 1000
  load "$1" "receipts, 10 clients, 100 under way each" receipts --connections 10 --window 100
  load "$1" "1 producer, 1 consumer that acknowledges each" queues --producers 1 --consumers 1
  load "$1" "4 producers, 4 consumers that acknowledge each" queues --producers 4 --consumers 4
}

# As a client of RabbitMQ asks for queues that survive.
durable=(--login guest --host / --header persistent:true --header durable:true --header auto-delete:false)

measure_loads() {
  for sync in always 10s; do
    start_hoofbeat "$sync"
    flags=()
    loads "Hoofbeat, sync: $sync"
    stop
  done
  start_rabbitmq
  export HOOFBEAT_PASSCODE=guest
  flags=("${durable[@]}")
  loads "RabbitMQ, durable classic queue"
  flags+=(--header x-queue-type:quorum)
  loads "RabbitMQ, quorum queue"
  unset HOOFBEAT_PASSCODE
  stop
}

show() { # the line that is the input, also to who waits
  local line
  read -r line
  printf '%s\n' "$line"
  printf '%s\n' "$line" >&2
}

rss() { # PID, in octets
  awk '/^VmRSS/ { print $2 * 1024 }' "/proc/$1/status"
}

# restart SERVER QUEUES START ARGS... fills QUEUES queues, kills the server, starts it
# with START ARGS... kept, and tells how long that took. Of Hoofbeat it is the time
# until it logs that it is ready, and what was lost is what its store does not have;
# of RabbitMQ the time until its port is open, to a tenth of a second.
restart() {
  local server=$1 queues=$2 confirmed begin ready lost=null
  shift 2
  "$@"
  confirmed=$("$data/hoofbeat" bench receipts --connections "$queues" --window $((queues < 1000 ? 1000 / queues : 5)) -u "$url" \
    --destination /queue/bench --warmup 100ms --duration "$fill" --patience 60s --timeout 60s --json "${flags[@]}" 2>"$data/bench.log" |
    jq 'if .verdict == "PASS" then .check.received else error(.verdict) end')
  kill -9 "$pid"
  stop
  begin=$(date +%s%N)
  "$@" kept
  ready=$(date +%s%N)
  if [ "$1" = start_hoofbeat ]; then
    ready=$(date -d "$(jq -r 'select(.msg == "ready").time' "$data/hoofbeat.log")" +%s%N)
    lost=$(jq --argjson confirmed "$confirmed" 'select(.msg == "the store is open") | [$confirmed - .messages, 0] | max' "$data/hoofbeat.log")
  fi
  sleep 2 # until memory of the start is given back
  jq -nc --arg server "$server" --arg load "start after kill -9, $queues queues" --argjson confirmed "$confirmed" \
    --argjson lost "$lost" --argjson ready $(((ready - begin) / 1000000)) --argjson rss "$(rss "$pid")" \
    '{load: $load, server: $server, confirmed: $confirmed, lost: $lost, ready_ms: $ready, rss: $rss}' | show
  stop
}

measure_restart() {
  flags=()
  for queues in 1 100 1000; do restart "Hoofbeat, sync: 10s" "$queues" start_hoofbeat 10s; done
  restart "Hoofbeat, sync: always" 100 start_hoofbeat always
  export HOOFBEAT_PASSCODE=guest
  flags=("${durable[@]}")
  for queues in 1 100; do restart "RabbitMQ, durable classic queue" "$queues" start_rabbitmq; done
  flags+=(--header x-queue-type:quorum)
  for queues in 1 100; do restart "RabbitMQ, quorum queue" "$queues" start_rabbitmq; done
  unset HOOFBEAT_PASSCODE
}

# idle NAME BINARY SYNC tells the memory of a broker that nobody uses.
idle() {
  binary=$2
  start_hoofbeat "$3"
  sleep 10
  jq -nc --arg server "$1" --argjson rss "$(rss "$pid")" --argjson size "$(stat -c %s "$2")" \
    '{load: "idle for 10 s", server: $server, rss: $rss, binary: $size}' | show
  stop
  binary=
}

measure_memory() {
  go build -trimpath -ldflags '-s -w' -o "$data/stripped" ./cmd/hoofbeat
  go build -trimpath -ldflags '-s -w' -tags nostore -o "$data/nostore" ./cmd/hoofbeat
  idle "built without a store" "$data/nostore" off
  idle "without store.dir" "$data/stripped" off
  idle "with an empty store" "$data/stripped" 10s
}

for _ in $(seq "$rounds"); do
  "measure_$mode"
done
