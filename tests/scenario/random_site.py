"""Random documents that are good by construction, and random edits of them: gateways, listeners, TLS, services, routes, policies of every
section, secrets. Addresses are written "@H:PORT"; who renders them says which loopback network @ is, so that two processes can run the same."""
import copy
import json

from weirlib import obj

PLAIN = ("http", "https")
HOSTS = ["a.test", "b.test", "*.test", "*.b.test", "c.b.test"]
GATEWAYS = ["edge", "inner", "e"]
LISTENERS = ["web", "web2", "we", "x.y"]
SERVICES = ["shop", "shop2", "sh", "cart", "db"]
ROUTES = ["main", "mai", "other", "third", "raw", "ra"]
POLICIES = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"]
SECRETS = ["s0", "s1"]
HEADERS = ["x-one", "X-One", "x-two", "X-Three", "user-agent"]


def takes(pattern, host):
    return pattern == host or (pattern[0] == "*" and host.endswith(pattern[1:]) and len(host) >= len(pattern))


def meet(a, b):
    if a[0] == b[0] == "*":
        return a.endswith(b[1:]) or b.endswith(a[1:])
    return takes(a, b) or takes(b, a)


# ---- pieces ----
def maybe(rnd, share, spec, key, value):
    if rnd.random() < share:
        spec[key] = value()


def a_listener(rnd, ports):
    kind = rnd.choice(["http", "http", "http", "https", "https", "tcp", "tls", "pass"])
    port = rnd.choice([0, 0, 0, *ports])
    row = {"address": "@%d:%d" % (rnd.randint(1, 2) if port else 9, port), "protocol": "tls" if kind == "pass" else kind}
    if kind != "tcp":
        maybe(rnd, 0.3, row, "hostnames", lambda: rnd.sample(HOSTS, rnd.randint(1, 3)))
    if kind in ("https", "tls"):
        tls = row["tls"] = {"certificates": [{"secret": s} for s in rnd.sample(SECRETS, rnd.randint(1, 2))]}
        maybe(rnd, 0.3, tls, "minVersion", lambda: rnd.choice(["1.2", "1.3"]))
        maybe(rnd, 0.2, tls, "sessionTickets", lambda: rnd.choice([True, False]))
        maybe(rnd, 0.3, tls, "clientCertificate", lambda: rnd.choice([{"mode": "none"}, {"mode": "optional", "ca": {"secret": "ca"}}, {"mode": "required", "ca": {"secret": "ca"}}]))
    elif kind == "pass":
        row["tls"] = {"mode": "passthrough"}
    maybe(rnd, 0.2, row, "http2", lambda: rnd.choice([True, False]))
    return row


def a_gateway(rnd, ports):
    spec = {"listeners": {n: a_listener(rnd, ports) for n in rnd.sample(LISTENERS, rnd.randint(1, 3))}}
    maybe(rnd, 0.3, spec, "requestId", lambda: rnd.choice([True, False]))
    maybe(rnd, 0.5, spec, "accessLog", lambda: rnd.choice([{"mode": "off"}, {"mode": "on", "sample": "50%"}, {"file": "access.log"}]))
    return spec


def an_endpoint(rnd, address):
    return rnd.choice([address, {"address": address}, {"address": address, "weight": rnd.randint(1, 5)}])


def pool_of(spec, places):
    """The endpoints that the service may have. Without a name for all, each has the one of its certificate."""
    if "tls" in spec:
        tls = spec["tls"]
        return [a for a in places["tls"] if a.startswith("up.test:") or "serverName" in tls or not tls.get("verify", True)]
    return places["h2" if spec["protocol"] == "grpc" else spec["protocol"]]


def a_service(rnd, places):
    protocol = rnd.choice(["http", "http", "http", "h2", "grpc", "tcp", "tls"])
    spec = {"protocol": "http" if protocol == "tls" else protocol}
    if protocol == "tls":
        spec["tls"] = rnd.choice([{"verify": False}, {"ca": {"secret": "ca"}}, {"ca": {"secret": "ca"}, "serverName": "up.test"},
                                  {"ca": {"secret": "ca"}, "serverName": "up.test", "certificate": {"secret": rnd.choice(SECRETS)}}])
    pool = pool_of(spec, places)
    spec["endpoints"] = [an_endpoint(rnd, a) for a in rnd.sample(pool, rnd.randint(0 if rnd.random() < 0.1 else 1, len(pool)))]
    return spec


def edits(rnd):
    e = {}
    maybe(rnd, 0.6, e, "set", lambda: {rnd.choice(HEADERS): rnd.choice(["1", "two", ""])})
    maybe(rnd, 0.4, e, "add", lambda: {n: rnd.choice(["a", "b, c"]) for n in rnd.sample(HEADERS[2:], rnd.randint(1, 2))})
    maybe(rnd, 0.4, e, "remove", lambda: rnd.sample(HEADERS, rnd.randint(1, 2)))
    return e


def header_edits(rnd):
    spec = {}
    maybe(rnd, 0.7, spec, "request", lambda: edits(rnd))
    maybe(rnd, 0.7, spec, "response", lambda: edits(rnd))
    return spec


def a_rule(rnd, number):
    """The path is the rule's own, so that no two rules are doubles."""
    path = "/r%d" % number
    kind = rnd.choice(["prefix", "prefix", "exact", "template", "regex"])
    m = {"path": {kind: {"prefix": path, "exact": path, "template": path + "/{id}", "regex": path + "/[a-z]+"}[kind]}}
    maybe(rnd, 0.2, m, "method", lambda: rnd.choice(["GET", "POST"]))
    maybe(rnd, 0.2, m, "headers", lambda: [{"name": "x-probe", rnd.choice(["exact", "prefix"]): "1"}])
    maybe(rnd, 0.2, m, "query", lambda: [{"name": "q", "present": True}])
    r = {"match": [m]}
    what = rnd.choice(["to", "to", "to", "to", "reply", "redirect"])
    if what == "to":
        r["to"] = [{"service": s, "weight": w} for s, w in zip(rnd.sample(SERVICES, 2), rnd.choice([[1], [7], [1, 0], [0, 3], [0]]))]
        if kind == "prefix":
            maybe(rnd, 0.3, r, "rewrite", lambda: rnd.choice([{"prefixPath": "/new"}, {"host": "in.test"}, {"path": "/whole", "host": "in.test"}]))
    elif what == "reply":
        r["reply"] = rnd.choice([{"status": 204}, {"status": 418, "body": "tea"}, {"body": "{}", "contentType": "application/json"}])
    else:
        r["redirect"] = rnd.choice([{"host": "away.test"}, {"scheme": "https", "status": 308}, {"port": 8443, "path": "/there"}])
    maybe(rnd, 0.3, r, "headers", lambda: header_edits(rnd))
    return r


def a_route(rnd, number):
    """number: rules count on from there."""
    spec = {"attach": [dict({"gateway": g}, **({"listener": rnd.choice(LISTENERS)} if rnd.random() < 0.3 else {})) for g in rnd.sample(GATEWAYS, rnd.randint(1, 3))]}
    maybe(rnd, 0.6, spec, "hosts", lambda: rnd.sample(HOSTS, rnd.randint(1, 3)))
    maybe(rnd, 0.2, spec, "priority", lambda: rnd.randint(-5, 5))
    spec["rules"] = [a_rule(rnd, number * 10 + i) for i in range(rnd.randint(1, 4))]
    return spec


def span(rnd):
    return rnd.choice(["20s", "45s", "1m", "2m", "1h"])


EARLY = {"limits": lambda rnd: some(rnd, head=lambda: rnd.choice(["1KiB", "8KiB"]), headers=lambda: rnd.choice([8, 50]), body=lambda: rnd.choice([5, "1KiB"]), streams=lambda: rnd.randint(5, 50),
                                    requests=lambda: rnd.choice([0, 1000]), connections=lambda: rnd.choice([0, 10000])),
         "trust": lambda rnd: {"proxies": rnd.choice([[], ["127.0.0.0/8"], ["10.0.0.0/8", "127.0.0.1"]])}}
OF_SERVICE = {"balance": lambda rnd: {"algorithm": rnd.choice(["round-robin", "least-request"])},
              "breaker": lambda rnd: some(rnd, maxConnections=lambda: rnd.choice([0, 500]), maxPending=lambda: rnd.choice([0, 99]), maxRequests=lambda: rnd.choice([0, 700])),
              "health": lambda rnd: some(rnd, panic=lambda: rnd.choice(["0%", "30%"]), passive=lambda: some(rnd, consecutive=lambda: rnd.choice([0, 50]), ejection=lambda: span(rnd), statuses=lambda: False),
                                         active=lambda: some(rnd, interval=lambda: span(rnd), path=lambda: rnd.choice(["/", "/health"]), type=lambda: "tcp", healthy=lambda: rnd.randint(1, 3)))}
ANY = {"timeout": lambda rnd: some(rnd, connect=lambda: span(rnd), request=lambda: rnd.choice([0, "50s"]), perTry=lambda: span(rnd), idle=lambda: span(rnd), bodyIdle=lambda: span(rnd),
                                   upstreamKeepAlive=lambda: span(rnd)),
       "retry": lambda rnd: some(rnd, attempts=lambda: rnd.randint(0, 3), on=lambda: rnd.choice([["5xx"], ["reset", "503"]]), backoffBase=lambda: rnd.choice([0, "1ms"]), budget=lambda: "10%",
                                 bodyBuffer=lambda: rnd.choice([0, "1KiB"]), nonIdempotent=lambda: True),
       "fault": lambda rnd: some(rnd, abort=lambda: rnd.choice([{}, {"status": 418}]), delay=lambda: {"duration": "1ms"}, when=lambda: rnd.choice([{"header": "x-probe"}, {"header": "x-fault", "value": "1"}])),
       "headers": header_edits,
       "rateLimit": lambda rnd: dict({"requests": rnd.choice([100000, 2000000])}, **some(rnd, window=lambda: rnd.choice(["1h", "2h"]), key=lambda: rnd.choice([{"by": "all"}, {"header": "x-probe"}]),
                                                                                      dryRun=lambda: rnd.choice([True, False])))}
L4 = {"timeout", "balance", "breaker", "health"}


def some(rnd, **fields):
    return {k: fn() for k, fn in fields.items() if rnd.random() < 0.5}


def a_policy(rnd):
    """The target is mended later; a section that the target cannot honour goes then."""
    kind = rnd.choice(["mesh", "gateway", "gateway", "listener", "route", "route", "service", "service"])
    target = {"mesh": lambda: {"mesh": "default"}, "gateway": lambda: {"gateway": rnd.choice(GATEWAYS)},
              "listener": lambda: {"gateway": rnd.choice(GATEWAYS), "listener": rnd.choice(LISTENERS)},
              "route": lambda: {"route": rnd.choice(ROUTES)}, "service": lambda: {"service": rnd.choice(SERVICES)}}[kind]()
    spec = {"target": target}
    maybe(rnd, 0.3, spec, "priority", lambda: rnd.randint(-3, 3))
    every = {**EARLY, **OF_SERVICE, **ANY}
    for name in rnd.sample(sorted(every), rnd.randint(1, 6)):
        spec[name] = every[name](rnd)
    return spec


# ---- the site ----
class Site:
    """places: addresses of endpoints {"http": [...], "h2": ..., "tcp": ..., "tls": ...}; pairs: certificates that secrets may be; ports: fixed ones."""

    def __init__(self, rnd, places, pairs, ca, ports):
        self.rnd, self.places, self.pairs, self.ca, self.ports = rnd, places, pairs, ca, ports
        self.count = 0
        self.want = {"Gateway": {}, "Service": {}, "Route": {}, "Policy": {}, "Secret": {}}
        for s in SECRETS:
            self.want["Secret"][s] = self.new("Secret")
        for kind, names, low in (("Gateway", GATEWAYS, 1), ("Service", SERVICES, 3), ("Route", ROUTES, 3), ("Policy", POLICIES, 3)):
            for n in rnd.sample(names, rnd.randint(low, len(names))):
                self.want[kind][n] = self.new(kind)

    def new(self, kind):
        self.count += 1
        return {"Gateway": lambda: a_gateway(self.rnd, self.ports), "Service": lambda: a_service(self.rnd, self.places), "Route": lambda: a_route(self.rnd, self.count),
                "Policy": lambda: a_policy(self.rnd), "Secret": lambda: self.a_secret()}[kind]()

    def a_secret(self):
        return {"pair": self.rnd.randrange(len(self.pairs)), "inline": self.rnd.random() < 0.5}

    def edit(self):
        """One random change."""
        rnd = self.rnd
        kind = rnd.choice(["Gateway", "Gateway", "Service", "Service", "Route", "Route", "Policy", "Policy", "Policy", "Secret"])
        have = self.want[kind]
        if kind == "Secret":
            have[rnd.choice(SECRETS)] = self.new(kind)
            return
        names = {"Gateway": GATEWAYS, "Service": SERVICES, "Route": ROUTES, "Policy": POLICIES}[kind]
        free = [n for n in names if n not in have]
        how = rnd.choice(["new", "change", "remove", "rename", "part", "part"])
        if how in ("new", "rename") and free:
            have[rnd.choice(free)] = have.pop(rnd.choice(sorted(have))) if how == "rename" and have else self.new(kind)
        elif how == "remove" and len(have) > 1:
            del have[rnd.choice(sorted(have))]
        elif have and how == "change":
            have[rnd.choice(sorted(have))] = self.new(kind)
        elif have:
            self.part(kind, have[rnd.choice(sorted(have))])

    def part(self, kind, spec):
        """Some fields of one object as those of another."""
        rnd = self.rnd
        other = self.new(kind)
        if kind == "Gateway" and rnd.random() < 0.7:  # one listener comes, goes, changes its name or some of its fields
            rows = spec["listeners"]
            name = rnd.choice(sorted(rows))
            free = [n for n in LISTENERS if n not in rows]
            fresh = a_listener(rnd, self.ports)
            how = rnd.choice(["new", "remove", "rename", "address", "swap", "all"])
            if how == "new" and free:
                rows[rnd.choice(free)] = fresh
            elif how == "remove" and len(rows) > 1:
                del rows[name]
            elif how == "rename" and free:
                rows[rnd.choice(free)] = rows.pop(name)
            elif how == "address":
                rows[name]["address"] = fresh["address"]
            elif how == "swap":
                b = rnd.choice(sorted(rows))
                rows[name]["address"], rows[b]["address"] = rows[b]["address"], rows[name]["address"]
            else:
                rows[name] = fresh
            return
        if kind == "Service" and rnd.random() < 0.6:
            pool = pool_of(spec, self.places)
            spec["endpoints"] = [an_endpoint(rnd, a) for a in rnd.sample(pool, rnd.randint(1, len(pool)))]
            return
        if kind == "Service":
            spec.clear()
            spec.update(other)
            return
        keep = {"Route": "attach", "Policy": "target", "Gateway": "listeners"}[kind]
        for key in rnd.sample(sorted(set(spec) | set(other)), 1):
            if key in other:
                spec[key] = other[key]
            elif key != keep:
                del spec[key]

    # -- mending: what refers to nothing goes --
    def good(self):
        """{kind: {name: spec}} without anything that the compiler refuses."""
        site = copy.deepcopy(self.want)
        seen = set()
        for g, spec in sorted(site["Gateway"].items()):
            for n, row in sorted(spec["listeners"].items()):
                if row["address"] in seen and not row["address"].endswith(":0"):
                    row["address"] = "@9:0"
                seen.add(row["address"])
        for name, spec in sorted(site["Route"].items()):
            if not self.mend_route(site, spec):
                del site["Route"][name]
        self.drop_doubles(site)
        for name, spec in sorted(site["Policy"].items()):
            if not self.mend_policy(site, spec):
                del site["Policy"][name]
        return site

    def raw(self, site, spec):
        for rule in spec["rules"]:
            for b in rule.get("to", []):
                return site["Service"][b["service"]]["protocol"] == "tcp"
        return False

    def mend_route(self, site, spec):
        for rule in spec["rules"]:
            if "to" in rule:
                rule["to"] = [b for b in rule["to"] if b["service"] in site["Service"]]
        spec["rules"] = [r for r in spec["rules"] if r.get("to") != []]
        raw = self.raw(site, spec)
        if raw:
            spec["rules"] = [{"to": r["to"]} for r in spec["rules"] if "to" in r][:1]
        for rule in spec["rules"]:
            if "to" in rule:
                rule["to"] = [b for b in rule["to"] if (site["Service"][b["service"]]["protocol"] == "tcp") == raw]
        spec["rules"] = [r for r in spec["rules"] if r.get("to") != []]
        spec["attach"] = [a for a in spec["attach"] if self.behind(site, {"attach": [a]}, raw)]
        if not spec["attach"] or not spec["rules"]:
            return False
        rows = [row for _, row in self.behind(site, spec, raw) if row["protocol"] != "tcp"]
        if "hosts" in spec:
            spec["hosts"] = [h for h in spec["hosts"] if any(meet(h, p) for row in rows for p in row.get("hostnames", [h]))]
            if not spec["hosts"]:
                del spec["hosts"]
        return True

    def behind(self, site, spec, raw):
        """[(gateway/listener, row)] that a route's attachments reach."""
        out = []
        for a in spec["attach"]:
            for n, row in sorted(site["Gateway"].get(a["gateway"], {"listeners": {}})["listeners"].items()):
                if a.get("listener", n) == n and (row["protocol"] not in PLAIN) == raw:
                    out.append(("%s/%s" % (a["gateway"], n), row))
        return out

    def drop_doubles(self, site):
        """Raw routes have no match that would tell them apart."""
        taken = set()
        for name, spec in sorted(site["Route"].items()):
            if not self.raw(site, spec):
                continue
            keys = {(row[0], h, spec.get("priority", 0)) for row in self.behind(site, spec, True) for h in spec.get("hosts", ["*"])}
            if keys & taken:
                del site["Route"][name]
            taken |= keys

    def mend_policy(self, site, spec):
        t = spec["target"]
        layers, rank = {"L4", "L7"}, next(iter(t))
        if "service" in t:
            if t["service"] not in site["Service"]:
                return False
            layers = {"L4" if site["Service"][t["service"]]["protocol"] == "tcp" else "L7"}
        elif "route" in t:
            if t["route"] not in site["Route"]:
                return False
            layers = {"L4" if self.raw(site, site["Route"][t["route"]]) else "L7"}
        elif "gateway" in t:
            rows = site["Gateway"].get(t["gateway"], {"listeners": {}})["listeners"]
            if t.get("listener") and t["listener"] not in rows or not rows:
                return False
            layers = {"L7" if row["protocol"] in PLAIN else "L4" for n, row in rows.items() if t.get("listener", n) == n}
        for key in list(spec):
            bad = (key in EARLY and rank not in ("mesh", "gateway")) or (key in OF_SERVICE and rank not in ("mesh", "service"))
            if bad or (key in {**EARLY, **ANY} and key != "timeout" and "L7" not in layers):
                del spec[key]
        return True

    # -- documents --
    def objects(self, network):
        site = self.good()
        out = []
        for name, spec in sorted(site["Gateway"].items()):
            out.append(obj("Gateway", name, dict(spec, listeners=[dict({"name": n}, **row) for n, row in sorted(spec["listeners"].items())])))
        for name, s in sorted(site["Secret"].items()):
            pair = self.pairs[s["pair"]]
            if s["inline"]:
                out.append(obj("Secret", name, {"tls": {"certificate": text(pair.cert), "key": text(pair.key)}}))
            else:
                out.append(obj("Secret", name, {"tls": {"certificateFile": pair.cert, "keyFile": pair.key}}))
        out.append(obj("Secret", "ca", {"ca": {"file": self.ca.cert}}))
        for kind in ("Service", "Route", "Policy"):
            out += [obj(kind, name, spec) for name, spec in sorted(site[kind].items())]
        return json.loads(json.dumps(out).replace('"@', '"%s.' % network))


def text(path):
    with open(path, encoding="ascii") as f:
        return f.read()
