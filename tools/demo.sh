#!/bin/sh
# make demo: builds Weir and shows the main job on real traffic. Every step prints its evidence; the exit code is the result.
set -u
cd "$(dirname "$0")/.."
tools/setup.sh build || exit 1
for tool in curl openssl; do
    command -v $tool >/dev/null && continue
    if [ "$(id -u)" -ne 0 ]; then
        echo "Run: sudo apt-get install -y $tool" >&2
        exit 1
    fi
    apt-get install -y -qq $tool >/dev/null || exit 1
done
echo "building ..."
make -s -j"$(nproc)" || exit 1
weir=$PWD/weir dir=$(mktemp -d) pids=
trap 'kill $pids 2>/dev/null; wait; rm -rf "$dir"' EXIT
step() { printf '\n== %s\n' "$1"; }
die() {
    echo "FAILED: $1"
    tail -n 20 "$dir"/*.log
    exit 1
}
# wait_for FILE PATTERN: prints what matched.
wait_for() {
    for _ in $(seq 100); do
        grep -o "$2" "$1" 2>/dev/null | tail -n 1 | grep . && return 0
        sleep 0.1
    done
    return 1
}
echo_up() { # NAME ADDRESS
    "$weir" echo --name "$1" --listen "$2" 2>"$dir/$1.log" &
    pids="$pids $!"
    eval "$1_pid=$!"
    eval "$1=$(wait_for "$dir/$1.log" '127.0.0.1:[0-9]*')"
}

step "two upstreams and a canary that say what they receive"
echo_up one 127.0.0.1:0
echo_up two 127.0.0.1:0
echo_up canary 127.0.0.1:0
echo "one=$one two=$two canary=$canary"

step "documents: gateway in clear and over TLS, a 90/10 canary split, retries"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/shop.key" -out "$dir/shop.crt" -days 30 \
    -subj /CN=shop.example -addext subjectAltName=DNS:shop.example 2>/dev/null || die "openssl"
write() { # WEIGHT of the canary
    cat >"$dir/shop.yaml" <<YAML
apiVersion: weir/v1
kind: Gateway
metadata: { name: edge }
spec:
  listeners:
    - { name: web, address: "127.0.0.1:0", protocol: http }
    - { name: secure, address: "127.0.0.1:0", protocol: https, tls: { certificates: [ { secret: shop-cert } ] } }
  accessLog: { file: "$dir/access.jsonl" }
---
apiVersion: weir/v1
kind: Secret
metadata: { name: shop-cert }
spec: { tls: { certificateFile: shop.crt, keyFile: shop.key } }
---
apiVersion: weir/v1
kind: Service
metadata: { name: shop }
spec: { endpoints: [ "$one", "$two" ] }
---
apiVersion: weir/v1
kind: Service
metadata: { name: shop-canary }
spec: { endpoints: [ "$canary" ] }
---
apiVersion: weir/v1
kind: Route
metadata: { name: shop }
spec:
  attach: [ { gateway: edge } ]
  hosts: [ shop.example ]
  rules:
    - match: [ { path: { prefix: /api } } ]
      to: [ { service: shop, weight: $((100 - $1)) }, { service: shop-canary, weight: $1 } ]
---
apiVersion: weir/v1
kind: Policy
metadata: { name: shop }
spec:
  target: { service: shop }
  timeout: { connect: 1s, request: 10s }
  retry: { attempts: 2, on: [ connect-failure, "503" ] }
  health: { passive: { consecutive: 3, ejection: 30s } }
YAML
}
write 10
"$weir" check "$dir/shop.yaml" || die "check"
"$weir" up "$dir/shop.yaml" --status 127.0.0.1:0 >"$dir/out.log" 2>"$dir/weir.log" &
weir_pid=$!
pids="$pids $weir_pid"
wait_for "$dir/weir.log" '"msg":"ready"' >/dev/null || die "weir did not start"
address() { grep "$1" "$dir/weir.log" | grep -o '127.0.0.1:[0-9]*' | tail -n 1; }
web=$(address edge/web) secure=$(address edge/secure) status=$(address '"msg":"status"')
ask() { curl -s -m 10 -H 'Host: shop.example' "http://$web$1"; }

step "a request through the gateway"
ask /api/hello | grep -E '"(name|target|authority)"|forwarded|request-id' || die "no answer"

step "https, HTTP/2 by ALPN, certificate verified"
port=${secure##*:}
curl -s -m 10 --cacert "$dir/shop.crt" --resolve "shop.example:$port:127.0.0.1" -o /dev/null -w 'status %{http_code}, HTTP/%{http_version}, verify %{ssl_verify_result}\n' \
    "https://shop.example:$port/api/hello" | tee "$dir/tls.txt"
grep -q 'status 200, HTTP/2, verify 0' "$dir/tls.txt" || die "https"

step "canary split: 200 requests at 90/10"
for _ in $(seq 200); do ask /api/; done | grep -o '"name": "[a-z]*"' | sort | uniq -c
[ "$(grep -c shop-canary "$dir/access.jsonl")" -gt 2 ] || die "the canary got nothing"

step "one upstream dies: retries hide it, then it is ejected"
kill "$one_pid"
bad=0
for _ in $(seq 60); do
    [ "$(curl -s -m 10 -o /dev/null -w '%{http_code}' -H 'Host: shop.example' "http://$web/api/")" = 200 ] || bad=$((bad + 1))
done
echo "60 requests, $bad failed"
curl -s "http://$status/status" | grep -B1 -A8 "\"$one\"" | head -n 10
[ $bad -eq 0 ] || die "requests failed"

step "20 reloads under load: no request may fail"
(for _ in $(seq 400); do curl -s -m 10 -o /dev/null -w '%{http_code}\n' -H 'Host: shop.example' "http://$web/api/"; done) >"$dir/codes.txt" &
load=$!
for i in $(seq 20); do
    write $((i % 2 * 50))
    kill -HUP $weir_pid
    sleep 0.1
done
wait $load
sort "$dir/codes.txt" | uniq -c
[ "$(grep -cv 200 "$dir/codes.txt")" -eq 0 ] || die "a request failed during a reload"
curl -s "http://$status/status" | grep -A5 lastReload

step "a bad document changes nothing"
echo 'kind: Gatewy' >>"$dir/shop.yaml"
kill -HUP $weir_pid
wait_for "$dir/weir.log" 'reload refused[^}]*' || die "the error is not in the log"
ask /api/ >/dev/null || die "traffic stopped"

step "SIGTERM drains"
kill -TERM $weir_pid
wait $weir_pid
code=$?
echo "exit code $code"
[ $code -eq 0 ] || die "exit code"
echo
echo "All of it worked."
