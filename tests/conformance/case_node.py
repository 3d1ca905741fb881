"""Node's http and http2 on both sides of Weir, every pair of versions: trailers, 103, streams with back-pressure, events, cut answers."""
import os
import re

from tools import Background, Front, output, program
from weirlib import until

PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node", "peer.mjs")


def node(env, behind, client, tls=False):
    binary = program("node")
    pair = env.ca().issue("server.internal")
    b = Background(env, "nodeserver", binary, PEER, "serve", behind, *([pair.cert, pair.key] if tls else []))
    address = until(lambda: re.search(r"127\.0\.0\.1:\d+", b.text()), lambda: "address of the server; " + b.text()).group(0)
    f = Front(env, address, protocol="h2" if behind == "h2" else "http", tls={"serverName": "server.internal", "ca": {"secret": "trust"}} if tls else None)
    output(binary, PEER, "ask", client, f.url("", tls), *([f.ca.cert] if tls else []), limit=100)


def case_h1_to_h1(env):
    node(env, "h1", "h1")


def case_h1_to_h2c(env):
    node(env, "h2", "h1")


def case_h2c_to_h1(env):
    node(env, "h1", "h2")


def case_h2c_to_h2c(env):
    node(env, "h2", "h2")


def case_h1_tls_to_h2_tls(env):
    node(env, "h2", "h1", True)


def case_h2_tls_to_h1_tls(env):
    node(env, "h1", "h2", True)


def case_h2_tls_to_h2_tls(env):
    node(env, "h2", "h2", True)
