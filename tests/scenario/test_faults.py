"""Memory and system calls that fail at every place, and I/O cut into small pieces: no crash, no wrong answer; a request gets its answer, an
error of ours, or a closed connection; a start that cannot be ends with code 1 and a word about why."""
import os
import signal
import subprocess
import threading

from h2peers import H2Client, H2Upstream
from peers import Closed, H1Client, client_context, reply
from weirlib import ALARMS, gateway, listener, route, rule, same, secret, service, simple, text_of, until

GOOD_CODES = (200, 502, 503)


class Trial:
    """One run of weir with a seam set: start, a few exchanges, SIGTERM."""

    def __init__(self, env, doc, variables):
        self.env, self.variables = env, variables
        self.w = env.weir(doc, start=False, workers=1, variables=variables)
        env.weirs.remove(self.w)

    def start(self):
        """False when it ended with code 1 instead."""
        w = self.w
        until(lambda: not w.alive() or w.log("ready"), lambda: "start with %r:\n%s" % (self.variables, w.stderr()))
        if w.alive():
            try:
                w.wait_ready()
                return True
            except AssertionError:
                if w.alive():
                    raise
        self.ended(w.process.wait(10))
        return False

    def ended(self, code):
        text = self.w.stderr()
        bad = [line for line in text.splitlines() if ALARMS.search(line)]
        assert not bad, "%r: %s\n%s" % (self.variables, bad[0], text[-4000:])
        assert code in (0, 1), "%r: ended with %d:\n%s" % (self.variables, code, text[-4000:])
        assert code == 0 or text.strip(), "%r: ended with 1 and no word" % self.variables

    def stop(self):
        w = self.w
        if w.alive():
            w.process.send_signal(signal.SIGTERM)
        try:
            code = w.process.wait(20)
        except subprocess.TimeoutExpired:
            w.kill()
            raise AssertionError("%r: does not end:\n%s" % (self.variables, w.stderr()[-4000:]))
        self.ended(code)


def address_of(w):
    """The status page itself may be what fails: asked again."""
    for _ in range(20):
        try:
            return w.addr()
        except (OSError, ValueError, AssertionError, Exception):
            if not w.alive():
                return None
    return None


def attempt(fn):
    """The status of one exchange, or None when its connection was closed."""
    try:
        return fn()
    except (OSError, Closed):
        return None


def exchanges(address, body):
    """HTTP/1 and HTTP/2, with and without a body, then one that must work since the fault is over."""
    def h1(method, body):
        c = H1Client(address)
        try:
            r = c.ask(method, "/", body=body)
            if r.status == 200:
                same(r.body, body or b"none")
            return r.status
        finally:
            c.close()

    def h2():
        c = H2Client(address)
        try:
            s = c.ask("POST", "/", body=body)
            if s.reset is not None:
                return None
            if s.status == 200:
                same(s.body, body)
            return s.status
        finally:
            c.close()

    for fn in (lambda: h1("GET", None), lambda: h1("POST", body), h2):
        status = attempt(fn)
        assert status is None or status in GOOD_CODES, status
    for last in range(3):  # a pooled connection may have died of the fault
        if attempt(lambda: h1("GET", None)) == 200:
            return
    raise AssertionError("does not recover after one fault")


def echo(x):
    return reply(body=x.request.body or b"none")


def sweep(env, doc, variable, first, last, step):
    failures = []
    for n in range(first, last, step):
        t = Trial(env, doc, {variable: str(n)})
        try:
            if t.start():
                address = address_of(t.w)
                if address:
                    exchanges(address, b"x" * 3000)
            t.stop()
        except AssertionError as e:
            t.w.kill()
            failures.append("%s=%d: %s" % (variable, n, str(e)[:600]))
            assert len(failures) < 12, "\n".join(failures)
    assert not failures, "\n".join(failures)


# Each test takes a share of the places, so that they run side by side.
def alloc(env, first, last, step=1):
    sweep(env, simple(env.upstream(echo)), "WEIR_FAULT_ALLOC", first, last, step)


def test_alloc_1(env):
    alloc(env, 1, 60)


def test_alloc_2(env):
    alloc(env, 60, 120)


def test_alloc_3(env):
    alloc(env, 120, 400, 5)


def test_alloc_4(env):
    alloc(env, 400, 2000, 29)


def calls(env, first, last, step=1):
    sweep(env, simple(env.upstream(echo)), "WEIR_FAULT_SYS", first, last, step)


def test_calls_1(env):
    calls(env, 1, 40)


def test_calls_2(env):
    calls(env, 40, 80)


def test_calls_h2_upstream(env):
    up = H2Upstream(lambda r: r.respond(body=r.body or b"none"))
    env.cleanups.append(up.close)
    sweep(env, simple(up, protocol="h2"), "WEIR_FAULT_SYS", 1, 60, 2)


def test_calls_with_tls(env):
    """Fewer places: what TLS adds between start and first byte."""
    pair = env.ca().issue("shop.example")
    doc = simple(env.upstream(echo), gw=gateway(listener(protocol="https", tls={"certificates": [{"secret": "cert"}]})), more=[secret("cert", pair)])
    context = client_context(env.ca())
    for n in range(1, 45, 2):
        t = Trial(env, doc, {"WEIR_FAULT_SYS": str(n)})
        if t.start():
            address = address_of(t.w)

            def one():
                c = H1Client(address, context)
                try:
                    return c.ask("POST", "/", body=b"hello").status
                finally:
                    c.close()

            got = [attempt(one) for _ in range(4)] if address else [200]
            assert all(s is None or s in GOOD_CODES for s in got) and 200 in got, "call %d: %r\n%s" % (n, got, t.w.stderr()[-3000:])
        t.stop()


def test_allocations_at_a_reload(env):
    """A reload that runs out of memory changes nothing, or the process ends; it never serves half of it."""
    up = env.upstream(echo)
    for n in (200, 300, 400, 500, 700, 900, 1200, 1500, 2000, 2500, 3000):
        t = Trial(env, simple(up), {"WEIR_FAULT_ALLOC": str(n)})
        if t.start():
            address = address_of(t.w)
            t.w.write(simple(up, more=[route("r%d" % i, rule("shop"), hosts=["h%d.example" % i]) for i in range(20)]))
            for _ in range(3):
                t.w.process.send_signal(signal.SIGHUP)
            def settled():
                if not t.w.alive():
                    return True
                return any(r["msg"].startswith("reload") for r in t.w.log())
            until(settled, "a reload")
            if t.w.alive() and address:
                assert any(attempt(lambda: H1Client(address).ask().status) == 200 for _ in range(3)), "n=%d" % n
        t.stop()


def test_a_snapshot_is_replaced_whole_or_not_at_all(env):
    """Whatever call fails or is short: the file holds the old snapshot or the new one, and nothing is left beside it."""
    old, new = [simple("127.0.0.1:9%03d" % n) for n in (1, 2)]
    documents, target = env.write("d.yaml", text_of(old)), os.path.join(env.folder, "out", "s.weir")
    os.mkdir(os.path.dirname(target))
    same(env.run("compile", documents, "--output", target)[0], 0)
    with open(target, "rb") as f:
        before = f.read()
    env.write("d.yaml", text_of(new))
    done = False
    for n in range(1, 60):
        code, _, err = env.run("compile", documents, "--output", target, variables={"WEIR_FAULT_SYS": str(n), "WEIR_SHORT_IO": "100"})
        with open(target, "rb") as f:
            now = f.read()
        same(os.listdir(os.path.dirname(target)), ["s.weir"])
        if code:
            assert err.strip(), "call %d fails: exit code %d and no word" % (n, code)
        if now != before:
            same(len(now), len(before))
            done = True
            break
    assert done and n > 5, n


def test_short_io(env):
    """Reads and writes of 1, 2, 7 and 100 bytes: everything still works."""
    up = env.upstream(echo)
    for k in (1, 2, 7, 100):
        w = env.weir(simple(up), variables={"WEIR_SHORT_IO": str(k)})
        c = env.client(w.addr())
        for n in (0, 1, 100, 5000):
            r = c.ask("POST", "/", body=b"x" * n)
            same((r.status, r.body), (200, b"x" * n or b"none"))
        c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")
        same(c.response().body, b"abc")
        h = H2Client(w.addr())
        env.clients.append(h)
        s = h.ask("POST", "/", body=b"y" * 5000)
        same((s.status, s.body), (200, b"y" * 5000))
        w.stop()


def test_short_io_with_tls_and_h2_upstream(env):
    pair = env.ca().issue("shop.example")
    up = H2Upstream(lambda r: r.respond(body=r.body or b"none"))
    env.cleanups.append(up.close)
    doc = simple(up, protocol="h2", gw=gateway(listener(protocol="https", tls={"certificates": [{"secret": "cert"}]})), more=[secret("cert", pair)])
    for k in (1, 13):
        w = env.weir(doc, variables={"WEIR_SHORT_IO": str(k)})
        c = env.client(w.addr(), client_context(env.ca()))
        same(c.ask("POST", "/", body=b"x" * 3000).body, b"x" * 3000)
        h = H2Client(w.addr(), tls=client_context(env.ca(), alpn=["h2"]))
        env.clients.append(h)
        same(h.ask("POST", "/", body=b"z" * 3000, scheme="https").body, b"z" * 3000)
        w.stop()


def test_short_io_of_a_hostile_request(env):
    w = env.weir(simple(env.upstream()), variables={"WEIR_SHORT_IO": "1"})
    c = env.client(w.addr())
    c.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    same(c.response().status, 400)


def test_a_worker_that_spins_ends_the_process(env):
    """Nothing makes one known to us: a seam does. What is left says where it was; one that works or sleeps is left alone."""
    w = env.weir(simple(env.upstream(echo)), workers=2, args=["--watchdog", "1s"], variables={"WEIR_FAULT_SPIN": "spin-now"})
    env.weirs.remove(w)
    c = env.client(w.addr())
    same(c.ask().status, 200)
    c.request("GET", "/spin-now")
    same(w.process.wait(60), -signal.SIGABRT)
    assert any(r["msg"].startswith("a worker spins") for r in w.log()), w.stderr()
    stack = w.stderr().split("stack of the thread", 1)[1]
    assert stack.count("weir") > 2, stack


def limited(env, descriptors):
    """From here on weir starts with so many descriptors at most."""
    script = env.write("limited.sh", "#!/bin/sh\nulimit -n %d\nexec \"%s\" \"$@\"\n" % (descriptors, env.binary))
    os.chmod(script, 0o700)
    env.binary = script


def test_descriptors_go_to_the_upstream_side(env):
    """Few clients with many streams: the connections to the service count as well, new clients are shed or wait, and the log says it
    once, not in every turn of a worker."""
    go = threading.Event()
    up = env.upstream(lambda x: reply(body="late") if go.wait(30) else None)
    limited(env, 100)
    w = env.weir(simple(up), workers=1)
    address = w.addr()
    c = H2Client(address)
    env.clients.append(c)
    streams = [c.start("GET", "/%d" % i) for i in range(100)]
    until(lambda: len(up.requests) >= 30, "connections to the service")
    for _ in range(30):
        attempt(lambda: H1Client(address).close())
    go.set()
    for s in streams:
        c.wait(s)
    assert {s.status for s in streams} <= {200, 502, 503}, {s.status for s in streams}
    until(lambda: attempt(lambda: H1Client(address).ask().status) == 200, "service goes on")
    assert len([r for r in w.log() if r["msg"].startswith("out of desc")]) <= 2, w.stderr()[-3000:]


def test_out_of_descriptors(env):
    """A small limit: connections over it wait or are shed; when others close, service goes on."""
    up = env.upstream(echo)
    limited(env, 100)
    w = env.weir(simple(up), workers=1)
    address = w.addr()
    held = []
    for _ in range(150):
        c = H1Client(address)
        c.sock.settimeout(0.05)
        held.append(c)
        try:
            c.ask()
        except (OSError, Closed):
            pass
    assert w.alive()
    for c in held:
        c.close()
    until(lambda: attempt(lambda: H1Client(address).ask().status) == 200, "service goes on")
