#!/bin/sh
# make test: every gate and every test. Each suite ends with "N passed, N failed"; the last line is their sum.
set -u
cd "$(dirname "$0")/.."
tools/setup.sh test || exit 1
passed=0 failed=0
log=build/test-logs
mkdir -p $log

# Runs a suite, shows its last lines, adds its numbers; a suite without a result line has failed.
suite() {
    name=$1
    shift
    printf '%-22s ' "$name"
    "$@" >"$log/$name" 2>&1
    code=$?
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log/$name" | tail -n 1)
    if [ -z "$line" ]; then
        line="0 passed, 1 failed"
        [ $code -eq 0 ] && line="1 passed, 0 failed"
    elif [ $code -ne 0 ] && [ "${line##*, }" = "0 failed" ]; then
        line="${line%%,*}, 1 failed"
    fi
    echo "$line"
    p=${line%% *}
    f=${line##*, }
    f=${f%% *}
    passed=$((passed + p))
    failed=$((failed + f))
    if [ "$f" -ne 0 ]; then
        tail -n 60 "$log/$name" | sed 's/^/    /'
    fi
}

jobs=$(nproc)
suite build make -s -j"$jobs" CI=true
suite build-unit make -s -j"$jobs" CI=true build/release/unit
suite build-asan make -s -j"$jobs" VARIANT=asan build/asan/weir build/asan/unit
suite format tools/format.sh
suite layers /usr/bin/python3 tools/layers.py
suite banned /usr/bin/python3 tools/banned.py
suite size /usr/bin/python3 tools/size.py
suite docs tools/docs-check.sh
suite unit build/release/unit
suite unit-asan build/asan/unit
suite golden tools/golden.sh
suite pages /usr/bin/python3 tests/docs/pages.py
suite recipes /usr/bin/python3 tests/docs/recipes.py
suite scenario env WEIR=build/asan/weir /usr/bin/python3 tests/scenario/run.py
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
