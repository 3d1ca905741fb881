#!/usr/bin/python3
"""THREAT-MODEL.md and SECURITY.md are true: every test they name exists, every limit has the value they say, every row is there.

A test is written `tests/scenario/test_x.py::test_y`, `tests/unit/x.c::function`, `fuzz/x.c`, or `tests/hostile/x.json::T4` (there must be
rows of that threat that are to be refused and, in the file, rows that are to be accepted). A limit is written `section.field` = `default`
(a row of docs/reference/kinds.md) or `NAME` = `value` (of an enum in src). Last line: "N passed, N failed"."""
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ("THREAT-MODEL.md", "SECURITY.md")
ROWS = ["T%d" % n for n in (*range(1, 13), *range(17, 25))]
TEST = re.compile(r"`((?:tests|fuzz)/[\w./-]+\.(?:py|c|json))(?:::(\w+))?`")
LIMIT = re.compile(r"`([a-zA-Z]\w*\.\w+|[A-Z][A-Z0-9_]+)` = `([^`]+)`")


def test_fault(path, name):
    """Why there is no such test, or None."""
    file = ROOT / path
    if not file.is_file():
        return "no such file"
    text = file.read_text(encoding="utf-8")
    if path.endswith(".py"):
        return None if name and re.search(r"^def %s\(" % re.escape(name), text, re.M) else "no such function"
    if path.endswith(".c"):
        if path.startswith("fuzz/"):
            return None if not name else "a fuzzer has no function to name"
        return None if name and re.search(r"^static void %s\(" % re.escape(name), text, re.M) else "no such function"
    rows = json.loads(text)
    bad = [r for r in rows if r["threat"] == name and r["want"] != "200"]
    good = [r for r in rows if r["want"] == "200"]
    return None if bad and good else "no rows of this threat"


def reference():
    """{"limits.streams": {"128"}}: the fields of policy sections and their defaults."""
    found, section = {}, ""
    for line in (ROOT / "docs/reference/kinds.md").read_text(encoding="utf-8").splitlines():
        head = re.match(r"#+ .*?`?([\w.\[\]]+)`?\s*$", line)
        if head:
            section = head.group(1).split(".")[-1]
        row = re.match(r"\| `(\w+)` \|[^|]*\| `([^`]*)` \|", line)
        if row:
            found.setdefault("%s.%s" % (section, row.group(1)), set()).add(row.group(2))
    return found


def constants():
    found = {}
    for file in [*ROOT.glob("src/**/*.c"), *ROOT.glob("src/**/*.h")]:
        text = re.sub(r"/\*.*?\*/", "", file.read_text(encoding="utf-8"), flags=re.S)
        for name, value in re.findall(r"\b([A-Z][A-Z0-9_]+)\s*=\s*([0-9][^,}]*)", text):
            found.setdefault(name, set()).add(" ".join(value.split()))
    return found


def main():
    passed, faults, fields, values = 0, [], reference(), constants()
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        for path, name in sorted(set(TEST.findall(text))):
            why = test_fault(path, name)
            passed += not why
            if why:
                faults.append("%s: %s::%s: %s" % (document, path, name, why))
        for name, value in sorted(set(LIMIT.findall(text))):
            have = (fields if "." in name else values).get(name, set())
            passed += value in have
            if value not in have:
                faults.append("%s: limit %s = %s: is %s" % (document, name, value, " or ".join(sorted(have)) or "nowhere"))
    model = (ROOT / DOCUMENTS[0]).read_text(encoding="utf-8")
    for row in ROWS:
        part = re.search(r"^## %s\b.*?(?=^## |\Z)" % row, model, re.M | re.S)
        ok = part and TEST.search(part.group(0)) and "**Promise.**" in part.group(0) and "**Limit.**" in part.group(0)
        passed += bool(ok)
        if not ok:
            faults.append("%s: row %s has no promise, limit or test" % (DOCUMENTS[0], row))
    for line in faults:
        print(line)
    print("%d passed, %d failed" % (passed, len(faults)))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
