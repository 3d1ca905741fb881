"""Configuration changes under traffic: nothing half-applied, nothing lost; drain and signals."""
import os
import signal
import socket
import threading

from h2peers import H2Client, H2Upstream
from peers import H1Client, client_context, reply
from test_faults_kinds import switch
from test_streaming import sse_handler
from test_tcp import echo
from test_websocket import KEY
from weirlib import Authority, edge_policy, gateway, listener, policy, route, rule, same, secret, service, simple, until


def test_new_routes_take_effect(env):
    a, b = env.upstream(name="a"), env.upstream(name="b")
    w = env.weir(simple(a))
    c = env.client(w.addr())
    same(c.ask().body, b"a")
    w.reload(simple(b))
    same(c.ask().body, b"b", "the next request of an open connection uses the new world")
    same(w.status()["generation"], 2)
    assert w.log("reloaded")


def test_same_documents_same_hash(env):
    doc = simple(env.upstream())
    w = env.weir(doc)
    before = w.status()["configHash"]
    w.reload(doc)
    same(w.status()["configHash"], before)
    doc.append(route("more", rule("shop"), hosts=["x.example"]))
    w.reload(doc)
    assert w.status()["configHash"] != before


def test_bad_document_changes_nothing(env):
    """Every kind of mistake: syntax, schema, reference, certificate, address in use. It is shown in the log and in /status."""
    up = env.upstream()
    good = simple(up)
    w = env.weir(good)
    c = env.client(w.addr())
    taken = env.upstream()
    hash_before = w.status()["configHash"]
    env.write("bad.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    cases = {
        "syntax": "kind: [unclosed\n",
        "unknown field": simple(up, gw=gateway(listener(adress="127.0.0.1:0"))),
        "unknown service": [gateway(), route("shop", rule("nothing"))],
        "unknown kind": [dict(gateway(), kind="Gatway")],
        "no certificate file": simple(up, gw=gateway(listener(protocol="https", tls={"certificates": [{"secret": "s"}]})),
                                      more=[dict(secret("s", type("P", (), {"cert": env.path("none.pem"), "key": env.path("none.key")})))]),
        "bad certificate": simple(up, gw=gateway(listener(protocol="https", tls={"certificates": [{"secret": "s"}]})),
                                  more=[secret("s", type("P", (), {"cert": env.path("bad.pem"), "key": env.path("bad.pem")}))]),
        "address in use": simple(up, gw=gateway(listener(), listener("two", address=taken.address))),
        "not an address": simple(up, gw=gateway(listener(address="nonsense"))),
    }
    for name, doc in cases.items():
        last = w.reload(doc, ok=False)
        assert last["error"], name
        same((last["ok"], w.status()["configHash"]), (False, hash_before), name)
        same(c.ask().status, 200, name)
        same(env.client(w.addr()).ask().status, 200, name)
    same(len(w.log("reload failed: nothing changed")), len(cases))
    same([r["name"] for r in w.status()["listeners"]], ["edge/web"])
    w.reload(good)
    same(w.status()["lastReload"]["ok"], True)
    assert "error" not in w.status()["lastReload"]


class Load:
    """Clients that ask without pause over one connection each; every failure counts."""

    def __init__(self, env, make):
        self.stop, self.count, self.tasks = threading.Event(), 0, []
        self.tasks = [env.thread(self.run, fn) for fn in make]

    def run(self, ask):
        n = 0
        while not self.stop.is_set():
            ask()
            n += 1
            self.count += 1
        return n

    def end(self):
        self.stop.set()
        return [t.result() for t in self.tasks]


def test_hundred_reloads_under_load(env):
    """Not one request fails over keep-alive HTTP/1, HTTP/2 and TLS, through 100 changes of the whole configuration."""
    pair = env.ca().issue("shop.example")
    up, up2 = env.upstream(), H2Upstream()
    env.cleanups.append(up2.close)

    def doc(i):
        return [gateway(listener("web"), listener("tls", protocol="https", tls={"certificates": [{"secret": "cert"}]})), secret("cert", pair), service("shop", up),
                service("two", up2, protocol="h2"), route("shop", rule("two", path={"prefix": "/two"}), rule("shop")), route("r%d" % i, rule("shop"), hosts=["h%d.example" % i]),
                edge_policy(timeout={"request": "%ds" % (20 + i % 7)})]

    w = env.weir(doc(0))
    clear, secure = w.addr("web"), w.addr("tls")

    def h1(address, tls=None, path="/"):
        box = [H1Client(address, tls)]
        env.clients.append(box[0])

        def ask():
            r = box[0].ask("POST", path, body=b"x" * 1000)
            same(r.status, 200, "body %r" % r.body)
            if r.header("connection") == "close":  # announced: not a failure
                box[0] = H1Client(address, tls)
                env.clients.append(box[0])
        return ask

    def h2(address, tls=None, path="/"):
        box = [H2Client(address, tls=tls)]
        env.clients.append(box[0])

        def ask():
            if box[0].goaway:
                box[0] = H2Client(address, tls=tls)
                env.clients.append(box[0])
            s = box[0].ask("POST", path, body=b"x" * 1000)
            same((s.status, s.reset), (200, None), "body %r" % s.body)
        return ask

    tls1, tls2 = client_context(env.ca()), client_context(env.ca(), alpn=["h2"])
    load = Load(env, [h1(clear), h1(clear, path="/two"), h2(clear), h2(clear, path="/two"), h1(secure, tls1), h2(secure, tls2)])
    until(lambda: load.count > 50, "load")
    for i in range(1, 101):
        w.reload(doc(i))
    counts = load.end()
    assert min(counts) > 10, counts
    same(w.status()["generation"], 101)
    rows = w.wait_access(sum(counts))
    same([r for r in rows if r["status"] != 200 or "failed" in r], [])


def test_long_streams_outlive_reloads(env):
    """Events over HTTP/1 and over HTTP/2 with TLS, a WebSocket and a TCP connection: each passes bytes after each of 20 reloads."""
    pair, n = env.ca().issue("shop.example"), 20
    go = [threading.Semaphore(0), threading.Semaphore(0)]
    events = [env.upstream(sse_handler(g, n)) for g in go]
    tunnel = env.upstream(switch)

    def doc(i):
        return [gateway(listener("web"), listener("tls", protocol="https", tls={"certificates": [{"secret": "cert"}]}), listener("raw", protocol="tcp")),
                secret("cert", pair), service("one", events[0]), service("two", events[1]), service("ws", tunnel), service("bytes", env.tcp, protocol="tcp"),
                route("web", rule("one", path={"prefix": "/one"}), rule("two", path={"prefix": "/two"}), rule("ws"),
                      attach=[{"gateway": "edge", "listener": "web"}, {"gateway": "edge", "listener": "tls"}]),
                route("raw", rule("bytes"), attach=[{"gateway": "edge", "listener": "raw"}]), edge_policy(timeout={"request": "%ds" % (60 + i)})]

    env.tcp = env.raw_upstream(echo)
    w = env.weir(doc(0))
    one, two, ws = env.client(w.addr("web")), H2Client(w.addr("tls"), tls=client_context(env.ca(), alpn=["h2"])), env.client(w.addr("web"))
    env.clients.append(two)
    one.request("GET", "/one")
    same(one.head().status, 200)
    s = two.start("GET", "/two", scheme="https")
    two.until(lambda: s.headers, "head")
    ws.request("GET", "/ws", headers=KEY)
    same(ws.head().status, 101)
    raw = socket.create_connection(w.addr("raw"), 15)
    env.clients.append(raw)
    for i in range(n):
        w.reload(doc(i + 1))
        event = b"id: %d\ndata: event %d\n\n" % (i, i)
        for g in go:
            g.release()
        same(one.reader.exactly(int(one.reader.until(b"\r\n"), 16) + 2)[:-2], event)
        two.until(lambda: s.body.endswith(event), "event %d" % i)
        ws.send(b"%04d" % i)
        same(ws.reader.exactly(4), b"%04d" % i)
        raw.sendall(b"%04d" % i)
        same(raw.recv(4, socket.MSG_WAITALL), b"%04d" % i)
    same(one.reader.until(b"\r\n\r\n"), b"0\r\n\r\n")
    two.wait(s)
    same(s.reset, None)


def test_reloads_do_not_leak(env):
    def doc(i):
        return simple(up, more=[route("r%d" % k, rule("shop"), hosts=["h%d-%d.example" % (i, k)]) for k in range(50)])

    up = env.upstream()
    w = env.weir(doc(0))
    c = env.client(w.addr())
    for i in range(20):
        w.reload(doc(i))
        same(c.ask().status, 200)
    memory, descriptors = w.rss(), w.descriptors()
    for i in range(100):
        w.reload(doc(i))
        same(c.ask().status, 200)
    assert w.rss() - memory < 8 << 20, "memory grew by %d KB in 100 reloads" % ((w.rss() - memory) >> 10)
    assert w.descriptors() <= descriptors + 2, (descriptors, w.descriptors())


def test_listener_added_and_removed(env):
    up = env.upstream()
    w = env.weir(simple(up, gw=gateway(listener("web"))))
    first = w.addr("web")
    w.reload(simple(up, gw=gateway(listener("web"), listener("two"))))
    same(w.addr("web"), first, "an address that stays keeps its socket and its port")
    second = w.addr("two")
    c1, c2 = env.client(first), env.client(second)
    same((c1.ask().status, c2.ask().status), (200, 200))
    w.reload(simple(up, gw=gateway(listener("web"))))
    same(c1.ask().status, 200)
    c2.closed()  # idle: closed after the announcement
    until(lambda: refused(second), "the removed listener's port is closed")
    same(env.client(first).ask().status, 200)


def test_listener_moves_to_another_address(env):
    up = env.upstream()
    w = env.weir(simple(up, gw=gateway(listener("web"))))
    old = w.addr("web")
    c = env.client(old)
    same(c.ask().status, 200)
    w.reload(simple(up, gw=gateway(listener("web", address="127.0.0.2:0"))))
    new = w.addr("web")
    same(new[0], "127.0.0.2")
    same(env.client(new).ask().status, 200)
    r = c.ask()
    same((r.status, r.header("connection")), (200, "close"), "the connection to the old address is told, not cut")
    until(lambda: refused(old), "the old address is closed")
    w.reload(simple(up, gw=gateway(listener("web", address="127.0.0.3:%d" % new[1]))))
    same(env.client(("127.0.0.3", new[1])).ask().status, 200, "the same port at another address")


def test_transport_of_a_service_follows_the_documents(env):
    """Whatever a worker remembers of a service: after a reload nothing goes out in clear that shall be encrypted, nor the other way."""
    ca = Authority(env.folder, "ca")
    clear, crypt = env.upstream(name="clear"), env.upstream(name="crypt", tls=ca.issue("shop"))

    def documents(up, tls, n):
        shop = service("shop", up, tls={"ca": {"secret": "ca"}}) if tls else service("shop", up)
        return [gateway(), secret("ca", ca=ca), shop, route("shop", rule("shop"), rule(path={"exact": "/n"}, reply={"body": str(n)}))]

    w = env.weir(documents(clear, False, 0), workers=1)
    c = env.client(w.addr())
    for n in range(1, 9):
        same(c.ask().body, b"clear" if n % 2 else b"crypt")
        for k in range(n % 4 + 1):  # worlds that no request sees
            w.reload(documents(clear, False, "%d.%d" % (n, k)))
        w.reload(documents(crypt, True, n) if n % 2 else documents(clear, False, n))


def refused(address):
    try:
        H1Client(address).close()
        return False
    except OSError:
        return True


def test_removed_listener_lets_a_request_finish(env):
    go = threading.Event()

    def handler(x):
        go.wait(20)
        return reply(body="late")

    up = env.upstream(handler)
    w = env.weir(simple(up, gw=gateway(listener("web"), listener("two"))))
    c = env.client(w.addr("two"))
    c.request()
    up.wait()
    w.reload(simple(up, gw=gateway(listener("web"))))
    go.set()
    r = c.response()
    same((r.status, r.body, r.header("connection")), (200, b"late", "close"))
    c.closed()


def test_request_keeps_the_world_it_started_in(env):
    go = threading.Event()

    def handler(x):
        go.wait(20)
        return reply(body="old", headers=[("X-A", "1")])

    old = env.upstream(handler)
    edits = {"response": {"set": {"X-World": "old"}}}
    w = env.weir([gateway(), service("shop", old), route("shop", rule("shop", headers=edits))])
    c = env.client(w.addr())
    c.request()
    old.wait()
    for _ in range(5):
        w.reload(simple(env.upstream(name="new")))
    go.set()
    r = c.response()
    same((r.body, r.header("x-world")), (b"old", "old"))
    r = c.ask()
    same((r.body, r.header("x-world")), (b"new", None))


def test_endpoints_added_and_removed_under_load(env):
    ups = [env.upstream(name=str(i)) for i in range(4)]
    w = env.weir(simple(*ups[:2]))
    address = w.addr()
    c = [H1Client(address) for _ in range(4)]
    env.clients += c
    load = Load(env, [lambda c=c: same(c.ask().status, 200) for c in c])
    for i in range(30):
        w.reload(simple(*[ups[(i + k) % 4] for k in range(1 + i % 4)]))
    load.end()
    assert all(u.requests for u in ups)


def test_sigterm_lets_a_running_request_finish(env):
    go = threading.Event()

    def handler(x):
        if x.request.target != "/idle":
            go.wait(20)
        return reply(body="late")

    up = env.upstream(handler)
    w = env.weir(simple(up))
    address = w.addr()
    running, idle = env.client(address), env.client(address)
    same(idle.ask("GET", "/idle").status, 200)
    running.request()
    up.wait(2)
    task = env.thread(w.stop)
    until(lambda: w.log("draining"), "draining")
    idle.closed()
    until(lambda: refused(address), "no new connections")
    go.set()
    r = running.response()
    same((r.status, r.body, r.header("connection")), (200, b"late", "close"))
    running.closed()
    task.result()


def test_sigterm_serves_whoever_has_connected(env):
    """However many wait to be accepted: closing the listening socket would reset them."""
    w = env.weir(simple(env.upstream()), workers=1)
    address = w.addr()
    os.kill(w.process.pid, signal.SIGSTOP)
    try:
        clients = [env.client(address) for _ in range(200)]
        for c in clients:
            c.request()
        w.process.send_signal(signal.SIGTERM)
    finally:
        os.kill(w.process.pid, signal.SIGCONT)
    same({c.response().status for c in clients}, {200})
    w.stop()


def test_second_sigterm_ends_at_once(env):
    up = env.upstream(lambda x: x.sock.recv(1) and None)
    w = env.weir(simple(up))
    c = env.client(w.addr())
    c.request()
    up.wait()
    w.process.send_signal(signal.SIGTERM)
    until(lambda: w.log("draining"), "draining")
    same(w.process.poll(), None)
    w.stop()


def test_sigint_drains_too(env):
    w = env.weir(simple(env.upstream()))
    w.process.send_signal(signal.SIGINT)
    same(w.process.wait(15), 0)
    w.stopped = True
    w.check_log()


def test_reload_while_draining(env):
    """SIGHUP after SIGTERM: too late to change anything, and no harm."""
    go = threading.Event()

    def handler(x):
        go.wait(20)
        return reply()

    up = env.upstream(handler)
    w = env.weir(simple(up))
    c = env.client(w.addr())
    c.request()
    up.wait()
    task = env.thread(w.stop)
    until(lambda: w.log("draining"), "draining")
    for _ in range(3):
        w.process.send_signal(signal.SIGHUP)
        same(w.get("/ready")[0], 503)
    go.set()
    same(c.response().status, 200)
    task.result()


def test_reload_and_end_at_once(env):
    """Both signals wait when the process gets to them."""
    for _ in range(5):
        w = env.weir(simple(env.upstream()))
        w.process.send_signal(signal.SIGSTOP)
        w.process.send_signal(signal.SIGHUP)
        w.process.send_signal(signal.SIGTERM)
        w.process.send_signal(signal.SIGCONT)
        same(w.process.wait(15), 0, w.stderr())
        w.stopped = True
        w.check_log()


def test_sigterm_overtakes_a_reload(env):
    """The end may reach a worker before the world that was made for it does."""
    for _ in range(10):
        w = env.weir(simple(env.upstream(), more=[route("r%d" % i, rule("shop"), hosts=["h%d.example" % i]) for i in range(50)]))
        env.weirs.remove(w)
        for _ in range(3):
            w.process.send_signal(signal.SIGHUP)
        until(lambda: w.log("reloaded"), "the first reload")
        w.process.send_signal(signal.SIGTERM)
        same(w.process.wait(30), 0, w.stderr())
        w.check_log()


def test_many_signals(env):
    w = env.weir(simple(env.upstream()))
    for _ in range(50):
        w.process.send_signal(signal.SIGHUP)
    until(lambda: w.status()["lastReload"]["succeeded"] >= 2, "reloads")
    same(env.client(w.addr()).ask().status, 200)


def test_client_certificate_newly_required(env):
    """Not a gap: after the reload every new connection must show a certificate."""
    ca, staff = env.ca(), env.ca("staff")

    def doc(**tls):
        return [gateway(listener(protocol="https", tls=dict({"certificates": [{"secret": "cert"}]}, **tls))), secret("cert", ca.issue("shop.example")), secret("staff", ca=staff),
                service("shop", env.upstream()), route("shop", rule("shop"))]

    w = env.weir(doc())
    same(env.client(w.addr(), client_context(ca)).ask().status, 200)
    w.reload(doc(clientCertificate={"mode": "required", "ca": {"secret": "staff"}}))
    try:
        status = env.client(w.addr(), client_context(ca)).ask().status
    except Exception:
        status = None
    same(status, None, "a connection without a certificate")
    same(env.client(w.addr(), client_context(ca, staff.issue("alice"))).ask().status, 200)


def test_policy_change_applies_to_open_connections(env):
    w = env.weir(simple(env.upstream()))
    c = env.client(w.addr())
    same(c.ask("POST", "/", body=b"x" * 2000).status, 200)
    w.reload(simple(env.upstream(), more=[edge_policy(limits={"body": "1KiB"})]))
    same(c.ask("POST", "/", body=b"x" * 2000).status, 413)


def test_file_gone(env):
    w = env.weir(simple(env.upstream()))
    os.rename(w.file, w.file + ".away")
    w.reload(ok=False)
    same(env.client(w.addr()).ask().status, 200)
    os.rename(w.file + ".away", w.file)
    w.reload()


def test_folder_of_documents(env):
    """`weir up DIR`: all files of it, also new ones at a reload."""
    up = env.upstream()
    env.write("conf/gateway.yaml", [gateway()])
    env.write("conf/shop.yaml", [service("shop", up), route("shop", rule("shop"))])
    env.write("conf/notes.txt", "not a document: [")
    w = env.weir(None, paths=[env.path("conf")])
    same(env.client(w.addr()).ask().status, 200)
    env.write("conf/extra.yaml", [route("extra", rule(path={"exact": "/extra"}, reply={"status": 299}))])
    w.reload()
    same(env.client(w.addr()).ask("GET", "/extra").status, 299)


def test_a_short_drain_leaves_nothing(env):
    """Connections that were let go and still linger when the time is over end with the process."""
    up = env.upstream()
    w = env.weir(simple(up), args=["--drain", "1s"])
    for _ in range(8):
        same(env.client(w.addr()).ask().status, 200)
    w.stop()


def test_listeners_change_names_and_places(env):
    """Who keeps an address keeps its sockets and its connections, under whatever name; names and addresses can be exchanged."""
    up = env.upstream()

    def documents(**places):
        rules = [rule("shop"), rule(path={"exact": "/who"}, reply={"body": "any"})]
        routes = [route(name, rule(path={"exact": "/who"}, reply={"body": name}), hosts=["shop.example"], attach=[{"gateway": "edge", "listener": name}]) for name in places]
        return simple(up, gw=gateway(*[listener(name, address=a) for name, a in places.items()]), rules=rules, more=routes)

    w = env.weir(documents(web="127.0.0.1:0", other="127.0.0.1:0"))
    one, two = ("127.0.0.1:%d" % w.addr(name)[1] for name in ("web", "other"))
    a, b = env.client(w.addr("web")), env.client(w.addr("other"))
    steps = ({"web": one, "other": two}, {"other": one, "web": two}, {"http": one, "web": two}, {"http": two, "next": one}, {"web": one, "other": two})
    for places in steps:
        w.reload(documents(**places))
        for c, address in ((a, one), (b, two)):
            name = next(k for k, v in places.items() if v == address)
            r = c.ask("GET", "/who")
            same((r.status, r.body.decode(), r.header("connection")), (200, name, None), places)
            same(w.metric("weir_listener_active_connections", listener="edge/" + name), 1)
        same(sum(v for k, v in w.metrics().items() if k.startswith("weir_listener_active_connections")), 2)


def test_listener_changes_its_protocol(env):
    """The address stays open; connections of the old protocol are told to leave, new ones speak the new one."""
    pair = env.ca().issue("shop.example")
    up, tls = env.upstream(), {"certificates": [{"secret": "cert"}]}
    w = env.weir(simple(up))
    address = w.addr()
    text = "127.0.0.1:%d" % address[1]
    old = env.client(address)
    same(old.ask().status, 200)
    w.reload(simple(up, gw=gateway(listener("web", protocol="https", address=text, tls=tls)), more=[secret("cert", pair)]))
    same(old.ask().header("connection"), "close")
    secure = env.client(address, client_context(env.ca()))
    same(secure.ask().status, 200)
    w.reload(simple(up, gw=gateway(listener("web", address=text))))
    same(secure.ask().header("connection"), "close")
    same(env.client(address).ask().status, 200)


def test_connections_to_endpoints_that_went_are_let_go(env):
    old, new = env.upstream(), env.upstream()
    w = env.weir(simple(old, new), workers=1)
    c = env.client(w.addr())
    until(lambda: c.ask().status == 200 and old.open and new.open, "a connection to each")
    w.reload(simple(new))
    until(lambda: not old.open, "no connection to the endpoint that went")
    assert new.open
    same(c.ask().status, 200)


def test_an_empty_file_changes_nothing(env):
    """Whoever writes the file anew may be half way."""
    w = env.weir(simple(env.upstream()))
    c = env.client(w.addr())
    for text in ("", "# nothing\n", "---\n---\n"):
        assert "holds no document" in w.reload(text, ok=False)["error"]
        same(c.ask().status, 200)


def test_nothing_under_way_notices_reloads(env):
    """A tunnel, a raw connection, a stream over HTTP/2 and a half-read answer live through reloads that change everything around them."""
    go = threading.Event()

    def handler(x):
        if x.request.target == "/tunnel":
            x.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
            while True:
                x.send(x.sock.recv(100) or x.reset())
        x.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        go.wait(30)
        return b"half"

    def echo(sock, number):
        while True:
            data = sock.recv(100)
            if not data:
                return
            sock.sendall(data)

    up, raw = env.upstream(handler), env.raw_upstream(echo)

    def documents(i):
        return [gateway(listener("web"), listener("tcp", protocol="tcp"), listener("extra%d" % (i % 3))), service("shop", up), service("raw", raw, protocol="tcp"),
                route("shop", rule("shop"), attach=[{"gateway": "edge", "listener": "web"}]), route("raw", rule("raw"), attach=[{"gateway": "edge", "listener": "tcp"}]),
                route("r%d" % i, rule(reply={"body": "x"}), hosts=["h%d.example" % i], attach=[{"gateway": "edge", "listener": "web"}]),
                edge_policy(timeout={"idle": "%dm" % (i + 1)}, headers={"response": {"set": {"x-n": str(i)}}})]

    w = env.weir(documents(0))
    tunnel, half, tcp = env.client(w.addr("web")), env.client(w.addr("web")), env.client(w.addr("tcp"))
    tunnel.request("GET", "/tunnel", [("Connection", "Upgrade"), ("Upgrade", "chat")])
    same(tunnel.head().status, 101)
    half.request("GET", "/half")
    head = half.head()
    h2 = H2Client(w.addr("web"))
    env.clients.append(h2)
    stream = env.thread(lambda: h2.ask("GET", "/half"))
    up.wait(3)
    for i in range(1, 11):
        w.reload(documents(i))
        for c in (tunnel, tcp):
            c.send("ping%02d" % i)
            same(c.reader.exactly(6), b"ping%02d" % i)
    go.set()
    head.read_body(half.reader, "GET")
    same((head.body, stream.result().body, h2.goaway), (b"halfhalf", b"halfhalf", None))
    same((half.ask("GET", "/", host="h10.example").body, head.header("x-n")), (b"x", "0"))


def test_the_log_names_the_host_that_was_asked_for(env):
    w = env.weir(simple(env.upstream(), rules=[rule("shop", rewrite={"host": "internal.example"})]))
    env.client(w.addr()).ask()
    same(w.wait_access()[0]["host"], "shop.example")
