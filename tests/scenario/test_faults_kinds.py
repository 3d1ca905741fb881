"""Every system call of io/sys.c failing with every error it may give, and memory running out, while one exchange of each kind is made: HTTP/1,
HTTP/2, both under TLS, a WebSocket, raw TCP; and at a reload. No crash, no wrong byte, no leak; afterwards everything works again.
WEIR_SWEEP=full visits every place up to the last one that is reached; without it a few, so that the whole suite ends in time."""
import os
import signal
import socket

from h2peers import H2Client, H2Upstream
from peers import Closed, H1Client, client_context, reply
from test_faults import GOOD_CODES, Trial, attempt
from test_tcp import echo as echo_bytes
from test_websocket import KEY
from weirlib import gateway, listener, route, rule, same, secret, service, split, until

FULL = os.environ.get("WEIR_SWEEP") == "full"
BODY = b"x" * 3000
ENDS = ("reloaded", "reload failed: nothing changed")


def switch(x):
    """Answers with what it got; after an Upgrade every byte comes back."""
    if x.request.header("upgrade"):
        x.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
        while True:
            data = x.sock.recv(4096)
            if not data:
                return None
            x.sock.sendall(data)
    return reply(body=x.request.body or b"none")


class Site:
    """One gateway with a listener of each kind, and the exchanges with it."""

    def __init__(self, env):
        self.env = env
        pair = env.ca().issue("shop.example")
        up2 = H2Upstream(lambda r: r.respond(body=r.body or b"none"))
        env.cleanups.append(up2.close)
        self.doc = [
            gateway(listener("web"), listener("tls", protocol="https", tls={"certificates": [{"secret": "cert"}]}), listener("raw", protocol="tcp")),
            secret("cert", pair),
            service("shop", env.upstream(switch)), service("two", up2, protocol="h2"), service("bytes", env.raw_upstream(echo_bytes), protocol="tcp"),
            route("shop", rule("two", path={"prefix": "/two"}), rule("shop"), attach=[{"gateway": "edge", "listener": "web"}, {"gateway": "edge", "listener": "tls"}]),
            route("bytes", rule("bytes"), attach=[{"gateway": "edge", "listener": "raw"}])]
        self.tls = client_context(env.ca())
        self.tls2 = client_context(env.ca(), alpn=["h2"])

    def addresses(self, w):
        for _ in range(20):
            try:
                return {row["name"].rsplit("/", 1)[-1]: split(row["address"]) for row in w.status()["listeners"]}
            except (OSError, ValueError, KeyError, AssertionError, Exception):
                if not w.alive():
                    return None
        return None

    def h1(self, a, tls=None, path="/"):
        c = H1Client(a, tls)
        try:
            r = c.ask("POST", path, body=BODY)
            if r.status == 200:
                same(r.body, BODY)
            return r.status
        finally:
            c.close()

    def h2(self, a, tls=None, path="/"):
        c = H2Client(a, tls=tls)
        try:
            s = c.ask("POST", path, body=BODY, scheme="https" if tls else "http")
            if s.reset is not None:
                return None
            if s.status == 200:
                same(s.body, BODY)
            return s.status
        finally:
            c.close()

    def websocket(self, a):
        c = H1Client(a)
        try:
            c.request("GET", "/ws", headers=KEY)
            status = c.head().status
            if status != 101:
                return status
            c.send(b"through the tunnel")
            same(c.reader.exactly(18), b"through the tunnel")
            return 200
        finally:
            c.close()

    def tcp(self, a):
        s = socket.create_connection(a, 10)
        s.settimeout(15)
        try:
            s.sendall(BODY)
            got = b""
            while len(got) < len(BODY):
                part = s.recv(65536)
                if not part:
                    raise Closed(got)
                got += part
            same(got, BODY)
            return 200
        finally:
            s.close()

    def kinds(self, a):
        return [("h1", lambda: self.h1(a["web"])), ("h1 to h2", lambda: self.h1(a["web"], path="/two")), ("h2", lambda: self.h2(a["web"])),
                ("h2 to h2", lambda: self.h2(a["web"], path="/two")), ("tls h1", lambda: self.h1(a["tls"], self.tls)),
                ("tls h2", lambda: self.h2(a["tls"], self.tls2)), ("websocket", lambda: self.websocket(a["web"])), ("tcp", lambda: self.tcp(a["raw"]))]

    def all_well(self, a):
        for name, fn in self.kinds(a):
            assert any(attempt(fn) == 200 for _ in range(4)), "%s does not recover" % name

    def trial(self, variables, always=False):
        """always: what is injected must not be noticed."""
        t = Trial(self.env, self.doc, variables)
        try:
            if t.start():
                a = self.addresses(t.w)
                for name, fn in self.kinds(a) if a else []:
                    status = fn() if always else attempt(fn)
                    assert status == 200 or (not always and (status is None or status in GOOD_CODES)), "%s: %r" % (name, status)
                if a and not always:
                    self.all_well(a)
            else:
                assert not always, t.w.stderr()
            t.stop()
        except BaseException as e:
            t.w.kill()
            raise AssertionError("%r: %s\n%s" % (variables, str(e)[:2000], t.w.stderr()[-2000:])) from e


def places(first, last, few):
    return range(first, last) if FULL else sorted({first + (last - first) * k // few for k in range(few)})


def calls(env, call, errors, last, few=3):
    site = Site(env)
    for error in errors:
        for n in places(1, last, few):
            site.trial({"WEIR_FAULT_SYS": "%d:%s:%s" % (n, error, call)})


def test_recv_fails(env):
    calls(env, "recv", ("ECONNRESET", "ENOMEM"), 60)


def test_send_fails(env):
    calls(env, "send", ("EPIPE", "ENOBUFS"), 50)


def test_accept_fails(env):
    calls(env, "accept", ("EMFILE", "ECONNABORTED", "ENOMEM"), 20, 2)


def test_socket_and_connect_fail(env):
    calls(env, "socket", ("EMFILE",), 16)
    calls(env, "connect", ("EADDRNOTAVAIL", "EAGAIN"), 12, 2)


def test_close_and_epoll_fail(env):
    calls(env, "close", ("EIO",), 24)
    calls(env, "epoll", ("ENOSPC", "ENOMEM"), 40, 2)


def test_a_listener_that_epoll_does_not_take_at_first(env):
    """It is offered again, also after its protocol has changed: no listener stays deaf."""
    def doc(*protocols):
        names = ["a", "b"]
        return [gateway(*(listener(n, protocol=p) for n, p in zip(names, protocols))), service("bytes", up, protocol="tcp"),
                *(route(n, rule("bytes") if p == "tcp" else rule(reply={"body": n}), attach=[{"gateway": "edge", "listener": n}]) for n, p in zip(names, protocols))]

    def ask(address, protocol):
        c = H1Client(address)
        try:
            if protocol == "tcp":
                c.send("ping")
                return c.reader.exactly(4) == b"ping"
            return c.ask().status == 200
        finally:
            c.close()

    up = env.raw_upstream(echo_bytes)
    for n in range(1, 9):
        t = Trial(env, doc("http", "http"), {"WEIR_FAULT_SYS": "%d:ENOMEM:epoll" % n})
        if not t.start():
            continue  # the status page or the signals: the start is refused
        for protocols in (("http", "http"), ("tcp", "http")):
            if protocols[0] == "tcp":
                t.w.reload(doc(*protocols))
            for name, p in zip("ab", protocols):
                assert any(attempt(lambda: ask(t.w.addr(name), p)) for _ in range(4)), "%d: %s as %s" % (n, name, p)
        t.stop()


def test_files_fail(env):
    calls(env, "open", ("EMFILE", "EIO"), 6, 2)
    calls(env, "read", ("EIO", "ENOMEM"), 8, 2)
    calls(env, "write", ("ENOSPC", "EIO"), 4, 2)


def test_interrupted_and_not_ready_are_not_noticed(env):
    """Every second, third and seventh call: as often as the kernel likes."""
    site = Site(env)
    for every in (2, 3, 7):
        site.trial({"WEIR_FAULT_SYS": "/%d:EINTR:recv,send,accept,read,write" % every}, always=True)
        site.trial({"WEIR_FAULT_SYS": "/%d:EAGAIN:recv,send,accept" % every}, always=True)


def test_short_reads_and_writes_of_each_kind(env):
    site = Site(env)
    for k in (1, 3, 1000) if FULL else (7, 1000):  # 1 is test_faults.py's
        site.trial({"WEIR_SHORT_IO": str(k)}, always=True)


def test_memory_of_each_kind_1(env):
    site = Site(env)
    for n in places(1, 900, 9):
        site.trial({"WEIR_FAULT_ALLOC": str(n)})


def test_memory_of_each_kind_2(env):
    """Beyond the start: connections, streams, sessions, chunks."""
    site = Site(env)
    for n in places(900, 2400, 14):
        site.trial({"WEIR_FAULT_ALLOC": str(n)})


def test_system_calls_at_a_reload(env):
    """The document, its files, a new listener: nothing of a reload that fails is applied, and the next one is through."""
    site = Site(env)
    more = [dict(d, spec=dict(d["spec"], listeners=d["spec"]["listeners"] + [listener("new")])) if d["kind"] == "Gateway" else d for d in site.doc]
    for call, error, last in (("open", "EMFILE", 12), ("read", "EIO", 16), ("socket", "EMFILE", 16), ("close", "EIO", 16)):
        for n in places(2, last, 4):
            t = Trial(env, site.doc, {"WEIR_FAULT_SYS": "%d:%s:%s" % (n, error, call)})
            if t.start():
                before = site.addresses(t.w)
                t.w.write(more)
                for wanted in (1, 2):
                    t.w.process.send_signal(signal.SIGHUP)
                    until(lambda: not t.w.alive() or sum(r["msg"] in ENDS for r in t.w.log()) >= wanted, "a reload")
                same(t.w.alive(), True, t.w.stderr()[-2000:])
                a = site.addresses(t.w)
                same(sorted(a), ["new", "raw", "tls", "web"], "%s %d: the second reload is through\n%s" % (call, n, t.w.stderr()[-3000:]))
                same({k: a[k] for k in before}, before)
                site.all_well(a)
            t.stop()
