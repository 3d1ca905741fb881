"""Random policies and header edits against a second reading of the reference (docs/reference/policies.md and kinds.md): which policy's field
wins for a listener, route and service, as `weir explain` tells it and as requests show it; what edits make of fields; shares by weight.
The judge shares nothing with the gateway. A failure prints its seed: ORACLE_SEEDS=seed,seed runs only those, ORACLE_RUNS=N runs N more."""
import json
import os
import random

from peers import reply
from weirlib import gateway, listener, obj, policy, route, rule, same, service, simple, split

GATES = [("east", "l0"), ("east", "l1"), ("west", "l0")]
RAW = [{"service": "bytes"}, {"gateway": "west", "listener": "raw"}, {"route": "raw"}]  # where there are no requests
SERVICES = ["red", "blue", "r"]
ROUTES = ["main", "more", "m"]
NAMES = ["x-one", "X-One", "x-two", "X-TWO", "x-three", "accept"]
RANKS = ["mesh", "service", "gateway", "listener", "route"]  # the more specific one wins


def seeds(fixed):
    if os.environ.get("ORACLE_SEEDS"):
        return [int(s) for s in os.environ["ORACLE_SEEDS"].split(",")]
    return list(fixed) + [random.randrange(1 << 30) for _ in range(int(os.environ.get("ORACLE_RUNS", "0")))]


# ---- documents ----
def some(rnd, share, **fields):
    return {k: fn() for k, fn in fields.items() if rnd.random() < share}


def one_of_each(rnd, names):
    """Some names, no two of which are the same field."""
    out = {}
    for n in rnd.sample(names, rnd.randint(1, 3)):
        out.setdefault(n.lower(), n)
    return list(out.values())


def edits(rnd):
    return some(rnd, 0.5, set=lambda: {n: rnd.choice(["s1", "s2", "s 3"]) for n in one_of_each(rnd, NAMES)},
                add=lambda: {n: rnd.choice(["a1", "a2", "a, 3"]) for n in one_of_each(rnd, NAMES)}, remove=lambda: one_of_each(rnd, NAMES))


def both_ways(rnd):
    return some(rnd, 0.7, request=lambda: edits(rnd), response=lambda: edits(rnd))


ANYWHERE = {
    "headers": both_ways,
    "timeout": lambda rnd: some(rnd, 0.5, request=lambda: rnd.choice(["0", "40s"]), connect=lambda: rnd.choice(["3s", "4s"]), idle=lambda: rnd.choice(["0", "2m"])),
    "retry": lambda rnd: some(rnd, 0.5, attempts=lambda: rnd.randint(0, 3), on=lambda: rnd.choice([["503"], ["reset"], ["5xx", "timeout"]]), backoffBase=lambda: "0", budgetMin=lambda: 4),
    "fault": lambda rnd: dict({"when": {"header": "x-fault"}}, **some(rnd, 0.6, abort=lambda: some(rnd, 0.7, status=lambda: rnd.choice([418, 451]), percentage=lambda: "100%"))),
    "rateLimit": lambda rnd: dict({"requests": rnd.choice([9000, 9001])}, **some(rnd, 0.5, window=lambda: rnd.choice(["1h", "2h"]), dryRun=lambda: True, key=lambda: {"by": rnd.choice(["all", "route"])})),
}
EARLY = {"limits": lambda rnd: some(rnd, 0.5, body=lambda: rnd.choice([0, 5, 15]), head=lambda: "2KiB", headers=lambda: rnd.choice([8, 64])),
         "trust": lambda rnd: {"proxies": rnd.choice([[], ["127.0.0.0/8"]])}}
WHOLE = {"balance": lambda rnd: {"algorithm": rnd.choice(["round-robin", "least-request"])},
         "breaker": lambda rnd: some(rnd, 0.5, maxConnections=lambda: 50, maxPending=lambda: 60, maxRequests=lambda: 70),
         "health": lambda rnd: some(rnd, 0.5, panic=lambda: "10%", passive=lambda: some(rnd, 0.5, consecutive=lambda: 0, ejection=lambda: "1m"))}


def a_target(rnd):
    g, l = rnd.choice(GATES)
    return rnd.choice([{"mesh": "default"}, {"service": rnd.choice(SERVICES)}, {"gateway": g}, {"gateway": g, "listener": l}, {"route": rnd.choice(ROUTES)}, rnd.choice(RAW)])


def rank(target):
    return "listener" if "listener" in target else next(iter(target))


def policies(rnd):
    out = []
    for i in rnd.sample(range(10, 30), rnd.randint(1, 12)):
        target = a_target(rnd)
        can = dict(ANYWHERE)
        if rank(target) in ("mesh", "gateway", "listener"):
            can.update(EARLY)
        if rank(target) in ("mesh", "service"):
            can.update(WHOLE)
        if target in RAW:
            can = {name: fn for name, fn in can.items() if name in ("timeout", "retry", "balance", "breaker", "health")}
        spec = {"target": target}
        if rnd.random() < 0.4:
            spec["priority"] = rnd.randint(-1, 1)
        for name in rnd.sample(sorted(can), min(len(can), rnd.randint(1, 4))):
            spec[name] = can[name](rnd)
        out.append(obj("Policy", "p%d" % i, spec))
    return out


def site(rnd, up):
    routes = []
    for r in ROUTES:
        rules = [dict(rule(s, path={"prefix": "/%s/%s" % (r, s)}), **some(rnd, 0.5, headers=lambda: both_ways(rnd))) for s in SERVICES]
        rules.append(dict(rule(path={"exact": "/%s/reply" % r}, reply={"status": 202}), **some(rnd, 0.5, headers=lambda: both_ways(rnd))))
        routes.append(route(r, *rules, attach=[{"gateway": "east"}, {"gateway": "west"}]))
    return [gateway(listener("l0"), listener("l1"), name="east", accessLog={"mode": "off"}), gateway(listener("l0"), listener("raw", protocol="tcp"), name="west", accessLog={"mode": "off"}),
            *[service(s, up) for s in SERVICES], service("bytes", up, protocol="tcp"), *routes, route("raw", rule("bytes"), attach=[{"gateway": "west", "listener": "raw"}])]


# ---- the judge ----
def falls_under(target, gate, route_name, service_name):
    return {"mesh": True, "service": target.get("service") == service_name, "gateway": target.get("gateway") == gate[0],
            "listener": (target.get("gateway"), target.get("listener")) == gate, "route": target.get("route") == route_name}[rank(target)]


def lay(under, top, origin, path=""):
    """Field by field: {path: (value, policy)}; maps are looked into, the name of a header is the same whatever its case."""
    for k, v in top.items():
        at = path + "." + k if path else k
        if isinstance(v, dict):
            lay(under, v, origin, at)
            continue
        for old in [o for o in under if o.lower() == at.lower()]:
            del under[old]
        under[at] = (v, origin)
    return under


def effective(rows, gate, route_name, service_name):
    mine = [p for p in rows if falls_under(p["spec"]["target"], gate, route_name, service_name)]
    mine.sort(key=lambda p: (RANKS.index(rank(p["spec"]["target"])), p["spec"].get("priority", 0), p["metadata"]["name"]))
    out = {}
    for p in mine:
        lay(out, {k: v for k, v in p["spec"].items() if k not in ("target", "priority")}, "Policy/" + p["metadata"]["name"])
    given = {k for p in mine for k in p["spec"]} | {"fault.abort" for p in mine if "abort" in p["spec"].get("fault", {})}
    return out, given


def value(e, path, default):
    return e[path][0] if path in e else default


def map_at(e, path):
    return [(k[len(path) + 1:], v) for k, (v, _) in e.items() if k.startswith(path + ".")]


def edit(fields, d):
    """remove, then set, then add. fields: [(name, value)] in order."""
    gone = {n.lower() for n in d.get("remove", [])} | {n.lower() for n in d.get("set", {})}
    return [(n, v) for n, v in fields if n.lower() not in gone] + list(d.get("set", {}).items()) + list(d.get("add", {}).items())


def edits_of(e, way):
    return {"set": dict(map_at(e, "headers.%s.set" % way)), "add": dict(map_at(e, "headers.%s.add" % way)), "remove": value(e, "headers.%s.remove" % way, [])}


def seen(fields):
    """{name: values in order} of the names that edits are about."""
    out = {}
    for n, v in fields:
        if n.lower() in {x.lower() for x in NAMES}:
            out.setdefault(n.lower(), []).append(v)
    return out


# ---- what is so ----
CLIENT = [("X-One", "c1"), ("x-two", "c2"), ("X-Two", "c3"), ("Accept", "c/4")]
UPSTREAM = [("x-one", "u1"), ("X-Two", "u2"), ("x-two", "u3"), ("Accept", "u4")]


class Origin:
    """The upstream: says what it got, or fails as often as it is asked; counts by the request's own tag."""

    def __init__(self, env):
        self.n, self.tries = 0, {}
        self.upstream = env.upstream(self.answer)

    def answer(self, x):
        tag = x.request.header("x-tag")
        self.tries[tag] = self.tries.get(tag, 0) + 1
        return reply(503 if x.request.target.endswith("/fail") else 200, json.dumps(x.request.headers), UPSTREAM)


class Asker:
    def __init__(self, env, w, origin):
        self.env, self.origin = env, origin
        self.addresses = {row["name"]: split(row["address"]) for row in w.status()["listeners"]}

    def ask(self, gate, target, headers=(), **more):
        self.origin.n += 1
        tag = str(self.origin.n)
        c = self.env.client(self.addresses["/".join(gate)])
        r = c.ask(target=target, headers=[*CLIENT, ("x-tag", tag), *headers], **more)
        c.close()
        return r, self.origin.tries.get(tag, 0)


def check_shown(n, e, given, what):
    """explain: every field that a policy gave, with that policy, and no other."""
    rows = {row["field"]: row for row in n}
    for path, (want, origin) in e.items():
        row = rows[path]
        text = json.dumps(want, separators=(",", ":")) if isinstance(want, (list, bool)) else str(want)
        same((row["value"], row["from"]), (text, origin), "%s: explain: %s" % (what, path))
    same([f for f, row in rows.items() if row["from"] != "default" and f not in e], [], what + ": fields that nobody gave")
    for section in ANYWHERE:
        if section in ("headers", "fault", "rateLimit"):
            same(any(f.startswith(section + ".") for f in rows), section in given, "%s: section %s" % (what, section))


def defaults():
    """{field: what it is when nobody says} from the published schema."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/reference/weir.schema.json"), encoding="utf-8") as f:
        defs = json.load(f)["$defs"]
    out = {}

    def look(node, path):
        for key, sub in node.get("properties", {}).items():
            at = path + "." + key if path else key
            if "default" in sub:
                out[at] = sub["default"]
            while "$ref" in sub:
                sub = defs[sub["$ref"].rsplit("/", 1)[1]]
            look(sub, at)

    look(defs["Policy"], "")
    return out


def leaves(node, path=""):
    for k, v in node.items():
        at = path + "." + k if path else k
        if isinstance(v, dict):
            yield from leaves(v, at)
        else:
            yield at, v


def plain(v):
    return json.dumps(v) if isinstance(v, list) else str(v).lower()


def check_config(w, rows, default, what):
    """/config: the merged set of every listener, service and rule; what equals the default is left out."""
    config = json.loads(w.get("/config")[2])
    sets = {p["name"]: p["sections"] for p in config["policies"]}
    uses = [((row["name"].split("/"), None, None), row.get("policy")) for row in config["listeners"]]
    uses += [(((None, None), None, row["name"]), row.get("policy")) for row in config["clusters"]]
    for row in config["rules"]:
        for b in row["action"].get("to", [{"service": None, "policy": row["action"].get("policy")}]):
            uses.append(((row["listener"].split("/"), row["route"], b["service"]), b.get("policy")))
    for (gate, route_name, service_name), name in uses:
        e, _ = effective(rows, tuple(gate), route_name, service_name)
        got, at = dict(leaves(sets[name] if name else {})), "%s: /config: %r" % (what, (gate, route_name, service_name))
        for path, (want, _) in e.items():
            zero = default.get(path, "0" if isinstance(want, (int, str)) and not isinstance(want, bool) else [] if isinstance(want, list) else False)
            same(plain(got.get(path, zero)), plain(want), at + " " + path)
        same([p for p in got if p not in e], [], at + ": fields that nobody gave")


def check_response(r, e, own, ran, upstream, what):
    fields = edit(upstream, edits_of(e, "response") if ran else {})
    same(seen(r.headers), seen(edit(fields, own.get("response", {}))), what + ": response headers")
    limit = r.header("ratelimit-policy")
    want = "\"default\";q=%d;w=%d" % (value(e, "rateLimit.requests", 0), {"1h": 3600, "2h": 7200}.get(value(e, "rateLimit.window", ""), 1)) if "rateLimit.requests" in e else None
    return limit, want


def check_requests(a, rows, gate, route_name, rule_spec, service_name, what):
    e, given = effective(rows, gate, route_name, service_name)
    own = rule_spec.get("headers", {}) if rule_spec else {}
    path = "/%s/%s" % (route_name, service_name or "reply") if route_name else "/nowhere"
    upstream = UPSTREAM if service_name else []
    status = 200 if service_name else 202 if route_name else 404
    r, tries = a.ask(gate, path)
    limit, want = check_response(r, e, own, True, upstream, what)
    same((r.status, tries, limit), (status, int(bool(service_name)), want), what)
    if service_name:
        same(seen(json.loads(r.body)), seen(edit(edit(CLIENT, edits_of(e, "request")), own.get("request", {}))), what + ": request headers")
    # the sections that end a request
    r, tries = a.ask(gate, path, [("x-fault", "1")])
    aborted = "fault.abort" in given
    same((r.status, tries), (value(e, "fault.abort.status", 503) if aborted else status, int(bool(service_name) and not aborted)), what + ": fault")
    check_response(r, e, own, not aborted, [] if aborted else upstream, what + ": fault")
    limit = value(e, "limits.body", 0)
    if route_name:
        r, _ = a.ask(gate, path, method="POST", body=b"x" * 10)
        same(r.status, 413 if 0 < limit < 10 else status, what + ": limits.body")
    if service_name:
        r, tries = a.ask(gate, path + "/fail")
        again = {"503", "5xx", "gateway-error"} & set(value(e, "retry.on", ["gateway-error"]))
        same((r.status, tries), (503, 1 + (value(e, "retry.attempts", 0) if again else 0)), what + ": retry")
        trusted = bool(value(e, "trust.proxies", []))
        got = json.loads(a.ask(gate, path, [("X-Forwarded-For", "192.0.2.9")])[0].body)
        same([v for k, v in got if k.lower() == "x-forwarded-for"], ["192.0.2.9, 127.0.0.1" if trusted else "127.0.0.1"], what + ": trust")


def one(env, origin, w, seed, explains):
    rnd = random.Random(seed)
    rows = policies(rnd)
    objects = site(rnd, origin.upstream) + rows
    rnd.shuffle(objects)
    if w is None:
        w = env.weir(objects)
    else:
        w.reload(objects)
    check_config(w, rows, defaults(), "seed %d" % seed)
    routes = {o["metadata"]["name"]: o["spec"]["rules"] for o in objects if o["kind"] == "Route"}
    a = Asker(env, w, origin)
    for i in range(8):
        gate, route_name, at = rnd.choice(GATES), rnd.choice([None, *ROUTES, *ROUTES]), rnd.randrange(4)
        service_name = [*SERVICES, None][at] if route_name else None
        what = "seed %d, %s/%s, route %s, service %s" % (seed, *gate, route_name, service_name)
        check_requests(a, rows, gate, route_name, routes[route_name][at] if route_name else None, service_name, what)
        if i < explains and route_name:
            code, out, err = env.run("explain", "-o", "json", "-l", "/".join(gate), "-r", "GET http://x/%s/%s" % (route_name, service_name or "reply"), w.file)
            same(code, 0, what + err)
            n = json.loads(out)
            check_shown(n["to"][0]["policy"] if service_name else n["policy"], *effective(rows, gate, route_name, service_name), what)
    return w


def test_random_policies(env):
    origin, w = Origin(env), None
    for seed in seeds(range(1, 6)):
        w = one(env, origin, w, seed, explains=3)


# ---- shares ----
def test_weights_of_endpoints_are_exact(env):
    """One worker in turn: in as many requests as the weights make together each endpoint has its weight, wherever the count begins."""
    ups = [env.upstream(name="u%d" % i) for i in range(5)]
    w = None
    for seed in seeds(range(1, 9)):
        rnd = random.Random(seed)
        weights = [rnd.randint(1, 7) for _ in rnd.sample(ups, rnd.randint(2, 5))]
        chosen = [{"address": u.address, "weight": n} for u, n in zip(ups, weights)]
        objects = simple(*chosen, gw=gateway(accessLog={"mode": "off"}))
        if w is None:
            w = env.weir(objects, workers=1)
        else:
            w.reload(objects)
        c = env.client(w.addr())
        got = [c.ask().body.decode() for _ in range(2 * sum(weights) + rnd.randint(0, 5))]
        c.close()
        for at in range(len(got) - sum(weights) + 1):
            part = got[at:at + sum(weights)]
            same([part.count(u.name) for u in ups[:len(weights)]], weights, "seed %d, from %d: %r" % (seed, at, got))


def chi_square(counts, shares):
    total = sum(counts)
    return sum((n - total * s) ** 2 / (total * s) for n, s in zip(counts, shares) if s)


def test_weights_of_services(env):
    """Drawn for each request. The bound is passed by chance once in more than 10 million runs."""
    w = None
    for seed in seeds(range(1, 4)):
        rnd = random.Random(seed)
        names = ["s%d" % i for i in range(rnd.randint(2, 4))]
        weights = [rnd.choice([0, 1, 2, 5, 30]) for _ in names]
        weights[rnd.randrange(len(names))] = 10
        rules = [rule(*zip(names, weights))]
        objects = [gateway(accessLog={"mode": "off"}), *[service(n) for n in names], route("r", *rules),
                   *[policy(n, {"service": n}, fault={"abort": {"status": 450 + i}}) for i, n in enumerate(names)]]
        if w is None:
            w = env.weir(objects)
        else:
            w.reload(objects)
        c = env.client(w.addr())
        got = [c.ask().status - 450 for _ in range(600)]
        c.close()
        counts = [got.count(i) for i in range(len(names))]
        shares = [n / sum(weights) for n in weights]
        same([n for n, s in zip(counts, shares) if not s], [0] * shares.count(0), "seed %d: weight 0" % seed)
        assert sum(counts) == len(got) and chi_square(counts, shares) < 36, "seed %d: %r for weights %r" % (seed, counts, weights)
