"""Raw TCP, TLS terminated to TCP, and passthrough by SNI."""
import socket
import ssl
import threading

from peers import Closed, client_context, server_context
from test_resilience import Blackhole
from weirlib import edge_policy, gateway, listener, obj, policy, route, rule, same, secret, service, until

MB = 1 << 20


def echo(sock, number):
    while True:
        data = sock.recv(65536)
        if not data:
            return
        sock.sendall(data)


def named(name):
    """Says its name, then echoes."""
    def script(sock, number):
        sock.sendall(name)
        echo(sock, number)
    return script


def tcp_site(*endpoints, more=(), **spec):
    return [gateway(listener("db", protocol="tcp")), service("db", *endpoints, protocol="tcp", **spec), route("db", rule("db")), *more]


def connect(env, address):
    s = socket.create_connection(address, 10)
    s.settimeout(15)
    env.clients.append(s)
    return s


def receive(s, n):
    data = b""
    while len(data) < n:
        part = s.recv(n - len(data))
        if not part:
            raise Closed(data)
        data += part
    return data


def test_echo(env):
    w = env.weir(tcp_site(env.raw_upstream(echo)))
    s = connect(env, w.addr("db"))
    for i in range(50):
        s.sendall(b"%04d" % i)
        same(receive(s, 4), b"%04d" % i)
    s.shutdown(socket.SHUT_WR)
    same(s.recv(10), b"")
    row = w.wait_access(protocol="TCP")[0]
    same((row["service"], row["bytes_in"], row["bytes_out"]), ("db", 200, 200))


def test_server_speaks_first(env):
    w = env.weir(tcp_site(env.raw_upstream(named(b"220 hello\r\n"))))
    same(receive(connect(env, w.addr("db")), 11), b"220 hello\r\n")


def test_half_close_both_ways(env):
    def script(sock, number):
        data = b""
        while part := sock.recv(65536):
            data += part
        sock.sendall(b"got %d" % len(data))

    w = env.weir(tcp_site(env.raw_upstream(script)))
    s = connect(env, w.addr("db"))
    s.sendall(b"x" * 100000)
    s.shutdown(socket.SHUT_WR)
    data = b""
    while part := s.recv(100):
        data += part
    same(data, b"got 100000")


def test_large_transfer_both_ways_at_once(env):
    w = env.weir(tcp_site(env.raw_upstream(echo)))
    s = connect(env, w.addr("db"))
    block = bytes(range(256)) * 4096
    n = 100

    def send():
        for _ in range(n):
            s.sendall(block)
        s.shutdown(socket.SHUT_WR)

    task = env.thread(send)
    for _ in range(n):
        assert receive(s, len(block)) == block
    same(s.recv(1), b"")
    task.result()


def test_slow_reader_does_not_grow_memory(env):
    def script(sock, number):
        for _ in range(200):
            sock.sendall(b"x" * MB)

    w = env.weir(tcp_site(env.raw_upstream(script)))
    before = w.rss()
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    s.settimeout(15)
    s.connect(w.addr("db"))
    env.clients.append(s)
    total = len(receive(s, 10 * MB))
    assert w.rss() - before < 16 * MB, w.rss() - before
    while part := s.recv(MB):
        total += len(part)
    same(total, 200 * MB)
    assert w.rss() - before < 16 * MB, w.rss() - before


def test_reset_ends_the_other_side(env):
    import struct
    gone = threading.Event()

    def script(sock, number):
        try:
            echo(sock, number)
        finally:
            gone.set()

    w = env.weir(tcp_site(env.raw_upstream(script)))
    s = connect(env, w.addr("db"))
    s.sendall(b"x")
    receive(s, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    assert gone.wait(10)
    until(lambda: w.status()["connections"] == 0, "connection let go")


def test_no_endpoint_closes_at_once(env):
    dead = env.raw_upstream(echo)
    dead.stop_listening()
    w = env.weir(tcp_site(dead))
    try:
        same(connect(env, w.addr("db")).recv(10), b"")
    except ConnectionError:
        pass
    assert w.wait_access(protocol="TCP")[0]["why"]


def test_next_endpoint_when_one_refuses(env):
    dead = env.raw_upstream(echo)
    dead.stop_listening()
    w = env.weir(tcp_site(dead, env.raw_upstream(named(b"ok"))), workers=1)
    got = 0
    for _ in range(6):
        try:
            got += receive(connect(env, w.addr("db")), 2) == b"ok"
        except (Closed, ConnectionError):
            pass
    assert got >= 3, got


def test_another_endpoint_when_connecting_fails(env):
    """Nothing was sent, so a retry is safe for bytes too; the log tells a refusal from time that ran out."""
    dead = env.raw_upstream(echo)
    dead.stop_listening()
    for bad, why in ((dead, "connection_refused"), (Blackhole(env), "connection_timeout")):
        limits = policy("db", {"service": "db"}, timeout={"connect": "1s"}, retry={"attempts": 1}, health={"passive": {"consecutive": 0}})
        w = env.weir(tcp_site(bad, env.raw_upstream(named(b"ok")), more=[limits]), workers=1)
        for _ in range(4):
            s = connect(env, w.addr("db"))
            same(receive(s, 2), b"ok")
            s.close()
        assert {r["tries"] for r in w.wait_access(4)} in ({1, 2}, {2}), w.access()
        w = env.weir(tcp_site(bad, more=[limits]), workers=1)
        s = connect(env, w.addr("db"))
        same(s.recv(10), b"")
        s.close()
        row = w.wait_access()[0]
        same((row["failed"], row["why"]), ("upstream", why))


def test_idle_time_limit(env):
    w = env.weir(tcp_site(env.raw_upstream(echo), more=[edge_policy(timeout={"idle": "400ms"})]))
    s = connect(env, w.addr("db"))
    s.sendall(b"x")
    receive(s, 1)
    try:
        same(s.recv(1), b"")
    except ConnectionError:
        pass


def test_connection_limit(env):
    w = env.weir(tcp_site(env.raw_upstream(echo), more=[edge_policy(limits={"connections": 2})]))
    held = []
    for _ in range(2):
        s = connect(env, w.addr("db"))
        s.sendall(b"x")
        receive(s, 1)
        held.append(s)
    third = connect(env, w.addr("db"))
    try:
        same(third.recv(1), b"")
    except ConnectionError:
        pass
    held[0].close()
    until(lambda: w.status()["connections"] == 1, "one left")
    s = connect(env, w.addr("db"))
    s.sendall(b"y")
    same(receive(s, 1), b"y")


def test_tls_terminated_to_tcp(env):
    pair = env.ca().issue("db.example")
    w = env.weir([gateway(listener("db", protocol="tls", tls={"mode": "terminate", "certificates": [{"secret": "cert"}]})), secret("cert", pair),
                  service("db", env.raw_upstream(echo), protocol="tcp"), route("db", rule("db"))])
    s = client_context(env.ca()).wrap_socket(connect(env, w.addr("db")), server_hostname="db.example")
    body = bytes(range(256)) * 64
    for _ in range(64):
        s.sendall(body)
        assert receive(s, len(body)) == body
    s.close()
    row = w.wait_access(protocol="TCP")[0]
    same(row["sni"], "db.example")


def test_tcp_to_a_tls_upstream(env):
    pair = env.ca().issue("db.internal")
    w = env.weir(tcp_site(env.raw_upstream(echo, tls=pair), tls={"serverName": "db.internal", "ca": {"secret": "trust"}}, more=[secret("trust", ca=env.ca())]))
    s = connect(env, w.addr("db"))
    s.sendall(b"hello")
    same(receive(s, 5), b"hello")
    w = env.weir(tcp_site(env.raw_upstream(echo, tls=env.ca("other").issue("db.internal")), tls={"serverName": "db.internal", "ca": {"secret": "trust"}},
                          more=[secret("trust", ca=env.ca())]))
    s = connect(env, w.addr("db"))
    try:
        s.sendall(b"hello")
        same(s.recv(5), b"", "an upstream that cannot be verified")
    except ConnectionError:
        pass


# ---- passthrough ----
def passthrough_site(env, hosts):
    """hosts: [(service name, route hosts, Pair)]"""
    doc = [gateway(listener("tls", protocol="tls", tls={"mode": "passthrough"}))]
    for name, names, pair in hosts:
        doc += [service(name, env.raw_upstream(named(name.encode()), tls=pair), protocol="tcp"), route(name, rule(name), hosts=names)]
    return doc


def ask_tls(env, address, sni, ca, n):
    s = client_context(ca).wrap_socket(connect(env, address), server_hostname=sni)
    try:
        return receive(s, n)
    finally:
        s.close()


def test_passthrough_by_sni(env):
    ca = env.ca()
    w = env.weir(passthrough_site(env, [("aa", ["a.example"], ca.issue("a.example")), ("bb", ["*.b.example"], ca.issue("*.b.example", cn="b"))]))
    address = w.addr("tls")
    same(ask_tls(env, address, "a.example", ca, 2), b"aa")
    same(ask_tls(env, address, "A.EXAMPLE", ca, 2), b"aa")
    same(ask_tls(env, address, "x.b.example", ca, 2), b"bb")
    for sni in ("c.example", "b.example"):
        try:
            ask_tls(env, address, sni, ca, 2)
        except (OSError, Closed):
            continue
        raise AssertionError("%s went through" % sni)
    rows = w.wait_access(1, sni="x.b.example")
    same(rows[0]["service"], "bb")


def hello(env, sni):
    """The bytes of a ClientHello."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    o = client_context().wrap_bio(into, out, server_hostname=sni)
    try:
        o.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def test_passthrough_hello_in_pieces(env):
    """A ClientHello that comes byte by byte, or in two TLS records, is the same ClientHello."""
    ca = env.ca()
    w = env.weir(passthrough_site(env, [("aa", ["a.example"], ca.issue("a.example"))]))
    data = hello(env, "a.example")
    body = data[5:]
    two = data[:3] + (100).to_bytes(2, "big") + body[:100] + data[:3] + (len(body) - 100).to_bytes(2, "big") + body[100:]
    for pieces in ([bytes([b]) for b in data], [data[:5], data[5:]], [two], [bytes([b]) for b in two]):
        s = connect(env, w.addr("tls"))
        for p in pieces:
            s.sendall(p)
        same(receive(s, 1), b"\x16", "the server's handshake")
        s.close()


def test_passthrough_hostile_first_bytes(env):
    """T26, T27: what is no ClientHello, lies about its lengths, or never ends is closed; nothing reaches an upstream."""
    ca = env.ca()
    up = env.raw_upstream(echo)
    w = env.weir([gateway(listener("tls", protocol="tls", tls={"mode": "passthrough"})), service("aa", up, protocol="tcp"),
                  route("aa", rule("aa"), hosts=["a.example"]), edge_policy(timeout={"handshake": "500ms"})])
    data = hello(env, "a.example")
    at = data.index(b"a.example")
    bad = [b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", b"\x16\x03\x01\x00\x00" * 50, b"\x16\x03\x01\xff\xff" + b"\x01" * 70000, b"\x15\x03\x01\x00\x02\x02\x28",
           data[:5] + b"\x02" + data[6:], data[:6] + b"\xff\xff\xff" + data[9:], data[:at - 2] + b"\xff\xff" + data[at:], data[:at] + b"a\0example" + data[at + 9:],
           hello(env, "other.example"), hello(env, None), data[:40]]
    for b in bad:
        s = connect(env, w.addr("tls"))
        try:
            s.sendall(b)
            while s.recv(1000):
                pass
        except OSError as e:
            assert not isinstance(e, socket.timeout), "not closed: %r" % b[:40]
        s.close()
    same(up.connections, 0)
    until(lambda: w.status()["connections"] == 0, "all connections gone")


def test_drain_lets_connections_finish(env):
    w = env.weir(tcp_site(env.raw_upstream(echo)))
    s = connect(env, w.addr("db"))
    s.sendall(b"a")
    receive(s, 1)
    task = env.thread(w.stop)
    until(lambda: w.log("draining"), "draining")
    s.sendall(b"b")
    same(receive(s, 1), b"b")
    s.close()
    task.result()


def test_many_connections(env):
    w = env.weir(tcp_site(env.raw_upstream(echo)))

    def one(i):
        s = connect(env, w.addr("db"))
        for k in range(10):
            s.sendall(b"%06d" % (i * 100 + k))
            same(receive(s, 6), b"%06d" % (i * 100 + k))
        s.close()

    for t in [env.thread(one, i) for i in range(100)]:
        t.result()
    until(lambda: w.status()["connections"] == 0, "all let go")
