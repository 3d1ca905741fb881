#!/bin/sh
# Is all C formatted as .clang-format says? `make fmt` mends it.
cd "$(dirname "$0")/.." || exit 1
find src tests fuzz -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run -Werror
