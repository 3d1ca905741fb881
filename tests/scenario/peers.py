"""HTTP/1.1 peers made of plain sockets, strict about what they read: a client, and upstream servers with scripted answers."""
import select
import socket
import ssl
import struct
import threading

WAIT = 15.0


class Closed(Exception):
    """The peer closed where more bytes were due."""


# ---- TLS ----
def server_context(cert, key, alpn=None, client_ca=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(cert, key)
    if alpn:
        c.set_alpn_protocols(alpn)
    if client_ca:
        c.load_verify_locations(client_ca)
        c.verify_mode = ssl.CERT_REQUIRED
    return c


def client_context(ca=None, pair=None, alpn=None, maximum=None):
    """Verifies against ca when there is one."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca:
        c.load_verify_locations(ca.cert)
    else:
        c.check_hostname = False
        c.verify_mode = ssl.CERT_NONE
    if pair:
        c.load_cert_chain(pair.cert, pair.key)
    if alpn:
        c.set_alpn_protocols(alpn)
    if maximum:
        c.maximum_version = maximum
    return c


# ---- reading ----
class Reader:
    """Exact reads from a socket, with what is left over."""

    def __init__(self, sock):
        self.sock, self.data, self.eof = sock, b"", False

    def more(self):
        try:
            part = self.sock.recv(65536)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError):
            part = b""
        if not part:
            self.eof = True
            raise Closed("peer closed; left over: %r" % self.data[:200])
        self.data += part

    def until(self, mark):
        at = 0
        while True:
            i = self.data.find(mark, at)
            if i >= 0:
                out, self.data = self.data[:i + len(mark)], self.data[i + len(mark):]
                return out
            at = max(0, len(self.data) - len(mark))
            self.more()

    def exactly(self, n):
        while len(self.data) < n:
            self.more()
        out, self.data = self.data[:n], self.data[n:]
        return out

    def rest(self):
        """Everything until the peer closes."""
        try:
            while True:
                self.more()
        except Closed:
            out, self.data = self.data, b""
            return out


class Headers(list):
    """[(name, value)] as they came; names are compared without case."""

    def all(self, name):
        return [v for k, v in self if k.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        if len(values) > 1:
            raise AssertionError("%s occurs %d times" % (name, len(values)))
        return values[0] if values else default

    def __contains__(self, name):
        return bool(self.all(name))


def parse_fields(block):
    """Strict: CRLF lines, no folding, a token before the colon, no control bytes."""
    out = Headers()
    for line in block.split(b"\r\n"):
        if not line:
            continue
        name, colon, value = line.partition(b":")
        bad = not colon or not name or any(c <= 32 or c >= 127 or c in b'()<>@,;:\\"/[]?={}' for c in name)
        if bad or any(c < 32 and c != 9 or c == 127 for c in value):
            raise AssertionError("malformed field line %r" % line)
        out.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    return out


def read_chunked(r):
    body, sizes = [], []
    while True:
        line = r.until(b"\r\n")[:-2]
        if not line or any(c not in b"0123456789abcdefABCDEF" for c in line):
            raise AssertionError("chunk size line %r is not canonical" % line)
        n = int(line, 16)
        if n == 0:
            break
        sizes.append(n)
        body.append(r.exactly(n))
        if r.exactly(2) != b"\r\n":
            raise AssertionError("chunk data not ended by CRLF")
    block = b""
    while True:
        line = r.until(b"\r\n")
        if line == b"\r\n":
            break
        block += line
    return b"".join(body), parse_fields(block), sizes


class Message:
    """A request or a response: start line split in three, headers, body, trailers."""

    def __init__(self, raw_head):
        self.raw = raw_head
        line, _, block = raw_head[:-4].partition(b"\r\n")
        self.first = line.decode("latin-1")
        self.parts = self.first.split(" ", 2)
        self.headers = parse_fields(block)
        self.body, self.trailers, self.chunks = b"", Headers(), []
        self.chunked = "transfer-encoding" in self.headers
        if self.chunked and ("content-length" in self.headers or self.headers.get("transfer-encoding") != "chunked"):
            raise AssertionError("ambiguous framing: %r" % raw_head)

    def header(self, name, default=None):
        return self.headers.get(name, default)

    def length(self):
        n = self.headers.get("content-length")
        return None if n is None else int(n)


class Request(Message):
    def __init__(self, raw):
        super().__init__(raw)
        self.method, self.target, self.version = self.parts
        self.connection = 0

    def read_body(self, r):
        if self.chunked:
            self.body, self.trailers, self.chunks = read_chunked(r)
        elif self.length():
            self.body = r.exactly(self.length())


class Response(Message):
    def __init__(self, raw):
        super().__init__(raw)
        self.version, self.status = self.parts[0], int(self.parts[1])
        self.interim = []

    def read_body(self, r, method):
        if method == "HEAD" or self.status in (204, 304) or self.status < 200:
            return
        if self.chunked:
            self.body, self.trailers, self.chunks = read_chunked(r)
        elif self.length() is not None:
            self.body = r.exactly(self.length())
        else:
            self.body = r.rest()


# ---- client ----
class H1Client:
    def __init__(self, address, tls=None, sni=None, receive_buffer=None):
        self.sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(WAIT)
        self.sock.connect(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=sni or "shop.example")
        self.reader = Reader(self.sock)

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def request(self, method="GET", target="/", headers=(), body=None, host="shop.example", version="HTTP/1.1", chunked=False):
        head = "%s %s %s\r\n" % (method, target, version)
        if host is not None:
            head += "Host: %s\r\n" % host
        for name, value in headers:
            head += "%s: %s\r\n" % (name, value)
        if chunked:
            head += "Transfer-Encoding: chunked\r\n"
        elif body is not None:
            head += "Content-Length: %d\r\n" % len(body)
        data = head.encode("latin-1") + b"\r\n"
        if chunked:
            data += b"%x\r\n%s\r\n" % (len(body), body) if body else b""
            data += b"0\r\n\r\n"
        elif body is not None:
            data += body
        self.send(data)

    def head(self):
        """The next final response's head; the 1xx ones before it are in .interim."""
        interim = []
        while True:
            r = Response(self.reader.until(b"\r\n\r\n"))
            if r.status >= 200 or r.status == 101:
                r.interim = interim
                return r
            interim.append(r)

    def response(self, method="GET"):
        r = self.head()
        r.read_body(self.reader, method)
        return r

    def ask(self, method="GET", target="/", *args, **more):
        self.request(method, target, *args, **more)
        return self.response(method)

    def closed(self):
        """True when the server has closed (waits for it); what it still sent is an error."""
        rest = self.reader.rest()
        if rest:
            raise AssertionError("bytes where a close was due: %r" % rest[:500])
        return True

    def readable(self, seconds):
        return bool(self.reader.data) or bool(select.select([self.sock], [], [], seconds)[0])

    def reset(self):
        """Closes with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass


# ---- servers ----
class Server:
    """Listens on an ephemeral port and runs serve(connection) in a thread each."""

    def __init__(self, tls=None):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(512)
        self.tls = tls
        self.port = self.listener.getsockname()[1]
        self.address = "127.0.0.1:%d" % self.port
        self.connections = 0
        self.open = []
        self.errors = []
        self.lock = threading.Lock()
        self.stopping = False
        threading.Thread(target=self.accept_all, daemon=True).start()

    def accept_all(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                number = self.connections
            threading.Thread(target=self.one, args=(sock, number), daemon=True).start()

    def one(self, sock, number):
        sock.settimeout(WAIT * 3)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            with self.lock:
                self.open.append(sock)
            self.serve(sock, number)
        except (OSError, Closed, ssl.SSLError):
            pass
        except Exception as e:
            self.errors.append(e)
        finally:
            with self.lock:
                if sock in self.open:
                    self.open.remove(sock)
            close_gently(sock)

    def drop_connections(self):
        with self.lock:
            for sock in self.open:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def stop_listening(self):
        """From now on connections are refused."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def close(self):
        self.stopping = True
        try:
            self.stop_listening()
        except OSError:
            pass
        self.drop_connections()
        if self.errors:
            raise self.errors[0]


def close_gently(sock):
    """FIN first: an RST would destroy what the peer has not read yet."""
    try:
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(1)
        while sock.recv(65536):
            pass
    except (OSError, ValueError):
        pass
    finally:
        sock.close()


class Exchange:
    """What a handler of Upstream works with."""

    def __init__(self, server, sock, reader, request):
        self.server, self.sock, self.reader, self.request = server, sock, reader, request

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        raise Closed()


def reply(status=200, body=b"ok", headers=(), reason="Fine", version="HTTP/1.1"):
    """Bytes of an answer with Content-Length."""
    if isinstance(body, str):
        body = body.encode()
    head = "%s %d %s\r\nContent-Length: %d\r\n" % (version, status, reason, len(body))
    for name, value in headers:
        head += "%s: %s\r\n" % (name, value)
    return head.encode("latin-1") + b"\r\n" + body


def chunked(parts, trailers=(), headers=()):
    head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + "".join("%s: %s\r\n" % h for h in headers) + "\r\n"
    data = head.encode("latin-1") + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n"
    return data + "".join("%s: %s\r\n" % t for t in trailers).encode("latin-1") + b"\r\n"


class Upstream(Server):
    """An HTTP/1.1 server. handler(exchange) returns the bytes to send, or None to close; no handler: 200 "ok". early: the handler is called
    before the body is read. requests has all that came; a malformed request fails the test."""

    def __init__(self, handler=None, tls=None, early=False, name=""):
        self.handler, self.early, self.name = handler, early, name
        self.requests = []
        super().__init__(tls)

    def serve(self, sock, number):
        reader = Reader(sock)
        while True:
            request = Request(reader.until(b"\r\n\r\n"))
            request.connection = number
            if self.early:
                self.requests.append(request)
            else:
                if request.header("expect", "").lower() == "100-continue":
                    sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                request.read_body(reader)
                self.requests.append(request)
            answer = self.handler(Exchange(self, sock, reader, request)) if self.handler else reply(200, self.name or "ok")
            if answer is None:
                return
            sock.sendall(answer)
            if request.header("connection", "").lower() == "close":
                return

    def wait(self, n=1):
        from weirlib import until
        until(lambda: len(self.requests) >= n, lambda: "%d requests at the upstream, have %r" % (n, [r.first for r in self.requests]))
        return self.requests[n - 1]


class RawUpstream(Server):
    """script(sock, number) for each connection; received has its bytes when the script uses self.record."""

    def __init__(self, script, tls=None):
        self.script = script
        super().__init__(tls)

    def serve(self, sock, number):
        self.script(sock, number)
