"""T23: what is freed when, on odd orders of events. Every test runs the four pairs of HTTP/1 and HTTP/2 towards the client and the upstream;
it holds when nothing is left over, the connections of others go on, and no sanitizer has anything to say."""
import threading

from h2peers import END_HEADERS, END_STREAM, HEADERS, RST_STREAM, H2Client, H2Upstream, RawH2, encode, frame, request_headers
from peers import Closed, reply
from test_resilience import Blackhole
from weirlib import edge_policy, gateway, policy, route, rule, same, service, until

UPSTREAMS = ("one", "two")  # HTTP/1 and HTTP/2


class World:
    """A proxy before an HTTP/1 upstream ("/one/…") and an HTTP/2 one ("/two/…"). The end of the path says what the upstream does: it is
    told the request's head, and reads the body only where that is said."""

    def __init__(self, env, more=()):
        self.env, self.go = env, threading.Event()
        self.one = env.upstream(self.h1, early=True)
        self.two = H2Upstream(self.h2, early=True)
        env.cleanups.append(self.two.close)
        self.more = list(more)
        self.weir = env.weir(self.documents(), workers=1)
        self.address = self.weir.addr()

    def documents(self, *more):
        return [gateway(), service("one", self.one), service("two", self.two, protocol="h2"), route("one", rule("one", path={"prefix": "/one"})),
                route("two", rule("two", path={"prefix": "/two"})), *self.more, *more]

    def h1(self, x):
        what = x.request.target.rsplit("/", 1)[1]
        if what == "hang":
            x.reader.rest()
            return None
        if what == "dead":
            return None
        if what == "cut":
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            x.reset()
        if what == "early":
            x.send(reply(body="early"))
            x.request.read_body(x.reader)
            return b""
        if what == "gate":
            self.go.wait(15)
        x.request.read_body(x.reader)
        return reply(503 if what == "503" else 200)

    def h2(self, r):
        what = r.path.rsplit("/", 1)[1]
        if what == "hang":
            r.wait_end()
        elif what == "dead":
            r.send_reset(2)
        elif what == "cut":
            r.send_headers(200, [("content-length", "100")])
            r.send_data(b"abc")
            r.send_reset(2)
        elif what == "early":
            r.respond(body=b"early")
        else:
            if what == "gate":
                self.go.wait(15)
            r.wait_end()
            r.respond(503 if what == "503" else 200)

    def seen(self, name, n):
        up = self.one if name == "one" else self.two
        until(lambda: len(up.requests) >= n, lambda: "%d requests at %s, have %d" % (n, name, len(up.requests)))

    def pairs(self):
        for name in UPSTREAMS:
            for client in (H1Half, H2Half):
                yield name, client(self)

    def quiet(self):
        """Nothing under way, and the next request of anybody is answered."""
        until(lambda: all(s["activeRequests"] == 0 for s in self.weir.status()["services"]), lambda: "requests let go: %r" % self.weir.status()["services"])
        for name in UPSTREAMS:
            same(self.env.client(self.address).ask(target="/%s/ok" % name).status, 200)


class H1Half:
    """An HTTP/1 client in the middle of a request of ten bytes."""

    def __init__(self, world):
        self.c = world.env.client(world.address)

    def begin(self, path):
        self.c.send("POST %s HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 10\r\n\r\nabc" % path)

    def finish(self):
        self.c.send("defghij")

    def answer(self):
        """(status, body), or None when it is cut."""
        try:
            r = self.c.response()
            self.open = r.header("connection") != "close"
            return r.status, r.body
        except Closed:
            return None

    def ask(self, path):
        return self.c.ask(target=path).status

    def leave(self):
        self.c.reset()

    gone = leave


class H2Half:
    """The same over HTTP/2."""

    open = True

    def __init__(self, world):
        self.c = H2Client(world.address)
        world.env.clients.append(self.c)

    def begin(self, path):
        self.s = self.c.start("POST", path, [("content-length", "10")], end=False)
        self.c.conn.send_data(self.s.id, b"abc")
        self.c.flush()

    def finish(self):
        try:
            self.c.conn.send_data(self.s.id, b"defghij", end_stream=True)
            self.c.flush()
        except Exception:  # the stream was reset by the peer: its answer came first
            pass

    def answer(self):
        self.c.wait(self.s)
        return None if self.s.reset else (self.s.status, self.s.body)

    def ask(self, path):
        return self.c.ask(path=path).status

    def leave(self):
        self.c.reset(self.s)
        self.c.ping()

    def gone(self):
        self.c.close()


def each(world, what, then, leave):
    """begins /what in every pair, waits for then(name, n), and lets the client go by the method of this name."""
    for n, (name, client) in enumerate(world.pairs()):
        client.begin("/%s/%s" % (name, what))
        then(name, n % 2 + 1)
        getattr(client, leave)()


def test_client_leaves_while_the_upstream_is_silent(env):
    w = World(env)
    each(w, "hang", w.seen, "leave")
    w.quiet()


def test_client_is_gone_while_the_upstream_is_silent(env):
    w = World(env)
    each(w, "hang", w.seen, "gone")
    w.quiet()


def test_client_is_gone_in_backoff(env):
    for leave in ("leave", "gone"):
        w = World(env, [edge_policy(retry={"attempts": 5, "backoffBase": "30s", "backoffMax": "30s", "on": ["503"], "nonIdempotent": True})])
        for name, client in w.pairs():
            client.begin("/%s/503" % name)
            client.finish()
            until(lambda: any(s["activeRequests"] for s in w.weir.status()["services"]), "a request in backoff")
            getattr(client, leave)()
        w.quiet()


def test_client_is_gone_in_connect(env):
    hole = Blackhole(env)
    for leave in ("leave", "gone"):
        w = World(env)
        w.weir.reload(w.documents(service("three", hole.address), route("three", rule("three", path={"prefix": "/three"}))))
        for client in (H1Half(w), H2Half(w)):
            client.begin("/three/x")
            until(lambda: w.weir.service("three")["activeRequests"] == 1, "a request waits for a connection")
            getattr(client, leave)()
            until(lambda: w.weir.service("three")["activeRequests"] == 0, "it is let go")
        w.quiet()


def test_client_is_gone_in_a_pause_of_a_filter(env):
    for leave in ("leave", "gone"):
        w = World(env)
        pause = edge_policy(fault={"delay": {"duration": "30s", "percentage": "100%"}})
        w.weir.reload(w.documents(pause))
        clients = [client for _, client in w.pairs()]
        for n, client in enumerate(clients):
            client.begin("/one/x")
            getattr(client, leave)()
        w.weir.reload(w.documents())
        w.quiet()
        for client in clients:
            client.c.close()
        until(lambda: w.weir.status()["connections"] <= 2, lambda: "connections are let go: %d" % w.weir.status()["connections"])


def test_upstream_ends_before_its_answer(env):
    w = World(env)
    for name, client in w.pairs():
        client.begin("/%s/dead" % name)
        status, _ = client.answer()
        same(status, 502)
        client.finish()
    w.quiet()


def test_upstream_breaks_in_its_answer(env):
    w = World(env)
    for name, client in w.pairs():
        client.begin("/%s/cut" % name)
        same(client.answer(), None, "a cut answer")
    w.quiet()


def test_answer_before_the_request_is_over_then_the_next_one(env):
    """The request goes on or not, the next one on the connection is in step."""
    for finish in (True, False):
        w = World(env)
        for name, client in w.pairs():
            client.begin("/%s/early" % name)
            same(client.answer(), (200, b"early"))
            if isinstance(client, H1Half) and not finish:
                continue  # the next bytes are the body's
            if finish:
                client.finish()
            if client.open:
                same(client.ask("/%s/ok" % name), 200)
        w.quiet()


def test_pipelined_requests_behind_one_that_fails(env):
    w = World(env)
    for name in UPSTREAMS:
        for what, want in (("dead", 502), ("ok", 200), ("503", 503)):
            c = env.client(w.address)
            one = "GET /%s/%s HTTP/1.1\r\nHost: shop.example\r\n\r\n"
            c.send(one % (name, what) + one % (name, "ok") + one % (name, what))
            same([c.response().status for _ in range(3)], [want, 200, want])
            c.send(one % (name, "hang") + one % (name, "ok"))
            c.reset()
    w.quiet()


def test_reload_in_the_middle(env):
    """A request keeps the world it began in, with a retry too, and the next one of its connection has the new one."""
    w = World(env, [edge_policy(retry={"attempts": 1, "backoffBase": "0s", "on": ["503"]})])
    clients = []
    for name, client in w.pairs():
        client.begin("/%s/gate" % name)
        clients.append((name, client))
    w.seen("one", 2)
    w.seen("two", 2)
    for i in range(3):
        w.weir.reload(w.documents(policy("other", {"gateway": "edge"}, timeout={"request": "30s"})) if i % 2 else w.documents())
    w.go.set()
    for name, client in clients:
        client.finish()
        same(client.answer(), (200, b"ok"))
        same(client.ask("/%s/ok" % name), 200)
    w.quiet()


def test_reset_around_the_head(env):
    """Streams that end with, before, or inside their head; connections too."""
    w = World(env)
    block = encode(request_headers(path="/one/ok"))
    for data in (frame(HEADERS, END_HEADERS | END_STREAM, 1, block) + frame(RST_STREAM, 0, 1, bytes(4)),
                 frame(HEADERS, END_HEADERS, 1, block) + frame(RST_STREAM, 0, 1, bytes(4)) + frame(HEADERS, END_HEADERS | END_STREAM, 3, block),
                 frame(HEADERS, END_STREAM, 1, block[:7]), frame(HEADERS, END_STREAM, 1, block[:7]) + b"\0\0",
                 frame(RST_STREAM, 0, 1, bytes(4)) + frame(HEADERS, END_HEADERS | END_STREAM, 1, block)):
        c = RawH2(w.address)
        c.try_send(data)
        c.close()
    for data in ("GET /one/ok HTTP/1.1\r\nHost: sh", "GET /one/ok HTTP/1.1\r\nHost: shop.example\r\n\r\nGET /two/ok", "\r\n", "P", "PRI * HTTP/2.0\r\n\r\nSM"):
        c = env.client(w.address)
        c.send(data)
        c.reset()
    w.quiet()
    until(lambda: w.weir.status()["connections"] <= 2, lambda: "connections are let go: %d" % w.weir.status()["connections"])


def test_trailers_in_every_order(env):
    """Trailers with the head in one segment, after an early end, and for a client that has left."""
    answer = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")
    w = World(env)
    w.one.handler = lambda x: (x.request.read_body(x.reader), answer)[1]
    for client in (H1Half(w), H2Half(w)):
        client.begin("/one/ok")
        client.finish()
        same(client.answer(), (200, b"ok"))
        client.begin("/one/ok")
        client.finish()
        client.leave()
    until(lambda: all(s["activeRequests"] == 0 for s in w.weir.status()["services"]), "requests let go")
