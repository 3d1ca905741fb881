#!/bin/sh
# Writes the reference pages from the binary's own tables.
cd "$(dirname "$0")/.." || exit 1
make -s -j"$(nproc)" && mkdir -p docs/reference && ./weir docs --output docs/reference
