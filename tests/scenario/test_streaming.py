"""Server-sent events and streams: bytes pass at once, unbuffered, in both directions, whatever the versions on either side."""
import threading

from h2peers import H2Client, H2Upstream
from peers import Reader, Request
from weirlib import edge_policy, same, simple


def sse_handler(go, n=5):
    """Each event is sent only when the client has seen the one before."""
    def handler(x):
        x.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(n):
            assert go.acquire(timeout=10)
            event = b"id: %d\ndata: event %d\n\n" % (i, i)
            x.send(b"%x\r\n%s\r\n" % (len(event), event))
        return b"0\r\n\r\n"
    return handler


def test_sse_over_h1(env):
    go = threading.Semaphore(0)
    c = env.client(env.weir(simple(env.upstream(sse_handler(go)))).addr())
    c.request("GET", "/events", [("Accept", "text/event-stream")])
    r = c.head()  # comes before the first event
    same(r.header("content-type"), "text/event-stream")
    for i in range(5):
        go.release()
        got = b""
        while not got.endswith(b"\n\n"):
            got += c.reader.exactly(int(c.reader.until(b"\r\n"), 16) + 2)[:-2]
        same(got, b"id: %d\ndata: event %d\n\n" % (i, i))
    same(c.reader.until(b"\r\n\r\n"), b"0\r\n\r\n")


def test_sse_over_h2(env):
    go = threading.Semaphore(0)
    c = H2Client(env.weir(simple(env.upstream(sse_handler(go)))).addr())
    env.clients.append(c)
    s = c.start("GET", "/events")
    c.until(lambda: s.headers, "head before the first event")
    for i in range(5):
        want = s.body + b"id: %d\ndata: event %d\n\n" % (i, i)
        go.release()
        c.until(lambda: s.body == want, "event %d" % i)
    c.wait(s)


def test_sse_until_close(env):
    """A stream of an HTTP/1.0-like upstream, without length or chunks."""
    go = threading.Semaphore(0)

    def script(sock, number):
        Reader(sock).until(b"\r\n\r\n")
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for i in range(5):
            assert go.acquire(timeout=10)
            sock.sendall(b"data: %d\n\n" % i)

    c = env.client(env.weir(simple(env.raw_upstream(script))).addr())
    c.request()
    assert c.head().chunked
    for i in range(5):
        go.release()
        same(c.reader.exactly(int(c.reader.until(b"\r\n"), 16) + 2), b"data: %d\n\n\r\n" % i)
    same(c.reader.until(b"\r\n\r\n"), b"0\r\n\r\n")


def piecewise_upload(env, send_piece, finish, seen, go, n=5):
    for i in range(n):
        send_piece(b"piece-%d" % i)
        assert go.acquire(timeout=10), "piece %d did not arrive; seen %r" % (i, seen)
        same(b"".join(seen), b"".join(b"piece-%d" % k for k in range(i + 1)))
    finish()


def test_upload_is_not_buffered_h1(env):
    """Each piece of a request body arrives before the next is sent."""
    seen, go = [], threading.Semaphore(0)

    def script(sock, number):
        r = Reader(sock)
        Request(r.until(b"\r\n\r\n"))
        while True:
            n = int(r.until(b"\r\n"), 16)
            if n == 0:
                break
            seen.append(r.exactly(n + 2)[:-2])
            go.release()
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    c = env.client(env.weir(simple(env.raw_upstream(script))).addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n")
    piecewise_upload(env, lambda p: c.send(b"%x\r\n%s\r\n" % (len(p), p)), lambda: c.send("0\r\n\r\n"), seen, go)
    same(c.response().body, b"ok")


def test_upload_with_length_is_not_buffered(env):
    seen, go = [], threading.Semaphore(0)

    def script(sock, number):
        r = Reader(sock)
        left = Request(r.until(b"\r\n\r\n")).length()
        while left:
            seen.append(r.exactly(7))
            left -= 7
            go.release()
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    c = env.client(env.weir(simple(env.raw_upstream(script))).addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 35\r\n\r\n")
    piecewise_upload(env, c.send, lambda: None, seen, go)
    same(c.response().body, b"ok")


def test_upload_is_not_buffered_h2_to_h2(env):
    seen, go = [], threading.Semaphore(0)

    def handler(r):
        n = 0
        while not r.ended:
            r.conn.wait(lambda: len(r.body) > n or r.ended)
            if len(r.body) > n:
                seen.append(r.body[n:])
                n = len(r.body)
                go.release()
        r.respond(body=r.body)

    up = H2Upstream(handler, early=True)
    env.cleanups.append(up.close)
    c = H2Client(env.weir(simple(up, protocol="h2")).addr())
    env.clients.append(c)
    s = c.start("POST", "/", end=False)
    piecewise_upload(env, lambda p: c.send_body(s, p, end=False), lambda: c.send_body(s, b""), seen, go)
    same(c.wait(s).body, b"".join(b"piece-%d" % i for i in range(5)))


def test_duplex_h2_to_h2(env):
    """Question and answer by turns on one stream."""
    def handler(r):
        r.send_headers()
        n = 0
        while True:
            r.conn.wait(lambda: len(r.body) > n or r.ended)
            if len(r.body) == n:
                break
            part, n = r.body[n:], len(r.body)
            r.send_data(part.upper())
        r.send_data(b"", end=True)

    up = H2Upstream(handler, early=True)
    env.cleanups.append(up.close)
    c = H2Client(env.weir(simple(up, protocol="h2")).addr())
    env.clients.append(c)
    s = c.start("POST", "/", end=False)
    for i in range(20):
        c.send_body(s, b"q%d;" % i, end=False)
        want = b"".join(b"Q%d;" % k for k in range(i + 1))
        c.until(lambda: s.body == want, "answer %d" % i)
    c.send_body(s, b"")
    c.wait(s)


def test_a_stream_outlives_the_request_time_limit_only_by_bytes(env):
    """timeout.request bounds the whole exchange; 0 lets a stream live as long as bytes come within timeout.idle."""
    go = threading.Semaphore(0)
    w = env.weir(simple(env.upstream(sse_handler(go, 8)), more=[edge_policy(timeout={"request": "0s", "idle": "1s"})]))
    c = env.client(w.addr())
    c.request()
    c.head()
    for i in range(8):  # 8 pauses of 0.3 s: longer than idle in sum, shorter each
        c.readable(0.3)
        go.release()
        c.reader.exactly(int(c.reader.until(b"\r\n"), 16) + 2)
    same(c.reader.until(b"\r\n\r\n"), b"0\r\n\r\n")
    c.request()
    c.head()
    c.reader.rest()  # nothing comes: cut by the idle limit, visibly
    w.wait_access(why="connection_read_timeout")
