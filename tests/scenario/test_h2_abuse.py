"""What a hostile HTTP/2 client can do (T7, T17 to T20, T24): the offender alone is closed or refused, others go on, memory stays."""
import struct
import threading

from h2peers import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE,
                     H2Client, RawH2, encode, frame, request_headers)
from peers import Closed, client_context, reply
from weirlib import edge_policy, gateway, listener, same, secret, simple, until

MB = 1 << 20
MEMORY = 24 * MB  # what one offender may cost


class Bystanders:
    """Two clients, HTTP/1 and HTTP/2, that ask all the time; any failure is theirs to tell."""

    def __init__(self, env, address, tls=None):
        self.stop = threading.Event()
        self.done = [0, 0]
        self.h2 = H2Client(address, tls=tls)
        self.h1 = env.client(address)
        env.clients.append(self.h2)
        self.tasks = [env.thread(self.ask_h1), env.thread(self.ask_h2)]

    def ask_h1(self):
        while not self.stop.is_set():
            same(self.h1.ask("GET", "/bystander").status, 200)
            self.done[0] += 1

    def ask_h2(self):
        while not self.stop.is_set():
            same(self.h2.ask("GET", "/bystander").status, 200)
            self.done[1] += 1

    def check(self):
        before = list(self.done)
        until(lambda: all(t.error for t in self.tasks) or all(n >= b + 20 for n, b in zip(self.done, before)), "bystanders go on")
        self.stop.set()
        for t in self.tasks:
            t.result()


def handler(x):
    if x.request.target == "/hang":
        try:
            x.sock.recv(1)
        except OSError:
            pass
        return None
    return reply()


def offend(env, attack, closes=True, goaway=None, more=(), settings=b"", up=None):
    """Runs attack(connection) beside bystanders. closes: the connection must end; goaway: allowed codes of its GOAWAY."""
    up = up or env.upstream(handler)
    w = env.weir(simple(up, more=list(more)))
    bystanders = Bystanders(env, w.addr())
    until(lambda: min(bystanders.done) > 5, "bystanders at work")
    before = w.rss()
    c = RawH2(w.addr(), settings=settings)
    env.clients.append(c)
    attack(c)
    if closes:
        code = c.end()
        if goaway is not None:
            assert code in goaway, "GOAWAY code %r, want one of %r" % (code, goaway)
    grown = w.rss() - before
    assert grown < MEMORY, "memory grew by %d KB" % (grown // 1024)
    bystanders.check()
    until(lambda: w.status()["connections"] <= (2 if closes else 3), lambda: "connections are let go: %d" % w.status()["connections"])
    return w, up, c


def flood(c, make, times):
    """Sends make(i) until the peer has had enough; the number sent."""
    reader = threading.Thread(target=c.end, daemon=True)
    reader.start()
    batch = b""
    for i in range(times):
        batch += make(i)
        if len(batch) > 16384:
            if not c.try_send(batch):
                break
            batch = b""
        if c.eof:
            break
    c.try_send(batch)
    reader.join(10)
    assert not reader.is_alive(), "not closed after a flood of %d" % times
    return i


def test_rapid_reset(env):
    """CVE-2023-44487: streams opened and reset at once."""
    def attack(c):
        flood(c, lambda i: frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, encode(request_headers())) + frame(RST_STREAM, 0, 2 * i + 1, struct.pack(">I", 8)), 200000)

    w, up, c = offend(env, attack, goaway=(11, 0, 1, None))
    mine = [r for r in up.requests if r.target == "/"]
    assert len(mine) < 20000, "%d requests reached the upstream" % len(mine)
    until(lambda: w.metric("weir_listener_abuse_total") >= 1, lambda: "abuse counted: %r" % [k for k in w.metrics() if "abuse" in k])


def test_answers_let_go_of(env):
    """Each call is cancelled when its answer has begun: no faster than the answers come, however fast that is."""
    def stream(x):
        x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        x.reader.rest()

    w = env.weir(simple(env.upstream(stream)), workers=1)
    c = RawH2(w.addr())
    env.clients.append(c)
    for i in range(1000):
        c.headers(2 * i + 1)
        same(c.wait(DATA, stream=2 * i + 1)[3], b"first")
        c.send(frame(RST_STREAM, 0, 2 * i + 1, struct.pack(">I", 8)))
        c.frames.clear()
    until(lambda: w.service()["connections"] == 0, "the service's side is let go too")


def test_made_you_reset(env):
    """CVE-2025-8671: the client makes the server reset: a window update that overflows, on each stream."""
    def attack(c):
        flood(c, lambda i: frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, encode(request_headers(path="/hang"))) +
              frame(WINDOW_UPDATE, 0, 2 * i + 1, struct.pack(">I", 0x7fffffff)), 100000)

    w, up, c = offend(env, attack)
    mine = [r for r in up.requests if r.target == "/hang"]
    assert len(mine) < 20000, len(mine)


def test_made_you_reset_by_zero_window_update(env):
    def attack(c):
        flood(c, lambda i: frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, encode(request_headers(path="/hang"))) +
              frame(WINDOW_UPDATE, 0, 2 * i + 1, struct.pack(">I", 0)), 100000)

    offend(env, attack)


def test_reset_by_bad_headers(env):
    """Each stream is malformed, so each is reset by us."""
    def attack(c):
        flood(c, lambda i: frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, encode(request_headers(extra=[("connection", "close")]))), 200000)

    w, up, c = offend(env, attack)
    same([r for r in up.requests if r.target == "/"], [])


def test_settings_flood(env):
    """CVE-2019-9515."""
    offend(env, lambda c: flood_unread(c, lambda i: frame(SETTINGS, payload=struct.pack(">HI", 4, 65535 + i % 100)), 300000))


def test_ping_flood(env):
    """CVE-2019-9512."""
    offend(env, lambda c: flood_unread(c, lambda i: frame(PING, payload=struct.pack(">Q", i)), 300000))


def test_a_ping_for_every_data_frame(env):
    """As gRPC for Go measures the bandwidth: that is no flood, however fast the data comes."""
    size = 24 << 20
    c = RawH2(env.weir(simple(env.upstream(lambda x: reply(body=b"x" * size)))).addr())
    env.clients.append(c)
    c.headers(1)
    while size:
        payload = c.wait(DATA, stream=1)[3]
        size -= len(payload)
        c.frames.clear()
        given = struct.pack(">I", len(payload) or 1)
        c.send(frame(PING, payload=b"bdp_ping") + frame(WINDOW_UPDATE, 0, 0, given) + frame(WINDOW_UPDATE, 0, 1, given))


def test_empty_data_flood(env):
    """CVE-2019-9518: empty DATA frames without end."""
    def attack(c):
        c.headers(1, request_headers("POST", "/hang"), END_HEADERS)
        flood(c, lambda i: frame(DATA, 0, 1), 3000000)

    offend(env, attack)


def test_padding_only_data_flood(env):
    """DATA frames of padding alone carry nothing and cost work."""
    def attack(c):
        c.headers(1, request_headers("POST", "/hang"), END_HEADERS)
        c.send(b"".join(frame(DATA, PADDED, 1, bytes([255]) + bytes(255)) for _ in range(200)))
        c.send(frame(PING, payload=b"12345678"))
        c.wait(PING, ack=True)

    offend(env, attack, closes=False)


def test_priority_flood_costs_nothing(env):
    """CVE-2019-9513: PRIORITY is ignored or the connection closed; either way others go on."""
    def attack(c):
        for _ in range(50):
            if not c.try_send(b"".join(frame(PRIORITY, 0, 2 * i + 1, struct.pack(">IB", 2 * i + 3, 16)) for i in range(1000))):
                return
        c.try_send(frame(PING, payload=b"12345678"))
        try:
            c.wait(PING, ack=True)
        except Closed:
            pass

    offend(env, attack, closes=False)


def test_continuation_flood(env):
    """2024: a header block without end, in CONTINUATION frames."""
    def attack(c):
        c.send(frame(HEADERS, END_STREAM, 1, encode(request_headers())))
        flood(c, lambda i: frame(CONTINUATION, 0, 1, encode([("x-%d" % i, "v" * 100)])), 300000)

    offend(env, attack)


def test_empty_continuation_flood(env):
    def attack(c):
        c.send(frame(HEADERS, END_STREAM, 1, encode(request_headers())))
        flood(c, lambda i: frame(CONTINUATION, 0, 1), 3000000)

    offend(env, attack)


def test_hpack_bomb(env):
    """A large value indexed once and referenced thousands of times: 431 or a reset, never decoded into memory."""
    def attack(c):
        from hpack import Encoder
        e = Encoder()
        block = e.encode(request_headers() + [("x-bomb", "v" * 3900)])  # indexed
        c.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block))
        reference = bytes([0x80 | 62])
        for i in range(1, 30):
            c.send(frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, e.encode(request_headers()) + reference * 10000))
        c.send(frame(PING, payload=b"12345678"))
        try:
            c.wait(PING, ack=True)
        except Closed:
            pass

    w, up, c = offend(env, attack, closes=False)
    for r in up.requests:
        assert len(r.raw) < 20000, len(r.raw)


def test_cookie_bomb(env):
    """T19, Envoy 2026-47774: cookie crumbs count against the size of the head like everything else."""
    def attack(c):
        from hpack import Encoder
        e = Encoder()
        c.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, e.encode(request_headers() + [("cookie", "c" * 3900)])))
        c.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, e.encode(request_headers()) + bytes([0x80 | 62]) * 10000))
        c.send(frame(PING, payload=b"12345678"))
        try:
            c.wait(PING, ack=True)
        except Closed:
            pass

    w, up, c = offend(env, attack, closes=False)
    for r in up.requests:
        assert len(r.raw) < 20000, len(r.raw)


def test_too_large_a_head_is_431(env):
    """Over the limits on bytes and on fields, told as a status."""
    w = env.weir(simple(env.upstream()))
    for extra in ([("x-a", "v" * 10000), ("x-b", "v" * 10000)], [("x-%d" % i, "1") for i in range(150)]):
        c = RawH2(w.addr())
        env.clients.append(c)
        block = encode(request_headers(extra=extra))
        c.send(frame(HEADERS, END_STREAM, 1, block[:16000]) + frame(CONTINUATION, END_HEADERS, 1, block[16000:]))
        f = None
        while f is None or f[0] not in (HEADERS, RST_STREAM, GOAWAY):
            f = c.next()
            assert f is not None, "closed without a word"
        if f[0] == HEADERS:
            from hpack import Decoder
            same(dict(Decoder().decode(f[3]))[":status"], "431")


def test_zero_windows(env):
    """Slow read, CVE-2019-9511 and 9517: streams that ask for much and read nothing keep to their buffers; the idle time limit ends them."""
    big = b"x" * (2 * MB)
    up = env.upstream(lambda x: reply(body=big if x.request.target == "/big" else "ok"))

    def attack(c):
        for i in range(100):
            c.headers(2 * i + 1, request_headers(path="/big"))
        for _ in range(100):  # every stream is answered, none may send
            try:
                c.wait(HEADERS)
            except Closed:
                return
    # INITIAL_WINDOW_SIZE 0
    w, up, c = offend(env, attack, closes=False, settings=struct.pack(">HI", 4, 0), up=up, more=[edge_policy(timeout={"idle": "1s", "request": "60s"})])
    until(lambda: w.service()["activeRequests"] == 0, "streams without a window are ended by the idle time limit")


def test_negative_window_then_positive(env):
    """RFC 9113 section 6.9.2: a smaller INITIAL_WINDOW_SIZE makes windows negative; nothing is sent until they are positive again."""
    up = env.upstream(lambda x: reply(body=b"x" * 60000))
    w = env.weir(simple(up))
    c = RawH2(w.addr(), settings=struct.pack(">HI", 4, 1000))
    env.clients.append(c)
    c.headers(1)
    got = 0
    while got < 1000:
        got += len(c.wait(DATA)[3])
    c.send(frame(SETTINGS, payload=struct.pack(">HI", 4, 0)))  # window is now -1000
    c.send(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1500)))  # 500
    while got < 1500:
        got += len(c.wait(DATA)[3])
    same(got, 1500)
    c.send(frame(PING, payload=b"12345678"))
    c.wait(PING, ack=True)
    same(sum(len(f[3]) for f in c.frames if f[0] == DATA), 1500)
    c.send(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 60000)))
    while got < 60000:
        got += len(c.wait(DATA)[3])


def test_more_data_than_the_window(env):
    """T24: a client that ignores our window gets FLOW_CONTROL_ERROR for the stream or the connection, and nothing is buffered."""
    def attack(c):
        c.headers(1, request_headers("POST", "/hang"), END_HEADERS)
        for _ in range(1000):
            if not c.try_send(frame(DATA, 0, 1, b"x" * 16384)):
                break
        f = c.next()
        while f[0] not in (RST_STREAM, GOAWAY):
            f = c.next()
            assert f, "closed without a word"
        same(int.from_bytes(f[3][:4] if f[0] == RST_STREAM else f[3][4:8], "big"), 3)

    offend(env, attack, closes=False)


def test_ping_flood_that_is_not_read(env):
    """CVE-2019-9517, internal buffering: answers that nobody reads do not pile up."""
    def attack(c):
        for _ in range(3000):
            if not c.try_send(b"".join(frame(PING, payload=b"12345678") for _ in range(100))):
                return

    offend(env, attack)


def flood_unread(c, make, times):
    """As flood, for frames that we must acknowledge; the acknowledgements are read."""
    flood(c, make, times)


def refused(c):
    """True when the stream was reset, answered 400, or the connection closed with PROTOCOL_ERROR."""
    from hpack import Decoder
    d = Decoder()
    while True:
        f = c.next()
        if f is None or f[0] in (RST_STREAM, GOAWAY):
            return True
        if f[0] == HEADERS:
            status = dict(d.decode(f[3]))[":status"]
            assert status in ("400", "431"), "accepted with %s" % status
            return True


def test_request_injection(env):
    """T7: nothing in HTTP/2 fields can become a second line, field or request in HTTP/1."""
    up = env.upstream()
    w = env.weir(simple(up))
    smuggle = "\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    bad = [
        request_headers(path="/" + smuggle), request_headers(path="/a b"), request_headers(path="/a HTTP/1.1\r\nX: y"), request_headers(path=""),
        request_headers(path="a"), request_headers(path="/a\0b"), request_headers(path="/a#b"), request_headers(path="*"),
        request_headers(method="GET /smuggled HTTP/1.1\r\nX: "), request_headers(method=""), request_headers(method="GE T"), request_headers(method="G\0T"),
        request_headers(authority="shop.example" + smuggle), request_headers(authority="shop.example\r\nX: y"), request_headers(authority="a b"),
        request_headers(authority="u@shop.example"), request_headers(authority="shop.example/x"),
        request_headers(scheme="http://evil/?"), request_headers(scheme="h\r\nttp"), request_headers(scheme=""),
        request_headers(extra=[("x-a", "1\r\nx-b: 2")]), request_headers(extra=[("x-a", "1\nx-b: 2")]), request_headers(extra=[("x-a", "1\r2")]),
        request_headers(extra=[("x-a", "1\0")]), request_headers(extra=[("x-a: 1\r\nx-b", "2")]), request_headers(extra=[("x a", "1")]),
        request_headers(extra=[("X-Upper", "1")]), request_headers(extra=[("", "1")]), request_headers(extra=[("x:", "1")]),
        request_headers(extra=[("transfer-encoding", "chunked")]), request_headers(extra=[("connection", "close")]),
        request_headers(extra=[("connection", "x-forwarded-for")]), request_headers(extra=[("upgrade", "h2c")]), request_headers(extra=[("keep-alive", "1")]),
        request_headers(extra=[("proxy-connection", "1")]), request_headers(extra=[("te", "gzip")]), request_headers(extra=[("host", "evil.example")]),
        request_headers(extra=[("content-length", "1"), ("content-length", "2")]), request_headers(extra=[("content-length", "-1")]),
        request_headers(extra=[("content-length", "+0")]), request_headers(extra=[("content-length", "5")]),
        request_headers(extra=[(":path", "/twice")]), request_headers(extra=[(":status", "200")]), request_headers(extra=[(":unknown", "x")]),
        [("x-before", "1")] + request_headers(), [h for h in request_headers() if h[0] != ":path"], [h for h in request_headers() if h[0] != ":method"],
        [h for h in request_headers() if h[0] != ":scheme"], [h for h in request_headers() if h[0] != ":authority"],
        request_headers() + request_headers(), [(":method", "CONNECT"), (":authority", "shop.example:1"), (":path", "/")],
    ]
    accepted = []
    for headers in bad:
        c = RawH2(w.addr())
        c.headers(1, headers)
        try:
            refused(c)
        except AssertionError as e:
            accepted.append("%r: %s" % (headers, e))
        c.close()
    assert not accepted, "\n".join(accepted)
    same([r.raw for r in up.requests], [])
    c = H2Client(w.addr())
    env.clients.append(c)
    same(c.ask().status, 200)


def test_connect_is_refused(env):
    w = env.weir(simple(env.upstream()))
    c = RawH2(w.addr())
    env.clients.append(c)
    c.headers(1, [(":method", "CONNECT"), (":authority", "shop.example:443")], END_HEADERS)
    from hpack import Decoder
    f = c.next()
    while f and f[0] not in (HEADERS, RST_STREAM, GOAWAY):
        f = c.next()
    if f and f[0] == HEADERS:
        same(dict(Decoder().decode(f[3]))[":status"], "405")


def test_protocol_errors_close_the_offender(env):
    """One each of what RFC 9113 calls a connection error."""
    block = encode(request_headers())
    cases = {
        "DATA on stream 0": frame(DATA, 0, 0, b"x"),
        "HEADERS on stream 0": frame(HEADERS, END_HEADERS | END_STREAM, 0, block),
        "even stream id": frame(HEADERS, END_HEADERS | END_STREAM, 2, block),
        "DATA on an idle stream": frame(DATA, END_STREAM, 7, b"x"),
        "RST_STREAM on an idle stream": frame(RST_STREAM, 0, 7, struct.pack(">I", 8)),
        "WINDOW_UPDATE on an idle stream": frame(WINDOW_UPDATE, 0, 7, struct.pack(">I", 8)),
        "RST_STREAM of 3 bytes": frame(HEADERS, END_HEADERS, 1, block) + frame(RST_STREAM, 0, 1, b"abc"),
        "SETTINGS of 5 bytes": frame(SETTINGS, payload=b"12345"),
        "SETTINGS on a stream": frame(SETTINGS, stream=1),
        "SETTINGS ACK with payload": frame(SETTINGS, ACK, 0, bytes(6)),
        "SETTINGS window over 2^31": frame(SETTINGS, payload=struct.pack(">HI", 4, 0x80000000)),
        "SETTINGS frame size too small": frame(SETTINGS, payload=struct.pack(">HI", 5, 100)),
        "SETTINGS push 2": frame(SETTINGS, payload=struct.pack(">HI", 2, 2)),
        "PING of 7 bytes": frame(PING, payload=b"1234567"),
        "PING on a stream": frame(PING, stream=1, payload=b"12345678"),
        "connection window overflow": frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7fffffff)),
        "connection window by zero": frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0)),
        "frame over the maximal size": frame(DATA, 0, 1, b"x" * 20000),
        "CONTINUATION out of nowhere": frame(CONTINUATION, END_HEADERS, 1, block),
        "another frame inside a header block": frame(HEADERS, END_STREAM, 1, block[:5]) + frame(PING, payload=b"12345678"),
        "CONTINUATION of another stream": frame(HEADERS, END_STREAM, 1, block[:5]) + frame(CONTINUATION, END_HEADERS, 3, block[5:]),
        "HPACK index out of the table": frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\x03"),
        "HPACK cut integer": frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
        "HPACK table size over the limit": frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x3f\xe1\xff\x7f" + block),
        "padding longer than the frame": frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + block),
        "PUSH_PROMISE from a client": frame(5, END_HEADERS, 1, struct.pack(">I", 2) + block),
        "GOAWAY on a stream": frame(GOAWAY, 0, 1, bytes(8)),
    }
    w = env.weir(simple(env.upstream(handler)))
    failures = []
    for name, data in cases.items():
        c = RawH2(w.addr())
        c.sock.settimeout(5)
        try:
            c.try_send(data)
            code = c.end()
            if not code:
                failures.append("%s: closed with GOAWAY code %r" % (name, code))
        except OSError as e:
            failures.append("%s: not closed (%s)" % (name, e))
        c.close()
    assert not failures, "\n".join(failures)
    same(env.client(w.addr()).ask().status, 200)
    until(lambda: w.status()["connections"] == 1, "offenders' connections are let go")


def test_stream_id_going_down(env):
    """RFC 9113 section 5.1.1: an unexpected stream identifier is a connection error PROTOCOL_ERROR."""
    w = env.weir(simple(env.upstream()))
    c = RawH2(w.addr())
    env.clients.append(c)
    c.headers(5)
    c.wait(HEADERS, 5)
    c.headers(3)
    same(c.end(), 1)


def test_bad_preface(env):
    w = env.weir(simple(env.upstream()))
    for data in (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"GET / HTTP/1.1\r\n\r\n" * 3, b"PRI / HTTP/2.0\r\n\r\n"):
        c = RawH2(w.addr(), preface=False)
        c.try_send(data)
        while True:
            try:
                if not c.sock.recv(4096):
                    break
            except ConnectionError:
                break
        c.close()
    same(env.client(w.addr()).ask().status, 200)


def test_slow_preface_and_slow_head(env):
    """Slow clients meet the header time limit; others are not held."""
    w = env.weir(simple(env.upstream(), more=[edge_policy(timeout={"header": "300ms", "keepAlive": "300ms"})]))
    half = RawH2(w.addr(), preface=False)
    half.send(b"PRI * HTTP/2.0\r\n\r\nS")
    block = RawH2(w.addr())
    block.send(frame(HEADERS, END_STREAM, 1, encode(request_headers())[:5]))
    idle = RawH2(w.addr())
    env.clients += [half, block, idle]
    same(env.client(w.addr()).ask().status, 200)
    for c in (half, block, idle):
        c.end()
    until(lambda: w.status()["connections"] == 0, "slow connections are closed")


def test_abuse_over_tls_too(env):
    pair = env.ca().issue("shop.example")
    doc = simple(env.upstream(handler), gw=gateway(listener(protocol="https", tls={"certificates": [{"secret": "cert"}]})), more=[secret("cert", pair)])
    w = env.weir(doc)
    tls = client_context(env.ca(), alpn=["h2"])
    good = H2Client(w.addr(), tls=tls)
    c = RawH2(w.addr(), tls=tls)
    env.clients += [good, c]
    c.sock.settimeout(10)
    for k in range(100):
        if not c.try_send(b"".join(frame(HEADERS, END_HEADERS | END_STREAM, 2 * (100 * k + i) + 1, encode(request_headers())) +
                                   frame(RST_STREAM, 0, 2 * (100 * k + i) + 1, struct.pack(">I", 8)) for i in range(100))):
            break
    c.end()
    same(good.ask(scheme="https").status, 200)
