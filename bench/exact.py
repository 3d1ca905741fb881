#!/usr/bin/python3
"""What has no noise: system calls and user instructions per request, bytes per idle connection, memory a route. Each row has its
limit; the exit code is that of a gate. `--only ROW` takes the rows whose name contains ROW."""
import argparse
import os
import re
import sys
import time

import lab as L

WEB_ROUTE = """---
apiVersion: weir/v1
kind: Route
metadata: {name: web}
spec:
  attach: [{gateway: edge, listener: web}, {gateway: edge, listener: tls}]
  rules: [{match: [{path: {prefix: /}}], to: [{service: u}]}]
"""
LOADS = {"h1": ["--h1", "-c16", "-m1"], "tls": ["--h1", "-c16", "-m1"], "h2": ["-c8", "-m16"], "grpc": ["-c8", "-m16"]}
IDLE = 4000


class Site:
    """A backend and Weir in front of it."""

    def __init__(self, lab, wrap=()):
        self.lab = lab
        self.ports = dict(zip(("backend", "backend_h2", "h1", "tls", "grpc"), [lab.port() for _ in range(5)]))
        p = self.ports
        p["h2"] = p["h1"]
        conf = lab.write("backend.conf", L.templated("backend.conf", DIR=lab.folder, NOFILE=lab.nofile, BACKEND=p["backend"],
                                                     BACKEND_H2=p["backend_h2"], BODY=L.BODY))
        doc = lab.write("weir.yaml", L.templated("weir.yaml", WEB=p["h1"], TLS=p["tls"], GRPC=p["grpc"], LOG="{mode: off}", ID="false",
                                                 CERT=lab.cert, KEY=lab.key, BACKEND=p["backend"], BACKEND_H2=p["backend_h2"], ROUTES=WEB_ROUTE))
        self.backend = lab.start(["nginx", "-c", conf, "-p", lab.folder], "backend", fifo=False)
        self.weir = lab.start([*wrap, lab.binary, "up", "--workers", "1", "--status", "127.0.0.1:0", doc], "weir", fifo=False)
        L.until(self.answers, "weir to answer; its log: " + self.weir.log_path, 60)

    def answers(self):
        if self.weir.poll() is not None:
            with open(self.weir.log_path, encoding="utf-8") as f:
                raise L.Trouble("weir ended: " + f.read()[-500:])
        try:
            return L.get_once(self.ports["h1"]) == 200
        except OSError:
            return False

    def load(self, kind, n):
        args = list(LOADS[kind])
        if kind == "grpc":
            args += ["-d", self.lab.write("message", "x" * 128), "-H", "content-type: application/grpc", "-H", "te: trailers"]
        L.h2load(self.lab, self.ports[kind], *args, tls=kind == "tls", requests=n, fifo=False)

    def stop(self):
        self.lab.stop(self.weir, 20)
        self.lab.stop(self.backend)


def instructions(binary, kind):
    """(I2 - I1) / (n2 - n1) of two runs under callgrind: what starting costs cancels out."""
    totals, counts = [], (1000, 5000)
    for n in counts:
        with L.Lab(binary, fifo=False) as lab:
            out = lab.path("callgrind")
            site = Site(lab, ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out])
            site.load(kind, n)
            site.stop()
            with open(out, encoding="utf-8", errors="replace") as f:
                totals.append(int(re.search(r"^summary: (\d+)", f.read(), re.M).group(1)))
    return (totals[1] - totals[0]) / (counts[1] - counts[0])


def worker_thread(pid):
    """The thread that proxies: the one of the first worker."""
    for t in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/comm" % (pid, t), encoding="ascii") as f:
            if f.read().strip() not in ("weir", "weir-log"):
                return int(t)
    raise L.Trouble("no worker thread in %d" % pid)


def system_calls(binary, kind):
    n = 4000
    with L.Lab(binary, fifo=False) as lab:
        site = Site(lab)
        site.load(kind, 500)  # connections to the backend are made
        counted = lab.path("strace")
        tracer = lab.start(["strace", "-c", "-o", counted, "-p", str(worker_thread(site.weir.pid))], "strace", fifo=False)
        L.until(lambda: "attached" in open(tracer.log_path, encoding="utf-8").read(), "strace to attach")
        site.load(kind, n)
        tracer.send_signal(2)
        tracer.wait(20)
        with open(counted, encoding="utf-8") as f:
            total = int(re.search(r"\s(\d+)\s+(?:\d+\s+)?total$", f.read(), re.M).group(1))
        return total / n


def idle_bytes(binary, tls):
    with L.Lab(binary, fifo=False) as lab:
        site = Site(lab)
        port, held = site.ports["tls" if tls else "h1"], []

        def hold(n):
            for _ in range(n):
                s = L.connect(port, tls)
                L.request_on(s)
                held.append(s)
        hold(200)  # pools and arenas reach their working size
        before = L.pss(site.weir.pid)
        hold(IDLE)
        time.sleep(1.5)  # memory is given back by a timer
        after = L.pss(site.weir.pid)
        for s in held:
            s.close()
        return (after - before) / IDLE


ROWS = [
    ("P3 user instructions per h1 request", 9000, lambda b: instructions(b, "h1")),
    ("P4 system calls per h1 request", 4.3, lambda b: system_calls(b, "h1")),
    ("P5 system calls per request over TLS", 4.4, lambda b: system_calls(b, "tls")),
    ("P7 system calls per request, h2 to h1", 2.4, lambda b: system_calls(b, "h2")),
    ("P8 system calls per request, h2 to h2", None, lambda b: system_calls(b, "grpc")),
    ("P14 bytes of an idle h1 connection", 530, lambda b: idle_bytes(b, False)),
    ("P15 bytes of an idle TLS connection", 15400, lambda b: idle_bytes(b, True)),
]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--only", default="")
    p.add_argument("--binary", default=os.path.join(L.ROOT, "weir"))
    a = p.parse_args()
    passed = failed = 0
    for name, limit, measure in ROWS:
        if a.only.lower() not in name.lower():
            continue
        try:
            value = measure(a.binary)
            good = limit is None or value <= limit
            note = "%10.2f  %s" % (value, "limit %g" % limit if limit else "no limit")
        except (L.Trouble, OSError) as e:
            good, note = False, "not measured: %s" % e
        passed, failed = passed + good, failed + (not good)
        print("%-4s %-42s %s" % ("ok" if good else "FAIL", name, note), flush=True)
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
