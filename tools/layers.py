#!/usr/bin/python3
"""Checks every include under src/ against src/LAYERS: a folder sees only itself and the folders its line allows, those
stand above it, third-party and system headers named after the bar are for their owner alone.

Usage: layers.py [ROOT]   Prints one line a violation; exit 1 when there is any, 2 when LAYERS itself cannot be read."""
import re
import sys
from pathlib import Path

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>|(\S.*))', re.M)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)


def read_layers(path):
    """{folder: allowed folders}, {header: owners}, [problems of the file itself]"""
    allowed, owners, problems = {}, {}, []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"([\w]+)\s*:\s*([\w\s]*)\|(.*)", line)
        if not match:
            problems.append(f"{path}:{number}: not 'folder : folders | headers'")
            continue
        folder, above, headers = match[1], match[2].split(), match[3].split()
        if folder in allowed:
            problems.append(f"{path}:{number}: {folder} stands here a second time")
        for name in above:
            if name not in allowed:
                problems.append(f"{path}:{number}: {folder} may not use {name}, which does not stand above it")
        allowed[folder] = set(above) | {folder}
        for header in headers:
            owners.setdefault(header, set()).add(folder)
    return allowed, owners, problems


def blank(match):
    """A comment becomes the line ends it held, so that numbers of lines stay."""
    return " " + "\n" * match[0].count("\n")


def includes(path):
    """(line, quoted, angled, computed) of each include that is not inside a comment."""
    text = COMMENT.sub(blank, path.read_text())
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, *match.groups()


def check_quoted(src, folder, name, allowed):
    if name.endswith(".gen.h"):  # the listing of a folder, made by the Makefile
        return None if folder == "cli" else f"{name} is for src/cli alone"
    if ".." in name.split("/") or name.startswith("/"):
        return f'"{name}" is not written from src/'
    if "/" not in name or not (src / name).is_file():
        return f'"{name}" is not written from src/, or does not exist'
    other = name.split("/")[0]
    if other not in allowed:
        return f"src/{other} has no line in src/LAYERS"
    if other not in allowed[folder]:
        return f"{folder} may not include {other} ({name})"
    if other != folder and re.search(r"_priv\.h$", name):
        return f"{name} is private to src/{other}"
    return None


def check_angled(src, folder, name, owners):
    if name in owners and folder not in owners[name]:
        return f"<{name}> is for {' and '.join(sorted(owners[name]))} alone"
    if (src / name).is_file():
        return f"<{name}> is ours: quotes, not angle brackets"
    return None


def check_file(src, path, allowed, owners):
    folder = path.relative_to(src).parts[0]
    for line, quoted, angled, computed in includes(path):
        if quoted:
            problem = check_quoted(src, folder, quoted, allowed)
        elif angled:
            problem = check_angled(src, folder, angled, owners)
        else:
            problem = f"an include must name its file, not {computed}"
        if problem:
            yield f"{path}:{line}: {problem}"


def main():
    src = Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "src"
    allowed, owners, problems = read_layers(src / "LAYERS")
    if problems:
        print("\n".join(problems))
        return 2
    files = sorted(p for p in src.rglob("*") if p.suffix in (".c", ".h"))
    for path in files:
        parts = path.relative_to(src).parts
        if len(parts) < 2 or parts[0] not in allowed:
            problems.append(f"{path}: its folder has no line in src/LAYERS")
            continue
        problems += check_file(src, path, allowed, owners)
    if not files:
        problems.append(f"{src}: holds no C file")
    print("\n".join(problems) if problems else f"layers: {len(files)} files keep src/LAYERS")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
