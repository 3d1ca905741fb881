#!/bin/sh
cd "$(dirname "$0")/.." || exit 1
find src tests fuzz -name '*.[ch]' -print0 | xargs -0 clang-format -i
