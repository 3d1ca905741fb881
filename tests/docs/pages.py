#!/usr/bin/python3
"""Runs what the documentation tells people to do: README.md and every page under docs/ (the recipes add-a-*.md have recipes.py).

A ```yaml block is a document. Its first line, a comment, names its file (`# shop.yaml`); a later block of that name replaces it. After each block
`weir check` must find the page's folder good. A block whose first line is `# part of ...` is an excerpt and only has to parse.
A ```sh block with the word `run` behind it (```sh run) is run by bash with -e and pipefail, all of a page in one shell and folder, so that what one
block starts or sets the next one uses; every command must succeed. Addresses on 127.0.0.1 are moved to free ports first.
    tests/docs/pages.py [-v] [SUBSTRING...]      The last line is "N passed, N failed"."""
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIR = os.path.abspath(os.environ.get("WEIR", os.path.join(ROOT, "weir")))
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.M | re.S)
PORT = re.compile(r"(?<=:)(80\d\d|8443|90\d\d|91\d\d)\b")
PAGE_SECONDS = 120


def pages():
    yield os.path.join(ROOT, "README.md")
    for top, dirs, files in os.walk(os.path.join(ROOT, "docs")):
        dirs.sort()
        for name in sorted(files):
            if name.endswith(".md") and not name.startswith("add-a-") and not top.endswith("reference"):
                yield os.path.join(top, name)
    yield os.path.join(ROOT, "ARCHITECTURE.md")


def free_port(used):
    """Below the range that the kernel gives out, so that nothing else is given it meanwhile."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in used:
            used.add(port)
            return str(port)


class Page:
    def __init__(self, path):
        self.name = os.path.relpath(path, ROOT)
        with open(path, encoding="utf-8") as f:
            self.text = f.read()
        self.ports, self.used = {}, set()
        self.script = ["set -euo pipefail", "export PATH=$PWD:$PATH NO_COLOR=1"]

    def move(self, text):
        return PORT.sub(lambda m: self.ports.get(m[0]) or self.new_port(m[0]), text)

    def new_port(self, old):
        self.ports[old] = free_port(self.used)
        return self.ports[old]

    def place(self, at):
        return "%s:%d" % (self.name, self.text[:at].count("\n") + 1)

    def add_yaml(self, at, text):
        first = text.split("\n", 1)[0]
        if first.startswith("# part of"):
            list(yaml.safe_load_all(text))
            return
        name = re.fullmatch(r"# ([\w.-]+\.yaml)\b.*", first)
        if not name:
            raise ValueError("%s: the first line names no file, like '# shop.yaml'" % self.place(at))
        self.script.append("cat >%s <<'END_OF_BLOCK'\n%sEND_OF_BLOCK" % (name[1], self.move(text)))
        self.script.append("echo '== %s'" % self.place(at))
        self.script.append("weir check . >check.log 2>&1 || { cat check.log; exit 1; }")

    def add_sh(self, at, text):
        self.script.append("echo '== %s'\n%s" % (self.place(at), self.move(text)))

    def read(self):
        for m in BLOCK.finditer(self.text):
            words = m[2].split()
            if m[1] == "yaml":
                self.add_yaml(m.start(), m[3])
            elif m[1] == "sh" and "run" in words:
                self.add_sh(m.start(), m[3])
        return len(self.script) > 2

    def write_weir(self, folder):
        """`weir` for the page: the true one, but also the ports that it takes when none is said are moved."""
        status, web, echo = (self.move(":%d" % n) for n in (8007, 8000, 9000))
        with open(os.path.join(folder, "weir"), "w", encoding="utf-8") as f:
            f.write("""#!/bin/bash
more=()
case $1 in
up | proxy) [[ " $* " == *" --status"* ]] || more+=(--status 127.0.0.1%s) ;;
esac
[[ " $* " != *" --to "* || " $* " == *" --listen"* ]] || more+=(--listen 127.0.0.1%s)
[[ $1 != echo || " $* " == *" --listen"* ]] || more+=(--listen 127.0.0.1%s)
exec %s "$@" "${more[@]}"
""" % (status, web, echo, shlex.quote(WEIR)))
        os.chmod(os.path.join(folder, "weir"), 0o755)

    def run(self, folder):
        """(exit code, what was printed)"""
        self.write_weir(folder)
        with open(os.path.join(folder, ".script"), "w", encoding="utf-8") as f:
            f.write("\n".join(self.script) + "\n")
        log = os.path.join(folder, ".log")
        with open(log, "wb") as out:
            p = subprocess.Popen(["bash", ".script"], cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                code = p.wait(PAGE_SECONDS)
            except subprocess.TimeoutExpired:
                code = "none after %d s" % PAGE_SECONDS
            try:
                os.killpg(p.pid, signal.SIGKILL)  # what the page left running
            except ProcessLookupError:
                pass
            p.wait()
        with open(log, "rb") as f:
            return code, f.read().decode("utf-8", "replace")


def test(path, verbose):
    page = Page(path)
    try:
        if not page.read():
            return None
    except (ValueError, yaml.YAMLError) as e:
        print("FAIL %s" % e)
        return False
    folder = tempfile.mkdtemp(prefix="weir-page-")
    try:
        code, said = page.run(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if code == 0 and not verbose:
        print("ok   %s" % page.name)
    else:
        print("%s %s: exit code %s\n%s" % ("ok  " if code == 0 else "FAIL", page.name, code, said[-6000:]), flush=True)
    return code == 0


def links(path):
    """Links to files of the tree lead somewhere."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    bad = []
    for target in re.findall(r"\]\(([^)#\s]+)", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)):
        if "://" not in target and not os.path.exists(os.path.join(os.path.dirname(path), target)):
            bad.append(target)
    for target in bad:
        print("FAIL %s: the link to %s leads nowhere" % (os.path.relpath(path, ROOT), target))
    return not bad


def main():
    args = sys.argv[1:]
    verbose = "-v" in args
    wanted = [a for a in args if a != "-v"]
    chosen = [p for p in pages() if not wanted or any(w in p for w in wanted)]
    results = [test(p, verbose) for p in chosen] + [links(p) for p in chosen]
    print("%d passed, %d failed" % (results.count(True), results.count(False)))
    return 1 if False in results else 0


if __name__ == "__main__":
    sys.exit(main())
