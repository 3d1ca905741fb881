#define _GNU_SOURCE /* memmem */
/* Documents to objects: what is read, what is refused, and where the error says it is. */
#include "../harness/harness.h"
#include "model/spec.h"
#include "snapshot/sections.h"

void unit_model(void);

extern const struct kind kind_gateway, kind_service, kind_route, kind_policy, kind_secret;

static struct arena arena;
static struct model model;
static struct errors errors;

static bool read_file(void *arg, struct str beside, struct str name, struct arena *a,
                      struct str *ret, const char **ret_why)
{
    (void)arg;
    *ret_why = "no such file";
    if (!str_eq(name, STR("good.pem")))
        return false;
    *ret = arena_fmt(a, "beside %.*s", STR_FMT(beside));
    return true;
}

static bool variable(void *arg, struct str name, struct str *ret)
{
    (void)arg;
    *ret = str_eq(name, STR("PORT"))   ? STR("9001")
           : str_eq(name, STR("HOST")) ? STR("h")
                                       : STR("true");
    return str_eq(name, STR("PORT")) || str_eq(name, STR("HOST")) || str_eq(name, STR("YES"));
}

static bool load(const char *text)
{
    static const struct model_input in = { .read_file = read_file, .variable = variable };
    node_list docs = { 0 };
    errors_init(&errors, &arena);
    model_fini(&model);
    CHECK(yaml_parse(&arena, STR("t.yaml"), str_from(text), NULL, &docs, &errors));
    return model_build(&model, &arena, &docs, &in, &errors);
}

#define REFUSED(text, want)                          \
    do {                                             \
        EXPECT(!load(text));                         \
        errors_sort(&errors);                        \
        EXPECT_STR(test_errors(&errors), STR(want)); \
    } while (0)

#define HEAD(kind, name) "apiVersion: weir/v1\nkind: " kind "\nmetadata: {name: " name "}\n"
#define EDGE                                                                                      \
    HEAD("Gateway", "edge")                                                                       \
    "spec: {listeners: [{name: web, address: '127.0.0.1:0'}, {name: db, address: '127.0.0.1:0', " \
    "protocol: tcp}]}\n---\n"
#define SHOP          HEAD("Service", "shop") "spec: {endpoints: ['127.0.0.1:1']}\n---\n"
#define BYTES         HEAD("Service", "bytes") "spec: {protocol: tcp, endpoints: ['127.0.0.1:1']}\n---\n"
#define ROUTE(rest)   EDGE SHOP BYTES HEAD("Route", "r") "spec: " rest "\n" /* spec on line 19 */
#define RULE(rest)    ROUTE("{attach: [{gateway: edge}], rules: [" rest "]}")
#define GATEWAY(rest) HEAD("Gateway", "edge") "spec: {listeners: [" rest "]}\n"
#define SECRETS                                                                         \
    "---\n" HEAD("Secret", "cert") "spec: {tls: {certificate: c, key: k}}\n---\n" HEAD( \
        "Secret", "ca") "spec: {ca: {certificates: c}}\n"

static void test_reading(void)
{
    CASE("specs are filled, with defaults");
    EXPECT(load(RULE("{to: [{service: shop}]}")));
    EXPECT_INT(model.objects.n, 4);
    const struct object *g = model_find(&model, "Gateway", STR("edge"));
    EXPECT(g && model_find(&model, "Service", STR("edge")) == NULL);
    EXPECT_STR(g->id, STR("Gateway/edge"));
    const struct gateway_spec *edge = g->spec;
    EXPECT_INT(edge->listeners.n, 2);
    EXPECT(edge->request_id && edge->listeners.v[0].http2 && edge->access_log.mode);
    EXPECT(!gateway_listener_raw(&edge->listeners.v[0]) &&
           gateway_listener_raw(&edge->listeners.v[1]));
    const struct service_spec *shop = model_find(&model, "Service", STR("shop"))->spec;
    EXPECT_STR(shop->endpoints.v[0].address, STR("127.0.0.1:1"));
    EXPECT_INT(shop->endpoints.v[0].weight, 1);

    CASE("endpoints may be maps with a weight");
    EXPECT(
        load(HEAD("Service", "s") "spec: {endpoints: [{address: 'a.example:80', weight: 5}]}\n"));
    shop = model_find(&model, "Service", STR("s"))->spec;
    EXPECT_INT(shop->endpoints.v[0].weight, 5);

    CASE("files are read beside the document");
    EXPECT(load(HEAD("Secret", "s") "spec: {ca: {file: good.pem}}\n"));
    const struct secret_spec *s = model_find(&model, "Secret", STR("s"))->spec;
    EXPECT_STR(s->ca->certificates, STR("beside t.yaml"));
    REFUSED(HEAD("Secret", "s") "spec: {tls: {certificateFile: no.pem, keyFile: good.pem}}\n",
            "t.yaml:4:31: spec.tls.certificateFile: cannot read 'no.pem': no such file\n");

    CASE("an empty document between two is none");
    EXPECT(load("---\n---\n" SHOP "---\n"));
    EXPECT_INT(model.objects.n, 1);
}

static void test_variables(void)
{
    CASE("variables stand in any scalar; plain ones are read as what they become");
    EXPECT(load(HEAD("Service", "s") "spec:\n  endpoints: [\"${HOST}.example:${PORT}\"]\n"
                                     "  tls:\n    verify: ${YES}\n"));
    const struct service_spec *s = model_find(&model, "Service", STR("s"))->spec;
    EXPECT_STR(s->endpoints.v[0].address, STR("h.example:9001"));
    EXPECT(s->tls && s->tls->verify);

    CASE("$${ is a literal ${, a lone $ stays");
    EXPECT(load(RULE("{reply: {body: 'a$${PORT}b$c$'}}")));
    const struct route_spec *r = model_find(&model, "Route", STR("r"))->spec;
    EXPECT_STR(r->rules.v[0].reply->body, STR("a${PORT}b$c$"));

    CASE("undefined and malformed variables are told with their place, all of them");
    REFUSED(HEAD("Service", "s") "spec:\n  endpoints: ['${NONE}:1', '${NONE2', '${}']\n",
            "t.yaml:5:15: the variable 'NONE' is not defined\n"
            "t.yaml:5:28: '${NONE2' is not a variable like ${NAME}; write $${ for a literal ${\n"
            "t.yaml:5:39: '${}' is not a variable like ${NAME}; write $${ for a literal ${\n");
}

static void test_frame(void)
{
    CASE("the frame of a document");
    REFUSED("apiVersion: weir/v9\nkind: Sevice\nmetadata: {nme: x}\nspecs: {}\n",
            "t.yaml:1:13: apiVersion: 'weir/v9' is not known; write weir/v1\n"
            "t.yaml:2:7: kind: unknown kind 'Sevice'; did you mean 'Service'?\n"
            "t.yaml:3:11: metadata: missing required field 'name'\n"
            "t.yaml:3:12: metadata: unknown field 'nme'; did you mean 'name'?\n"
            "t.yaml:4:1: specs: unknown field 'specs'; did you mean 'spec'?\n");
    REFUSED("a\n", "t.yaml:1:1: want a map with apiVersion, kind, metadata and spec\n");
    REFUSED("{}\n",
            "t.yaml:1:1: missing required field 'apiVersion'\n"
            "t.yaml:1:1: missing required field 'kind'\n"
            "t.yaml:1:1: metadata: missing required field 'name'\n");
    REFUSED(HEAD("Service", "s"), "t.yaml:1:1: missing required field 'spec'\n");

    CASE("metadata");
    REFUSED(
        "apiVersion: weir/v1\nkind: Service\nmetadata: {name: Shop, mesh: other, created: "
        "yesterday}\nspec: {}\n",
        "t.yaml:3:18: metadata.name: want a name of lower-case letters, digits, '-' and '.', "
        "got 'Shop'\n");
    REFUSED(
        "apiVersion: weir/v1\nkind: Service\nmetadata: {name: shop, mesh: other, created: "
        "yesterday}\nspec: {}\n",
        "t.yaml:3:30: metadata.mesh: there is one mesh, 'default', not 'other'\n"
        "t.yaml:3:46: metadata.created: want a time in UTC like 2024-05-01T12:00:00Z\n");

    CASE("the same object twice, with the place of the first");
    REFUSED(SHOP SHOP,
            "t.yaml:8:18: metadata.name: Service 'shop' is there already: t.yaml:3:18\n");

    CASE("an object with errors is still there for references");
    REFUSED(
        EDGE HEAD("Service", "bad") "spec: {protocol: htp}\n---\n" HEAD(
            "Route", "r") "spec: {attach: [{gateway: edge}], rules: [{to: [{service: bad}]}]}\n",
        "t.yaml:9:18: spec.protocol: 'htp' is not one of http, h2, grpc, tcp; did you mean "
        "'http'?\n");
}

static void test_gateway(void)
{
    CASE("protocol and tls fit");
    REFUSED(GATEWAY("{name: a, address: '127.0.0.1:0', protocol: https}, {name: b, address: "
                    "'127.0.0.1:0', tls: {}}, {name: a, address: '127.0.0.1:0', protocol: tcp, "
                    "hostnames: [a.example]}"),
            "t.yaml:4:20: spec.listeners[0]: protocol https needs tls.certificates\n"
            "t.yaml:4:111: spec.listeners[1].tls: protocol http has no TLS; write https or tls\n"
            "t.yaml:4:123: spec.listeners[2].name: there are two listeners 'a'\n"
            "t.yaml:4:176: spec.listeners[2].hostnames: a tcp connection names no host\n");
    REFUSED(GATEWAY("{name: a, address: '127.0.0.1:0', protocol: https, tls: {mode: passthrough}},"
                    "{name: b, address: '127.0.0.1:0', protocol: tls, tls: {mode: passthrough, "
                    "certificates: [{secret: cert}]}},"
                    "{name: c, address: '127.0.0.1:0', protocol: tls, tls: {}},"
                    "{name: d, address: '127.0.0.1:0', protocol: tls, tls: {certificates: [{secret:"
                    " cert}], clientCertificate: {mode: required}}}") SECRETS,
            "t.yaml:4:83: spec.listeners[0].tls.mode: passthrough needs protocol tls: requests "
            "inside cannot be read\n"
            "t.yaml:4:151: spec.listeners[1].tls: with passthrough the service has the "
            "certificates\n"
            "t.yaml:4:258: spec.listeners[2].tls: want at least one of certificates\n"
            "t.yaml:4:368: spec.listeners[3].tls.clientCertificate: want a 'ca' to check "
            "certificates of clients against\n");

    CASE("secrets are there and of the right form");
    REFUSED(GATEWAY("{name: a, address: '127.0.0.1:0', protocol: https, tls: {certificates: "
                    "[{secret: crt}, {secret: ca}], clientCertificate: {mode: optional, ca: "
                    "{secret: cert}}}}") SECRETS,
            "t.yaml:4:101: spec.listeners[0].tls.certificates[0].secret: there is no Secret 'crt'; "
            "did you mean 'cert'?\n"
            "t.yaml:4:116: spec.listeners[0].tls.certificates[1].secret: Secret 'ca' has no 'tls'\n"
            "t.yaml:4:171: spec.listeners[0].tls.clientCertificate.ca.secret: Secret 'cert' has no "
            "'ca'\n");

    CASE("one fixed address, one listener, in the whole set");
    REFUSED(GATEWAY("{name: a, address: '127.0.0.1:80'}") "---\n" HEAD(
                "Gateway", "other") "spec: {listeners: [{name: b, address: '127.0.0.1:80'}]}\n",
            "t.yaml:9:39: spec.listeners[0].address: '127.0.0.1:80' is taken by listener 'edge/a'; "
            "this is 'other/b'\n");
    EXPECT(load(GATEWAY("{name: a, address: '127.0.0.1:0'}, {name: b, address: '127.0.0.1:0'}")));

    CASE("gateways and services share their names");
    REFUSED(
        GATEWAY("{name: a, address: '127.0.0.1:0'}") "---\n" HEAD("Service", "edge") "spec: {}\n",
        "t.yaml:3:18: metadata.name: there is a Service 'edge' too: gateways and services "
        "share their names\n");

    CASE("hosts that a listener takes");
    struct str names[] = { STR_INIT("*.shop.example"), STR_INIT("one.example") };
    struct gateway_listener l = { .hostnames = { names, 2 } };
    static const struct {
        const char *host;
        bool takes;
    } hosts[] = { { "a.shop.example", true },
                  { "shop.example", false },
                  { "one.example", true },
                  { "*.example", true },
                  { "", true },
                  { "*.a.shop.example", true },
                  { "*.other", false },
                  { "*.shop.example", true } };
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        EXPECT_INT(gateway_listener_takes_host(&l, str_from(hosts[i].host)), hosts[i].takes);
}

static void test_routes(void)
{
    CASE("references of routes");
    REFUSED(ROUTE("{attach: [{gateway: egde}, {gateway: edge, listener: wbe}], rules: [{to: "
                  "[{service: shoop}]}]}"),
            "t.yaml:19:27: spec.attach[0].gateway: there is no Gateway 'egde'; did you mean "
            "'edge'?\n"
            "t.yaml:19:60: spec.attach[1].listener: Gateway 'edge' has no listener 'wbe'\n"
            "t.yaml:19:91: spec.rules[0].to[0].service: there is no Service 'shoop'; did you mean "
            "'shop'?\n");

    CASE("a route is for requests or for bytes");
    EXPECT(load(RULE("{to: [{service: bytes}]}")));
    REFUSED(ROUTE("{attach: [{gateway: edge, listener: db}], rules: [{to: [{service: shop}]}]}"),
            "t.yaml:19:43: spec.attach[0].listener: listener 'edge/db' carries bytes, but the "
            "route is for http, h2 or grpc\n");
    REFUSED(ROUTE("{attach: [{gateway: edge, listener: web}], hosts: [a.example], rules: [{to: "
                  "[{service: bytes}], match: [{method: GET}]}]}"),
            "t.yaml:19:43: spec.attach[0].listener: listener 'edge/web' carries requests, but the "
            "route is for services of protocol tcp\n"
            "t.yaml:19:78: spec.rules[0]: a rule for services of protocol tcp has nothing but "
            "'to'\n");
    REFUSED(RULE("{to: [{service: shop}, {service: bytes}]}"),
            "t.yaml:19:76: spec.rules[0].to[1].service: services of protocol tcp and of http, h2 "
            "or grpc in one route\n");
    REFUSED(ROUTE("{attach: [{gateway: edge}], hosts: [a.example], rules: [{to: [{service: "
                  "bytes}]}]}"),
            "t.yaml:19:43: spec.hosts[0]: a tcp connection names no host\n");

    CASE("one action a rule");
    REFUSED(RULE("{}"), "t.yaml:19:43: spec.rules[0]: want one of to, redirect, reply\n");
    REFUSED(RULE("{to: [{service: shop}], reply: {}}"),
            "t.yaml:19:43: spec.rules[0]: want only one of to, redirect, reply\n");
    REFUSED(RULE("{to: [{service: shop}, {service: shop}]}"),
            "t.yaml:19:76: spec.rules[0].to[1].service: 'shop' is in the list already\n");
    REFUSED(RULE("{reply: {status: 204, body: x}, rewrite: {path: /x}}"),
            "t.yaml:19:71: spec.rules[0].reply.body: an answer 204 has no body\n"
            "t.yaml:19:84: spec.rules[0].rewrite: nothing is sent on: the rule has no 'to'\n");
    REFUSED(RULE("{redirect: {status: 304}}"),
            "t.yaml:19:54: spec.rules[0].redirect: want at least one of scheme, host, port, path, "
            "prefixPath\n"
            "t.yaml:19:63: spec.rules[0].redirect.status: 304 is not one of 301, 302, 303, 307, "
            "308\n");

    CASE("paths that no request has");
    REFUSED(RULE("{match: [{path: {exact: /a/../b}}, {path: {prefix: /%61}}, {path: {exact: "
                 "/a%zz}}], reply: {}}"),
            "t.yaml:19:67: spec.rules[0].match[0].path.exact: no request has this path after "
            "normalising; write /b\n"
            "t.yaml:19:94: spec.rules[0].match[1].path.prefix: no request has this path after "
            "normalising; write /a\n"
            "t.yaml:19:117: spec.rules[0].match[2].path.exact: no request can have this path\n");

    CASE("captures come from every match, prefixPath from a prefix");
    EXPECT(
        load(RULE("{match: [{path: {template: '/u/{id}/{rest...}'}}], redirect: {path: "
                  "'/x/{rest}/{id}'}}")));
    REFUSED(RULE("{match: [{path: {template: '/u/{id}'}}], redirect: {path: '/x/{name}'}}"),
            "t.yaml:19:101: spec.rules[0].redirect.path: a name in {} is not one of the template "
            "/u/{id}\n");
    REFUSED(RULE("{match: [{path: {prefix: /u}}], to: [{service: shop}], rewrite: {path: "
                 "'/x/{id}'}}"),
            "t.yaml:19:114: spec.rules[0].rewrite.path: names in {} need a path template, which "
            "match[0] is not\n");
    REFUSED(RULE("{match: [{path: {exact: /u}}], redirect: {prefixPath: /x}}"),
            "t.yaml:19:97: spec.rules[0].redirect.prefixPath: needs a path prefix, which match[0] "
            "is not\n");

    CASE("headers of the connection are not for editing");
    REFUSED(RULE("{to: [{service: shop}], headers: {request: {set: {Host: x, Content-Length: '1', "
                 "'a b': c}, remove: [Transfer-Encoding]}}}"),
            "t.yaml:19:99: spec.rules[0].headers.request.set.Host: write rewrite.host to change "
            "the host\n"
            "t.yaml:19:118: spec.rules[0].headers.request.set.Content-Length: 'Content-Length' "
            "cannot be edited: it belongs to the connection\n"
            "t.yaml:19:130: spec.rules[0].headers.request.set.a b: 'a b': want a header name like "
            "x-tenant\n"
            "t.yaml:19:143: spec.rules[0].headers.request.remove[0]: 'Transfer-Encoding' cannot be "
            "edited: it belongs to the connection\n");

    CASE("a host that no listener takes");
    REFUSED(GATEWAY("{name: a, address: '127.0.0.1:0', hostnames: [a.example]}") "---\n" SHOP
            HEAD("Route", "r") "spec: {attach: [{gateway: edge}], hosts: [a.example, b.example], "
            "rules: [{to: [{service: shop}]}]}\n",
            "t.yaml:14:54: spec.hosts[1]: no listener that the route is attached to takes this "
            "host\n");
}

static void test_policies(void)
{
    CASE("targets");
    EXPECT(load(EDGE SHOP HEAD("Policy", "p") "spec: {target: {gateway: edge, listener: web}, "
                                              "timeout: {request: 1s}}\n"));
    const struct policy_spec *p = model_find(&model, "Policy", STR("p"))->spec;
    EXPECT(p->sections && node_get(p->sections, STR("timeout")));
    EXPECT(load(HEAD("Policy", "p") "spec: {target: {mesh: default}}\n"));
    REFUSED(EDGE SHOP HEAD("Policy", "a") "spec: {target: {}}\n---\n" HEAD("Policy", "b")
            "spec: {target: {service: shp}}\n---\n" HEAD("Policy", "c")
            "spec: {target: {service: shop, gateway: edge}}\n---\n" HEAD("Policy", "d")
            "spec: {target: {gateway: edge, listener: wb}}\n---\n" HEAD("Policy", "e")
            "spec: {target: {route: r, listener: web}}\n---\n" HEAD("Policy", "f")
            "spec: {target: {mesh: other}}\n---\n" HEAD("Policy", "g") "spec: {}\n",
            "t.yaml:14:16: spec.target: want one of mesh, gateway, service, route\n"
            "t.yaml:19:26: spec.target.service: there is no Service 'shp'; did you mean 'shop'?\n"
            "t.yaml:24:16: spec.target: want only one of mesh, gateway, service, route, got 2\n"
            "t.yaml:29:42: spec.target.listener: Gateway 'edge' has no listener 'wb'; did you mean "
            "'web'?\n"
            "t.yaml:34:37: spec.target.listener: a listener belongs to a 'gateway', which is not "
            "given\n"
            "t.yaml:39:23: spec.target.mesh: there is one mesh, 'default', not 'other'\n"
            "t.yaml:44:7: spec: missing required field 'target'\n");

    CASE("sections are checked by their schema and stay sparse");
    REFUSED(SHOP HEAD("Policy", "p") "spec: {target: {service: shop}, timeouts: {}, retry: "
                                     "{attempts: -1}, timeout: {request: 5}}\n",
            "t.yaml:9:33: spec: unknown field 'timeouts'; did you mean 'timeout'?\n"
            "t.yaml:9:65: spec.retry.attempts: -1 is outside 0..10\n"
            "t.yaml:9:89: spec.timeout.request: want a duration like 250ms, got '5'\n");
}

static void test_schemas(void)
{
    CASE("every kind's rows are sound");
    const struct schema *all[] = { kind_gateway.spec, kind_service.spec, kind_route.spec,
                                   kind_policy.spec,  kind_secret.spec,  &metadata_schema };
    struct buf out;
    buf_init(&out, 1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        EXPECT(schema_lint(all[i], &out));
    EXPECT_STR(buf_view(&out), STR(""));
    buf_fini(&out);

    CASE("keys of secrets are never shown");
    EXPECT(load(HEAD("Secret", "s") "spec: {tls: {certificate: c, key: very-secret}}\n"));
    const struct object *o = model_find(&model, "Secret", STR("s"));
    buf_init(&out, 1 << 16);
    yaml_print(schema_redact(o->kind->spec, o->spec_node, &arena), &out);
    EXPECT(out.n > 0 && !memmem(out.p, out.n, "very-secret", 11));
    buf_fini(&out);
}

void unit_model(void)
{
    const struct kind *kinds[] = { &kind_gateway, &kind_service, &kind_route, &kind_policy,
                                   &kind_secret };
    arena_init(&arena, 1 << 16, 0);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        registry_add("kind", kinds[i]->name, kinds[i]->spec, kinds[i]);
    sections_register();
    test_reading();
    test_variables();
    test_frame();
    test_gateway();
    test_routes();
    test_policies();
    test_schemas();
    model_fini(&model);
    arena_fini(&arena);
}
