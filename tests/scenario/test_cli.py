"""The command line: exit codes, error texts with file, line and column, help, check, explain, compile, echo."""
import json
import os
import re
import signal
import socket
import subprocess
import threading

import yaml

from weirlib import Weir, edge_policy, gateway, listener, obj, policy, route, rule, same, secret, service, simple, split, until

GOOD = """\
apiVersion: weir/v1
kind: Gateway
metadata: {name: edge}
spec:
  listeners:
    - {name: web, address: "127.0.0.1:0", protocol: http}
---
apiVersion: weir/v1
kind: Service
metadata: {name: shop}
spec: {endpoints: ["127.0.0.1:9"]}
---
apiVersion: weir/v1
kind: Route
metadata: {name: shop}
spec:
  attach: [{gateway: edge}]
  hosts: [shop.example]
  rules:
    - match: [{path: {prefix: /api}}]
      to: [{service: shop}]
"""


def test_help_and_version(env):
    for args in (["--help"], ["help"], ["check", "--help"], ["up", "--help"], ["explain", "--help"]):
        code, out, err = env.run(*args)
        same((code, err), (0, ""), args)
        assert "weir" in out and len(out) > 80, out
    code, out, _ = env.run("--help")
    for name in ("up", "check", "explain", "compile", "proxy", "echo"):
        assert re.search(r"^\s+%s\s" % name, out, re.M), "%s is not in the help:\n%s" % (name, out)
    code, out, err = env.run("--version")
    same(code, 0)
    assert re.search(r"\d+\.\d+", out), out


def test_usage_errors_are_2(env):
    for args in ([], ["nonsense"], ["chek", "x"], ["check", "--nonsense", "x"], ["up"], ["explain", "x.yaml"], ["compile"], ["up", "--workers"], ["up", "--workers", "x", "f"]):
        code, out, err = env.run(*args)
        same(code, 2, "weir %r: %s" % (args, err))
        assert err.strip() and not out.strip(), (args, out, err)
    _, _, err = env.run("chek", "x")
    assert "check" in err, "the nearest command is named: %s" % err


def test_check(env):
    f = env.write("good.yaml", GOOD)
    code, out, err = env.run("check", f)
    same((code, err), (0, ""))
    code, out, err = env.run("check", env.path("none.yaml"))
    same(code, 1)
    assert "none.yaml" in err, err


def expect(env, text, *wanted, name="bad.yaml"):
    """weir check fails with one line for each (line, column, words); all in one pass."""
    f = env.write(name, text)
    code, out, err = env.run("check", f)
    same(code, 1, err)
    for line, col, *words in wanted:
        place = "%s:%d:%s" % (name, line, "" if col is None else "%d:" % col)
        rows = [row for row in err.splitlines() if place in row]
        assert rows, "no error at %s in:\n%s" % (place, err)
        assert any(all(word in row for word in words) for row in rows), "no %r in:\n%s" % (words, "\n".join(rows))
    return err


def test_errors_say_where(env):
    err = expect(env, GOOD.replace("protocol: http}", "protocl: http}").replace("endpoints: [", "endpoits: ["),
                 (6, None, "protocl", "protocol"), (11, None, "endpoits", "endpoints"))
    assert "\x1b" not in err, "no colour when the output is no terminal"


def test_error_kinds(env):
    expect(env, GOOD.replace("kind: Service", "kind: Sevice"), (9, None, "Sevice", "Service"))
    expect(env, GOOD.replace("weir/v1\nkind: Service", "weir/v9\nkind: Service"), (8, None, "weir/v9"))
    expect(env, GOOD.replace("to: [{service: shop}]", "to: [{service: shoop}]"), (21, None, "shoop"))
    expect(env, GOOD.replace("gateway: edge}", "gateway: egde}"), (17, None, "egde"))
    expect(env, GOOD.replace("prefix: /api", "prefix: api"), (20, None, "api"))
    expect(env, GOOD.replace("prefix: /api", "regex: \"(\""), (20, None))
    expect(env, GOOD.replace("127.0.0.1:0", "127.0.0.1:99999"), (6, None, "99999"))
    expect(env, GOOD.replace("metadata: {name: shop}\nspec: {end", "spec: {end"), (8, None, "name"))
    expect(env, GOOD + "---\n" + GOOD.split("---\n")[1], (25, None, "shop", "10"))
    expect(env, GOOD + "---\nfoo: [\n", (24, None), name="syntax.yaml")
    expect(env, GOOD + "a: &x b\n", name="anchor.yaml")


def test_errors_all_at_once(env):
    text = GOOD + "---\n" + "".join("---\napiVersion: weir/v1\nkind: Service\nmetadata: {name: s%d}\nspec: {endpoints: [\"127.0.0.1:1\"], nonsense%d: 1}\n" % (i, i) for i in range(10))
    f = env.write("many.yaml", text)
    _, _, err = env.run("check", f)
    same(len(re.findall(r"nonsense\d", err)) >= 10, True, err)


def test_two_rules_that_cannot_be_told_apart(env):
    err = expect(env, GOOD + "    - match: [{path: {prefix: /api}}]\n      to: [{service: shop}]\n")
    assert re.search(r"bad\.yaml:(20|22)", err), err


def test_policy_mistakes(env):
    text = GOOD + "---\napiVersion: weir/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  target: {service: shop}\n  "
    for body, words in (("timeout: {request: 5}", ["5"]), ("timeout: {request: 5 parsecs}", ["parsecs"]), ("retry: {attempts: -1}", ["-1"]), ("retry: {on: [sometimes]}", ["sometimes"]),
                        ("balance: {algorithm: magic}", ["magic"]), ("timeouts: {request: 5s}", ["timeouts", "timeout"]), ("limits: {head: 1}", ["limits"])):
        expect(env, text + body + "\n", (28, None, *words))


def test_variables(env):
    f = env.write("v.yaml", GOOD.replace("127.0.0.1:9", "${SHOP_ADDRESS}"))
    same(env.run("check", f, variables={"SHOP_ADDRESS": "127.0.0.1:9"})[0], 0)
    code, _, err = env.run("check", f)
    same(code, 1)
    assert "SHOP_ADDRESS" in err and "v.yaml:11" in err, err


def test_colour_only_on_a_terminal(env):
    """NO_COLOR switches it off there too."""
    f = env.write("bad.yaml", GOOD.replace("protocol", "protocl"))
    for variables, want in (({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)):
        environ = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        main, side = os.openpty()
        p = subprocess.Popen([env.binary, "check", f], stdin=subprocess.DEVNULL, stdout=side, stderr=side, env=dict(environ, **variables))
        os.close(side)
        data = b""
        while True:
            try:
                part = os.read(main, 4096)
            except OSError:
                break
            if not part:
                break
            data += part
        os.close(main)
        same(p.wait(10), 1)
        same(b"\x1b[" in data, want, "%r %r" % (variables, data))


def test_explain(env):
    f = env.write("good.yaml", GOOD)
    code, out, err = env.run("explain", "--request", "GET http://shop.example/api/x", f)
    same((code, err), (0, ""))
    assert re.search(r"^route +shop$", out, re.M) and re.search(r"^service +shop", out, re.M), out
    code, out, err = env.run("explain", "--request", "GET http://shop.example/other", f)
    assert "no route" in (out + err).lower() or "404" in out + err, out + err
    code, _, err = env.run("explain", "--request", "nonsense", f)
    assert code in (1, 2) and err, (code, err)


def test_explain_agrees_with_the_proxy(env):
    ups = {n: env.upstream(name=n) for n in ("a", "b", "c")}
    doc = [gateway(), *[service(n, u) for n, u in ups.items()],
           route("r", rule("a", path={"prefix": "/a"}), rule("b", match={"path": {"prefix": "/a"}, "method": "POST"}), rule("c", path={"exact": "/a/b"}), hosts=["shop.example"])]
    w = env.weir(doc)
    c = env.client(w.addr())
    for method, path, want in (("GET", "/a/x", "a"), ("POST", "/a/x", "b"), ("GET", "/a/b", "c"), ("GET", "/%61/b", "c"), ("GET", "/x/../a/y", "a")):
        same(c.ask(method, path).body.decode(), want)
        code, out, err = env.run("explain", "--request", "%s http://shop.example%s" % (method, path), w.file)
        same(code, 0, err)
        assert re.search(r"\b%s\b" % want, out), "explain %s %s:\n%s" % (method, path, out)


def test_explain_shows_where_a_field_comes_from(env):
    f = env.write("p.yaml", [*simple("127.0.0.1:9"), policy("slow", {"service": "shop"}, timeout={"request": "17s"})])
    code, out, err = env.run("explain", "--request", "GET http://x.example/", f)
    same(code, 0, err)
    row = next((line for line in out.splitlines() if "17s" in line), None)
    assert row and "slow" in row, out


def test_compile_and_proxy(env):
    """A compiled snapshot runs without the documents; a damaged one is refused."""
    up = env.upstream()
    f = env.write("good.yaml", simple(up))
    snapshot = env.path("good.snapshot")
    code, out, err = env.run("compile", "-o", snapshot, f)
    same((code, err), (0, ""))
    with open(snapshot, "rb") as fh:
        first = fh.read()
    same(env.run("compile", "-o", snapshot, f)[0], 0)
    with open(snapshot, "rb") as fh:
        same(fh.read() == first, True, "the same documents, the same bytes")
    os.remove(f)
    w = env.weir(None, command="proxy", paths=["--snapshot", snapshot])
    same(env.client(w.addr()).ask().status, 200)
    with open(snapshot, "r+b") as fh:  # as `cp other.snapshot good.snapshot` does
        fh.truncate(0)
    same(env.client(w.addr()).ask().status, 200, "the file is overwritten in place")
    for at in range(0, len(first), max(1, len(first) // 40)):
        damaged = bytearray(first)
        damaged[at] ^= 0x41
        with open(env.path("bad.snapshot"), "wb") as fh:
            fh.write(damaged)
        code, _, err = env.run("proxy", "--snapshot", env.path("bad.snapshot"), "--status", "127.0.0.1:0")
        same(code, 1, "byte %d damaged" % at)
        assert "bad.snapshot" in err, err
    with open(env.path("bad.snapshot"), "wb") as fh:
        fh.write(first[:-10])
    same(env.run("proxy", "--snapshot", env.path("bad.snapshot"))[0], 1)


def test_a_snapshot_is_overwritten_while_it_is_read(env):
    """What reads a mapping of a file that is cut short is ended by the kernel; a reload is refused or taken, whatever others do to the file."""
    up = env.upstream()
    many = [route("many%d" % i, *(rule("shop", path={"prefix": "/r%d" % k}) for k in range(1000)), hosts=["h%d.example" % i]) for i in range(30)]
    snapshot = env.path("large.snapshot")
    documents = env.write("large.yaml", "\n---\n".join(json.dumps(d) for d in simple(up, more=many)))  # JSON is YAML, and quicker to write
    code, _, err = env.run("compile", "-o", snapshot, documents)
    same((code, err), (0, ""))
    with open(snapshot, "rb") as f:
        whole = f.read()
    w = env.weir(None, command="proxy", paths=["--snapshot", snapshot])
    done = threading.Event()

    def overwrite():
        while not done.is_set():
            with open(snapshot, "r+b") as out:
                out.truncate(len(whole) // 8)
                out.seek(0)
                out.write(whole)
    writer = threading.Thread(target=overwrite)
    writer.start()
    try:
        for _ in range(30):
            before = w.status()["lastReload"]
            w.process.send_signal(signal.SIGHUP)
            until(lambda: sum(w.status()["lastReload"][k] - before[k] for k in ("succeeded", "failed")) == 1, w.stderr)
    finally:
        done.set()
        writer.join()
    w.reload()
    same(env.client(w.addr()).ask().status, 200)


def test_compile_is_independent_of_file_order(env):
    parts = GOOD.split("---\n")
    a = [env.write("a%d.yaml" % i, p) for i, p in enumerate(parts)]
    same(env.run("compile", "-o", env.path("1"), *a)[0], 0)
    same(env.run("compile", "-o", env.path("2"), *reversed(a))[0], 0)
    with open(env.path("1"), "rb") as one, open(env.path("2"), "rb") as two:
        same(one.read() == two.read(), True, "bytes")


def test_up_to(env):
    """`weir up --to URL`: a gateway to one address without any document."""
    up = env.upstream()
    w = env.weir(None, paths=["--to", "http://" + up.address, "--listen", "127.0.0.1:0"])
    name = w.status()["listeners"][0]["name"]
    same(env.client(w.addr(name)).ask("GET", "/x").status, 200)
    same(up.requests[0].target, "/x")


def test_up_with_a_bad_document_is_1(env):
    f = env.write("bad.yaml", GOOD.replace("protocol", "protocl"))
    code, out, err = env.run("up", f, "--status", "127.0.0.1:0")
    same(code, 1)
    assert "bad.yaml:6:" in err, err


def test_up_with_an_address_in_use_is_1(env):
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(1)
    address = "127.0.0.1:%d" % s.getsockname()[1]
    f = env.write("taken.yaml", GOOD.replace("127.0.0.1:0", address))
    code, out, err = env.run("up", f, "--status", "127.0.0.1:0")
    same(code, 1)
    assert address in err, err
    code, out, err = env.run("up", env.write("good.yaml", GOOD), "--status", address)
    same(code, 1)
    assert address in err, err
    s.close()


def test_output_to_a_closed_pipe(env):
    """`weir check … | head` ends without a crash."""
    p = subprocess.Popen([env.binary, "--help"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.close()
    err = p.stderr.read()
    assert p.wait(10) in (0, 1, -signal.SIGPIPE) and b"Sanitizer" not in err, (p.returncode, err)


def test_documents_from_standard_input(env):
    code, out, err = env.run("check", "-", text=GOOD.encode())
    same((code, err), (0, ""))
    code, out, err = env.run("check", "-", text=b"kind: x\n")
    same(code, 1)


def test_hostile_documents(env):
    """T22: depth, size, aliases and bytes that are no text end in an error, quickly."""
    for name, text in {"deep": b"a: " + b"[" * 100000, "flow": b"{" * 100000, "binary": bytes(range(256)) * 100, "nul": GOOD.encode().replace(b"edge", b"ed\0ge"),
                       "laughs": b"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", "utf16": GOOD.encode("utf-16"), "empty": b"", "number": b"12\n", "long": b"a: " + b"x" * 5000000}.items():
        with open(env.path(name + ".yaml"), "wb") as f:
            f.write(text)
        code, out, err = env.run("check", env.path(name + ".yaml"))
        assert code in (0, 1), (name, code, err[-2000:])
        if name not in ("empty", "utf16"):
            same(code, 1, name)
            assert err, name


class Yaml12(yaml.SafeLoader):
    """on, off, yes and no are text, as they are for weir."""


Yaml12.yaml_implicit_resolvers = {k: [r for r in v if r[0] not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")]
                                  for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
Yaml12.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))


def test_json_schema(env):
    """Documents that weir takes are valid by the schema it prints; mistakes of form are not."""
    import jsonschema  # here: the other tests of this file need no more than the rest
    same(env.run("docs", "--output", env.folder)[0], 0)
    with open(env.path("weir.schema.json"), encoding="utf-8") as f:
        schema = json.load(f)
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    validator = kind(schema)

    def faults(text):
        return [e.message for d in yaml.load_all(text, Yaml12) if d is not None for e in validator.iter_errors(d)]
    golden = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden")
    for name in sorted(os.listdir(golden)):
        if name.endswith(".yaml") and not name.startswith("bad-"):
            with open(os.path.join(golden, name), encoding="utf-8") as f:
                same(faults(f.read()), [], name)
    with open(os.path.join(golden, "shop.yaml"), encoding="utf-8") as f:
        shop = f.read()
    for right, wrong in (("kind: Gateway", "kind: Gatway"), ("weir/v1", "weir/v2"), ("listeners:", "listner:"), ("protocol: https", "protocol: htps"),
                         ("request: 10s", "request: 10 seconds"), ("prefix: /api", "prefix: api"), ("name: edge", "name: Edge"), ("weight: 1", "weight: much")):
        assert right in shop and faults(shop.replace(right, wrong)), wrong
    policy = "apiVersion: weir/v1\nkind: Policy\nmetadata: { name: p }\nspec:\n  target: { service: shop }\n"
    for good in ('  timeout: { request: "${LIMIT}" }\n', '  retry: { attempts: "${N}", on: [ 503 ] }\n', "  rateLimit: { window: 1m }\n"):
        same(faults(policy + good), [], good)
    for bad in ("  timeout: { request: 5 }\n", '  retry: { attempts: "five" }\n', "  rateLimt: { window: 1m }\n", "  rateLimit: { requests: -1 }\n"):
        assert faults(policy + bad), bad


def test_a_variable_without_quotes_between_braces(env):
    doc = env.write("bad.yaml", GOOD.replace("protocol: http}", "protocol: ${PROTOCOL}}"))
    code, _, err = env.run("check", doc)
    same((code, "a variable needs quotes" in err), (1, True), err)


def test_explain_takes_a_query_without_a_path(env):
    doc = env.write("shop.yaml", GOOD)
    same(env.run("explain", "--request", "GET http://shop.example?x=/1", doc)[0], env.run("explain", "--request", "GET http://shop.example/?x=/1", doc)[0])
    assert "malformed" not in env.run("explain", "--request", "GET http://shop.example?x=/1", doc)[2]


def bash_completes(env, *words):
    script = env.write("complete.sh", """source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_weir
printf '%s\\n' "${COMPREPLY[@]}"
""")
    source = env.write("weir.bash", env.run("complete", "bash")[1])
    r = subprocess.run(["bash", "--norc", script, source, *words], cwd=env.folder, capture_output=True, text=True, timeout=20)
    same((r.returncode, r.stderr), (0, ""), words)
    return set(r.stdout.split())


def test_completion_in_bash(env):
    env.write("shop.yaml", GOOD)
    for words, want, unwanted in ((["weir", ""], {"up", "explain", "help"}, {"shop.yaml"}), (["weir", "ex"], {"explain"}, {"up"}), (["weir", "up", "--st"], {"--status"}, {"--to"}),
                                  (["weir", "up", "sh"], {"shop.yaml"}, set()), (["weir", "up", "--status", ""], set(), {"shop.yaml"}), (["weir", "up", "--data", "sh"], {"shop.yaml"}, set()),
                                  (["weir", "check", "--output", ""], {"json", "text"}, {"shop.yaml"}), (["weir", "check", "-o", ""], {"json", "text"}, {"shop.yaml"}), (["weir", "docs", ""], {"Gateway", "rateLimit"}, {"shop.yaml"}),
                                  (["weir", "complete", ""], {"bash", "zsh", "fish"}, {"shop.yaml"}), (["weir", "help", "e"], {"echo", "explain"}, {"up"})):
        got = bash_completes(env, *words)
        assert want <= got and not unwanted & got, "%r gave %r" % (words, got)
    for shell in ("zsh", "fish"):
        code, out, err = env.run("complete", shell)
        same((code, err), (0, ""))
        assert "explain" in out and "status" in out and "json text" in out and "rateLimit" in out, out
        odd = [l for l in out.splitlines() if l.replace("'\\''", "").count("'") % 2]  # a quotation mark of a text must not end a word
        same(odd, [])
    same(env.run("complete", "paths", "Policy", "spec.rateLimit.")[0], 0)
    assert "requests" in env.run("complete", "paths", "Policy", "spec.rateLimit.")[1]


def test_help_of_what_is_not_there(env):
    code, out, err = env.run("help", "upp")
    same((code, out), (2, ""))
    assert "did you mean 'up'" in err, err
    assert "did you mean '--workers'" in env.run("up", "--worker", "3")[2]


def test_output_formats(env):
    good, bad = env.write("good.yaml", GOOD), env.write("bad.yaml", GOOD.replace("protocol", "protocl"))
    code, out, err = env.run("check", "-o", "json", good)
    same((code, json.loads(out), err), (0, {"good": True, "errors": []}, ""))
    code, out, err = env.run("check", bad, "-o", "json")
    same((code, err), (1, ""))
    row = json.loads(out)["errors"][0]
    same((row["file"], row["line"], row["path"], row["severity"]), (bad, 6, "spec.listeners[0]", "error"))
    assert "protocl" in row["message"], row
    same(json.loads(env.run("version", "-o", "json")[1])["version"], env.run("version")[1].split()[1])
    row = json.loads(env.run("explain", "-o", "json", "--request", "GET http://shop.example/api/x", good)[1])
    same((row["listener"], row["route"], row["ruleAt"], row["to"][0]["service"]), ("edge/web", "shop", good + ":20", "shop"))
    for args in (["check", good], ["version"], ["explain", "--request", "GET http://x.example/", good]):
        same(env.run(*args, "-o", "xml")[0], 2, args)


def test_explain_says_where_things_stand_and_why_not(env):
    f = env.write("good.yaml", GOOD)
    _, out, _ = env.run("explain", "--request", "GET http://shop.example/api/x", f)
    for line in (r"^listener +edge/web \(.*good\.yaml:6\)$", r"^rule +0 \(.*good\.yaml:20\)$", r"^service +shop, weight 1 \(.*good\.yaml:8\)$"):
        assert re.search(line, out, re.M), "%s in\n%s" % (line, out)
    for url, why in (("https://shop.example/api", "speaks http"), ("http://shop.example/x", "no rule")):
        code, _, err = env.run("explain", "--request", "GET " + url, f)
        same(code, 1)
        assert re.search("edge/web .*" + why, err), err


def test_address_errors_say_what_to_do(env):
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(1)
    address = "127.0.0.1:%d" % s.getsockname()[1]
    for args, words in ((["--to", "http://127.0.0.1:9", "--listen", address], "another process has it"), (["--to", "http://127.0.0.1:9", "--listen", "192.0.2.1:0"], "no interface")):
        code, _, err = env.run("up", *args, "--status", "off")
        same(code, 1)
        assert words in err, err
    code, _, err = env.run("up", "--to", "http://127.0.0.1:9", "--listen", "127.0.0.1:0", "--status", address)
    same(code, 1)
    assert "--status ADDR" in err, err
    s.close()


def test_man_page(env):
    """The page comes from the command table; what roff would act on is escaped."""
    code, out, err = env.run("docs", "--man")
    same((code, err), (0, ""))
    for words in (".TH WEIR 1", ".SS weir explain", "\\-\\-status", ".SH EXIT STATUS"):
        assert words in out, words
    known = (".TH", ".SH", ".SS", ".B", ".I", ".TP", ".PP", ".nf", ".fi")
    same([row for row in out.splitlines() if row.startswith(".") and row.split()[0] not in known], [])
    if os.path.exists("/usr/bin/groff"):
        r = subprocess.run(["groff", "-man", "-ww", "-Tutf8"], input=out, capture_output=True, text=True, timeout=20)
        same(r.stderr, "")


def test_reader_that_goes_away_hears_nothing(env):
    r, w = os.pipe()
    os.close(r)
    p = subprocess.Popen([env.binary, "docs"], stdin=subprocess.DEVNULL, stdout=w, stderr=subprocess.PIPE)
    os.close(w)
    err = p.stderr.read()
    same((p.wait(20), err), (1, b""))


def test_a_key_that_is_not_the_certificates(env):
    """Told where it is written, before anything is rolled out: check and compile say the same, and no snapshot is made."""
    ca = env.ca()
    one, two = ca.issue("one.example"), ca.issue("two.example")
    with open(two.key, encoding="ascii") as f:
        inline = f.read()
    for tls, place in (({"certificateFile": one.cert, "keyFile": two.key}, "spec.tls.keyFile"), ({"certificateFile": one.cert, "key": inline}, "spec.tls.key")):
        file = env.write("pair.yaml", simple("127.0.0.1:9", more=[obj("Secret", "pair", {"tls": tls})]))
        told = [env.run(*command, file) for command in (("check",), ("compile", "-o", env.path("pair.snapshot")), ("compile", "--print"))]
        same([(code, out) for code, out, _ in told], [(1, "")] * 3)
        same(len({err for _, _, err in told}), 1)
        assert re.match(r".*pair\.yaml:\d+:\d+: %s: does not match the certificate\n$" % re.escape(place), told[0][2]), told
    assert not os.path.exists(env.path("pair.snapshot"))


def test_wrong_values_are_told_before_anything_runs(env):
    """An option's value that cannot be is 2 and names the option; no file, no socket and no default in its place."""
    pair = env.ca().issue("localhost")
    to = ["up", "--to", "http://127.0.0.1:9"]
    for args, word in ((["echo", "9000"], "takes no operands, but got '9000'"), (["proxy", "--snapshot", "x", "y"], "takes no operands"), (["echo", "--listen", "x"], "--listen"),
                       (["echo", "--tls-cert", pair.cert], "--tls-cert and --tls-key go together"), (["echo", "--tls-key", pair.key], "go together"),
                       ([*to, "--status", "8007"], "--status takes an address"), ([*to, "--listen", "127.0.0.1:8o"], "--listen takes an address"),
                       (["up", "--to", "ftp://127.0.0.1:9"], "--to takes"), (["up", "--to", "http://127.0.0.1:9/path"], "no path"),
                       (["complete", "paths", "Routee"], "did you mean 'Route'"), (["docs", "retri"], "did you mean 'retry'")):
        code, out, err = env.run(*args)
        same((code, out), (2, ""), "%r: %s" % (args, err))
        assert word in err, err
    code, _, err = env.run("echo", "--tls-cert", env.path("none.pem"), "--tls-key", pair.key)
    assert code == 1 and "none.pem: cannot be read: No such file" in err, err


def test_yaml_mistakes_are_told_with_what_to_do(env):
    good = ["apiVersion: weir/v1", "kind: Route", "metadata: { name: r }", "spec:", "  attach: [ { gateway: edge } ]", "  rules: [ { reply: { body: x } } ]"]
    for line, text, word in ((4, "  hosts: [ *.shop.example ]", 'begins with * needs quotes: "*.shop.example"'), (4, "  hosts:\n    - *.shop.example", "needs quotes"),
                             (4, "\thosts: [ shop.example ]", "indent with spaces"), (3, "metadata: { name: @r }", "begins with @"),
                             (5, "  rules: [ { match: [ { path: { template: /u/{id} } } ], reply: { body: x } } ]", "needs quotes there"),
                             (1, "kind: HTTPRoute", "the kinds are Gateway, Policy, Route, Secret, Service")):
        lines = list(good)
        lines[line:line + (line in (1, 3, 5))] = [text]
        code, _, err = env.run("check", env.write("d.yaml", "\n".join(lines) + "\n"))
        assert code == 1 and word in err and "d.yaml:" in err, (text, err)
    env.write("twice/a.yaml", "\n".join(good).replace("Route", "Service").split("spec:")[0] + "spec: {}\n")
    err = env.run("check", env.path("twice"), env.path("twice/a.yaml"))[2]
    assert "this file was given twice" in err, err


def test_explain_of_a_listener_that_is_not_there(env):
    f = env.write("d.yaml", simple("127.0.0.1:9"))
    code, out, err = env.run("explain", "-r", "http://x/", "-l", "web", f)
    assert (code, out) == (1, "") and "there is no listener 'web'; it is one of\n  edge/web" in err, err
