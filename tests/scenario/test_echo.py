"""`weir echo`: the upstream that says what it received."""
import asyncio
import hashlib
import json
import re
import signal
import subprocess

import websockets

from h2peers import H2Client
from peers import Closed, H1Client, client_context
from weirlib import ALARMS, same, split, until

KEY = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]


class Echo:
    def __init__(self, env, *args):
        self.env, self.path = env, env.path("echo.err")
        with open(self.path, "wb") as err:
            self.process = subprocess.Popen([env.binary, "echo", "--listen", "127.0.0.1:0", *args], stdin=subprocess.DEVNULL, stdout=err, stderr=err, cwd=env.folder)
        env.cleanups.append(lambda: self.process.poll() is None and self.process.kill())
        found = until(lambda: re.search(r"127\.0\.0\.1:\d+", self.text()) or self.process.poll() is not None, lambda: "its address: " + self.text())
        assert found is not True, "ended: " + self.text()
        self.address = split(found.group(0))

    def text(self):
        with open(self.path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def client(self, tls=None):
        c = H1Client(self.address, tls)
        self.env.clients.append(c)
        return c

    def stop(self):
        for c in self.env.clients:
            c.close()
        self.process.send_signal(signal.SIGTERM)
        same(self.process.wait(15), 0, self.text())
        assert not ALARMS.search(self.text()), self.text()


def test_says_what_it_received(env):
    e = Echo(env, "--name", "one")
    c = e.client()
    r = c.ask("POST", "/some/path?q=1", [("X-Mine", "yes"), ("X-Mine", "twice")], body=b"hello")
    same((r.status, r.header("content-type").split(";")[0]), (200, "application/json"))
    said = json.loads(r.body)
    same((said["name"], said["method"], said["target"], said["version"], said["authority"]), ("one", "POST", "/some/path?q=1", "HTTP/1.1", "shop.example"))
    same([v for k, v in said["headers"] if k.lower() == "x-mine"], ["yes", "twice"])
    same(said["body"], {"length": 5, "sha256": hashlib.sha256(b"hello").hexdigest()})
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")
    said = json.loads(c.response().body)
    same((said["body"]["length"], [[k.lower(), v] for k, v in said["trailers"]]), (3, [["x-sum", "1"]]))
    body = bytes(range(256)) * 20000
    same(json.loads(c.ask("PUT", "/", body=body).body)["body"], {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()})
    h = H2Client(e.address)
    env.clients.append(h)
    said = json.loads(h.ask("POST", "/h2", body=b"x").body)
    same((said["version"], said["target"]), ("HTTP/2", "/h2"))
    e.stop()


def test_a_query_steers_one_answer(env):
    e = Echo(env)
    c = e.client()
    same(c.ask("GET", "/?status=503").status, 503)
    same(c.ask("GET", "/").status, 200)
    same(len(c.ask("GET", "/?size=1000000").body), 1000000)
    r = c.ask("GET", "/?chunks=5&interval=1ms")
    assert r.chunked and len(r.chunks) >= 2, r.chunks
    same(c.ask("GET", "/?header=X-Out:value").header("x-out"), "value")
    same(c.ask("GET", "/?delay=10ms").status, 200)
    for knob in ("close", "reset"):
        try:
            r = e.client().ask("GET", "/?" + knob)
            assert knob == "close" and r.header("connection") == "close", "%s: %r" % (knob, r.raw)
        except (Closed, OSError):
            pass
    for bad in ("/?status=9", "/?status=x", "/?size=-1", "/?size=99999999999999999999", "/?delay=x", "/?header=x", "/?header=X:a%0d%0aSet-Cookie:b", "/?chunks=99999999999"):
        r = e.client()
        r.request("GET", bad)
        answer = r.head()
        assert "set-cookie" not in answer.headers, answer.raw
        r.close()
    same(e.client().ask().status, 200)
    e.stop()


def test_status_and_delay_for_all(env):
    e = Echo(env, "--status", "418", "--delay", "5ms")
    same(e.client().ask().status, 418)
    e.stop()


def test_tls(env):
    e = Echo(env, "--tls")
    c = e.client(client_context())
    said = json.loads(c.ask().body)
    same(said["tls"]["version"], "TLSv1.3")
    h = H2Client(e.address, tls=client_context(alpn=["h2"]))
    env.clients.append(h)
    same(json.loads(h.ask(scheme="https").body)["version"], "HTTP/2")
    e.stop()


def test_tls_with_client_certificates(env):
    ca = env.ca()
    pair, me = ca.issue("shop.example"), ca.issue("me")
    e = Echo(env, "--tls-cert", pair.cert, "--tls-key", pair.key, "--client-ca", ca.cert)
    said = json.loads(e.client(client_context(ca, me)).ask().body)
    assert "me" in said["tls"]["client"], said
    try:
        e.client(client_context(ca)).ask()
        raise AssertionError("without a certificate")
    except (OSError, Closed):
        pass
    e.stop()


def test_websocket(env):
    e = Echo(env)

    async def run():
        async with websockets.connect("ws://%s:%d/" % e.address, max_size=None, open_timeout=10) as ws:
            for m in ("hello", "", b"\x00\xff", "x" * 126, "x" * 65536):
                await ws.send(m)
                same(await asyncio.wait_for(ws.recv(), 10), m)
            await asyncio.wait_for(await ws.ping(b"p"), 10)
            await ws.close(4000, "bye")
            same(ws.close_code, 4000)

    asyncio.run(run())
    e.stop()


def test_hostile_websocket_frames(env):
    """Unmasked, reserved bits, huge lengths, control frames too long: closed, and the server lives."""
    e = Echo(env)
    mask = b"\0\0\0\0"
    for data in (b"\x81\x02hi", b"\xf1\x82" + mask + b"hi", b"\x82\xff" + b"\x7f" + b"\xff" * 7 + mask, b"\x82\xff" + b"\xff" * 8 + mask, b"\x89\xfe\x00\x7e" + mask + b"x" * 126,
                 b"\x83\x80" + mask, b"\x80\x80" + mask):
        c = e.client()
        c.request("GET", "/", KEY)
        same(c.head().status, 101)
        c.send(data)
        c.reader.rest()
    same(e.client().ask().status, 200)
    e.stop()


def test_cookies_of_h2_are_told_once(env):
    e = Echo(env)
    c = H2Client(e.address)
    env.clients.append(c)
    said = json.loads(c.ask("GET", "/", [("cookie", "a=1"), ("x-a", "1"), ("cookie", "b=2")]).body)
    same(said["headers"], [["cookie", "a=1; b=2"], ["x-a", "1"]])


def test_websocket_waits_for_its_reader(env):
    """Frames that nobody reads back are not kept: reading stops."""
    e = Echo(env)
    c = H1Client(e.address, receive_buffer=4096)
    env.clients.append(c)
    c.request("GET", "/", KEY)
    same(c.head().status, 101)
    c.sock.settimeout(2)
    frame = b"\x82\xfe\xff\xff\0\0\0\0" + b"x" * 65535
    sent = 0
    try:
        while sent < 200 << 20:
            c.send(frame)
            sent += len(frame)
    except TimeoutError:
        pass
    assert sent < 100 << 20, "%d bytes were taken" % sent
