"""What happens when services are slow, broken or gone: time limits, retries, breaker, health, shedding. Times are chosen so that a test
waits for what happens, never for how long it took."""
import contextlib
import json
import socket
import threading

from h2peers import H2Client, H2Upstream
from peers import Closed, H1Client, Reader, Request, reply
from weirlib import Authority, edge_policy, gateway, listener, policy, route, rule, same, secret, service, simple, until


def shop_policy(name="shop-policy", **sections):
    return policy(name, {"service": "shop"}, **sections)


def hang(x):
    """Never answers; ends when the peer does."""
    try:
        while x.sock.recv(4096):
            pass
    except OSError:
        pass


def problem(r, status, slug, error=None):
    same(r.status, status, "body %r" % r.body)
    body = json.loads(r.body)
    same((r.header("content-type"), body["type"], body["status"]), ("application/problem+json", "https://weir.dev/problems/" + slug, status))
    if error:
        same(r.header("proxy-status"), "weir; error=" + error)
    return r


def dead_address():
    """An address that refuses connections."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    return "127.0.0.1:%d" % s.getsockname()[1], s  # bound and not listening: nobody else takes it


class Blackhole:
    """A listening socket with a full backlog: connections to it are neither accepted nor refused."""

    def __init__(self, env):
        self.s = socket.socket()
        self.s.bind(("127.0.0.1", 0))
        self.s.listen(0)
        self.address = "127.0.0.1:%d" % self.s.getsockname()[1]
        self.fill = []
        for _ in range(4):
            c = socket.socket()
            c.setblocking(False)
            c.connect_ex(self.s.getsockname())
            self.fill.append(c)
        env.cleanups.append(self.close)

    def close(self):
        for c in self.fill + [self.s]:
            c.close()


# ---- time limits ----
def test_request_time_limit(env):
    w = env.weir(simple(env.upstream(hang), more=[shop_policy(timeout={"request": "300ms"})]))
    c = env.client(w.addr())
    problem(c.ask(), 504, "upstream-timeout", "http_response_timeout")
    until(lambda: w.service()["activeRequests"] == 0, "request over")
    same(w.wait_access()[0]["failed"], "upstream")


def test_request_time_limit_in_the_body(env):
    """The head has gone: the client sees a broken answer, never a whole one."""
    def handler(x):
        x.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        hang(x)

    w = env.weir(simple(env.upstream(handler), more=[shop_policy(timeout={"request": "300ms"})]))
    c = env.client(w.addr())
    c.request()
    same(c.head().status, 200)
    same(c.reader.rest(), b"half")


def test_without_a_request_time_limit(env):
    """`idle` limits the wait for the response to begin then; where `request` is set, only that counts."""
    go_on = threading.Event()

    def patient(x):
        until(go_on.is_set)
        return reply(body="late")

    up, late = env.upstream(hang), env.upstream(patient)
    w = env.weir([gateway(), service("shop", up), service("late", late),
                  route("r", rule("late", path={"prefix": "/late"}), rule("shop")),
                  policy("gaps", {"service": "shop"}, timeout={"idle": "150ms"}),
                  policy("all", {"service": "late"}, timeout={"idle": "150ms", "request": "30s"})])

    patient_client = env.client(w.addr())
    patient_client.send("GET /late HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    problem(env.client(w.addr()).ask("GET", "/slow"), 504, "upstream-timeout", "http_response_timeout")
    problem(env.client(w.addr()).ask("POST", "/slow", body=b"x"), 504, "upstream-timeout", "http_response_timeout")
    go_on.set()
    same(patient_client.response().body, b"late")


def test_connect_time_limit(env):
    hole = Blackhole(env)
    w = env.weir(simple(hole, more=[shop_policy(timeout={"connect": "300ms"})]))
    problem(env.client(w.addr()).ask(), 504, "connect-timeout", "connection_timeout")


def test_per_try_time_limit_and_retry(env):
    seen = []

    def handler(x):
        seen.append(1)
        if len(seen) == 1:
            return hang(x)
        return reply()

    w = env.weir(simple(env.upstream(handler), more=[shop_policy(timeout={"perTry": "300ms"}, retry={"attempts": 2, "on": ["timeout"], "backoffBase": "1ms"})]))
    same(env.client(w.addr()).ask().status, 200)
    same(w.wait_access()[0]["tries"], 2)


def test_per_try_time_limit_without_retry(env):
    w = env.weir(simple(env.upstream(hang), more=[shop_policy(timeout={"perTry": "300ms"})]))
    problem(env.client(w.addr()).ask(), 504, "upstream-timeout", "http_response_timeout")


def test_header_time_limit(env):
    """Slowloris: a head that does not end in time is 408 and closed; a byte now and then does not help."""
    w = env.weir(simple(env.upstream(), more=[edge_policy(timeout={"header": "600ms"})]))
    c = env.client(w.addr())
    c.send("GET / HTTP/1.1\r\nHost: shop.example\r\n")
    sent = 0
    while not c.readable(0.1):
        sent += 1
        assert sent < 100, "a trickle keeps the connection open"
        c.send("X-%d: 1\r\n" % sent)
    same(c.response().status, 408)
    c.closed()


def test_keep_alive_time_limit(env):
    w = env.weir(simple(env.upstream(), more=[edge_policy(timeout={"keepAlive": "300ms"})]))
    fresh, used = env.client(w.addr()), env.client(w.addr())
    same(used.ask().status, 200)
    fresh.closed()
    used.closed()


def test_body_time_limit(env):
    w = env.weir(simple(env.upstream(), more=[edge_policy(timeout={"bodyIdle": "300ms"})]))
    c = env.client(w.addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 10\r\n\r\nhalf")
    problem(c.response(), 408, "body-timeout")
    c.closed()


def test_idle_time_limit_of_a_response(env):
    def handler(x):
        x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        hang(x)

    w = env.weir(simple(env.upstream(handler), more=[shop_policy(timeout={"idle": "300ms", "request": "60s"})]))
    c = env.client(w.addr())
    c.request()
    c.head()
    same(c.reader.rest(), b"4\r\nhalf\r\n")
    same(w.wait_access()[0]["why"], "connection_read_timeout")


def test_upstream_keep_alive_time_limit(env):
    up = env.upstream()
    w = env.weir(simple(up, more=[shop_policy(timeout={"upstreamKeepAlive": "200ms"})]))
    same(env.client(w.addr()).ask().status, 200)
    until(lambda: w.service()["connections"] == 0, "the idle connection is closed")


def test_a_client_that_does_not_read(env):
    """A response nobody takes is given up after timeout.idle."""
    w = env.weir(simple(env.upstream(lambda x: reply(body=b"x" * (32 << 20))), more=[shop_policy(timeout={"idle": "500ms", "request": "60s"})]))
    c = env.client(w.addr(), receive_buffer=4096)
    c.request()
    until(lambda: w.access(why="connection_write_timeout"), "given up")
    until(lambda: w.status()["connections"] == 0, "its connection is closed")


# ---- retries ----
def test_no_retry_by_default(env):
    up = env.upstream(lambda x: None)
    w = env.weir(simple(up))
    problem(env.client(w.addr()).ask(), 502, "upstream-reset")
    same(len(up.requests), 1)


def test_connection_refused(env):
    address, s = dead_address()
    w = env.weir([gateway(), service("shop", address), route("shop", rule("shop"))])
    problem(env.client(w.addr()).ask(), 502, "connect-failure", "connection_refused")
    s.close()


def test_retry_goes_to_another_endpoint(env):
    address, s = dead_address()
    good = env.upstream()
    w = env.weir([gateway(), service("shop", address, good), route("shop", rule("shop")), shop_policy(retry={"attempts": 1, "backoffBase": "1ms"})])
    c = env.client(w.addr())
    for _ in range(20):
        same(c.ask("POST", "/", body=b"x").status, 200)  # nothing was sent: POST too
    same(len(good.requests), 20)
    s.close()


def failing(times, answer=None, status=503):
    """Fails the first requests, each as told; then answers."""
    n = []

    def handler(x):
        n.append(1)
        if len(n) <= times:
            return answer(x) if answer else reply(status, "bad")
        return reply(body="n=%d %s" % (len(n), x.request.body.decode()))
    return handler


def test_retry_on_status(env):
    for on, status, want in ((["gateway-error"], 503, 200), (["gateway-error"], 500, 500), (["5xx"], 500, 200), (["500"], 500, 200), (["502"], 503, 503)):
        up = env.upstream(failing(1, status=status))
        w = env.weir(simple(up, more=[shop_policy(retry={"attempts": 1, "on": on, "backoffBase": "1ms"})]))
        r = env.client(w.addr()).ask()
        same(r.status, want, "on %r, status %d" % (on, status))


def test_retry_attempts_are_bounded(env):
    up = env.upstream(failing(100))
    w = env.weir(simple(up, more=[shop_policy(retry={"attempts": 3, "backoffBase": "1ms", "backoffMax": "2ms"})]))
    r = env.client(w.addr()).ask()
    same((r.status, r.body, len(up.requests)), (503, b"bad", 4))
    same(w.wait_access()[0]["tries"], 4)
    same(w.metric("weir_upstream_retries_total", service="shop"), 3)


def test_retry_on_reset_only_for_idempotent_methods(env):
    """T33: a POST whose bytes were sent is not sent again."""
    for method, want, tries in (("GET", 200, 2), ("PUT", 200, 2), ("DELETE", 200, 2), ("POST", 502, 1), ("PATCH", 502, 1)):
        up = env.upstream(failing(1, answer=lambda x: None))
        w = env.weir(simple(up, more=[shop_policy(retry={"attempts": 1, "on": ["reset"], "backoffBase": "1ms"})]))
        r = env.client(w.addr()).ask(method, "/", body=b"body")
        same((r.status, len(up.requests)), (want, tries), method)


def test_retry_of_post_when_allowed(env):
    up = env.upstream(failing(1, answer=lambda x: None))
    w = env.weir(simple(up, more=[shop_policy(retry={"attempts": 1, "on": ["reset"], "backoffBase": "1ms", "nonIdempotent": True})]))
    r = env.client(w.addr()).ask("POST", "/", body=b"body")
    same((r.status, r.body), (200, b"n=2 body"))


def test_retry_sends_the_whole_body_again(env):
    for size, want in ((10000, 200), (100000, 503)):  # bodyBuffer is 16KiB here
        up = env.upstream(failing(1))
        w = env.weir(simple(up, more=[shop_policy(retry={"attempts": 1, "backoffBase": "1ms", "bodyBuffer": "16KiB"})]))
        body = bytes(97 + i % 26 for i in range(size))
        r = env.client(w.addr()).ask("PUT", "/", body=body)
        same(r.status, want, "body of %d" % size)
        assert all(q.body == body for q in up.requests)


def test_retry_keeps_trailers_and_chunks(env):
    up = env.upstream(failing(1))
    w = env.weir(simple(up, more=[shop_policy(retry={"attempts": 1, "backoffBase": "1ms"})]))
    c = env.client(w.addr())
    c.send("PUT / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")
    same(c.response().body, b"n=2 abc")
    same([(r.body, list(r.trailers)) for r in up.requests], [(b"abc", [("X-Sum", "1")])] * 2)


def test_no_retry_after_the_response_began(env):
    def handler(x):
        x.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    up = env.upstream(handler)
    w = env.weir(simple(up, more=[shop_policy(retry={"attempts": 3, "on": ["reset", "5xx"], "backoffBase": "1ms"})]))
    c = env.client(w.addr())
    c.request()
    same(c.head().status, 200)
    same(c.reader.rest(), b"half")
    same(len(up.requests), 1)


def test_retry_budget(env):
    """With many requests failing at once, retries are a bounded share of them (T33)."""
    gate, lock, counts = threading.Event(), threading.Lock(), {}

    def handler(x):
        with lock:
            counts[x.request.target] = counts.get(x.request.target, 0) + 1
            first = counts[x.request.target] == 1
        if first:
            gate.wait(15)
            return reply(503, "bad")
        release.wait(15)
        return reply()

    release = threading.Event()
    up = env.upstream(handler)
    w = env.weir(simple(up, more=[shop_policy(retry={"attempts": 1, "budget": "10%", "budgetMin": 2, "backoffBase": "0ms"})]), workers=1)
    tasks = [env.thread(lambda i=i: env.client(w.addr()).ask("GET", "/%d" % i).status) for i in range(50)]
    until(lambda: len(up.requests) == 50, "all at the upstream")
    gate.set()
    until(lambda: sum(not t.is_alive() for t in tasks) >= 45, "all without a retry are over")
    release.set()
    got = [t.result() for t in tasks]
    assert 2 <= got.count(200) <= 5, "%d of 50 were tried again with a budget of 10%%" % got.count(200)
    same(got.count(200) + got.count(503), 50)


def test_stale_connection(env):
    """A reused connection that died before a byte came back: tried again once without any retry policy, but only for idempotent methods."""
    for method, want in (("GET", 200), ("PUT", 200), ("POST", 502)):
        state = {"n": 0}

        def script(sock, number):
            r = Reader(sock)
            q = Request(r.until(b"\r\n\r\n"))
            q.read_body(r)
            sock.sendall(reply())
            if number == 1:
                q = Request(r.until(b"\r\n\r\n"))  # the second request on it is read, then the connection ends
                state["n"] += 1
                return
            while True:
                q = Request(r.until(b"\r\n\r\n"))
                q.read_body(r)
                sock.sendall(reply())

        up = env.raw_upstream(script)
        w = env.weir(simple(up), workers=1)
        c = env.client(w.addr())
        same(c.ask("GET").status, 200)
        same(c.ask(method, "/", body=b"x").status, want, method)
        same((state["n"], up.connections), (1, 2 if want == 200 else 1), method)


def test_fresh_connection_that_dies_is_not_retried(env):
    up = env.raw_upstream(lambda sock, number: sock.recv(65536))
    w = env.weir(simple(up))
    problem(env.client(w.addr()).ask(), 502, "upstream-reset")
    same(up.connections, 1)


def test_idle_upstream_connections_that_close_are_noticed(env):
    """Whatever the timing, a client sees no failure when upstreams close idle connections after each answer."""
    up = env.upstream()
    w = env.weir(simple(up))
    c = env.client(w.addr())
    for _ in range(100):
        same(c.ask().status, 200)
        up.drop_connections()


# ---- breaker ----
def test_breaker_requests(env):
    go = threading.Event()

    def handler(x):
        go.wait(15)
        return reply()

    up = env.upstream(handler)
    w = env.weir(simple(up, more=[shop_policy(breaker={"maxRequests": 3})]))
    tasks = [env.thread(lambda: env.client(w.addr()).ask().status) for _ in range(3)]
    up.wait(3)
    r = problem(env.client(w.addr()).ask(), 503, "circuit-open", "connection_limit_reached")
    assert int(r.header("retry-after")) >= 1
    go.set()
    same([t.result() for t in tasks], [200] * 3)
    same(env.client(w.addr()).ask().status, 200)


def test_breaker_connections_queue(env):
    """Over maxConnections requests wait; over maxPending they get 503. Works across workers."""
    go = threading.Semaphore(0)

    def handler(x):
        assert go.acquire(timeout=20)
        return reply()

    up = env.upstream(handler)
    w = env.weir(simple(up, more=[shop_policy(breaker={"maxConnections": 2, "maxPending": 5})]), workers=2)
    tasks = [env.thread(lambda: env.client(w.addr()).ask().status) for _ in range(2)]
    up.wait(2)
    waiting = [env.thread(lambda: env.client(w.addr()).ask().status) for _ in range(5)]
    until(lambda: w.service()["pendingRequests"] == 5, lambda: "five wait: %r" % w.service())
    problem(env.client(w.addr()).ask(), 503, "circuit-open", "connection_limit_reached")
    same(up.connections, 2)
    for _ in range(7):
        go.release()
    same([t.result() for t in tasks + waiting], [200] * 7)
    assert len(up.open) <= 2


def test_breaker_connections_do_not_starve_a_worker(env):
    """Idle connections of one worker hold permits that another can have."""
    up = env.upstream()
    w = env.weir(simple(up, more=[shop_policy(breaker={"maxConnections": 1})]), workers=4)
    for i in range(40):
        c = env.client(w.addr())
        same(c.ask().status, 200, "request %d" % i)
        c.close()


# ---- health ----
def state_of(w, up, name="shop"):
    return next(e["state"] for e in w.endpoints(name) if e["address"] == up.address)


def test_passive_ejection_and_return(env):
    """consecutive failures put an endpoint out; after the ejection time it is asked again."""
    broken = threading.Event()
    broken.set()
    bad = env.upstream(lambda x: reply(503, "bad") if broken.is_set() else reply(body="back"))
    good = env.upstream(name="good")
    w = env.weir(simple(bad, good, more=[shop_policy(health={"passive": {"consecutive": 3, "ejection": "1s"}, "panic": "0%"})]), workers=1)
    c = env.client(w.addr())
    got = [c.ask().status for _ in range(6)]
    same(got.count(503), 3)
    until(lambda: state_of(w, bad) == "ejected", "ejected")
    n = len(bad.requests)
    same([c.ask().body for _ in range(10)], [b"good"] * 10)
    same(len(bad.requests), n)
    assert w.log("endpoint ejected")
    broken.clear()
    until(lambda: c.ask().body == b"back", "the endpoint is used again")
    same(state_of(w, bad), "healthy")


def test_passive_ejection_of_a_refusing_endpoint(env):
    address, s = dead_address()
    good = env.upstream(name="good")
    w = env.weir([gateway(), service("shop", address, good), route("shop", rule("shop")),
                  shop_policy(health={"passive": {"consecutive": 2, "ejection": "30s"}, "panic": "0%"})], workers=1)
    c = env.client(w.addr())
    got = [c.ask().status for _ in range(20)]
    same((got.count(502), got[-10:]), (2, [200] * 10))
    s.close()


def test_slow_uploads_eject_nobody(env):
    """A client that holds its body back until the request's time is over is at fault, not the endpoint."""
    first, second = env.upstream(), env.upstream()
    w = env.weir(simple(first, second, more=[shop_policy(timeout={"request": "300ms"}, health={"passive": {"consecutive": 1, "ejection": "30s"}})]))
    for _ in range(4):
        c = env.client(w.addr())
        c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 10\r\n\r\nhalf")
        problem(c.response(), 408, "body-timeout")
    same({state_of(w, first), state_of(w, second)}, {"healthy"})
    same({r["failed"] for r in w.wait_access(4)}, {"client"})


def test_an_upstream_that_does_not_read(env):
    """The client has more to send and the upstream takes nothing: the upstream is at fault."""
    def handler(x):
        done.wait(20)

    done = threading.Event()
    up = env.upstream(handler, early=True)
    w = env.weir(simple(up, more=[shop_policy(timeout={"idle": "500ms", "bodyIdle": "30s", "request": "0"})]))
    c = env.client(w.addr())
    c.sock.settimeout(15)
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
    sender = threading.Thread(target=pour, args=(c.sock, 64 << 20), daemon=True)
    sender.start()
    problem(c.response(), 504, "upstream-timeout")
    done.set()
    same(w.wait_access()[0]["failed"], "upstream")


def pour(sock, n):
    block = b"x" * 65536
    with contextlib.suppress(OSError):
        while n > 0:
            sock.sendall(block)
            n -= len(block)


def test_the_only_endpoint_is_never_ejected(env):
    up = env.upstream(failing(20))
    w = env.weir(simple(up, more=[shop_policy(health={"passive": {"consecutive": 2, "ejection": "30s"}})]))
    c = env.client(w.addr())
    got = [c.ask().status for _ in range(25)]
    same(got, [503] * 20 + [200] * 5)


def test_ejection_is_bounded(env):
    """maxEjected: of four bad endpoints at most half are out, so that some are always tried."""
    ups = [env.upstream(lambda x: reply(503, "bad")) for _ in range(4)]
    w = env.weir(simple(*ups, more=[shop_policy(health={"passive": {"consecutive": 1, "ejection": "30s", "maxEjected": "50%"}, "panic": "0%"})]), workers=1)
    c = env.client(w.addr())
    for _ in range(40):
        c.ask()
    same(sorted(e["state"] for e in w.endpoints()), ["ejected", "ejected", "healthy", "healthy"])


def test_panic(env):
    """Fewer healthy endpoints than the panic share: health is ignored rather than overloading the rest."""
    ups = [env.upstream(lambda x: reply(503, "bad") if x.request.target == "/bad" else reply()) for _ in range(4)]
    w = env.weir(simple(*ups, more=[shop_policy(health={"passive": {"consecutive": 1, "ejection": "30s", "maxEjected": "100%"}, "panic": "60%"})]), workers=1)
    c = env.client(w.addr())
    for _ in range(30):
        c.ask("GET", "/bad")
    assert [e["state"] for e in w.endpoints()].count("ejected") >= 2
    before = [len(u.requests) for u in ups]
    for _ in range(40):
        same(c.ask("GET", "/").status, 200)
    assert all(len(u.requests) > b for u, b in zip(ups, before)), "in panic every endpoint is used"


def test_active_health_check(env):
    """The check's verdict decides; it asks the path it was told, and a healthy endpoint comes back."""
    sick = threading.Event()

    def handler(x):
        if x.request.target == "/health":
            return reply(500 if sick.is_set() else 204, "") if sick.is_set() else b"HTTP/1.1 204 No Content\r\n\r\n"
        return reply(body="a")

    a, b = env.upstream(handler), env.upstream(lambda x: reply(body="b"))
    w = env.weir(simple(a, b, more=[shop_policy(health={"active": {"path": "/health", "interval": "100ms", "timeout": "1s", "healthy": 2, "unhealthy": 2}, "panic": "0%"})]), workers=1)
    c = env.client(w.addr())
    until(lambda: any(r.target == "/health" for r in a.requests), "checks run")
    same({c.ask().body for _ in range(10)}, {b"a", b"b"})
    sick.set()
    until(lambda: state_of(w, a) == "unhealthy", "unhealthy")
    same({c.ask().body for _ in range(10)}, {b"b"})
    assert w.log("endpoint unhealthy")
    sick.clear()
    until(lambda: state_of(w, a) == "healthy", "healthy again")
    until(lambda: c.ask().body == b"a", "used again")


def test_a_reload_keeps_what_checks_know(env):
    """TLS contexts are made anew with every world: the checks of a service over TLS go on all the same."""
    ca = Authority(env.folder, "ca")
    pair = ca.issue("shop")
    well = env.upstream(lambda x: reply(body="well"), tls=pair)
    sick = env.upstream(lambda x: reply(500, "sick"), tls=pair)

    def documents(interval, body):
        return [gateway(), secret("ca", ca=ca), service("shop", well, sick, tls={"ca": {"secret": "ca"}}),
                route("shop", rule("shop"), rule(path={"exact": "/x"}, reply={"body": body})),
                shop_policy(health={"active": {"interval": interval, "unhealthy": 1}, "panic": "0%"})]

    w = env.weir(documents("1h", "one"), workers=1)
    until(lambda: state_of(w, sick) == "unhealthy", "checked once")
    for interval, body in (("1h", "two"), ("2h", "two")):
        w.reload(documents(interval, body))
        same(state_of(w, sick), "unhealthy")
        same({env.client(w.addr()).ask().body for _ in range(6)}, {b"well"})


def test_active_health_check_over_tcp(env):
    a, b = env.upstream(name="a"), env.upstream(name="b")
    w = env.weir(simple(a, b, more=[shop_policy(health={"active": {"type": "tcp", "interval": "100ms", "timeout": "500ms", "healthy": 1, "unhealthy": 1}, "panic": "0%"})]), workers=1)
    c = env.client(w.addr())
    same(c.ask().status, 200)
    a.stop_listening()
    a.drop_connections()
    until(lambda: state_of(w, a) == "unhealthy", "unhealthy")
    same({c.ask().body for _ in range(10)}, {b"b"})


def test_active_health_check_that_hangs(env):
    a, b = env.upstream(hang), env.upstream(name="b")
    w = env.weir(simple(a, b, more=[shop_policy(health={"active": {"interval": "100ms", "timeout": "100ms", "healthy": 1, "unhealthy": 2}, "panic": "0%"})]), workers=1)
    until(lambda: state_of(w, a) == "unhealthy", "unhealthy")
    same(env.client(w.addr()).ask().body, b"b")


def test_all_endpoints_unhealthy(env):
    up = env.upstream(lambda x: reply(500, "sick"))
    w = env.weir(simple(up, more=[shop_policy(health={"active": {"interval": "100ms", "unhealthy": 1}, "panic": "0%"})]))
    until(lambda: state_of(w, up) == "unhealthy", "unhealthy")
    r = problem(env.client(w.addr()).ask(), 503, "no-healthy-endpoint", "destination_unavailable")
    assert int(r.header("retry-after")) >= 1


# ---- balancing ----
def spread(env, algorithm, n=60, **more):
    ups = [env.upstream(name=str(i)) for i in range(3)]
    w = env.weir(simple(*ups, more=[shop_policy(balance={"algorithm": algorithm})]), workers=1)
    c = env.client(w.addr())
    for _ in range(n):
        c.ask()
    return [len(u.requests) for u in ups]


def test_round_robin(env):
    same(spread(env, "round-robin"), [20, 20, 20])


def test_other_algorithms_use_every_endpoint(env):
    for name in ("least-request",):
        got = spread(env, name, 90)
        assert min(got) >= 8, "%s: %r" % (name, got)


def test_endpoint_weights(env):
    a, b = env.upstream(), env.upstream()
    w = env.weir([gateway(), service("shop", {"address": a.address, "weight": 3}, {"address": b.address, "weight": 1}), route("shop", rule("shop"))], workers=1)
    c = env.client(w.addr())
    for _ in range(40):
        c.ask()
    same((len(a.requests), len(b.requests)), (30, 10))


def test_least_request_avoids_a_busy_endpoint(env):
    go = threading.Event()

    def slow(x):
        go.wait(15)
        return reply(body="slow")

    a, b = env.upstream(slow), env.upstream(name="fast")
    w = env.weir(simple(a, b, more=[shop_policy(balance={"algorithm": "least-request"})]), workers=1)
    tasks = []
    while not a.requests:
        tasks.append(env.thread(lambda: env.client(w.addr()).ask().status))
        threading.Event().wait(0.01)
    c = env.client(w.addr())
    same([c.ask().body for _ in range(20)], [b"fast"] * 20)
    go.set()
    for t in tasks:
        same(t.result(), 200)


# ---- shedding ----
def test_connection_limit_sheds(env):
    w = env.weir(simple(env.upstream(), more=[edge_policy(limits={"connections": 3})]))
    held = [env.client(w.addr()) for _ in range(3)]
    for c in held:
        same(c.ask().status, 200)
    c = env.client(w.addr())
    try:
        c.request()
    except OSError:
        pass
    r = c.response()
    same((r.status, r.header("connection"), r.header("content-type")), (503, "close", "application/problem+json"))
    assert int(r.header("retry-after")) >= 1
    json.loads(r.body)
    c.closed()
    assert w.status()["shed"] >= 1
    for c in held:
        same(c.ask().status, 200, "those inside go on")
    held[0].close()
    until(lambda: w.status()["connections"] == 2, "one left")
    same(env.client(w.addr()).ask().status, 200)


# ---- broken answers ----
def test_upstream_dies_in_the_body(env):
    """Length, chunks and HTTP/2 alike: the client can tell that the answer is not whole."""
    def handler(x):
        if x.request.target == "/length":
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        else:
            x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        x.reset() if x.request.header("x-reset") else None

    w = env.weir(simple(env.upstream(handler)))
    for path in ("/length", "/chunked"):
        for headers in ([], [("X-Reset", "1")]):
            c = env.client(w.addr())
            c.request("GET", path, headers)
            try:
                r = c.response()
            except Closed:
                continue
            assert r.status == 502, "a cut answer passed as whole: %r %r" % (r.raw, r.body)
    h = H2Client(w.addr())
    env.clients.append(h)
    for path in ("/length", "/chunked"):
        s = h.ask("GET", path)
        assert s.reset is not None or s.status == 502, path
    for row in w.wait_access(6):
        same(row["failed"], "upstream")


def test_upstream_closes_while_the_body_is_sent(env):
    def script(sock, number):
        Reader(sock).until(b"\r\n\r\n")

    w = env.weir(simple(env.raw_upstream(script)))
    c = env.client(w.addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 50000000\r\n\r\n")
    try:
        for _ in range(50):
            c.send(b"x" * 1000000)
    except OSError:
        pass
    try:
        same(c.head().status, 502)
    except Closed:
        pass  # the answer was lost under our own upload
    same(w.wait_access()[0]["status"], 502)


def test_h2_upstream_dies_with_many_streams(env):
    """Every stream of a lost connection fails alone; those not yet sent find a new one."""
    hung = threading.Semaphore(0)

    def handler(r):
        if r.conn.number == 1:
            hung.release()
            r.wait_end()
            threading.Event().wait(20)
        r.respond(body=b"second")

    up = H2Upstream(handler)
    env.cleanups.append(up.close)
    w = env.weir(simple(up, protocol="h2", more=[shop_policy(retry={"attempts": 1, "backoffBase": "1ms"})]), workers=1)
    tasks = [env.thread(lambda: env.client(w.addr()).ask().body) for _ in range(20)]
    for _ in range(20):
        assert hung.acquire(timeout=15)
    up.drop_connections()
    got = [t.result() for t in tasks]
    assert got.count(b"second") >= 3, got  # the budget bounds the rest
    same(env.client(w.addr()).ask().body, b"second")


def test_no_descriptor_or_connection_leaks(env):
    """After all kinds of failures everything is given back."""
    def handler(x):
        t = x.request.target
        if t == "/reset":
            x.reset()
        if t == "/close":
            return None
        if t == "/half":
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            return None
        if t == "/bad":
            x.send("nonsense\r\n\r\n")
            return None
        if t == "/hang":
            return hang(x)
        return reply()

    w = env.weir(simple(env.upstream(handler), more=[shop_policy(timeout={"request": "300ms", "upstreamKeepAlive": "200ms"}, health={"passive": {"consecutive": 0}})]))
    same(env.client(w.addr()).ask().status, 200)
    env.clients[-1].close()
    until(lambda: w.service()["connections"] == 0 and w.status()["connections"] == 0, "idle")
    before = w.descriptors()
    address = w.addr()

    def one(path):
        for _ in range(20):
            c = H1Client(address)
            try:
                c.ask("GET", path)
            except Closed:
                pass
            c.close()

    for t in [env.thread(one, p) for p in ("/reset", "/close", "/half", "/bad", "/hang", "/")]:
        t.result()
    until(lambda: w.service()["connections"] == 0 and w.status()["connections"] == 0, lambda: "all given back: %r" % w.status())
    until(lambda: w.descriptors() <= before + 1, lambda: "descriptors: %d before, %d now" % (before, w.descriptors()))
    same((w.service()["activeRequests"], w.service()["pendingRequests"]), (0, 0))
    same([e["activeRequests"] for e in w.endpoints()], [0])


def test_dns_endpoints(env):
    """An endpoint by name; one that does not resolve is an error of its service alone."""
    up = env.upstream()
    w = env.weir([gateway(), service("shop", "localhost:%d" % up.port), service("lost", "does-not-exist.invalid:80"),
                  route("shop", rule("shop")), route("lost", rule("lost"), hosts=["lost.example"])])
    c = env.client(w.addr())
    until(lambda: c.ask().status == 200, "resolved")
    r = c.ask(host="lost.example")
    same(r.status, 503)
    same(r.header("proxy-status"), "weir; error=dns_error")


def test_ipv6(env):
    probe = socket.socket(socket.AF_INET6)
    try:
        probe.bind(("::1", 0))
    except OSError:
        return  # no IPv6 on this machine
    finally:
        probe.close()
    up = env.upstream()
    w = env.weir(simple(up, gw=gateway(listener(address="[::1]:0"))))
    same(env.client(w.addr()).ask().status, 200)
    same(up.requests[0].header("x-forwarded-for"), "::1")
