"""Requests whose time is over before their service has them: endpoints that never accept, pauses of filters, the line of a breaker. Who is
named, who is ejected, what may be tried again."""
from test_resilience import Blackhole, hang, problem, shop_policy
from weirlib import edge_policy, policy, route, rule, gateway, same, service, simple, until


def test_an_endpoint_that_never_accepts_is_ejected(env):
    """A try, or a whole request, that is shorter than connecting takes: the endpoint failed it, as if the connect time limit had passed."""
    for limits in ({"perTry": "1s"}, {"request": "1s"}):
        hole, up = Blackhole(env), env.upstream()
        w = env.weir(simple(hole, up, more=[shop_policy(timeout=dict(limits, connect="60s"), health={"passive": {"consecutive": 2, "ejection": "60s"}})]), workers=1)
        c = env.client(w.addr())
        failed = [r for r in (c.ask() for _ in range(8)) if r.status != 200]
        same(len(failed), 2, "two failures in a row, then it is left out")
        for r in failed:
            problem(r, 504, "connect-timeout", "connection_timeout")
        same([e["state"] for e in w.endpoints() if e["address"] == hole.address], ["ejected"])
        row = w.wait_access(8)
        same({(r["failed"], r["why"], r["endpoint"]) for r in row if r["status"] == 504}, {("upstream", "connection_timeout", hole.address)})


def test_what_was_never_sent_is_tried_again(env):
    """The default conditions: not having been connected in a try's time is a connect-failure, and nothing of a POST has been sent."""
    for retry in ({"attempts": 1}, {"attempts": 1, "on": ["timeout"]}):
        hole, up = Blackhole(env), env.upstream()
        w = env.weir(simple(hole, up, more=[shop_policy(timeout={"perTry": "1s", "connect": "60s"}, retry=dict(retry, backoffBase="1ms"))]), workers=1)
        c = env.client(w.addr())
        same([c.ask("POST", body=b"x").status for _ in range(4)], [200] * 4)
        same([r.body for r in up.requests], [b"x"] * 4)


def test_a_connection_that_nobody_waits_for_fails_nobody(env):
    """Whoever comes later has the whole connect time limit of his own, not the rest of another one's."""
    hole = Blackhole(env)
    w = env.weir([gateway(), service("shop", hole), route("short", rule("shop", path={"prefix": "/short"})), route("long", rule("shop", path={"prefix": "/long"})),
                  shop_policy(timeout={"connect": "1500ms"}), policy("s", {"route": "short"}, timeout={"request": "700ms"})], workers=1)
    c = env.client(w.addr())
    problem(c.ask(target="/short"), 504, "connect-timeout", "connection_timeout")
    problem(c.ask(target="/long"), 504, "connect-timeout", "connection_timeout")
    row = w.wait_access(1, path="/long")[0]
    assert row["duration_us"] >= 1400000, row


def test_a_pause_of_a_filter_is_part_of_the_request_time(env):
    """The service never hears of a request whose time went by before it, and is not blamed."""
    up = env.upstream()
    w = env.weir(simple(up, up.address.replace("127.0.0.1", "127.0.0.2"), more=[
        shop_policy(timeout={"request": "100ms"}, fault={"delay": {"duration": "1s"}}, health={"passive": {"consecutive": 1}})]))
    c = env.client(w.addr())
    problem(c.ask("POST", body=b"x"), 504, "upstream-timeout", "http_response_timeout")
    row = w.wait_access()[0]
    same((row["failed"], row["tries"], row.get("endpoint")), ("gateway", 0, None))
    problem(c.ask("POST", body=b"x"), 504, "upstream-timeout", "http_response_timeout")
    same((len(up.requests), {e["state"] for e in w.endpoints()}), (0, {"healthy"}))


def test_the_line_of_a_breaker_is_the_gateways(env):
    up = env.upstream(hang)
    w = env.weir(simple(up, more=[shop_policy(timeout={"request": "0"}, breaker={"maxConnections": 1}), policy("r", {"route": "late"}, timeout={"request": "100ms"}),
                                  route("late", rule("shop", path={"prefix": "/late"}))]), workers=1)
    first = env.client(w.addr())
    first.request()
    up.wait()
    problem(env.client(w.addr()).ask(target="/late"), 504, "upstream-timeout", "connection_limit_reached")
    same(w.wait_access(1, path="/late")[0]["failed"], "gateway")


def test_shedding_says_why(env):
    w = env.weir(simple(env.upstream(), more=[edge_policy(limits={"connections": 1})]))
    first = env.client(w.addr())
    same(first.ask().status, 200)
    r = env.client(w.addr()).response()
    problem(r, 503, "overloaded", "connection_limit_reached")
    same(r.header("retry-after"), "1")
    assert b'"detail":"' in r.body, r.body
    first.close()
    until(lambda: w.status()["connections"] == 0, "the first one is gone")
    same(env.client(w.addr()).ask().status, 200)
