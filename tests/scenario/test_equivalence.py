"""One configuration, many ways to it: whatever ran before a reload, and however the documents are written, the gateway is the same.

Random documents (random_site.py) and edits; the judge is another process that has never seen anything else. A failure prints its seed:
EQUIVALENCE_SEEDS=seed,seed runs only those, EQUIVALENCE_RUNS=N runs N more than the fixed ones."""
import json
import os
import random
import signal
import socket

from peers import reply
from random_probes import Prober, listening, places, questions
from random_site import Site
from random_yaml import shuffled, with_variables, write_files
from test_endpoints import Names
from weirlib import gateway, listener, policy, same, simple, until

STEPS = 3  # reloads of one chain


def seeds(fixed):
    if os.environ.get("EQUIVALENCE_SEEDS"):
        return [int(s) for s in os.environ["EQUIVALENCE_SEEDS"].split(",")]
    return list(fixed) + [random.randrange(1 << 30) for _ in range(int(os.environ.get("EQUIVALENCE_RUNS", "0")))]


class Ground:
    """What all sites of a test stand on: certificates, upstreams, two loopback networks of this process, ports that are free there."""

    def __init__(self, env):
        self.env, self.ca = env, env.ca()
        self.pairs = [self.ca.issue("a.test"), self.ca.issue("b.test"), self.ca.issue("*.test", cn="wild"), self.ca.issue("up.test")]
        self.places = places(env, self.pairs)
        self.variables = Names(env).variables
        self.networks = ["127.%d.%d" % (64 + half * 64 + (os.getpid() >> 8) % 64, os.getpid() % 256) for half in (0, 1)]
        self.ports = []
        for _ in range(2):
            with socket.create_server(("%s.1" % self.networks[0], 0)) as s:
                self.ports.append(s.getsockname()[1])

    def weir(self, documents, **more):
        return self.env.weir(documents, variables=self.variables, **more)

    def site(self, rnd):
        return Site(rnd, self.places, self.pairs[:3], self.ca, self.ports)


def state(w, network):
    """What a process says of itself, as it would on no network in particular."""
    config = json.loads(w.get("/config")[2].replace('"%s.' % network, '"@'))
    del config["hash"]  # of the addresses too
    s = w.status()
    listeners = [(row["name"], row["address"].replace(network, "@").rsplit(":", 1)[0]) for row in s["listeners"]]
    services = [(row["name"], row.get("error"), [(e["address"], e["weight"], e["state"]) for e in row["endpoints"]]) for row in s["services"]]
    return {"config": config, "rules": s["rules"], "listeners": listeners, "services": services, "stale": s["stale"], "workers": s["workers"]}


def check_sockets(w, network):
    """Each listener has its own sockets, one a worker, and there are no others."""
    rows = w.status()
    got = listening(w.process.pid, "%s:%d" % w.status_address)
    same(got, sorted((row["address"], rows["workers"]) for row in rows["listeners"]), "listening sockets")


def check_same(a, b, what):
    for key in a:
        if a[key] != b[key]:
            same(json.dumps(a[key], indent=1), json.dumps(b[key], indent=1), "%s: %s" % (what, key))


def spoil(rnd, objects):
    """Documents of which something is bad; some would change a lot if a part of them were taken."""
    bad = json.loads(json.dumps(objects))
    o = rnd.choice(bad)
    how = rnd.choice(["kind", "field", "reference", "double", "address", "certificate"])
    if how == "kind":
        o["kind"] = "Gatway"
    elif how == "field":
        o["spec"]["unknown"] = 1
    elif how == "reference":
        bad.append({"apiVersion": "weir/v1", "kind": "Policy", "metadata": {"name": "bad"}, "spec": {"target": {"service": "nobody"}, "timeout": {"connect": "1s"}}})
    elif how == "double":
        bad.append(o)
    elif how == "address":
        gate = next(x for x in bad if x["kind"] == "Gateway")
        gate["spec"]["listeners"].append({"name": "bad", "address": "192.0.2.1:0"})
    else:
        bad.append({"apiVersion": "weir/v1", "kind": "Secret", "metadata": {"name": "bad"}, "spec": {"tls": {"certificate": "-----BEGIN CERTIFICATE-----\n", "key": "x"}}})
    return bad


def quick(objects):
    """The documents as text: JSON is YAML too, and faster to write."""
    return "\n---\n".join(json.dumps(o) for o in objects)


def free_ports(w, site):
    """{listener: address} of those that ask for port 0."""
    real = {row["name"]: row["address"] for row in w.status()["listeners"]}
    names = ["%s/%s" % (g, n) for g, spec in site["Gateway"].items() for n, row in spec["listeners"].items() if row["address"].endswith(":0")]
    return {n: real[n] for n in names}


class Living:
    """The process that has seen everything: weir up, or weir proxy with a snapshot that is compiled anew for each reload."""

    def __init__(self, ground, objects, proxied):
        self.env, self.snapshot = ground.env, proxied and ground.env.path("living.snapshot")
        if proxied:
            self.file = self.env.write("living.yaml", quick(objects))
            self.compile()
        self.w = ground.weir(None, command="proxy", paths=["--snapshot", self.snapshot]) if proxied else ground.weir(quick(objects))

    def compile(self):
        return self.env.run("compile", "-o", self.snapshot, self.file)[0] == 0

    def reload(self, objects, ok=True):
        if not self.snapshot:
            self.w.reload(quick(objects), ok=ok)
            return
        self.env.write("living.yaml", quick(objects))
        if not self.compile():  # as if only a part had been copied
            with open(self.snapshot, "r+b") as f:
                f.truncate(os.path.getsize(self.snapshot) // 2)
        self.w.reload(ok=ok)


def chain(ground, seed, steps):
    rnd = random.Random(seed)
    site = ground.site(rnd)
    living = Living(ground, site.objects(ground.networks[0]), proxied=seed % 3 == 0)
    old, network = living.w, ground.networks[0]
    asker = Prober(old, ground.pairs[0])
    for step in range(steps):
        what = "seed %d, step %d" % (seed, step)
        site_before = site.good()
        asker.answers(questions(rnd, site_before))  # so that there is something to remember
        for _ in range(rnd.randint(1, 6)):
            site.edit()
        objects = site.objects(network)
        rnd.shuffle(objects)
        if rnd.random() < 0.5:
            before = state(old, network)
            living.reload(spoil(rnd, objects), ok=False)
            check_same(dict(state(old, network), stale=False), before, what + ", after bad documents")
            check_sockets(old, network)
        before = free_ports(old, site_before)
        living.reload(objects)
        after = free_ports(old, site.good())
        same({n: a for n, a in before.items() if n in after}, {n: a for n, a in after.items() if n in before}, what + ": who stays keeps the port that was found")
        new = ground.weir(quick(site.objects(ground.networks[1])))
        check_same(state(old, network), state(new, ground.networks[1]), what)
        check_sockets(old, network)
        asked = questions(rnd, site.good())
        other = Prober(new, ground.pairs[0])
        for got, want in zip(asker.answers(asked), other.answers(asked)):
            same(got, want, what)
        other.close()
        new.stop()
    asker.close()
    old.stop()


def test_a_reload_is_a_fresh_start(env):
    ground = Ground(env)
    for seed in seeds([1]):
        chain(ground, seed, STEPS)


def test_a_reload_of_a_snapshot_is_a_fresh_start(env):
    chain(Ground(env), 3, STEPS)


# ---- ways of writing ----
def compiled(env, name, paths, variables=None):
    """(bytes of the snapshot, text of --print)"""
    out = env.path(name + ".snapshot")
    code, _, err = env.run("compile", "-o", out, *paths, variables=variables)
    same((code, err), (0, ""), "%s: compile %r" % (name, paths))
    with open(out, "rb") as f:
        return f.read(), env.run("compile", "--print", *paths, variables=variables)[1]


def written(env, objects, seed, times):
    rnd = random.Random(seed)
    plain = env.write("plain.yaml", objects)
    want = compiled(env, "plain", [plain])
    for i in range(times):
        name = "way-%d-%d" % (seed, i)
        variables = {}
        again = [shuffled(rnd, with_variables(rnd, o, variables)) for o in objects]
        rnd.shuffle(again)
        same(compiled(env, name, write_files(rnd, env.path(name), again), variables), want, "seed %d, way %d" % (seed, i))
    return want


def test_however_it_is_written(env):
    ground = Ground(env)
    for seed in seeds([1, 2, 3]):
        written(env, ground.site(random.Random(seed)).objects(ground.networks[0]), seed, times=3)


def test_documents_and_snapshots_run_the_same(env):
    """weir up FILE, weir up FILES, weir proxy --snapshot, and weir up --data when the documents are refused."""
    ground = Ground(env)
    for seed in seeds([11]):
        rnd = random.Random(seed)
        site = ground.site(rnd)
        objects = [site.objects(n) for n in ground.networks]
        _, printed = written(env, objects[0], seed, times=1)
        data = ("--data", env.path("data-%d" % seed))
        up = ground.weir(quick(objects[0]), args=data)
        same(up.get("/config")[2].strip(), printed.strip(), "seed %d: --print and /config" % seed)
        snapshot = env.path("other-%d.snapshot" % seed)
        same(env.run("compile", "-o", snapshot, *write_files(rnd, env.path("other-%d" % seed), objects[1]))[0], 0)
        proxy = ground.weir(None, command="proxy", paths=["--snapshot", snapshot])
        check_same(state(up, ground.networks[0]), state(proxy, ground.networks[1]), "seed %d" % seed)
        asked = questions(rnd, site.good())
        probers = Prober(up, ground.pairs[0]), Prober(proxy, ground.pairs[0])
        for got, want in zip(probers[0].answers(asked), probers[1].answers(asked)):
            same(got, want, "seed %d" % seed)
        for p in probers:
            p.close()
        up.stop()
        again = ground.weir(quick(spoil(rnd, objects[0])), args=data)
        check_same(dict(state(again, ground.networks[0]), stale=False), state(proxy, ground.networks[1]), "seed %d, the last good" % seed)
        again.stop()
        proxy.stop()


# ---- documents that may be bad ----
ODD = [None, True, False, 0, 1, -1, 99999999999999999999, 1.5, "", "x", "*", "127.0.0.1:0", "1s", "0", "50%", "/", "/a/{b}", "${NOBODY}", "é", [], {}, ["x"], [[]], {"x": 1}, {"name": "x"}]


def places_in(node, path=()):
    yield path
    for k, v in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from places_in(v, path + (k,))


def bent(rnd, objects):
    """Something in the documents is gone, is something else, or is there twice."""
    out = json.loads(json.dumps(objects))
    for _ in range(rnd.choice([1, 1, 1, 2])):
        at = rnd.choice([p for p in places_in(out) if p])
        parent = out
        for k in at[:-1]:
            parent = parent[k]
        how = rnd.choice(["delete", "odd", "odd", "other", "more"])
        if how == "delete":
            del parent[at[-1]]
        elif how == "odd":
            parent[at[-1]] = rnd.choice(ODD)
        elif how == "more" and isinstance(parent, list):
            parent.insert(at[-1], json.loads(json.dumps(parent[at[-1]])))
        else:  # a value from another place of that kind
            same_name = [p for p in places_in(out) if p and p[-1] == at[-1]]
            other = out
            for k in rnd.choice(same_name):
                other = other[k]
            parent[at[-1]] = json.loads(json.dumps(other))
    return out


def test_check_compile_and_reload_agree(env):
    """What weir check takes runs as --print says, but for its addresses; what it refuses changes nothing, for the same reasons."""
    ground = Ground(env)
    for seed in seeds([21]):
        rnd = random.Random(seed)
        objects = ground.site(rnd).objects(ground.networks[0])
        w = ground.weir(quick(objects))
        for i in range(12):
            w.write(quick(bent(rnd, objects)))
            what = "seed %d, bent %d" % (seed, i)
            code, _, errors = env.run("check", w.file)
            again, printed, told = env.run("compile", "--print", w.file)
            before = w.get("/config")[2]
            same((again, told if code else ""), (code, errors if code else ""), what)
            counts = w.status()["lastReload"]
            w.process.send_signal(signal.SIGHUP)
            now = until(lambda: ended(counts, w.status()["lastReload"]), what)
            if now["ok"]:
                same((code, w.get("/config")[2].strip()), (0, printed.strip()), what)
            else:
                same(w.get("/config")[2], before, what)
                assert code or "cannot listen" in now["error"], (what, now)
                told = now["error"].split("\n")[:-1 if len(now["error"]) > 900 else None]  # a long text is cut
                same("cannot listen" in now["error"] or set(told) <= set(errors.replace("\\x0a", "\n").split("\n")), True, (what, now, errors))
            check_sockets(w, ground.networks[0])
        w.stop()


def ended(before, now):
    return now["succeeded"] + now["failed"] > before["succeeded"] + before["failed"] and now


# ---- what must not be left over ----
def test_an_unhealthy_endpoint_that_went_comes_back_without_a_past(env):
    """It goes in the same reload that changes the checks, and comes back when nobody checks any more."""
    sick, well = env.upstream(lambda x: reply(500)), env.upstream()
    checks = [policy("p", {"service": "shop"}, health={"active": {"interval": i, "unhealthy": 1}}) for i in ("1h", "2h")]
    w = env.weir(simple(sick, well, more=checks[:1]))

    def states():
        return [e["state"] for e in w.endpoints()]

    until(lambda: states() == ["unhealthy", "healthy"], states)
    w.reload(simple(well, more=checks[1:]))
    w.reload(simple(sick, well))
    same(states(), ["healthy", "healthy"])


def test_two_listeners_never_share_an_address(env):
    """The kernel would spread the connections over both."""
    up = env.upstream()
    w = env.weir(simple(up))
    taken = "127.0.0.1:%d" % w.addr()[1]
    w.reload(simple(up, gw=gateway(listener(), listener("other", address=taken))), ok=False)
    assert "listener 'edge/web' does" in w.status()["lastReload"]["error"], w.status()["lastReload"]
    same(env.client(w.addr()).ask().status, 200)
    w.reload(simple(up, gw=gateway(listener("other", address=taken))))  # the other one goes: the address is free
    same(env.client(w.addr("other")).ask().status, 200)
    if not IPV6:
        return
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as s:
        port = s.getsockname()[1]
    twice = gateway(listener(address="[::1]:%d" % port), listener("other", address="[0:0::1]:%d" % port))
    w.reload(simple(up, gw=twice), ok=False)
    assert "does" in w.status()["lastReload"]["error"], w.status()["lastReload"]


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        return True
    except OSError:
        return False


IPV6 = has_ipv6()
