"""What a measurement works with: processes on one CPU, configurations of the peers, load generators, and the counters of the kernel.
Everything is bounded in time, listens on loopback only, and ends with the program that started it."""
import contextlib
import ctypes
import mmap
import os
import random
import re
import resource
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
BODY = "0123456789abcdef" * 64
NOFILE = 20000
CPU = 0  # proxy, backend and load generator; this program stays on another one
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
SYMBOLS = re.compile(r"@([A-Z_0-9]+)@")


class Trouble(Exception):
    """A measurement that cannot be made; told, never guessed around."""


def end_in_order():
    """A program that is told to end takes its processes with it."""
    def leave(number, _frame):
        for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(n, signal.SIG_IGN)  # timeout(1) tells its child twice
        raise SystemExit(128 + number)
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)


def until(condition, what, limit=20.0, pause=0.002):
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Trouble("waited %g s for %s" % (limit, what))
        time.sleep(pause)


def fifo_allowed():
    """Real-time scheduling needs CAP_SYS_NICE; without it numbers are a rough guess, and the report says so."""
    pid = os.fork()
    if pid == 0:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def templated(name, **values):
    with open(os.path.join(HERE, "conf", name), encoding="utf-8") as f:
        text = f.read()
    return SYMBOLS.sub(lambda m: str(values[m.group(1)]), text)


def workspace():
    """bench/out, or the system's place for such things where this checkout is not ours to write."""
    base = os.path.join(HERE, "out")
    with contextlib.suppress(OSError):
        os.makedirs(base, exist_ok=True)
        return tempfile.mkdtemp(prefix="run-", dir=base)
    return tempfile.mkdtemp(prefix="weir-bench-")


class Lab:
    """A folder, its certificate, its processes. Used as a context manager. `pinned`: everything on one CPU, this program on the others;
    `fifo`: under real-time scheduling too, where that is allowed."""

    def __init__(self, binary=None, pinned=True, fifo=True):
        self.binary = os.path.abspath(binary or os.path.join(ROOT, "weir"))
        self.pinned, self.fifo = pinned, fifo and fifo_allowed()
        self.children, self.taken = [], set()
        self.exec_time = mmap.mmap(-1, 8)  # written by the child that start() makes, just before it becomes the program
        self.folder = workspace()
        os.chmod(self.folder, 0o755)  # h2o as root reads it as nobody
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.nofile = min(NOFILE, hard) if hard > 0 else NOFILE
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.nofile, hard))
        if pinned and os.cpu_count() > 1:
            os.sched_setaffinity(0, set(range(os.cpu_count())) - {CPU})
        self.cert, self.key = self.path("cert.pem"), self.path("key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                        "/CN=bench.test", "-addext", "subjectAltName=DNS:bench.test,IP:127.0.0.1", "-keyout", self.key, "-out", self.cert],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        self.both = self.write("both.pem", "".join(open(f, encoding="utf-8").read() for f in (self.cert, self.key)))
        os.chmod(self.both, 0o600)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop_all()
        if self.fifo:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def port(self):
        """A free port below the range that clients draw from."""
        for _ in range(200):
            p = random.randint(12000, 31000)
            with socket.socket() as s, contextlib.suppress(OSError):
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("127.0.0.1", p))
                if p not in self.taken:
                    self.taken.add(p)
                    return p
        raise Trouble("no free port")

    def watch_closely(self):
        """This program polls for an answer: other work on its CPU must not hold it up. It sleeps between polls."""
        if self.fifo:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))

    # ---- processes ----
    def _before_exec(self):
        parent = os.getpid()

        def prepare():
            for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(n, signal.SIG_DFL)
            os.setsid()
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # ended before it could be asked for
                os._exit(1)
            if self.pinned:
                os.sched_setaffinity(0, {CPU})
            if self.fifo:
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            self.exec_time[:8] = struct.pack("q", time.monotonic_ns())
        return prepare

    def start(self, argv, name):
        with open(self.path(name + ".log"), "ab") as log:
            p = subprocess.Popen(argv, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=self._before_exec())
        p.log_path = self.path(name + ".log")
        p.started = struct.unpack("q", self.exec_time[:8])[0] / 1e9
        self.children.append(p)
        return p

    def run(self, argv, limit):
        """Runs a command as start() does; its output."""
        p = subprocess.Popen(argv, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             preexec_fn=self._before_exec())
        self.children.append(p)
        try:
            out, _ = p.communicate(timeout=limit)
        except subprocess.TimeoutExpired as late:
            self.kill(p)
            raise Trouble("%s did not end within %g s" % (argv[0], limit)) from late
        self.children.remove(p)
        return out.decode("utf-8", "replace")

    def kill(self, p):
        """Ends a process that start() made, and its session, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(p.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            p.wait(10)
        if p in self.children:
            self.children.remove(p)

    def stop(self, p, grace=5.0):
        """The same, after it had time to end by itself: what writes a report at its end needs that."""
        for _ in range(2):  # a second SIGTERM ends the draining of Weir
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    p.wait(grace / 2)
        self.kill(p)

    def stop_all(self):
        for p in list(reversed(self.children)):
            self.kill(p)


# ---- what the kernel counts ----
def tree(pid):
    """The process and all its descendants."""
    found, todo = [], [pid]
    while todo:
        p = todo.pop()
        found.append(p)
        with contextlib.suppress(OSError):
            for t in os.listdir("/proc/%d/task" % p):
                with open("/proc/%d/task/%s/children" % (p, t), encoding="ascii") as f:
                    todo += [int(c) for c in f.read().split()]
    return found


def cpu_seconds(pid):
    """Exact run time of all threads (nanoseconds in schedstat), where utime + stime would be rounded to 10 ms."""
    total = 0
    for p in tree(pid):
        for t in os.listdir("/proc/%d/task" % p):
            with open("/proc/%d/task/%s/schedstat" % (p, t), encoding="ascii") as f:
                total += int(f.read().split()[0])
    return total / 1e9


def _sum(pid, name, field):
    total = 0
    for p in tree(pid):
        with open("/proc/%d/%s" % (p, name), encoding="ascii") as f:
            total += sum(int(l.split()[1]) for l in f if l.startswith(field + ":"))
    return total * 1024


def anonymous(pid):
    """Memory that is the processes' own: who else maps the same libraries does not matter."""
    return _sum(pid, "status", "RssAnon")


def pss(pid):
    """Of servers of several processes: what they share counts once."""
    return _sum(pid, "smaps_rollup", "Pss")


def rss(pid):
    return _sum(pid, "status", "VmRSS")


def settled(read, pause=0.7, times=3, limit=20.0):
    """A counter once it has not changed for a while: memory is given back by timers."""
    seen, end = [read()], time.monotonic() + limit
    while len(seen) < times or len(set(seen[-times:])) > 1:
        if time.monotonic() > end:
            break
        time.sleep(pause)
        seen.append(read())
    return seen[-1]


def open_connections(port):
    """Connections that a server on this port has accepted and not closed yet."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [l.split() for l in f.readlines()[1:]]
    return sum(r[1].endswith(":%04X" % port) and r[3] in ("01", "08") for r in rows)


def peak(pid):
    return _sum(pid, "status", "VmHWM")


def reset_peak(pid):
    for p in tree(pid):
        with open("/proc/%d/clear_refs" % p, "w", encoding="ascii") as f:
            f.write("5")


# ---- clients ----
def get_once(port, host="bench.test", path="/", tls=False, timeout=5.0):
    """One request on a connection of its own; the status."""
    s = connect(port, tls, timeout)
    try:
        return request_on(s, host, path)
    finally:
        s.close()


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE


def connect(port, tls=False, timeout=10.0):
    s = socket.create_connection(("127.0.0.1", port), timeout)
    return CONTEXT.wrap_socket(s, server_hostname="bench.test") if tls else s


def request_on(s, host="bench.test", path="/"):
    s.sendall(("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (path, host)).encode())
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(16384)
        if not more:
            raise ConnectionError("closed before an answer")
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    left = int(length.group(1)) - len(body) if length else 0
    while left > 0:
        more = s.recv(16384)
        if not more:
            raise ConnectionError("closed inside an answer")
        left -= len(more)
    return int(head.split()[1])


def wrk(lab, port, seconds, connections=64, script=None):
    """Completed requests; any other status than 2xx is an error."""
    argv = ["wrk", "-t1", "-c%d" % connections, "-d%ds" % seconds]
    out = lab.run(argv + (["-s", script] if script else []) + ["http://127.0.0.1:%d/" % port], seconds + 30)
    m = re.search(r"(\d+) requests in", out)
    if not m or "Non-2xx" in out or int(m.group(1)) == 0:
        raise Trouble("wrk: " + out.strip()[-300:])
    return int(m.group(1))


def h2load(lab, port, *args, tls=False, seconds=None, requests=None):
    """Succeeded 2xx answers."""
    amount = ["-D%d" % seconds] if seconds else ["-n%d" % requests]
    argv = ["h2load", "-t1", *amount, *args, "%s://127.0.0.1:%d/" % ("https" if tls else "http", port)]
    out = lab.run(argv, (seconds or 60) + 60)
    m = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out)
    if not m or any(int(m.group(i)) for i in (2, 3, 4)) or int(m.group(1)) == 0 or (requests and int(m.group(1)) != requests):
        raise Trouble("h2load: " + out.strip()[-400:])
    return int(m.group(1))
