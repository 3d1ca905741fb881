#!/usr/bin/python3
"""The recipes docs/howto/add-a-*.md, done: their code blocks go into a copy of the tree, which is built and whose tests are run.

Each page must need exactly two files, a new source and a new test, and no edit of any other. The copy keeps the objects of
build/asan, so only what is new is compiled. The last line is "N passed, N failed"."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BLOCK = re.compile(r"^```(?:c|python) (\S+)\n(.*?)^```$", re.M | re.S)
passed, failed = 0, []


def check(ok, what, detail=""):
    global passed
    if ok:
        passed += 1
    else:
        failed.append(what)
        print("FAIL %s\n%s" % (what, detail))


def run(*args, cwd, limit=420, **more):
    return subprocess.run(args, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=limit, **more)


def copy_tree(to):
    files = run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).stdout.split("\n")
    for name in filter(None, files):
        if os.path.isfile(os.path.join(ROOT, name)) and not os.path.islink(os.path.join(ROOT, name)):
            os.makedirs(os.path.dirname(os.path.join(to, name)), exist_ok=True)
            shutil.copy2(os.path.join(ROOT, name), os.path.join(to, name))
    shutil.copytree(os.path.join(ROOT, "build/asan"), os.path.join(to, "build/asan"), symlinks=True)


def snapshot(folder):
    found = {}
    for top, dirs, files in os.walk(folder):
        dirs[:] = [d for d in dirs if d not in ("build", ".git", "__pycache__")]
        for name in files:
            path = os.path.join(top, name)
            with open(path, "rb") as f:
                found[os.path.relpath(path, folder)] = f.read()
    return found


def write_page(page, scratch, before):
    with open(os.path.join(ROOT, "docs/howto", page), encoding="utf-8") as f:
        blocks = BLOCK.findall(f.read())
    names = [name for name, _ in blocks]
    check(len(names) == 2 and names[0].startswith("src/") and names[1].startswith("tests/"), page + ": a source and a test, no more", str(names))
    check(not set(names) & set(before), page + ": both files are new", str(names))
    for name, text in blocks:
        with open(os.path.join(scratch, name), "w", encoding="utf-8") as f:
            f.write(text)
    return names


def gates(scratch, sources):
    r = run("clang-format", "--dry-run", "-Werror", *[n for n in sources if n.endswith(".c")], cwd=scratch)
    check(r.returncode == 0, "the pages are formatted", r.stdout)
    for tool in ("layers", "banned", "size"):
        r = run("/usr/bin/python3", "tools/%s.py" % tool, cwd=scratch)
        check(r.returncode == 0, "tools/%s.py" % tool, r.stdout[-3000:])


def registries(weir, scratch):
    """What the rows give without being asked: reference, JSON Schema, completion, help."""
    out = lambda *a: run(weir, *a, cwd=scratch, env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0")).stdout
    check("retryAfter" in out("docs", "maintenance"), "weir docs knows the filter")
    check("maintenance" in out("complete", "paths", "Policy", "spec."), "completion knows the filter", out("complete", "paths", "Policy", "spec."))
    pages = os.path.join(scratch, "build/pages")
    os.makedirs(pages, exist_ok=True)
    out("docs", "--output", pages)
    with open(os.path.join(pages, "weir.schema.json"), encoding="utf-8") as f:
        schema = f.read()
    for word in ('"maintenance"', '"Team"', '"first"'):
        check(word in schema, "JSON Schema knows " + word)
    check("objects" in out("complete", "bash"), "completion knows the command")
    check("weir objects" in out("docs", "--man"), "the man page knows the command")


def recipes(scratch):
    copy_tree(scratch)
    before = snapshot(scratch)
    pages = sorted(p for p in os.listdir(os.path.join(ROOT, "docs/howto")) if p.startswith("add-a-"))
    written = [name for page in pages for name in write_page(page, scratch, before)]
    r = run("make", "-s", "-j%d" % (os.cpu_count() or 1), "VARIANT=asan", "build/asan/weir", "build/asan/unit", cwd=scratch)
    check(r.returncode == 0, "the tree builds with the pages' files", r.stdout[-6000:])
    if r.returncode:
        return
    after = snapshot(scratch)
    check(set(after) - set(before) == set(written) and all(after[n] == before[n] for n in before), "nothing else was edited",
          str([n for n in after if after.get(n) != before.get(n) and n not in written]))
    gates(scratch, written)
    weir = os.path.join(scratch, "build/asan/weir")
    for name in written:
        if name.startswith("tests/unit/"):
            r = run("build/asan/unit", os.path.basename(name)[:-2], cwd=scratch)
            check(r.returncode == 0 and re.search(r"^[1-9]\d* passed, 0 failed$", r.stdout, re.M), name, r.stdout[-3000:])
    tests = [os.path.basename(n)[:-3] + "::" for n in written if n.startswith("tests/scenario/")]
    r = run("/usr/bin/python3", "tests/scenario/run.py", *tests, cwd=scratch, env=dict(os.environ, WEIR=weir))
    check(r.returncode == 0 and re.search(r"^[1-9]\d* passed, 0 failed$", r.stdout, re.M), "the pages' scenarios", r.stdout[-6000:])
    registries(weir, scratch)


def main():
    if not os.path.exists(os.path.join(ROOT, "build/asan/weir")):
        print("build it first: make VARIANT=asan build/asan/weir build/asan/unit")
        return 2
    scratch = tempfile.mkdtemp(prefix="weir-recipes-")
    try:
        recipes(scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print("%d passed, %d failed" % (passed, len(failed)))
    return 1 if failed else 0


sys.exit(main())
