"""Clients that others wrote, against Weir."""
import asyncio
import hashlib
import json
import os
import re

import test_grpc
import test_websocket
from peers import client_context
from tools import Front, echo, output, program
from weirlib import listener, gateway, route, rule, same, secret, service


# ---- curl ----
def curl_version(env, tls, *args, version):
    curl = program("curl")
    f = Front(env, echo(env))
    common = [curl, "-sS", "--fail", "-m", "20", "--noproxy", "*", *args] + (["--cacert", f.ca.cert] if tls else [])
    got = output(*common, "-o", env.path("body"), "-w", "%{http_code} %{http_version}", f.url("/a?b=c", tls)).decode()
    same(got, "200 " + version)
    said = json.load(open(env.path("body"), encoding="utf-8"))
    same((said["method"], said["target"]), ("GET", "/a?b=c"))
    body = os.urandom(3 << 20)
    with open(env.path("sent"), "wb") as o:
        o.write(body)
    said = json.loads(output(*common, "--data-binary", "@" + env.path("sent"), f.url("/", tls)))
    same(said["body"], {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()})
    said = json.loads(output(*common, "-H", "Transfer-Encoding: chunked", "-T", env.path("sent"), f.url("/put", tls)))
    same((said["method"], said["body"]["length"]), ("PUT", len(body)))
    same(len(output(*common, f.url("/?size=5000000", tls))), 5000000)
    same(output(*common, "-I", "-o", os.devnull, "-w", "%{http_code}", f.url("/", tls)), b"200")
    if version == "2" and not tls:
        return  # curl 7.88 uses no connection with prior knowledge twice, whatever the server
    many = output(*common, "-Z", "-o", os.devnull, "-w", "%{http_code}\n", f.url("/?n=[1-20]", tls)).decode().split()
    same(many, ["200"] * 20)


def case_curl_http1(env):
    curl_version(env, False, "--http1.1", version="1.1")


def case_curl_http1_tls(env):
    curl_version(env, True, "--http1.1", version="1.1")


def case_curl_http2_prior_knowledge(env):
    curl_version(env, False, "--http2-prior-knowledge", version="2")


def case_curl_http2_alpn(env):
    curl_version(env, True, "--http2", version="2")


def case_curl_upgrade_offer_is_ignored(env):
    """curl --http2 in clear offers Upgrade: h2c, which RFC 9113 withdrew: the answer is plain HTTP/1.1."""
    curl = program("curl")
    f = Front(env, echo(env))
    same(output(curl, "-sS", "-m", "20", "--noproxy", "*", "--http2", "-o", os.devnull, "-w", "%{http_code} %{http_version}", f.url()), b"200 1.1")


def case_curl_tls_versions(env):
    curl = program("curl")
    f = Front(env, echo(env))
    for limit in ("1.2", "1.3"):
        same(output(curl, "-sS", "-m", "20", "--noproxy", "*", "--tlsv" + limit, "--tls-max", limit, "--cacert", f.ca.cert, "-o", os.devnull, "-w",
                    "%{http_code} %{ssl_verify_result}", f.url(tls=True)), b"200 0")


# ---- nghttp2 ----
def case_nghttp(env):
    nghttp = program("nghttp")
    f = Front(env, echo(env))
    for url in (f.url("/x?size=100000"), f.url("/x?size=100000", True)):
        same(len(output(nghttp, "-t", "20", "--no-dep", url)), 100000)
        text = output(nghttp, "-t", "20", "-nvm", "10", "--padding=16", "--no-dep", "--expect-continue", "-H", "x-a: 1", url).decode("utf-8", "replace")
        same(text.count(":status: 200"), 10, text[-2000:])
        assert not re.search(r"(?<!NO)_ERROR|RST_STREAM", text), text[-3000:]


def load(env, url, *args):
    h2load = program("h2load")
    text = output(h2load, "-n", "2000", "-c", "20", *args, url).decode()
    m = re.search(r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
    same(m.groups() if m else text, ("2000", "2000", "2000", "0", "0", "0"), text)


def case_h2load_h2c(env):
    load(env, Front(env, echo(env)).url(), "-m", "10")


def case_h2load_h2_tls_to_h2(env):
    load(env, Front(env, echo(env), protocol="h2").url("/?size=2000", True), "-m", "32")


def case_h2load_h1(env):
    load(env, Front(env, echo(env)).url(), "--h1")


def case_h2load_small_windows(env):
    load(env, Front(env, echo(env), protocol="h2").url("/?size=3000"), "-m", "8", "-w", "10", "-W", "12")


# ---- gRPC and WebSocket libraries ----
def case_grpcio_clear(env):
    f = Front(env, test_grpc.GrpcServer(env).address, protocol="grpc")
    with test_grpc.channel(f.web) as c:
        test_grpc.every_kind(c)


def case_grpcio_tls(env):
    f = Front(env, test_grpc.GrpcServer(env).address, protocol="grpc")
    with test_grpc.channel(f.secure, env.ca()) as c:
        test_grpc.every_kind(c)


def case_grpcio_many_channels(env):
    """Twenty channels, each with calls of every kind at the same time."""
    f = Front(env, test_grpc.GrpcServer(env).address, protocol="grpc")

    def one():
        with test_grpc.channel(f.web) as c:
            unary = c.unary_unary("/test.Echo/Unary")
            same([unary(b"%d" % i, timeout=30) for i in range(20)], [b"%d" % i for i in range(20)])
            same(len(list(c.unary_stream("/test.Echo/ServerStream")(b"200", timeout=30))), 200)

    for t in [env.thread(one) for _ in range(20)]:
        t.result(60)


def case_websockets_clear(env):
    f = Front(env, test_websocket.WsServer(env).address)
    asyncio.run(test_websocket.conversation(f.web))


def case_websockets_tls(env):
    f = Front(env, test_websocket.WsServer(env).address)
    asyncio.run(test_websocket.conversation(f.secure, client_context(env.ca())))


def case_openssl_client(env):
    """s_client: the chain verifies, ALPN chooses h2, a session of TLS 1.3 is resumed."""
    openssl = program("openssl")
    f = Front(env, echo(env))
    where = ["-connect", "127.0.0.1:%d" % f.secure[1], "-servername", "shop.example", "-CAfile", f.ca.cert, "-verify_return_error"]
    text = output(openssl, "s_client", *where, "-alpn", "h2,http/1.1").decode("utf-8", "replace")
    assert "Verify return code: 0 (ok)" in text and "ALPN protocol: h2" in text, text[-3000:]
    text = output(openssl, "s_client", *where, "-alpn", "http/1.1", "-reconnect", "-tls1_2").decode("utf-8", "replace")
    assert text.count("Reused, TLSv1.2") == 5, text[-3000:]
