#!/bin/sh
# make test-asan: unit and scenario tests under AddressSanitizer and UBSan.
cd "$(dirname "$0")/.." || exit 1
make -s -j"$(nproc)" VARIANT=asan build/asan/weir build/asan/unit && build/asan/unit && WEIR=build/asan/weir /usr/bin/python3 tests/scenario/run.py
