"""HTTP/2 with clients and upstreams: streams, windows, trailers, resets, GOAWAY, ALPN and prior knowledge."""
import select
import struct
import threading

from h2peers import ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, PREFACE, H2Client, H2Upstream, RawH2, encode, frame
from peers import Reader, chunked, client_context, reply
from weirlib import edge_policy, gateway, listener, policy, route, rule, same, secret, service, simple, until

MB = 1 << 20


def h2_upstream(env, handler=None, **more):
    u = H2Upstream(handler, **more)
    env.cleanups.append(u.close)
    return u


def h2_client(env, address, **more):
    c = H2Client(address, **more)
    env.clients.append(c)
    return c


def echo(r):
    r.respond(body=r.body, headers=[("x-path", r.path)], trailers=r.trailers)


# ---- client side ----
def test_prior_knowledge(env):
    up = env.upstream()
    w = env.weir(simple(up))
    s = h2_client(env, w.addr()).ask("GET", "/x?y=1", [("x-a", "1")])
    same((s.status, s.body), (200, b"ok"))
    r = up.requests[0]
    same((r.first, r.header("host"), r.header("x-a"), r.header("via")), ("GET /x?y=1 HTTP/1.1", "shop.example", "1", "2 weir"))
    same(w.wait_access(path="/x")[0]["protocol"], "HTTP/2")


def test_prior_knowledge_can_be_switched_off(env):
    w = env.weir(simple(env.upstream(), gw=gateway(listener(http2=False))))
    c = RawH2(w.addr())
    env.clients.append(c)
    data = b""
    while part := c.sock.recv(4096):
        data += part
    assert data.startswith(b"HTTP/1.1 505") or data.startswith(b"HTTP/1.1 400"), data[:60]


def test_alpn(env):
    pair = env.ca().issue("shop.example")
    w = env.weir(simple(env.upstream(), gw=gateway(listener(protocol="https", tls={"certificates": [{"secret": "cert"}]})), more=[secret("cert", pair)]))
    c = h2_client(env, w.addr(), tls=client_context(env.ca(), alpn=["h2", "http/1.1"]))
    same(c.sock.selected_alpn_protocol(), "h2")
    same(c.ask(scheme="https").status, 200)
    c = env.client(w.addr(), client_context(env.ca(), alpn=["http/1.1"]))
    same(c.sock.selected_alpn_protocol(), "http/1.1")
    same(c.ask().status, 200)
    same(env.client(w.addr(), client_context(env.ca())).ask().status, 200)


def test_hundred_streams_at_once(env):
    """All are under way together: the upstream answers when it has seen every one."""
    all_there = threading.Barrier(100, timeout=15)

    def handler(x):
        all_there.wait()
        return reply(body=x.request.target)

    w = env.weir(simple(env.upstream(handler)))
    c = h2_client(env, w.addr())
    streams = [c.start("GET", "/%d" % i) for i in range(100)]
    for i, s in enumerate(streams):
        c.wait(s)
        same((s.status, s.body), (200, b"/%d" % i))


def test_streams_over_the_limit_are_refused(env):
    """SETTINGS_MAX_CONCURRENT_STREAMS is announced, and a stream over it that a client sends before it has seen that is refused alone."""
    go = threading.Event()

    def handler(x):
        go.wait(15)
        return reply()

    w = env.weir(simple(env.upstream(handler), more=[edge_policy(limits={"streams": 5})]))
    c = RawH2(w.addr())
    env.clients.append(c)
    settings = c.wait(SETTINGS, ack=False)[3]
    values = {int.from_bytes(settings[i:i + 2], "big"): int.from_bytes(settings[i + 2:i + 6], "big") for i in range(0, len(settings), 6)}
    same(values.get(3), 5)
    for i in range(6):
        c.headers(2 * i + 1)
    same(int.from_bytes(c.wait(RST_STREAM)[3], "big"), 7, "REFUSED_STREAM")
    go.set()
    c.send(frame(PING, payload=b"12345678"))
    c.wait(PING, ack=True)


def test_upload_and_download_with_windows(env):
    up = env.upstream(lambda x: reply(body=x.request.body))
    body = bytes(range(256)) * (3 * MB // 256)
    w = env.weir(simple(up))
    s = h2_client(env, w.addr()).ask("POST", "/", body=body)
    assert s.body == body, (s.status, len(s.body))
    assert up.requests[0].body == body
    assert up.requests[0].chunked, "no length known: chunked"


def test_content_length_is_forwarded(env):
    up = env.upstream()
    s = h2_client(env, env.weir(simple(up)).addr()).ask("POST", "/", [("content-length", "5")], body=b"hello")
    same(s.status, 200)
    same((up.requests[0].header("content-length"), up.requests[0].chunked), ("5", False))


def test_length_mismatch_is_refused(env):
    """T5, RFC 9113 section 8.1.1: more or fewer bytes than Content-Length says; the upstream never sees a whole request."""
    whole = []

    def handler(x):
        x.request.read_body(x.reader)
        whole.append(x.request)
        return reply()

    w = env.weir(simple(env.upstream(handler, early=True)))
    for body in (b"hell", b"hello!"):
        c = h2_client(env, w.addr())
        s = c.start("POST", "/", [("content-length", "5")], end=False)
        c.conn.send_data(s.id, body, end_stream=True)
        c.flush()
        c.until(lambda: s.reset is not None or s.ended or c.goaway, "refusal")
        assert s.reset is not None or c.goaway or s.status == 400, "stream %r" % s.headers
    same(env.client(w.addr()).ask().status, 200)
    same([r.body for r in whole], [b""])


def test_two_credentials_are_refused(env):
    """As over HTTP/1: which of two Authorization fields counts would be the upstream's own choice."""
    up = env.upstream()
    c = h2_client(env, env.weir(simple(up)).addr())
    same(c.ask("GET", "/", [("authorization", "Bearer a"), ("authorization", "Bearer b")]).status, 400)
    same((c.ask("GET", "/", [("authorization", "Bearer a")]).status, len(up.requests)), (200, 1))


def test_a_refused_head_request_gets_no_body(env):
    """RFC 9110 section 9.3.2, also where the head itself is what is wrong: clients call a body there a protocol error."""
    w = env.weir(simple(env.upstream()))
    twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")]
    for headers, status in ((twice, 400), ([("host", "other.example")], 400), ([("x-large", "x" * 70000)], 431)):
        s = h2_client(env, w.addr()).ask("HEAD", "/", headers)
        same((s.status, bytes(s.body), s.reset), (status, b"", None))


def test_slow_stream_does_not_stop_others(env):
    """Flow control a stream: one that is not read holds nobody else."""
    big = b"x" * (4 * MB)
    up = env.upstream(lambda x: reply(body=big if x.request.target == "/big" else "small"))
    w = env.weir(simple(up))
    c = h2_client(env, w.addr(), window=65535, acknowledge=False)
    before = w.rss()
    slow = [c.start("GET", "/big") for _ in range(3)]
    c.conn.increment_flow_control_window(MB)
    c.flush()
    for _ in range(20):
        same(c.ask("GET", "/small").body, b"small")
    assert all(not s.ended for s in slow)
    assert w.rss() - before < 24 * MB
    for s in slow:
        c.conn.increment_flow_control_window(len(big), s.id)
    c.conn.increment_flow_control_window(3 * len(big))
    c.flush()
    for s in slow:
        c.wait(s)
        same(len(s.body), len(big))


def test_upload_backpressure(env):
    """A client sends no more than an upstream that does not read lets it."""
    go = threading.Event()

    def handler(x):
        go.wait(20)
        x.request.read_body(x.reader)
        return reply(body=str(len(x.request.body)))

    w = env.weir(simple(env.upstream(handler, early=True)))
    c = h2_client(env, w.addr())
    before = w.rss()
    s = c.start("POST", "/", end=False)
    body = b"x" * (40 * MB)
    task = env.thread(c.send_body, s, body)
    task.join(1)
    assert task.is_alive(), "40 MB went through a stream nobody reads"
    assert w.rss() - before < 16 * MB, w.rss() - before
    go.set()
    task.result(30)
    same(c.wait(s).body, b"%d" % len(body))


def test_trailers_from_and_to_a_client(env):
    up = env.upstream(lambda x: chunked([b"abc"], trailers=[("X-Sum", "1"), *x.request.trailers]))
    s = h2_client(env, env.weir(simple(up)).addr()).ask("POST", "/", [("te", "trailers")], body=b"body", trailers=[("x-in", "2")])
    same((s.body, s.trailers), (b"abc", [("x-sum", "1"), ("x-in", "2")]))


def test_head_and_304_over_h2(env):
    def handler(x):
        if x.request.target == "/304":
            return b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"
        return b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"

    c = h2_client(env, env.weir(simple(env.upstream(handler))).addr())
    s = c.ask("HEAD")
    same((s.status, s.header("content-length"), s.body), (200, "1000", b""))
    s = c.ask("GET", "/304")
    same((s.status, s.header("etag")), (304, '"x"'))


def test_cookie_crumbs_are_joined(env):
    """RFC 9113 section 8.2.3: towards HTTP/1.1 there is one cookie field."""
    up = env.upstream()
    h2_client(env, env.weir(simple(up)).addr()).ask("GET", "/", [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")])
    same(up.requests[0].headers.all("cookie"), ["a=1; b=2; c=3"])


def test_interim_answers(env):
    def handler(x):
        x.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        return reply()

    s = h2_client(env, env.weir(simple(env.upstream(handler))).addr()).ask()
    same(([dict(i)[":status"] for i in s.interim], s.status), (["103"], 200))


def test_client_reset_frees_the_upstream(env):
    gone = threading.Event()

    def handler(x):
        try:
            while x.sock.recv(100):
                pass
        except OSError:
            pass
        gone.set()

    up = env.upstream(handler)
    w = env.weir(simple(up))
    c = h2_client(env, w.addr())
    s = c.start()
    up.wait()
    c.reset(s)
    assert gone.wait(10)
    until(lambda: w.service()["activeRequests"] == 0, "request over")
    c.ping()  # the connection lives


def test_upstream_reset_in_the_middle(env):
    """A cut response is a reset stream, never a whole one."""
    def handler(x):
        x.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    c = h2_client(env, env.weir(simple(env.upstream(handler))).addr())
    s = c.ask()
    assert s.reset is not None and not s.ended, (s.reset, s.ended)
    same(s.body, b"half")
    c.ping()


def test_goaway_on_drain_lets_streams_finish(env):
    go = threading.Event()

    def handler(x):
        go.wait(15)
        return reply(body="late")

    up = env.upstream(handler)
    w = env.weir(simple(up))
    c = RawH2(w.addr())
    env.clients.append(c)
    c.headers(1)
    up.wait()
    stop = env.thread(w.stop)
    same(int.from_bytes(c.wait(GOAWAY)[3][4:8], "big"), 0)
    go.set()
    same(c.wait(DATA, 1)[3], b"late")
    same(c.end(), 0)
    stop.result()


def test_requests_of_a_connection_can_be_limited(env):
    w = env.weir(simple(env.upstream(), more=[edge_policy(limits={"requests": 3})]))
    c = RawH2(w.addr())
    env.clients.append(c)
    for i in range(3):
        c.headers(2 * i + 1)
    f = c.wait(GOAWAY)
    same(int.from_bytes(f[3][4:8], "big"), 0)
    same(c.end(), 0)
    assert sum(1 for f in c.frames if f[0] == 0 and f[1] & 1 or f[0] == 1 and f[1] & 1) == 3, "three answers came"


def test_problem_over_h2(env):
    w = env.weir([gateway(), service("shop", env.upstream()), route("shop", rule("shop"), hosts=["shop.example"])])
    s = h2_client(env, w.addr()).ask(authority="other.example")
    same((s.status, s.header("content-type")), (404, "application/problem+json"))


# ---- upstream side ----
def test_h2_upstream(env):
    up = h2_upstream(env, echo)
    w = env.weir(simple(up, protocol="h2"))
    c = env.client(w.addr())
    r = c.ask("POST", "/x?y", body=b"hello")
    same((r.status, r.body, r.header("x-path")), (200, b"hello", "/x?y"))
    q = up.requests[0]
    same((q.header(":method"), q.header(":authority"), q.header(":scheme")), ("POST", "shop.example", "http"))
    for name in ("connection", "host", "transfer-encoding", "keep-alive", "upgrade"):
        assert q.header(name) is None, q.headers


def test_h2_upstream_is_shared(env):
    """Many requests at once, one connection a worker."""
    there = threading.Barrier(50, timeout=15)

    def handler(r):
        there.wait()
        r.respond(body=r.path.encode())

    up = h2_upstream(env, handler)
    w = env.weir(simple(up, protocol="h2"), workers=1)

    def one(i):
        return env.client(w.addr()).ask("GET", "/%d" % i).body

    tasks = [env.thread(one, i) for i in range(50)]
    same([t.result() for t in tasks], [b"/%d" % i for i in range(50)])
    same(up.connections, 1)


def test_upstream_stream_limit_is_kept(env):
    """SETTINGS_MAX_CONCURRENT_STREAMS of the upstream: more go over further connections or wait."""
    lock, most, now = threading.Lock(), {}, {}

    def handler(r):
        n = r.conn.number
        with lock:
            now[n] = now.get(n, 0) + 1
            most[n] = max(most.get(n, 0), now[n])
        threading.Event().wait(0.02)
        with lock:
            now[n] -= 1
        r.respond()

    up = h2_upstream(env, handler, most_streams=3)
    w = env.weir(simple(up, protocol="h2"), workers=1)
    tasks = [env.thread(lambda: env.client(w.addr()).ask().status) for _ in range(40)]
    same([t.result() for t in tasks], [200] * 40)
    assert max(most.values()) <= 3, most


def test_h2_to_h2_with_trailers(env):
    up = h2_upstream(env, echo)
    s = h2_client(env, env.weir(simple(up, protocol="h2")).addr()).ask("POST", "/", [("te", "trailers")], body=b"x" * 300000, trailers=[("x-t", "1")])
    same((len(s.body), s.trailers), (300000, [("x-t", "1")]))
    same((up.requests[0].trailers, up.requests[0].header("te")), ([("x-t", "1")], "trailers"))


def test_trailers_are_passed_on_whole_or_the_stream_breaks(env):
    """Over a limit: a part of the trailers would look like all of them."""
    trailers = [("x-%03d" % i, "v" * 200) for i in range(30)]
    many = [("x-%03d" % i, "v") for i in range(70)]
    up = H2Upstream(lambda r: r.respond(body=b"abc", trailers={"/fits": trailers, "/many": many}.get(r.path, trailers * 5)))
    env.cleanups.append(up.close)
    c = h2_client(env, env.weir(simple(up, protocol="h2", more=[edge_policy(limits={"head": "16KiB"})])).addr())
    same(c.ask("GET", "/fits").trailers, trailers)
    assert c.ask("GET", "/many").reset is not None
    assert c.ask("GET", "/large").reset is not None
    assert c.ask("POST", "/fits", body=b"x", trailers=trailers * 4).reset is not None
    same(c.ask("GET", "/fits").trailers, trailers)


def test_te_other_than_trailers_does_not_pass(env):
    up = h2_upstream(env, echo)
    env.client(env.weir(simple(up, protocol="h2")).addr()).ask("GET", "/", [("TE", "gzip, trailers;q=0.5")])
    assert up.requests[0].header("te") in (None, "trailers"), up.requests[0].headers


def test_expectations_of_another_name(env):
    """RFC 9110 section 10.1.1: 417, and nothing of it reaches the service."""
    up = env.upstream()
    c = h2_client(env, env.weir(simple(up)).addr())
    same([c.ask("POST", headers=[("expect", v)], body=b"abc").status for v in ("miracle", "100-continue, miracle", "a b")], [417, 417, 400])
    same(c.ask("POST", headers=[("expect", "100-continue")], body=b"abc").status, 200)
    same(len(up.requests), 1)


def test_messages_to_grpc_are_percent_encoded(env):
    c = h2_client(env, env.weir(simple(env.upstream())).addr())
    s = c.ask("POST", "/a%00", headers=[("content-type", "application/grpc"), ("te", "trailers")], body=b"")
    same((s.status, s.header("grpc-status"), s.header("grpc-message")), (200, "13", "%2500 in the path"))


def test_end_of_a_bodiless_answer_in_a_frame_of_its_own(env):
    """As h2o does: HEADERS that describe a body that does not follow, then an empty DATA frame with END_STREAM."""
    def handler(r):
        r.send_headers(304 if r.path == "/304" else 200, [("content-length", "1000")])
        r.conn.do(lambda c: c.end_stream(r.id))

    w = env.weir(simple(h2_upstream(env, handler), protocol="h2"))
    c1, c2 = env.client(w.addr()), h2_client(env, w.addr())
    # python3-h2 does not know that a 304 may tell a length: only HTTP/1 asks for it.
    for c, method, path, status in ((c1, "HEAD", "/", 200), (c1, "GET", "/304", 304), (c1, "HEAD", "/", 200), (c2, "HEAD", "/", 200), (c2, "HEAD", "/304", 304)):
        r = c.ask(method, path)
        same((r.status, r.header("content-length"), r.body), (status, "1000", b""))


def test_h2_upstream_goaway_between_requests(env):
    """No request is lost when an upstream announces the end of each connection."""
    def handler(r):
        r.respond(body=b"ok")
        r.send_goaway()

    up = h2_upstream(env, handler)
    w = env.weir(simple(up, protocol="h2"))
    c = env.client(w.addr())
    for i in range(20):
        same(c.ask("POST", "/%d" % i, body=b"x").status, 200)


def test_refused_stream_is_sent_again_even_for_post(env):
    """RFC 9113 section 8.7: REFUSED_STREAM says that nothing was processed."""
    first = []

    def handler(r):
        if not first:
            first.append(1)
            r.send_reset(7)
        else:
            r.respond(body=r.body)

    up = h2_upstream(env, handler)
    w = env.weir(simple(up, protocol="h2"))
    r = env.client(w.addr()).ask("POST", "/", body=b"once")
    same((r.status, r.body), (200, b"once"))


def test_h2_upstream_reset_is_502(env):
    up = h2_upstream(env, lambda r: r.send_reset(2))
    r = env.client(env.weir(simple(up, protocol="h2")).addr()).ask("POST", "/", body=b"x")
    same(r.status, 502)
    assert "error=" in r.header("proxy-status"), r.raw


def test_h2_upstream_interim(env):
    def handler(r):
        r.send_interim(103, [("link", "</a>")])
        r.respond()

    r = env.client(env.weir(simple(h2_upstream(env, handler), protocol="h2")).addr()).ask()
    same(([i.status for i in r.interim], r.status), ([103], 200))


def test_h2_upstream_expect_continue(env):
    def handler(r):
        if r.header("expect"):
            r.send_interim(100)
        r.wait_end()
        r.respond(body=r.body)

    c = env.client(env.weir(simple(h2_upstream(env, handler, early=True), protocol="h2")).addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    same(c.reader.until(b"\r\n\r\n")[:12], b"HTTP/1.1 100")
    c.send("hello")
    same(c.response().body, b"hello")


def test_large_bodies_h2_to_h2(env):
    up = h2_upstream(env, echo)
    w = env.weir(simple(up, protocol="h2", more=[edge_policy(timeout={"request": "0"})]))
    body = bytes(range(256)) * (4 * MB // 256)
    s = h2_client(env, w.addr()).ask("POST", "/", body=body)
    assert s.body == body, len(s.body)


def test_slow_h1_reader_of_an_h2_upstream(env):
    """Back-pressure through a shared connection: the upstream's window closes, memory stays, others go on."""
    def handler(r):
        if r.path == "/small":
            r.respond(body=b"small")
        else:
            r.send_headers()
            for _ in range(40):
                r.send_data(b"x" * MB)
            r.send_data(b"", end=True)

    up = h2_upstream(env, handler)
    w = env.weir(simple(up, protocol="h2"), workers=1)
    before = w.rss()
    slow = env.client(w.addr(), receive_buffer=65536)
    slow.request("GET", "/big")
    slow.head()
    for _ in range(20):
        same(env.client(w.addr()).ask("GET", "/small").body, b"small")
    assert w.rss() - before < 16 * MB, w.rss() - before
    got = 0
    while True:
        size = int(slow.reader.until(b"\r\n"), 16)
        if size == 0:
            break
        slow.reader.exactly(size + 2)
        got += size
    same(got, 40 * MB)


def test_upstream_that_is_not_h2(env):
    """An HTTP/1 server behind protocol h2: 502, and named in Proxy-Status."""
    def script(sock, number):
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    r = env.client(env.weir(simple(env.raw_upstream(script), protocol="h2")).addr()).ask()
    same(r.status, 502)
    assert r.header("proxy-status").startswith("weir; error="), r.raw


def test_malformed_response_headers_of_an_h2_upstream(env):
    """An upstream cannot put CR LF or upper-case names into our HTTP/1 answers."""
    from h2peers import ACK, END_HEADERS, END_STREAM, HEADERS, encode
    cases = [[(":status", "200"), ("x-a", "1\r\nset-cookie: evil=1")], [(":status", "200"), ("X-Upper", "1")], [(":status", "200"), ("x-a\r\nb", "1")],
             [(":status", "2000")], [(":status", "600")], [(":status", "999")], [("x-no-status", "1")], [(":status", "200"), ("connection", "close")], [(":status", "200"), ("x", "a\0b")]]
    for i, headers in enumerate(cases):
        def script(sock, number, block=encode(headers)):
            sock.sendall(frame(SETTINGS))
            data, kind = b"", None
            while kind != HEADERS:
                while len(data) < 33 or len(data) < 33 + int.from_bytes(data[24:27], "big"):
                    part = sock.recv(65536)
                    if not part:
                        return
                    data += part
                kind = data[27]
                data = data[:24] + data[33 + int.from_bytes(data[24:27], "big"):]
            sock.sendall(frame(SETTINGS, ACK) + frame(HEADERS, END_HEADERS | END_STREAM, 1, block))
            while sock.recv(65536):
                pass

        w = env.weir(simple(env.raw_upstream(script), protocol="h2"), workers=1)
        r = env.client(w.addr()).ask()
        same(r.status, 502, "answer to %r" % headers)
        assert "evil" not in r.raw.decode("latin-1"), r.raw


def test_bodiless_answer_whose_stream_breaks(env):
    """204, 304 and answers to HEAD are whole with their heads: a client of HTTP/1 gets them, whatever the service does after."""
    for method, status, end in (("GET", "204", frame(RST_STREAM, 0, 1, struct.pack(">I", 8))), ("GET", "304", frame(DATA, END_STREAM, 1, b"no")),
                                ("HEAD", "200", frame(RST_STREAM, 0, 1, bytes(4)))):
        def script(sock, number, answer=frame(HEADERS, END_HEADERS, 1, encode([(":status", status)])) + end):
            sock.sendall(frame(SETTINGS))
            data = b""
            while bytes([HEADERS, END_HEADERS | END_STREAM, 0, 0, 0, 1]) not in data:
                part = sock.recv(65536)
                if not part:
                    return
                data += part
            sock.sendall(frame(SETTINGS, ACK) + answer)
            while sock.recv(65536):
                pass

        r = env.client(env.weir(simple(env.raw_upstream(script), protocol="h2"), workers=1).addr()).ask(method)
        same((r.status, r.body), (int(status), b""), method)


def test_length_and_later_trailers(env):
    """An answer of HTTP/2 may have both; the trailers come after its last byte was passed on."""
    got = threading.Event()

    def handler(r):
        r.send_headers(200, [("content-length", "5")])
        r.send_data(b"hello")
        got.wait(10)
        r.send_trailers([("x-t", "1")])

    u = h2_upstream(env, handler)
    c = h2_client(env, env.weir(simple(u, protocol="h2")).addr())
    s = c.start("GET", "/")
    c.until(lambda: s.body == b"hello", "body")
    got.set()
    c.wait(s)
    same((s.status, s.body, s.header("content-length"), list(s.trailers)), (200, b"hello", "5", [("x-t", "1")]))


def test_upstream_stream_limit_is_raised_later(env):
    """Requests that wait for a stream of a connection start as soon as its peer allows more of them."""
    waiting, frames = threading.Event(), []

    def limit(n):
        return frame(SETTINGS, payload=struct.pack(">HI", 3, n))

    def script(sock, number):
        r = Reader(sock)
        r.exactly(24)
        sock.sendall(limit(0))
        waiting.wait(10)
        sock.sendall(limit(10))
        while True:
            head = r.exactly(9)
            r.exactly(int.from_bytes(head[:3], "big"))
            frames.append((number, head[3]))
            if head[3] == HEADERS:
                sock.sendall(frame(HEADERS, END_HEADERS | END_STREAM, int.from_bytes(head[5:], "big"), b"\x88"))

    w = env.weir(simple(env.raw_upstream(script), protocol="h2"), workers=1)
    c = h2_client(env, w.addr())
    streams = [c.start("GET", "/%d" % i) for i in range(3)]
    until(lambda: w.service()["activeRequests"] == 3, "requests in line")
    waiting.set()
    for s in streams:
        c.wait(s)
    same([s.status for s in streams], [200] * 3)


def allow(n):
    return frame(SETTINGS, 0, 0, struct.pack(">HI", 3, n))


def streams_of(sock):
    """The requests that come on a raw connection, one after the other."""
    reader = Reader(sock)
    reader.exactly(len(PREFACE))
    while True:
        head = reader.exactly(9)
        reader.exactly(int.from_bytes(head[:3], "big"))
        if head[3] == HEADERS:
            yield struct.unpack(">I", head[5:])[0]


def test_upstream_that_allows_no_stream(env):
    """It gets a few connections and no more, however many requests come and wait; when it allows streams they are answered."""
    socks = []

    def mute(sock, number):
        sock.sendall(allow(0) + frame(SETTINGS, ACK))
        socks.append(sock)
        for sid in streams_of(sock):
            sock.sendall(frame(HEADERS, END_HEADERS | END_STREAM, sid, encode([(":status", "204")])))

    w = env.weir(simple(env.raw_upstream(mute), protocol="h2"), workers=1)
    asked = []
    for i in range(20):
        c = env.client(w.addr())
        c.request()
        asked.append(c)
        until(lambda: w.service()["pendingRequests"] == i + 1 and len(socks) >= min(i + 1, 4), "it waits")
    same(w.service()["connections"], 4)
    socks[0].sendall(allow(100))
    same([c.response().status for c in asked], [204] * 20)


def test_a_connection_that_was_mute_is_not_idle(env):
    """A connection that allowed no stream at first, and then carries one, is not closed when the time limit of idle ones has passed."""
    def later(sock, number):
        sock.sendall(allow(0) + allow(10) + frame(SETTINGS, ACK))
        for sid in streams_of(sock):
            while select.select([sock], [], [], 2)[0]:  # two idle times go by; a close ends it
                if not sock.recv(4096):
                    return
            sock.sendall(frame(HEADERS, END_HEADERS | END_STREAM, sid, encode([(":status", "204")])))

    w = env.weir(simple(env.raw_upstream(later), protocol="h2", more=[policy("shop-policy", {"service": "shop"}, timeout={"upstreamKeepAlive": "1s"})]), workers=1)
    same(env.client(w.addr()).ask().status, 204)


def test_announced_trailers_to_and_from_http1(env):
    """A body whose length is known and whose trailers are announced is chunked in HTTP/1.1: a length leaves no room for them."""
    up = env.upstream(lambda x: reply(body=x.request.body))
    c = h2_client(env, env.weir(simple(up)).addr())
    same(c.ask("POST", "/", [("content-length", "5"), ("trailer", "x-t")], body=b"hello", trailers=[("x-t", "1")]).body, b"hello")
    r = up.requests[0]
    same((r.chunked, r.body, list(r.trailers)), (True, b"hello", [("x-t", "1")]))
    behind = h2_upstream(env, lambda r: r.respond(body=b"hello", headers=[("content-length", "5"), ("trailer", "x-t")], trailers=[("x-t", "1")]))
    c = env.client(env.weir(simple(behind, protocol="h2")).addr())
    r = c.ask()
    same((r.status, r.body, list(r.trailers)), (200, b"hello", [("x-t", "1")]))
    r = c.ask(version="HTTP/1.0")
    same((r.status, r.body), (200, b"hello"))


def test_refused_again_and_again(env):
    """What was not processed is sent again until it is, POST too; only a server that never takes it makes it fail."""
    refused, lock = {}, threading.Lock()

    def handler(r):
        with lock:
            n = refused[r.path] = refused.get(r.path, 0) + 1
        if n <= 5:
            r.send_reset(7)
        else:
            r.respond(body=r.body)

    up = h2_upstream(env, handler)
    c = h2_client(env, env.weir(simple(up, protocol="h2")).addr())
    streams = [c.start("POST", "/%d" % i, end=False) for i in range(5)]
    for s in streams:
        c.send_body(s, b"x" * 100)
    for s in streams:
        c.wait(s)
    same([(s.status, s.body) for s in streams], [(200, b"x" * 100)] * 5)
