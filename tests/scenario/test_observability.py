"""What an operator sees: access log, metrics, identifiers, problems, status pages."""
import json
import os
import re
import threading

from h2peers import H2Client
from peers import reply
from weirlib import edge_policy, gateway, listener, policy, route, rule, same, secret, service, simple, until

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def test_access_log_fields(env):
    up = env.upstream(lambda x: reply(201, "hello"))
    w = env.weir(simple(up))
    c = env.client(w.addr())
    c.ask("POST", "/a/b?secret=1", [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")], body=b"body")
    row = w.wait_access()[0]
    want = {"listener": "edge/web", "client": "127.0.0.1", "method": "POST", "host": "shop.example", "path": "/a/b", "protocol": "HTTP/1.1", "status": 201, "route": "shop",
            "service": "shop", "endpoint": up.address, "tries": 1, "bytes_in": 4, "bytes_out": 5, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
    same({k: row.get(k) for k in want}, want)
    assert UUID7.fullmatch(row["request_id"]), row
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", row["time"]), row
    assert row["duration_us"] >= row["upstream_us"] >= 0 and row["gateway_us"] >= 0, row
    assert "secret" not in json.dumps(row), "queries are not logged: %r" % row


def test_access_log_of_failures(env):
    def handler(x):
        return None

    w = env.weir([gateway(), service("shop", env.upstream(handler)), route("shop", rule("shop"), hosts=["shop.example"])])
    c = env.client(w.addr())
    c.ask()
    row = w.wait_access(status=502)[0]
    same((row["failed"], row["why"]), ("upstream", "connection_terminated"))
    c.ask(host="nowhere.example")
    row = w.wait_access(status=404)[0]
    same((row["failed"], row.get("service")), ("client", None))
    c.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    c.response()
    same(w.wait_access(status=400)[0]["failed"], "client")


def test_log_injection(env):
    """T31: no byte of a request makes a second line, a second field, or moves a terminal."""
    w = env.weir(simple(env.upstream()))
    evil = '/%22,%22status%22:999,%22x%22:%22%0a{%22time%22:1}%1b[2J'
    env.client(w.addr()).ask("GET", evil, [("User-Agent", '","x":"')])
    c = env.client(w.addr())
    c.send("GET /" + "\x1b[2J" + " HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    c.response()
    c = env.client(w.addr())
    c.send('G","status":999,"x":"T / HTTP/1.1\r\nHost: shop.example\r\n\r\n')
    c.response()
    c = env.client(w.addr())
    c.send("GET /\xe2\x80\xae\xff HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    c.response()
    h = H2Client(w.addr())
    env.clients.append(h)
    h.ask("GET", "/ok?\"},{")
    rows = w.wait_access(5)
    same(len(rows), 5)
    assert all(r["status"] in (200, 400) and "x" not in r for r in rows), rows
    with open(w.out_path, "rb") as f:
        data = f.read()
    assert not [b for b in data if b < 32 and b != 10 or b == 127], data
    data.decode("utf-8")


def test_access_log_file_and_sample(env):
    path = env.path("access.log")
    w = env.weir(simple(env.upstream(), gw=gateway(accessLog={"file": path})))
    c = env.client(w.addr())
    for _ in range(100):
        c.ask()
    until(lambda: os.path.exists(path) and open(path, encoding="utf-8").read().count("\n") == 100, "100 lines in the file")
    same(w.access(), [])
    w.reload(simple(env.upstream(), gw=gateway(accessLog={"sample": "20%"})))
    for _ in range(1000):
        c.ask()
    until(lambda: 120 < len(w.access()) < 290, lambda: "about 200 lines: %d" % len(w.access()))


def test_access_log_off(env):
    w = env.weir(simple(env.upstream(), gw=gateway(accessLog={"mode": "off"})))
    env.client(w.addr()).ask()
    w.stop()
    same(w.access(), [])


def test_every_request_is_logged_once_under_load(env):
    w = env.weir(simple(env.upstream()))
    tasks = [env.thread(lambda: [env.client(w.addr()).ask().status for _ in range(50)]) for _ in range(20)]
    for t in tasks:
        t.result()
    w.stop()
    rows = w.access()
    same(len(rows), 1000)
    same(len({r["request_id"] for r in rows}), 1000)


def test_request_id(env):
    """Made here (UUIDv7), the same for client, upstream, log and problem; one from outside is not believed."""
    up = env.upstream()
    w = env.weir([gateway(), service("shop", up), route("shop", rule("shop"), hosts=["shop.example"])])
    c = env.client(w.addr())
    r = c.ask("GET", "/", [("X-Request-Id", "forged-id-12345")])
    rid = r.header("x-request-id")
    assert UUID7.fullmatch(rid), rid
    same(up.requests[0].header("x-request-id"), rid)
    same(w.wait_access()[0]["request_id"], rid)
    second = c.ask().header("x-request-id")
    assert second != rid and second[:10] >= rid[:10], "ordered by time"
    r = c.ask(host="none.example")
    same(json.loads(r.body)["request_id"], r.header("x-request-id"))


def test_request_id_off(env):
    up = env.upstream()
    w = env.weir(simple(up, gw=gateway(requestId=False)))
    r = env.client(w.addr()).ask()
    assert "x-request-id" not in r.headers and "x-request-id" not in up.requests[0].headers


def test_traceparent(env):
    """A good one passes as it is; a malformed one, and its tracestate, do not."""
    up = env.upstream()
    c = env.client(env.weir(simple(up)).addr())
    good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    c.ask("GET", "/", [("traceparent", good), ("tracestate", "a=b")])
    same((up.requests[0].header("traceparent"), up.requests[0].header("tracestate")), (good, "a=b"))
    for bad in ("xyzzy", good.upper(), good[:-1], "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01", "ff" + good[2:], good + "-x"):
        c.ask("GET", "/", [("traceparent", bad), ("tracestate", "a=b")])
        q = up.requests[-1]
        assert bad not in q.raw.decode() and "tracestate" not in q.headers, q.raw


def test_problem_shape(env):
    """RFC 9457 with a stable type; HEAD has the head alone."""
    w = env.weir([gateway(), service("shop", env.upstream()), route("shop", rule("shop"), hosts=["shop.example"])])
    c = env.client(w.addr())
    r = c.ask(host="none.example")
    body = json.loads(r.body)
    same(set(body), {"type", "title", "status", "detail", "request_id"})
    same((r.status, body["status"], body["title"], r.header("server"), r.header("proxy-status")), (404, 404, "Not Found", "weir", "weir; error=http_request_denied"))
    r = c.ask("HEAD", host="none.example")
    same((r.status, r.body), (404, b""))
    same(c.ask().status, 200)


def test_metrics(env):
    w = env.weir([gateway(), service("shop", env.upstream(lambda x: reply(500 if x.request.target == "/500" else 200))), route("shop", rule("shop"), hosts=["shop.example"])])
    c = env.client(w.addr())
    for _ in range(3):
        c.ask("POST", "/", body=b"12345")
    c.ask("GET", "/500")
    c.ask(host="none.example")
    w.wait_access(5)
    until(lambda: w.metric("http_server_request_duration_seconds_count", code="2xx") == 3, lambda: "three: %r" % w.metrics())
    same(w.metric("http_server_request_duration_seconds_count", service="shop", route="shop", listener="edge/web"), 4)
    same(w.metric("http_server_request_duration_seconds_count", code="5xx"), 1)
    same(w.metric("http_server_request_duration_seconds_count", code="4xx"), 1)
    same(w.metric("http_client_request_duration_seconds_count", service="shop"), 4)
    same(w.metric("weir_listener_connections_total", listener="edge/web"), 1)
    same(w.metric("weir_listener_active_connections", listener="edge/web"), 1)
    same(w.metric("weir_listener_received_bytes_total", listener="edge/web"), 15)
    same(w.metric("weir_request_failures_total", error="http_request_denied"), 1)
    code, headers, text = w.get("/metrics")
    assert headers["content-type"].startswith("text/plain; version=0.0.4"), headers
    check_exposition(text)


def check_exposition(text):
    """The Prometheus text format: HELP and TYPE once a family, samples of a family together, histograms cumulative and complete."""
    seen, current, buckets = set(), None, {}
    for line in text.split("\n"):
        if not line:
            continue
        if line.startswith("# "):
            _, what, name, _ = line.split(" ", 3)
            assert what in ("HELP", "TYPE"), line
            if name != current:
                assert name not in seen, "family %s comes twice" % name
                seen.add(name)
                current = name
            continue
        m = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)', line)
        assert m, "malformed sample %r" % line
        assert m.group(1).startswith(current), "%s under %s" % (line, current)
        value = float(m.group(4))
        if m.group(1).endswith("_bucket"):
            key = (m.group(1), re.sub(r'le="[^"]*"', "", m.group(3)))
            assert value >= buckets.get(key, 0), "not cumulative: %s" % line
            buckets[key] = value


def test_metric_labels_are_bounded_and_escaped(env):
    """T31: what a client sends never becomes a label."""
    w = env.weir(simple(env.upstream()))
    c = env.client(w.addr())
    for i in range(200):
        c.ask("M%d" % i, "/path-%d" % i, [("X-%d" % i, "1")], host="h%d.example" % i)
    n = len(w.metrics())
    assert n < 400, n
    assert "path-1" not in w.get("/metrics")[2]


def test_ready_and_live(env):
    go = threading.Event()

    def handler(x):
        go.wait(15)
        return reply()

    up = env.upstream(handler)
    w = env.weir(simple(up))
    same((w.get("/ready")[0], w.get("/live")[0], w.get("/")[0]), (200, 200, 200))
    same(w.get("/nothing")[0], 404)
    same(w.get("/status", "POST")[0], 405)
    same(w.get("/ready", "HEAD")[2], "")
    c = env.client(w.addr())
    c.request()
    up.wait()
    task = env.thread(w.stop)
    until(lambda: w.log("draining"), "draining")
    same(w.get("/ready")[0], 503)
    same(w.status()["state"], "draining")
    go.set()
    same(c.response().status, 200)
    task.result()


def test_status_page(env):
    up = env.upstream()
    w = env.weir(simple(up))
    c = env.client(w.addr())
    c.ask()
    s = w.status()
    same((s["state"], s["pid"], s["workers"], s["rules"], s["connections"], s["generation"]), ("running", w.process.pid, 2, 1, 1, 1))
    assert re.fullmatch("[0-9a-f]{64}", s["configHash"]), s["configHash"]
    same([row["name"] for row in s["listeners"]], ["edge/web"])
    same((s["services"][0]["name"], s["services"][0]["connections"], s["services"][0]["endpoints"][0]["address"]), ("shop", 1, up.address))
    same(s["lastReload"]["ok"], True)


def test_config_page_shows_no_secrets(env):
    """T30: neither the page nor any log holds a private key."""
    pair = env.ca().issue("shop.example")
    doc = simple(env.upstream(), gw=gateway(listener(protocol="https", tls={"certificates": [{"secret": "cert"}]})), more=[secret("cert", pair), edge_policy(timeout={"request": "7s"})])
    w = env.weir(doc)
    code, _, text = w.get("/config")
    same(code, 200)
    json.loads(text)
    assert "7s" in text and "shop" in text, text[:2000]
    with open(pair.key, encoding="ascii") as f:
        key = "".join(f.read().split("\n")[1:-2])
    with open(w.out_path, encoding="utf-8") as f:
        everything = text + w.get("/status")[2] + w.stderr() + f.read()
    for part in (key[:40], key[40:80], "PRIVATE KEY"):
        assert part not in everything, "a private key is shown"


def test_credentials_in_headers_are_not_shown(env):
    """A header that is set or compared often is a credential; by its name it is known: in routes, in policies, wherever they are printed."""
    up = env.upstream()
    edits = {"request": {"set": {"Authorization": "Bearer top-${TOKEN}", "X-Plain": "plain-value"}, "add": {"X-Api-Key": "key-${TOKEN}"}},
             "response": {"set": {"Set-Cookie": "sid=${TOKEN}"}}}
    asked = {"headers": [{"name": "Authorization", "exact": "Basic ${TOKEN}"}], "query": [{"name": "access_token", "prefix": "${TOKEN}"}]}
    doc = [gateway(), service("shop", up), route("r", rule("shop", headers=edits), rule("shop", match=asked)), edge_policy(headers=edits)]
    w = env.weir(doc, variables={"TOKEN": "S3CR3T"})
    same(env.client(w.addr()).ask().header("set-cookie"), "sid=S3CR3T")
    same(up.requests[0].header("authorization"), "Bearer top-S3CR3T")
    more = {"TOKEN": "S3CR3T"}
    shown = [w.get("/config")[2], w.get("/status")[2], w.get("/metrics")[2], w.stderr(), json.dumps(w.access()),
             *(env.run(*args, w.file, variables=more)[1] for args in (["compile", "--print"], ["explain", "-r", "http://x/"], ["explain", "-o", "json", "-r", "http://x/"]))]
    for text in shown:
        assert "S3CR3T" not in text, text
    assert "plain-value" in shown[0] and "Authorization" in shown[0] and "plain-value" in shown[5], shown[0]


def test_status_pages_are_for_get_only_and_hold_under_garbage(env):
    w = env.weir(simple(env.upstream()))
    for data in (b"\x00" * 100, b"GET /status HTTP/9.9\r\n\r\n", b"GET " + b"/" * 40000 + b" HTTP/1.1\r\n\r\n"):
        c = env.client(w.status_address)
        try:
            c.send(data)
            c.reader.rest()
        except OSError:
            pass
    same(w.get("/ready")[0], 200)
    code, headers, _ = w.get("/status", "DELETE")
    same((code, headers["allow"]), (405, "GET, HEAD"))


def test_log_is_json_lines(env):
    w = env.weir(simple(env.upstream()))
    w.stop()
    lines = [line for line in w.stderr().split("\n") if line]
    rows = [json.loads(line) for line in lines]
    assert all(set(r) >= {"time", "level", "msg"} for r in rows), rows
    assert [r["msg"] for r in rows][-1] == "stopped", rows
