"""Servers that others wrote, behind Weir and, where they proxy, before it."""
import hashlib
import json
import os
import re
import sys

from h2peers import H2Client
from tools import Background, Front, Skip, echo, free_ports, output, port_of, program
from weirlib import same

BIG = bytes(range(256)) * 20000


def site(env):
    """A folder with what the servers serve."""
    folder = env.path("site")
    os.mkdir(folder)
    os.chmod(env.folder, 0o755)
    for name, body in (("small.txt", b"hello\n"), ("big.bin", BIG), ("empty.txt", b"")):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(body)
    return folder


def files_pass(env, f, ranges=True):
    """What a file server does, through both listeners, in both versions of HTTP."""
    for c in (env.client(f.web), H2Client(f.web)):
        env.clients.append(c)
        r = c.ask("GET", "/small.txt")
        same((r.status, r.body), (200, b"hello\n"))
        r = c.ask("GET", "/big.bin")
        same((r.status, hashlib.sha256(r.body).digest()), (200, hashlib.sha256(BIG).digest()))
        same((c.ask("GET", "/empty.txt").status, c.ask("GET", "/empty.txt").body), (200, b""))
        r = c.ask("HEAD", "/big.bin")
        same((r.status, r.body, r.header("content-length")), (200, b"", str(len(BIG))))
        same(c.ask("GET", "/nothing").status, 404)
        if ranges:
            r = c.ask("GET", "/big.bin", [("range", "bytes=1000-1999")])
            same((r.status, r.body), (206, BIG[1000:2000]))
            since = c.ask("GET", "/small.txt").header("last-modified")
            r = c.ask("GET", "/small.txt", [("if-modified-since", since)])
            same((r.status, r.body), (304, b""))
        same(c.ask("GET", "/small.txt").body, b"hello\n", "after all that")


def upstream_tls(f_ca):
    return {"serverName": "server.internal", "ca": {"secret": f_ca}}


# ---- nginx ----
def nginx(env, *servers, http=""):
    binary = program("nginx")
    path = env.write("nginx.conf", "daemon off; pid %s; error_log stderr; worker_processes 1; events { worker_connections 256; }\nhttp { access_log off;\n%s\n%s }\n" % (
        env.path("nginx.pid"), " ".join("%s_temp_path %s;" % (k, env.path(k)) for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
        http + "\n".join(servers)))
    ports = [int(p) for p in re.findall(r"listen 127\.0\.0\.1:(\d+)", "".join(servers))]
    Background(env, "nginx", binary, "-p", env.folder, "-c", path, "-e", "stderr", "-g", "user %s;" % os.environ.get("USER", "root") if os.getuid() == 0 else "", ports=ports)


def case_nginx_behind(env):
    port, = free_ports(1)
    nginx(env, "server { listen 127.0.0.1:%d; root %s; }" % (port, site(env)))
    files_pass(env, Front(env, "127.0.0.1:%d" % port))


def case_nginx_behind_tls(env):
    port, = free_ports(1)
    pair = env.ca().issue("server.internal")
    nginx(env, "server { listen 127.0.0.1:%d ssl http2; ssl_certificate %s; ssl_certificate_key %s; root %s; }" % (port, pair.cert, pair.key, site(env)))
    files_pass(env, Front(env, "127.0.0.1:%d" % port, tls=upstream_tls("trust")))


def case_nginx_behind_http2(env):
    port, = free_ports(1)
    pair = env.ca().issue("server.internal")
    nginx(env, "server { listen 127.0.0.1:%d ssl http2; ssl_certificate %s; ssl_certificate_key %s; root %s; }" % (port, pair.cert, pair.key, site(env)))
    files_pass(env, Front(env, "127.0.0.1:%d" % port, protocol="h2", tls=upstream_tls("trust")))


def chain_passes(env, port):
    """A front proxy of others at this port, Weir behind it, an echo behind Weir."""
    c = env.client(("127.0.0.1", port))
    for i in range(30):
        r = c.ask("POST", "/path/%d?q=1" % i, [("X-A", "1")], body=b"x" * i)
        said = json.loads(r.body)
        same((r.status, said["target"], said["body"]["length"]), (200, "/path/%d?q=1" % i, i))
    said = json.loads(c.ask("PUT", "/", body=BIG, chunked=True).body)
    same(said["body"]["sha256"], hashlib.sha256(BIG).hexdigest())
    same(len(c.ask("GET", "/?size=3000000").body), 3000000)
    same(c.ask("GET", "/?status=404").status, 404)


def case_nginx_before(env):
    port, = free_ports(1)
    f = Front(env, echo(env))
    nginx(env, "upstream weir { server 127.0.0.1:%d; keepalive 8; }\nserver { listen 127.0.0.1:%d; client_max_body_size 0; location / { proxy_pass http://weir; "
               "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host shop.example; } }" % (f.web[1], port))
    chain_passes(env, port)


# ---- h2o ----
def h2o(env, text, *ports):
    path = env.write("h2o.conf", text + "\naccess-log: /dev/null\nhttp2-reprioritize-blocking-assets: OFF\n" + ("user: root\n" if os.getuid() == 0 else ""))
    Background(env, "h2o", program("h2o"), "-m", "worker", "-c", path, ports=ports)


def case_h2o_behind(env):
    port, = free_ports(1)
    h2o(env, "listen: { host: 127.0.0.1, port: %d }\nhosts: { default: { paths: { /: { file.dir: %s } } } }" % (port, site(env)), port)
    files_pass(env, Front(env, "127.0.0.1:%d" % port))


def case_h2o_behind_h2c(env):
    port, = free_ports(1)
    h2o(env, "listen: { host: 127.0.0.1, port: %d }\nhosts: { default: { paths: { /: { file.dir: %s } } } }" % (port, site(env)), port)
    files_pass(env, Front(env, "127.0.0.1:%d" % port, protocol="h2"))


def case_h2o_behind_http2_tls(env):
    port, = free_ports(1)
    pair = env.ca().issue("server.internal")
    h2o(env, "listen: { host: 127.0.0.1, port: %d, ssl: { certificate-file: %s, key-file: %s } }\nhosts: { default: { paths: { /: { file.dir: %s } } } }" % (
        port, pair.cert, pair.key, site(env)), port)
    files_pass(env, Front(env, "127.0.0.1:%d" % port, protocol="h2", tls=upstream_tls("trust")))


# ---- haproxy ----
def haproxy(env, text, *ports):
    path = env.write("haproxy.cfg", "global\n  maxconn 500\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 20s\n  timeout server 20s\n" + text)
    Background(env, "haproxy", program("haproxy"), "-db", "-f", path, ports=ports)


def between(env, bind, protocol):
    """Weir, then haproxy, then an echo."""
    port, = free_ports(1)
    haproxy(env, "frontend f\n  bind 127.0.0.1:%d %s\n  default_backend b\nbackend b\n  server s %s\n" % (port, bind, echo(env)), port)
    f = Front(env, "127.0.0.1:%d" % port, protocol=protocol)
    chain_passes(env, f.web[1])


def case_haproxy_behind(env):
    between(env, "", "http")


def case_haproxy_behind_h2c(env):
    between(env, "proto h2", "h2")


def case_haproxy_before(env):
    port, = free_ports(1)
    f = Front(env, echo(env))
    haproxy(env, "frontend f\n  bind 127.0.0.1:%d\n  default_backend b\nbackend b\n  server s 127.0.0.1:%d check\n" % (port, f.web[1]), port)
    chain_passes(env, port)


def case_haproxy_before_h2c(env):
    port, = free_ports(1)
    f = Front(env, echo(env))
    haproxy(env, "frontend f\n  bind 127.0.0.1:%d\n  default_backend b\nbackend b\n  server s 127.0.0.1:%d proto h2\n" % (port, f.web[1]), port)
    chain_passes(env, port)


def case_haproxy_before_http2_tls(env):
    port, = free_ports(1)
    f = Front(env, echo(env))
    haproxy(env, "frontend f\n  bind 127.0.0.1:%d\n  default_backend b\nbackend b\n  server s 127.0.0.1:%d ssl verify required ca-file %s sni str(shop.example) "
                 "verifyhost shop.example alpn h2\n" % (port, f.secure[1], f.ca.cert), port)
    chain_passes(env, port)


# ---- nghttp2's ----
def case_nghttpd_behind(env):
    port, = free_ports(1)
    Background(env, "nghttpd", program("nghttpd"), "--no-tls", "-a", "127.0.0.1", "-d", site(env), str(port), ports=(port,))
    files_pass(env, Front(env, "127.0.0.1:%d" % port, protocol="h2"), ranges=False)


def case_nghttpd_behind_tls(env):
    port, = free_ports(1)
    pair = env.ca().issue("server.internal")
    Background(env, "nghttpd", program("nghttpd"), "-a", "127.0.0.1", "-d", site(env), str(port), pair.key, pair.cert, ports=(port,))
    files_pass(env, Front(env, "127.0.0.1:%d" % port, protocol="h2", tls=upstream_tls("trust")), ranges=False)


# ---- Python's ----
def case_python_http10_behind(env):
    """http.server: HTTP/1.0, one request a connection."""
    port, = free_ports(1)
    Background(env, "httpserver", sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "-d", site(env), str(port), ports=(port,))
    files_pass(env, Front(env, "127.0.0.1:%d" % port), ranges=False)
