"""The bytes of tests/hostile sent for real: what is refused gets its status and a close and never reaches an upstream, what is accepted
arrives canonical (peers.Request is strict), and no answer of an upstream can say more than one answer."""
import json
import os
import threading

from peers import Closed, H1Client, Response, reply
from weirlib import gateway, listener, route, rule, same, service, simple, until

HOSTILE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "hostile")
SHOWN = 25  # failures listed


def rows(name):
    with open(os.path.join(HOSTILE, name), encoding="utf-8") as f:
        return json.load(f)


def run_rows(all_rows, one):
    """Every row, 16 at a time; all failures in one report."""
    failures, left, lock = [], list(all_rows), threading.Lock()

    def work():
        while True:
            with lock:
                if not left:
                    return
                row = left.pop()
            try:
                one(row)
            except Exception as e:
                failures.append("%s %s (want %s): %s: %s" % (row["threat"], row["name"], row["want"], type(e).__name__, e))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        raise AssertionError("%d of %d rows:\n%s" % (len(failures), len(all_rows), "\n".join(sorted(failures)[:SHOWN])))


def statuses(data):
    """Every response in the bytes of a closed connection; a cut one is an error."""
    found = []
    while data:
        head, mark, rest = data.partition(b"\r\n\r\n")
        assert mark, "not an answer: %r" % data[:200]
        r = Response(head + mark)
        n = r.length()
        assert n is not None or r.status < 200, "answer without a length: %r" % head
        assert len(rest) >= (n or 0), "cut answer"
        r.body, data = rest[:n or 0], rest[n or 0:]
        found.append(r)
    return found


def request_row(address, row):
    c = H1Client(address)
    try:
        try:
            c.send(row["bytes"])
        except OSError:
            pass  # refused early: the rest of a long head cannot be sent
        if row["want"] == "200":
            r = c.response(row["bytes"].lstrip().split(" ", 1)[0])
            same(r.status, 200, "status, body %r" % r.body)
            c.request("GET", "/after")  # the connection is in step
            same(c.response().status, 200, "the request after it")
            return
        answers = statuses(c.reader.rest())
        codes = [r.status for r in answers]
        if row["want"] == "close":
            assert codes in ([], [400], [431], [413]), "answers %r" % codes
        else:
            same(codes, [int(row["want"])], "answers before the close")
            same(answers[0].header("connection"), "close", "Connection of a refusal")
            same(answers[0].header("content-type"), "application/problem+json")
            same(json.loads(answers[0].body)["status"], int(row["want"]))
    finally:
        c.close()


def test_requests(env):
    """T1 to T6, T8, T10 to T12, T20."""
    up = env.upstream(lambda x: reply())
    w = env.weir(simple(up))
    address = w.addr()
    table = rows("h1_requests.json")
    assert len(table) > 200
    run_rows(table, lambda row: request_row(address, row))
    for r in up.requests:
        assert "smuggled" not in r.first, "smuggled request reached the upstream: %r" % r.raw
        same(r.version, "HTTP/1.1")
        same(r.headers.all("host"), ["shop.example"])
        for name in ("connection", "keep-alive", "proxy-connection", "upgrade", "te", "x-mine", "http2-settings"):
            if name == "connection":
                assert r.header(name) in (None, "keep-alive"), r.raw
            else:
                assert name not in r.headers, r.raw
    targets = {r.target for r in up.requests}
    assert targets <= {"/", "/after"}, targets


def test_requests_split_in_every_place(env):
    """The verdict does not depend on how the bytes are cut into segments."""
    up = env.upstream(lambda x: reply())
    address = env.weir(simple(up)).addr()
    good = b"POST /x HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
    bad = b"POST /smuggled HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 3\r\nTransfer-Encoding : chunked\r\n\r\nabc"

    def one(row):
        at, data, want = row["at"], row["data"], row["want"]
        c = H1Client(address)
        try:
            c.send(data[:at])
            c.readable(0.01)
            try:
                c.send(data[at:])
            except OSError:
                pass
            r = c.response()
            same(r.status, int(want))
        finally:
            c.close()

    table = [{"at": i, "data": good, "want": "200", "threat": "T4", "name": "good cut at %d" % i} for i in range(1, len(good))]
    table += [{"at": i, "data": bad, "want": "400", "threat": "T1", "name": "bad cut at %d" % i} for i in range(1, len(bad), 3)]
    run_rows(table, one)
    for r in up.requests:
        same((r.target, r.body), ("/x", b"abc"))
    same(len(up.requests), len(good) - 1)


def test_one_byte_at_a_time(env):
    up = env.upstream()
    c = env.client(env.weir(simple(up)).addr())
    for b in b"POST /slow HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 4\r\n\r\nabcd":
        c.send(bytes([b]))
    same(c.response().status, 200)
    same(up.requests[0].body, b"abcd")


def response_row(env, address, hosts, row):
    name = hosts[row["name"]]
    c = H1Client(address)
    try:
        c.request("GET", "/", host=name)
        r = c.head()
        cut = False
        try:
            r.read_body(c.reader, "GET")
            cut = not (r.chunked or r.length() is not None)  # until close
        except Closed:
            cut = True
        if row["want"] == "200":
            same((r.status, r.body), (200, b"ok"))
            assert not cut, "body ended by close for a client that speaks HTTP/1.1: %r" % r.raw
            c.request("GET", "/second", host="plain.example")
            same(c.response().body, b"second", "the next answer on the connection")
        elif row["want"] == "502":
            same(r.status, 502)
            same(r.header("content-type"), "application/problem+json")
            assert (r.header("proxy-status") or "").startswith("weir; error="), "Proxy-Status %r" % r.header("proxy-status")
        else:
            assert r.status == 502 or (r.status == 200 and cut), "status %d, complete body %r" % (r.status, r.body)
            if r.status == 200:
                assert "poison" not in r.body.decode("latin-1"), r.body
    finally:
        c.close()


def test_responses(env):
    """T9 and the rest: an upstream's answer that two parsers could read differently is 502, and its connection is not used again."""
    table = rows("h1_responses.json")
    assert len(table) > 40
    services, routes, hosts, ups = [], [], {}, []
    for i, row in enumerate(table):
        def script(sock, number, data=row["bytes"].encode("latin-1")):
            head = b""
            while b"\r\n\r\n" not in head:
                part = sock.recv(65536)
                if not part:
                    return
                head += part
            sock.sendall(data)

        up = env.raw_upstream(script)
        ups.append(up)
        hosts[row["name"]] = "h%d.example" % i
        services.append(service("s%d" % i, up))
        routes.append(route("r%d" % i, rule("s%d" % i), hosts=["h%d.example" % i]))
    plain = env.upstream(lambda x: reply(body="second"))
    w = env.weir([gateway(listener()), *services, *routes, service("plain", plain), route("plain", rule("plain"), hosts=["plain.example"])])
    address = w.addr()
    run_rows(table, lambda row: response_row(env, address, hosts, row))
    for row, up in zip(table, ups):
        same(up.connections, 1, "connections for %s: a bad answer is not asked for twice" % row["name"])


def test_excess_bytes_never_reach_the_next_client(env):
    """T9: response queue poisoning. The upstream stays open and has sent a second answer before it was asked."""
    def script(sock, number):
        while True:
            data = b""
            while b"\r\n\r\n" not in data:
                part = sock.recv(65536)
                if not part:
                    return
                data += part
            sock.sendall(reply(body="good") + reply(body="POISON"))

    up = env.raw_upstream(script)
    w = env.weir(simple(up), workers=1)
    for _ in range(30):
        c = env.client(w.addr())
        same(c.ask().body, b"good")
        same(c.ask().body, b"good")
        c.close()


def test_early_bytes_of_an_idle_upstream_are_dropped(env):
    """An answer that arrives on an idle pooled connection belongs to nobody."""
    release, sent = threading.Event(), threading.Event()

    def script(sock, number):
        data = b""
        while b"\r\n\r\n" not in data:
            part = sock.recv(65536)
            if not part:
                return
            data += part
        sock.sendall(reply(body="first"))
        if number == 1:
            release.wait(10)
            sock.sendall(reply(body="POISON"))
            sent.set()
        while sock.recv(65536):
            pass

    up = env.raw_upstream(script)
    w = env.weir(simple(up), workers=1)
    c = env.client(w.addr())
    same(c.ask().body, b"first")
    release.set()
    sent.wait(10)
    until(lambda: w.service()["connections"] == 0, "the poisoned connection is dropped")
    same(c.ask().body, b"first")
    same(up.connections, 2)


def test_a_refusal_is_read_before_the_reset(env):
    """The client sends on while it is refused; the answer must arrive all the same (lingering close)."""
    w = env.weir(simple(env.upstream()))
    for _ in range(20):
        c = env.client(w.addr())
        try:
            c.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + b"x" * 60000)
        except OSError:
            pass
        same([r.status for r in statuses(c.reader.rest())], [400])
        c.close()


def test_half_a_preface_is_not_one(env):
    """Bytes that come one at a time, begin like the preface of HTTP/2 and go on otherwise, are HTTP/1, however they end and however long they are."""
    w = env.weir(simple(env.upstream()), variables={"WEIR_SHORT_IO": "1"})
    for sent in (b"PXI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n", b"P" + b"X" * 300 + b" / HTTP/1.1\r\nHost\r\n\r\n"):
        c = env.client(w.addr())
        c.send(sent)
        same(c.reader.exactly(9), b"HTTP/1.1 ", repr(sent[:40]))
    c = env.client(w.addr())
    same(c.ask("PUT").status, 200)
