"""Random route tables against a plain reading of the rules: what the proxy does, what `weir explain` says, and what the words of the
reference say must be one. The seed is printed when they differ."""
import json
import random
import re

from weirlib import gateway, listener, obj, same

HOSTS = ["shop.example", "a.shop.example", "b.a.shop.example", "example", "other.test"]
WILD = ["*.example", "*.shop.example", "*.a.shop.example", "*.test"]
SEGMENTS = ["a", "b", "api", "apix", "v1", "v12", "users"]
METHODS = ["GET", "POST", "PUT"]


def random_path(rnd, most=3):
    return "/" + "/".join(rnd.choice(SEGMENTS) for _ in range(rnd.randint(0, most)))


def random_match(rnd):
    m, kind = {}, rnd.choice(["none", "exact", "prefix", "prefix", "template", "regex"])
    if kind == "template":
        parts = [rnd.choice([rnd.choice(SEGMENTS), "{}"]) for _ in range(rnd.randint(1, 3))]
        parts = [p if p != "{}" else "{n%d}" % i for i, p in enumerate(parts)]
        if rnd.random() < 0.3:
            parts.append("{rest...}")
        m["path"] = {"template": "/" + "/".join(parts)}
    elif kind == "regex":
        m["path"] = {"regex": rnd.choice(["/v[0-9]+", "/v[0-9]+/.*", "/a.*", "/(api|users)/[a-z]+", "/.*"])}
    elif kind != "none":
        m["path"] = {kind: random_path(rnd) + ("/" if kind == "prefix" and rnd.random() < 0.2 else "")}
        m["path"][kind] = m["path"][kind].replace("//", "/")
    if rnd.random() < 0.3:
        m["method"] = rnd.choice(METHODS)
    for what, names, odds in (("headers", ["x-a", "X-B", "x-c"], 0.3), ("query", ["q", "r"], 0.25)):
        if rnd.random() < odds:
            m[what] = []
            for name in rnd.sample(names, rnd.randint(1, len(names))):
                test = rnd.choice([{"exact": "1"}, {"exact": "22"}, {"prefix": "2"}, {"regex": "[0-9]+"}, {"present": True}, {"present": False}])
                m[what].append(dict({"name": name}, **test, **({"invert": True} if rnd.random() < 0.15 else {})))
    return m


def path_key(m):
    kind, text = next(iter(m.get("path", {"prefix": "/"}).items()))
    if kind == "template":
        text = re.sub(r"\{[a-z0-9]*", "{", text)
    if kind == "prefix":
        text = text.rstrip("/")
    return kind, text


def tests_key(tests, fold):
    rows = []
    for t in tests:
        kind, value = next((k, v) for k, v in t.items() if k not in ("name", "invert"))
        invert = bool(t.get("invert"))
        if kind == "present":
            invert, value = invert != (value is False), True
        rows.append((t["name"].lower() if fold else t["name"], kind, str(value), invert))
    return tuple(sorted(rows))


def same_requests(route, m):
    return (route["spec"].get("priority", 0), path_key(m), m.get("method"), tests_key(m.get("headers", []), True), tests_key(m.get("query", []), False))


def random_routes(rnd):
    routes, taken = [], set()
    for i in range(rnd.randint(2, 12)):
        spec = {"attach": [{"gateway": "edge"}], "rules": []}
        name = rnd.choice("zyxwvu") + str(i)
        if rnd.random() < 0.8:
            spec["hosts"] = rnd.sample(HOSTS + WILD, rnd.randint(1, 3))
        if rnd.random() < 0.2:
            spec["priority"] = rnd.choice([-1, 1, 5])
        route = obj("Route", name, spec)
        if rnd.random() < 0.4:
            route["metadata"]["created"] = "20%02d-01-01T00:00:00Z" % rnd.randint(10, 13)
        for k in range(rnd.randint(1, 5)):
            matches = []
            for _ in range(rnd.randint(1, 3)):
                m = random_match(rnd)
                keys = {(h, same_requests(route, m)) for h in spec.get("hosts", ["*"])}
                if not keys & taken:
                    taken |= keys
                    matches.append(m)
            if matches:
                spec["rules"].append({"match": matches, "reply": {"body": "%s %d" % (name, len(spec["rules"]))}})
        if spec["rules"]:
            routes.append(route)
    return routes


def takes_host(pattern, host):
    return pattern is None or pattern == host or (pattern.startswith("*.") and host.endswith(pattern[1:]) and len(host) >= len(pattern))


def path_matches(m, path):
    kind, text = next(iter(m.get("path", {"prefix": "/"}).items()))
    if kind == "exact":
        return path == text
    if kind == "prefix":
        text = text.rstrip("/")
        return path == text or path.startswith(text + "/")
    if kind == "regex":
        return re.fullmatch(text, path, re.DOTALL) is not None
    want = "".join("/" + ("(.*)" if s.endswith("...}") else "[^/]+" if s.startswith("{") else re.escape(s)) for s in text[1:].split("/"))
    return re.fullmatch(want, path, re.DOTALL) is not None


def value_matches(t, value):
    kind, want = next((k, v) for k, v in t.items() if k not in ("name", "invert"))
    ok = {"exact": lambda: value == want, "prefix": lambda: value is not None and value.startswith(want), "present": lambda: (value is not None) == want,
          "regex": lambda: value is not None and re.fullmatch(want, value) is not None}[kind]()
    return ok != bool(t.get("invert"))


def rank(host, route, rule, k, m):
    kind, text = next(iter(m.get("path", {"prefix": "/"}).items()))
    if kind == "template":
        literal = re.sub(r"\{[^}]*\}", "", text)
        path = (1, text.index("{") if "{" in text else len(text), not text.endswith("...}"), text.count("/"), len(literal))
    else:
        path = {"exact": (2,), "prefix": (1, len(text.rstrip("/"))), "regex": (0,)}[kind]
    path = path + (0,) * (5 - len(path))
    created = route["metadata"].get("created")
    specific = 0 if host is None else 10000 if not host.startswith("*") else len(host)
    return (-specific, -route["spec"].get("priority", 0), tuple(-int(p) for p in path), -("method" in m), -len(m.get("headers", [])), -len(m.get("query", [])),
            created is None, created or "", route["metadata"]["name"], rule, k)


def plain_reading(routes, r):
    found = []
    for route in routes:
        for host in route["spec"].get("hosts", [None]):
            if not takes_host(host, r["host"]):
                continue
            for i, rule in enumerate(route["spec"]["rules"]):
                for k, m in enumerate(rule["match"]):
                    if (path_matches(m, r["path"]) and m.get("method", r["method"]) == r["method"]
                            and all(value_matches(t, r["headers"].get(t["name"].lower())) for t in m.get("headers", []))
                            and all(value_matches(t, r["query"].get(t["name"])) for t in m.get("query", []))):
                        found.append((rank(host, route, i, k, m), "%s %d" % (route["metadata"]["name"], i)))
    return min(found)[1] if found else None


def random_request(rnd):
    host = rnd.choice(HOSTS + ["x.example", "x.y.shop.example", "shop.examples", "xshop.example"])
    r = {"host": host, "method": rnd.choice(METHODS), "path": random_path(rnd) + rnd.choice(["", "", "", "/"]), "headers": {}, "query": {}}
    r["path"] = r["path"].replace("//", "/")
    for name in ("x-a", "x-b", "x-c"):
        if rnd.random() < 0.4:
            r["headers"][name] = rnd.choice(["1", "22", "2x", ""])
    for name in ("q", "r"):
        if rnd.random() < 0.4:
            r["query"][name] = rnd.choice(["1", "22", "2x", ""])
    text = "".join(rnd.choice((c, c.upper())) for c in host) if rnd.random() < 0.2 else host
    r["sent_host"] = text + rnd.choice(["", "", "", ":8000", "."])
    r["target"] = r["path"] + ("?" + "&".join("%s=%s" % i for i in r["query"].items()) if r["query"] else "")
    return r


def ask(c, r):
    a = c.ask(r["method"], r["target"], list(r["headers"].items()), host=r["sent_host"], body=b"" if r["method"] != "GET" else None)
    return None if a.status == 404 else a.body.decode()


def explained(env, w, r):
    args = ["explain", "--output", "json", "--request", "%s http://%s%s" % (r["method"], r["sent_host"], r["target"])]
    for h in r["headers"].items():
        args += ["--header", "%s: %s" % h]
    code, out, err = env.run(*args, w.file)
    if code == 1 and "no route" in err:
        return None
    same(code, 0, err)
    n = json.loads(out)
    return "%s %d" % (n["route"], n["rule"])


def compare(env, seed, w=None, requests=150, explains=3):
    rnd = random.Random(seed)
    routes = random_routes(rnd)
    document = [gateway(listener(), accessLog={"mode": "off"}), *routes]
    if w is None:
        w = env.weir(document)
    else:
        w.reload(document)
    c = env.client(w.addr())
    for i in range(requests):
        r = random_request(rnd)
        want = plain_reading(routes, r)
        same(ask(c, r), want, "seed %s: %r" % (seed, r))
        if i < explains:
            same(explained(env, w, r), want, "seed %s, explain: %r" % (seed, r))
    return w


def test_random_tables(env):
    seeds = [random.randrange(1 << 30) for _ in range(12)]
    w = None
    for seed in seeds:
        w = compare(env, seed, w)
