"""Endpoints that change: with the transport of their service, by name, without end."""
import socket
import struct
import threading
import time

from peers import reply
from weirlib import gateway, policy, route, rule, same, secret, service, simple, until


class Names:
    """A name server that knows every name: A is what answer(name) says, AAAA is empty."""

    def __init__(self, env, answer=lambda name: ["127.0.0.1"]):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.answer, self.asked = answer, []
        self.variables = {"WEIR_DNS_SERVER": "127.0.0.1:%d" % self.sock.getsockname()[1]}
        env.cleanups.append(self.close)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                q, peer = self.sock.recvfrom(4096)
            except OSError:
                return
            if not q:
                return
            end, labels = 12, []
            while q[end]:
                labels.append(q[end + 1:end + 1 + q[end]].decode())
                end += 1 + q[end]
            kind = struct.unpack(">H", q[end + 1:end + 3])[0]
            name = ".".join(labels)
            self.asked.append(name)
            rows = [b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + socket.inet_aton(a) for a in (self.answer(name) if kind == 1 else [])]
            self.sock.sendto(q[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, len(rows), 0, 0) + q[12:end + 5] + b"".join(rows), peer)

    def close(self):
        self.sock.close()


def test_a_request_meets_the_endpoints_of_its_world(env):
    """A service moves to another address and to TLS in one change: a request of the world before, tried again after it, still finds the old
    address in clear, never the new one."""
    ca, held, go = env.ca(), threading.Event(), threading.Event()

    def old(x):
        if len(up.requests) == 1:
            held.set()
            go.wait(30)
            return reply(503, b"later")
        return reply(200, b"old")

    up, moved = env.upstream(old), env.upstream(lambda x: reply(200, b"new"), tls=ca.issue("shop.example"))
    retry = policy("retry", {"service": "shop"}, retry={"attempts": 1, "on": ["503"]})
    w = env.weir(simple(up, more=[retry]), workers=1)
    c = env.client(w.addr())
    c.request()
    assert held.wait(30)
    w.reload([gateway(), secret("ca", ca=ca), service("shop", moved, tls={"ca": {"secret": "ca"}, "serverName": "shop.example"}), route("shop", rule("shop")), retry])
    go.set()
    r = c.response()
    same((r.status, r.body), (200, b"old"))
    same(c.ask().body, b"new")
    same([e["address"] for e in w.endpoints()], [moved.address])


def test_a_new_name_is_known_before_it_is_used(env):
    """At the start and at every change: names are looked up first, so that no request is refused because its service has no address yet."""
    up, names = env.upstream(), Names(env)

    def doc(i):
        return simple("n%d.example:%d" % (i, up.port))

    w = env.weir(doc(0), variables=names.variables)
    c = env.client(w.addr())
    until(lambda: c.ask().status == 200, "known")
    for i in range(1, 21):
        start = time.monotonic()
        w.reload(doc(i))
        if time.monotonic() - start < 1.5:  # else the patience with name servers may have ended first
            same((c.ask().status, "n%d.example" % i in names.asked), (200, True))


def test_each_endpoint_has_its_own_name(env):
    """In its certificate and in what it is asked for: the host name of the endpoint, that of the service for an address, serverName for all. Also
    for health checks, and when all names mean one address."""
    ca, names = env.ca(), []
    ups = [env.upstream(tls=ca.issue(n), name=n) for n in ("a.up.test", "b.up.test", "shop")]
    for u in ups:
        u.tls.sni_callback = lambda sock, name, context: names.append(name)
    endpoints = ["a.up.test:%d" % ups[0].port, "b.up.test:%d" % ups[1].port, ups[2].address]

    def documents(endpoints, **tls):
        checks = policy("p", {"service": "shop"}, health={"active": {"interval": "1h", "unhealthy": 1}, "panic": "0%", "passive": {"consecutive": 0}})
        return [gateway(), secret("ca", ca=ca), service("shop", *endpoints, tls={"ca": {"secret": "ca"}, **tls}), route("r", rule("shop")), checks]

    w = env.weir(documents(endpoints), variables=Names(env).variables, workers=1)
    c = env.client(w.addr())
    same(sorted(c.ask().body for _ in range(6)), [b"a.up.test"] * 2 + [b"b.up.test"] * 2 + [b"shop"] * 2)
    same(set(names), {"a.up.test", "b.up.test", "shop"})
    until(lambda: len(ups[2].requests) >= 3 and len(ups[1].requests) >= 3, "checks")
    same([e["state"] for e in w.endpoints()], ["healthy"] * 3)
    w.reload(documents(endpoints, serverName="b.up.test"))
    until(lambda: [e["state"] for e in w.endpoints()].count("unhealthy") == 2, lambda: w.endpoints())
    same({c.ask().body for _ in range(6)}, {b"b.up.test"})
    # two names of one server, one of which its certificate has
    w.reload(documents(["a.up.test:%d" % ups[0].port, "other.test:%d" % ups[0].port]))
    until(lambda: sorted(e["state"] for e in w.endpoints()) == ["healthy", "unhealthy"], lambda: w.endpoints())
    same({c.ask().status for _ in range(6)}, {200})


def test_endpoints_that_went_are_forgotten(env):
    """Four thousand new addresses with every change, services that come and go: what is kept does not grow with what has been."""
    up = env.upstream()

    def doc(i):
        return simple(up, more=[service("s%d" % (i % 3), *("127.%d.%d.%d:9" % (1 + i, k // 250, 1 + k % 250) for k in range(4000))),
                                route("more", rule("s%d" % (i % 3)), hosts=["more.example"])])

    w = env.weir(doc(0), workers=1)
    for i in range(1, 41):  # kept for good they would be 40 MB under a sanitizer, whose own memory goes up and down by 10
        w.reload(doc(i))
        c = env.client(w.addr())
        same((c.ask().status, c.ask(host="more.example").status), (200, 502))
        c.close()
        if i == 6:
            before = w.rss()
    bound = (24 if w.sanitized() else 8) << 20
    until(lambda: w.rss() < before + bound, lambda: "memory: %d before, %d now" % (before, w.rss()))
