#!/bin/sh
# make demo: builds Weir and shows the main job on real traffic. Every step prints its evidence; the exit code is the result.
# Everything listens on free ports of 127.0.0.1 and ends with this script.
set -u
cd "$(dirname "$0")/.."
tools/setup.sh demo || exit 1
echo "building ..."
make -s -j"$(nproc)" || exit 1
weir=$PWD/weir dir=$(mktemp -d) pids=
# shellcheck disable=SC2064 # expanded at the end on purpose
trap 'kill $pids 2>/dev/null; wait; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
count=0
step() {
    count=$((count + 1))
    printf '\n== %d. %s\n' $count "$1"
}
die() {
    echo "FAILED: $1"
    tail -n 20 "$dir"/*.log
    exit 1
}
# until_true WHAT COMMAND...: waits for a condition, at most 30 s.
until_true() {
    what=$1 tries=600
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || die "waited 30 s for: $what"
        sleep 0.05
    done
}
echo_up() { # NAME: starts an upstream; sets $NAME to its address and $NAME_pid
    "$weir" echo --name "$1" --listen 127.0.0.1:0 2>"$1.log" &
    pids="$pids $!"
    eval "$1_pid=$!"
    until_true "upstream $1" grep -q '127.0.0.1:[0-9]' "$1.log"
    eval "$1=$(grep -o '127.0.0.1:[0-9]*' "$1.log" | tail -n 1)"
}
state() { curl -s -m 10 "http://$status/status"; }
state_has() { state | grep -q "$1"; }

step "Two upstreams and a canary. They answer with what they receive."
echo_up one
echo_up two
echo_up canary
echo "one on $one, two on $two, canary on $canary"

step "The documents: a gateway in clear and over TLS, 90 % to shop, 10 % to the canary, retries, ejection."
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout shop.key -out shop.crt -days 30 \
    -subj /CN=shop.example -addext subjectAltName=DNS:shop.example 2>/dev/null || die "openssl"
write() { # PERCENT of the canary
    cat >shop.new <<YAML
apiVersion: weir/v1
kind: Gateway
metadata: { name: edge }
spec:
  listeners:
    - { name: web, address: "127.0.0.1:0", protocol: http }
    - name: secure
      address: "127.0.0.1:0"
      protocol: https
      tls: { certificates: [ { secret: shop-cert } ] }
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
spec:
  protocol: http
  endpoints: [ "$one", "$two" ]
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
metadata: { name: shop-timeouts }
spec:
  target: { service: shop }
  timeout: { connect: 1s, request: 10s }
  retry: { attempts: 2, on: [ connect-failure, "503" ] }
  health: { passive: { consecutive: 3, ejection: 30s } }
YAML
    mv shop.new shop.yaml
}
write 10
sed -n '/kind: Route/,/^---/p' shop.yaml | sed 's/^/    /'
echo "\$ weir check shop.yaml"
"$weir" check shop.yaml || die "check"
echo "\$ weir explain --request 'GET https://shop.example/api/x' shop.yaml"
"$weir" explain --request 'GET https://shop.example/api/x' shop.yaml | grep -E '^(listener|route|rule|service)|Policy/' || die "explain"

step "weir up shop.yaml"
"$weir" up shop.yaml --status 127.0.0.1:0 >out.log 2>weir.log &
weir_pid=$!
pids="$pids $weir_pid"
until_true "weir to be ready" grep -q '"msg":"ready"' weir.log
address() { grep "$1" weir.log | grep -o '127.0.0.1:[0-9]*' | tail -n 1; }
web=$(address edge/web) secure=$(address edge/secure) status=$(address '"msg":"status"')
port=${secure##*:}
echo "http on $web, https on $secure, status page on $status"
ask() { curl -s -m 10 -H 'Host: shop.example' "$@"; }

step "A request goes through; the upstream tells what it was sent."
ask "http://$web/api/hello?x=1" >hello.json
grep -E '"(name|target|authority)":' hello.json || die "no answer"
for h in x-forwarded-for x-forwarded-proto x-request-id; do
    grep -q "\"$h\"" hello.json || die "$h is missing"
done
echo "with X-Forwarded-For, X-Forwarded-Proto and X-Request-Id"

step "https: HTTP/2 by ALPN, the certificate verified."
curl -s -m 10 --cacert shop.crt --resolve "shop.example:$port:127.0.0.1" -o /dev/null \
    -w 'status %{http_code}, HTTP/%{http_version}, verify %{ssl_verify_result}\n' "https://shop.example:$port/api/hello" | tee tls.txt
grep -q 'status 200, HTTP/2, verify 0' tls.txt || die "https"

step "The canary gets its tenth of 400 requests."
ask "http://$web/api/[1-400]" | grep -o '"name": "[a-z]*"' | sort | uniq -c
logged() { [ "$(grep -c '"path":"/api/[0-9]' access.jsonl)" -ge "$1" ]; }
until_true "400 lines of access log" logged 400
n=$(grep -c '"service":"shop-canary"' access.jsonl)
[ "$n" -gt 10 ] && [ "$n" -lt 90 ] || die "the canary got $n"

step "Upstream one dies under load: retries hide it, then it is ejected."
kill "$one_pid"
asked=0
until state_has '"state": "ejected"'; do
    ask -o /dev/null -w '%{http_code}\n' "http://$web/api/[1-40]" >>died.txt
    asked=$((asked + 40))
    [ $asked -lt 4000 ] || die "it was not ejected"
done
echo "$asked requests, by status:"
sort died.txt | uniq -c
state | grep -A4 "\"$one\"" | sed 's/^ */    /'
[ "$(grep -cv '^200$' died.txt)" -eq 0 ] || die "requests failed"

step "20 reloads under load, keep-alive HTTP/1.1 and HTTP/2 over TLS: no request may fail."
load() { # NAME OPTION...: one run after another until there is a file stop
    name=$1
    shift
    while [ ! -e stop ]; do
        h2load -n 2000 "$@" >>"$name.txt" 2>&1 || echo "h2load failed" >>"$name.txt"
    done
}
load h1 --h1 -c 8 --connect-to="$web" http://shop.example/api/load &
h1=$!
load h2 -c 4 -m 10 --connect-to="$secure" https://shop.example/api/load &
h2=$!
pids="$pids $h1 $h2"
reloads=0
while [ $reloads -lt 20 ]; do
    reloads=$((reloads + 1))
    write $((reloads % 2 * 40 + 10))
    kill -HUP $weir_pid
    until_true "reload $reloads" state_has "\"succeeded\": $((reloads + 1))"
done
until_true "load over HTTP/1.1" grep -q '^requests:' h1.txt
until_true "load over HTTP/2" grep -q '^requests:' h2.txt
touch stop
wait $h1 $h2
state | grep -A5 '"lastReload"' | sed 's/^ */    /'
for name in h1 h2; do
    awk -v name=$name '/^requests:/ { total += $2; good += $8 } /^status codes:/ { ok += $3 } /h2load failed/ { bad = 1 }
        END { printf "%s: %d requests, %d of them answered 2xx\n", name, total, ok; exit bad || total == 0 || ok != total || good != total }' \
        $name.txt || die "requests failed: $name"
done

step "A bad document changes nothing, and the log says where it is bad."
cp shop.yaml good.yaml
sed -i 's/kind: Service/kind: Servise/' shop.yaml
kill -HUP $weir_pid
until_true "the refusal" state_has '"stale": true'
grep -o '"msg":"reload refused.*' weir.log | head -n 2
[ "$(ask -o /dev/null -w '%{http_code}' "http://$web/api/")" = 200 ] || die "traffic stopped"
mv good.yaml shop.yaml
echo "traffic goes on"

step "SIGTERM: requests under way finish, then it ends."
ask -o /dev/null -w 'a request of 1 s that was under way: %{http_code}\n' "http://$web/api/?delay=1s" >slow.txt &
slow=$!
until_true "the slow request" state_has '"activeRequests": 1'
kill -TERM $weir_pid
wait $slow
cat slow.txt
grep -q 200 slow.txt || die "the request under way failed"
wait $weir_pid
code=$?
echo "exit code $code"
[ $code -eq 0 ] || die "exit code"
printf '\nAll of it worked.\n'
