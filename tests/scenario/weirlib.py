"""What a scenario works with: documents, the weir process, certificates, waiting for conditions. Peers are in peers.py and h2peers.py."""
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import yaml

from peers import H1Client, Upstream, RawUpstream, server_context

WAIT = 15.0  # bound of every wait that is expected to end at once
WATCHDOG = "30s"  # sanitizers make a turn many times as long
ALARMS = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|UndefinedBehavior|\balert\b|internal error at|Assertion|stack smashing")


def until(condition, what="condition", limit=WAIT):
    """Waits until condition() is true (and returns its value); an AssertionError after the limit."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited %g s for: %s" % (limit, what() if callable(what) else what))
        time.sleep(0.005)


def same(got, want, what=""):
    if got != want:
        raise AssertionError("%s\n  got  %r\n  want %r" % (what, got, want))


# ---- documents ----
def obj(kind, name, spec):
    return {"apiVersion": "weir/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def listener(name="web", protocol="http", address="127.0.0.1:0", **more):
    return dict({"name": name, "address": address, "protocol": protocol}, **more)


def gateway(*listeners, name="edge", **more):
    return obj("Gateway", name, dict({"listeners": list(listeners) or [listener()]}, **more))


def service(name, *endpoints, protocol="http", **more):
    rows = [e if isinstance(e, dict) else e if isinstance(e, str) else e.address for e in endpoints]
    return obj("Service", name, dict({"protocol": protocol, "endpoints": rows}, **more))


def rule(*services, path=None, match=None, **more):
    """One rule: rule("shop"), rule(("a", 90), ("b", 10), path={"prefix": "/x"}), rule(reply={...})."""
    r = dict(more)
    if path is not None:
        r["match"] = [{"path": path}]
    if match is not None:
        r["match"] = match if isinstance(match, list) else [match]
    if services:
        r["to"] = [{"service": s} if isinstance(s, str) else {"service": s[0], "weight": s[1]} for s in services]
    return r


def route(name, *rules, hosts=None, attach=None, **more):
    spec = {"attach": attach or [{"gateway": "edge"}]}
    if hosts:
        spec["hosts"] = hosts
    return obj("Route", name, dict(spec, rules=list(rules), **more))


def policy(name, target, **sections):
    return obj("Policy", name, dict({"target": target}, **sections))


def edge_policy(**sections):
    return policy("edge-policy", {"gateway": "edge"}, **sections)


def secret(name, cert=None, ca=None):
    if ca:
        return obj("Secret", name, {"ca": {"file": ca.cert}})
    return obj("Secret", name, {"tls": {"certificateFile": cert.cert, "keyFile": cert.key}})


def simple(*endpoints, protocol="http", gw=None, rules=None, more=()):
    """One gateway, one service "shop", one route to it, and what more holds."""
    return [gw or gateway(), service("shop", *endpoints, protocol=protocol), route("shop", *(rules or [rule("shop")]))] + list(more)


def text_of(documents):
    return documents if isinstance(documents, str) else yaml.safe_dump_all(documents, sort_keys=False)


# ---- certificates ----
class Pair:
    def __init__(self, cert, key):
        self.cert, self.key = cert, key


class Authority:
    """A certificate authority made with the openssl command."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.cert, self.key = os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key")
        self.run("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name, "-days", "30",
                 "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                 "-keyout", self.key, "-out", self.cert)

    def run(self, *args):
        subprocess.run(["openssl", "req", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def issue(self, *names, cn=None):
        """A leaf for these host names and addresses; chain and key in two files."""
        base = os.path.join(self.folder, "%s-%s" % (self.name, re.sub(r"[^a-z0-9.-]", "_", (cn or names[0]).lower())))
        san = ",".join(("IP:" if re.fullmatch(r"[0-9.]+|[0-9a-f:]+", n) else "URI:" if "://" in n else "DNS:") + n for n in names)
        self.run("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + (cn or names[0]), "-days", "20",
                 "-CA", self.cert, "-CAkey", self.key, "-addext", "subjectAltName=" + san, "-addext", "basicConstraints=critical,CA:FALSE",
                 "-addext", "keyUsage=critical,digitalSignature", "-addext", "extendedKeyUsage=serverAuth,clientAuth",
                 "-keyout", base + ".key", "-out", base + ".pem")
        return Pair(base + ".pem", base + ".key")


# ---- the process ----
class Weir:
    def __init__(self, env, documents, name="weir", args=(), workers=2, variables=None, start=True, command="up", paths=None):
        self.env, self.name = env, name
        self.file = os.path.join(env.folder, name + ".yaml")
        if documents is not None:
            self.write(documents)
        self.err_path, self.out_path = os.path.join(env.folder, name + ".err"), os.path.join(env.folder, name + ".out")
        self.stopped = False
        self.expect_alerts = False
        sanitizers = {"ASAN_OPTIONS": "detect_leaks=1:exitcode=99:quarantine_size_mb=8", "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99",
                      "TSAN_OPTIONS": "exitcode=99"}
        environ = {**sanitizers, **os.environ, **(variables or {})}
        argv = [env.binary, command, *(paths if paths is not None else [self.file]), "--status", "127.0.0.1:0", "--workers", str(workers), *args]
        if "--watchdog" not in args:
            argv += ["--watchdog", WATCHDOG]
        with open(self.err_path, "wb") as err, open(self.out_path, "wb") as out:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environ, cwd=env.folder)
        env.cleanups.append(self.kill)
        if start:
            self.wait_ready()

    def write(self, documents):
        """Replaces the document file; a reload reads it."""
        temporary = self.file + ".new"
        with open(temporary, "w", encoding="utf-8") as f:
            f.write(text_of(documents))
        os.replace(temporary, self.file)

    # -- its log --
    def stderr(self):
        with open(self.err_path, "rb") as f:
            return f.read().decode("utf-8", "backslashreplace")

    def log(self, msg=None):
        """The JSON lines of stderr, those with this message."""
        rows = []
        for line in self.stderr().splitlines():
            if not line.startswith("{"):
                continue
            try:
                row = json.loads(line)
            except ValueError:
                continue  # the last line, half written
            if msg is None or row.get("msg") == msg:
                rows.append(row)
        return rows

    def access(self, **want):
        """Lines of the access log (standard output) whose fields have these values."""
        with open(self.out_path, "rb") as f:
            lines = f.read().decode("utf-8").split("\n")[:-1]
        rows = [json.loads(line) for line in lines]
        return [r for r in rows if all(r.get(k) == v for k, v in want.items())]

    def wait_access(self, n=1, **want):
        return until(lambda: len(self.access(**want)) >= n and self.access(**want), lambda: "%d access lines with %r, have %r" % (n, want, self.access()))

    # -- being there --
    def alive(self):
        return self.process.poll() is None

    def wait_ready(self):
        until(lambda: not self.alive() or self.log("ready"), lambda: "ready; stderr:\n" + self.stderr())
        if not self.alive():
            raise AssertionError("weir ended with %s before it was ready:\n%s" % (self.process.returncode, self.stderr()))
        address = self.log("ready")[0].get("status") or self.log("status")[0]["address"]
        self.status_address = split(address)
        return self

    def get(self, path, method="GET"):
        c = http.client.HTTPConnection(*self.status_address, timeout=WAIT)
        try:
            c.request(method, path)
            r = c.getresponse()
            return r.status, dict((k.lower(), v) for k, v in r.getheaders()), r.read().decode("utf-8")
        finally:
            c.close()

    def status(self):
        code, _, body = self.get("/status")
        same(code, 200, "/status")
        return json.loads(body)

    def metrics(self):
        """{name{labels}: value}"""
        rows = {}
        for line in self.get("/metrics")[2].splitlines():
            if line and not line.startswith("#"):
                key, value = line.rsplit(" ", 1)
                rows[key] = float(value)
        return rows

    def metric(self, name, **labels):
        """Sum of the series of this name that carry these labels."""
        total = 0
        for key, value in self.metrics().items():
            if key.split("{")[0] == name and all('%s="%s"' % (k, v) in key for k, v in labels.items()):
                total += value
        return total

    def addr(self, name="web"):
        for row in self.status()["listeners"]:
            if row["name"] == name or row["name"].endswith("/" + name):
                return split(row["address"])
        raise AssertionError("no listener %s in %r" % (name, self.status()["listeners"]))

    def endpoints(self, name="shop"):
        for row in self.status()["services"]:
            if row["name"] == name:
                return row["endpoints"]
        raise AssertionError("no service %s" % name)

    def service(self, name="shop"):
        return next(row for row in self.status()["services"] if row["name"] == name)

    def rss(self):
        """Resident memory. ThreadSanitizer keeps several bytes of its own for each of ours."""
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as f:
            n = int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1)) * 1024
        with open("/proc/%d/maps" % self.process.pid, encoding="ascii") as f:
            return n // 6 if "libtsan" in f.read() else n

    def sanitized(self):
        """The heap is a sanitizer's, which keeps what was freed."""
        with open("/proc/%d/maps" % self.process.pid, encoding="ascii") as f:
            return re.search(r"lib[at]san", f.read()) is not None

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    # -- signals --
    def reload(self, documents=None, ok=True):
        """SIGHUP, and waits until it is through."""
        before = self.status()["lastReload"]
        if documents is not None:
            self.write(documents)
        self.process.send_signal(signal.SIGHUP)
        key = "succeeded" if ok else "failed"
        until(lambda: self.status()["lastReload"][key] == before[key] + 1, lambda: "reload %s: %r\n%s" % (key, self.status()["lastReload"], self.stderr()))
        return self.status()["lastReload"]

    def kill(self):
        if self.alive():
            self.process.kill()
        self.process.wait()

    def stop(self, code=0, limit=WAIT):
        """SIGTERM, a clean exit, a quiet log."""
        self.stopped = True
        if not self.alive():
            raise AssertionError("weir ended by itself with %s:\n%s" % (self.process.returncode, self.stderr()[-6000:]))
        self.process.send_signal(signal.SIGTERM)
        try:
            got = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("weir does not end %g s after SIGTERM:\n%s" % (limit, self.stderr()[-6000:]))
        self.check_log()
        same(got, code, "exit code\n" + self.stderr()[-6000:])

    def check_log(self):
        for line in self.stderr().splitlines():
            if ALARMS.search(line):
                raise AssertionError("in the log of weir: " + line + "\n" + self.stderr()[-8000:])


def split(address):
    host, port = address.rsplit(":", 1)
    return host.strip("[]"), int(port)


class Env:
    """A test's folder and everything it started."""

    def __init__(self, folder):
        self.folder = folder
        self.binary = os.environ["WEIR"]
        self.cleanups = []
        self.weirs = []
        self.clients = []
        self.authorities = {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text_of(text))
        return self.path(name)

    # -- weir --
    def weir(self, documents, **more):
        w = Weir(self, documents, name="weir%d" % len(self.weirs) if self.weirs else "weir", **more)
        self.weirs.append(w)
        return w

    def run(self, *args, text=None, variables=None, limit=WAIT):
        """Runs a weir command to its end: (code, stdout, stderr)."""
        r = subprocess.run([self.binary, *args], input=text, stdin=None if text is not None else subprocess.DEVNULL, capture_output=True,
                           cwd=self.folder, env=dict(os.environ, **(variables or {})), timeout=limit)
        out, err = r.stdout.decode("utf-8", "backslashreplace"), r.stderr.decode("utf-8", "backslashreplace")
        if ALARMS.search(err):
            raise AssertionError("weir %s:\n%s" % (" ".join(args), err))
        return r.returncode, out, err

    # -- peers --
    def upstream(self, handler=None, tls=None, **more):
        """An HTTP/1.1 server; see peers.Upstream. tls: a Pair."""
        u = Upstream(handler, server_context(tls.cert, tls.key) if tls else None, **more)
        self.cleanups.append(u.close)
        return u

    def raw_upstream(self, script, tls=None):
        u = RawUpstream(script, server_context(tls.cert, tls.key) if tls else None)
        self.cleanups.append(u.close)
        return u

    def client(self, address, tls=None, sni=None, **more):
        c = H1Client(address, tls, sni, **more)
        self.clients.append(c)
        return c

    def ca(self, name="ca"):
        if name not in self.authorities:
            self.authorities[name] = Authority(self.folder, name)
        return self.authorities[name]

    def thread(self, fn, *args):
        """Runs fn aside; join() gives its value or raises its exception."""
        return Task(fn, args)

    def close(self, failed):
        for c in self.clients:
            c.close()
        try:
            for w in self.weirs:
                if failed:
                    print("---- stderr of %s ----\n%s" % (w.name, w.stderr()[-5000:]))
                elif not w.stopped:
                    w.stop()
        finally:
            for fn in reversed(self.cleanups):
                fn()


class Task(threading.Thread):
    def __init__(self, fn, args):
        super().__init__(daemon=True)
        self.fn, self.args, self.value, self.error = fn, args, None, None
        self.start()

    def run(self):
        try:
            self.value = self.fn(*self.args)
        except BaseException as e:  # handed to join
            self.error = e

    def result(self, limit=WAIT * 2):
        self.join(limit)
        if self.is_alive():
            raise AssertionError("a side task did not end in %g s" % limit)
        if self.error:
            raise self.error
        return self.value


def which(*names):
    return all(shutil.which(n) for n in names)
