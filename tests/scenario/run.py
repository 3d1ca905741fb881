#!/usr/bin/python3
"""Runs the scenarios: every function test_*(env) of every test_*.py beside this file, in processes of their own, in parallel.

    tests/scenario/run.py [-j N] [-k] [SUBSTRING...]

A test is chosen when a substring occurs in "file::function". WEIR names the binary (default ./weir). Each test gets an empty
folder, at most 180 seconds, and ends with the checks of Env.close: weir alive, a clean exit on SIGTERM, nothing alarming in its log.
-k keeps the folders of failed tests. The last line is "N passed, N failed"; the exit code is 0 when none failed.
"""
import ast
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT_SECONDS = int(os.environ.get("TEST_LIMIT", "180"))  # of one test
OUTPUT_SHOWN = 12000


def discover(filters):
    """(file, function) of every test, slowest files are not known: order is by name."""
    found = []
    for name in sorted(os.listdir(HERE)):
        if not (name.startswith("test_") and name.endswith(".py")):
            continue
        with open(os.path.join(HERE, name), encoding="utf-8") as f:
            tree = ast.parse(f.read(), name)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                full = "%s::%s" % (name[:-3], node.name)
                if not filters or any(s in full for s in filters):
                    found.append((name[:-3], node.name))
    return found


def child(module, function, folder):
    """Runs one test and never returns. Everything it starts is in its process group."""
    os.setpgid(0, 0)
    out = os.open(os.path.join(folder, "output"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    code = 1
    try:
        sys.path.insert(0, HERE)
        import importlib
        from weirlib import Env
        env = Env(folder)
        failed = False
        try:
            getattr(importlib.import_module(module), function)(env)
        except BaseException:
            failed = True
            traceback.print_exc()
        try:
            env.close(failed)
        except BaseException:
            failed = True
            traceback.print_exc()
        code = 1 if failed else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Job:
    def __init__(self, module, function, root):
        self.name = "%s::%s" % (module, function)
        self.folder = tempfile.mkdtemp(prefix=function[:40] + "-", dir=root)
        self.start = time.monotonic()
        self.timed_out = False
        self.pid = os.fork()
        if self.pid == 0:
            child(module, function, self.folder)
        try:
            os.setpgid(self.pid, self.pid)  # whoever is first
        except OSError:
            pass

    def kill(self):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except OSError:
            pass

    def report(self, code, keep):
        self.kill()  # what the test left behind
        seconds = time.monotonic() - self.start
        if code == 0 and not self.timed_out:
            if os.environ.get("VERBOSE"):
                print("ok    %s (%.1f s)" % (self.name, seconds), flush=True)
            shutil.rmtree(self.folder, ignore_errors=True)
            return True
        print("FAIL  %s (%.1f s)%s" % (self.name, seconds, ": over %d s" % LIMIT_SECONDS if self.timed_out else ""))
        with open(os.path.join(self.folder, "output"), "rb") as f:
            text = f.read().decode("utf-8", "backslashreplace")
        if len(text) > OUTPUT_SHOWN:
            text = text[:OUTPUT_SHOWN // 2] + "\n      ...\n" + text[-OUTPUT_SHOWN // 2:]
        print("".join("      " + line + "\n" for line in text.splitlines()), end="", flush=True)
        if keep:
            print("      kept: " + self.folder, flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        return False


def main():
    args = sys.argv[1:]
    keep = "-k" in args
    jobs = 2 * (os.cpu_count() or 1)
    if "-j" in args:
        at = args.index("-j")
        jobs = int(args[at + 1])
        del args[at:at + 2]
    os.environ.setdefault("WEIR", os.path.abspath("weir"))
    os.environ["WEIR"] = os.path.abspath(os.environ["WEIR"])
    if not os.access(os.environ["WEIR"], os.X_OK):
        print("no binary %s: run make, or set WEIR" % os.environ["WEIR"])
        return 2
    tests = discover([a for a in args if not a.startswith("-")])
    root = tempfile.mkdtemp(prefix="weir-scenario-")
    running, passed, failed = {}, 0, []
    while tests or running:
        while tests and len(running) < jobs:
            sys.stdout.flush()
            job = Job(*tests.pop(0), root)
            running[job.pid] = job
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            for job in running.values():
                if time.monotonic() - job.start > LIMIT_SECONDS and not job.timed_out:
                    job.timed_out = True
                    job.kill()
            time.sleep(0.01)
            continue
        job = running.pop(pid, None)
        if not job:
            continue
        if job.report(os.waitstatus_to_exitcode(status), keep):
            passed += 1
        else:
            failed.append(job.name)
    if not (keep and failed):
        shutil.rmtree(root, ignore_errors=True)
    for name in failed:
        print("failed: " + name)
    print("%d passed, %d failed" % (passed, len(failed)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
