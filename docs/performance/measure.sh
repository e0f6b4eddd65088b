#!/usr/bin/env bash
# Measures Hoofbeat with its own load generator on loopback and appends one JSON
# object for each run to a file, for the script in plot. Linux; needs Go and
# coreutils. Every run has a fresh server, on ports that the kernel chooses. Rounds
# go over all rows in turn, so that what else happens on the machine meets them alike.
set -euo pipefail

usage() {
  cat <<'END'
Usage: measure.sh [--quick] [--rounds N] [--only PATTERN] [--out FILE]

  --quick         small loads and a moment each, to see that it works
  --rounds N      measure every row N times (default 1)
  --only PATTERN  only rows that the shell pattern matches, as --list shows them
  --out FILE      file to append to (default measured.jsonl)
  --list          show the rows and measure nothing

A round takes about six minutes. GOGC, GOMEMLIMIT and GOMAXPROCS reach the server.
Exit codes: 0 every run passed, 1 one did not, 2 wrong command line.
END
}

say() { printf '%s\n' "$*" >&2; }
die() {
  say "measure.sh: $2"
  exit "$1"
}

rounds=1 only='*' out=measured.jsonl quick='' list=''
while [ $# -gt 0 ]; do
  case $1 in
  --rounds | --only | --out)
    [ $# -ge 2 ] || die 2 "$1 wants a value"
    case $1 in
    --rounds) rounds=$2 ;;
    --only) only=$2 ;;
    --out) out=$2 ;;
    esac
    shift 2
    ;;
  --quick) quick=yes && shift ;;
  --list) list=yes && shift ;;
  -h | --help) usage && exit ;;
  *) die 2 "unknown argument $1 (see --help)" ;;
  esac
done
case $rounds in '' | *[!0-9]* | 0*) die 2 "--rounds $rounds: want a number from 1" ;; esac

# What is set for a broker or a client of its own must not reach those of the measurement.
for name in $(compgen -e HOOFBEAT_ || true); do unset "$name"; done

# The server and the generator need an open file for each connection and some others.
# Go programs raise their soft limit to the hard one themselves.
files=$(ulimit -Hn)
[ "$files" = unlimited ] && files=10000000

rows=()
left_out=''
row() { # arguments of hoofbeat bench
  # shellcheck disable=SC2053 # a pattern is meant
  if [[ $* == $only ]]; then rows+=("$*"); fi
}
idle_row() { # connections, other arguments
  local n=$1 before=${#rows[@]}
  shift
  row "idle --connections $n $*"
  if [ $((n + 200)) -gt "$files" ] && [ "${#rows[@]}" -gt "$before" ]; then
    unset "rows[$before]"
    left_out+=" $n"
  fi
}

if [ -n "$quick" ]; then
  short='--warmup 50ms --duration 300ms'
  for n in 1 10 50; do row "fanout --subscribers $n --window 64 $short"; done
  row "fanout --subscribers 10 --rate 200 $short"
  row "fanout --subscribers 10 --window 64 --tls $short"
  for n in 50 200; do idle_row "$n" --heartbeat 1s "$short"; done
  row "pairs --pairs 10 $short"
  row "users --users 10 $short"
  row "receipts --connections 10 $short"
  row "queues --producers 2 --consumers 2 $short"
  row "connect $short"
  row "connect --cycle $short"
  row "slow --subscribers 10 --rate 200 $short"
else
  for n in 1 10 50 100 250 500 1000 2000; do row "fanout --subscribers $n"; done
  row "fanout --subscribers 100 --size 4096"
  row "fanout --subscribers 100 --rate 200"
  row "fanout --subscribers 1000 --rate 50"
  # With TLS every connection has a writer of its own. The default window, of which one
  # connection may have more than its share, would be more than its outbox takes.
  row "fanout --subscribers 100 --window 64 --tls"
  for n in 100 1000; do row "pairs --pairs $n"; done
  row "pairs --pairs 500 --rate 2000"
  for n in 100 1000; do row "users --users $n"; done
  row "users --users 100 --rate 2000"
  row "receipts --connections 50"
  for n in 1 4; do row "queues --producers $n --consumers $n"; done
  row "connect --source-addresses 20"
  row "connect --cycle --source-addresses 20"
  row "slow --subscribers 50 --size 1024 --rate 500 --duration 8s"
  for n in 500 1000 2000 5000 10000 15000; do idle_row "$n" --hold 20s; done
fi
[ -z "$left_out" ] || say "a process may have $files open files (ulimit -Hn): left out are idle connections:$left_out"
[ "${#rows[@]}" -gt 0 ] || die 2 "--only $only: no row is like that (see --list)"
if [ -n "$list" ]; then
  printf '%s\n' "${rows[@]}"
  exit
fi

[ "$(uname -s)" = Linux ] || die 1 "the server's CPU time and memory are read from Linux's /proc"
for tool in go timeout; do
  command -v "$tool" >/dev/null || die 1 "$tool is missing"
done
checkout=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
server='' bench=''

stop_server() {
  [ -n "$server" ] || return 0
  kill "$server" 2>/dev/null || true
  for _ in $(seq 100); do
    kill -0 "$server" 2>/dev/null || break
    sleep 0.05
  done
  kill -KILL "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  server=''
}
stop_all() {
  [ -z "$bench" ] || kill "$bench" 2>/dev/null || true
  stop_server
  [ -z "$bench" ] || wait "$bench" 2>/dev/null || true
  rm -rf "$work"
}
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

say "building"
(cd "$checkout" && go build -o "$work/hoofbeat" ./cmd/hoofbeat)

# No authentication: on loopback that is development mode, in which a login is taken
# at its word. All clients come from few addresses.
cat >"$work/plain.yaml" <<'END'
listen: 127.0.0.1:0
admin: off
limits: {unauthenticated_per_address: 1024, sessions_per_address: off}
rules:
  - {allow: [send], destination: "/user/*/queue/bench", any_user: true}
drain: {timeout: 0s}
log: {format: json}
END
if [[ ${rows[*]} == *--tls* ]]; then
  (cd "$work" && go run "$(go env GOROOT)/src/crypto/tls/generate_cert.go" -ca -host 127.0.0.1 -ecdsa-curve P256 2>/dev/null) ||
    die 1 "no certificate for TLS: Go's generate_cert.go does not run"
  (cat "$work/plain.yaml" && echo 'tls: {cert: cert.pem, key: key.pem}') >"$work/tls.yaml"
fi

start_server() { # plain or tls; sets server and url
  rm -f "$work/server.log" # the last server's says ready, too
  (cd "$work" && exec ./hoofbeat serve -c "$1.yaml" 2>server.log) &
  server=$!
  for _ in $(seq 1200); do
    if grep -q '"msg":"ready"' "$work/server.log" 2>/dev/null; then
      url=$(sed -n 's/.*"listener":"listen".*"url":"\([^"]*\)".*/\1/p' "$work/server.log")
      return
    fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.05
  done
  cat "$work/server.log" >&2
  die 1 "the server has not started"
}

field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p" "$work/result.json"; }

model=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1 | tr -d '"\134')
printf '{"machine":{"date":"%s","system":"%s","processor":"%s","processors":%d,"version":"%s"}}\n' \
  "$(date -u +%Y-%m-%d)" "$(uname -srm)" "$model" "$(nproc)" "$("$work/hoofbeat" version | head -n 1)" >>"$out"

failed=0 number=0 total=$((rounds * ${#rows[@]}))
for round in $(seq "$rounds"); do
  for args in "${rows[@]}"; do
    number=$((number + 1))
    kind=plain
    [[ $args != *--tls* ]] || kind=tls
    start_server "$kind"
    read -ra words <<<"${args/ --tls/}"
    printf '[%d/%d] round %d: %s: ' "$number" "$total" "$round" "$args" >&2
    code=0
    SSL_CERT_FILE="$work/cert.pem" timeout -k 5 150 "$work/hoofbeat" bench "${words[@]}" --url "$url" --server-pid "$server" --json \
      >"$work/result.json" 2>"$work/bench.log" &
    bench=$! # in the background, so that a signal is heeded at once
    wait "$bench" || code=$?
    bench=''
    stop_server
    if ! [ -s "$work/result.json" ] || [ "$code" -gt 1 ]; then
      say "no result, exit code $code"
      tail -n 5 "$work/bench.log" >&2
      failed=$((failed + 1))
      continue
    fi
    say "$(field verdict), $(field per_second) $(field unit) a second"
    [ "$code" -eq 0 ] || failed=$((failed + 1))
    printf '{"command":"hoofbeat bench %s","round":%d,"tls":%s,"result":%s}\n' "${words[*]}" "$round" \
      "$([ "$kind" = tls ] && echo true || echo false)" "$(tr -d '\n' <"$work/result.json")" >>"$out"
  done
done
[ "$failed" -eq 0 ] || die 1 "$failed of $total runs failed"
say "wrote $out"
