#!/usr/bin/python3
"""Measures files and functions under src/, tests/ and fuzz/ with universal-ctags. Over the soft bound is told in one
line of counts (all of them with -v), over the hard bound fails.

Usage: size.py [-v] [ROOT]"""
import json
import subprocess
import sys
from pathlib import Path

SOFT_FUNCTION, HARD_FUNCTION = 60, 100
SOFT_FILE, HARD_FILE = 600, 1000
SOFT_PARAMETERS = 5
FOLDERS = ("src", "tests", "fuzz")


def parameters(signature):
    """Counts what stands between the commas outside of inner parentheses."""
    depth, count, text = 0, 1, signature.strip()[1:-1].strip()
    if text in ("", "void"):
        return 0
    for c in text:
        depth += (c == "(") - (c == ")")
        count += c == "," and depth == 0
    return count


def functions(files):
    """(file, line, name, length, parameters) as universal-ctags sees them."""
    command = ["ctags", "--output-format=json", "--languages=C", "--langmap=C:.c.h", "--kinds-C=f", "--fields=+neS",
               "-I", "PRINTF_LIKE+,NODISCARD", "-L", "-", "-f", "-"]
    done = subprocess.run(command, input="\n".join(map(str, files)), capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        tag = json.loads(line)
        if tag.get("_type") == "tag" and "end" in tag:
            yield tag["path"], tag["line"], tag["name"], tag["end"] - tag["line"] + 1, parameters(tag["signature"])


def measure(root):
    """Two lists of lines: over a hard bound, over a soft one; and what was counted."""
    hard, soft, counts = [], [], {"functions": 0, "files": 0}
    files = sorted(p for f in FOLDERS for p in (root / f).rglob("*.[ch]"))
    for path in files:
        counts["files"] += 1
        n = path.read_text().count("\n")
        if n > SOFT_FILE:
            (hard if n > HARD_FILE else soft).append(f"{path}:1: {n} lines in the file (at most {SOFT_FILE}, hard {HARD_FILE})")
    for path, line, name, length, count in functions(files):
        counts["functions"] += 1
        # A unit test's one function lists cases, it does not branch: only the hard bound of a file holds it.
        listing = name.startswith("unit_") and "/unit/" in f"/{path}"
        if length > SOFT_FUNCTION and not listing:
            (hard if length > HARD_FUNCTION else soft).append(
                f"{path}:{line}: {name} has {length} lines (at most {SOFT_FUNCTION}, hard {HARD_FUNCTION})")
        if count > SOFT_PARAMETERS:
            soft.append(f"{path}:{line}: {name} has {count} parameters (at most {SOFT_PARAMETERS})")
    return hard, soft, counts


def main():
    arguments = sys.argv[1:]
    verbose = "-v" in arguments
    roots = [a for a in arguments if a != "-v"]
    hard, soft, counts = measure(Path(roots[0]) if roots else Path("."))
    if verbose:
        print("\n".join(soft))
    if hard:
        print("\n".join(hard))
    if not counts["functions"]:
        hard.append("")
        print("size: no function was found: is this universal-ctags?")
    print(f"size: {counts['functions']} functions in {counts['files']} files; {len(hard)} over a hard bound, "
          f"{len(soft)} over a soft one{'' if verbose or not soft else ' (tools/size.py -v lists them)'}")
    return 1 if hard else 0


if __name__ == "__main__":
    sys.exit(main())
