/* Objects to resources: listeners, clusters, endpoints, secrets here; policies and routes in their
   own files. */
#include "compile/priv.h"
#include "crypto/cert.h"
#include "snapshot/world.h"
#include <stdlib.h>

/* One resource: a secret or a service with very many endpoints. */
enum { JSON_MAX = 64 << 20, TABLE_SCRATCH = 256 * 1024 };

void compile_add(struct compile *c, enum resource_type type, struct str name, struct str bytes)
{
    resource_list *l = &c->out->resources;
    if (l->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 256;
        struct resource *v = ARENA_ARRAY(c->a, struct resource, cap);
        if (l->n)
            memcpy(v, l->v, l->n * sizeof(*v));
        l->v = v;
        c->cap = cap;
    }
    struct resource *r = &l->v[l->n++];
    *r = (struct resource){ .type = (uint8_t)type, .name = name, .bytes = bytes };
    resource_seal(r);
}

struct str compile_json(struct compile *c, const struct node *n)
{
    buf_clear(&c->scratch);
    json_print(n, 0, &c->scratch);
    if (c->scratch.failed)
        fail(c->e, STR(""), 0, 0, STR(""), "a resource is larger than 64 MiB");
    return arena_str(c->a, buf_view(&c->scratch));
}

static void add_struct(struct compile *c, enum resource_type type, struct str name,
                       const struct schema *s, const void *v)
{
    struct schema_print_opts opts = { .secrets = true };
    compile_add(c, type, name, compile_json(c, schema_print(s, v, opts, c->a)));
}

/* ---- listeners ---- */

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct gate *)a)->name, ((const struct gate *)b)->name);
}

static void gates_find(struct compile *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->m->objects.n; i++)
        if (strcmp(c->m->objects.v[i].kind->name, "Gateway") == 0)
            n += ((const struct gateway_spec *)c->m->objects.v[i].spec)->listeners.n;
    c->gates = ARENA_ARRAY(c->a, struct gate, n + 1);
    for (size_t i = 0; i < c->m->objects.n; i++) {
        const struct object *o = &c->m->objects.v[i];
        if (strcmp(o->kind->name, "Gateway") != 0)
            continue;
        const struct gateway_spec *g = o->spec;
        for (size_t k = 0; k < g->listeners.n; k++) {
            struct gate *at = &c->gates[c->n_gates++];
            at->gateway = o;
            at->conf = &g->listeners.v[k];
            at->name = arena_fmt(c->a, "%.*s/%.*s", STR_FMT(o->name), STR_FMT(at->conf->name));
            at->gateway_policies = policies_of(c, RANK_GATEWAY, o->name);
            at->listener_policies = policies_of(c, RANK_LISTENER, at->name);
        }
    }
    qsort(c->gates, c->n_gates, sizeof(*c->gates), by_name);
}

static uint8_t listen_protocol(const struct gateway_listener *l)
{
    static const uint8_t of[] = { [GATEWAY_HTTP] = LISTEN_HTTP,
                                  [GATEWAY_HTTPS] = LISTEN_HTTPS,
                                  [GATEWAY_TCP] = LISTEN_TCP,
                                  [GATEWAY_TLS] = LISTEN_TLS };
    if (l->protocol == GATEWAY_TLS && l->tls->mode == GATEWAY_PASSTHROUGH)
        return LISTEN_PASSTHROUGH;
    return of[l->protocol];
}

static struct listener_tls listen_tls(struct compile *c, const struct gateway_tls *t)
{
    static const uint8_t modes[] = { [GATEWAY_CLIENT_NONE] = CLIENT_CERT_NONE,
                                     [GATEWAY_CLIENT_OPTIONAL] = CLIENT_CERT_OPTIONAL,
                                     [GATEWAY_CLIENT_REQUIRED] = CLIENT_CERT_REQUIRED };
    struct listener_tls r = { .min_version = t->min_version,
                              .client_cert = modes[t->client.mode],
                              .client_ca = t->client.ca.secret,
                              .session_tickets = t->session_tickets };
    struct str *v = ARENA_ARRAY(c->a, struct str, t->certificates.n + 1);
    for (size_t i = 0; i < t->certificates.n; i++)
        v[i] = t->certificates.v[i].secret;
    r.certificates.v = v;
    r.certificates.n = t->certificates.n;
    return r;
}

static void add_listener(struct compile *c, const struct gate *at)
{
    const struct gateway_spec *g = at->gateway->spec;
    struct stack s = { .at = { [RANK_MESH] = policies_of(c, RANK_MESH, STR("")),
                               [RANK_GATEWAY] = at->gateway_policies,
                               [RANK_LISTENER] = at->listener_policies } };
    struct listener l = { .address = at->conf->address,
                          .protocol = listen_protocol(at->conf),
                          .h2 = at->conf->http2,
                          .hostnames = at->conf->hostnames,
                          .access_log = { .enabled = g->access_log.mode,
                                          .sample = g->access_log.sample,
                                          .file = g->access_log.file },
                          .request_id = g->request_id,
                          .policy = policy_set_name(c, &s) };
    if (at->conf->tls && l.protocol != LISTEN_PASSTHROUGH)
        l.tls = listen_tls(c, at->conf->tls);
    add_struct(c, RES_LISTENER, at->name, &listener_schema, &l);
}

/* ---- services and secrets ---- */

static void add_service(struct compile *c, const struct object *o)
{
    static const uint8_t protocols[] = { [MODEL_HTTP] = SERVICE_HTTP,
                                         [MODEL_H2] = SERVICE_H2,
                                         [MODEL_GRPC] = SERVICE_GRPC,
                                         [MODEL_TCP] = SERVICE_TCP };
    const struct service_spec *s = o->spec;
    struct stack at = { .at = { [RANK_MESH] = policies_of(c, RANK_MESH, STR("")),
                                [RANK_SERVICE] = policies_of(c, RANK_SERVICE, o->name) } };
    struct cluster_tls tls;
    struct cluster cluster = { .protocol = protocols[s->protocol],
                               .policy = policy_set_name(c, &at) };
    if (s->tls) {
        tls = (struct cluster_tls){ .verify = s->tls->verify,
                                    .name = s->tls->server_name,
                                    .ca = s->tls->ca.secret,
                                    .certificate = s->tls->certificate.secret };
        cluster.tls = &tls;
    }
    add_struct(c, RES_CLUSTER, o->name, &cluster_schema, &cluster);
    struct endpoint *v = ARENA_ARRAY(c->a, struct endpoint, s->endpoints.n + 1);
    for (size_t i = 0; i < s->endpoints.n; i++) {
        v[i].address = s->endpoints.v[i].address;
        v[i].weight = s->endpoints.v[i].weight;
    }
    struct endpoints list = { .v = { (void *)v, s->endpoints.n } };
    add_struct(c, RES_ENDPOINTS, o->name, &endpoints_schema, &list);
}

/* The row that the text came from: the file's when it was read from one. */
static void pem_fail(struct compile *c, const struct object *o, const char *part, const char *text,
                     const char *file, const char *why)
{
    const struct node *spec = node_get(o->spec_node, str_from(part));
    const char *row = node_get(spec, str_from(file)) ? file : text;
    spec_fail(c->e, o, arena_fmt(c->a, "spec.%s.%s", part, row), "%s", why);
}

static bool pem_check(struct compile *c, const struct object *o, struct str pem, const char *part,
                      const char *text, const char *file)
{
    struct cert_list l = { 0 };
    const char *why;
    bool ok = cert_list_parse(pem, &l, &why);
    if (ok)
        cert_list_fini(&l);
    else
        pem_fail(c, o, part, text, file, why);
    return ok;
}

static void add_secret(struct compile *c, const struct object *o)
{
    const struct secret_spec *s = o->spec;
    struct secret out = { 0 };
    if (s->tls) {
        out.cert_pem = s->tls->certificate;
        out.key_pem = s->tls->key;
        const char *why;
        if (pem_check(c, o, out.cert_pem, "tls", "certificate", "certificateFile") &&
            !cert_key_fits(out.cert_pem, out.key_pem, &why))
            pem_fail(c, o, "tls", "key", "keyFile", why);
    } else {
        out.ca_pem = s->ca->certificates;
        pem_check(c, o, out.ca_pem, "ca", "certificates", "file");
    }
    add_struct(c, RES_SECRET, o->name, &secret_schema, &out);
}

/* ---- all of it ---- */

static int by_type_and_name(const void *pa, const void *pb)
{
    const struct resource *a = pa, *b = pb;
    return a->type != b->type ? a->type - b->type : str_cmp(a->name, b->name);
}

static void compile_all(struct compile *c)
{
    policies_index(c);
    gates_find(c);
    for (size_t i = 0; i < c->n_gates; i++)
        add_listener(c, &c->gates[i]);
    for (size_t i = 0; i < c->m->objects.n; i++) {
        const struct object *o = &c->m->objects.v[i];
        if (strcmp(o->kind->name, "Service") == 0)
            add_service(c, o);
        else if (strcmp(o->kind->name, "Secret") == 0)
            add_secret(c, o);
    }
    routes_compile(c);
    resource_list *l = &c->out->resources;
    if (l->n)
        qsort(l->v, l->n, sizeof(*l->v), by_type_and_name);
}

/* False when the arena was out of memory on the way. */
static bool guarded(struct compile *c)
{
    jmp_buf oom;
    if (setjmp(oom) != 0)
        return false;
    c->a->on_oom = c->table_scratch.on_oom = &oom;
    compile_all(c);
    return true;
}

static void fini(struct compile *c)
{
    for (size_t i = 0; i < c->n_gates; i++)
        map_fini(&c->gates[i].hosts);
    map_fini(&c->targets);
    map_fini(&c->sets);
    map_fini(&c->told);
    buf_fini(&c->scratch);
    arena_fini(&c->table_scratch);
}

bool compile(const struct model *m, struct arena *a, struct compiled *ret, struct errors *e)
{
    struct compile c = { .m = m, .a = a, .e = e, .out = ret };
    size_t before = e->n - e->warnings + e->dropped;
    jmp_buf *outer = a->on_oom;
    *ret = (struct compiled){ 0 };
    buf_init(&c.scratch, JSON_MAX);
    arena_init(&c.table_scratch, TABLE_SCRATCH, 0);
    bool done = guarded(&c);
    a->on_oom = outer;
    fini(&c);
    if (!done && outer)
        longjmp(*outer, 1);
    if (!done)
        return fail(e, STR(""), 0, 0, STR(""), "out of memory");
    return e->n - e->warnings + e->dropped == before;
}

void compiled_fini(struct compiled *c)
{
    map_fini(&c->origins);
}
