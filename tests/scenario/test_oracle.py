"""Random documents against a second reading of the reference: several gateways and listeners, hosts, every kind of path, what a rule then does.
The judge below shares nothing with the gateway and nothing with test_precedence.py. A failure prints its seed: ORACLE_SEEDS=seed,seed runs only
those, ORACLE_RUNS=N runs N more than the fixed ones."""
import json
import os
import random
import re

from peers import reply
from weirlib import gateway, listener, obj, route, rule, same, service, split

NAMES = ["shop", "a.shop", "b.a.shop", "other", "x.y.shop"]
HOSTS = ["%s.test" % n for n in NAMES] + ["*.test", "*.shop.test", "*.a.shop.test", "*.y.shop.test"]
PIECES = ["a", "b", "ab", "a.b", "a%2Fb", "c~", "%C3%A9", ""]
SERVICES = ["red", "green", "blue"]
HEADERS = ["x-one", "x-two", "x-three"]
VALUES = ["1", "10", "a", "", "a, 1"]


# ---- documents ----
def words(rnd, low, high, empty=False):
    return [rnd.choice(PIECES if empty else PIECES[:-1]) for _ in range(rnd.randint(low, high))]


def a_path(rnd):
    return "/" + "/".join(words(rnd, 0, 3, rnd.random() < 0.1))


def a_template(rnd):
    parts = ["{p%d}" % i if rnd.random() < 0.45 else w for i, w in enumerate(words(rnd, 1, 3))]
    return "/" + "/".join(parts + (["{all...}"] if rnd.random() < 0.35 else []))


def a_regex(rnd):
    return rnd.choice(["/a|/b", "/[ab]+", "/a/.*", "/(a|ab)(/.*)?", "/.*", "/a[.]b", "(?i)/AB", "/[^/]+/b", "/a%2Fb.*", "/.*/"])


def a_test(rnd, name):
    t = {"name": name}
    t.update(rnd.choice([{"exact": rnd.choice(VALUES)}, {"prefix": rnd.choice(VALUES)}, {"regex": rnd.choice(["[0-9]+", "a|1", ".*", "a,.*"])},
                         {"present": True}, {"present": False}]))
    if rnd.random() < 0.2:
        t["invert"] = True
    return t


def a_match(rnd, kind):
    m = {}
    if kind == "template":
        m["path"] = {"template": a_template(rnd)}
    elif kind == "regex":
        m["path"] = {"regex": a_regex(rnd)}
    elif kind == "exact":
        m["path"] = {"exact": a_path(rnd)}
    elif kind == "prefix":
        path = a_path(rnd)
        m["path"] = {"prefix": path + ("/" if rnd.random() < 0.25 and not path.endswith("/") else "")}
    if rnd.random() < 0.25:
        m["method"] = rnd.choice(["GET", "PUT", "PURGE"])
    for field, names in (("headers", HEADERS), ("query", ["q", "r s", "t"])):
        if rnd.random() < 0.3:
            m[field] = [a_test(rnd, rnd.choice([n, n.upper()]) if field == "headers" else n) for n in rnd.sample(names, rnd.randint(1, 3))]
    return m


def captures_of(template):
    return re.findall(r"\{([a-z0-9]+)(?:\.\.\.)?\}", template)


def an_action(rnd, matches):
    """What to do that these matches allow: a prefix to replace, captures to use."""
    kinds = {next(iter(m.get("path", {"prefix": "/"}))) for m in matches}
    new = {}
    if kinds <= {"prefix"} and rnd.random() < 0.6:
        new["prefixPath"] = rnd.choice(["/", "/n", "/n/", "/n/m%20k", "/n//"])
    elif rnd.random() < 0.5:
        known = set.intersection(*[set(captures_of(m["path"]["template"])) for m in matches]) if kinds == {"template"} else set()
        new["path"] = "/new" + "".join("/" + rnd.choice(["{%s}", "x{%s}y"]) % c for c in sorted(known)) + rnd.choice(["", "/"])
    if rnd.random() < 0.5:
        new["host"] = rnd.choice(["inner.test", "inner.other.test"])
    what = rnd.choice(["reply", "to", "to", "redirect"])
    if what == "redirect":
        if rnd.random() < 0.4:
            new["scheme"] = rnd.choice(["http", "https"])
        if rnd.random() < 0.4 or not new:
            new["port"] = rnd.choice([80, 443, 8443])
        if rnd.random() < 0.6:
            new["status"] = rnd.choice([301, 302, 303, 307, 308])
        return {"redirect": new}
    if what == "reply":
        return {"reply": {"status": rnd.choice([200, 202, 404, 503]), "body": "here"}}
    chosen = rnd.sample(SERVICES, rnd.randint(1, 3))
    to = [{"service": s, "weight": rnd.choice([0, 0, 1, 3])} for s in chosen]
    return dict({"to": to}, **({"rewrite": new} if new else {}))


def takes(patterns, host):
    """The patterns that take the host."""
    return [p for p in patterns if p == host or (p[0] == "*" and host.endswith(p[1:]) and len(host) > len(p) - 1)]


def meet(a, b):
    """Is there a host that both patterns take?"""
    if a[0] == b[0] == "*":
        return a.endswith(b[1:]) or b.endswith(a[1:])
    return bool(takes([a], b) or takes([b], a))


def identity(m, priority):
    """Two matches with the same identity take the same requests: the compiler refuses them on one host of one listener."""
    kind, text = next(iter(m.get("path", {"prefix": "/"}).items()))
    text = re.sub(r"\{[a-z0-9]+", "{", text) if kind == "template" else text.rstrip("/") if kind == "prefix" else text
    rows = []
    for field in ("headers", "query"):
        tests = []
        for t in m.get(field, []):
            how = next(k for k in t if k not in ("name", "invert"))
            flip = bool(t.get("invert")) != (t.get("present") is False)
            tests.append((t["name"].lower() if field == "headers" else t["name"], how, "" if how == "present" else t[how], flip))
        rows.append(tuple(sorted(tests)))
    return (priority, kind, text, m.get("method"), *rows)


def attaches(a, gateway, row):
    return a["gateway"] == gateway and a.get("listener", row["name"]) == row["name"]


def documents(rnd, ups):
    gateways, gates = [], []
    for name in ("east", "west")[:rnd.randint(1, 2)]:
        rows = []
        for i in range(rnd.randint(1, 2)):
            row = listener("l%d" % i)
            if rnd.random() < 0.4:
                row["hostnames"] = rnd.sample(HOSTS, rnd.randint(1, 4))
            rows.append(row)
            gates.append((name, row))
        gateways.append(obj("Gateway", name, {"listeners": rows, "accessLog": {"mode": "off"}}))
    taken, routes = set(), []
    for i in range(rnd.randint(1, 9)):
        spec = {"attach": [dict({"gateway": g["metadata"]["name"]}, **({"listener": "l0"} if rnd.random() < 0.4 else {}))
                           for g in rnd.sample(gateways, rnd.randint(1, len(gateways)))]}
        behind = [row for g, row in gates if any(attaches(a, g, row) for a in spec["attach"])]
        hosts = [h for h in HOSTS if any(meet(h, p) for row in behind for p in row.get("hostnames", [h]))]  # the others are an error
        if rnd.random() < 0.85:
            spec["hosts"] = rnd.sample(hosts, rnd.randint(1, min(4, len(hosts))))
        if rnd.random() < 0.2:
            spec["priority"] = rnd.choice([-3, 2, 7])
        spec["rules"] = []
        for _ in range(rnd.randint(1, 5)):
            kind = rnd.choice(["prefix", "template", "exact", "regex", "none", None])
            matches = []
            for _ in range(rnd.randint(1, 3)):
                m = a_match(rnd, kind or rnd.choice(["prefix", "template", "exact", "regex"]))
                keys = {(h, identity(m, spec.get("priority", 0))) for h in spec.get("hosts", ["*"])}
                if not keys & taken:
                    taken |= keys
                    matches.append(m)
            if matches:
                spec["rules"].append(dict({"match": matches}, **an_action(rnd, matches)))
        if spec["rules"]:
            route = obj("Route", rnd.choice("mnop") + "%d" % i, spec)
            if rnd.random() < 0.5:
                route["metadata"]["created"] = "2024-0%d-01T00:00:00Z" % rnd.randint(1, 3)
            routes.append(route)
    everything = gateways + [service(s, ups[s]) for s in SERVICES] + routes
    rnd.shuffle(everything)
    return everything, gates, routes


# ---- requests ----
def a_request(rnd, routes):
    """Mostly near what some rule wants."""
    r = {"host": rnd.choice(NAMES + ["z", "z.shop", "q.a.shop", "tshop"]) + ".test", "method": rnd.choice(["GET", "PUT", "PURGE", "DELETE"])}
    path = a_path(rnd)
    if routes and rnd.random() < 0.8:
        m = rnd.choice(rnd.choice(rnd.choice(routes)["spec"]["rules"])["match"])
        r["method"] = m.get("method", r["method"]) if rnd.random() < 0.9 else r["method"]
        text = next((v for k, v in m.get("path", {}).items() if k != "regex"), path)
        path = re.sub(r"\{[a-z0-9]+(\.\.\.)?\}", lambda f: rnd.choice(["v", "a", "a%2Fb", "v/w"] if f.group(1) else ["v", "a", "ab", "%2F"]), text)
        path += rnd.choice(["", "", "", "/", "/a", "x"])
    r["path"] = path
    sent = path
    if rnd.random() < 0.3:  # written in another way, the same after normalising
        sent = rnd.choice([sent.replace("%2F", "%2f"), sent.replace("a", "%61"), sent.replace("~", "%7e"), "/." + sent, "/zz/.." + sent])
    r["query"] = [(rnd.choice(["q", "r s", "t", "Q"]), rnd.choice(VALUES)) for _ in range(rnd.choice([0, 0, 1, 2, 3]))]
    text = "&".join("%s=%s" % (k.replace(" ", rnd.choice(["+", "%20"])), v.replace(",", "%2C").replace(" ", rnd.choice(["+", "%20"]))) for k, v in r["query"])
    r["tail"] = "?" + text if r["query"] or rnd.random() < 0.05 else ""
    r["target"] = sent + r["tail"]
    r["headers"] = [(rnd.choice([n, n.upper()]), rnd.choice(VALUES)) for n in HEADERS for _ in range(rnd.choice([0, 0, 1, 1, 2]))]
    r["port"] = rnd.choice(["", "", ":80", ":8080"])
    host = r["host"].upper() if rnd.random() < 0.1 else r["host"]
    r["authority"] = host + rnd.choice(["", "", "", "."]) + r["port"]
    return r


# ---- the judge ----
def one(t, value):
    if "exact" in t:
        return value == t["exact"]
    if "prefix" in t:
        return value.startswith(t["prefix"])
    if "regex" in t:
        return re.fullmatch(t["regex"], value) is not None
    return True


def holds(t, values, joined):
    """A test of the fields of one name; only an exact value is also looked for in all of them together."""
    there = any(one(t, v) for v in values) or (joined and "exact" in t and len(values) > 1 and t["exact"] in (", ".join(values), ",".join(values)))
    return there != (bool(t.get("invert")) != (t.get("present") is False))


def path_takes(m, path):
    """None, or the prefix that matched and the captures."""
    kind, text = next(iter(m.get("path", {"prefix": "/"}).items()))
    if kind == "exact":
        return ("", {}) if path == text else None
    if kind == "prefix":
        bare = text[:-1] if text.endswith("/") else text
        return (bare, {}) if path == bare or path.startswith(bare + "/") else None
    if kind == "regex":
        return ("", {}) if re.fullmatch(text, path) else None
    want, have, got = text.split("/")[1:], path.split("/")[1:], {}
    for i, w in enumerate(want):
        if w.endswith("...}"):
            if i >= len(have):
                return None
            got[w[1:-4]] = "/".join(have[i:])
            return "", got
        if i >= len(have) or (w[0] == "{" and not have[i]) or (w[0] != "{" and w != have[i]):
            return None
        if w[0] == "{":
            got[w[1:-1]] = have[i]
    return ("", got) if len(want) == len(have) else None


def path_order(m):
    kind, text = next(iter(m.get("path", {"prefix": "/"}).items()))
    if kind == "exact":
        return (0, 0, 0, 0, 0)
    if kind == "regex":
        return (2, 0, 0, 0, 0)
    if kind == "prefix":
        return (1, -len(text[:-1] if text.endswith("/") else text), 1, 0, 0)
    return (1, -len(text.split("{")[0]), int(text.endswith("...}")), -text.count("/"), -len(re.sub(r"\{[^}]*\}", "", text)))


def judge(gate, routes, r):
    """(route, index of the rule, rule, prefix, captures) or None."""
    name, row = gate
    if row.get("hostnames") and not takes(row["hostnames"], r["host"]):
        return None
    best = None
    for route in routes:
        spec = route["spec"]
        if not any(attaches(a, name, row) for a in spec["attach"]):
            continue
        hosts = takes(spec["hosts"], r["host"]) if "hosts" in spec else [""]
        for host in hosts:
            host_order = (0 if host == r["host"] else 1 if host else 2, -len(host))
            for i, rule in enumerate(spec["rules"]):
                for k, m in enumerate(rule["match"]):
                    found = path_takes(m, r["path"])
                    if found is None or m.get("method", r["method"]) != r["method"]:
                        continue
                    if not all(holds(t, [v for n, v in r["headers"] if n.lower() == t["name"].lower()], True) for t in m.get("headers", [])):
                        continue
                    if not all(holds(t, [v for n, v in r["query"] if n == t["name"]][:1], False) for t in m.get("query", [])):
                        continue
                    created = route["metadata"].get("created")
                    order = (host_order, -spec.get("priority", 0), path_order(m), 0 if "method" in m else 1, -len(m.get("headers", [])),
                             -len(m.get("query", [])), 0 if created else 1, created or "", route["metadata"]["name"], i, k)
                    if best is None or order < best[0]:
                        best = (order, route["metadata"]["name"], i, rule, *found)
    return best and best[1:]


def new_path(change, r, prefix, captures):
    if "prefixPath" in change:
        rest, to = r["path"][len(prefix):], change["prefixPath"]
        if rest and to.endswith("/"):
            to = to[:-1]
        return (to + rest or "/") + r["tail"]
    if "path" in change:
        return re.sub(r"\{([a-z0-9]+)\}", lambda f: captures[f.group(1)], change["path"]) + r["tail"]
    return r["path"] + r["tail"]


def location(change, r, path):
    scheme, host = change.get("scheme", "http"), change.get("host", r["host"])
    port = change.get("port")
    if port is None and "scheme" not in change and r["port"]:
        port = int(r["port"][1:])
    shown = "" if port in (None, {"http": 80, "https": 443}[scheme]) else ":%d" % port
    return "%s://%s%s%s" % (scheme, host, shown, path)


def expected(found, r):
    if not found:
        return ("no route",)
    _, _, rule, prefix, captures = found
    if "reply" in rule:
        return "reply", rule["reply"]["status"]
    if "redirect" in rule:
        d = rule["redirect"]
        return "redirect", d.get("status", 302), location(d, r, new_path(d, r, prefix, captures))
    some = sorted(b["service"] for b in rule["to"] if b["weight"])
    if not some:
        return ("no backend",)
    w = rule.get("rewrite", {})
    return "to", some, new_path(w, r, prefix, captures), w.get("host", r["authority"])


# ---- what is so ----
def happened(c, r):
    a = c.ask(r["method"], r["target"], r["headers"], host=r["authority"], body=b"" if r["method"] == "PUT" else None)
    kind = (a.header("content-type") or "").split(";")[0]
    if kind == "application/problem+json":
        slug = json.loads(a.body)["type"].rsplit("/", 1)[1]
        return (slug.replace("-", " "),)
    if a.header("location"):
        return "redirect", a.status, a.header("location")
    if a.body == b"here":
        return "reply", a.status
    b = json.loads(a.body)
    return "to", b["name"], b["target"], b["host"]


def agrees(got, want):
    return got == want or (got[0] == want[0] == "to" and got[1] in want[1] and got[2:] == want[2:])


def explained(env, w, gate, r):
    args = ["explain", "-o", "json", "-l", "%s/%s" % (gate[0], gate[1]["name"]), "-r", "%s http://%s%s" % (r["method"], r["authority"], r["target"])]
    for h in r["headers"]:
        args += ["-H", "%s: %s" % h]
    code, out, err = env.run(*args, w.file)
    if code == 1 and "no route" in err:
        return None
    same(code, 0, err)
    return json.loads(out)


def check_explained(n, found, r, what):
    if not found or n is None:
        return same(n, found, what)
    name, index, rule, prefix, captures = found
    same((n["route"], n["rule"]), (name, index), what)
    change = rule.get("redirect") or rule.get("rewrite") or {}
    same(n.get("newPath"), new_path(change, r, prefix, captures) if "path" in change or "prefixPath" in change else None, what)
    same(n.get("newHost"), change.get("host"), what)
    same((n.get("reply"), n.get("redirect")), (rule["reply"]["status"] if "reply" in rule else None, rule["redirect"].get("status", 302) if "redirect" in rule else None), what)
    same([(b["service"], b["weight"]) for b in n.get("to", [])], [(b["service"], b["weight"]) for b in rule.get("to", [])], what)


def compare(env, seed, ups, w, requests, explains):
    rnd = random.Random(seed)
    objects, gates, routes = documents(rnd, ups)
    if w is None:
        w = env.weir(objects)
    else:
        w.reload(objects)
    addresses = {row["name"]: split(row["address"]) for row in w.status()["listeners"]}
    clients = [env.client(addresses["%s/%s" % (g, row["name"])]) for g, row in gates]
    for i in range(requests):
        r = a_request(rnd, routes)
        at = rnd.randrange(len(gates))
        found = judge(gates[at], routes, r)
        want, got = expected(found, r), happened(clients[at], r)
        what = "seed %d, %s/%s, %s %s, host %s, %r\n%r" % (seed, gates[at][0], gates[at][1]["name"], r["method"], r["target"], r["authority"], r["headers"], found)
        if not agrees(got, want):
            same(got, want, what)
        if i < explains:
            check_explained(explained(env, w, gates[at], r), found, r, "explain, " + what)
    for c in clients:
        c.close()
    return w


def test_random_documents(env):
    def answer(name):
        return lambda x: reply(body=json.dumps({"name": name, "target": x.request.target, "host": x.request.header("host")}))

    ups = {s: env.upstream(answer(s)) for s in SERVICES}
    seeds = [1, 2, 3, 4, 5, 6, 34186035, 988929007]
    if os.environ.get("ORACLE_SEEDS"):
        seeds = [int(s) for s in os.environ["ORACLE_SEEDS"].split(",")]
    seeds += [random.randrange(1 << 30) for _ in range(int(os.environ.get("ORACLE_RUNS", "0")))]
    w = None
    for seed in seeds:
        w = compare(env, seed, ups, w, requests=120, explains=3)


def test_more_literal_text_is_more_specific(env):
    """Of two templates that begin alike and have as many segments, the one with more literal text wins, however short that is; and the slash
    that closes a prefix is one, not all of them."""
    w = env.weir([gateway(), route("a", rule(path={"template": "/{p}/{q}/{r}"}, reply={"body": "loose"}), rule(path={"prefix": "/b//"}, reply={"body": "empty segment"})),
                  route("b", rule(path={"template": "/{p}/a/{r}"}, reply={"body": "tight"}))])
    c = env.client(w.addr())
    for path, want in (("/x/y/z", "loose"), ("/x/a/z", "tight"), ("/b//x", "empty segment"), ("/b/", "empty segment"), ("/b/x", None), ("/b", None)):
        a = c.ask("GET", path)
        same(None if a.status == 404 else a.body.decode(), want, path)
