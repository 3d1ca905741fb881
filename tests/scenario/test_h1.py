"""HTTP/1.1 from client to upstream: framing, connections, bodies both ways, what is forwarded and what is not."""
import contextlib
import socket
import threading
import time

from h2peers import H2Upstream
from peers import Closed, H1Client, Reader, Request, chunked, reply
from weirlib import edge_policy, same, simple, until

MB = 1 << 20


def echo(x):
    """Body and trailers as they came."""
    r = x.request
    if r.chunked:
        return chunked([r.body] if r.body else [], trailers=r.trailers)
    return reply(body=r.body)


def test_keep_alive_on_both_sides(env):
    up = env.upstream()
    w = env.weir(simple(up), workers=1)
    c = env.client(w.addr())
    for _ in range(20):
        same(c.ask().status, 200)
    same(up.connections, 1, "upstream connections")


def test_what_is_forwarded(env):
    """RFC 9110 section 7.6: hop-by-hop fields end here; the order and case-insensitive names of the rest stay."""
    up = env.upstream()
    w = env.weir(simple(up))
    env.client(w.addr()).ask("GET", "/p?q=1", [("X-One", "1"), ("Accept", "a"), ("X-One", "2"), ("Connection", "keep-alive, X-Hop"), ("X-Hop", "secret"),
                                                ("Keep-Alive", "timeout=5"), ("TE", "gzip"), ("Proxy-Connection", "keep-alive"),
                                                ("Proxy-Authorization", "Basic eA=="), ("X-Empty", "")])
    r = up.wait()
    same(r.first, "GET /p?q=1 HTTP/1.1")
    same(r.headers.all("x-one"), ["1", "2"])
    same(r.header("x-empty"), "")
    same(r.header("host"), "shop.example")
    for name in ("X-Hop", "Keep-Alive", "TE", "Proxy-Connection"):
        assert name not in r.headers, "%s was forwarded: %r" % (name, r.raw)
    same(r.header("via"), "1.1 weir")


def test_response_hop_by_hop_fields(env):
    up = env.upstream(lambda x: reply(headers=[("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5"), ("X-End", "1"),
                                               ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]))
    r = env.client(env.weir(simple(up)).addr()).ask()
    same(r.headers.all("set-cookie"), ["a=1", "b=2"])
    same(r.header("x-end"), "1")
    assert "x-hop" not in r.headers and "keep-alive" not in r.headers, r.raw


def test_date_is_added_only_when_missing(env):
    up = env.upstream(lambda x: reply(headers=[("Date", "Tue, 15 Nov 1994 08:12:31 GMT")] if x.request.target == "/dated" else []))
    c = env.client(env.weir(simple(up)).addr())
    same(c.ask("GET", "/dated").header("date"), "Tue, 15 Nov 1994 08:12:31 GMT")
    assert c.ask("GET", "/").header("date").endswith(" GMT")


def test_pipelining_in_order(env):
    up = env.upstream(lambda x: reply(body=x.request.target))
    c = env.client(env.weir(simple(up)).addr())
    c.send("".join("GET /%d HTTP/1.1\r\nHost: shop.example\r\n\r\n" % i for i in range(50)))
    for i in range(50):
        same(c.response().body, b"/%d" % i)


def test_pipelining_with_bodies(env):
    up = env.upstream(echo)
    c = env.client(env.weir(simple(up)).addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 3\r\n\r\nabc"
           "POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\n"
           "GET /x HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    same([c.response().body for _ in range(3)], [b"abc", b"def", b""])


def test_pipelined_request_after_a_slow_one_waits(env):
    go = threading.Event()

    def handler(x):
        if x.request.target == "/slow":
            go.wait(10)
        return reply(body=x.request.target)

    up = env.upstream(handler)
    c = env.client(env.weir(simple(up)).addr())
    c.send("GET /slow HTTP/1.1\r\nHost: shop.example\r\n\r\nGET /fast HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    up.wait(1)
    assert not c.readable(0.2)
    go.set()
    same([c.response().body, c.response().body], [b"/slow", b"/fast"])


def test_chunked_with_trailers_both_ways(env):
    up = env.upstream(echo)
    c = env.client(env.weir(simple(up)).addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
           "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Sum: 42\r\n\r\n")
    r = c.response()
    same(r.body, b"hello world")
    same(list(up.requests[0].trailers), [("X-Sum", "42")])
    same([(k.lower(), v) for k, v in r.trailers], [("x-sum", "42")])


def test_forbidden_trailers_do_not_pass(env):
    """RFC 9110 section 6.5.1: framing, routing and authentication fields must not be in trailers."""
    up = env.upstream(echo)
    w = env.weir(simple(up))
    for name in ("Content-Length", "Transfer-Encoding", "Host", "Authorization", "X-Forwarded-For", "Cookie"):
        c = env.client(w.addr())
        c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n%s: 1\r\n\r\n" % name)
        try:
            assert c.response().status in (200, 400)
        except Closed:
            pass
        c.close()
    for r in up.requests:
        same(list(r.trailers), [], "trailers forwarded")


def test_digests_are_trailers(env):
    """RFC 9530 section 2: known when the content is over. Content-MD5 was that field before, and Node.js's example of a trailer."""
    for name in ("Content-Digest", "Content-MD5"):
        up = env.upstream(lambda x: chunked([x.request.body], trailers=[(name, "sum")]))
        c = env.client(env.weir(simple(up)).addr())
        c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n%s: sum\r\n\r\n" % name)
        r = c.response()
        same((r.status, r.body, list(r.trailers)), (200, b"abc", [(name, "sum")]))
        same(list(up.requests[0].trailers), [(name, "sum")])


def test_response_of_unknown_length_is_chunked(env):
    def script(sock, number):
        Request(Reader(sock).until(b"\r\n\r\n"))
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nuntil close")

    up = env.raw_upstream(script)
    w = env.weir(simple(up))
    c = env.client(w.addr())
    r = c.ask()
    same((r.chunked, r.body), (True, b"until close"))
    same(c.ask().body, b"until close", "the client's connection lives on")


def test_http10_client(env):
    up = env.upstream(lambda x: chunked([b"abc", b"def"]))
    w = env.weir(simple(up))
    c = env.client(w.addr())
    c.send("GET / HTTP/1.0\r\nHost: shop.example\r\n\r\n")
    r = c.head()
    assert not r.chunked, "HTTP/1.0 has no chunked coding: %r" % r.raw
    same(c.reader.rest(), b"abcdef")
    same(up.requests[0].version, "HTTP/1.1")
    same(up.requests[0].header("via"), "1.0 weir")


def test_http10_keep_alive(env):
    up = env.upstream()
    c = env.client(env.weir(simple(up)).addr())
    c.send("GET / HTTP/1.0\r\nHost: shop.example\r\nConnection: keep-alive\r\n\r\n")
    r = c.response()
    same(r.body, b"ok")
    if r.header("connection", "").lower() == "keep-alive":
        same(c.ask().status, 200)
    else:
        c.closed()


def test_http10_without_host_uses_the_catch_all(env):
    up = env.upstream()
    c = env.client(env.weir(simple(up)).addr())
    c.send("GET / HTTP/1.0\r\n\r\n")
    assert c.response().status == 200
    same(up.requests[0].headers.all("host"), [up.address], "a Host that no server refuses")


def test_http10_without_host_to_http2(env):
    """The request must not become a malformed one: an empty :authority is (RFC 9113 section 8.3.1)."""
    up = H2Upstream()
    env.cleanups.append(up.close)
    c = env.client(env.weir(simple(up, protocol="h2")).addr())
    c.send("GET / HTTP/1.0\r\n\r\n")
    same(c.response().status, 200)
    same(up.requests[0].header(":authority"), up.address)


def test_http10_upstream(env):
    def script(sock, number):
        r = Reader(sock)
        r.until(b"\r\n\r\n")
        sock.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")

    up = env.raw_upstream(script)
    w = env.weir(simple(up))
    c = env.client(w.addr())
    for _ in range(3):
        r = c.ask()
        same((r.version, r.body), ("HTTP/1.1", b"ok"))
    same(up.connections, 3)


def test_client_asks_for_close(env):
    up = env.upstream()
    w = env.weir(simple(up), workers=1)
    for _ in range(2):
        c = env.client(w.addr())
        r = c.ask("GET", "/", [("Connection", "close")])
        same(r.header("connection"), "close")
        c.closed()
    same(up.connections, 1, "the upstream's connection is not the client's")


def test_upstream_closes_after_the_answer(env):
    def handler(x):
        x.send(reply(headers=[("Connection", "close")]))

    up = env.upstream(handler)
    c = env.client(env.weir(simple(up)).addr())
    for _ in range(5):
        r = c.ask()
        same(r.status, 200)
        assert r.header("connection") != "close", "the upstream's wish is not the client's"
    same(up.connections, 5)


def test_head(env):
    def handler(x):
        if x.request.method == "HEAD":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: \"x\"\r\n\r\n"
        return reply()

    up = env.upstream(handler)
    c = env.client(env.weir(simple(up)).addr())
    r = c.ask("HEAD")
    same((r.header("content-length"), r.header("etag")), ("1000", '"x"'))
    same(c.ask().body, b"ok")


def test_head_of_a_chunked_answer(env):
    def handler(x):
        if x.request.method == "HEAD":
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        return reply()

    c = env.client(env.weir(simple(env.upstream(handler))).addr())
    same(c.ask("HEAD").status, 200)
    same(c.ask().body, b"ok")


def test_204_and_304(env):
    def handler(x):
        if x.request.target == "/204":
            return b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"
        if x.request.target == "/304":
            return b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\nETag: \"x\"\r\n\r\n"
        return reply()

    c = env.client(env.weir(simple(env.upstream(handler))).addr())
    r = c.ask("GET", "/204")
    same((r.status, r.header("x-a"), r.header("content-length"), r.chunked), (204, "1", None, False))
    r = c.ask("GET", "/304")
    same((r.status, r.header("etag"), r.chunked), (304, '"x"', False))
    same(c.ask().body, b"ok")


def test_absolute_form(env):
    up = env.upstream()
    c = env.client(env.weir(simple(up)).addr())
    same(c.ask("GET", "http://shop.example/x?y=1").status, 200)
    same(up.requests[0].first, "GET /x?y=1 HTTP/1.1")
    same(up.requests[0].headers.all("host"), ["shop.example"])


def test_options_asterisk(env):
    up = env.upstream()
    c = env.client(env.weir(simple(up)).addr())
    r = c.ask("OPTIONS", "*")
    assert r.status in (200, 204, 404), r.first
    for q in up.requests:
        same(q.first, "OPTIONS * HTTP/1.1")


def test_connect_and_trace_are_not_offered(env):
    up = env.upstream()
    w = env.weir(simple(up))
    for line in ("CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\n\r\n", "TRACE / HTTP/1.1\r\nHost: shop.example\r\n\r\n"):
        c = env.client(w.addr())
        c.send(line)
        r = c.head()
        same(r.status, 405)
        assert "allow" in r.headers
        c.close()
    same(up.requests, [])


def test_unusual_methods_pass(env):
    up = env.upstream()
    c = env.client(env.weir(simple(up)).addr())
    for m in ("PROPFIND", "PATCH", "DELETE", "QUERY", "X-MINE", "get"):
        same(c.ask(m).status, 200)
    same([r.method for r in up.requests], ["PROPFIND", "PATCH", "DELETE", "QUERY", "X-MINE", "get"])


# ---- 100-continue ----
def test_expect_continue_end_to_end(env):
    """RFC 9110 section 10.1.1: the expectation goes to the upstream, its 100 comes back, then the body goes."""
    up = env.upstream(echo)
    c = env.client(env.weir(simple(up)).addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    same(c.reader.until(b"\r\n\r\n")[:12], b"HTTP/1.1 100")
    c.send("hello")
    same(c.response().body, b"hello")


def test_expect_continue_refused(env):
    """A final answer instead of 100: the body is never sent, and the connection's framing stays sane."""
    def handler(x):
        return reply(417, "no")

    up = env.upstream(handler, early=True)
    w = env.weir(simple(up))
    c = env.client(w.addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    r = c.head()
    same(r.status, 417)
    r.read_body(c.reader, "POST")
    if r.header("connection") == "close":
        c.closed()
    same(env.client(w.addr()).ask("GET").status, 417)


def test_expect_continue_with_the_body_at_once(env):
    up = env.upstream(echo)
    c = env.client(env.weir(simple(up)).addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
    same(c.response().body, b"hello")
    same(c.ask().status, 200)


def test_interim_answers_pass(env):
    def handler(x):
        x.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
        return reply()

    w = env.weir(simple(env.upstream(handler)))
    r = env.client(w.addr()).ask()
    same(([i.status for i in r.interim], r.interim[0].header("link"), r.status), ([103], "</a.css>; rel=preload", 200))
    c = env.client(w.addr())
    c.send("GET / HTTP/1.0\r\nHost: shop.example\r\n\r\n")
    same(c.head().interim, [], "HTTP/1.0 clients know no 1xx")


# ---- bodies ----
def counting_sink(sock, number):
    """Reads a request with a length without keeping it, answers its size and a checksum of positions."""
    r = Reader(sock)
    while True:
        q = Request(r.until(b"\r\n\r\n"))
        left = q.length()
        total, mix = len(r.data[:left]), sum(r.data[:left:4096])
        left -= total
        r.data = b""
        while left:
            part = sock.recv(min(left, MB))
            if not part:
                return
            left -= len(part)
            total += len(part)
        sock.sendall(reply(body=str(total)))


def test_large_upload(env):
    up = env.raw_upstream(counting_sink)
    w = env.weir(simple(up))
    c = env.client(w.addr())
    n = 200 * MB
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: %d\r\n\r\n" % n)
    block = bytes(range(256)) * 4096
    for _ in range(n // len(block)):
        c.send(block)
    same(c.response().body, b"%d" % n)


def test_large_download_arrives_whole(env):
    block = bytes(range(256)) * 4096

    def handler(x):
        n = 200 * MB
        x.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n)
        for _ in range(n // len(block)):
            x.send(block)
        return b""

    w = env.weir(simple(env.upstream(handler)))
    c = env.client(w.addr())
    c.request()
    r = c.head()
    left, at = r.length(), 0
    same(left, 200 * MB)
    pending = c.reader.data
    while True:
        for_check = pending[:64]
        assert for_check == bytes((at + i) & 255 for i in range(len(for_check))), "bytes out of place at %d" % at
        at += len(pending)
        if at >= left:
            break
        pending = c.sock.recv(MB)
        assert pending, "cut at %d" % at
    same(at, left)


def test_slow_reader_does_not_grow_memory(env):
    """A client that does not read holds its upstream back; weir keeps only its buffers (T20)."""
    sent = [0]
    block = b"x" * 65536

    def handler(x):
        x.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (200 * MB))
        for _ in range(200 * MB // len(block)):
            x.send(block)
            sent[0] += len(block)
        return b""

    up = env.upstream(handler)
    w = env.weir(simple(up))
    before = w.rss()
    c = env.client(w.addr(), receive_buffer=65536)
    c.request()
    c.head()
    steady(lambda: sent[0])
    assert sent[0] < 64 * MB, "the upstream could send %d MB to a client that does not read" % (sent[0] // MB)
    grown = w.rss() - before
    assert grown < 24 * MB, "memory grew by %d KB" % (grown // 1024)
    got = len(c.reader.data)
    while got < 200 * MB:
        part = c.sock.recv(MB)
        assert part, "cut at %d" % got
        got += len(part)
    same(got, 200 * MB)
    assert w.rss() - before < 24 * MB


def steady(value, for_seconds=0.5):
    """Waits until a value has stopped changing."""
    last, since = value(), time.monotonic()

    def still():
        nonlocal last, since
        now = value()
        if now != last:
            last, since = now, time.monotonic()
        return now and time.monotonic() - since > for_seconds

    until(still, "a steady state", 20)


def test_slow_upstream_does_not_grow_memory(env):
    """The upload direction of the same."""
    go = threading.Event()

    def script(sock, number):
        r = Reader(sock)
        r.until(b"\r\n\r\n")
        go.wait(30)
        left = 200 * MB - len(r.data)
        while left:
            part = sock.recv(MB)
            if not part:
                return
            left -= len(part)
        sock.sendall(reply(body="all"))

    w = env.weir(simple(env.raw_upstream(script), more=[edge_policy(timeout={"bodyIdle": "60s"})]))
    before = w.rss()
    c = env.client(w.addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: %d\r\n\r\n" % (200 * MB))
    sent = [0]

    def upload():
        block = b"x" * 65536
        for _ in range(200 * MB // len(block)):
            c.send(block)
            sent[0] += len(block)

    task = env.thread(upload)
    steady(lambda: sent[0])
    assert sent[0] < 64 * MB, sent[0]
    assert w.rss() - before < 24 * MB, w.rss() - before
    go.set()
    task.result(40)
    same(c.response().body, b"all")


def test_early_answer_while_the_upload_goes_on(env):
    """The upstream answers before the body is over: the client gets the answer at once, and whatever follows is in step or closed."""
    def script(sock, number):
        Reader(sock).until(b"\r\n\r\n")
        sock.sendall(reply(413, "too much", headers=[("Connection", "close")]))

    w = env.weir(simple(env.raw_upstream(script)))
    c = env.client(w.addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: %d\r\n\r\n" % (50 * MB))
    c.send(b"x" * 10000)
    r = c.response()
    same((r.status, r.body), (413, b"too much"))
    try:
        for _ in range(50 * 16):
            c.send(b"x" * 65536)
    except OSError:
        return  # closed under the upload: the client has its answer
    c.closed()


def test_early_answer_before_a_reset(env):
    """The upstream answers and closes with the upload unread, which resets the connection: the answer is what the client gets, not that writing failed."""
    def script(sock, number):
        Reader(sock).until(b"\r\n\r\n")
        sock.recv(65536)
        sock.sendall(reply(413, "too much", headers=[("Connection", "close")]))
        sock.close()

    def pour(c):
        with contextlib.suppress(OSError):
            for _ in range(20 * 16):
                c.send(b"x" * 65536)

    w = env.weir(simple(env.raw_upstream(script)))
    for _ in range(20):
        c = env.client(w.addr())
        c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: %d\r\n\r\n" % (20 * MB))
        pouring = threading.Thread(target=pour, args=(c,))
        pouring.start()
        same(c.head().status, 413)
        c.close()
        pouring.join()
    same(w.wait_access(20)[0]["status"], 413)


def test_early_answer_and_full_upload(env):
    """The upstream answers first and goes on reading: bytes keep flowing both ways (bidirectional streaming)."""
    def handler(x):
        x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nready\r\n")
        x.request.read_body(x.reader)
        return b"%x\r\n%s\r\n0\r\n\r\n" % (len(x.request.body), x.request.body)

    up = env.upstream(handler, early=True)
    c = env.client(env.weir(simple(up)).addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    r = c.head()
    same(c.reader.until(b"ready\r\n"), b"5\r\nready\r\n")
    c.send("2\r\nbc\r\n0\r\n\r\n")
    r.read_body(c.reader, "POST")
    same(r.body, b"abc")


def test_client_goes_away_frees_the_upstream(env):
    gone = threading.Event()

    def script(sock, number):
        Reader(sock).until(b"\r\n\r\n")
        try:
            while sock.recv(4096):
                pass
        except OSError:
            pass
        gone.set()

    w = env.weir(simple(env.raw_upstream(script)))
    c = env.client(w.addr())
    c.request()
    until(lambda: w.service()["activeRequests"] == 1, "request at the upstream")
    c.reset()
    assert gone.wait(10), "the upstream's connection outlives a client that is gone"
    until(lambda: w.service()["activeRequests"] == 0, "request over")
    same(len(w.wait_access(failed="client")), 1)


def test_client_closes_before_the_answer_begins(env):
    """A close cannot be told from half a close, which lets the answer come, but not for ever: a client that is gone frees its upstream."""
    gone = []

    def script(sock, number):
        r = Reader(sock)
        r.until(b"\r\n\r\n")
        r.rest()
        gone.append(number)

    w = env.weir(simple(env.raw_upstream(script)))
    for requests in (1, 2):  # the second one is pipelined and never begun
        c = env.client(w.addr())
        for _ in range(requests):
            c.request()
        until(lambda: w.service()["activeRequests"] == 1, "request at the upstream")
        c.close()
        until(lambda: len(gone) == requests, "the upstream's connection ends")
        until(lambda: w.service()["activeRequests"] == 0, "request over")
    same(len(w.wait_access(2, failed="client", why="client_closed")), 2)


def test_half_closed_client_still_gets_its_answer(env):
    """RFC 9112 section 9.6: a client may close its sending side after the request."""
    go = threading.Event()

    def handler(x):
        go.wait(10)
        return reply()

    up = env.upstream(handler)
    c = env.client(env.weir(simple(up)).addr())
    c.request()
    up.wait()
    c.sock.shutdown(socket.SHUT_WR)
    go.set()
    same(c.response().status, 200)
    c.closed()


def test_body_cut_by_the_client(env):
    """Half a body, then close: the upstream never sees a whole request."""
    whole = []

    def handler(x):
        x.request.read_body(x.reader)
        whole.append(x.request)
        return reply()

    up = env.upstream(handler, early=True)
    w = env.weir(simple(up))
    for text in ("Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"):
        c = env.client(w.addr())
        n = len(up.requests) + 1  # counted before the request leaves: it may arrive before the next line runs
        c.send("POST / HTTP/1.1\r\nHost: shop.example\r\n" + text)
        up.wait(n)
        c.close()
    until(lambda: w.service()["activeRequests"] == 0, "requests over")
    same(whole, [])


def test_two_hundred_clients_at_once(env):
    up = env.upstream(lambda x: reply(body=x.request.target))
    address = env.weir(simple(up)).addr()

    def one(i):
        c = H1Client(address)
        for k in range(10):
            same(c.ask("GET", "/%d-%d" % (i, k)).body, b"/%d-%d" % (i, k))
        c.close()

    for t in [env.thread(one, i) for i in range(200)]:
        t.result(50)


def test_request_body_limit(env):
    up = env.upstream(lambda x: reply())
    w = env.weir(simple(up, more=[edge_policy(limits={"body": "1KiB"})]))
    same(env.client(w.addr()).ask("POST", "/", body=b"x" * 1024).status, 200)
    c = env.client(w.addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 1025\r\n\r\n")
    same(c.head().status, 413)
    c = env.client(w.addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n")
    try:
        for _ in range(8):
            c.send("200\r\n" + "x" * 512 + "\r\n")
    except OSError:
        pass
    same(c.head().status, 413)
    same(len([r for r in up.requests]), 1, "whole requests at the upstream")


def test_head_limits_can_be_set(env):
    up = env.upstream()
    w = env.weir(simple(up, more=[edge_policy(limits={"head": "1KiB", "headers": 10})]))
    same(env.client(w.addr()).ask("GET", "/", [("X", "a" * 500)]).status, 200)
    same(env.client(w.addr()).ask("GET", "/", [("X", "a" * 1200)]).status, 431)
    same(env.client(w.addr()).ask("GET", "/", [("X-%d" % i, "") for i in range(12)]).status, 431)


def test_large_heads_where_they_are_allowed(env):
    up = env.upstream()
    w = env.weir(simple(up, more=[edge_policy(limits={"head": "200KiB"})]))
    c = env.client(w.addr())
    for _ in range(2):
        same(c.ask(headers=[("X-%d" % i, "v" * 6000) for i in range(30)]).status, 200)
    same(len(up.requests[1].header("x-29")), 6000)


def test_requests_of_a_connection_can_be_limited(env):
    w = env.weir(simple(env.upstream(), more=[edge_policy(limits={"requests": 3})]))
    c = env.client(w.addr())
    same([c.ask().header("connection") for _ in range(3)], [None, None, "close"])
    c.closed()


# ---- upgrades (T8) ----
def test_upgrade_answered_200_is_not_a_tunnel(env):
    """Envoy 2024-23326: an answer that is not 101 is an ordinary answer; what the client sends next is an ordinary request."""
    up = env.upstream(lambda x: reply(body=x.request.target))
    c = env.client(env.weir(simple(up)).addr())
    c.request("GET", "/ws", [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
                             ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")])
    c.send("GET /smuggled HTTP/1.1\r\nHost: other.example\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
    same(c.response().body, b"/ws")
    try:
        same(c.response().body, b"/smuggled")
    except Closed:
        same(len(up.requests), 1)
        return
    assert up.requests[1].header("x-forwarded-for") == "127.0.0.1", "bytes after a refused upgrade went through unparsed: %r" % up.requests[1].raw


def test_early_data_after_an_upgrade_waits(env):
    """Bytes sent before the 101 reach the upstream only when it has agreed."""
    seen = []
    go = threading.Event()

    def script(sock, number):
        r = Reader(sock)
        seen.append(r.until(b"\r\n\r\n"))
        sock.settimeout(0.3)
        try:
            early = r.data + sock.recv(100)
        except OSError:
            early = r.data
        seen.append(early)
        sock.settimeout(10)
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
        r.data = b""
        seen.append(r.exactly(5) if not early else early)
        sock.sendall(b"world")
        go.wait(10)

    c = env.client(env.weir(simple(env.raw_upstream(script))).addr())
    c.request("GET", "/", [("Connection", "Upgrade"), ("Upgrade", "chat")])
    c.send("hello")
    same(c.head().status, 101)
    same(c.reader.exactly(5), b"world")
    go.set()
    same(seen[1:], [b"", b"hello"])


def test_tunnel_connection_is_never_pooled(env):
    """After a tunnel ends its upstream connection serves nobody else."""
    def script(sock, number):
        r = Reader(sock)
        head = r.until(b"\r\n\r\n")
        if b"pgrade: chat" in head or b"pgrade:chat" in head:
            sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
            sock.sendall(reply(body="POISON"))
            try:
                while sock.recv(4096):
                    pass
            except OSError:
                pass
        else:
            sock.sendall(reply(body="plain"))

    up = env.raw_upstream(script)
    w = env.weir(simple(up), workers=1)
    c = env.client(w.addr())
    c.request("GET", "/", [("Connection", "Upgrade"), ("Upgrade", "chat")])
    same(c.head().status, 101)
    c.close()
    same(env.client(w.addr()).ask().body, b"plain")
    same(up.connections, 2)


def test_max_forwards_of_options(env):
    """RFC 9110 section 7.6.2: counted down, and at zero this is the last one it reaches."""
    u = env.upstream()
    c = env.client(env.weir(simple(u)).addr())
    same(c.ask("OPTIONS", "/x", [("Max-Forwards", "5")]).status, 200)
    same(u.requests[0].header("max-forwards"), "4")
    r = c.ask("OPTIONS", "/x", [("Max-Forwards", "0")])
    same((r.status, r.body, len(u.requests)), (200, b"", 1))
    assert "OPTIONS" in r.header("allow"), r.raw
    c.ask("OPTIONS", "/x", [("Max-Forwards", "many")])
    c.ask("GET", "/x", [("Max-Forwards", "0")])  # means nothing for other methods
    same([x.header("max-forwards") for x in u.requests[1:]], ["many", "0"])
