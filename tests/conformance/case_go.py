"""Go's net/http on both sides of Weir, every pair of versions: trailers, 103, full duplex, early answers, cut answers, cancellation."""
import os
import re

from tools import Background, Front, Skip, output
from weirlib import until

HERE = os.path.dirname(os.path.abspath(__file__))


def peer():
    found = os.environ.get("GO_PEER")
    if not found:
        raise Skip(os.environ.get("GO_PEER_MISSING", "GO_PEER does not name the built tests/conformance/go"))
    return found


def go(env, protocol, h2, tls):
    """A client of version h2, in clear or over TLS, through Weir to a server asked by protocol ("http", "h2"), over TLS when "tls"."""
    program, back_tls = peer(), protocol.endswith("+tls")
    pair = env.ca().issue("server.internal")
    b = Background(env, "goserver", program, "serve", *(["-cert", pair.cert, "-key", pair.key] if back_tls else []))
    address = until(lambda: re.search(r"127\.0\.0\.1:\d+", b.text()), lambda: "address of the server; " + b.text()).group(0)
    protocol = protocol.split("+")[0]
    f = Front(env, address, protocol=protocol, tls={"serverName": "server.internal", "ca": {"secret": "trust"}} if back_tls else None)
    output(program, "ask", "-url", f.url("", tls), "-behind", "HTTP/2.0" if protocol == "h2" else "HTTP/1.1", *(["-h2"] if h2 else []),
           *(["-ca", f.ca.cert] if tls else []), limit=100)


def case_h1_to_h1(env):
    go(env, "http", False, False)


def case_h1_to_h2c(env):
    go(env, "h2", False, False)


def case_h2c_to_h1(env):
    go(env, "http", True, False)


def case_h2c_to_h2c(env):
    go(env, "h2", True, False)


def case_h1_tls_to_h2_tls(env):
    go(env, "h2+tls", False, True)


def case_h2_tls_to_h1_tls(env):
    go(env, "http+tls", True, True)


def case_h2_tls_to_h2_tls(env):
    go(env, "h2+tls", True, True)
