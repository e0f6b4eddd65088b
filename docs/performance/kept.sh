#!/usr/bin/env bash
# Measures queues that survive: SEND with receipt, and consume with
# acknowledgements, by Hoofbeat with a store and by RabbitMQ's durable classic and
# quorum queues, alternating, and prints a line of JSON for each run. Linux,
# with RabbitMQ and its plugin rabbitmq_stomp installed (Debian: rabbitmq-server).
#
#	docs/performance/kept.sh > kept.jsonl          two rounds, about 10 minutes
#	ROUNDS=1 SECONDS_EACH=4 docs/performance/kept.sh
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
    group_by(.load) | .[] | .[0].load as $load | group_by(.server) | .[] |
    "| \($load) | \(.[0].server) | \(map(.per_second) | median | round)/s | \(map(.latency.p50_ms // 0) | median * 100 | round / 100) ms | \(map(.latency.p99_ms // 0) | median * 100 | round / 100) ms | \(map(.server_cpu // 0) | median * 10 | round / 10) s | \(map(.verdict) | unique | join(", ")) |"
  ' "$2"
  exit
fi

rounds=${ROUNDS:-2} each=${SECONDS_EACH:-8}s
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

# start_hoofbeat SYNC sets pid and url.
start_hoofbeat() {
  rm -rf "$data/store"
  cat >"$data/hoofbeat.yaml" <<C
listen: "off"
tcp: 127.0.0.1:0
admin: "off"
store: {dir: $data/store, sync: $1, disk: 20GiB}
auth: {anonymous: true}
rules:
  - {allow: [send, subscribe], destination: "/queue/bench.**"}
queues: {messages: 20000000, bytes: 8GiB, total_bytes: 8GiB, bytes_per_user: 8GiB}
C
  : >"$data/hoofbeat.log"
  "$data/hoofbeat" serve --config "$data/hoofbeat.yaml" 2>"$data/hoofbeat.log" &
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

start_rabbitmq() {
  local d=$data/rabbitmq
  rm -rf "$d"
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
  out=$("$data/hoofbeat" bench "$@" -u "$url" --destination "/queue/bench" --duration "$each" --patience 30s --timeout 30s \
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

for _ in $(seq "$rounds"); do
  for sync in always 10s; do
    start_hoofbeat "$sync"
    flags=()
    loads "Hoofbeat, sync: $sync"
    stop
  done
  start_rabbitmq
  export HOOFBEAT_PASSCODE=guest
  flags=(--login guest --host / --header persistent:true --header durable:true --header auto-delete:false)
  loads "RabbitMQ, durable classic queue"
  flags+=(--header x-queue-type:quorum)
  loads "RabbitMQ, quorum queue"
  unset HOOFBEAT_PASSCODE
  stop
done
