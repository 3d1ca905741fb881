"""Attacks that need an order of events rather than odd bytes: answers before their time, tunnels that break, connections held open, who is
charged for a reset (T5, T8, T9, T12, T17, T18, T20, T23)."""
import gzip
import os
import signal
import struct
import threading
import time

from h2peers import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, SETTINGS, WINDOW_UPDATE, H2Client, H2Upstream, RawH2,
                     encode, frame, request_headers)
from peers import Closed, Reader, reply
from test_h2_abuse import flood, handler, offend
from weirlib import edge_policy, gateway, route, rule, same, service, simple, until

UPGRADE = "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%s\r\n"
BIG = b"x" * (1 << 20)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


# ---- T8: CONNECT and tunnels ----
def test_after_a_refused_connect_nothing_is_swallowed(env):
    """A CONNECT is not followed by a body: what comes after its refusal is not read, and the client is told so."""
    up = env.upstream()
    c = env.client(env.weir(simple(up)).addr())
    c.send("CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    r = c.response("CONNECT")
    same((r.status, r.header("connection")), (405, "close"))
    c.closed()
    same(up.requests, [])


def test_101_before_the_request_is_whole(env):
    """RFC 9110 section 7.8: a client cannot switch in the middle of its request, so an upstream that says so is refused."""
    def script(sock, number):
        Reader(sock).until(b"\r\n\r\n")
        sock.sendall(SWITCH)

    c = env.client(env.weir(simple(env.raw_upstream(script))).addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 10\r\n\r\nabc")
    same(c.response().status, 502)
    c.closed()


def test_tunnel_whose_upstream_ends_and_breaks(env):
    """The client has all that was said, and its own bytes go nowhere: not into memory either."""
    def script(sock, number):
        Reader(sock).until(b"\r\n\r\n")
        sock.sendall(SWITCH + b"bye")
        sock.shutdown(1)
        sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER: close() resets
        sock.recv(1)
        sock.close()

    w = env.weir(simple(env.raw_upstream(script)))
    c = env.client(w.addr())
    c.send(UPGRADE % "")
    same(c.head().status, 101)
    same(c.reader.exactly(3), b"bye")
    try:
        for _ in range(200):
            c.send(b"x" * 65536)
    except OSError:
        pass
    until(lambda: w.status()["connections"] == 0, "the tunnel is let go")


# ---- T9: answers before their time ----
def test_answer_before_the_request_is_whole_ends_the_upstream_connection(env):
    """An upstream that did not read the body may take it for a request: nobody else is given that connection (CL.0)."""
    answered = threading.Event()

    def script(sock, number):
        r = Reader(sock)
        while True:
            r.until(b"\r\n\r\n")
            sock.sendall(reply(body="first %d" % number))
            answered.set()

    up = env.raw_upstream(script)
    w = env.weir(simple(up), workers=1)
    c = env.client(w.addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 30\r\n\r\n")
    answered.wait(10)
    same(c.response().body, b"first 1")
    c.send("GET /smuggled HTTP/1.1\r\nX: y\r\n")
    d = env.client(w.addr())
    same(d.ask().body, b"first 2")
    same(c.ask().body, b"first 2")


def stopped_all(pid):
    states = []
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/stat" % (pid, task), encoding="ascii") as f:
            states.append(f.read().rsplit(")", 1)[1].split()[0])
    return set(states) == {"T"}


def test_bytes_that_wait_on_a_pooled_connection_are_no_answer(env):
    """Bytes that came before the request left belong to nobody, even when both are seen in the same turn of the loop."""
    def script(sock, number):
        r = Reader(sock)
        r.until(b"\r\n\r\n")
        sock.sendall(reply(body="good"))
        if number == 1:
            stopped.wait(10)
            sock.sendall(reply(body="POISON"))
            poisoned.set()
        while True:
            r.until(b"\r\n\r\n")
            sock.sendall(reply(body="good"))

    stopped, poisoned = threading.Event(), threading.Event()
    w = env.weir(simple(env.raw_upstream(script)), workers=1)
    c = env.client(w.addr())
    same(c.ask().body, b"good")
    until(lambda: w.service()["connections"] == 1, "one pooled connection")
    os.kill(w.process.pid, signal.SIGSTOP)
    try:
        until(lambda: stopped_all(w.process.pid), "every thread stands still")
        c.request()  # first in line, before the poison
        stopped.set()
        poisoned.wait(10)
    finally:
        os.kill(w.process.pid, signal.SIGCONT)
    same(c.response().body, b"good")
    same(c.ask().body, b"good")


def test_a_goaway_that_overtakes_a_request_costs_it_nothing(env):
    """Seen in the turn in which the request was given to the connection, before it left: not processed by anybody, so even a POST goes
    elsewhere."""
    def handler(r):
        r.respond(body=b"ok")
        if r.path == "/first":
            first.append(r)

    first = []
    up = H2Upstream(handler)
    env.cleanups.append(up.close)
    w = env.weir(simple(up, protocol="h2"), workers=1)
    c = env.client(w.addr())
    same(c.ask("GET", "/first").status, 200)
    until(lambda: w.service()["connections"] == 1 and first, "one pooled connection")
    os.kill(w.process.pid, signal.SIGSTOP)
    try:
        until(lambda: stopped_all(w.process.pid), "every thread stands still")
        c.request("POST", "/second", body=b"x")  # first in line, before the GOAWAY
        first[0].send_goaway()
    finally:
        os.kill(w.process.pid, signal.SIGCONT)
    same(c.response().status, 200)


def test_what_all_connections_hold_together_is_bounded(env):
    """Each client is within its own limits; together they reach --memory, and then new requests are shed, not served from memory that is
    not there."""
    big = b"x" * (1 << 20)
    w = env.weir(simple(env.upstream(lambda x: reply(body=big if x.request.target == "/big" else b"small"))), workers=1, args=["--memory", "4MiB"])
    clients = []
    def held():
        c = RawH2(w.addr(), settings=struct.pack(">HI", 4, 0))  # INITIAL_WINDOW_SIZE 0: takes nothing
        env.clients.append(c)
        clients.append(c)
        for i in range(50):
            c.headers(2 * i + 1, request_headers(path="/big"))
        return env.client(w.addr()).ask("GET", "/small")

    for _ in range(20):
        r = held()
        if r.status == 503:
            break
    same((r.status, r.header("retry-after")), (503, "1"))
    for c in clients:
        c.close()
    until(lambda: env.client(w.addr()).ask("GET", "/small").status == 200, "memory comes back with the connections")


def test_interim_answers_without_end(env):
    """Sixteen interim answers pass; an upstream that goes on is given up."""
    for n, want in ((16, 200), (17, 502), (5000, 502)):
        def script(sock, number, count=n):
            Reader(sock).until(b"\r\n\r\n")
            sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * count + reply())

        r = env.client(env.weir(simple(env.raw_upstream(script)), workers=1).addr()).ask()
        same((r.status, len(r.interim)), (want, 16))

    def endless(r):
        for _ in range(100):
            r.send_interim(103, [("link", "</a>")])
        r.respond()

    up = H2Upstream(endless)
    env.cleanups.append(up.close)
    same(env.client(env.weir(simple(up, protocol="h2"), workers=1).addr()).ask().status, 502)


# ---- T12: names that become others in a CGI environment ----
def test_underscores_do_not_disguise_a_field(env):
    """X_Forwarded_For is X-Forwarded-For to whatever turns fields into variables; Transfer_Encoding likewise."""
    up = env.upstream()
    w = env.weir(simple(up))
    names = ["X_Forwarded_For", "X-Forwarded_For", "x_real_ip", "X_Consumer_Id", "X_REQUEST_ID", "Client_Cert", "X_Forwarded-Client_Cert",
             "Transfer_Encoding", "Content_Length", "Proxy_Authorization", "X_Forwarded_Anything"]
    h1 = env.client(w.addr())
    same(h1.ask(headers=[(n, "1") for n in names] + [("X_Mine", "1"), ("my_id", "2")]).status, 200)
    h2 = H2Client(w.addr())
    env.clients.append(h2)
    same(h2.ask(headers=[(n.lower(), "1") for n in names] + [("x_mine", "1"), ("my_id", "2")]).status, 200)
    for r in up.requests:
        same([n for n in names if n in r.headers], [])
        same((r.header("x_mine"), r.header("my_id")), ("1", "2"))


# ---- T4, T5: trailers ----
def test_h2_trailers_that_must_not_pass(env):
    up = env.upstream()
    w = env.weir(simple(up))
    c = H2Client(w.addr())
    env.clients.append(c)
    bad = ["x-forwarded-for", "x-forwarded-anything", "authorization", "cookie", "content-encoding", "content-range", "if-match", "cache-control", "range",
           "www-authenticate", "sec-fetch-site", "host", "x-consumer-id", "x_forwarded_for"]
    same(c.ask("POST", body=b"abc", trailers=[(n, "1") for n in bad] + [("x-sum", "42")]).status, 200)
    same([(k.lower(), v) for k, v in up.requests[0].trailers], [("x-sum", "42")])


def test_h2_trailers_over_the_limit_are_not_cut(env):
    """Trailers too large to keep end the stream; none is left out in silence."""
    up = env.upstream()
    w = env.weir(simple(up))
    for trailers in ([("x-%d" % i, "v" * 400) for i in range(60)], [("x-%d" % i, "v") for i in range(150)]):
        c = RawH2(w.addr())
        env.clients.append(c)
        c.headers(1, request_headers("POST"), END_HEADERS)
        c.send(frame(DATA, 0, 1, b"abc"))
        block = encode(trailers)
        c.send(frame(HEADERS, END_STREAM, 1, block[:16000]) + frame(CONTINUATION, END_HEADERS, 1, block[16000:]))
        f = c.next()
        while f and f[0] not in (HEADERS, RST_STREAM, GOAWAY):
            f = c.next()
        assert f and f[0] != HEADERS, "answered %r" % (f,)
    same([r.raw for r in up.requests], [])


def h2_answer(frames):
    """A script for a raw upstream: reads a preface and frames up to the first HEADERS, then says this."""
    def script(sock, number):
        sock.sendall(frame(SETTINGS))
        r = Reader(sock)
        r.exactly(24)
        kind = None
        while kind != HEADERS:
            head = r.exactly(9)
            kind = head[3]
            r.exactly(int.from_bytes(head[:3], "big"))
        sock.sendall(frame(SETTINGS, ACK) + frames)
        r.rest()
    return script


def test_h2_answers_whose_length_is_wrong(env):
    """An upstream's DATA says something else than its Content-Length: the client sees 502 or a cut answer, in either version."""
    def answer(fields, *data, end=0):
        return frame(HEADERS, END_HEADERS | end, 1, encode([(":status", "200"), *fields])) + b"".join(data)

    five = ("content-length", "5")
    cases = {
        "fewer": answer([five], frame(DATA, END_STREAM, 1, b"abc")), "more": answer([five], frame(DATA, END_STREAM, 1, b"abcdefgh")),
        "more, in a second frame": answer([five], frame(DATA, 0, 1, b"abcde"), frame(DATA, END_STREAM, 1, b"f")),
        "none": answer([five], end=END_STREAM), "twice": answer([five, five], frame(DATA, END_STREAM, 1, b"abcde")),
        "two": answer([five, ("content-length", "6")], frame(DATA, END_STREAM, 1, b"abcde")),
        "signed": answer([("content-length", "+5")], frame(DATA, END_STREAM, 1, b"abcde")),
        "chunked": answer([("transfer-encoding", "chunked")], frame(DATA, END_STREAM, 1, b"0\r\n\r\n")),
    }
    for name, frames in cases.items():
        for version in (1, 2):
            w = env.weir(simple(env.raw_upstream(h2_answer(frames)), protocol="h2"), workers=1)
            c = env.client(w.addr()) if version == 1 else H2Client(w.addr())
            env.clients.append(c)
            try:
                r = c.ask()
                whole = name == "more, in a second frame" and r.body == b"abcde"  # all that was promised had been passed on
                assert r.status == 502 or whole or (version == 2 and r.reset), "%s: %d %r" % (name, r.status, r.body)
            except Closed:
                pass
            w.stop()
    w = env.weir(simple(env.raw_upstream(h2_answer(answer([five], frame(DATA, END_STREAM, 1, b"abcde")))), protocol="h2"), workers=1)
    same(env.client(w.addr()).ask().body, b"abcde")


def test_compressed_bodies_pass_as_they_are(env):
    """T21: nothing is decompressed, so a bomb costs what it weighs."""
    bomb = gzip.compress(bytes(64 << 20))
    up = env.upstream(lambda x: reply(body=x.request.body, headers=[("Content-Encoding", "gzip")]))
    w = env.weir(simple(up))
    before = w.rss()
    for c in (env.client(w.addr()), H2Client(w.addr())):
        env.clients.append(c)
        r = c.ask("POST", "/", headers=[("content-encoding", "gzip")], body=bomb)
        same((r.status, r.body == bomb, r.header("content-encoding")), (200, True, "gzip"))
    assert w.rss() - before < 24 << 20, w.rss() - before


# ---- T20: who holds a connection open ----
def test_stalled_trailer_block_is_ended(env):
    """The header time limit holds for a block of trailers too."""
    w = env.weir(simple(env.upstream(handler), more=[edge_policy(timeout={"header": "300ms", "bodyIdle": "300ms", "keepAlive": "300ms"})]))
    c = RawH2(w.addr())
    env.clients.append(c)
    c.headers(1, request_headers("POST"), END_HEADERS)
    c.send(frame(DATA, 0, 1, b"abc") + frame(HEADERS, END_STREAM, 1, encode([("x-sum", "1")])[:2]))
    c.end()
    until(lambda: w.status()["connections"] == 0, "the stalled connection is closed")


ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RELEASE = os.path.join(ROOT, "build", "release", "weir")


def growth(env, w, before):
    """The most proportional memory since before, seen until it is steady; what a sanitizer adds is not the proxy's."""
    seen = []
    while len(seen) < 300 and len(set(seen[-60:])) != 1 or len(seen) < 60:
        seen.append(pss(w))
        time.sleep(0.01)
    most = 8 if env.binary == RELEASE else 32
    assert max(seen) - before <= most << 20, "grew by %d KiB" % ((max(seen) - before) >> 10)


def pss(w):
    with open("/proc/%d/smaps_rollup" % w.process.pid, encoding="ascii") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("Pss:"))


def test_one_connection_grows_memory_by_8_mib_at_most(env):
    """128 large answers to a client that reads nothing, then 128 uploads to an upstream that reads nothing."""
    if os.path.exists(RELEASE):
        env.binary = RELEASE
    up = env.upstream(lambda x: reply(body=BIG))
    slow = H2Upstream(lambda r: r.wait_end(), early=True, acknowledge=False)
    env.cleanups.append(slow.close)
    w = env.weir([gateway(), service("shop", up), route("shop", rule("shop")), service("slow", slow, protocol="h2"),
                  route("slow", rule("slow"), hosts=["slow.example"])], workers=1)
    same(env.client(w.addr()).ask("HEAD").status, 200)
    before = pss(w)
    reader = RawH2(w.addr(), settings=struct.pack(">HI", 4, 0x7fffffff))
    env.clients.append(reader)
    reader.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7fff0000 - 65535)))
    for i in range(128):
        reader.headers(2 * i + 1)
    up.wait(129)
    growth(env, w, before)
    reader.close()
    until(lambda: w.service()["activeRequests"] == 0, "the reader is let go")
    before = pss(w)
    writer = H2Client(w.addr())
    env.clients.append(writer)
    streams = [writer.start("POST", end=False, authority="slow.example") for _ in range(128)]
    writer.until(lambda: writer.settled, "SETTINGS")
    sent = True
    while sent:
        sent = False
        for s in streams:
            room = min(writer.conn.local_flow_control_window(s.id), writer.conn.max_outbound_frame_size)
            if room > 0:
                writer.conn.send_data(s.id, bytes(room))
                writer.flush()
                sent = True
        n = writer.pongs
        writer.conn.ping(b"12345678")
        writer.flush()
        writer.until(lambda: writer.pongs > n, "PING ACK")
    growth(env, w, before)


def test_request_limit_of_an_h2_connection_holds(env):
    """A client that goes on asking after GOAWAY does not put its end off."""
    up = env.upstream()
    w = env.weir(simple(up, more=[edge_policy(limits={"requests": 3})]))
    c = RawH2(w.addr())
    env.clients.append(c)
    n = [0]

    def ask():
        while c.try_send(frame(HEADERS, END_HEADERS | END_STREAM, 2 * n[0] + 1, encode(request_headers()))):
            n[0] += 1
            if c.next() is None or n[0] > 100000:
                return

    task = env.thread(ask)
    task.result(30)
    assert c.eof or n[0] < 100000, n
    until(lambda: w.status()["connections"] == 0, "the connection is closed")


def test_h2_client_that_reads_nothing_is_let_go(env):
    """Large answers to a client that does not read from its socket: the idle time limit ends the connection and frees what was queued."""
    up = env.upstream(lambda x: reply(body=b"x" * (8 << 20)))
    w = env.weir(simple(up, more=[edge_policy(timeout={"idle": "500ms", "request": "60s"})]))
    c = RawH2(w.addr(), settings=struct.pack(">HI", 4, 0x7fffffff))
    env.clients.append(c)
    c.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7fff0000 - 65535)))
    for i in range(20):
        c.headers(2 * i + 1)
    up.wait(20)
    until(lambda: w.status()["connections"] == 0, "the connection is closed")


# ---- T17: whatever makes us reset is counted ----
def resets(make):
    def attack(c):
        flood(c, make, 100000)
    return attack


def head(i, *extra):
    return frame(HEADERS, END_HEADERS, 2 * i + 1, encode(request_headers("POST", "/hang", extra=extra)))


def test_made_you_reset_by_length_mismatch(env):
    """CVE-2025-8671: more DATA than Content-Length."""
    offend(env, resets(lambda i: head(i, ("content-length", "1")) + frame(DATA, 0, 2 * i + 1, b"ab")))


def test_made_you_reset_by_a_short_body(env):
    """Fewer DATA than Content-Length."""
    offend(env, resets(lambda i: head(i, ("content-length", "5")) + frame(DATA, END_STREAM, 2 * i + 1, b"ab")))


def test_made_you_reset_by_trailers_without_end(env):
    offend(env, resets(lambda i: head(i) + frame(HEADERS, END_HEADERS, 2 * i + 1, encode([("x-a", "1")]))))


def test_made_you_reset_by_data_after_the_end(env):
    offend(env, resets(lambda i: head(i) + frame(DATA, END_STREAM, 2 * i + 1, b"a") + frame(DATA, 0, 2 * i + 1, b"b")))


def test_made_you_reset_by_self_dependency(env):
    offend(env, resets(lambda i: head(i) + frame(2, 0, 2 * i + 1, struct.pack(">IB", 2 * i + 1, 16))))


def test_window_update_flood(env):
    """WINDOW_UPDATEs without end, on the connection and on a stream that has nothing to send."""
    def attack(c):
        c.headers(1, request_headers("POST", "/hang"), END_HEADERS)
        flood(c, lambda i: frame(WINDOW_UPDATE, 0, i % 2, struct.pack(">I", 1)), 1000000)

    offend(env, attack)


def test_unknown_frame_flood(env):
    offend(env, lambda c: flood(c, lambda i: frame(0xbb, 0, 0, b"x"), 1000000))


def test_dribble_by_window(env):
    """CVE-2019-9511: a window opened byte by byte makes a frame of one byte each."""
    up = env.upstream(lambda x: reply(body=b"x" * 200000 if x.request.target == "/big" else "ok"))

    def attack(c):
        c.headers(1, request_headers(path="/big"))
        flood(c, lambda i: frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1)), 190000)

    offend(env, attack, settings=struct.pack(">HI", 4, 0), up=up)
