"""Logs under those who rotate them, and under readers who do not read."""
import json
import os
import signal
import subprocess

from weirlib import Weir, gateway, listener, same, simple, until


def lines(path):
    if not os.path.exists(path):
        return 0
    with open(path, encoding="utf-8") as f:
        return f.read().count("\n")


def test_access_log_files_can_be_rotated(env):
    """A file that was moved away is made anew by a reload, and no line is lost or written twice."""
    path = env.path("access.log")
    w = env.weir(simple(env.upstream(), gw=gateway(accessLog={"file": path})))
    c = env.client(w.addr())
    for n in range(1, 5):
        for _ in range(5):
            c.ask()
        until(lambda: lines(path) == 5, "the lines of this turn")
        os.rename(path, path + ".%d" % n)
        w.reload()
    same([lines(path + ".%d" % n) for n in range(1, 5)], [5] * 4)


def test_a_new_access_log_every_reload(env):
    """Files that no configuration names any more make room for others."""
    def documents(n):
        return simple(up, gw=gateway(accessLog={"file": env.path("%d.log" % n)}))

    up = env.upstream()
    w = env.weir(documents(0))
    c = env.client(w.addr())
    for n in range(1, 40):
        c.ask()
        until(lambda: lines(env.path("%d.log" % (n - 1))) == 1, "a line")
        w.reload(documents(n))


def test_an_access_log_that_is_a_pipe_without_reader(env):
    os.mkfifo(env.path("fifo"))
    w = env.weir(simple(env.upstream(), gw=gateway(accessLog={"file": env.path("fifo")})), start=False)
    same(w.process.wait(15), 1)
    w.stopped = True
    assert "cannot open" in w.stderr(), w.stderr()


class Unread(Weir):
    """weir whose standard output, or error, is a pipe that nobody reads after the start."""

    def __init__(self, env, documents, which):
        super().__init__(env, documents, name="unread", start=False)
        self.kill()
        env.weirs.append(self)
        self.stopped = True
        read, write = os.pipe()
        os.set_blocking(read, False)
        self.read = read
        with open(self.err_path, "wb") as err:
            streams = {"stdout": subprocess.DEVNULL, "stderr": err, which: write}
            self.process = subprocess.Popen([env.binary, "up", self.file, "--status", "127.0.0.1:0", "--workers", "1", "--drain", "1s"], **streams)
        os.close(write)


def test_an_access_log_that_nobody_reads(env):
    """Requests go on, lines are dropped and counted, and the end comes."""
    w = Unread(env, simple(env.upstream()), "stdout")
    w.wait_ready()
    c = env.client(w.addr())

    def dropped():
        for _ in range(200):
            same(c.ask().status, 200)
        return w.status()["accessLogDropped"]
    until(dropped, "dropped lines")
    assert w.metric("weir_access_log_dropped_total") > 0
    w.process.send_signal(signal.SIGTERM)
    same(w.process.wait(30), 0)


def test_a_log_that_nobody_reads(env):
    """Reloads that fail write an error each: more than a pipe takes."""
    up = env.upstream()
    w = Unread(env, simple(up), "stderr")
    head = b""

    def address():
        nonlocal head
        try:
            head += os.read(w.read, 65536)
        except BlockingIOError:
            pass
        rows = [json.loads(line) for line in head.split(b"\n")[:-1]]
        return b'"ready"' in head and next(r["address"] for r in rows if r["msg"] == "status")
    host, port = until(address, "ready").rsplit(":", 1)
    w.status_address = host, int(port)
    c = env.client(w.addr())
    long_name = "x" * 3000
    for _ in range(40):
        w.reload([gateway(listener(**{long_name + str(i): 1 for i in range(20)}))], ok=False)
        same(c.ask().status, 200)
    text = os.read(w.read, 1 << 20)
    while True:
        try:
            text += os.read(w.read, 1 << 20)
        except BlockingIOError:
            break
    w.reload(simple(up))
    text += os.read(w.read, 1 << 20)
    rows = [json.loads(line) for line in text.split(b"\n")[:-1]]
    assert any(r.get("dropped", 0) > 0 for r in rows), rows[-2:]
    w.process.send_signal(signal.SIGTERM)
    same(w.process.wait(30), 0)


def test_reloads_are_in_the_metrics(env):
    good = simple(env.upstream())
    w = env.weir(good)
    same((w.metric("weir_config_reloads_total", result="ok"), w.metric("weir_config_last_reload_ok")), (1, 1))
    w.reload("kind: [", ok=False)
    same((w.metric("weir_config_reloads_total", result="failed"), w.metric("weir_config_last_reload_ok")), (1, 0))
    w.reload(good)
    same((w.metric("weir_config_reloads_total", result="ok"), w.metric("weir_config_last_reload_ok")), (2, 1))
