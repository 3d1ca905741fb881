#!/bin/sh
# make bench: Weir beside nginx, HAProxy and h2o; writes bench/results.md. Arguments go to bench/run.py, also from
# make bench ARGS='--only P1,P5 --rounds 3 --seconds 1'. It wants a quiet machine and, for real-time scheduling, root.
set -u
cd "$(dirname "$0")/.." || exit 1
tools/setup.sh bench || exit 1
make -s -j"$(nproc)" VARIANT=release || exit 1
# shellcheck disable=SC2086 # words are wanted
PATH=$PATH:/usr/sbin:/sbin exec timeout -k 10 3600 /usr/bin/python3 bench/run.py --binary build/release/weir ${ARGS:-} "$@"
