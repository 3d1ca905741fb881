#!/bin/sh
# Golden pairs: NAME.yaml with NAME.json (what `weir compile --print` says) or NAME.errors (what `weir check` says on stderr).
# UPDATE=1 writes them anew: read the difference before you commit it.
cd "$(dirname "$0")/../tests/golden" || exit 1
weir=../../weir passed=0 failed=0
for doc in *.yaml; do
    name=${doc%.yaml}
    if [ -e "$name.errors" ]; then
        want=$name.errors
        got=$($weir check "$doc" 2>&1 >/dev/null)
        code=$?
        expect=1
    else
        want=$name.json
        got=$($weir compile --print "$doc" 2>&1)
        code=$?
        expect=0
    fi
    if [ "${UPDATE:-}" = 1 ]; then
        printf '%s\n' "$got" >"$want"
    fi
    if [ $code -eq $expect ] && printf '%s\n' "$got" | diff -u "$want" - >/dev/null; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $doc (exit $code)"
        printf '%s\n' "$got" | diff -u "$want" - | head -n 20
    fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
