#!/usr/bin/python3
"""Weir beside its peers, by the FIFO method: one worker each; proxy, backend and load generator on one CPU under SCHED_FIFO; rounds
interleaved; proxy CPU time per request; ratios taken inside a round; a second Weir as A/A control. Without --only it writes
bench/results.md."""
import argparse
import contextlib
import os
import statistics
import sys
import time

import exact
import lab as L
import report
import sites


class Goal:
    """A limit: of Weir against a peer, or of Weir alone (peer None)."""

    def __init__(self, peer=None, must=None, aim=None, who="weir"):
        self.peer, self.must, self.aim, self.who = peer, must, aim, who


class Row:
    """One table of the report: what each server took in each round. `control` are the two identical servers."""

    def __init__(self, name, title, unit, goals, control=("weir", "weir again")):
        self.name, self.title, self.unit, self.goals, self.control = name, title, unit, goals, control
        self.samples, self.trouble, self.remark, self.fifo = {}, None, "", L.fifo_allowed()

    def add(self, server, value):
        self.samples.setdefault(server, []).append(value)

    def ratios(self, over, under):
        return [a / b for a, b in zip(self.samples[over], self.samples[under])]

    def noise(self):
        """Median of the A/A control; None where there is nothing random to control."""
        return statistics.median(self.ratios(self.control[1], self.control[0])) if self.control else None


class Progress:
    def __init__(self):
        self.live = sys.stderr.isatty()

    def show(self, text):
        if self.live:
            sys.stderr.write("\r\033[K" + text)
            sys.stderr.flush()

    def done(self, text):
        self.show("")
        print(text, flush=True)


PROGRESS = Progress()


PATIENCE = 4  # times the rounds asked for, at most


def interleaved(row, names, rounds, measure):
    """A B C, C B A, ... after one uncounted turn of each. As long as the two identical servers differ, there is more noise than so many
    rounds average out: more follow, and all of them count. What the others took has no say in that."""
    row.samples = {name: [] for name in names}
    for n in range(rounds * PATIENCE + 1):
        if n > rounds and (n - 1) % rounds == 0 and not report.noisy(row):
            break
        for name in names if n % 2 == 0 else reversed(names):
            PROGRESS.show("%s %s: round %d of %d, %s" % (row.name, row.title, n, rounds, name))
            value = measure(name)
            if n:
                row.add(name, value)
    return row


def cpu_per_request(lab, server, load, seconds):
    before = L.cpu_seconds(server.pid())
    n = load(lab, server, seconds)
    return (L.cpu_seconds(server.pid()) - before) / n * 1e6


# ---- families: each starts its servers once and yields its rows ----
TRAFFIC = [
    ("P1", "HTTP/1.1 keep-alive, 1 KiB, 64 connections", sites.load_h1, ("nginx", "haproxy", "h2o"),
     [Goal("nginx", 0.90, 0.82), Goal("haproxy", 0.80)]),
    ("P5", "TLS 1.3 keep-alive, HTTP/1.1, 64 connections", sites.load_tls, ("nginx", "haproxy", "h2o"), [Goal("nginx", 0.90, 0.82)]),
    ("P6", "TLS 1.3 full handshake, one request, close", sites.load_handshakes, ("nginx", "haproxy", "h2o"), [Goal("nginx", 0.95, 0.85)]),
    ("P7", "HTTP/2 in clear to HTTP/1.1, 8 connections of 16 streams", sites.load_h2, ("nginx", "haproxy", "h2o"),
     [Goal("haproxy", 1.00), Goal("h2o", None, 0.90)]),
    ("P8", "gRPC-like: HTTP/2 in clear to the same, 8 connections of 16 streams", sites.load_grpc, ("nginx", "haproxy"),
     [Goal("haproxy", 1.10, 0.90)]),
]


def traffic(o, wanted):
    rows = [r for r in TRAFFIC if r[0] in wanted]
    if not rows:
        return
    with L.Lab(o.binary) as lab:
        back = sites.backend(lab)
        servers = {"weir": sites.weir(lab, back), "weir again": sites.weir(lab, back, "weir-again"), "nginx": sites.nginx(lab, back),
                   "haproxy": sites.haproxy(lab, back), "h2o": sites.h2o(lab, back)}
        for s in servers.values():
            s.up()
        for name, title, load, peers, goals in rows:
            row = Row(name, title, "µs of CPU per request" if name != "P6" else "µs of CPU per connection", goals)
            measure = lambda n, load=load: cpu_per_request(lab, servers[n], load, o.seconds)
            yield row, lambda row=row, measure=measure, peers=peers: interleaved(row, ["weir", *peers, "weir again"], o.rounds, measure)


def extras(o, wanted):
    if "COST" not in wanted:
        return
    with L.Lab(o.binary) as lab:
        back = sites.backend(lab)
        servers = {"weir": sites.weir(lab, back).up(), "with logs": sites.weir(lab, back, "weir-logs", logs=True).up(),
                   "weir again": sites.weir(lab, back, "weir-again").up()}
        row = Row("COST", "Access log to a file and request id on, against off (metrics are on in both)", "µs of CPU per request",
                  [Goal("weir", who="with logs")])
        yield row, lambda: interleaved(row, list(servers), o.rounds,
                                       lambda n: cpu_per_request(lab, servers[n], sites.load_h1, o.seconds))


def starts(row, servers, rounds, where):
    def measure(name):
        try:
            return sites.first_answer(servers[name], *where)
        finally:
            servers[name].kill()
    return interleaved(row, list(servers), rounds, measure)


def start_up(o, wanted):
    if not {"P18", "P19"} & wanted:
        return
    with L.Lab(o.binary) as lab:
        lab.watch_closely()
        back = sites.backend(lab)
        one, unit = sites.weir_one_route(), "ms from exec to the first proxied 200"
        if "P18" in wanted:
            row = Row("P18", "Start with one route", unit, [Goal("nginx", 0.5), Goal(aim=5)])
            servers = {"weir": sites.weir_from_yaml(lab, back, "weir", one), "weir from a snapshot": sites.weir_from_snapshot(lab, back, "weir-s", one),
                       "nginx": sites.nginx_routes(lab, back, "nginx-1", False), "haproxy": sites.haproxy_routes(lab, back, "haproxy-1", False),
                       "h2o": sites.h2o(lab, back), "weir again": sites.weir_from_yaml(lab, back, "weir-again", one)}
            yield row, lambda: starts(row, servers, o.rounds, sites.FIRST)
        if "P19" in wanted:
            big = sites.weir_routes()
            row19 = Row("P19", "Start with 100,000 routes (1,000 hosts of 100 rules)", unit,
                        [Goal(None, 1000, 600, "weir from YAML"), Goal("haproxy", 1.0, 0.5, "weir from a snapshot")],
                        ("weir from a snapshot", "weir from a snapshot again"))
            many = {"weir from a snapshot": sites.weir_from_snapshot(lab, back, "weir-snapshot", big),
                    "weir from YAML": sites.weir_from_yaml(lab, back, "weir-yaml", big),
                    "nginx": sites.nginx_routes(lab, back, "nginx-n", True), "haproxy": sites.haproxy_routes(lab, back, "haproxy-n", True),
                    "weir from a snapshot again": sites.weir_from_snapshot(lab, back, "weir-snapshot-again", big)}
            yield row19, lambda: starts(row19, many, o.rounds, sites.LAST)


SWAP = "peak of the process while swapping / before"


def memory(o, wanted):
    if "P20" not in wanted:
        return
    with L.Lab(o.binary, pinned=False, fifo=False) as lab:
        row = Row("P20", "Memory of 100,000 routes: resident, beyond the same process with one route", "bytes a route",
                  [Goal(None, 340, 240), Goal(None, 1.5, who=SWAP)], control=None)

        def measure():
            back = sites.backend(lab)
            found = exact.route_memory(lab, back)
            row.add("weir", found["a route"])
            row.add(SWAP, found["swap"])
            row.remark = found["note"]
            for name, make in (("nginx", sites.nginx_routes), ("haproxy", sites.haproxy_routes)):
                sizes = []
                for many in (False, True):
                    server = make(lab, back, "%s-%d" % (name, many), many).start()
                    L.until(lambda s=server: s.answers(*sites.LAST), name + " to answer", 60)
                    sizes.append(L.settled(lambda s=server: L.pss(s.pid())))
                    server.kill()
                row.add(name, (sizes[1] - sizes[0]) / (sites.HOSTS * sites.RULES - 1))
        yield row, measure


def lookup(o, wanted):
    if "P21" not in wanted:
        return
    with L.Lab(o.binary) as lab:
        back = sites.backend(lab)
        one = sites.weir_one_route()
        servers = {"weir": sites.weir_from_snapshot(lab, back, "weir-1", one), "100,000 routes": sites.weir_from_snapshot(lab, back, "weir-n", sites.weir_routes()),
                   "weir again": sites.weir_from_snapshot(lab, back, "weir-1-again", one)}
        for s in servers.values():
            s.start()
            L.until(lambda s=s: s.answers(*sites.LAST), "%s to answer" % s.name, 60)
        row = Row("P21", "100,000 routes against 1, the same requests spread over %s of them" % format(sites.SPREAD, ","), "µs of CPU per request",
                  [Goal("weir", 1.10, 1.05, "100,000 routes")])
        yield row, lambda: interleaved(row, list(servers), o.rounds, lambda n: cpu_per_request(lab, servers[n], sites.load_routes, o.seconds))


FAMILIES = (traffic, start_up, memory, lookup, extras)
NAMES = ["P1", "P5", "P6", "P7", "P8", "P18", "P19", "P20", "P21", "COST"]


def measure_all(o, wanted):
    rows = []
    for family in FAMILIES:
        try:
            with contextlib.closing(family(o, wanted)) as found:
                for row, run in found:
                    began = time.monotonic()
                    try:
                        run()
                    except (L.Trouble, OSError) as e:
                        row.trouble = str(e)
                    rows.append(row)
                    PROGRESS.done(report.brief(row) + "   (%.0f s)" % (time.monotonic() - began))
        except (L.Trouble, OSError) as e:
            rows.append(Row(family.__name__, "could not be set up", "", []))
            rows[-1].trouble = str(e)
            PROGRESS.done(report.brief(rows[-1]))
    return rows


def options():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--only", default="", help="rows, as P1,P5")
    p.add_argument("--rounds", type=int, default=15)
    p.add_argument("--seconds", type=int, default=1)
    p.add_argument("--binary", default=os.path.join(L.ROOT, "weir"))
    p.add_argument("--output", help="where the report goes (bench/results.md; with --only nowhere)")
    o = p.parse_args()
    wanted = {x.strip().upper() for x in o.only.split(",") if x.strip()} or set(NAMES)
    if wanted - set(NAMES) or o.rounds < 1 or not 1 <= o.seconds <= 60:
        p.error("rows are %s; rounds at least 1; seconds 1 to 60" % ", ".join(NAMES))
    if not o.output and not o.only:
        o.output = os.path.join(L.HERE, "results.md")
    return o, wanted


def main():
    L.end_in_order()
    o, wanted = options()
    about = report.about(o)
    rows = measure_all(o, wanted)
    if o.output:
        with open(o.output, "w", encoding="utf-8") as f:
            f.write(report.page(about, rows))
        print("written: " + os.path.relpath(o.output))
    bad = [r.name for r in rows if r.trouble]
    if bad:
        print("not measured: " + ", ".join(bad))
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
