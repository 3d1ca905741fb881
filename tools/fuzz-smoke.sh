#!/bin/sh
# make fuzz-smoke: every fuzzer from its seeds for FUZZ_SECONDS (10), two at a time. What it finds stays in build/fuzz/found.
# FUZZ_RUNS=N instead: N executions each, the same ones every time as far as can be, for who must not be surprised.
# `tools/fuzz.py --cpu 300` is the long run.
set -u
cd "$(dirname "$0")/.."
tools/setup.sh test || exit 1
targets=$(ls fuzz/*.c | sed 's|fuzz/\(.*\)\.c|build/fuzz/fuzz/\1|')
# shellcheck disable=SC2086 # words are wanted
make -s -j"$(nproc)" VARIANT=fuzz $targets || exit 1
[ -z "${FUZZ_RUNS:-}" ] || exec /usr/bin/python3 tools/fuzz.py --runs "$FUZZ_RUNS"
exec /usr/bin/python3 tools/fuzz.py --wall "${FUZZ_SECONDS:-10}"
