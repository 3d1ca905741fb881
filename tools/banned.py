#!/usr/bin/python3
"""Functions that must not be called, each with its reason and the files that may: tools/banned.txt."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
rules = []
for line in (root / "tools/banned.txt").read_text().splitlines():
    if line and not line.startswith("#"):
        name, reason, allowed = (line.split("\t") + ["", ""])[:3]
        rules.append((re.compile(r"(?<![\w.>])%s\s*\(" % re.escape(name)), name, reason, allowed.split()))

def bare(text):
    """The text without comments and strings, lines kept."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)

bad = 0
for path in sorted((root / "src").rglob("*.[ch]")):
    name = str(path.relative_to(root))
    for number, line in enumerate(bare(path.read_text()).splitlines(), 1):
        for pattern, function, reason, allowed in rules:
            if pattern.search(line) and not any(name.startswith(a) for a in allowed):
                print("%s:%d: %s: %s" % (name, number, function, reason))
                bad += 1
print("%d passed, %d failed" % (len(rules) - min(bad, len(rules)), bad))
sys.exit(bad > 0)
