#!/usr/bin/python3
"""What has no noise: system calls and user instructions per request, bytes per idle connection, memory a route. Each row has the limit
of the project's goals; the exit code is that of a gate. `--only P3,P14` takes these rows, `--list` names them."""
import argparse
import collections
import os
import re
import sys

import lab as L
import sites

LOADS = {"h1": ["--h1", "-c16", "-m1"], "tls": ["--h1", "-c16", "-m1"], "h2": ["-c8", "-m16"], "grpc": ["-c8", "-m16"]}
FEW, MANY = 1000, 5000  # what connecting and starting costs cancels out in the difference
# Every wait of the traced process is held for so many microseconds: then all connections have something to say when it returns, and how
# many waits a request takes is a property of the program, not of who got a CPU first. The other calls do not depend on time at all.
HOLD = 3000


class Site:
    """A backend and Weir in front of it, on any CPU, under the ordinary scheduler."""

    def __init__(self, lab, wrap=()):
        self.lab = lab
        self.backend = sites.backend(lab)
        self.weir = sites.weir(lab, self.backend, wrap=wrap).up()

    def load(self, kind, n):
        args = LOADS[kind] + (sites.grpc_args(self.lab) if kind == "grpc" else [])
        port = self.weir.ports[kind]
        L.h2load(self.lab, port, *args, tls=kind == "tls", requests=n)
        L.until(lambda: L.open_connections(port) == 0, "the end of all connections", 60)


def instructions(binary, kind):
    """User instructions of the whole process: (I2 - I1) / (n2 - n1) of two runs under callgrind."""
    totals = []
    for n in (FEW, MANY):
        with L.Lab(binary, pinned=False, fifo=False) as lab:
            out = lab.path("callgrind")
            site = Site(lab, ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out])
            site.load(kind, n)
            site.weir.stop(40)
            with open(out, encoding="utf-8", errors="replace") as f:
                totals.append(int(re.search(r"^summary: (\d+)", f.read(), re.M).group(1)))
    return (totals[1] - totals[0]) / (MANY - FEW), ""


def worker_trace(lab):
    """The trace of the thread that proxies; the main thread's (status, timers) and the log writer's are other files."""
    for name in os.listdir(lab.folder):
        if name.startswith("trace."):
            with open("/proc/%s/comm" % name[6:], encoding="ascii") as f:
                if f.read().startswith("worker-"):
                    return lab.path(name)
    raise L.Trouble("no trace of a worker")


def counted(trace):
    with open(trace, encoding="utf-8", errors="replace") as f:
        return collections.Counter(m.group(1) for m in map(re.compile(r"(\w+)\(").match, f) if m)


def system_calls(binary, kind):
    with L.Lab(binary, pinned=False, fifo=False) as lab:
        site = Site(lab, ["strace", "-ff", "-qq", "-e", "signal=none", "-o", lab.path("trace"),
                          "-e", "inject=epoll_wait,epoll_pwait,epoll_pwait2:delay_enter=%d" % HOLD])
        trace = worker_trace(lab)
        site.load(kind, FEW)  # connections to the backend are made
        marks = [counted(trace)]
        for n in (FEW, MANY):
            site.load(kind, n)
            marks.append(counted(trace))
        calls = {k: (marks[2][k] - 2 * marks[1][k] + marks[0][k]) / (MANY - FEW) for k in marks[2]}
        parts = sorted(((v, k) for k, v in calls.items() if v >= 0.005), reverse=True)
        return sum(calls.values()), ", ".join("%s %.2f" % (k, v) for v, k in parts)


def idle_bytes(binary, tls):
    """Anonymous memory of the process: it does not depend on who else maps the same libraries."""
    n = 1500 if tls else 4000
    with L.Lab(binary, pinned=False, fifo=False) as lab:
        site, held = Site(lab), []
        port = site.weir.ports["tls" if tls else "h1"]

        def hold(count):
            for _ in range(count):
                s = L.connect(port, tls, 60)
                L.request_on(s)
                held.append(s)
            return L.settled(lambda: L.anonymous(site.weir.pid()))
        before = hold(200)  # pools and arenas reach their working size
        after = hold(n)
        for s in held:
            s.close()
        return (after - before) / n, "over %d connections" % n


def route_memory(lab, back):
    """Bytes a route of `weir proxy --snapshot` (resident, beyond the same process with one route), and the peak of the process while other
    routes are swapped in, over what it was before. The note has the same without the size of the program, which hides nothing."""
    one = sites.weir_from_snapshot(lab, back, "weir-one", sites.weir_one_route()).up()
    base = L.settled(lambda: L.rss(one.pid()))
    one.kill()
    many = sites.weir_from_snapshot(lab, back, "weir-many", sites.weir_routes())
    many.start()
    L.until(lambda: many.answers(*sites.LAST), "100,000 routes", 90)
    before = L.settled(lambda: L.rss(many.pid()))
    L.reset_peak(many.pid())
    sites.swap_routes(many, back, sites.weir_routes(changed=True))
    if not many.answers(sites.FIRST[0], sites.CHANGED):
        raise L.Trouble("the swapped route does not answer")
    peak = L.peak(many.pid())
    many.kill()
    return {"a route": (before - base) / (sites.HOSTS * sites.RULES - 1), "swap": peak / before,
            "note": "process %.1f MB, with one route %.1f MB, peak %.1f MB; of the routes alone %.2f times"
                    % (before / 1e6, base / 1e6, peak / 1e6, (peak - base) / (before - base))}


class Routes:
    """Measured once for two rows."""
    found = None

    @classmethod
    def get(cls, binary, what):
        if cls.found is None:
            with L.Lab(binary, pinned=False, fifo=False) as lab:
                cls.found = route_memory(lab, sites.backend(lab))
        return cls.found[what], cls.found["note"]


ROWS = [
    ("P3", "user instructions per h1 request", 9000, 6000, lambda b: instructions(b, "h1")),
    ("P4", "system calls per h1 request, c16", 4.3, 4.2, lambda b: system_calls(b, "h1")),
    ("P5s", "system calls per h1 request over TLS, c16", 4.4, None, lambda b: system_calls(b, "tls")),
    ("P7s", "system calls per request, h2 to h1, m16", 2.4, None, lambda b: system_calls(b, "h2")),
    ("P8s", "system calls per request, gRPC, m16", None, 0.8, lambda b: system_calls(b, "grpc")),
    ("P14", "bytes of an idle h1 connection", 530, 256, lambda b: idle_bytes(b, False)),
    ("P15", "bytes of an idle TLS connection", 15400, 13900, lambda b: idle_bytes(b, True)),
    ("P20", "bytes a route, 100,000 from a snapshot", 340, 240, lambda b: Routes.get(b, "a route")),
    ("P20s", "memory while swapping them, times", 1.5, None, lambda b: Routes.get(b, "swap")),
]


def chosen(only, row):
    """P5 means P5s too."""
    return not only or row.lower() in only or row.lower().rstrip("s") in only


def main():
    L.end_in_order()
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--only", default="")
    p.add_argument("--binary", default=os.path.join(L.ROOT, "weir"))
    p.add_argument("--list", action="store_true")
    a = p.parse_args()
    if a.list:
        print("\n".join("%-5s %s" % row[:2] for row in ROWS))
        return
    only = [x.strip().lower() for x in a.only.split(",") if x.strip()]
    passed = failed = 0
    for row, name, must, aim, measure in ROWS:
        if not chosen(only, row):
            continue
        try:
            value, note = measure(a.binary)
            good = must is None or value <= must
            limits = "must <= %-6s aim %-6s" % (must or "-", aim or "-")
            text = "%9.2f  %s  %s" % (value, limits, note)
        except (L.Trouble, OSError, AttributeError) as e:
            good, text = False, "not measured: %s" % e
        passed, failed = passed + good, failed + (not good)
        print("%-4s %-5s %-42s %s" % ("ok" if good else "FAIL", row, name, text), flush=True)
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(failed > 0 or passed == 0)


if __name__ == "__main__":
    main()
