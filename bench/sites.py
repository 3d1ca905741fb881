"""The servers under measurement and their configurations: one backend, Weir, and its peers as tuned in bench/conf."""
import os
import signal
import subprocess
import time

import lab as L
import routes

HOSTS, RULES = 1000, 100  # the 100,000 routes
SPREAD = 5000  # requests of the lookup row go to so many of them
FIRST, LAST = (routes.host(0), routes.path(0)), (routes.host(HOSTS - 1), routes.path(RULES - 1))
CHANGED = "/changed"  # the path that only the swapped routes have
TEMP = "".join("    %s_temp_path %%s/temp-%s;\n" % (k, k) for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))


class Server:
    """Something that can be started: argv, and the ports on which it answers by kind of traffic."""

    def __init__(self, lab, name, argv, ports, wrap=()):
        self.lab, self.name, self.argv, self.ports, self.process = lab, name, [*wrap, *argv], ports, None

    def start(self):
        self.process = self.lab.start(self.argv, self.name)
        return self

    def log(self):
        with open(self.process.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def answers(self, host="bench.test", path="/", port=None):
        if self.process.poll() is not None:
            raise L.Trouble("%s ended: %s" % (self.name, self.log()[-500:]))
        try:
            return L.get_once(port or self.ports["h1"], host, path, timeout=60) == 200
        except OSError:
            return False

    def up(self):
        self.start()
        L.until(self.answers, "%s to answer (%s)" % (self.name, self.process.log_path), 90)
        return self

    def pid(self):
        return self.process.pid

    def stop(self, grace=10.0):
        self.lab.stop(self.process, grace)

    def kill(self):
        self.lab.kill(self.process)


def nginx_argv(lab, conf):
    return ["nginx", "-e", "stderr", "-p", lab.folder, "-c", conf]


def temp_paths(lab, name):
    base = lab.path(name + ".temp")
    os.makedirs(base, exist_ok=True)
    return TEMP % ((base,) * 5)


def backend(lab):
    ports = {"h1": lab.port(), "h2": lab.port()}
    conf = lab.write("backend.conf", L.templated("backend.conf", DIR=lab.folder, NOFILE=lab.nofile, BACKEND=ports["h1"], BACKEND_H2=ports["h2"],
                                                 TEMP=temp_paths(lab, "backend"), BODY=L.BODY))
    return Server(lab, "backend", nginx_argv(lab, conf), ports).up()


# ---- routes ----
def weir_one_route(listeners=("web",)):
    attach = ", ".join("{gateway: edge, listener: %s}" % l for l in listeners)
    return ("---\napiVersion: weir/v1\nkind: Route\nmetadata: {name: web}\nspec:\n  attach: [%s]\n"
            "  rules: [{match: [{path: {prefix: /}}], to: [{service: u}]}]\n" % attach)


def weir_routes(changed=False):
    """`changed` makes one route differ: what is swapped is then another world."""
    text = routes.documents(HOSTS, RULES)
    return text.replace("prefix: %s " % routes.path(0), "prefix: %s " % CHANGED, 1) if changed else text


# ---- Weir ----
def weir(lab, back, name="weir", wrap=(), logs=False):
    """All kinds of traffic; neither access log nor request id unless `logs`."""
    ports = {k: lab.port() for k in ("h1", "tls", "grpc")}
    ports["h2"] = ports["h1"]
    log = "{mode: on, file: %s}" % lab.path(name + ".access") if logs else "{mode: off}"
    doc = lab.write(name + ".yaml", L.templated("weir.yaml", WEB=ports["h1"], TLS=ports["tls"], GRPC=ports["grpc"], LOG=log,
                                                ID="true" if logs else "false", CERT=lab.cert, KEY=lab.key, BACKEND=back.ports["h1"],
                                                BACKEND_H2=back.ports["h2"], ROUTES=weir_one_route(("web", "tls"))))
    return Server(lab, name, [lab.binary, "up", "--workers", "1", "--watchdog", "0", "--status", "127.0.0.1:0", doc], ports, wrap)


def weir_document(lab, back, name, routes):
    port = lab.port()
    doc = lab.write(name + ".yaml", L.templated("weir-routes.yaml", WEB=port, BACKEND=back.ports["h1"], ROUTES=routes))
    return doc, {"h1": port}


def compiled(lab, doc, out):
    done = subprocess.run([lab.binary, "compile", "-o", out, doc], cwd=lab.folder, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise L.Trouble("weir compile: " + (done.stdout + done.stderr)[-500:])
    return out


def weir_from_yaml(lab, back, name, routes):
    doc, ports = weir_document(lab, back, name, routes)
    return Server(lab, name, [lab.binary, "up", "--workers", "1", "--watchdog", "0", "--status", "127.0.0.1:0", doc], ports)


def weir_from_snapshot(lab, back, name, routes):
    doc, ports = weir_document(lab, back, name, routes)
    snapshot = compiled(lab, doc, lab.path(name + ".snapshot"))
    return Server(lab, name, [lab.binary, "proxy", "--workers", "1", "--watchdog", "0", "--status", "127.0.0.1:0", "--snapshot", snapshot], ports)


def swap_routes(server, back, routes):
    """Puts other routes under a running `weir proxy --snapshot` and waits until they serve."""
    lab, before = server.lab, server.log().count('"msg":"reloaded"')
    doc = lab.write("swap.yaml", L.templated("weir-routes.yaml", WEB=server.ports["h1"], BACKEND=back.ports["h1"], ROUTES=routes))
    os.replace(compiled(lab, doc, lab.path("swap.snapshot")), server.argv[-1])
    server.process.send_signal(signal.SIGHUP)
    L.until(lambda: server.log().count('"msg":"reloaded"') > before, "the reload", 60, 0.02)


# ---- peers ----
def nginx_server(listens, location):
    return "    server {\n%s%s    }\n" % ("".join("        listen %s;\n" % l for l in listens), location)


def nginx_with(lab, back, name, servers, ports, master):
    conf = lab.write(name + ".conf", L.templated("nginx.conf", MASTER="" if master else "master_process off;", DIR=lab.folder, NAME=name,
                                                 NOFILE=lab.nofile, TEMP=temp_paths(lab, name), BACKEND=back.ports["h1"],
                                                 BACKEND_H2=back.ports["h2"], SERVERS=servers))
    return Server(lab, name, nginx_argv(lab, conf), ports)


PROXY = "        location / { proxy_pass http://u; }\n"


def nginx(lab, back, name="nginx"):
    ports = {k: lab.port() for k in ("h1", "tls", "h2", "grpc")}
    at = "127.0.0.1:%d %sreuseport backlog=8192"
    keys = "        ssl_certificate %s;\n        ssl_certificate_key %s;\n" % (lab.cert, lab.key)
    servers = (nginx_server([at % (ports["h1"], ""), at % (ports["h2"], "http2 ")], PROXY)
               + nginx_server([at % (ports["tls"], "ssl ")], keys + PROXY)
               + nginx_server([at % (ports["grpc"], "http2 ")], "        location / { grpc_pass grpc://g; }\n"))
    return nginx_with(lab, back, name, servers, ports, False)


def nginx_routes(lab, back, name, many):
    """With its master process, as it starts in real life."""
    port = lab.port()
    servers = routes.nginx_servers(HOSTS, RULES, port) if many else nginx_server(["127.0.0.1:%d reuseport backlog=8192" % port], PROXY)
    return nginx_with(lab, back, name, servers, {"h1": port}, True)


def haproxy_with(lab, name, sections, ports):
    conf = lab.write(name + ".cfg", L.templated("haproxy.cfg", MAXCONN=min(6000, lab.nofile // 3), SECTIONS=sections))
    return Server(lab, name, ["haproxy", "-db", "-f", conf], ports)


def haproxy(lab, back, name="haproxy"):
    ports = {k: lab.port() for k in ("h1", "tls", "grpc")}
    ports["h2"] = ports["h1"]
    return haproxy_with(lab, name, """
frontend web
    bind 127.0.0.1:%d backlog 8192
    default_backend u
frontend tls
    bind 127.0.0.1:%d backlog 8192 ssl crt %s alpn h2,http/1.1
    default_backend u
frontend grpc
    bind 127.0.0.1:%d backlog 8192 proto h2
    default_backend g
backend u
    server s 127.0.0.1:%d pool-max-conn -1
backend g
    server s 127.0.0.1:%d proto h2 pool-max-conn -1
""" % (ports["h1"], ports["tls"], lab.both, ports["grpc"], back.ports["h1"], back.ports["h2"]), ports)


def haproxy_routes(lab, back, name, many):
    port, rule = lab.port(), "default_backend u"
    if many:
        table = lab.write(name + ".map", routes.haproxy_map(HOSTS, RULES, "u"))
        rule = "use_backend %%[base,map_beg(%s)]" % table
    return haproxy_with(lab, name, "frontend web\n    bind 127.0.0.1:%d backlog 8192\n    %s\nbackend u\n    server s 127.0.0.1:%d pool-max-conn -1\n"
                        % (port, rule, back.ports["h1"]), {"h1": port})


def h2o(lab, back, name="h2o"):
    ports = {"h1": lab.port(), "tls": lab.port()}
    ports["h2"] = ports["h1"]
    conf = lab.write(name + ".yaml", L.templated("h2o.yaml", DIR=lab.folder, NAME=name, USER="user: root" if os.getuid() == 0 else "",
                                                 WEB=ports["h1"], TLS=ports["tls"], CERT=lab.cert, KEY=lab.key, BACKEND=back.ports["h1"]))
    return Server(lab, name, ["h2o", "-m", "worker", "-c", conf], ports)


# ---- loads: each takes (lab, server, seconds) and gives the number of answers ----
def load_h1(lab, server, seconds):
    return L.wrk(lab, server.ports["h1"], seconds)


def load_tls(lab, server, seconds):
    # wrk spins while it waits for a handshake, which under real-time scheduling never ends
    return L.h2load(lab, server.ports["tls"], "--h1", "-c64", "-m1", tls=True, seconds=seconds)


def load_handshakes(lab, server, _seconds, n=1500):
    return L.h2load(lab, server.ports["tls"], "--h1", "-c%d" % n, "-m1", tls=True, requests=n)


def load_h2(lab, server, seconds):
    return L.h2load(lab, server.ports["h2"], "-c8", "-m16", seconds=seconds)


def grpc_args(lab):
    return ["-d", lab.write("message", "x" * 128), "-H", "content-type: application/grpc", "-H", "te: trailers"]


def load_grpc(lab, server, seconds):
    return L.h2load(lab, server.ports["grpc"], "-c8", "-m16", *grpc_args(lab), seconds=seconds)


def load_routes(lab, server, seconds):
    script = lab.write("spread.lua", routes.requests_lua(HOSTS, RULES, SPREAD))
    return L.wrk(lab, server.ports["h1"], seconds, script=script)


def first_answer(server, host_name="bench.test", path_name="/", limit=60.0):
    """Starts a server; milliseconds from exec to the first proxied 200."""
    server.start()
    L.until(lambda: server.answers(host_name, path_name), "%s to answer" % server.name, limit, 0.0002)
    return (time.monotonic() - server.process.started) * 1e3
