#!/bin/sh
# The Debian packages that building (`build`), `make demo` (`demo`), building and testing (`test`, the default), the exact measurements
# (`exact`) or all measurements (`bench`) need. As root it installs what is missing; otherwise it prints the one line that does. Takes no time
# when nothing is missing.
set -eu
level=${1:-test}
build="gcc make pkg-config libssl-dev libnghttp2-dev libpcre2-dev libyaml-dev"
# python3-* and the clients are what a user of the protocols would have; openssl makes certificates for tests.
# libFuzzer and the sanitizers come with the compiler's run-time package, whose name holds its version.
tests="clang clang-format libclang-rt-dev universal-ctags python3 python3-h2 python3-hpack python3-websockets
python3-grpcio python3-yaml python3-jsonschema curl nghttp2-client openssl valgrind strace git"

# The backend of every measurement is nginx; the others are peers and load generators.
exact="python3 openssl nginx nghttp2-client valgrind strace"
bench="$exact haproxy h2o wrk"

case $level in
build) wanted=$build ;;
demo) wanted="$build curl openssl nghttp2-client" ;;
test) wanted="$build $tests" ;;
exact) wanted="$build $exact" ;;
bench) wanted="$build $bench" ;;
*)
    echo "usage: tools/setup.sh [build|demo|test|exact|bench]" >&2
    exit 2
    ;;
esac
if ! command -v dpkg-query >/dev/null; then
    echo "This is no Debian: install by hand what stands for: $wanted" >&2
    exit 1
fi

# Debian 12 has only the versioned name of the run-time package.
run_time() {
    if apt-cache show libclang-rt-dev >/dev/null 2>&1; then
        echo libclang-rt-dev
        return
    fi
    major=$(apt-cache depends clang 2>/dev/null | sed -n 's/^ *Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
    echo "libclang-rt-${major:-14}-dev"
}

installed=" $(dpkg-query -W -f='${db:Status-Abbrev}${binary:Package}\n' | sed -n 's/^ii *\([^:]*\).*/\1/p' | tr '\n' ' ')"
missing=
for p in $wanted; do
    case $p:$installed in
    libclang-rt-dev:*\ libclang-rt-*dev\ *) ;;
    libclang-rt-dev:*) missing="$missing $(run_time)" ;;
    *:*\ "$p"\ *) ;;
    pkg-config:*\ pkgconf\ *) ;;
    *) missing="$missing $p" ;;
    esac
done
[ -n "$missing" ] || exit 0

line="apt-get install --no-install-recommends -y$missing"
if [ "$(id -u)" -ne 0 ]; then
    echo "Packages are missing. Run:" >&2
    echo "  sudo $line" >&2
    exit 1
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
# Servers to measure are wanted as programs: none may start as a service of this machine.
policy=/usr/sbin/policy-rc.d
case $level in
exact | bench)
    if [ ! -e $policy ]; then
        trap 'rm -f $policy' EXIT
        trap 'exit 1' HUP INT TERM
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
    fi
    ;;
esac
# shellcheck disable=SC2086 # words are wanted
apt-get install --no-install-recommends -y -qq $missing >/dev/null 2>&1 || { apt-get update -qq && $line -qq >/dev/null; }
