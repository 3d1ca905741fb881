"""TLS on both sides: choice of certificate, versions, client certificates, verification of upstreams, ALPN, 421."""
import socket
import ssl
import subprocess
import threading

import h2.settings

from h2peers import H2Client, H2Upstream
from peers import client_context, reply, server_context
from weirlib import Pair, edge_policy, gateway, listener, route, rule, same, secret, service, simple, until


def https(*secrets, name="web", **tls):
    return listener(name, protocol="https", tls=dict({"certificates": [{"secret": s} for s in secrets]}, **tls))


def site(env, *upstreams, names=("shop.example",), **tls):
    """A gateway with one certificate and a route to everything."""
    return [gateway(https("cert", **tls)), secret("cert", env.ca().issue(*names)), service("shop", *(upstreams or [env.upstream()])), route("shop", rule("shop"))]


def fails(fn, *kinds):
    try:
        fn()
    except kinds or (ssl.SSLError, OSError) as e:
        return e
    raise AssertionError("went through")


def test_verified_by_a_client(env):
    w = env.weir(site(env))
    c = env.client(w.addr(), client_context(env.ca()))
    same(c.ask().status, 200)
    assert c.sock.version() == "TLSv1.3", c.sock.version()
    row = w.wait_access()[0]
    same((row["tls"], row["sni"]), ("TLSv1.3", "shop.example"))


def test_forwarded_proto(env):
    up = env.upstream()
    env.client(env.weir(site(env, up)).addr(), client_context(env.ca())).ask()
    same(up.requests[0].header("x-forwarded-proto"), "https")


def common_name(sock):
    der = sock.getpeercert(binary_form=True)
    pem = ssl.DER_cert_to_PEM_cert(der)
    import subprocess
    return subprocess.run(["openssl", "x509", "-noout", "-subject", "-nameopt", "multiline"], input=pem.encode(), capture_output=True).stdout.decode().split("= ")[-1].strip()


def test_certificate_by_sni(env):
    """Exact name, wildcard, and the first one for unknown or no names."""
    ca = env.ca()
    a, b, wild = ca.issue("a.example"), ca.issue("b.example"), ca.issue("*.wild.example", cn="wild")
    w = env.weir([gateway(https("a", "b", "wild")), secret("a", a), secret("b", b), secret("wild", wild), service("shop", env.upstream()), route("shop", rule("shop"))])
    for sni, want in (("a.example", "a.example"), ("b.example", "b.example"), ("B.EXAMPLE", "b.example"), ("x.wild.example", "wild"),
                      ("x.y.wild.example", "a.example"), ("unknown.example", "a.example")):
        c = env.client(w.addr(), client_context(), sni)
        same(common_name(c.sock), want, sni)
        c.close()
    raw = socket.create_connection(w.addr(), 10)
    same(common_name(client_context().wrap_socket(raw)), "a.example", "no SNI")


def test_minimum_version(env):
    w = env.weir(site(env, minVersion="1.3"))
    fails(lambda: env.client(w.addr(), client_context(env.ca(), maximum=ssl.TLSVersion.TLSv1_2)))
    same(env.client(w.addr(), client_context(env.ca())).ask().status, 200)
    until(lambda: w.metric("weir_listener_tls_failures_total") == 1, lambda: "handshake failure counted: %r" % w.metrics())


def test_tls_12_by_default_and_nothing_older(env):
    w = env.weir(site(env))
    c = env.client(w.addr(), client_context(env.ca(), maximum=ssl.TLSVersion.TLSv1_2))
    same((c.ask().status, c.sock.version()), (200, "TLSv1.2"))
    assert "GCM" in c.sock.cipher()[0] or "CHACHA" in c.sock.cipher()[0], c.sock.cipher()
    assert c.sock.cipher()[0].startswith("ECDHE"), c.sock.cipher()
    old = client_context(env.ca())
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    fails(lambda: env.client(w.addr(), old))
    weak = client_context(env.ca(), maximum=ssl.TLSVersion.TLSv1_2)
    weak.set_ciphers("AES128-SHA:AES256-SHA:AES128-GCM-SHA256:@SECLEVEL=0")
    fails(lambda: env.client(w.addr(), weak))


def test_client_certificate_required(env):
    staff, other = env.ca("staff"), env.ca("other")
    doc = site(env, clientCertificate={"mode": "required", "ca": {"secret": "staff"}}) + [secret("staff", ca=staff)]
    w = env.weir(doc)

    def attempt(pair):
        c = env.client(w.addr(), client_context(env.ca(), pair))
        return c.ask().status

    same(attempt(staff.issue("alice")), 200)
    fails(lambda: attempt(None), ssl.SSLError, OSError, Exception)
    fails(lambda: attempt(other.issue("mallory")), ssl.SSLError, OSError, Exception)
    assert "alice" in w.wait_access(status=200)[0]["client_certificate"]
    same(len(w.access()), 1, "requests that came through")


def test_client_certificate_optional(env):
    staff = env.ca("staff")
    up = env.upstream()
    w = env.weir(site(env, up, clientCertificate={"mode": "optional", "ca": {"secret": "staff"}}) + [secret("staff", ca=staff)])
    same(env.client(w.addr(), client_context(env.ca())).ask().status, 200)
    same(env.client(w.addr(), client_context(env.ca(), staff.issue("alice"))).ask().status, 200)
    fails(lambda: env.client(w.addr(), client_context(env.ca(), env.ca("other").issue("mallory"))).ask(), ssl.SSLError, OSError, Exception)
    assert "client_certificate" not in w.wait_access(2)[0]
    for name in ("client-cert", "x-forwarded-client-cert"):
        env.client(w.addr(), client_context(env.ca())).ask("GET", "/", [(name, "forged")])
        assert name not in up.requests[-1].headers, up.requests[-1].raw


def test_client_certificate_is_asked_again_on_resumption(env):
    """T15, nginx 2025-23419: a session of a listener without client certificates opens no listener that wants them."""
    staff = env.ca("staff")
    doc = [gateway(https("cert", name="open"), https("cert", name="closed", clientCertificate={"mode": "required", "ca": {"secret": "staff"}})),
           secret("cert", env.ca().issue("shop.example")), secret("staff", ca=staff), service("shop", env.upstream()), route("shop", rule("shop"))]
    w = env.weir(doc)
    context = client_context(env.ca(), maximum=ssl.TLSVersion.TLSv1_2)
    c = env.client(w.addr("open"), context)
    same(c.ask().status, 200)
    session = c.sock.session

    def resume():
        s = context.wrap_socket(socket.create_connection(w.addr("closed"), 10), server_hostname="shop.example", session=session)
        s.sendall(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        data = s.recv(100)
        if not data:
            raise ConnectionError("closed")
        raise AssertionError("resumed into a listener that wants a certificate: %r" % data)

    fails(resume, ssl.SSLError, ConnectionError)


def test_misdirected_request(env):
    """RFC 9110 section 7.4: a host that this connection's certificate does not cover gets 421."""
    ca = env.ca()
    doc = [gateway(https("a", "b")), secret("a", ca.issue("a.example", "also-a.example")), secret("b", ca.issue("b.example")), service("shop", env.upstream()),
           route("shop", rule("shop"))]
    w = env.weir(doc)
    c = env.client(w.addr(), client_context(ca), "a.example")
    same(c.ask(host="a.example").status, 200)
    same(c.ask(host="also-a.example").status, 200)
    r = c.ask(host="b.example")
    same((r.status, r.header("content-type")), (421, "application/problem+json"))
    h = H2Client(w.addr(), tls=client_context(ca, alpn=["h2"]), sni="a.example")
    env.clients.append(h)
    same(h.ask(authority="b.example", scheme="https").status, 421)
    same(h.ask(authority="a.example", scheme="https").status, 200)


def test_handshake_time_limit(env):
    w = env.weir(site(env) + [edge_policy(timeout={"handshake": "300ms"})])
    silent = socket.create_connection(w.addr(), 10)
    half = socket.create_connection(w.addr(), 10)
    half.sendall(b"\x16\x03\x01\x02\x00\x01")
    same(env.client(w.addr(), client_context(env.ca())).ask().status, 200)
    for s in (silent, half):
        s.settimeout(10)
        while True:
            try:
                if not s.recv(1000):
                    break
            except ConnectionError:
                break


def test_garbage_and_http_to_a_tls_port(env):
    w = env.weir(site(env))
    for data in (b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n", b"\x00" * 1000, b"\x16\x03\x01\xff\xff" + b"x" * 70000, b"SSH-2.0-x\r\n"):
        s = socket.create_connection(w.addr(), 10)
        try:
            s.sendall(data)
            while s.recv(1000):
                pass
        except OSError:
            pass
        s.close()
    same(env.client(w.addr(), client_context(env.ca())).ask().status, 200)


def test_large_bodies_over_tls(env):
    up = env.upstream(lambda x: reply(body=x.request.body))
    w = env.weir(site(env, up))
    body = bytes(range(256)) * 65536
    c = env.client(w.addr(), client_context(env.ca()))
    assert c.ask("POST", "/", body=body).body == body


def test_close_notify_before_the_end(env):
    """An answer until close over TLS ends with close_notify, so that a cut can be told from an end."""
    w = env.weir(site(env))
    c = env.client(w.addr(), client_context(env.ca()))
    c.request("GET", "/", [("Connection", "close")])
    c.response()
    same(c.sock.recv(10), b"", "close_notify")  # an end without it raises SSLEOFError


# ---- upstream ----
def upstream_site(up, tls, more=(), protocol="http"):
    return [gateway(), service("shop", up, protocol=protocol, tls=tls), route("shop", rule("shop")), *more]


def expect_502(env, doc, error="tls_certificate_error"):
    w = env.weir(doc)
    r = env.client(w.addr()).ask()
    same((r.status, r.header("content-type")), (502, "application/problem+json"))
    same(r.header("proxy-status"), "weir; error=" + error)
    return w


def test_upstream_verified(env):
    up = env.upstream(tls=env.ca().issue("shop.internal"))
    w = env.weir(upstream_site(up, {"serverName": "shop.internal", "ca": {"secret": "trust"}}, [secret("trust", ca=env.ca())]))
    c = env.client(w.addr())
    for _ in range(5):
        same(c.ask().status, 200)
    same(up.connections, 1)


def test_upstream_sni_is_the_server_name(env):
    seen = []
    pair = env.ca().issue("shop.internal")
    up = env.upstream(tls=pair)
    up.tls.sni_callback = lambda sock, name, context: seen.append(name)
    w = env.weir(upstream_site(up, {"serverName": "shop.internal", "ca": {"secret": "trust"}}, [secret("trust", ca=env.ca())]))
    same(env.client(w.addr()).ask().status, 200)
    same(seen, ["shop.internal"])


def test_upstream_wrong_name(env):
    up = env.upstream(tls=env.ca().issue("other.internal"))
    expect_502(env, upstream_site(up, {"serverName": "shop.internal", "ca": {"secret": "trust"}}, [secret("trust", ca=env.ca())]))
    same(up.requests, [])


def test_upstream_wrong_authority(env):
    up = env.upstream(tls=env.ca("other").issue("shop.internal"))
    expect_502(env, upstream_site(up, {"serverName": "shop.internal", "ca": {"secret": "trust"}}, [secret("trust", ca=env.ca())]))
    same(up.requests, [])


def test_upstream_is_verified_by_default(env):
    up = env.upstream(tls=env.ca().issue("shop"))
    expect_502(env, upstream_site(up, {}))


def test_upstream_verification_can_be_switched_off(env):
    up = env.upstream(tls=env.ca("other").issue("whatever"))
    w = env.weir(upstream_site(up, {"verify": False}))
    same(env.client(w.addr()).ask().status, 200)


def test_upstream_address_in_its_certificate(env):
    """Endpoints that are addresses, and no serverName: the certificate has the service's name or the address that was connected to."""
    for names, want in ((["127.0.0.1"], 200), (["shop"], 200), (["127.0.0.2"], 502), (["other", "127.0.0.1"], 200)):
        up = env.upstream(tls=env.ca().issue(*names, cn="leaf-%d" % len(env.weirs)))
        w = env.weir(upstream_site(up, {"ca": {"secret": "trust"}}, [secret("trust", ca=env.ca())]))
        same(env.client(w.addr()).ask().status, want, names)
    named = env.upstream(tls=env.ca().issue("127.0.0.1"))
    expect_502(env, upstream_site(named, {"serverName": "shop.internal", "ca": {"secret": "trust"}}, [secret("trust", ca=env.ca())]))


def curve_pair(env, curve):
    base = env.path(curve)
    env.ca().run("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:" + curve, "-nodes", "-subj", "/CN=shop", "-days", "20", "-CA", env.ca().cert,
                 "-CAkey", env.ca().key, "-addext", "subjectAltName=DNS:shop", "-keyout", base + ".key", "-out", base + ".pem")
    return Pair(base + ".pem", base + ".key")


def test_keys_on_larger_curves(env):
    """In TLS 1.2 the curves that a client lists bind the server's ECDSA key too (RFC 8422 section 5.1)."""
    for curve in ("P-384", "P-521"):
        pair = curve_pair(env, curve)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            up = env.upstream(tls=pair)
            up.tls.minimum_version = up.tls.maximum_version = version
            w = env.weir(upstream_site(up, {"ca": {"secret": "trust"}}, [secret("trust", ca=env.ca())]))
            same(env.client(w.addr()).ask().status, 200, "%s, %s" % (curve, version.name))


def test_clients_of_larger_curves(env):
    for curve in ("P-256", "P-384", "P-521"):
        w = env.weir([gateway(https("cert")), secret("cert", curve_pair(env, curve)), service("shop", env.upstream()), route("shop", rule("shop"))])
        for version in ("-tls1_2", "-tls1_3"):
            r = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % w.addr(), "-groups", curve, version], input=b"", capture_output=True, timeout=15)
            same(r.returncode, 0, "%s %s: %r" % (curve, version, r.stderr[-300:]))


def test_upstream_that_speaks_no_tls(env):
    up = env.raw_upstream(lambda sock, number: sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    expect_502(env, upstream_site(up, {"verify": False}), "tls_protocol_error")


def test_plaintext_before_the_handshake_is_not_an_answer(env):
    """T9, nginx 2026-1642: bytes injected before the upstream's TLS begins are never taken for its answer."""
    pair = env.ca().issue("shop.internal")
    context = server_context(pair.cert, pair.key)

    def script(sock, number):
        sock.sendall(reply(body="INJECTED"))
        try:
            context.wrap_socket(sock, server_side=True).sendall(reply(body="real"))
        except OSError:
            pass

    w = env.weir(upstream_site(env.raw_upstream(script), {"serverName": "shop.internal", "ca": {"secret": "trust"}}, [secret("trust", ca=env.ca())]))
    r = env.client(w.addr()).ask()
    same(r.status, 502)
    assert b"INJECTED" not in r.body


def test_client_certificate_for_the_upstream(env):
    pair = env.ca().issue("shop.internal")
    up = env.upstream(tls=pair)
    up.tls = server_context(pair.cert, pair.key, client_ca=env.ca("mesh").cert)
    trust = [secret("trust", ca=env.ca()), secret("me", env.ca("mesh").issue("weir"))]
    w = env.weir(upstream_site(up, {"serverName": "shop.internal", "ca": {"secret": "trust"}, "certificate": {"secret": "me"}}, trust))
    same(env.client(w.addr()).ask().status, 200)
    w = env.weir(upstream_site(up, {"serverName": "shop.internal", "ca": {"secret": "trust"}}, trust))
    same(env.client(w.addr()).ask().status, 502, "without our certificate")


def test_alpn_h2_to_the_upstream(env):
    pair = env.ca().issue("shop.internal")
    up = H2Upstream(tls=server_context(pair.cert, pair.key, ["h2"]))
    env.cleanups.append(up.close)
    w = env.weir(upstream_site(up, {"serverName": "shop.internal", "ca": {"secret": "trust"}}, [secret("trust", ca=env.ca())], "h2"))
    same(env.client(w.addr()).ask().status, 200)
    same(up.requests[0].header(":scheme"), "https")


def test_upstream_that_does_not_agree_on_h2(env):
    """protocol h2 needs ALPN h2; a server that does not speak it is 502, not a guess."""
    up = env.upstream(tls=env.ca().issue("shop.internal"))
    w = env.weir(upstream_site(up, {"serverName": "shop.internal", "ca": {"secret": "trust"}}, [secret("trust", ca=env.ca())], "h2"))
    same(env.client(w.addr()).ask().status, 502)
    same(up.requests, [])


def test_upstream_cut_without_close_notify(env):
    """An answer until close that ends without close_notify may be cut: the client must be able to see it."""
    pair = env.ca().issue("shop.internal")
    context = server_context(pair.cert, pair.key)

    def script(sock, number):
        t = context.wrap_socket(sock, server_side=True)
        t.recv(4096)
        t.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
        raw = socket.socket(fileno=t.detach())
        raw.shutdown(socket.SHUT_RDWR)
        raw.close()

    w = env.weir(upstream_site(env.raw_upstream(script), {"verify": False}))
    c = env.client(w.addr())
    c.request()
    r = c.head()
    if r.status == 200:
        rest = c.reader.rest()
        assert not rest.endswith(b"0\r\n\r\n"), "a cut answer was passed on as whole: %r" % rest
    else:
        same(r.status, 502)


def test_many_handshakes_at_once(env):
    w = env.weir(site(env))
    context = client_context(env.ca())

    def one():
        c = env.client(w.addr(), context)
        status = c.ask().status
        c.close()
        return status

    tasks = [env.thread(one) for _ in range(100)]
    same([t.result() for t in tasks], [200] * 100)


def test_certificate_change_by_reload(env):
    """New connections get the new certificate, open ones live on."""
    ca = env.ca()
    doc = site(env)
    w = env.weir(doc)
    c = env.client(w.addr(), client_context(ca))
    same(c.ask().status, 200)
    new = env.ca("new").issue("shop.example")
    doc[1] = secret("cert", new)
    w.reload(doc)
    same(c.ask().status, 200)
    same(env.client(w.addr(), client_context(env.ca("new"))).ask().status, 200)
    fails(lambda: env.client(w.addr(), client_context(ca)), ssl.SSLError)
