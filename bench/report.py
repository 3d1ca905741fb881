"""Numbers to words: one line a row for the terminal, and bench/results.md."""
import os
import platform
import re
import statistics
import subprocess
import time

import lab as L

NOISE = 0.05  # A/A may differ by so much, and a limit is missed clearly only beyond it
ENOUGH = 9  # pairs
# Why a must is missed, by row: shown only while it is.
WHY = {
    "P20": "a swap builds the new routes beside the old ones, which are given back when the last request that began with them has ended; the two "
           "share nothing.",
    "P21": "not known for sure. Memory is the suspect (5,000 routes of 1,000 hosts pass through the caches, one route stays in them); it takes "
           "hardware counters to tell.",
}


def spread(values, digits=2):
    return "%.*f / **%.*f** / %.*f" % (digits, min(values), digits, statistics.median(values), digits, max(values))


def noisy(row):
    n = row.noise()
    return n is not None and abs(n - 1) > NOISE


def value_of(row, goal):
    """What is held against the limit: ratios to a peer, or Weir's own numbers."""
    return row.ratios(goal.who, goal.peer) if goal.peer else row.samples[goal.who]


def verdict(row, goal):
    median = statistics.median(value_of(row, goal))
    if goal.must is None and goal.aim is None:
        return "no limit"
    if row.control and not row.fifo:
        return "not judged (no real-time scheduling)"
    if noisy(row):
        return "not judged (noise: A/A %.2f)" % row.noise()
    if goal.aim is not None and median <= goal.aim:
        return "aim met"
    if goal.must is None:
        return "aim missed by %.0f %%" % ((median / goal.aim - 1) * 100)
    if median <= goal.must:
        return "must met"
    by = median / goal.must - 1
    return "**must missed by %.0f %%**%s" % (by * 100, " (within the noise)" if by <= NOISE and row.control else "")


def brief(row):
    if row.trouble:
        return "%-5s not measured: %s" % (row.name, row.trouble)
    servers = ", ".join("%s %.4g" % (n, statistics.median(v)) for n, v in row.samples.items())
    goals = "; ".join("%s%s %s" % (("/" + g.peer + " ") if g.peer else "", "%.3g" % statistics.median(value_of(row, g)),
                                   verdict(row, g).replace("*", "")) for g in row.goals)
    control = "" if row.noise() is None else "; A/A %.2f" % row.noise()
    return "%-5s %s (%s): %s%s" % (row.name, servers, row.unit, goals, control)


# ---- the page ----
def version(argv, pattern):
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
        m = re.search(pattern, done.stdout + done.stderr)
        return m.group(1) if m else "?"
    except OSError:
        return "not installed"


def about(o):
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo", encoding="utf-8").read())
    memory = re.search(r"MemTotal:\s*(\d+)", open("/proc/meminfo", encoding="utf-8").read())
    system = re.search(r'PRETTY_NAME="(.*)"', open("/etc/os-release", encoding="utf-8").read())
    commit = version(["git", "-C", L.ROOT, "describe", "--always", "--dirty", "--exclude=*"], r"(\S+)")
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "rounds": o.rounds, "seconds": o.seconds, "fifo": L.fifo_allowed(),
        "load": os.getloadavg()[0],
        "machine": "%s, %d CPUs, %.0f GB, kernel %s, %s" % (cpu.group(1) if cpu else platform.machine(), os.cpu_count(),
                                                            int(memory.group(1)) / 1e6, platform.release(), system.group(1) if system else "?"),
        "versions": ", ".join("%s %s" % v for v in (
            ("Weir", "%s (%s)" % (version([o.binary, "version"], r"(\d\S*)"), commit)), ("nginx", version(["nginx", "-v"], r"nginx/(\S+)")),
            ("HAProxy", version(["haproxy", "-v"], r"version (\d+\.\d+\.\d+)")), ("h2o", version(["h2o", "-v"], r"version (\S+)")),
            ("wrk", version(["wrk", "-v"], r"wrk \D*(\d\S*)")), ("h2load", version(["h2load", "--version"], r"nghttp2/(\S+)")),
            ("OpenSSL", version(["openssl", "version"], r"OpenSSL (\S+)")))),
    }


def head(a):
    lines = ["# Results", "", "Written by `make bench`; nothing here is edited by hand. [docs/benchmarks.md](../docs/benchmarks.md) says how to read it.", "",
             "- %s; %d rounds of %g s, more where the control was noisy; ratios are taken inside a round" % (a["date"], a["rounds"], a["seconds"]),
             "- " + a["machine"], "- " + a["versions"], "- load of other work on the machine when it began: %.1f" % a["load"]]
    if a["rounds"] < ENOUGH:
        lines.append("- **A short run: fewer than %d rounds prove nothing. Verdicts are hints.**" % ENOUGH)
    if not a["fifo"]:
        lines.append("- **Without real-time scheduling (needs CAP_SYS_NICE): not judged.**")
    return lines


def limit(x):
    return "" if x is None else "≤ %g" % x


def goals_table(rows):
    lines = ["", "| row | what | min / median / max | must | aim | verdict | A/A |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        if row.trouble:
            lines.append("| %s | | | | | not measured: %s | |" % (row.name, row.trouble.replace("\n", " ").replace("|", "/")))
            continue
        for g in row.goals:
            values = value_of(row, g)
            who = " / ".join(x for x in (g.who, g.peer) if x)
            lines.append("| %s | %s | %s | %s | %s | %s | %s |" % (
                row.name, who, spread(values, 2 if max(values) < 100 else 0), limit(g.must), limit(g.aim), verdict(row, g),
                "" if row.noise() is None else "%.2f" % row.noise()))
    return lines


def details(rows):
    lines = []
    for row in rows:
        if row.trouble:
            continue
        rounds = max(map(len, row.samples.values()))
        lines += ["", "## %s %s" % (row.name, row.title), "", *(["%d rounds." % rounds, ""] if row.control else []), "| server | min / median / max %s |" % row.unit, "|---|---|"]
        for name, values in row.samples.items():
            if values and "/" not in name:
                lines.append("| %s | %s |" % (name, spread(values, 1 if max(values) < 1000 else 0)))
        if row.remark:
            lines += ["", row.remark[0].upper() + row.remark[1:] + "."]
        missed = [g for g in row.goals if g.must is not None and statistics.median(value_of(row, g)) > g.must]
        if missed and row.name in WHY:
            lines += ["", "Why the must is missed: " + WHY[row.name]]
    return lines


def page(a, rows):
    return "\n".join(head(a) + goals_table(rows) + details(rows)) + "\n"
