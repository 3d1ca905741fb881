"""WebSocket through http and https with a real client and server, and upgrades that fail."""
import asyncio
import os
import socket
import struct
import threading

import websockets

from peers import Reader, client_context, reply
from weirlib import edge_policy, gateway, listener, same, secret, simple, until

KEY = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]


class WsServer:
    """Echoes; a text "close N" closes with that code. Runs in its own thread."""

    def __init__(self, env):
        self.ready = threading.Event()
        self.headers, self.closed = [], []
        threading.Thread(target=lambda: asyncio.run(self.main()), daemon=True).start()
        assert self.ready.wait(10)
        self.address = "127.0.0.1:%d" % self.port

    async def one(self, ws):
        self.headers.append(ws.request_headers)
        try:
            async for m in ws:
                if isinstance(m, str) and m.startswith("close "):
                    await ws.close(int(m[6:]), "asked")
                    break
                await ws.send(m)
        except websockets.ConnectionClosed:
            pass
        await ws.wait_closed()
        self.closed.append(ws.close_code)

    async def main(self):
        async with websockets.serve(self.one, "127.0.0.1", 0, max_size=None, subprotocols=["chat"]) as s:
            self.port = s.sockets[0].getsockname()[1]
            self.ready.set()
            await asyncio.Future()


def connect(address, path="/", tls=None, **more):
    more.setdefault("max_size", None)
    return websockets.connect("%s://shop.example%s" % ("wss" if tls else "ws", path), host=address[0], port=address[1], ssl=tls, server_hostname="shop.example" if tls else None,
                              open_timeout=10, **more)


async def conversation(address, tls=None):
    async with connect(address, "/chat?x=1", tls, subprotocols=["chat"], extra_headers=[("X-A", "1")]) as ws:
        same(ws.subprotocol, "chat")
        for m in ("hello", "", "ä" * 100, b"\x00\xff" * 50, "x" * 125, "x" * 126, "x" * 65535, "x" * 65536):
            await ws.send(m)
            same(await asyncio.wait_for(ws.recv(), 10), m)
        big = os.urandom(8 << 20)
        await ws.send(big)
        got = await asyncio.wait_for(ws.recv(), 30)
        assert got == big
        await asyncio.wait_for(await ws.ping(), 10)
        await ws.send("close 4001")
        await asyncio.wait_for(ws.wait_closed(), 10)
        same((ws.close_code, ws.close_reason), (4001, "asked"))


def test_through_http(env):
    s = WsServer(env)
    w = env.weir(simple(s))
    asyncio.run(conversation(w.addr()))
    h = s.headers[0]
    same((h["Host"], h["X-A"], h["X-Forwarded-For"]), ("shop.example", "1", "127.0.0.1"))
    row = w.wait_access(status=101)[0]
    same((row["path"], row["service"]), ("/chat", "shop"))
    assert row["bytes_in"] > 8 << 20 and row["bytes_out"] > 8 << 20, row


def test_through_https(env):
    pair = env.ca().issue("shop.example")
    w = env.weir(simple(WsServer(env), gw=gateway(listener(protocol="https", tls={"certificates": [{"secret": "cert"}]})), more=[secret("cert", pair)]))
    asyncio.run(conversation(w.addr(), client_context(env.ca())))


def test_many_at_once(env):
    s = WsServer(env)
    w = env.weir(simple(s))

    async def one(i):
        async with connect(w.addr()) as ws:
            for k in range(20):
                await ws.send("%d-%d" % (i, k))
                same(await ws.recv(), "%d-%d" % (i, k))

    async def everyone():
        await asyncio.gather(*[one(i) for i in range(100)])

    asyncio.run(everyone())
    until(lambda: w.service()["activeRequests"] == 0, "tunnels over")


def test_client_vanishes(env):
    """An abrupt end on one side ends the other."""
    s = WsServer(env)
    w = env.weir(simple(s))

    async def vanish():
        ws = await connect(w.addr())
        await ws.send("x")
        await ws.recv()
        ws.transport.abort()

    asyncio.run(vanish())
    until(lambda: s.closed, "the server sees the end")
    same(s.closed, [1006])
    until(lambda: w.service()["activeRequests"] == 0, "tunnel over")


def test_server_vanishes(env):
    def script(sock, number):
        Reader(sock).until(b"\r\n\r\n")
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbytes")

    w = env.weir(simple(env.raw_upstream(script)))
    c = env.client(w.addr())
    c.request("GET", "/", KEY)
    same(c.head().status, 101)
    same(c.reader.rest(), b"bytes")


def test_half_close_passes_through(env):
    """A tunnel is full duplex: one side may end while the other goes on."""
    def script(sock, number):
        r = Reader(sock)
        r.until(b"\r\n\r\n")
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
        data = r.rest()
        sock.sendall(b"got " + data)

    w = env.weir(simple(env.raw_upstream(script)))
    c = env.client(w.addr())
    c.request("GET", "/", [("Connection", "Upgrade"), ("Upgrade", "chat")])
    same(c.head().status, 101)
    c.send("hello")
    c.sock.shutdown(socket.SHUT_WR)
    same(c.reader.rest(), b"got hello")


def test_refused_handshakes(env):
    """The upstream's no comes through, and the connection goes on as HTTP."""
    def handler(x):
        if x.request.target == "/401":
            return reply(401, "who", headers=[("WWW-Authenticate", "Basic")])
        if x.request.target == "/426":
            return reply(426, "old", headers=[("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")])
        return reply()

    c = env.client(env.weir(simple(env.upstream(handler))).addr())
    same(c.ask("GET", "/401", KEY).status, 401)
    r = c.ask("GET", "/426", KEY)
    same((r.status, r.header("sec-websocket-version")), (426, "13"))
    same(c.ask().status, 200)


def test_bad_101(env):
    """101 with another protocol, without one, or for a request that asked for none is 502."""
    cases = {"/other": b"Connection: Upgrade\r\nUpgrade: chat\r\n", "/none": b"", "/nominated": b"Upgrade: websocket\r\n"}

    def handler(x):
        x.send(b"HTTP/1.1 101 Switching Protocols\r\n" + cases.get(x.request.target, b"Connection: Upgrade\r\nUpgrade: websocket\r\n") + b"\r\n")

    w = env.weir(simple(env.upstream(handler)))
    for path in cases:
        same(env.client(w.addr()).ask("GET", path, KEY).status, 502, path)
    same(env.client(w.addr()).ask("GET", "/plain").status, 502)


def test_upgrade_headers_arrive(env):
    def script(sock, number):
        seen.append(Reader(sock).until(b"\r\n\r\n").decode())
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")

    seen = []
    w = env.weir(simple(env.raw_upstream(script)))
    c = env.client(w.addr())
    c.request("GET", "/", KEY)
    r = c.head()
    same((r.status, r.header("upgrade").lower(), r.header("connection").lower(), r.header("sec-websocket-accept")),
         (101, "websocket", "upgrade", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
    lines = [line.lower() for line in seen[0].split("\r\n")]
    assert "upgrade: websocket" in lines and "connection: upgrade" in lines, seen


def test_idle_time_limit(env):
    """A tunnel without a byte ends after timeout.idle; one with traffic does not."""
    s = WsServer(env)
    w = env.weir(simple(s, more=[edge_policy(timeout={"idle": "1s", "request": "500ms"})]))

    async def run():
        quiet = await connect(w.addr(), ping_interval=None)
        async with connect(w.addr(), ping_interval=None) as busy:
            for i in range(20):  # longer than both limits
                await busy.send(str(i))
                same(await busy.recv(), str(i))
                await asyncio.sleep(0.1)
            await asyncio.wait_for(quiet.wait_closed(), 15)
            await busy.send("still here")
            same(await busy.recv(), "still here")

    asyncio.run(run())


def test_drain_ends_tunnels_at_the_deadline(env):
    """SIGTERM with an open tunnel: it may finish; the process does not wait for ever."""
    s = WsServer(env)
    w = env.weir(simple(s))

    async def run():
        ws = await connect(w.addr())
        await ws.send("x")
        await ws.recv()
        task = env.thread(w.stop, 0, 40)
        until(lambda: w.log("draining"), "draining")
        await ws.send("y")
        same(await ws.recv(), "y")
        await ws.close()
        task.result(20)

    asyncio.run(run())


def test_server_resets_a_half_closed_tunnel(env):
    """The server ended its side, then vanished: the client must not go on talking to nobody."""
    def script(sock, number):
        Reader(sock).until(b"\r\n\r\n")
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    w = env.weir(simple(env.raw_upstream(script)))
    c = env.client(w.addr())
    c.request("GET", "/", [("Connection", "Upgrade"), ("Upgrade", "chat")])
    same(c.head().status, 101)
    same(c.reader.rest(), b"")  # half closed; the other way is still open

    def refused():
        try:
            c.send("x")
        except OSError:
            return True
        return False

    until(refused, "the client's side ends too")
    until(lambda: w.service()["activeRequests"] == 0, "tunnel over")
