#!/bin/sh
# make conformance: Weir against what others made: h2spec (strict, in clear and over TLS), real clients, real servers. What is not installed
# is skipped and told. The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 1
tools/setup.sh test || exit 1
B=${B:-build/release}
make -s -j"$(nproc)" B="$B" "$B/weir" >&2 || { echo "0 passed, 1 failed"; exit 1; }
tools=$PWD/build/tools

# Peers of others that Debian has. One that cannot be installed only skips the cases that need it.
if [ "$(id -u)" -eq 0 ]; then
    missing=
    for pair in nginx:nginx-light haproxy:haproxy h2o:h2o nghttpd:nghttp2-server h2load:nghttp2-client node:nodejs go:golang-go; do
        PATH=$PATH:/usr/sbin command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
    done
    for p in $missing; do
        echo "installing $p"
        DEBIAN_FRONTEND=noninteractive timeout 120 apt-get install --no-install-recommends -y -qq "$p" >/dev/null 2>&1 || true
    done
fi

# What is built with Go: h2spec, whose modules' versions and hashes are all fixed in its folder, and a peer of the standard library alone.
# go_build FOLDER OUTPUT PACKAGE; prints why not. The first try may be slow: modules come over the network.
go_build() {
    [ -x "$2" ] && [ -z "$(find "$1" -newer "$2")" ] && return 0
    command -v go >/dev/null || { echo "no Go compiler: sudo apt-get install golang-go"; return 1; }
    mkdir -p "$tools"
    for _ in 1 2; do
        (cd "$1" && GOFLAGS="-mod=readonly -buildvcs=false" GOTOOLCHAIN=local timeout 240 go build -o "$2" "$3") >"$2.log" 2>&1 && return 0
    done
    echo "go build failed or took too long: $(tail -n 1 "$2.log")"
    return 1
}
H2SPEC=$tools/h2spec
H2SPEC_MISSING=$(go_build tests/conformance/h2spec "$H2SPEC" github.com/summerwind/h2spec/cmd/h2spec) || H2SPEC=
GO_PEER=$tools/gopeer
GO_PEER_MISSING=$(go_build tests/conformance/go "$GO_PEER" .) || GO_PEER=
export H2SPEC H2SPEC_MISSING GO_PEER GO_PEER_MISSING
WEIR=${WEIR:-$B/weir} exec timeout 900 /usr/bin/python3 tests/conformance/run.py "$@"
