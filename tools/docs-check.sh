#!/bin/sh
# The committed reference is what the binary prints; what THREAT-MODEL.md and SECURITY.md name exists.
cd "$(dirname "$0")/.." || exit 1
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
./weir docs --output "$out" && diff -ru docs/reference "$out" && /usr/bin/python3 tools/threats.py
