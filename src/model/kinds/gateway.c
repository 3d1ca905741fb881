/* Gateway: where clients come in. */
#include "model/spec.h"

static const struct enum_value protocols[] = {
    { "http", GATEWAY_HTTP, "HTTP in clear." },
    { "https", GATEWAY_HTTPS, "HTTP over TLS." },
    { "tcp", GATEWAY_TCP, "Bytes of any protocol." },
    { "tls", GATEWAY_TLS, "TLS with any protocol inside; tls.mode says who ends it." },
    { NULL, 0, NULL },
};
static const struct enum_value modes[] = {
    { "terminate", GATEWAY_TERMINATE, "The gateway ends TLS." },
    { "passthrough", GATEWAY_PASSTHROUGH, "The service ends TLS; routed by the name asked for." },
    { NULL, 0, NULL },
};
static const struct enum_value versions[] = {
    { "1.2", 0, "TLS 1.2 and later." },
    { "1.3", 1, "TLS 1.3 only." },
    { NULL, 0, NULL },
};
static const struct enum_value client_modes[] = {
    { "none", GATEWAY_CLIENT_NONE, "Not asked for." },
    { "optional", GATEWAY_CLIENT_OPTIONAL, "Asked for; one that is shown must be good." },
    { "required", GATEWAY_CLIENT_REQUIRED, "No connection without a good one." },
    { NULL, 0, NULL },
};
static const struct field client_fields[] = {
    FENUM(struct gateway_client_certificate, mode, "mode", client_modes,
          "Whether clients show one.", .def = "none"),
    FOBJ(struct gateway_client_certificate, ca, "ca", &secret_ref_schema,
         "Certificates that sign those of clients."),
    FEND,
};
static const struct schema client_schema = { .name = "client-certificate",
                                             .doc = "Certificates of clients.",
                                             .size = sizeof(struct gateway_client_certificate),
                                             .fields = client_fields };
static const struct field tls_fields[] = {
    FENUM(struct gateway_tls, mode, "mode", modes, "Who ends TLS.", .def = "terminate"),
    FLIST(struct gateway_tls, certificates, "certificates", &secret_ref_schema,
          "Certificates with keys; the one that has the name asked for is shown, else the first.",
          .max = 1000),
    FENUM(struct gateway_tls, min_version, "minVersion", versions, "Oldest version spoken.",
          .def = "1.2"),
    FOBJ(struct gateway_tls, client, "clientCertificate", &client_schema,
         "Certificates of clients."),
    FIELD(struct gateway_tls, session_tickets, "sessionTickets",
          "Clients may resume sessions by tickets.", .def = "true"),
    FEND,
};
static const struct schema tls_schema = { .name = "gateway-tls",
                                          .doc = "TLS with clients.",
                                          .size = sizeof(struct gateway_tls),
                                          .fields = tls_fields };
static const struct field listener_fields[] = {
    FIELD(struct gateway_listener, name, "name", "Name, unique in the gateway.",
          .flags = F_REQUIRED, .format = FMT_NAME, .example = "web"),
    FIELD(struct gateway_listener, address, "address",
          "Address and port; port 0 takes any free one.", .flags = F_REQUIRED,
          .format = FMT_ADDRESS, .example = "127.0.0.1:8000"),
    FENUM(struct gateway_listener, protocol, "protocol", protocols, "What clients speak.",
          .def = "http"),
    FIELD(struct gateway_listener, hostnames, "hostnames",
          "Hosts answered here, wildcards like those of routes; none = every host.",
          .format = FMT_HOST, .max = 1000),
    FPTR(struct gateway_listener, tls, "tls", &tls_schema, "TLS with clients: for https and tls."),
    FIELD(struct gateway_listener, http2, "http2", "Offer HTTP/2 beside HTTP/1.1.", .def = "true"),
    FEND,
};
static const struct schema gateway_listener_schema = { .name = "gateway-listener",
                                                       .doc =
                                                           "One address that clients connect to.",
                                                       .size = sizeof(struct gateway_listener),
                                                       .fields = listener_fields };
static const struct enum_value switch_values[] = {
    { "off", 0, "No lines." },
    { "on", 1, "One line a request or connection." },
    { NULL, 0, NULL },
};
static const struct field log_fields[] = {
    FENUM(struct gateway_access_log, mode, "mode", switch_values, "Whether requests are logged.",
          .def = "on"),
    FIELD(struct gateway_access_log, sample, "sample", "Share of requests that are logged.",
          .def = "100%", .max = 1000000),
    FIELD(struct gateway_access_log, file, "file",
          "File to append to, opened anew by every reload; absent = standard output.",
          .format = FMT_FILE),
    FEND,
};
static const struct schema log_schema = { .name = "access-log",
                                          .doc = "Log of requests.",
                                          .size = sizeof(struct gateway_access_log),
                                          .fields = log_fields };
static const struct field fields[] = {
    FLIST(struct gateway_spec, listeners, "listeners", &gateway_listener_schema,
          "The addresses that clients connect to.", .flags = F_REQUIRED, .min = 1, .max = 1000),
    FOBJ(struct gateway_spec, access_log, "accessLog", &log_schema, "Log of requests."),
    FIELD(struct gateway_spec, request_id, "requestId",
          "Every request gets an X-Request-Id that is passed on and returned.", .def = "true"),
    FEND,
};
static const struct schema spec_schema = { .name = "Gateway",
                                           .doc = "Where clients come in.",
                                           .size = sizeof(struct gateway_spec),
                                           .fields = fields };

bool gateway_listener_raw(const struct gateway_listener *l)
{
    return l->protocol == GATEWAY_TCP || l->protocol == GATEWAY_TLS;
}

const struct gateway_listener *gateway_find_listener(const struct gateway_spec *g, struct str name)
{
    for (size_t i = 0; i < g->listeners.n; i++)
        if (str_eq(g->listeners.v[i].name, name))
            return &g->listeners.v[i];
    return NULL;
}

/* Is there a host that both patterns take? */
static bool hosts_meet(struct str a, struct str b)
{
    bool wild_a = str_starts(a, STR("*.")), wild_b = str_starts(b, STR("*."));
    if (!wild_a && !wild_b)
        return str_eq(a, b);
    struct str end_a = wild_a ? str_sub(a, 1, a.n) : a, end_b = wild_b ? str_sub(b, 1, b.n) : b;
    return (wild_a && str_ends(end_b, end_a)) || (wild_b && str_ends(end_a, end_b));
}

bool gateway_listener_takes_host(const struct gateway_listener *l, struct str host)
{
    for (size_t i = 0; i < l->hostnames.n; i++)
        if (host.n == 0 || hosts_meet(l->hostnames.v[i], host))
            return true;
    return l->hostnames.n == 0;
}

/* What a listener's protocol and its tls section allow together. */
static bool tls_rules(const struct object *o, size_t i, struct errors *e)
{
    const struct gateway_spec *g = o->spec;
    const struct gateway_listener *l = &g->listeners.v[i];
    const struct gateway_tls *t = l->tls;
    bool secure = l->protocol == GATEWAY_HTTPS || l->protocol == GATEWAY_TLS;
    struct str name = str_from(protocols[l->protocol].name);
    if (!t)
        return !secure || spec_fail(e, o, AT("spec.listeners[%zu]", i),
                                    "protocol %.*s needs tls.certificates", STR_FMT(name));
    if (!secure)
        return spec_fail(e, o, AT("spec.listeners[%zu].tls", i),
                         "protocol %.*s has no TLS; write https or tls", STR_FMT(name));
    if (t->mode == GATEWAY_PASSTHROUGH) {
        if (l->protocol == GATEWAY_HTTPS)
            return spec_fail(e, o, AT("spec.listeners[%zu].tls.mode", i),
                             "passthrough needs protocol tls: requests inside cannot be read");
        if (t->certificates.n || t->client.mode != GATEWAY_CLIENT_NONE)
            return spec_fail(e, o, AT("spec.listeners[%zu].tls", i),
                             "with passthrough the service has the certificates");
        return true;
    }
    if (t->certificates.n == 0)
        return spec_fail(e, o, AT("spec.listeners[%zu].tls", i),
                         "want at least one of certificates");
    if (t->client.mode != GATEWAY_CLIENT_NONE && t->client.ca.secret.n == 0)
        return spec_fail(e, o, AT("spec.listeners[%zu].tls.clientCertificate", i),
                         "want a 'ca' to check certificates of clients against");
    return true;
}

static bool resolve(struct object *o, const struct model_input *in, struct arena *a,
                    struct errors *e)
{
    const struct gateway_spec *g = o->spec;
    bool ok = true;
    (void)in;
    (void)a;
    for (size_t i = 0; i < g->listeners.n; i++) {
        const struct gateway_listener *l = &g->listeners.v[i];
        ok &= tls_rules(o, i, e);
        if (l->protocol == GATEWAY_TCP && l->hostnames.n)
            ok = spec_fail(e, o, AT("spec.listeners[%zu].hostnames", i),
                           "a tcp connection names no host");
        if (gateway_find_listener(g, l->name) != l)
            ok = spec_fail(e, o, AT("spec.listeners[%zu].name", i),
                           "there are two listeners '%.*s'", STR_FMT(l->name));
    }
    return ok;
}

static bool port_fixed(struct str address)
{
    return !str_ends(address, STR(":0"));
}

/* The first listener of the set with this fixed address must be l itself. */
static bool address_check(const struct object *o, const struct model *m, struct errors *e,
                          size_t at)
{
    const struct gateway_spec *g = o->spec;
    const struct gateway_listener *l = &g->listeners.v[at];
    if (!port_fixed(l->address))
        return true;
    for (const struct object *p = m->objects.v; p <= o; p++) {
        if (p->kind != o->kind || !p->spec)
            continue;
        const struct gateway_spec *other = p->spec;
        for (size_t i = 0; i < (p == o ? at : other->listeners.n); i++)
            if (str_eq(other->listeners.v[i].address, l->address))
                return spec_fail(e, o, AT("spec.listeners[%zu].address", at),
                                 "'%.*s' is taken by listener '%.*s/%.*s'; this is '%.*s/%.*s'",
                                 STR_FMT(l->address), STR_FMT(p->name),
                                 STR_FMT(other->listeners.v[i].name), STR_FMT(o->name),
                                 STR_FMT(l->name));
    }
    return true;
}

static bool check(const struct object *o, const struct model *m, struct errors *e)
{
    const struct gateway_spec *g = o->spec;
    bool ok = true;
    if (model_find(m, "Service", o->name))
        ok = spec_fail(e, o, STR("metadata.name"),
                       "there is a Service '%.*s' too: gateways and services share their names",
                       STR_FMT(o->name));
    for (size_t i = 0; i < g->listeners.n; i++) {
        const struct gateway_tls *t = g->listeners.v[i].tls;
        ok &= address_check(o, m, e, i);
        for (size_t k = 0; t && k < t->certificates.n; k++)
            ok &= reference_secret(o, m, e,
                                   AT("spec.listeners[%zu].tls.certificates[%zu].secret", i, k),
                                   t->certificates.v[k].secret);
        if (t)
            ok &= reference_secret(o, m, e,
                                   AT("spec.listeners[%zu].tls.clientCertificate.ca.secret", i),
                                   t->client.ca.secret);
    }
    return ok;
}

const struct kind kind_gateway = { .name = "Gateway",
                                   .doc = "Where clients come in.",
                                   .spec = &spec_schema,
                                   .resolve = resolve,
                                   .check = check };
