#!/bin/sh
# make bench-exact: what has no noise, with the limit of each row; a gate. The last line is "N passed, N failed". Arguments go to
# bench/exact.py, also from make bench-exact ARGS='--only P3,P14'.
set -u
cd "$(dirname "$0")/.." || exit 1
tools/setup.sh exact || { echo "0 passed, 1 failed"; exit 1; }
make -s -j"$(nproc)" VARIANT=release || { echo "0 passed, 1 failed"; exit 1; }
# shellcheck disable=SC2086 # words are wanted
PATH=$PATH:/usr/sbin:/sbin timeout -k 10 900 /usr/bin/python3 bench/exact.py --binary build/release/weir ${ARGS:-} "$@"
code=$?
[ $code -ne 124 ] || echo "0 passed, 1 failed" # out of time
exit $code
