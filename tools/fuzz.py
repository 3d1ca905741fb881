#!/usr/bin/python3
"""Runs fuzz targets, two at a time, from their seeds: tools/fuzz.py [-j N] [--wall S | --cpu S | --runs N] [TARGET...]. A target ends after S
seconds (of the clock, 10 by default, or of its own CPU time), after N executions from the same chance every time, or at its first finding, which stays in build/fuzz/found. Prints a line a target and how many passed."""
import argparse
import os
import re
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
B = os.path.join(HERE, "build", "fuzz")
TICK = os.sysconf("SC_CLK_TCK")
GRACE = 600  # seconds of the clock a target may take beyond its time, on a machine that is busy, to read its seeds and to end


class Run:
    def __init__(self, name, args):
        self.name, self.args = name, args
        self.log = os.path.join(B, "logs", name)
        own, seeds = os.path.join(B, "corpus", name), os.path.join(HERE, "fuzz", "corpus", name)
        os.makedirs(own, exist_ok=True)
        command = [os.path.join(B, "fuzz", name), "-timeout=60", "-verbosity=0", "-print_final_stats=1", "-max_len=%d" % args.max_len,
                   "-artifact_prefix=%s-" % os.path.join(B, "found", name)]
        if args.runs:
            command += ["-runs=%d" % args.runs, "-seed=1"]
        elif not args.cpu:
            command += ["-max_total_time=%d" % args.wall]
        words = os.path.join(HERE, "fuzz", "corpus", name + ".dict")
        command += ["-dict=" + words] if os.path.exists(words) else []
        command += [own] + ([seeds] if os.path.isdir(seeds) else [])
        self.row, self.cpu, self.since, self.told = "", 0.0, time.monotonic(), False
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)

    def step(self):
        """True when it has ended."""
        try:
            with open("/proc/%d/stat" % self.process.pid, encoding="utf-8") as f:
                fields = f.read().rpartition(") ")[2].split()
            self.cpu = max(self.cpu, (int(fields[11]) + int(fields[12])) / TICK)
        except (OSError, IndexError):
            pass
        if self.process.poll() is not None:
            return True
        if self.args.cpu and self.cpu >= self.args.cpu and not self.told:
            self.told = True
            self.process.send_signal(signal.SIGUSR1)  # libFuzzer ends in order, with its figures
        if not self.args.cpu and time.monotonic() - self.since > self.args.wall + GRACE:
            self.process.kill()
        return False

    def report(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            text = f.read()
        n = re.search(r"number_of_executed_units: (\d+)", text)
        if self.process.returncode == 0 and n:
            print("ok   %-14s %10s executions %6.0f CPU s" % (self.name, n.group(1), self.cpu), flush=True)
            self.row = "| `%s` | %s | %.0f | %s | none |" % (self.name, time.strftime("%Y-%m-%d"), self.cpu, format(int(n.group(1)), ","))
            return True
        print("FAIL %s\n%s" % (self.name, "\n".join(text.splitlines()[-40:])), flush=True)
        return False


def main():
    p = argparse.ArgumentParser()
    p.add_argument("-j", type=int, default=2)
    p.add_argument("--wall", type=int, default=10)
    p.add_argument("--cpu", type=int, default=0)
    p.add_argument("--runs", type=int, default=0)
    p.add_argument("--max-len", type=int, default=1024)
    p.add_argument("targets", nargs="*")
    args = p.parse_args()
    for d in ("found", "logs"):
        os.makedirs(os.path.join(B, d), exist_ok=True)
    waiting = args.targets or sorted(f[:-2] for f in os.listdir(os.path.join(HERE, "fuzz")) if f.endswith(".c"))
    running, rows, good, bad = [], [], 0, 0
    while waiting or running:
        while waiting and len(running) < args.j:
            running.append(Run(waiting.pop(0), args))
        for r in [r for r in running if r.step()]:
            running.remove(r)
            if r.report():
                good += 1
                rows.append(r.row)
            else:
                bad += 1
        time.sleep(0.05)
    if args.cpu:  # for docs/fuzzing.md
        print("\n".join(sorted(rows)))
    print("%d passed, %d failed" % (good, bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
