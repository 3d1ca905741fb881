"""Policies as filters: rate limits, faults, headers; where they are attached and how they merge."""
import json

from h2peers import H2Client
from peers import reply
from weirlib import edge_policy, gateway, policy, route, rule, same, service, simple, until


def shop_policy(name="shop-policy", **sections):
    return policy(name, {"service": "shop"}, **sections)


# ---- rate limit ----
def test_many_edits_all_arrive(env):
    """As many as the schema allows, from a filter and from a route, both ways and in both versions."""
    many = lambda prefix: {"set": {"x-%s-s%d" % (prefix, i): "1" for i in range(64)}, "add": {"x-%s-a%d" % (prefix, i): "1" for i in range(64)}}
    def handler(x):
        seen.update(n.lower() for n, _ in x.request.headers)
        return reply(body="ok")

    seen = set()
    w = env.weir([gateway(), service("shop", env.upstream(handler)), route("shop", rule("shop", headers={"request": many("rq"), "response": many("rs")})),
                  policy("edits", {"service": "shop"}, headers={"request": many("fq"), "response": many("fs")})])
    r = env.client(w.addr()).ask()
    names = {n.lower() for n, _ in r.headers}
    for prefix, got in (("rq", seen), ("fq", seen), ("rs", names), ("fs", names)):
        missing = set(many(prefix)["set"]) | set(many(prefix)["add"])
        same(sorted(missing - got), [], prefix)
    c = H2Client(w.addr())
    env.clients.append(c)
    s = c.ask()
    same(sorted((set(many("fs")["add"]) | set(many("rs")["set"])) - {n for n, _ in s.headers}), [])


def test_rate_limit(env):
    """429 with Retry-After and the RateLimit fields; nothing of it reaches the upstream."""
    up = env.upstream()
    w = env.weir(simple(up, more=[edge_policy(rateLimit={"requests": 5, "window": "60s"})]))
    c = env.client(w.addr())
    answers = [c.ask() for _ in range(8)]
    same([r.status for r in answers], [200] * 5 + [429] * 3)
    same(len(up.requests), 5)
    r = answers[-1]
    same((r.header("content-type"), json.loads(r.body)["type"]), ("application/problem+json", "https://weir.dev/problems/rate-limited"))
    assert 1 <= int(r.header("retry-after")) <= 60, r.raw
    for r in answers:
        assert "q=5" in r.header("ratelimit-policy") and "w=60" in r.header("ratelimit-policy"), r.raw
        assert "r=" in r.header("ratelimit"), r.raw
    left = [int(r.header("ratelimit").split("r=")[1].split(";")[0]) for r in answers]
    same(left[:5], [4, 3, 2, 1, 0])
    same(left[5:], [0, 0, 0])


def test_rate_limit_is_of_the_process(env):
    """Not a share for each worker: the count holds over all of them."""
    up = env.upstream()
    w = env.weir(simple(up, more=[edge_policy(rateLimit={"requests": 50, "window": "60s"})]), workers=4)
    tasks = [env.thread(lambda: [env.client(w.addr()).ask().status for _ in range(5)]) for _ in range(20)]
    got = sum((t.result() for t in tasks), [])
    same((got.count(200), got.count(429)), (50, 50))


def test_rate_limit_window_passes(env):
    w = env.weir(simple(env.upstream(), more=[edge_policy(rateLimit={"requests": 2, "window": "1s"})]))
    c = env.client(w.addr())
    got = [c.ask().status for _ in range(4)]
    assert 429 in got, got
    until(lambda: c.ask().status == 200, "requests are allowed again")


def test_rate_limit_by_header(env):
    w = env.weir(simple(env.upstream(), more=[edge_policy(rateLimit={"requests": 2, "window": "60s", "key": {"header": "X-Api-Key"}})]))
    c = env.client(w.addr())
    for key in ("a", "b"):
        same([c.ask("GET", "/", [("X-Api-Key", key)]).status for _ in range(3)], [200, 200, 429], key)


def test_rate_limit_key_for_all(env):
    """by: all counts everyone together, by: clientAddress each address."""
    def statuses(key, n):
        w = env.weir(simple(env.upstream(), more=[edge_policy(rateLimit={"requests": 2, "window": "60s", "key": key}, trust={"proxies": ["127.0.0.0/8"]})]))
        c = env.client(w.addr())
        return [c.ask("GET", "/", [("X-Forwarded-For", "198.51.100.%d" % i)]).status for i in range(n)]

    same(statuses({"by": "all"}, 3), [200, 200, 429])
    same(statuses({"by": "clientAddress"}, 3), [200, 200, 200])


def test_rate_limit_dry_run(env):
    up = env.upstream()
    w = env.weir(simple(up, more=[edge_policy(rateLimit={"requests": 1, "window": "60s", "dryRun": True})]))
    c = env.client(w.addr())
    same([c.ask().status for _ in range(3)], [200] * 3)
    same(len(up.requests), 3)


def test_rate_limit_with_invented_keys(env):
    """T31: a client that invents keys cannot make the counters grow."""
    w = env.weir(simple(env.upstream(), more=[edge_policy(rateLimit={"requests": 1, "window": "60s", "key": {"header": "X-Api-Key"}})]))
    c = env.client(w.addr())
    same(c.ask("GET", "/", [("X-Api-Key", "first")]).status, 200)
    memory = w.rss()
    for i in range(2000):
        same(c.ask("GET", "/", [("X-Api-Key", "key-%d" % i)]).status, 200)
    assert w.rss() - memory < 4 << 20, w.rss() - memory


def test_rate_limit_survives_a_reload(env):
    doc = simple(env.upstream(), more=[edge_policy(rateLimit={"requests": 3, "window": "60s"})])
    w = env.weir(doc)
    c = env.client(w.addr())
    same([c.ask().status for _ in range(4)], [200, 200, 200, 429])
    doc.append(route("more", rule("shop"), hosts=["more.example"]))
    w.reload(doc)
    same(c.ask().status, 429)


def test_rate_limit_of_one_route(env):
    up = env.upstream()
    w = env.weir([*simple(up), route("limited", rule("shop"), hosts=["limited.example"]), policy("limit", {"route": "limited"}, rateLimit={"requests": 1, "window": "60s"})])
    c = env.client(w.addr())
    same([c.ask(host="limited.example").status for _ in range(2)], [200, 429])
    same([c.ask().status for _ in range(3)], [200] * 3)


# ---- fault ----
def test_rate_limits_that_share_a_key(env):
    """Each service has its own number and so its own count, also when a more specific policy says for both what is counted together."""
    up = env.upstream()
    w = env.weir([gateway(), service("red", up), service("blue", up), route("r", rule("red", path={"prefix": "/red"}), rule("blue", path={"prefix": "/blue"})),
                  policy("red", {"service": "red"}, rateLimit={"requests": 5, "window": "1h"}), policy("blue", {"service": "blue"}, rateLimit={"requests": 2, "window": "1h"}),
                  policy("key", {"route": "r"}, rateLimit={"key": {"header": "x-who"}})])
    c = env.client(w.addr())
    for path, left in (("/red", ["4", "3", "2"]), ("/blue", ["1", "0", None]), ("/red", ["1", "0", None])):
        for n in left:
            r = c.ask(target=path, headers=[("x-who", "a")])
            same((r.status, r.header("ratelimit").split("r=")[1].split(";")[0]), (200, n) if n else (429, "0"), path)


def test_fault_abort(env):
    up = env.upstream()
    w = env.weir(simple(up, more=[shop_policy(fault={"abort": {"status": 418, "percentage": "100%"}})]))
    r = env.client(w.addr()).ask()
    same((r.status, r.header("content-type")), (418, "application/problem+json"))
    same(up.requests, [])


def test_fault_share(env):
    w = env.weir(simple(env.upstream(), more=[shop_policy(fault={"abort": {"status": 503, "percentage": "30%"}})]))
    c = env.client(w.addr())
    got = [c.ask().status for _ in range(500)].count(503)
    assert 90 < got < 215, got  # 150 expected; six standard deviations are 61


def test_fault_delay(env):
    """The request waits, and goes on; others are not held; a client that leaves meanwhile is let go."""
    up = env.upstream()
    w = env.weir([*simple(up), service("fast", env.upstream()), route("fast", rule("fast"), hosts=["fast.example"]),
                  shop_policy(fault={"delay": {"duration": "1s", "percentage": "100%"}})], workers=1)
    slow = env.client(w.addr())
    slow.request("POST", "/", body=b"hello")
    gone = env.client(w.addr())
    gone.request()
    gone.reset()
    fast = env.client(w.addr())
    same(fast.ask(host="fast.example").status, 200)
    same(up.requests, [])
    same(slow.response().status, 200)
    same(up.requests[0].body, b"hello")
    assert w.wait_access(service="shop", status=200)[0]["duration_us"] >= 1000000


# ---- headers ----
def test_headers_policy(env):
    up = env.upstream(lambda x: reply(headers=[("X-Powered-By", "secret")]))
    w = env.weir(simple(up, more=[edge_policy(headers={"request": {"set": {"X-Env": "prod"}, "remove": ["X-Debug"]},
                                                       "response": {"set": {"Strict-Transport-Security": "max-age=1"}, "remove": ["X-Powered-By"]}})]))
    for c in (env.client(w.addr()), H2Client(w.addr())):
        env.clients.append(c)
        r = c.ask("GET", "/", [("x-debug", "1"), ("x-env", "test")])
        q = up.requests[-1]
        same((q.headers.all("x-env"), q.headers.all("x-debug")), (["prod"], []))
        names = {k.lower(): v for k, v in r.headers}
        same((names.get("strict-transport-security"), names.get("x-powered-by")), ("max-age=1", None))


def test_headers_policy_on_our_own_answers(env):
    w = env.weir([gateway(), service("shop", env.upstream()), route("shop", rule("shop"), hosts=["shop.example"]),
                  edge_policy(headers={"response": {"set": {"X-Frame-Options": "DENY"}}})])
    r = env.client(w.addr()).ask(host="none.example")
    same((r.status, r.header("x-frame-options")), (404, "DENY"))


def test_one_date_and_one_request_id(env):
    """A field that the gateway adds by itself and an edit sets is there once, as it was set."""
    up = env.upstream()
    w = env.weir(simple(up, more=[edge_policy(headers={"request": {"set": {"X-Request-Id": "theirs"}}, "response": {"set": {"Date": "today", "X-Request-Id": "ours"}}})]))
    r = env.client(w.addr()).ask()
    same((r.headers.all("date"), r.headers.all("x-request-id")), (["today"], ["ours"]))
    same(up.requests[0].headers.all("x-request-id"), ["theirs"])


def test_what_frames_a_message_is_not_edited(env):
    """A route refuses it, and so does a policy: it would have no effect."""
    for name in ("Content-Length", "transfer-encoding", "Host", "connection", "upgrade"):
        for way in ("request", "response"):
            for change in ({"set": {name: "1"}}, {"add": {name: "1"}}, {"remove": [name]}):
                code, _, err = env.run("check", env.write("bad.yaml", simple("127.0.0.1:9", more=[edge_policy(headers={way: change})])))
                same((code, "'%s' cannot be edited" % name in err), (1, True), (name, way, change, err))


# ---- merging ----
def test_most_specific_policy_wins_field_by_field(env):
    """mesh < service < gateway < route: each field from the most specific object that says it."""
    def hang(x):
        try:
            x.sock.recv(1)
        except OSError:
            pass

    up = env.upstream(hang)
    w = env.weir([gateway(), service("shop", up), route("slow", rule("shop"), hosts=["slow.example"]), route("quick", rule("shop"), hosts=["quick.example"]),
                  policy("all", {"mesh": "default"}, timeout={"request": "40s"}, retry={"attempts": 0}), policy("q", {"route": "quick"}, timeout={"request": "200ms"})])
    slow = env.client(w.addr())
    slow.request(host="slow.example")
    same(env.client(w.addr()).ask(host="quick.example").status, 504)
    assert not slow.readable(0.1)


def test_priority_breaks_ties(env):
    w = env.weir([*simple(env.upstream()), policy("a", {"service": "shop"}, headers={"response": {"set": {"X-P": "a"}}}, ),
                  dict(policy("b", {"service": "shop"}, priority=10, headers={"response": {"set": {"X-P": "b"}}}))])
    same(env.client(w.addr()).ask().header("x-p"), "b")


def test_the_case_of_a_header_is_not_another_field(env):
    """X-A of a gateway does not come between x-a of the mesh and x-a of the route."""
    up = env.upstream()

    def documents(way):
        return [*simple(up), policy("mesh", {"mesh": "default"}, headers={"request": {way: {"x-a": "mesh", "x-b": "mesh"}}}),
                policy("gate", {"gateway": "edge"}, headers={"request": {way: {"X-A": "gate", "X-B": "gate"}}}),
                policy("route", {"route": "shop"}, headers={"request": {way: {"x-a": "route"}}})]

    w = env.weir(documents("set"))
    for way in ("set", "add"):
        w.reload(documents(way))
        same(env.client(w.addr()).ask().status, 200)
        h = up.requests[-1].headers
        same((h.all("x-a"), h.all("x-b")), (["route"], ["gate"]), way)
