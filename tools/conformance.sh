#!/bin/sh
# make conformance: Weir against what others made: h2spec (strict, in clear and over TLS), real clients, real servers. What is not installed
# is skipped and told. The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 1
tools/setup.sh test || exit 1
B=${B:-build/release}
make -s -j"$(nproc)" B="$B" "$B/weir" >&2 || { echo "0 passed, 1 failed"; exit 1; }
tools=$PWD/build/tools

# h2spec is built from tests/conformance/h2spec: versions and hashes of all its modules are fixed there.
h2spec() {
    [ -x "$tools/h2spec" ] && return 0
    if ! command -v go >/dev/null; then
        if [ "$(id -u)" -ne 0 ]; then
            H2SPEC_MISSING="no Go compiler: sudo apt-get install golang-go"
            return 1
        fi
        echo "installing golang-go"
        DEBIAN_FRONTEND=noninteractive apt-get install --no-install-recommends -y -qq golang-go >/dev/null 2>&1 || {
            H2SPEC_MISSING="apt-get could not install golang-go"
            return 1
        }
    fi
    mkdir -p "$tools"
    (cd tests/conformance/h2spec && GOFLAGS="-mod=readonly -buildvcs=false" timeout 300 go build -o "$tools/h2spec" \
        github.com/summerwind/h2spec/cmd/h2spec) >"$tools/h2spec.log" 2>&1 && return 0
    H2SPEC_MISSING="go build: $(tail -n 1 "$tools/h2spec.log")"
    return 1
}
if h2spec; then
    export H2SPEC="$tools/h2spec"
else
    export H2SPEC_MISSING
fi
WEIR=${WEIR:-$B/weir} exec timeout 900 /usr/bin/python3 tests/conformance/run.py "$@"
