/* Route: which requests go where. What rules alone can say wrong is in model/route_rules.c. */
#include "model/spec.h"

static const struct field attach_fields[] = {
    FIELD(struct route_attach, gateway, "gateway", "Name of a Gateway.",
          .flags = F_REQUIRED | F_REF, .ref = "Gateway", .example = "edge"),
    FIELD(struct route_attach, listener, "listener",
          "Only this listener; absent = every one whose protocol fits.", .format = FMT_NAME),
    FEND,
};
static const struct schema attach_schema = { .name = "attach",
                                             .doc = "Where requests come in.",
                                             .size = sizeof(struct route_attach),
                                             .fields = attach_fields };
static const struct field path_fields[] = {
    FIELD(struct route_path, exact, "exact", "The whole path.", .format = FMT_PATH,
          .example = "/health"),
    FIELD(struct route_path, prefix, "prefix", "Whole segments from the start.", .format = FMT_PATH,
          .example = "/api"),
    FIELD(struct route_path, template, "template",
          "Segments with {names}; {name...} takes the rest.", .format = FMT_TEMPLATE,
          .example = "/users/{id}/orders"),
    FIELD(struct route_path, regex, "regex", "A regular expression that matches the whole path.",
          .format = FMT_REGEX, .example = "/v[0-9]+/.*"),
    FEND,
};
static const struct schema path_schema = { .name = "path",
                                           .doc = "What the path must be.",
                                           .size = sizeof(struct route_path),
                                           .fields = path_fields,
                                           .one_of = true };
static const struct enum_value present_values[] = {
    { "false", 1, "It must not be there." },
    { "true", 2, "It must be there, whatever its value." },
    { NULL, 0, NULL },
};
static const struct field test_fields[] = {
    FIELD(struct route_value_test, exact, "exact", "The whole value."),
    FIELD(struct route_value_test, prefix, "prefix", "How the value begins."),
    FIELD(struct route_value_test, regex, "regex",
          "A regular expression that matches the whole value.", .format = FMT_REGEX),
    FENUM(struct route_value_test, present, "present", present_values, "Whether it is there."),
    FEND,
};
static const struct schema test_schema = { .name = "value-test",
                                           .doc = "What a value must be.",
                                           .size = sizeof(struct route_value_test),
                                           .fields = test_fields,
                                           .one_of = true };
static const struct field header_fields[] = {
    FIELD(struct route_value, name, "name", "Name of the header.", .flags = F_REQUIRED,
          .format = FMT_HEADER, .example = "x-tenant"),
    FOBJ(struct route_value, test, "test", &test_schema, "The test.", .flags = F_INLINE),
    FIELD(struct route_value, invert, "invert", "Match when the test fails."),
    FEND,
};
static const struct schema header_schema = { .name = "header-match",
                                             .doc = "A test of one header.",
                                             .size = sizeof(struct route_value),
                                             .fields = header_fields };
static const struct field query_fields[] = {
    FIELD(struct route_value, name, "name", "Name of the parameter, decoded.", .flags = F_REQUIRED,
          .min = 1, .max = 1024, .example = "page"),
    FOBJ(struct route_value, test, "test", &test_schema, "The test.", .flags = F_INLINE),
    FIELD(struct route_value, invert, "invert", "Match when the test fails."),
    FEND,
};
static const struct schema query_schema = { .name = "query-match",
                                            .doc =
                                                "A test of the first value of one query parameter.",
                                            .size = sizeof(struct route_value),
                                            .fields = query_fields };
static const struct field match_fields[] = {
    FPTR(struct route_match_spec, path, "path", &path_schema,
         "What the path must be; absent = any."),
    FIELD(struct route_match_spec, method, "method", "The method; absent = any.",
          .format = FMT_METHOD, .example = "GET"),
    FLIST(struct route_match_spec, headers, "headers", &header_schema,
          "Tests of headers; all must hold.", .max = 16),
    FLIST(struct route_match_spec, query, "query", &query_schema,
          "Tests of query parameters; all must hold.", .max = 16),
    FEND,
};
static const struct schema match_schema = { .name = "match",
                                            .doc = "Conditions that must all hold.",
                                            .size = sizeof(struct route_match_spec),
                                            .fields = match_fields };
static const struct field to_fields[] = {
    FIELD(struct route_to, service, "service", "Name of a Service.", .flags = F_REQUIRED | F_REF,
          .ref = "Service", .example = "shop"),
    FIELD(struct route_to, weight, "weight", "Share of the requests; 0 = none.", .def = "1",
          .max = 1000000),
    FEND,
};
static const struct schema to_schema = { .name = "to",
                                         .doc = "A service and its share.",
                                         .size = sizeof(struct route_to),
                                         .fields = to_fields };
static const struct enum_value schemes[] = {
    { "http", 0, "In clear." },
    { "https", 1, "Over TLS." },
    { NULL, 0, NULL },
};
static const struct field redirect_fields[] = {
    FIELD(struct route_redirect, status, "status", "One of 301, 302, 303, 307, 308.", .def = "302",
          .min = 301, .max = 308),
    FIELD(struct route_redirect, scheme, "scheme", "New scheme; absent = as it came.",
          .values = schemes),
    FIELD(struct route_redirect, host, "host", "New host; absent = as it came.",
          .format = FMT_HOST),
    FIELD(struct route_redirect, port, "port",
          "New port; absent = that of the new scheme, else as it came.", .min = 0, .max = 65535),
    FIELD(struct route_redirect, path, "path",
          "New path; may hold {names} of the template that matched.", .example = "/users/{id}"),
    FIELD(struct route_redirect, prefix_path, "prefixPath", "Replaces the prefix that matched.",
          .format = FMT_PATH),
    FEND,
};
static const struct schema redirect_schema = { .name = "redirect",
                                               .doc = "Answer with another URL.",
                                               .size = sizeof(struct route_redirect),
                                               .fields = redirect_fields };
static const struct field reply_fields[] = {
    FIELD(struct route_reply, status, "status", "Status of the answer.", .def = "200", .min = 200,
          .max = 599),
    FIELD(struct route_reply, content_type, "contentType", "Type of the body.",
          .format = FMT_HEADER_VALUE, .example = "text/plain"),
    FIELD(struct route_reply, body, "body", "The body.", .max = 1 << 20),
    FEND,
};
static const struct schema reply_schema = { .name = "reply",
                                            .doc = "Answer from here.",
                                            .size = sizeof(struct route_reply),
                                            .fields = reply_fields };
static const struct field rewrite_fields[] = {
    FIELD(struct route_rewrite, host, "host", "New host.", .format = FMT_HOST),
    FIELD(struct route_rewrite, path, "path",
          "New path; may hold {names} of the template that matched."),
    FIELD(struct route_rewrite, prefix_path, "prefixPath", "Replaces the prefix that matched.",
          .format = FMT_PATH),
    FEND,
};
static const struct schema rewrite_schema = { .name = "rewrite",
                                              .doc = "Changes before the request is sent on.",
                                              .size = sizeof(struct route_rewrite),
                                              .fields = rewrite_fields };
static const struct field edits_fields[] = {
    FIELD(struct route_edits, set, "set", "Headers to set, in place of what is there.",
          .format = FMT_HEADER_VALUE, .max = 64),
    FIELD(struct route_edits, add, "add", "Headers to add to what is there.",
          .format = FMT_HEADER_VALUE, .max = 64),
    FIELD(struct route_edits, remove, "remove", "Headers to remove.", .format = FMT_HEADER,
          .max = 64),
    FEND,
};
static const struct schema edits_schema = { .name = "edits",
                                            .doc =
                                                "Changes of headers: remove, then set, then add.",
                                            .size = sizeof(struct route_edits),
                                            .fields = edits_fields };
static const struct field headers_fields[] = {
    FOBJ(struct route_headers, request, "request", &edits_schema, "Before the request is sent on."),
    FOBJ(struct route_headers, response, "response", &edits_schema,
         "Before the response is returned."),
    FEND,
};
static const struct schema headers_schema = { .name = "route-headers",
                                              .doc = "Changes of headers.",
                                              .size = sizeof(struct route_headers),
                                              .fields = headers_fields };
static const struct field rule_fields[] = {
    FLIST(struct route_rule, match, "match", &match_schema,
          "Alternatives, one of which must match; none = every request.", .max = 64),
    FLIST(struct route_rule, to, "to", &to_schema, "Services that get the requests, by weight.",
          .max = 64),
    FPTR(struct route_rule, redirect, "redirect", &redirect_schema, "Answer with another URL."),
    FPTR(struct route_rule, reply, "reply", &reply_schema, "Answer from here."),
    FPTR(struct route_rule, rewrite, "rewrite", &rewrite_schema,
         "Changes before the request is sent on."),
    FPTR(struct route_rule, headers, "headers", &headers_schema, "Changes of headers."),
    FEND,
};
static const struct schema rule_schema = {
    .name = "rule",
    .doc = "Requests, and what becomes of them: to, redirect or reply.",
    .size = sizeof(struct route_rule),
    .fields = rule_fields
};
static const struct field fields[] = {
    FLIST(struct route_spec, attach, "attach", &attach_schema, "Where requests come in.",
          .flags = F_REQUIRED, .min = 1, .max = 100),
    FIELD(
        struct route_spec, hosts, "hosts",
        "Hosts the requests are for; *.shop.example is every name below it, however deep, but not "
        "itself; none = every host.",
        .format = FMT_HOST, .max = 1000),
    FIELD(struct route_spec, priority, "priority",
          "Rules of a higher priority come first, whatever their matches.", .min = -1000000,
          .max = 1000000),
    FLIST(struct route_spec, rules, "rules", &rule_schema, "The rules; the best match wins.",
          .flags = F_REQUIRED, .min = 1, .max = 100000),
    FEND,
};
static const struct schema spec_schema = { .name = "Route",
                                           .doc = "Which requests go where.",
                                           .size = sizeof(struct route_spec),
                                           .fields = fields };

bool route_raw(const struct route_spec *r, const struct model *m)
{
    for (size_t i = 0; i < r->rules.n; i++) {
        if (r->rules.v[i].to.n == 0)
            continue;
        const struct object *s = model_find(m, "Service", r->rules.v[i].to.v[0].service);
        if (s && s->spec)
            return ((const struct service_spec *)s->spec)->protocol == MODEL_TCP;
    }
    return false;
}

bool route_attaches(const struct route_attach *at, bool raw, const struct gateway_listener *l)
{
    return at->listener.n ? str_eq(at->listener, l->name) : gateway_listener_raw(l) == raw;
}

static bool attach_check(const struct object *o, const struct model *m, struct errors *e, size_t i,
                         bool raw)
{
    const struct route_attach *at = &((const struct route_spec *)o->spec)->attach.v[i];
    const struct object *g = model_find(m, "Gateway", at->gateway);
    if (!g)
        return reference_fail(e, o, m, AT("spec.attach[%zu].gateway", i), "Gateway", at->gateway);
    const struct gateway_spec *spec = g->spec;
    size_t n = 0;
    for (size_t k = 0; spec && k < spec->listeners.n; k++) {
        const struct gateway_listener *l = &spec->listeners.v[k];
        if (!route_attaches(at, raw, l))
            continue;
        n++;
        if (gateway_listener_raw(l) != raw)
            return spec_fail(e, o, AT("spec.attach[%zu].listener", i),
                             "listener '%.*s/%.*s' carries %s, but the route is for %s",
                             STR_FMT(g->name), STR_FMT(l->name), raw ? "requests" : "bytes",
                             raw ? "services of protocol tcp" : "http, h2 or grpc");
    }
    if (n || !spec)
        return true;
    struct near near = { .wrong = at->listener };
    for (size_t k = 0; k < spec->listeners.n; k++)
        near_try(&near, spec->listeners.v[k].name);
    if (at->listener.n)
        return spec_fail(e, o, AT("spec.attach[%zu].listener", i),
                         "Gateway '%.*s' has no listener '%.*s'%s", STR_FMT(at->gateway),
                         STR_FMT(at->listener), near_text(&near));
    return spec_fail(e, o, AT("spec.attach[%zu].gateway", i),
                     "no listener of Gateway '%.*s' carries %s", STR_FMT(at->gateway),
                     raw ? "bytes (tcp or tls)" : "requests (http or https)");
}

static bool targets_check(const struct object *o, const struct model *m, struct errors *e, size_t i,
                          bool raw)
{
    const struct route_rule *r = &((const struct route_spec *)o->spec)->rules.v[i];
    bool ok = true;
    for (size_t k = 0; k < r->to.n; k++) {
        const struct object *s = model_find(m, "Service", r->to.v[k].service);
        if (!s) {
            ok = reference_fail(e, o, m, AT("spec.rules[%zu].to[%zu].service", i, k), "Service",
                                r->to.v[k].service);
            continue;
        }
        const struct service_spec *spec = s->spec;
        if (spec && (spec->protocol == MODEL_TCP) != raw)
            ok = spec_fail(e, o, AT("spec.rules[%zu].to[%zu].service", i, k),
                           "services of protocol tcp and of http, h2 or grpc in one route");
    }
    if (raw && (r->match.n || r->rewrite || r->headers || r->redirect || r->reply))
        ok = spec_fail(e, o, AT("spec.rules[%zu]", i),
                       "a rule for services of protocol tcp has nothing but 'to'");
    return ok;
}

/* Each host must be one that a listener takes, or the route could never be used. */
static bool host_check(const struct object *o, const struct model *m, struct errors *e, size_t i,
                       bool raw)
{
    const struct route_spec *r = o->spec;
    bool named = false;
    for (size_t k = 0; k < r->attach.n; k++) {
        const struct object *g = model_find(m, "Gateway", r->attach.v[k].gateway);
        const struct gateway_spec *spec = g ? g->spec : NULL;
        if (!spec)
            return true; /* told already */
        for (size_t j = 0; j < spec->listeners.n; j++) {
            const struct gateway_listener *l = &spec->listeners.v[j];
            if (!route_attaches(&r->attach.v[k], raw, l) || l->protocol == GATEWAY_TCP)
                continue;
            if (gateway_listener_takes_host(l, r->hosts.v[i]))
                return true;
            named = true;
        }
    }
    return spec_fail(e, o, AT("spec.hosts[%zu]", i),
                     named ? "no listener that the route is attached to takes this host"
                           : "a tcp connection names no host");
}

static bool check(const struct object *o, const struct model *m, struct errors *e)
{
    const struct route_spec *r = o->spec;
    bool raw = route_raw(r, m), ok = true;
    for (size_t i = 0; i < r->attach.n; i++)
        ok &= attach_check(o, m, e, i, raw);
    for (size_t i = 0; ok && i < r->hosts.n; i++)
        ok &= host_check(o, m, e, i, raw);
    for (size_t i = 0; i < r->rules.n; i++)
        ok &= targets_check(o, m, e, i, raw);
    return ok;
}

static bool resolve(struct object *o, const struct model_input *in, struct arena *a,
                    struct errors *e)
{
    (void)in;
    (void)a;
    return route_rules_check(o, e);
}

const struct kind kind_route = { .name = "Route",
                                 .doc = "Which requests go where.",
                                 .spec = &spec_schema,
                                 .resolve = resolve,
                                 .check = check };
