#!/usr/bin/python3
"""Holds Weir against what others made: h2spec, real clients, real servers.

    tests/conformance/run.py [SUBSTRING...]

Every function case_*(env) of the files beside this one is a case: it returns nothing (one passed), or (passed, failed) when it ran a
suite of its own; it raises Skip when what it needs is not here. WEIR names the binary, H2SPEC the tool (or H2SPEC_MISSING why there is
none). Cases run one after the other, each with a folder of its own and at most LIMIT seconds; those that do not begin within ALL seconds are
skipped. The last line is "N passed, N failed".
"""
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "scenario")]
LIMIT = 120
ALL = 750  # seconds after which no further case is begun: the tally must come before whoever started us gives up


def too_long(_signal, _frame):
    raise AssertionError("over %d s" % LIMIT)


def run(name, fn, root):
    """(passed, failed, line about it)"""
    from tools import Skip
    from weirlib import Env
    folder = tempfile.mkdtemp(dir=root)
    env = Env(folder)
    result, failed = None, True
    signal.alarm(LIMIT)
    try:
        result = fn(env) or (1, 0)
        failed = result[1] > 0
    except Skip as e:
        result, failed = (0, 0), False
        return result, "skipped: %s: %s" % (name, e)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        result = (0, 1)
    finally:
        signal.alarm(30)
        try:
            env.close(failed)
        except BaseException:
            traceback.print_exc(file=sys.stdout)
            result = (result[0], result[1] + 1) if result and result[1] else (0, 1)
        signal.alarm(0)
    return result, "%s: %s%s" % ("FAIL" if result[1] else "ok", name, "" if sum(result) == 1 else " (%d passed, %d failed)" % result)


def main():
    os.environ.setdefault("WEIR", os.path.abspath("weir"))
    os.environ["WEIR"] = os.path.abspath(os.environ["WEIR"])
    signal.signal(signal.SIGALRM, too_long)
    wanted = sys.argv[1:]
    root = tempfile.mkdtemp(prefix="weir-conformance-")
    passed = failed = 0
    bad, skipped = [], []
    end = time.monotonic() + ALL
    try:
        for module in ("case_h2spec", "case_clients", "case_servers", "case_go", "case_node"):
            m = importlib.import_module(module)
            for name in [n for n in vars(m) if n.startswith("case_")]:
                full = "%s::%s" % (module[5:], name[5:])
                if wanted and not any(w in full for w in wanted):
                    continue
                if time.monotonic() > end:
                    skipped.append("skipped: %s: no time is left" % full)
                    continue
                (p, f), line = run(full, getattr(m, name), root)
                passed, failed = passed + p, failed + f
                print(line, flush=True)
                if f:
                    bad.append(full)
                if line.startswith("skipped"):
                    skipped.append(line)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    for name in bad:
        print("failed: " + name)
    for line in skipped:
        print(line)
    print("%d cases skipped" % len(skipped))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
