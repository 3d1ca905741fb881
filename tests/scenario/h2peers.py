"""HTTP/2 peers: a client and a server on the h2 library, and raw frames for what the library would not send."""
import queue
import socket
import ssl
import struct
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hpack import Encoder

from peers import Closed, Server

WAIT = 15.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK, PADDED = 1, 4, 1, 8


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def encode(headers, encoder=None):
    """An HPACK block; never indexed, so that it stands alone."""
    return (encoder or Encoder()).encode([(k, v, True) for k, v in headers], huffman=False)


def request_headers(method="GET", path="/", authority="shop.example", scheme="http", extra=()):
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *extra]


def connect(address, tls=None, sni=None):
    sock = socket.create_connection(address, WAIT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return tls.wrap_socket(sock, server_hostname=sni or "shop.example") if tls else sock


class Stream:
    def __init__(self, sid):
        self.id = sid
        self.headers, self.trailers, self.interim = [], [], []
        self.body = b""
        self.ended, self.reset = False, None

    def header(self, name, default=None):
        return next((v for k, v in self.headers if k == name), default)

    @property
    def status(self):
        return int(self.header(":status", 0))


class H2Client:
    """One connection; not for two threads. acknowledge: give received bytes back to the windows."""

    def __init__(self, address, tls=None, sni=None, window=None, acknowledge=True, settings=None):
        self.sock = connect(address, tls, sni)
        self.conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8", validate_outbound_headers=False,
                                                                         normalize_outbound_headers=False))
        self.acknowledge = acknowledge
        self.streams, self.goaway, self.eof, self.pongs, self.settled = {}, None, False, 0, False
        self.remote = {}
        if window is not None:
            self.conn.local_settings = h2.settings.Settings(client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window,
                                                                                         h2.settings.SettingCodes.ENABLE_PUSH: 0})
        for k, v in (settings or {}).items():
            self.conn.local_settings[k] = v
        self.conn.initiate_connection()
        self.flush()

    def flush(self):
        data = self.conn.data_to_send()
        if data:
            self.sock.sendall(data)

    def pump(self):
        """Reads once and handles what came."""
        try:
            data = self.sock.recv(65536)
        except (ConnectionError, ssl.SSLError):
            data = b""
        if not data:
            self.eof = True
            return
        for e in self.conn.receive_data(data):
            self.event(e)
        try:
            self.flush()
        except OSError:
            pass

    def event(self, e):
        s = self.streams.setdefault(e.stream_id, Stream(e.stream_id)) if getattr(e, "stream_id", None) else None
        if isinstance(e, h2.events.ResponseReceived):
            s.headers = list(e.headers)
        elif isinstance(e, h2.events.InformationalResponseReceived):
            s.interim.append(list(e.headers))
        elif isinstance(e, h2.events.TrailersReceived):
            s.trailers = list(e.headers)
        elif isinstance(e, h2.events.DataReceived):
            s.body += e.data
            if self.acknowledge and e.flow_controlled_length:
                self.conn.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.StreamEnded):
            s.ended = True
        elif isinstance(e, h2.events.StreamReset):
            s.reset = e.error_code
        elif isinstance(e, h2.events.ConnectionTerminated):
            self.goaway = e
        elif isinstance(e, h2.events.PingAckReceived):
            self.pongs += 1
        elif isinstance(e, h2.events.RemoteSettingsChanged):
            self.settled = True
            self.remote.update({k: v.new_value for k, v in e.changed_settings.items()})

    def until(self, condition, what="event"):
        while not condition():
            if self.eof:
                raise Closed("connection closed while waiting for %s; goaway %r" % (what, self.goaway))
            self.pump()

    def start(self, method="GET", path="/", headers=(), end=True, authority="shop.example", scheme="http"):
        sid = self.conn.get_next_available_stream_id()
        self.streams[sid] = Stream(sid)
        self.conn.send_headers(sid, request_headers(method, path, authority, scheme, headers), end_stream=end)
        self.flush()
        return self.streams[sid]

    def send_body(self, s, body, end=True, trailers=None):
        at = 0
        while at < len(body):
            room = min(self.conn.local_flow_control_window(s.id), self.conn.max_outbound_frame_size, len(body) - at)
            if room <= 0:
                before = self.conn.local_flow_control_window(s.id)
                self.until(lambda: self.conn.local_flow_control_window(s.id) > before or s.reset is not None, "window")
                if s.reset is not None:
                    return
                continue
            self.conn.send_data(s.id, body[at:at + room])
            at += room
            self.flush()
        if trailers:
            self.conn.send_headers(s.id, trailers, end_stream=True)
        elif end:
            self.conn.end_stream(s.id)
        self.flush()

    def wait(self, s):
        self.until(lambda: s.ended or s.reset is not None, "the end of stream %d" % s.id)
        return s

    def ask(self, method="GET", path="/", headers=(), body=None, trailers=None, **more):
        s = self.start(method, path, headers, end=body is None, **more)
        if body is not None:
            self.send_body(s, body, trailers=trailers)
        return self.wait(s)

    def ping(self):
        n = self.pongs
        self.conn.ping(b"12345678")
        self.flush()
        self.until(lambda: self.pongs > n, "PING ACK")

    def reset(self, s, code=8):
        self.conn.reset_stream(s.id, code)
        self.flush()

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass


class RawH2:
    """Frames by hand. The client's preface and SETTINGS are sent; received frames are (type, flags, stream, payload)."""

    def __init__(self, address, tls=None, sni=None, settings=b"", preface=True):
        self.sock = connect(address, tls, sni)
        self.data, self.eof, self.frames = b"", False, []
        self.encoder = Encoder()
        if preface:
            self.send(PREFACE + frame(SETTINGS, payload=settings))

    def send(self, data):
        self.sock.sendall(data)

    def try_send(self, data):
        """False when the peer has closed."""
        try:
            self.sock.sendall(data)
            return True
        except OSError:
            return False

    def headers(self, stream, headers=None, flags=END_HEADERS | END_STREAM):
        self.send(frame(HEADERS, flags, stream, encode(headers or request_headers(), self.encoder)))

    def next(self):
        """The next frame, or None at the end."""
        while True:
            if len(self.data) >= 9:
                n = int.from_bytes(self.data[:3], "big")
                if len(self.data) >= 9 + n:
                    f = (self.data[3], self.data[4], int.from_bytes(self.data[5:9], "big") & 0x7fffffff, self.data[9:9 + n])
                    self.data = self.data[9 + n:]
                    self.frames.append(f)
                    return f
            if self.eof:
                return None
            try:
                part = self.sock.recv(65536)
            except (ConnectionError, ssl.SSLError):
                part = b""
            self.eof = not part
            self.data += part

    def wait(self, kind, stream=None, ack=None):
        """The next frame of this kind; Closed when the connection ends before."""
        while True:
            f = self.next()
            if f is None:
                raise Closed("connection closed; frames: %r" % [(x[0], x[1], x[2], x[3][:20]) for x in self.frames[-10:]])
            if f[0] == kind and (stream is None or f[2] == stream) and (ack is None or bool(f[1] & ACK) == ack):
                return f

    def end(self):
        """Reads until the connection closes; the code of the GOAWAY, or None when there was none."""
        while self.next() is not None:
            pass
        codes = [int.from_bytes(f[3][4:8], "big") for f in self.frames if f[0] == GOAWAY]
        return codes[-1] if codes else None

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass


# ---- server ----
class H2Request:
    def __init__(self, conn, sid, headers):
        self.conn, self.id = conn, sid
        self.headers, self.trailers = list(headers), []
        self.body, self.ended, self.reset = b"", False, None
        self.events = queue.Queue()

    def header(self, name, default=None):
        values = [v for k, v in self.headers if k == name]
        assert len(values) <= 1, values
        return values[0] if values else default

    @property
    def path(self):
        return self.header(":path")

    # what a handler may do, from any thread
    def respond(self, status=200, body=b"ok", headers=(), trailers=()):
        self.send_headers(status, headers, end=not body and not trailers)
        if body:
            self.send_data(body, end=not trailers)
        if trailers:
            self.send_trailers(trailers)

    def send_headers(self, status=200, headers=(), end=False):
        self.conn.do(lambda c: c.send_headers(self.id, [(":status", str(status)), *headers], end_stream=end))

    def send_interim(self, status, headers=()):
        self.conn.do(lambda c: c.send_headers(self.id, [(":status", str(status)), *headers]))

    def send_trailers(self, trailers):
        self.conn.do(lambda c: c.send_headers(self.id, list(trailers), end_stream=True))

    def send_data(self, data, end=False):
        self.conn.send_data(self.id, data, end)

    def send_reset(self, code=0):
        self.conn.do(lambda c: c.reset_stream(self.id, code))

    def send_goaway(self):
        """The connection takes no stream after this one."""
        self.conn.going = True
        self.conn.do(lambda c: c.close_connection(last_stream_id=self.id))

    def wait_end(self):
        self.conn.wait(lambda: self.ended or self.reset is not None)


class H2ServerConnection:
    def __init__(self, server, sock, number):
        self.server, self.sock, self.number = server, sock, number
        self.conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.changed = threading.Condition(threading.RLock())
        self.streams, self.over, self.going = {}, False, False
        for k, v in server.settings.items():
            self.conn.local_settings[k] = v

    def do(self, fn):
        with self.changed:
            try:
                fn(self.conn)
            except h2.exceptions.ProtocolError:
                return  # the stream is gone
            data = self.conn.data_to_send()
            if data:
                self.sock.sendall(data)

    def wait(self, condition):
        with self.changed:
            if not self.changed.wait_for(lambda: self.over or condition(), WAIT):
                raise AssertionError("h2 upstream waited too long")
            if not condition():
                raise Closed("connection over")

    def send_data(self, sid, data, end):
        at = 0
        while at < len(data) or (end and not data):
            with self.changed:
                def room():
                    try:
                        return min(self.conn.local_flow_control_window(sid), self.conn.max_outbound_frame_size)
                    except h2.exceptions.ProtocolError:
                        return -1  # stream gone
                self.wait(lambda: room() != 0)
                n = room()
                if n < 0:
                    return
                part = data[at:at + n]
                at += len(part)
                self.do(lambda c: c.send_data(sid, part, end_stream=end and at >= len(data)))
            if not data:
                return

    def run(self):
        with self.changed:
            self.conn.initiate_connection()
            out = self.conn.data_to_send()
            if self.server.most_streams is not None:  # beside the library, which drops the connection over it
                out += frame(SETTINGS, payload=struct.pack(">HI", 3, self.server.most_streams))
            self.sock.sendall(out)
        while True:
            data = self.sock.recv(65536)
            if not data:
                return
            with self.changed:
                try:
                    events = self.conn.receive_data(data)
                except h2.exceptions.ProtocolError:
                    if not self.going:
                        raise
                    continue  # frames that crossed our GOAWAY: the library knows no such state
                for e in events:
                    self.event(e)
                out = self.conn.data_to_send()
                if out:
                    self.sock.sendall(out)
                self.changed.notify_all()

    def event(self, e):
        if isinstance(e, h2.events.RequestReceived):
            r = H2Request(self, e.stream_id, e.headers)
            self.streams[e.stream_id] = r
            self.server.started.append(r)
            if self.server.most_streams is not None and self.conn.open_inbound_streams > self.server.most_streams:
                self.conn.reset_stream(e.stream_id, 7)
                self.server.refused += 1
                r.reset = 7
                return
            if self.server.early:
                self.hand(r)
        elif isinstance(e, h2.events.DataReceived):
            r = self.streams[e.stream_id]
            r.body += e.data
            if self.server.acknowledge and e.flow_controlled_length:
                self.conn.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.TrailersReceived):
            self.streams[e.stream_id].trailers = list(e.headers)
        elif isinstance(e, h2.events.StreamEnded):
            r = self.streams[e.stream_id]
            r.ended = True
            if not self.server.early and r.reset is None:
                self.hand(r)
        elif isinstance(e, h2.events.StreamReset):
            r = self.streams.get(e.stream_id)
            if r:
                r.reset = int(e.error_code)

    def hand(self, r):
        self.server.requests.append(r)
        threading.Thread(target=self.handle, args=(r,), daemon=True).start()

    def handle(self, r):
        try:
            if self.server.handler:
                self.server.handler(r)
            else:
                r.respond(body=(self.server.name or "ok").encode())
        except (Closed, OSError):
            pass
        except Exception as e:
            self.server.errors.append(e)


class H2Upstream(Server):
    """handler(request) in a thread of its own, when the request is whole, or early: at its head."""

    def __init__(self, handler=None, tls=None, early=False, settings=None, acknowledge=True, name="", most_streams=None):
        self.most_streams, self.refused = most_streams, 0
        self.handler, self.early, self.settings, self.acknowledge, self.name = handler, early, settings or {}, acknowledge, name
        self.requests, self.started, self.conns = [], [], []
        super().__init__(tls)

    def serve(self, sock, number):
        c = H2ServerConnection(self, sock, number)
        self.conns.append(c)
        try:
            c.run()
        finally:
            with c.changed:
                c.over = True
                for r in c.streams.values():
                    if not r.ended and r.reset is None:
                        r.reset = -1
                c.changed.notify_all()
