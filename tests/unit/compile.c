/* Objects to resources: what is made, in which order rules stand, how policies merge, what is
   refused; the same objects give the same bytes. */
#include "compile/compile.h"
#include "../harness/harness.h"
#include "snapshot/sections.h"
#include "snapshot/world.h"

void unit_compile(void);

extern const struct kind kind_gateway, kind_service, kind_route, kind_policy, kind_secret;

static struct arena arena;
static struct model model;
static struct compiled compiled;
static struct errors errors;

/* A filter's section, with alternatives. */
struct key_choice {
    struct str header;
    bool address;
};
struct probe_inline {
    struct str a, b;
};
static const struct field choice_fields[] = {
    FIELD(struct key_choice, header, "header", "A header."),
    FIELD(struct key_choice, address, "address", "The address."),
    FEND,
};
static const struct schema choice_schema = { .name = "choice",
                                             .doc = "One of two.",
                                             .size = sizeof(struct key_choice),
                                             .fields = choice_fields,
                                             .one_of = true };
static const struct field inline_fields[] = {
    FIELD(struct probe_inline, a, "a", "This."),
    FIELD(struct probe_inline, b, "b", "That."),
    FEND,
};
static const struct schema inline_schema = { .name = "inline",
                                             .doc = "One of two.",
                                             .size = sizeof(struct probe_inline),
                                             .fields = inline_fields,
                                             .one_of = true };
struct probe_section {
    struct key_choice key;
    struct probe_inline in;
    int64_t level;
};
static const struct field probe_fields[] = {
    FOBJ(struct probe_section, key, "key", &choice_schema, "A key."),
    FOBJ(struct probe_section, in, "in", &inline_schema, "Inline.", .flags = F_INLINE),
    FIELD(struct probe_section, level, "level", "A level.", .flags = F_REQUIRED, .max = 9),
    FEND,
};
static const struct schema probe_schema = {
    .name = "probe", .doc = "A test.", .size = sizeof(struct probe_section), .fields = probe_fields
};
static const int probe_filter;
static const struct section_info probe_info = { SECTION_USER, SECTION_L7, &probe_filter };

static bool load_docs(const node_list *docs)
{
    compiled_fini(&compiled);
    model_fini(&model);
    if (!model_build(&model, &arena, docs, NULL, &errors))
        return false;
    return compile(&model, &arena, &compiled, &errors);
}

static node_list parse(struct str text)
{
    node_list docs = { 0 };
    errors_init(&errors, &arena);
    CHECK(yaml_parse(&arena, STR("t.yaml"), text, NULL, &docs, &errors));
    return docs;
}

static bool load(const char *text)
{
    node_list docs = parse(str_from(text));
    return load_docs(&docs);
}

#define REFUSED(text, want)                          \
    do {                                             \
        EXPECT(!load(text));                         \
        errors_sort(&errors);                        \
        EXPECT_STR(test_errors(&errors), STR(want)); \
    } while (0)
#define GOOD(text)                                 \
    do {                                           \
        EXPECT(load(text));                        \
        EXPECT_STR(test_errors(&errors), STR("")); \
    } while (0)

static struct str bytes_of(enum resource_type type, const char *name)
{
    for (size_t i = 0; i < compiled.resources.n; i++)
        if (compiled.resources.v[i].type == type &&
            str_eq(compiled.resources.v[i].name, str_from(name)))
            return compiled.resources.v[i].bytes;
    return STR("none");
}

static struct node *described(void)
{
    struct world *w =
        world_build(&(struct world_input){ .resources = &compiled.resources }, NULL, &errors);
    EXPECT_STR(test_errors(&errors), STR(""));
    if (!w)
        return node_new(&arena, NODE_MAP);
    struct node *n = world_describe(w, &arena);
    world_unref(w);
    return n;
}

/* "shop/0 shop/1": the rules as a proxy tries them. */
static struct str order(void)
{
    const struct node *rules = node_get(described(), STR("rules"));
    struct buf b;
    buf_init(&b, 1 << 16);
    for (size_t i = 0; rules && i < rules->list.n; i++) {
        const struct node *r = rules->list.v[i];
        buf_fmt(&b, "%s%.*s/%.*s", i ? " " : "", STR_FMT(node_get(r, STR("route"))->text),
                STR_FMT(node_get(r, STR("rule"))->text));
    }
    struct str s = arena_str(&arena, buf_view(&b));
    buf_fini(&b);
    return s;
}

#define HEAD(kind, name) "apiVersion: weir/v1\nkind: " kind "\nmetadata: {name: " name "}\n"
#define EDGE                                                                                      \
    HEAD("Gateway", "edge")                                                                       \
    "spec: {listeners: [{name: web, address: '127.0.0.1:0'}, {name: db, address: '127.0.0.1:0', " \
    "protocol: tcp}]}\n---\n"
#define SHOP               HEAD("Service", "shop") "spec: {endpoints: ['127.0.0.1:1']}\n---\n"
#define BYTES              HEAD("Service", "bytes") "spec: {protocol: tcp, endpoints: ['127.0.0.1:1']}\n---\n"
#define SITE               EDGE SHOP BYTES
#define ROUTE(name, rest)  HEAD("Route", name) "spec: {attach: [{gateway: edge}], " rest "}\n---\n"
#define POLICY(name, rest) HEAD("Policy", name) "spec: {" rest "}\n---\n"
#define TO                 "to: [{service: shop}]"

static void test_resources(void)
{
    CASE("one resource each, sorted, sealed");
    GOOD(SITE ROUTE("shop", "hosts: [shop.example], rules: [{" TO "}]")
             POLICY("p", "target: {service: shop}, timeout: {request: 10s}"));
    struct buf b;
    buf_init(&b, 1 << 16);
    for (size_t i = 0; i < compiled.resources.n; i++) {
        struct resource r = compiled.resources.v[i];
        resource_seal(&r);
        EXPECT(memcmp(r.hash, compiled.resources.v[i].hash, 32) == 0);
        if (r.type == RES_POLICY)
            r.name = STR("(hash)");
        buf_fmt(&b, "%s %.*s\n", resource_type_name[r.type], STR_FMT(r.name));
    }
    EXPECT_STR(buf_view(&b),
               STR("listener edge/db\nlistener edge/web\ncluster bytes\ncluster shop\n"
                   "endpoints bytes\nendpoints shop\npolicy (hash)\n"
                   "routes edge/web|shop.example|0\n"));
    buf_fini(&b);
    EXPECT_STR(bytes_of(RES_LISTENER, "edge/web"), STR("{\"address\":\"127.0.0.1:0\"}"));
    EXPECT_STR(bytes_of(RES_CLUSTER, "bytes"), STR("{\"protocol\":\"tcp\"}"));
    EXPECT_STR(bytes_of(RES_ENDPOINTS, "shop"), STR("{\"endpoints\":[\"127.0.0.1:1\"]}"));

    CASE("a bad certificate is told where it is written");
    REFUSED(HEAD("Secret", "s") "spec:\n  ca: {certificates: nonsense}\n---\n" HEAD(
                "Secret", "t") "spec:\n  tls: {certificate: nonsense, key: k}\n",
            "t.yaml:5:22: spec.ca.certificates: no PEM certificate found\n"
            "t.yaml:11:22: spec.tls.certificate: no PEM certificate found\n");

    CASE("a host that only some listeners take stands under those only");
    GOOD(HEAD("Gateway", "edge")
         "spec: {listeners: [{name: a, address: '127.0.0.1:0', hostnames: ['*.example']}, {name: b, "
         "address: '127.0.0.1:0', hostnames: [b.test]}]}\n---\n" SHOP
         ROUTE("r", "hosts: [b.test, x.example], rules: [{" TO "}]"));
    EXPECT(bytes_of(RES_ROUTES, "edge/a|x.example|0").n > 4);
    EXPECT(bytes_of(RES_ROUTES, "edge/b|b.test|0").n > 4);
    EXPECT_STR(bytes_of(RES_ROUTES, "edge/a|b.test|0"), STR("none"));

    CASE("a table holds at most 1,024 rules");
    struct buf doc;
    buf_init(&doc, 1 << 20);
    buf_fmt(&doc, "%s%sspec: {attach: [{gateway: edge}], rules: [", SITE, HEAD("Route", "r"));
    for (int i = 0; i < 1500; i++)
        buf_fmt(&doc, "{match: [{path: {exact: /p%d}}], " TO "},", i);
    buf_fmt(&doc, "]}\n");
    node_list docs = parse(buf_view(&doc));
    EXPECT(load_docs(&docs));
    buf_fini(&doc);
    EXPECT_INT(route_table_rules(bytes_of(RES_ROUTES, "edge/web|*|0")), 1024);
    EXPECT_INT(route_table_rules(bytes_of(RES_ROUTES, "edge/web|*|1")), 476);
    EXPECT_STR(bytes_of(RES_ROUTES, "edge/web|*|2"), STR("none"));
}

static void test_order(void)
{
    CASE("exact, longest prefix or template, regex; no path is the prefix /");
    GOOD(SITE ROUTE("r", "rules: [{" TO "}, {match: [{path: {regex: '/a.*'}}], " TO "},"
                         "{match: [{path: {prefix: /a}}], " TO "},"
                         "{match: [{path: {template: '/a/{x}'}}], " TO "},"
                         "{match: [{path: {template: '/a/{x...}'}}], " TO "},"
                         "{match: [{path: {template: '/a/{x}/c'}}], " TO "},"
                         "{match: [{path: {template: '/a/{x}/{y}'}}], " TO "},"
                         "{match: [{path: {prefix: /a/b/}}], " TO "},"
                         "{match: [{path: {exact: /a}}], " TO "}]"));
    EXPECT_STR(order(), STR("r/8 r/7 r/5 r/6 r/3 r/4 r/2 r/0 r/1"));

    CASE("then method, number of headers, number of query parameters");
    GOOD(SITE ROUTE(
        "r", "rules: [{match: [{query: [{name: a, exact: b}]}], " TO "},"
             "{match: [{headers: [{name: a, exact: b}]}], " TO "},"
             "{match: [{headers: [{name: a, exact: b}], query: [{name: a, exact: b}]}], " TO "},"
             "{match: [{headers: [{name: a, exact: b}, {name: c, present: true}]}], " TO "},"
             "{match: [{method: GET}], " TO "}]"));
    EXPECT_STR(order(), STR("r/4 r/3 r/2 r/1 r/0"));

    CASE("priority is before all of it; then the older, the name, the rule");
    GOOD(SITE
         "apiVersion: weir/v1\nkind: Route\nmetadata: {name: z, created: '2024-05-01T12:00:00Z'}\n"
         "spec: {attach: [{gateway: edge}], rules: [{match: [{method: PUT}], " TO
         "}]}\n---\n"
         "apiVersion: weir/v1\nkind: Route\nmetadata: {name: y, created: '2024-05-01T12:00:01Z'}\n"
         "spec: {attach: [{gateway: edge}], rules: [{match: [{method: GET}], " TO
         "}]}\n---\n" ROUTE("b", "rules: [{match: [{method: A}, {method: B}], " TO "}]") ROUTE(
             "a", "rules: [{match: [{method: C}], " TO "}, {match: [{method: D}], " TO "}]")
             ROUTE("p", "priority: 1, rules: [{match: [{query: [{name: q, exact: '1'}]}], " TO "}]")
                 ROUTE("n", "priority: -1, rules: [{match: [{path: {exact: /}}], " TO "}]"));
    EXPECT_STR(order(), STR("p/0 z/0 y/0 a/0 a/1 b/0 b/0 n/0"));
}

static void test_same_bytes(void)
{
    CASE("the order of documents does not matter");
    static const char text[] = SITE ROUTE("a", "hosts: [x.example, y.example], rules: [{" TO "}]")
        ROUTE("b",
              "hosts: [x.example], rules: [{match: [{headers: [{name: X-B, exact: '1'}, {name: "
              "x-a, exact: '2'}]}], " TO ", headers: {request: {set: {b: '1', a: '2'}}}}]")
            POLICY("p", "target: {mesh: default}, timeout: {request: 1s}")
                POLICY("q", "target: {service: shop}, timeout: {request: 2s}")
                    POLICY("r", "target: {service: shop}, timeout: {connect: 2000ms}");
    node_list docs = parse(str_from(text));
    EXPECT(load_docs(&docs));
    resource_list first = compiled.resources;
    for (size_t turn = 1; turn < docs.n; turn++) {
        node_list turned = { (void *)ARENA_ARRAY(&arena, struct node *, docs.n), docs.n };
        for (size_t i = 0; i < docs.n; i++)
            turned.v[i] = docs.v[(i * (turn % 2 ? 1 : docs.n - 1) + turn) % docs.n];
        EXPECT(load_docs(&turned));
        bool same = compiled.resources.n == first.n;
        for (size_t i = 0; same && i < first.n; i++)
            same = memcmp(first.v[i].hash, compiled.resources.v[i].hash, 32) == 0;
        EXPECT(same);
    }
}

static void test_doubles(void)
{
    CASE("two rules that take the same requests");
    REFUSED(SITE ROUTE("a", "rules: [{match: [{method: GET}, {path: {prefix: /x/}}], " TO "}]")
                ROUTE("b", "rules: [{match: [{path: {prefix: /x}}], " TO "}]"),
            "t.yaml:24:52: spec.rules[0].match[0]: Route 'a' matches the same already under "
            "listener 'edge/web' and host '*': t.yaml:19:67\n");
    REFUSED(SITE ROUTE("a", "rules: [{" TO "}, {match: [{path: {prefix: /}}], reply: {}}]"),
            "t.yaml:19:77: spec.rules[1].match[0]: Route 'a' matches the same already under "
            "listener 'edge/web' and host '*': t.yaml:19:43\n");
    REFUSED(SITE ROUTE("a", "rules: [{match: [{path: {template: '/u/{id}'}}], " TO "},"
                            "{match: [{path: {template: '/u/{name}'}}], " TO "}]"),
            "t.yaml:19:116: spec.rules[1].match[0]: Route 'a' matches the same already under "
            "listener 'edge/web' and host '*': t.yaml:19:52\n");
    REFUSED(SITE ROUTE(
                "a",
                "rules: [{match: [{headers: [{name: A, exact: '1'}, {name: b, exact: '2'}]}], " TO
                "},"
                "{match: [{headers: [{name: B, exact: '2'}, {name: a, exact: '1'}]}], " TO "}]"),
            "t.yaml:19:144: spec.rules[1].match[0]: Route 'a' matches the same already under "
            "listener 'edge/web' and host '*': t.yaml:19:52\n");

    CASE("not the same: another host, priority, value, kind of test");
    GOOD(SITE ROUTE("a", "hosts: [a.example], rules: [{" TO "}]") ROUTE("b", "rules: [{" TO "}]")
             ROUTE("c", "priority: 1, rules: [{" TO "}]") ROUTE(
                 "d",
                 "rules: [{match: [{headers: [{name: a, exact: b}]}, {headers: [{name: a, prefix: "
                 "b}]},"
                 "{headers: [{name: a, exact: b, invert: true}]}, {query: [{name: a, exact: b}]},"
                 "{headers: [{name: a, present: true}]}, {headers: [{name: a, present: "
                 "false}]}], " TO "}]"));

    CASE("a host or a listener named twice is one");
    GOOD(SITE HEAD(
        "Route",
        "a") "spec: {attach: [{gateway: edge}, {gateway: edge, listener: web}], "
             "hosts: [a.example, a.example], rules: [{" TO "}]}\n");
    EXPECT_INT(route_table_rules(bytes_of(RES_ROUTES, "edge/web|a.example|0")), 1);
}

/* What the rule's backend is governed by: the field of its set, or "default". */
static struct str field_of(const char *route, const char *path, struct str *ret_object)
{
    const struct node *rules = node_get(described(), STR("rules"));
    provenance_list l;
    for (size_t i = 0; rules && i < rules->list.n; i++) {
        const struct node *r = rules->list.v[i], *action = node_get(r, STR("action"));
        const struct node *to = node_get(action, STR("to"));
        const struct node *set =
            to ? node_get(to->list.v[0], STR("policy")) : node_get(action, STR("policy"));
        if (!str_eq(node_get(r, STR("route"))->text, str_from(route)))
            continue;
        EXPECT(compile_provenance(&compiled, set ? set->text : STR(""), &arena, &l));
        for (size_t k = 0; k < l.n; k++) {
            if (!str_eq(l.v[k].path, str_from(path)))
                continue;
            *ret_object = l.v[k].object;
            return l.v[k].value;
        }
    }
    *ret_object = STR("none");
    return STR("none");
}

#define FIELD_IS(route, path, value, object)                     \
    do {                                                         \
        struct str object_;                                      \
        EXPECT_STR(field_of(route, path, &object_), STR(value)); \
        EXPECT_STR(object_, STR(object));                        \
    } while (0)

static void test_merging(void)
{
    CASE("mesh < service < gateway < listener < route, field by field");
    GOOD(
        SITE ROUTE("r", "rules: [{" TO "}]") ROUTE("other",
                                                   "hosts: [o.example], rules: [{reply: {}}]")
            POLICY("m",
                   "target: {mesh: default}, timeout: {connect: 1s, request: 1s, perTry: 1s, idle: "
                   "1s, bodyIdle: 1s}") POLICY("s",
                                               "target: {service: shop}, timeout: {request: 2s, "
                                               "perTry: 2s, idle: 2s, bodyIdle: 2s}")
                POLICY("g",
                       "target: {gateway: edge}, timeout: {perTry: 3s, idle: 3s, bodyIdle: 3s}")
                    POLICY(
                        "l",
                        "target: {gateway: edge, listener: web}, timeout: {idle: 4s, bodyIdle: 4s}")
                        POLICY("r", "target: {route: r}, timeout: {bodyIdle: 5s}"));
    FIELD_IS("r", "timeout.connect", "1s", "Policy/m");
    FIELD_IS("r", "timeout.request", "2s", "Policy/s");
    FIELD_IS("r", "timeout.perTry", "3s", "Policy/g");
    FIELD_IS("r", "timeout.idle", "4s", "Policy/l");
    FIELD_IS("r", "timeout.bodyIdle", "5s", "Policy/r");
    FIELD_IS("r", "timeout.handshake", "10s", "default");
    FIELD_IS("other", "timeout.request", "1s", "Policy/m");
    FIELD_IS("other", "timeout.bodyIdle", "4s", "Policy/l");

    CASE("within one target priority, then name");
    GOOD(SITE ROUTE("r", "rules: [{" TO "}]")
             POLICY("a", "target: {service: shop}, timeout: {request: 1s, idle: 1s, perTry: 1s}")
                 POLICY("b", "target: {service: shop}, timeout: {idle: 2s}")
                     POLICY("0", "target: {service: shop}, priority: 5, timeout: {perTry: 3s}"));
    FIELD_IS("r", "timeout.request", "1s", "Policy/a");
    FIELD_IS("r", "timeout.idle", "2s", "Policy/b");
    FIELD_IS("r", "timeout.perTry", "3s", "Policy/0");

    CASE("equal sets are one resource; nothing set is no resource");
    GOOD(SITE ROUTE("a", "rules: [{" TO "}]") ROUTE("b", "hosts: [b.example], rules: [{" TO "}]")
             POLICY("s", "target: {service: shop}, timeout: {request: 60s}"));
    size_t n = 0;
    for (size_t i = 0; i < compiled.resources.n; i++)
        n += compiled.resources.v[i].type == RES_POLICY;
    EXPECT_INT(n, 1);
    GOOD(SITE ROUTE("a", "rules: [{" TO "}]") POLICY("s", "target: {service: shop}"));
    FIELD_IS("a", "timeout.request", "0", "default");
    provenance_list l;
    EXPECT(!compile_provenance(&compiled, STR("unknown"), &arena, &l));
}

/* Of the section probe in the merged set whose text begins so. */
static struct str origin_of(struct str sections)
{
    const struct str mark = STR("\"origins\":{\"probe\":\"");
    for (size_t i = 0; i < compiled.resources.n; i++) {
        struct str bytes = compiled.resources.v[i].bytes;
        if (compiled.resources.v[i].type != RES_POLICY || !str_starts(bytes, sections))
            continue;
        struct str rest = str_sub(bytes, sections.n + 1, bytes.n);
        if (!str_starts(rest, mark))
            continue;
        rest = str_sub(rest, mark.n, rest.n);
        return str_sub(rest, 0, str_find(rest, '"'));
    }
    return STR("");
}

static void test_alternatives(void)
{
    CASE("of alternatives the more specific one stays alone");
    GOOD(SITE ROUTE("r", "rules: [{" TO "}]")
             POLICY("m", "target: {mesh: default}, probe: {key: {header: x}, a: '1', level: 3}")
                 POLICY("s", "target: {service: shop}, probe: {key: {address: true}, b: '2'}"));
    FIELD_IS("r", "probe.key.address", "true", "Policy/s");
    FIELD_IS("r", "probe.key.header", "none", "none");
    FIELD_IS("r", "probe.b", "2", "Policy/s");
    FIELD_IS("r", "probe.level", "3", "Policy/m");

    CASE("a section's state is of the most specific object that gives what is required in it");
    EXPECT_STR(
        origin_of(
            STR("{\"sections\":{\"probe\":{\"key\":{\"address\":true},\"b\":\"2\",\"level\":3}}")),
        STR("Policy/m"));
    GOOD(SITE ROUTE("r", "rules: [{" TO "}]")
             POLICY("m", "target: {mesh: default}, probe: {key: {header: x}, a: '1', level: 3}")
                 POLICY("s", "target: {service: shop}, probe: {b: '2', level: 4}")
                     POLICY("t", "target: {route: r}, probe: {key: {address: true}}"));
    EXPECT_STR(
        origin_of(
            STR("{\"sections\":{\"probe\":{\"key\":{\"address\":true},\"b\":\"2\",\"level\":4}}")),
        STR("Policy/s"));

    CASE("what is missing or wrong after merging is told once");
    REFUSED(SITE ROUTE("r", "rules: [{" TO "}]") ROUTE("q", "hosts: [q.example], rules: [{" TO "}]")
                POLICY("s", "target: {service: shop}, probe: {b: '2'}, retry: {on: [sometimes]}"),
            "t.yaml:29:40: spec.probe: missing required field 'level'\n"
            "t.yaml:29:63: spec.retry.on[0]: 'sometimes' is not one of connect-failure, reset, "
            "refused-stream, timeout, gateway-error, 5xx or a status 400..599\n");
}

static void test_refused(void)
{
    CASE("sections that a target cannot honour");
    REFUSED(
        SITE ROUTE("r", "rules: [{" TO "}]") ROUTE("t", "rules: [{to: [{service: bytes}]}]") POLICY(
            "a", "target: {service: shop}, limits: {headers: 10}, trust: {proxies: []}")
            POLICY("b", "target: {route: r}, balance: {}, health: {}, breaker: {}")
                POLICY("c", "target: {gateway: edge, listener: web}, balance: {}") POLICY(
                    "d",
                    "target: {service: bytes}, retry: {attempts: 1}, trust: {}, probe: {level: 1, "
                    "a: x}")
                    POLICY("e", "target: {gateway: edge, listener: db}, probe: {level: 1, a: x}")
                        POLICY("f", "target: {route: t}, probe: {level: 1, a: x}") POLICY(
                            "g", "target: {service: shop}, timeout: {header: 1s, keepAlive: 1s}"),
        "t.yaml:29:41: spec.limits: 'limits' cannot be set for a service: it acts before a "
        "route is known\n"
        "t.yaml:29:63: spec.trust: 'trust' cannot be set for a service: it acts before a route "
        "is known\n"
        "t.yaml:34:37: spec.balance: 'balance' cannot be set for a route: it is about a "
        "service as a whole\n"
        "t.yaml:34:49: spec.health: 'health' cannot be set for a route: it is about a service "
        "as a whole\n"
        "t.yaml:34:62: spec.breaker: 'breaker' cannot be set for a route: it is about a "
        "service as a whole\n"
        "t.yaml:39:57: spec.balance: 'balance' cannot be set for a listener: it is about a "
        "service as a whole\n"
        "t.yaml:44:63: spec.trust: 'trust' cannot be set for a service: it acts before a route "
        "is known\n"
        "t.yaml:44:74: spec.probe: 'probe' cannot be set for a service: it works on requests, "
        "here are only bytes\n"
        "t.yaml:49:54: spec.probe: 'probe' cannot be set for a listener: it works on requests, "
        "here are only bytes\n"
        "t.yaml:54:35: spec.probe: 'probe' cannot be set for a route: it works on requests, "
        "here are only bytes\n"
        "t.yaml:59:51: spec.timeout.header: 'header' cannot be set for a service: it acts "
        "before a route is known\n"
        "t.yaml:59:66: spec.timeout.keepAlive: 'keepAlive' cannot be set for a service: it "
        "acts before a route is known\n");

    CASE("a mesh and a gateway may have sections for some of what is in them");
    GOOD(SITE ROUTE("r", "rules: [{" TO "}]") POLICY(
        "a", "target: {mesh: default}, limits: {headers: 10}, balance: {}, retry: {attempts: 1}")
             POLICY(
                 "b",
                 "target: {gateway: edge}, trust: {proxies: [10.0.0.0/8]}, retry: {attempts: 1}"));
}

static void test_memory(void)
{
    CASE("when memory is out nothing is left behind"); /* leaks are found by the sanitizer */
    GOOD(SITE ROUTE("r", "rules: [{match: [{path: {prefix: /x}}, {method: GET}], " TO "}]")
             POLICY("m", "target: {mesh: default}, timeout: {request: 1s}"));
    struct arena small;
    arena_init(&small, 1024, 0);
    struct compiled out;
    EXPECT(compile(&model, &small, &out, &errors));
    compiled_fini(&out);
    size_t need = small.used, failures = 0;
    arena_fini(&small);
    for (size_t limit = 1; limit < need; limit += 97) {
        jmp_buf oom;
        arena_init(&small, 1024, limit);
        small.on_oom = &oom;
        if (setjmp(oom) == 0)
            (void)compile(&model, &small, &out, &errors);
        else
            failures++;
        compiled_fini(&out);
        arena_fini(&small);
    }
    EXPECT_INT(failures, (need + 95) / 97);
}

void unit_compile(void)
{
    const struct kind *kinds[] = { &kind_gateway, &kind_service, &kind_route, &kind_policy,
                                   &kind_secret };
    arena_init(&arena, 1 << 16, 0);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        registry_add("kind", kinds[i]->name, kinds[i]->spec, kinds[i]);
    registry_add("lb", "round-robin", &choice_schema, NULL);
    registry_add("policy", "probe", &probe_schema, &probe_info);
    sections_register();
    test_resources();
    test_order();
    test_same_bytes();
    test_doubles();
    test_merging();
    test_alternatives();
    test_refused();
    test_memory();
    compiled_fini(&compiled);
    model_fini(&model);
    arena_fini(&arena);
}
