#!/bin/sh
# make test-tsan: unit and scenario tests under ThreadSanitizer.
cd "$(dirname "$0")/.." || exit 1
make -s -j"$(nproc)" VARIANT=tsan build/tsan/weir build/tsan/unit && build/tsan/unit && TEST_LIMIT=600 WEIR=build/tsan/weir /usr/bin/python3 tests/scenario/run.py
