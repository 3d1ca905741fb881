"""Whose fault a failure is: endpoints are not ejected, and services not named, for what clients do; everything that fails is counted."""
import random
import socket

from h2peers import H2Client
from peers import Closed, H1Client, client_context, reply
from weirlib import gateway, listener, policy, route, rule, same, secret, service, simple, until


def strict(**timeout):
    """A policy under which one failure of an endpoint would eject it."""
    return policy("strict", {"service": "shop"}, timeout=timeout, health={"passive": {"consecutive": 1}})


def begin_upload(c, length=1000000):
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: %d\r\n\r\nx" % length)


def test_a_slow_upload_is_the_clients_fault(env):
    w = env.weir(simple(env.upstream(), env.upstream(), more=[strict(request="300ms")]))
    c = env.client(w.addr())
    begin_upload(c)
    r = c.response("POST")
    same((r.status, r.header("proxy-status")), (408, "weir; error=connection_read_timeout"))
    same((w.wait_access()[0]["failed"], [e["state"] for e in w.endpoints()]), ("client", ["healthy", "healthy"]))


def test_a_slow_upload_costs_no_try(env):
    """perTry is the service's time: it does not run out while the client still sends."""
    up = env.upstream()
    w = env.weir(simple(up, env.upstream(), more=[strict(perTry="3s")]))
    c = env.client(w.addr())
    begin_upload(c, 3)
    same(c.readable(3.5), False)
    c.send("xx")
    same((c.response("POST").status, w.wait_access()[0]["tries"], [e["state"] for e in w.endpoints()]), (200, 1, ["healthy", "healthy"]))


def test_a_service_that_hangs_is_its_own_fault(env):
    hang = lambda x: x.sock.recv(1) and None
    w = env.weir(simple(env.upstream(hang), env.upstream(hang), more=[strict(request="300ms")]))
    r = env.client(w.addr()).ask("POST", "/", body=b"x" * 1000)
    same((r.status, r.header("proxy-status")), (504, "weir; error=http_response_timeout"))
    same((w.wait_access()[0]["failed"], sorted(e["state"] for e in w.endpoints())), ("upstream", ["ejected", "healthy"]))


def test_waiting_in_line_is_nobodys_fault(env):
    """perTry runs out while a request waits for the one connection that the breaker allows: no endpoint failed."""
    up, up2 = env.upstream(lambda x: x.sock.recv(1) and None), env.upstream()
    w = env.weir(simple(up, up2, more=[policy("p", {"service": "shop"}, timeout={"perTry": "200ms"}, breaker={"maxConnections": 1},
                                              health={"passive": {"consecutive": 1}})]), workers=1)
    clients = [env.client(w.addr()) for _ in range(4)]
    for c in clients:
        c.request()
    for c in clients:
        assert c.response().status in (200, 504)
    same(len([e for e in w.endpoints() if e["address"] == up2.address and e["state"] == "ejected"]), 0)


def test_a_client_that_leaves_is_499_in_the_log(env):
    up = env.upstream(lambda x: x.sock.recv(1) and None)
    w = env.weir(simple(up))
    c = env.client(w.addr())
    c.request()
    up.wait()
    c.reset()
    row = w.wait_access()[0]
    same((row["status"], row["failed"], row["why"]), (499, "client", "client_closed"))
    same(w.metric("weir_request_failures_total", error="client_closed"), 1)
    same(w.metric("http_server_request_duration_seconds_count", code="4xx"), 1)


def test_an_answer_that_breaks_off_is_counted(env):
    w = env.weir(simple(env.upstream(lambda x: x.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"))))
    c = env.client(w.addr())
    try:
        raise AssertionError(c.ask())
    except Closed:
        pass
    until(lambda: w.metric("weir_request_failures_total", error="http_response_incomplete") == 1, w.metrics)


def test_grpc_callers_learn_who_failed(env):
    w = env.weir([gateway()])
    c = H2Client(w.addr())
    env.clients.append(c)
    r = c.ask("POST", "/a.B/C", headers=[("content-type", "application/grpc"), ("te", "trailers")])
    same((r.header("grpc-status"), r.header("proxy-status")), ("12", "weir; error=http_request_denied"))


def test_any_error_status_can_be_retried(env):
    for status in (429, 404, 500):
        answers = [status, 200]
        w = env.weir(simple(env.upstream(lambda x: reply(answers.pop(0))), more=[policy("p", {"service": "shop"}, retry={"attempts": 1, "on": [str(status)]})]))
        same((env.client(w.addr()).ask().status, answers), (200, []), status)


def test_who_waits_for_100_continue_owes_nothing(env):
    w = env.weir(simple(env.upstream(lambda x: x.sock.recv(1) and None, early=True), more=[strict(request="300ms")]))
    c = env.client(w.addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    same(c.response("POST").status, 504)


def test_tcp_connections_say_who_failed(env):
    pair = env.ca().issue("shop.example")
    tls = {"mode": "terminate", "certificates": [{"secret": "cert"}]}
    dead = env.upstream()
    dead.close()
    up = env.raw_upstream(lambda sock, number: sock.sendall(sock.recv(10)))
    w = env.weir([gateway(listener("raw", protocol="tcp"), listener("end", protocol="tls", tls=tls), listener("hole", protocol="tcp")), secret("cert", pair),
                  service("shop", up, protocol="tcp"), service("dead", dead, protocol="tcp"), route("r", rule("shop"), attach=[{"gateway": "edge", "listener": "end"}]),
                  route("d", rule("dead"), attach=[{"gateway": "edge", "listener": "raw"}])])
    s = client_context(env.ca()).wrap_socket(socket.create_connection(w.addr("end"), 15), server_hostname="shop.example")
    s.sendall(b"hello")
    same(s.recv(10), b"hello")
    s.close()
    row = w.wait_access(listener="edge/end")[0]
    same((row["tls"], row["tries"]), ("TLSv1.3", 1))
    for name, failed, why in (("raw", "upstream", "connection_refused"), ("hole", "gateway", "no_route")):
        s = socket.create_connection(w.addr(name), 15)
        same(s.recv(10), b"")
        s.close()
        row = w.wait_access(listener="edge/" + name)[0]
        same((row["failed"], row["why"]), (failed, why), name)


def test_aborts_give_everything_back(env):
    """Clients and services that break off at any point: afterwards no request is counted as running, waiting or tried again."""
    def handler(x):
        kind = len(up.requests) % 7
        if kind == 0:
            x.reset()
        if kind == 1:
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
            return None
        if kind == 2:
            x.sock.recv(1)
        return reply(503 if kind == 3 else 200, "x" * 50000)

    up = env.upstream(handler)
    w = env.weir(simple(up, more=[policy("p", {"service": "shop"}, retry={"attempts": 2, "on": ["5xx", "timeout"], "backoffBase": "5ms"},
                                         timeout={"perTry": "100ms", "request": "300ms"}, breaker={"maxConnections": 4, "maxPending": 6, "maxRequests": 12},
                                         health={"passive": {"consecutive": 0}})]))
    address = w.addr()

    def one(seed):
        rnd = random.Random(seed)
        for _ in range(25):
            try:
                c = H2Client(address) if rnd.random() < 0.3 else H1Client(address)
                if isinstance(c, H2Client):
                    c.start("GET", "/")
                    if rnd.random() < 0.5:
                        c.ask("GET", "/")
                elif rnd.random() < 0.5:
                    c.request("POST", "/", body=b"x" * 5000)
                else:
                    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 100000\r\n\r\n" + "x" * rnd.randint(0, 100000))
                if isinstance(c, H1Client) and rnd.random() < 0.5:
                    c.response("POST")
                c.reset() if isinstance(c, H1Client) and rnd.random() < 0.5 else c.close()
            except (OSError, Closed, AssertionError):
                pass  # what a client sees is not the question here

    for t in [env.thread(one, seed) for seed in range(8)]:
        t.result(120)

    def counts():
        s = w.service()
        return (w.status()["connections"], s["activeRequests"], s["pendingRequests"], s["endpoints"][0]["activeRequests"])
    until(lambda: counts() == (0, 0, 0, 0), counts)
    up.drop_connections()
    until(lambda: w.service()["connections"] == 0, w.service)
    up.errors.clear()
