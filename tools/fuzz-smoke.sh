#!/bin/sh
# make fuzz-smoke: every fuzzer for FUZZ_SECONDS (10) from its seeds. What it finds stays in build/fuzz/found.
set -u
cd "$(dirname "$0")/.."
tools/setup.sh test || exit 1
seconds=${FUZZ_SECONDS:-10} passed=0 failed=0
targets=$(ls fuzz/*.c | sed 's|fuzz/\(.*\)\.c|build/fuzz/fuzz/\1|')
# shellcheck disable=SC2086 # words are wanted
make -s -j"$(nproc)" VARIANT=fuzz $targets || exit 1
mkdir -p build/fuzz/found build/fuzz/logs
for t in $targets; do
    name=${t##*/}
    mkdir -p "build/fuzz/corpus/$name"
    if "$t" -max_total_time="$seconds" -timeout=10 -artifact_prefix="build/fuzz/found/$name-" -verbosity=0 -print_final_stats=1 \
        "build/fuzz/corpus/$name" "fuzz/corpus/$name" >"build/fuzz/logs/$name" 2>&1; then
        passed=$((passed + 1))
        echo "ok   $name $(grep -o 'number_of_executed_units: .*' "build/fuzz/logs/$name")"
    else
        failed=$((failed + 1))
        echo "FAIL $name"
        tail -n 40 "build/fuzz/logs/$name"
    fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
