"""gRPC with grpcio on both ends: unary, streams, trailers, errors, deadlines, and our own refusals as grpc-status."""
import concurrent.futures
import threading

import grpc

from peers import client_context
from weirlib import gateway, listener, policy, route, rule, same, secret, service, simple, until

POOL = []


class Echo(grpc.GenericRpcHandler):
    """Methods of test.Echo over plain bytes."""

    def __init__(self):
        self.metadata, self.cancelled = [], threading.Event()

    def service(self, details):
        self.metadata.append(dict(details.invocation_metadata))
        name = details.method.rsplit("/", 1)[1]
        kinds = {"Unary": grpc.unary_unary_rpc_method_handler, "ServerStream": grpc.unary_stream_rpc_method_handler,
                 "ClientStream": grpc.stream_unary_rpc_method_handler, "Both": grpc.stream_stream_rpc_method_handler,
                 "Fail": grpc.unary_unary_rpc_method_handler, "Hang": grpc.unary_unary_rpc_method_handler}
        return kinds[name](getattr(self, name)) if name in kinds else None

    def Unary(self, request, context):
        context.send_initial_metadata((("x-initial", "1"),))
        context.set_trailing_metadata((("x-trailing", "2"), ("x-bin", b"\x00\xff")))
        return request

    def ServerStream(self, request, context):
        for i in range(int(request)):
            yield b"%d" % i

    def ClientStream(self, requests, context):
        return b",".join(requests)

    def Both(self, requests, context):
        for r in requests:
            yield r.upper()

    def Fail(self, request, context):
        context.set_trailing_metadata((("x-why", "asked"),))
        context.abort(grpc.StatusCode[request.decode()], "an error: ä%")

    def Hang(self, request, context):
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(20)
        return b""


class GrpcServer:
    def __init__(self, env, pair=None):
        self.echo = Echo()
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(64), handlers=[self.echo])
        if pair:
            credentials = grpc.ssl_server_credentials([(open(pair.key, "rb").read(), open(pair.cert, "rb").read())])
            self.port = self.server.add_secure_port("127.0.0.1:0", credentials)
        else:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.address = "127.0.0.1:%d" % self.port
        self.server.start()
        env.cleanups.append(lambda: self.server.stop(None))


def channel(address, ca=None):
    target = "127.0.0.1:%d" % address[1]
    options = [("grpc.default_authority", "shop.example"), ("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    if ca:
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(open(ca.cert, "rb").read()), options + [("grpc.ssl_target_name_override", "shop.example")])
    return grpc.insecure_channel(target, options)


def every_kind(c):
    unary = c.unary_unary("/test.Echo/Unary")
    reply, call = unary.with_call(b"hello", metadata=(("x-a", "1"), ("x-raw-bin", b"\x01\x02")), timeout=15)
    same(reply, b"hello")
    assert ("x-initial", "1") in call.initial_metadata(), call.initial_metadata()
    assert ("x-trailing", "2") in call.trailing_metadata() and ("x-bin", b"\x00\xff") in call.trailing_metadata(), call.trailing_metadata()
    same(unary(b"", timeout=15), b"")
    big = b"x" * 3000000
    same(len(unary(big, timeout=15)), len(big))
    same(list(c.unary_stream("/test.Echo/ServerStream")(b"1000", timeout=15)), [b"%d" % i for i in range(1000)])
    same(c.stream_unary("/test.Echo/ClientStream")(iter([b"a", b"b", b"c"]), timeout=15), b"a,b,c")
    same(list(c.stream_stream("/test.Echo/Both")(iter([b"a"] * 500), timeout=15)), [b"A"] * 500)


def test_every_kind(env):
    s = GrpcServer(env)
    w = env.weir(simple(s, protocol="grpc"))
    with channel(w.addr()) as c:
        every_kind(c)
    m = s.echo.metadata[0]
    same((m["x-a"], m["x-raw-bin"], m["x-forwarded-for"]), ("1", b"\x01\x02", "127.0.0.1"))


def test_over_tls_on_both_sides(env):
    pair = env.ca().issue("shop.example", "grpc.internal")
    s = GrpcServer(env, pair)
    w = env.weir([gateway(listener(protocol="https", tls={"certificates": [{"secret": "cert"}]})), secret("cert", pair), secret("trust", ca=env.ca()),
                  service("shop", s, protocol="grpc", tls={"serverName": "grpc.internal", "ca": {"secret": "trust"}}), route("shop", rule("shop"))])
    with channel(w.addr(), env.ca()) as c:
        every_kind(c)


def test_true_duplex(env):
    """Each message is answered before the next is sent: nothing waits for an end of stream."""
    w = env.weir(simple(GrpcServer(env), protocol="grpc"))
    with channel(w.addr()) as c:
        go = threading.Semaphore(1)

        def messages():
            for i in range(50):
                assert go.acquire(timeout=10)
                yield b"m%d" % i

        for i, m in enumerate(c.stream_stream("/test.Echo/Both")(messages(), timeout=20)):
            same(m, b"M%d" % i)
            go.release()


def failure(call):
    try:
        call()
    except grpc.RpcError as e:
        return e
    raise AssertionError("no error")


def test_errors_of_the_server_pass(env):
    w = env.weir(simple(GrpcServer(env), protocol="grpc"))
    with channel(w.addr()) as c:
        for code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
            e = failure(lambda: c.unary_unary("/test.Echo/Fail")(code.name.encode(), timeout=15))
            same((e.code(), e.details()), (code, "an error: ä%"))
            assert ("x-why", "asked") in e.trailing_metadata()
        same(failure(lambda: c.unary_unary("/test.Echo/Nothing")(b"", timeout=15)).code(), grpc.StatusCode.UNIMPLEMENTED)


def test_deadline_of_the_client_cancels_upstream(env):
    s = GrpcServer(env)
    w = env.weir(simple(s, protocol="grpc"))
    with channel(w.addr()) as c:
        same(failure(lambda: c.unary_unary("/test.Echo/Hang")(b"", timeout=0.5)).code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        assert s.echo.cancelled.wait(10), "the call went on upstream"
        until(lambda: w.service()["activeRequests"] == 0, "request over")


def test_time_limit_of_the_gateway(env):
    s = GrpcServer(env)
    w = env.weir(simple(s, protocol="grpc", more=[policy("p", {"service": "shop"}, timeout={"request": "300ms"})]))
    with channel(w.addr()) as c:
        same(failure(lambda: c.unary_unary("/test.Echo/Hang")(b"", timeout=15)).code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        assert s.echo.cancelled.wait(10)


def test_refusals_are_grpc_statuses(env):
    """Errors of ours: no route UNIMPLEMENTED (404), no endpoint UNAVAILABLE (502, 503), rate limit RESOURCE_EXHAUSTED, as trailers-only 200."""
    dead = env.upstream()
    dead.stop_listening()
    s = GrpcServer(env)
    w = env.weir([gateway(), service("shop", s, protocol="grpc"), service("dead", dead, protocol="grpc"),
                  route("shop", rule("shop", path={"prefix": "/test.Echo"}), rule("dead", path={"prefix": "/dead"})),
                  route("limited", rule("shop", path={"prefix": "/limited"})),
                  policy("limit", {"route": "limited"}, rateLimit={"requests": 1, "window": "60s"})])
    with channel(w.addr()) as c:
        same(failure(lambda: c.unary_unary("/no.Such/Thing")(b"", timeout=15)).code(), grpc.StatusCode.UNIMPLEMENTED)
        e = failure(lambda: c.unary_unary("/dead/Thing")(b"", timeout=15))
        same(e.code(), grpc.StatusCode.UNAVAILABLE)
        assert e.details(), e
        failure(lambda: c.unary_unary("/limited/X")(b"", timeout=15))
        same(failure(lambda: c.unary_unary("/limited/X")(b"", timeout=15)).code(), grpc.StatusCode.RESOURCE_EXHAUSTED)


def test_many_calls_share_connections(env):
    s = GrpcServer(env)
    w = env.weir(simple(s, protocol="grpc"))
    with channel(w.addr()) as c:
        unary = c.unary_unary("/test.Echo/Unary")
        calls = [unary.future(b"%d" % i, timeout=20) for i in range(500)]
        same([f.result() for f in calls], [b"%d" % i for i in range(500)])
    assert w.service()["connections"] <= 16, w.service()


def test_server_goes_away_gracefully(env):
    """A server ends with GOAWAY: what it did not process goes elsewhere, and connections it refuses are tried elsewhere."""
    a, b = GrpcServer(env), GrpcServer(env)
    w = env.weir(simple(a, b, protocol="grpc", more=[policy("p", {"service": "shop"}, retry={"attempts": 1, "on": ["connect-failure"]})]))
    with channel(w.addr()) as c:
        unary = c.unary_unary("/test.Echo/Unary")
        for i in range(20):
            same(unary(b"x", timeout=15), b"x")
        a.server.stop(5).wait(10)
        for i in range(20):
            same(unary(b"y", timeout=15), b"y")


def test_only_grpc_gets_grpc_answers(env):
    """Who failed is told to gRPC callers as well; gRPC-Web goes by HTTP's statuses."""
    c = env.client(env.weir(simple("127.0.0.1:1")).addr())
    for kind in ("application/grpc", "Application/gRPC", "application/grpc+proto", "application/grpc;charset=utf-8"):
        r = c.ask("POST", "/test.Echo/Unary", [("Content-Type", kind)], body=b"")
        same((r.status, r.header("grpc-status"), r.header("proxy-status")), (200, "14", "weir; error=connection_refused"), kind)
    for kind in ("application/grpc-web+proto", "application/grpcx", "application/grp"):
        r = c.ask("POST", "/test.Echo/Unary", [("Content-Type", kind)], body=b"")
        same((r.status, r.header("content-type"), r.header("grpc-status")), (502, "application/problem+json", None), kind)
