"""What outlives a reload because it belongs to an object by its name (docs/life-of-a-change.md), and what does not."""
import threading

from h2peers import H2Client
from peers import reply
from weirlib import gateway, listener, policy, route, rule, same, service, simple, until


def shop_policy(name="shop", **sections):
    return policy(name, {"service": "shop"}, **sections)


def test_an_ejection(env):
    """Whatever else changes, the endpoint stays out; under another service's name it is another endpoint."""
    bad, good, third = env.upstream(lambda x: reply(503)), env.upstream(name="good"), env.upstream(name="good")

    def rules(ejection):
        return [shop_policy(health={"passive": {"consecutive": 1, "ejection": ejection}, "panic": "0%"})]

    w = env.weir(simple(bad, good, more=rules("1h")), workers=1)
    c = env.client(w.addr())
    until(lambda: c.ask().status == 503, "it fails once")
    weighted = [{"address": bad.address, "weight": 5}, good]
    for objects in (simple(bad, good, more=rules("2h")), simple(*weighted, more=rules("2h")), simple(bad, good, third, more=rules("1h")), simple(good, bad),
                    simple(bad, good, rules=[rule("shop", headers={"response": {"set": {"x": "1"}}})], more=rules("1h"))):
        w.reload(objects)
        same({e["address"]: e["state"] for e in w.endpoints()}[bad.address], "ejected")
        same({c.ask().body for _ in range(6)}, {b"good"})
    w.reload([gateway(), service("cart", bad, good), route("shop", rule("cart"))])
    same([e["state"] for e in w.endpoints("cart")], ["healthy", "healthy"])


def test_requests_under_way_count(env):
    """A request of the world before has its place in the breaker of the new one until it ends."""
    go = threading.Event()

    def handler(x):
        if x.request.target == "/held":
            go.wait(30)
        return reply()

    up = env.upstream(handler)

    def documents(most):
        return simple(up, more=[shop_policy(breaker={"maxRequests": most})])

    w = env.weir(documents(1))
    held = env.client(w.addr())
    held.request(target="/held")
    up.wait(1)
    c = env.client(w.addr())
    for most, status in ((1, 503), (2, 200), (1, 503), (0, 200)):
        w.reload(documents(most))
        same(w.service()["activeRequests"], 1)
        same(c.ask().status, status, "at most %d" % most)
    w.reload(documents(1))
    go.set()
    same(held.response().status, 200)
    until(lambda: w.service()["activeRequests"] == 0, "its place is free")
    same(c.ask().status, 200)


def test_whose_turn_it_is(env):
    """One worker: a reload before every request, and each endpoint has its weight all the same; a connection to each is enough."""
    for weights in ([3, 1, 2], [1, 1, 1]):
        ups = [env.upstream(name="u%d" % i) for i in range(3)]
        rows = [{"address": u.address, "weight": n} for u, n in zip(ups, weights)]
        w = env.weir(simple(*rows), workers=1)
        c = env.client(w.addr())
        got = []
        for i in range(2 * sum(weights)):
            w.reload(simple(*rows, rules=[rule("shop", headers={"response": {"set": {"x": str(i)}}})]))
            got.append(c.ask().body.decode())
        for at in range(sum(weights) + 1):
            same([got[at:at + sum(weights)].count(u.name) for u in ups], weights, got)
        same([u.connections for u in ups], [1, 1, 1])


def test_the_count_of_a_limit(env):
    """It belongs to the policy: other limits and windows apply to what was counted, another name begins anew, and so does one that was away."""
    up = env.upstream()

    def documents(name=None, **more):
        limit = {"requests": 5, "window": "1h", "key": {"header": "x-who"}, **more}
        return simple(up, more=[shop_policy(name, rateLimit=limit)] if name else [])

    w = env.weir(documents("one"))
    c = env.client(w.addr())

    def ask(who="a"):
        r = c.ask(headers=[("x-who", who)])
        return r.status, (r.header("ratelimit") or ";r=none;").split("r=")[1].split(";")[0]

    same([ask() for _ in range(3)], [(200, "4"), (200, "3"), (200, "2")])
    same(ask("b"), (200, "4"))
    w.reload(documents("one", requests=4))
    same((ask(), ask(), ask("b")), ((200, "0"), (429, "0"), (200, "2")))
    w.reload(documents("one", requests=9, window="2h"))
    same((ask(), ask("b")), ((200, "4"), (200, "6")))
    w.reload(documents("two"))
    same((ask(), ask("b")), ((200, "4"), (200, "4")))
    w.reload(documents())
    same(ask(), (200, "none"))
    w.reload(documents("two"))
    same(ask(), (200, "4"))


def test_totals_go_on(env):
    """Counters never fall, whatever is renamed around them."""
    up = env.upstream()
    w = env.weir(simple(up))
    c = env.client(w.addr())
    for n, objects in enumerate((simple(up), simple(up, gw=gateway(listener(), requestId=False)), simple(up, more=[route("more", rule("shop"), hosts=["b.example"])])), 1):
        same(c.ask().status, 200)
        until(lambda: w.metric("weir_listener_connections_total", listener="edge/web") == 1 and sum(
            v for k, v in w.metrics().items() if k.startswith("http_server_request_duration_seconds_count")) == n, lambda: w.metrics())
        w.reload(objects)


def test_limits_of_a_listener_do_not(env):
    """An open connection has those of the newest documents, with HTTP/2 as with HTTP/1."""
    up = env.upstream()

    def documents(**limits):
        return simple(up, more=[policy("p", {"gateway": "edge"}, limits=limits)])

    w = env.weir(documents(headers=8))
    clients = [env.client(w.addr()), H2Client(w.addr())]
    env.clients.append(clients[1])
    many, long = [("x-many", str(i)) for i in range(12)], [("x-long", "v" * 3000)]
    for limits, headers, status in (({}, many, 200), ({"headers": 20}, many, 200), ({"head": "64KiB"}, long * 8, 200), ({"head": "2KiB"}, long * 3, 431)):
        w.reload(documents(**limits))
        for c in clients:
            same(c.ask("GET", "/", headers).status, status, (limits, c))
