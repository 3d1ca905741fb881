"""What cases share: skipping, programs of others, the fixed document."""
import re
import shutil
import socket
import subprocess

from weirlib import WAIT, gateway, listener, route, rule, secret, service, split, until


class Skip(Exception):
    """What the case needs is not here."""


def program(name):
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if not found:
        raise Skip("%s is not installed" % name)
    return found


def output(*argv, limit=60, **more):
    """Standard output of a program that must end well."""
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, check=False, **more)
    if r.returncode != 0:
        raise AssertionError("%s ended with %d:\n%s\n%s" % (" ".join(argv), r.returncode, r.stdout.decode("utf-8", "replace")[-3000:],
                                                           r.stderr.decode("utf-8", "replace")[-3000:]))
    return r.stdout


def free_ports(n):
    """Ports that nothing listens on now: for programs that cannot say which one they took."""
    sockets = []
    try:
        for _ in range(n):
            s = socket.socket()
            s.bind(("127.0.0.1", 0))
            sockets.append(s)
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Background:
    """A program of others; ends with the case."""

    def __init__(self, env, name, *argv, ports=()):
        self.log = env.path(name + ".log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=env.folder)
        env.cleanups.append(self.end)
        until(lambda: self.process.poll() is not None or all(map(listens, ports)), lambda: name + " listens; " + self.text())
        if self.process.poll() is not None:
            raise AssertionError("%s ended with %s:\n%s" % (name, self.process.returncode, self.text()))

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(WAIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def echo(env, *args, name="echo"):
    """A `weir echo`: its "address:port"."""
    b = Background(env, name, env.binary, "echo", "--listen", "127.0.0.1:0", *args)
    return until(lambda: re.search(r"127\.0\.0\.1:\d+", b.text()), lambda: "address of echo; " + b.text()).group(0)


class Front:
    """Weir with a clear and a TLS listener, everything to one service."""

    def __init__(self, env, address, protocol="http", tls=None, more=()):
        self.pair = env.ca().issue("shop.example", "127.0.0.1")
        self.ca = env.ca()
        options = {"tls": tls} if tls else {}
        self.weir = env.weir([
            gateway(listener("web"), listener("secure", "https", tls={"certificates": [{"secret": "cert"}]})), secret("cert", self.pair),
            secret("trust", ca=self.ca), service("shop", address, protocol=protocol, **options), route("shop", rule("shop")), *more])
        self.web, self.secure = self.weir.addr("web"), self.weir.addr("secure")

    def url(self, path="/", tls=False):
        return "%s://127.0.0.1:%d%s" % (("https", self.secure[1], path) if tls else ("http", self.web[1], path))


def port_of(address):
    return split(address)[1]
