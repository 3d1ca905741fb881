"""weir up --data DIR: a start whose documents are refused goes on with the last good configuration. And the service manager's socket."""
import os
import shutil
import signal
import socket
import stat

from weirlib import gateway, route, rule, same, service, simple, until

BAD = "kind: Gatewy\n"


def up(env, documents, folder="state", **more):
    return env.weir(documents, args=["--data", env.path(folder)], **more)


def snapshot(env, folder="state"):
    return env.path(folder + "/last-good.snapshot")


def test_bad_documents_at_start(env):
    """The configuration that ran before runs again, loudly, until SIGHUP finds good documents."""
    a, b = env.upstream(name="a"), env.upstream(name="b")
    w = up(env, simple(a))
    same((w.status()["stale"], w.status()["lastGood"]), (False, "saved"))
    w.stop()
    w = up(env, BAD)
    same(env.client(w.addr()).ask().body, b"a", "the last good configuration")
    status = w.status()
    same((status["stale"], status["lastReload"]["ok"]), (True, False))
    assert "Gatewy" in status["lastReload"]["error"], status["lastReload"]
    assert any("STALE" in row["msg"] for row in w.log()) and "Gatewy" in w.stderr(), w.stderr()
    w.reload(BAD, ok=False)
    same(w.status()["stale"], True)
    w.reload(simple(b))
    same((env.client(w.addr()).ask().body, w.status()["stale"]), (b"b", False))
    w.stop()
    os.remove(w.file)  # not readable at all
    w = up(env, None)
    same(env.client(w.addr()).ask().body, b"b", "what was reloaded last")


def test_refused_reload_is_not_kept(env):
    a, b = env.upstream(name="a"), env.upstream(name="b")
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen(1)
    w = up(env, simple(a))
    w.reload([gateway(), gateway({"name": "x", "protocol": "http", "address": "127.0.0.1:%d" % taken.getsockname()[1]}, name="more"),
              service("shop", b), route("shop", rule("shop"))], ok=False)
    same(w.status()["stale"], True, "what runs is not what the documents say")
    w.stop()
    w = up(env, BAD)
    same(env.client(w.addr()).ask().body, b"a")
    taken.close()


def test_private_and_locked(env):
    """The folder and the copy, which holds keys, are for their owner; a second process is refused."""
    w = up(env, simple(env.upstream()))
    same(stat.S_IMODE(os.stat(env.path("state")).st_mode), 0o700)
    same(stat.S_IMODE(os.stat(snapshot(env)).st_mode), 0o600)
    code, _, err = env.run("up", w.file, "--status", "off", "--data", env.path("state"))
    same(code, 1)
    assert "another weir" in err, err
    same(sorted(os.listdir(env.path("state"))), ["last-good.snapshot", "lock"])
    w.stop()


def test_folder_that_cannot_be_used(env):
    f = env.write("weir.yaml", simple("127.0.0.1:9"))
    env.write("file", "")
    os.mkdir(env.path("open"))
    os.chmod(env.path("open"), 0o777)
    for folder, words in (("file/x", "Not a directory"), ("file", "Not a directory"), ("none/x", "No such file"), ("open", "others may write")):
        code, _, err = env.run("up", f, "--status", "off", "--data", env.path(folder))
        same(code, 1, err)
        assert words in err and "--data" in err, err


def test_damaged_copy(env):
    """Cut short, changed, empty, gone: never run, always said."""
    w = up(env, simple(env.upstream()))
    w.stop()
    with open(snapshot(env), "rb") as f:
        good = f.read()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    bad = env.write("bad.yaml", BAD)
    for name, data in (("cut", good[:-7]), ("flipped", flipped), ("empty", b""), ("gone", None)):
        os.remove(snapshot(env))
        if data is not None:
            with open(snapshot(env), "wb") as f:
                f.write(data)
        code, _, err = env.run("up", bad, "--status", "off", "--data", env.path("state"))
        same(code, 1, name)
        assert "last-good.snapshot" in err and "Gatewy" in err, "%s:\n%s" % (name, err)
        if data is None:
            env.write("state/last-good.snapshot", "")
    w = up(env, w.env and simple(env.upstream(name="again")))  # good documents need no copy, and mend it
    same(w.status()["lastGood"], "saved")


def test_what_a_killed_process_left_is_removed(env):
    """A process that is killed while it saves leaves a part of a copy, with keys in it: the next one removes it, and nothing else."""
    up(env, simple(env.upstream())).stop()
    kept = ["last-good.snapshot", "last-good.snapshot.new", "last-good.snapshot.x.new", "lock", "other.12.new"]
    for name in kept[1:3] + kept[4:] + ["last-good.snapshot.1.new", "last-good.snapshot.4194304.new"]:
        env.write("state/" + name, "part")
    up(env, simple(env.upstream()))
    same(sorted(os.listdir(env.path("state"))), kept)


def test_copy_that_cannot_be_written(env):
    """Traffic goes on with the new configuration; the log and /status say that it was not saved."""
    a, b = env.upstream(name="a"), env.upstream(name="b")
    w = up(env, simple(a))
    os.remove(snapshot(env))
    os.mkdir(snapshot(env))
    w.reload(simple(b))
    same(env.client(w.addr()).ask().body, b"b")
    until(lambda: w.status()["lastGood"] == "not saved", "the status to say so")
    assert any("not saved" in row["msg"] for row in w.log()), w.stderr()
    same(sorted(os.listdir(env.path("state"))), ["last-good.snapshot", "lock"], "no half-written file stays")
    shutil.rmtree(snapshot(env))
    w.reload()
    same(w.status()["lastGood"], "saved")


def test_without_data_nothing_is_written(env):
    w = env.weir(simple(env.upstream()))
    before = sorted(os.listdir(env.folder))
    w.reload()
    assert "lastGood" not in w.status(), w.status()
    w.stop()
    same(sorted(os.listdir(env.folder)), before)


def test_service_manager(env):
    """sd_notify: READY, RELOADING with the time and READY again, STOPPING; by path and by abstract name."""
    for address in (env.path("notify"), "@weir-test-%d" % os.getpid()):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind("\0" + address[1:] if address[0] == "@" else address)
        s.settimeout(15)
        w = env.weir(simple(env.upstream()), variables={"NOTIFY_SOCKET": address})
        assert b"READY=1\n" in s.recv(4096)
        w.process.send_signal(signal.SIGHUP)
        got = s.recv(4096)
        assert b"RELOADING=1\n" in got and b"MONOTONIC_USEC=" in got, got
        assert b"READY=1\n" in s.recv(4096)
        w.reload(BAD, ok=False)
        assert b"RELOADING=1\n" in s.recv(4096)
        got = s.recv(4096)
        assert b"READY=1\n" in got and b"refused" in got, got
        w.process.send_signal(signal.SIGTERM)
        assert b"STOPPING=1\n" in s.recv(4096)
        w.process.wait(15)
        w.stopped = True
        s.close()
    code, _, _ = env.run("up", env.write("bad.yaml", BAD), "--status", "off", variables={"NOTIFY_SOCKET": "/" + "x" * 300})
    same(code, 1)
