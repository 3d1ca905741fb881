"""Crowds of clients that stall in every state: others are served meanwhile, and all they held comes back."""
import socket

from h2peers import PREFACE, SETTINGS, frame, request_headers, RawH2
from peers import reply
from weirlib import gateway, listener, route, rule, same, secret, service, until

STALLED_HELLO = bytes.fromhex("16030100c8010000c40303")
BODY = b"x" * (1 << 20)


def connect(address, n, first=b""):
    crowd = []
    for _ in range(n):
        s = socket.create_connection(address, 15)
        if first:
            s.sendall(first)
        crowd.append(s)
    return crowd


def site(env):
    up = env.upstream(lambda x: reply(body=BODY if x.request.target == "/big" else b"ok"))
    return [gateway(listener("web"), listener("tls", protocol="https", tls={"certificates": [{"secret": "cert"}]})), secret("cert", env.ca().issue("shop.example")),
            service("shop", up), route("shop", rule("shop"))]


def held_streams(address, n):
    """HTTP/2 clients that ask for much and take nothing."""
    crowd = []
    for _ in range(n):
        c = RawH2(address, settings=b"\x00\x04\x00\x00\x00\x00")
        for i in range(5):
            c.headers(2 * i + 1, request_headers(path="/big"))
        crowd.append(c)
    return crowd


def test_others_are_served_meanwhile(env):
    """One worker, and crowds that stall in a handshake, a preface, a head, a body, an answer: new clients and old ones are answered."""
    w = env.weir(site(env), workers=1)
    web, tls = w.addr("web"), w.addr("tls")
    old = env.client(web)
    same(old.ask().status, 200)
    crowds = {
        "idle": lambda: connect(web, 200),
        "handshake": lambda: connect(tls, 200, STALLED_HELLO),
        "preface": lambda: connect(web, 200, PREFACE[:20]),
        "no stream": lambda: connect(web, 200, PREFACE + frame(SETTINGS)),
        "head": lambda: connect(web, 200, b"GET / HTTP/1.1\r\nHost: shop.exam"),
        "body": lambda: connect(web, 200, b"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 10\r\n\r\nhalf"),
        "answer": lambda: connect(web, 50, b"GET /big HTTP/1.1\r\nHost: shop.example\r\n\r\n"),
        "streams": lambda: held_streams(web, 20)}
    for name, come in crowds.items():
        crowd = come()
        new = env.client(web)
        same((old.ask().status, new.ask().status), (200, 200), name)
        new.close()
        for c in crowd:
            c.close()
    until(lambda: w.status()["connections"] == 1, lambda: "they are gone: %r" % w.status())
    until(lambda: w.service()["activeRequests"] == 0, "nothing is under way")


def test_memory_of_a_crowd_comes_back(env):
    """Handshakes that stall hold some 40 KiB each; when they are gone, so is what they held."""
    w = env.weir(site(env), workers=1)
    before = w.rss()
    crowd = connect(w.addr("tls"), 700, STALLED_HELLO)
    until(lambda: w.metric("weir_listener_active_connections", listener="edge/tls") == 700, "all are in")
    peak = w.rss()
    for c in crowd:
        c.close()
    if not w.sanitized():
        until(lambda: w.rss() < before + (peak - before) / 2, lambda: "memory: %d before, %d then, %d now" % (before, peak, w.rss()))
