"""h2spec, strict, against the proxy with a real upstream behind it, in clear and over TLS."""
import os
import subprocess
import xml.etree.ElementTree as xml

from tools import Front, Skip, echo
from weirlib import same


def suite(env, *where):
    tool = os.environ.get("H2SPEC")
    if not tool:
        raise Skip(os.environ.get("H2SPEC_MISSING", "H2SPEC does not name h2spec"))
    report = env.path("h2spec.xml")
    r = subprocess.run([tool, "--strict", "--timeout", "5", "--junit-report", report, "--host", "127.0.0.1", *where], stdin=subprocess.DEVNULL,
                       capture_output=True, timeout=110, check=False)
    if not os.path.exists(report):
        raise AssertionError("h2spec wrote no report:\n" + r.stdout.decode("utf-8", "replace")[-3000:] + r.stderr.decode("utf-8", "replace"))
    passed = failed = 0
    for case in xml.parse(report).getroot().iter("testcase"):
        bad = [e for e in case if e.tag in ("failure", "error", "skipped")]
        passed, failed = passed + (not bad), failed + bool(bad)
        for e in bad:
            print("  %s %s: %s %s" % (case.get("package"), case.get("classname"), e.tag, " ".join((e.text or "").split())))
    assert passed + failed > 100, "h2spec ran only %d cases" % (passed + failed)
    return passed, failed


def case_clear(env):
    return suite(env, "--port", str(Front(env, echo(env)).web[1]))


def case_tls(env):
    return suite(env, "--tls", "--insecure", "--port", str(Front(env, echo(env)).secure[1]))


def case_clear_to_h2(env):
    """The same with HTTP/2 behind: what the client breaks must not break the upstream's connection."""
    return suite(env, "--port", str(Front(env, echo(env), protocol="h2").web[1]))


def case_invalid_preface_is_not_answered(env):
    """RFC 9113 section 3.4; without h2spec too. What is HTTP/1 but wrong still gets its 400."""
    f = Front(env, echo(env))
    for line, start in ((b"INVALID CONNECTION PREFACE\r\n\r\n", b""), (b"GET / HTTP/x\r\n\r\n", b"HTTP/1.1 400"), (b"GET / NONSENSE\r\n\r\n", b"HTTP/1.1 400")):
        c = env.client(f.web)
        c.send(line)
        got = c.reader.rest()
        same(got[:len(start) or 99], start, line)
