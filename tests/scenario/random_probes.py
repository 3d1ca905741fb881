"""What a running gateway shows of itself: its sockets, its status, and the answers of every listener to a set of questions."""
import json
import os
import re
import socket
import ssl

from h2peers import PREFACE, SETTINGS, H2Client, H2Upstream, frame
from peers import Closed, H1Client, client_context, reply
from random_site import HOSTS, PLAIN
from weirlib import split

BANNER = b"bytes"
VOLATILE = {"date", "x-request-id", "ratelimit"}  # of an answer; a request's id is looked for in another place
PORT = re.compile(r":\d+$")


# ---- upstreams ----
def said(kind, method, target, headers):
    """What the upstream got, without what differs between two equal processes."""
    rows = [[k.lower(), "id" if k.lower() == "x-request-id" else v] for k, v in headers]
    return json.dumps({"kind": kind, "method": method, "target": target, "headers": rows}).encode()


def places(env, pairs):
    """Endpoints of each kind; those of one kind cannot be told apart."""
    def h1(kind):
        return lambda x: reply(body=said(kind, x.request.method, x.request.target, x.request.headers), headers=[("X-One", "up"), ("x-two", "up"), ("X-Two", "again")])

    def h2(r):
        headers = [(k, "at" if k == ":authority" and PORT.search(v) else v) for k, v in r.headers]
        r.respond(body=said("h2", r.header(":method"), r.path, headers), headers=[("x-one", "up"), ("x-two", "up"), ("x-two", "again")])

    def two(make):
        return [make().address for _ in range(2)]

    def h2_upstream():
        u = H2Upstream(h2)
        env.cleanups.append(u.close)
        return u

    out = {"http": two(lambda: env.upstream(h1("http"))), "tls": two(lambda: env.upstream(h1("tls"), tls=pairs[-1])), "h2": two(h2_upstream),
           "tcp": two(lambda: env.raw_upstream(banner))}
    for kind in out:  # the second one by name too
        out[kind].append("up.test:" + out[kind][1].split(":")[1])
    return out


def banner(sock, number):
    sock.sendall(BANNER)
    while sock.recv(65536):
        pass


# ---- sockets ----
def listening(pid, without):
    """[(address, how many)] of the TCP sockets on which the process listens, but for the status page."""
    mine = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            mine.add(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except OSError:
            pass
    count = {}
    with open("/proc/net/tcp", encoding="ascii") as f:
        for line in f.read().splitlines()[1:]:
            part = line.split()
            if part[3] == "0A" and "socket:[%s]" % part[9] in mine:
                host, port = part[1].split(":")
                address = "%s:%d" % (socket.inet_ntoa(bytes.fromhex(host)[::-1]), int(port, 16))
                if address != without:
                    count[address] = count.get(address, 0) + 1
    return sorted(count.items())


# ---- questions ----
def questions(rnd, site):
    """[(listener, kind, detail)]: what to ask a gateway that runs this site (Site.good())."""
    out = []
    paths = {}
    for spec in site["Route"].values():
        for rule in spec["rules"]:
            for m in rule.get("match", []):
                paths[next(iter(m["path"].values())).replace("{id}", "v").replace("[a-z]+", "abc")] = spec.get("hosts", ["a.test"])
    for g, spec in sorted(site["Gateway"].items()):
        for n, row in sorted(spec["listeners"].items()):
            name = "%s/%s" % (g, n)
            sni = [host_of(rnd, h) for h in rnd.sample(HOSTS, 2)] + ["a.test"]
            if row["protocol"] not in PLAIN:
                out += [(name, row["protocol"] if "certificates" in row.get("tls", {"certificates": 1}) else "pass", s) for s in sni]
                continue
            for path in rnd.sample(sorted(paths), min(len(paths), 7)) + ["/none"]:
                host = host_of(rnd, rnd.choice(paths.get(path, HOSTS)))
                headers = [h for h in (("x-probe", "1"), ("X-Fault", "1"), ("X-One", "mine"), ("x-one", "again"), ("X-Forwarded-For", "192.0.2.1")) if rnd.random() < 0.5]
                headers += rnd.choice([[], [], [], [("x-many", str(i)) for i in range(9)], [("x-long", "v" * 1500)]])
                ask = {"method": rnd.choice(["GET", "GET", "POST"]), "target": path + rnd.choice(["", "/x", "?q=1"]), "host": host, "headers": headers}
                if ask["method"] == "POST":
                    ask["body"] = b"x" * rnd.choice([0, 7])
                ask["h2"] = row["protocol"] if row.get("http2", True) and rnd.random() < 0.4 else None
                out.append((name, row["protocol"], ask))
    return out


def host_of(rnd, pattern):
    return rnd.choice(["z", "y.z"]) + pattern[1:] if pattern[0] == "*" else pattern


def http_answer(c, ask):
    if ask["h2"]:
        headers = [(k.lower(), v) for k, v in ask["headers"]]
        r = c.ask(ask["method"], ask["target"], headers, body=ask.get("body") or None, authority=ask["host"], scheme=ask["h2"])
        if r.reset is not None:
            return "reset %d" % r.reset, []
    else:
        r = c.ask(**{k: v for k, v in ask.items() if k != "h2"})
    rows = [(k.lower(), v) for k, v in r.headers]
    names = [k for k, _ in rows]
    body = r.body.decode()
    if "problem+json" in (r.header("content-type") or ""):
        problem = json.loads(body)
        same_id = problem.pop("request_id", "") == (r.header("x-request-id") or "")
        body = (problem, same_id)
        rows = [(k, v) for k, v in rows if k != "content-length"]
    return r.status, sorted((k, v) for k, v in rows if k not in VOLATILE), "x-request-id" in names, "ratelimit" in names, body


def hello(name):
    """A ClientHello as bytes."""
    out = ssl.MemoryBIO()
    try:
        client_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def bytes_answer(sock):
    try:
        sock.settimeout(15)
        return sock.recv(len(BANNER))
    except (ConnectionError, ssl.SSLError) as e:
        return type(e).__name__


class Prober:
    """Asks one process; connections of a listener are kept, as clients do."""

    def __init__(self, w, pair):
        self.w, self.pair, self.kept = w, pair, {}

    def connect(self, address, kind, ask):
        tls = client_context(pair=self.pair, alpn=["h2" if ask["h2"] else "http/1.1"]) if kind == "https" else None
        return (H2Client if ask["h2"] else H1Client)(address, tls, ask["host"])

    def http(self, address, kind, ask):
        key = (address, kind, ask["host"], ask["h2"])
        for again in (True, False):
            c = self.kept.get(key)
            fresh = c is None
            try:
                if fresh:
                    c = self.kept[key] = self.connect(address, kind, ask)
                r = http_answer(c, ask)
                if not ask["h2"] and (r[0] in (400, 413, 431) or dict(r[1]).get("connection") == "close"):
                    self.kept.pop(key).close()
                return r
            except (OSError, Closed) as e:
                old = self.kept.pop(key, None)
                if old:
                    old.close()
                if fresh or not again:
                    return type(e).__name__
        return None

    def tls(self, address, host):
        """(certificate, version, ALPN) or what went wrong, once with all that a client has, once with little."""
        out = []
        for context in (client_context(pair=self.pair, alpn=["h2", "http/1.1"]), client_context(maximum=ssl.TLSVersion.TLSv1_2)):
            try:
                with socket.create_connection(address, 15) as raw, context.wrap_socket(raw, server_hostname=host) as s:
                    out.append((s.getpeercert(binary_form=True), s.version(), s.selected_alpn_protocol()))
            except OSError as e:
                out.append(getattr(e, "reason", None) or type(e).__name__)
        return out

    def prior_knowledge(self, address):
        """What answers the beginning of an HTTP/2 connection: a SETTINGS frame, or HTTP/1."""
        with socket.create_connection(address, 15) as s:
            s.sendall(PREFACE + frame(SETTINGS))
            data = s.recv(9, socket.MSG_WAITALL)
            return "HTTP/2" if len(data) == 9 and data[3] == SETTINGS else data

    def raw(self, address, kind, host):
        with socket.create_connection(address, 15) as s:
            if kind == "pass":
                s.sendall(hello(host))
            if kind != "tls":
                return bytes_answer(s)
            try:
                with client_context(pair=self.pair).wrap_socket(s, server_hostname=host) as t:
                    return bytes_answer(t)
            except OSError as e:
                return getattr(e, "reason", None) or type(e).__name__

    def answers(self, asked):
        out, seen = [], set()
        addresses = {row["name"]: split(row["address"]) for row in self.w.status()["listeners"]}
        there = {(addresses[name], kind) for name, kind, _ in asked}
        for key in [k for k in self.kept if k[:2] not in there]:  # a listener that went tells its clients so
            self.kept.pop(key).close()
        for name, kind, detail in asked:
            if kind not in PLAIN:
                out.append((name, kind, detail, self.raw(addresses[name], kind, detail)))
                continue
            if kind == "https" and (name, detail["host"]) not in seen:
                seen.add((name, detail["host"]))
                out.append((name, kind, detail["host"], self.tls(addresses[name], detail["host"])))
            out.append((name, kind, detail, self.http(addresses[name], kind, detail)))
            if kind == "http" and name not in seen:
                seen.add(name)
                out.append((name, "prior knowledge", "", self.prior_knowledge(addresses[name])))
        return out

    def close(self):
        for c in self.kept.values():
            c.close()
