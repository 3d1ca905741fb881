#!/usr/bin/python3
"""Many routes, as documents for Weir and as configurations of its peers; other measurements import the makers. Run alone it writes the
documents to standard output: `bench/routes.py --hosts 1000 --rules 100 > routes.yaml`."""
import argparse
import sys

METHODS = ("block", "flow", "single")


def host(h):
    return "h%d.example" % h


def path(r):
    return "/service-%d/items" % r


def _rule_block(r, service):
    return "    - match: [{ path: { prefix: %s } }]\n      to: [{ service: %s }]\n" % (path(r), service)


def _rule_spread(r, service):
    return ("    - match:\n        - path:\n            prefix: %s\n      to:\n        - service: %s\n          weight: 1\n"
            % (path(r), service))


def _route(name, attach, hosts, rules):
    return ("---\napiVersion: weir/v1\nkind: Route\nmetadata: { name: %s }\nspec:\n  attach: [%s]\n  hosts: [%s]\n  rules:\n%s"
            % (name, attach, hosts, rules))


def documents(hosts, rules, form="block", service="u", attach="{ gateway: edge, listener: web }"):
    """Route documents. block: one a host, two lines a rule; spread: the same with every level on a line of its own; single: one a rule."""
    if form == "single":
        return "".join(_route("r%d-%d" % (h, r), attach, host(h), _rule_block(r, service)) for h in range(hosts) for r in range(rules))
    rule = {"block": _rule_block, "spread": _rule_spread}[form]
    body = "".join(rule(r, service) for r in range(rules))
    return "".join(_route("r%d" % h, attach, host(h), body) for h in range(hosts))


def gateway(port, backend):
    return ("apiVersion: weir/v1\nkind: Gateway\nmetadata: { name: edge }\nspec:\n  accessLog: { mode: off }\n  requestId: false\n"
            "  listeners:\n    - { name: web, address: \"127.0.0.1:%d\", protocol: http }\n"
            "---\napiVersion: weir/v1\nkind: Service\nmetadata: { name: u }\nspec:\n  endpoints: [ \"127.0.0.1:%d\" ]\n" % (port, backend))


def nginx_servers(hosts, rules, port, upstream="u"):
    body = "".join("location %s { proxy_pass http://%s; }\n" % (path(r), upstream) for r in range(rules))
    return "".join("server { listen 127.0.0.1:%d reuseport backlog=8192; server_name %s;\n%s}\n" % (port, host(h), body) if h == 0 else
                   "server { listen 127.0.0.1:%d; server_name %s;\n%s}\n" % (port, host(h), body) for h in range(hosts))


def haproxy_map(hosts, rules, backend="b"):
    """For use_backend %[base,map_beg(FILE)]."""
    return "".join("%s%s %s\n" % (host(h), path(r), backend) for h in range(hosts) for r in range(rules))


def requests_lua(hosts, rules, count=5000):
    """A wrk script that asks for `count` of the routes, evenly spread."""
    step = max(1, hosts * rules // count)
    return ("local n, at, hosts, rules = %d, 0, %d, %d\nlocal all = {}\n"
            "function init()\n  for i = 0, math.min(%d, hosts * rules) - 1 do\n    local k = (i * %d) %% (hosts * rules)\n"
            "    local h, r = math.floor(k / rules), k %% rules\n"
            "    all[#all + 1] = wrk.format('GET', '/service-' .. r .. '/items/1', { Host = 'h' .. h .. '.example' })\n  end\nend\n"
            "function request()\n  at = at %% #all + 1\n  return all[(at * 7919) %% #all + 1]\nend\n"
            % (count, hosts, rules, count, step))


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--hosts", type=int, default=1000)
    p.add_argument("--rules", type=int, default=100)
    p.add_argument("--form", choices=("block", "spread", "single"), default="block")
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--backend", type=int, default=9000)
    a = p.parse_args()
    sys.stdout.write(gateway(a.port, a.backend) + documents(a.hosts, a.rules, a.form))


if __name__ == "__main__":
    main()
