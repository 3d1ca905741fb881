/* What the proxy derives from a world before the swap: addresses, TLS contexts, filters, cluster
 * state, metric series, log files. Main thread. */
#include "base/log.h"
#include "base/mem.h"
#include "proxy/proxy_priv.h"
#include <stdatomic.h>
#include <stdlib.h>

static bool refuse(struct errors *e, struct str what, const char *fmt, struct str a)
{
    return fail(e, STR(""), 0, 0, what, fmt, STR_FMT(a));
}

/* ---- listeners ---- */
static struct tls_ctx *server_context(struct runtime *r, const struct listener *l, struct errors *e)
{
    struct tls_server_conf c = {
        .min_version = l->tls.min_version ? TLS_V13 : TLS_V12,
        .client_auth = l->tls.client_cert == CLIENT_CERT_REQUIRED   ? TLS_CLIENT_REQUIRED
                       : l->tls.client_cert == CLIENT_CERT_OPTIONAL ? TLS_CLIENT_OPTIONAL
                                                                    : TLS_CLIENT_NONE,
        .alpn_h2 = l->h2 && l->protocol == LISTEN_HTTPS,
        .alpn_none = l->protocol == LISTEN_TLS,
        .tickets = l->tls.session_tickets,
    };
    c.pairs.n = l->tls.certificates.n;
    c.pairs.v = ARENA_ARRAY(&r->arena, struct tls_pair, c.pairs.n ? c.pairs.n : 1);
    for (size_t i = 0; i < c.pairs.n; i++) {
        const struct secret *s = world_secret(r->world, l->tls.certificates.v[i]);
        CHECK(s); /* references were checked when the world was built */
        c.pairs.v[i] = (struct tls_pair){ s->cert_pem, s->key_pem };
    }
    if (l->tls.client_ca.n) {
        const struct secret *s = world_secret(r->world, l->tls.client_ca);
        CHECK(s);
        c.client_ca_pem = s->ca_pem.n ? s->ca_pem : s->cert_pem;
    }
    return tls_server_new(&c, l->name, e);
}

static bool listener_runtime(struct proxy *p, struct runtime *r, const struct listener *l,
                             struct runtime_listener *rl, struct errors *e)
{
    rl->conf = l;
    if (!addr_parse(l->address, &rl->addr))
        return refuse(e, l->name, "'%.*s' is not an address", l->address);
    if (l->protocol == LISTEN_HTTPS || l->protocol == LISTEN_TLS) {
        rl->tls = server_context(r, l, e);
        if (!rl->tls)
            return false;
    }
    telemetry_listener(&rl->metrics, l);
    rl->log_sample = l->access_log.sample.ppm;
    if (p && l->access_log.enabled && rl->log_sample) { /* without a proxy: only a check */
        rl->log = log_writer_file(p->log_writer, l->access_log.file, e);
        if (!rl->log)
            return false;
    }
    return true;
}

/* ---- clusters ---- */
/* Of endpoints without a name of their own (endpoint_state.tls_name). */
static struct str cluster_name_for_tls(const struct cluster *c)
{
    return c->tls->name.n ? c->tls->name : c->name;
}

static struct tls_ctx *client_context(struct runtime *r, const struct cluster *c,
                                      struct str *ret_key, struct errors *e)
{
    struct tls_client_conf t = { .verify = c->tls->verify,
                                 .name = cluster_name_for_tls(c),
                                 .or_address = c->tls->name.n == 0,
                                 .min_version = TLS_V12 };
    t.alpn_h2 = c->protocol == SERVICE_H2 || c->protocol == SERVICE_GRPC;
    t.alpn_h1 = c->protocol == SERVICE_HTTP;
    struct str ca_id = STR("system"), pair_id = STR("");
    if (c->tls->ca.n) {
        const struct secret *s = world_secret(r->world, c->tls->ca);
        CHECK(s);
        t.ca_pem = s->ca_pem.n ? s->ca_pem : s->cert_pem;
        ca_id = arena_fmt(&r->arena, "%016llx", (unsigned long long)str_hash(t.ca_pem));
    }
    if (c->tls->certificate.n) {
        const struct secret *s = world_secret(r->world, c->tls->certificate);
        CHECK(s);
        t.pair = (struct tls_pair){ s->cert_pem, s->key_pem };
        pair_id = arena_fmt(&r->arena, "%016llx", (unsigned long long)str_hash(s->cert_pem));
    }
    *ret_key = arena_fmt(&r->arena, "%.*s/%d%d/%.*s/%.*s", STR_FMT(t.name), t.verify, t.or_address,
                         STR_FMT(ca_id), STR_FMT(pair_id));
    return tls_client_new(&t, c->name, e);
}

static bool cluster_runtime(struct proxy *p, struct runtime *r, const struct cluster *c,
                            struct cluster_runtime *cr, struct errors *e)
{
    cr->conf = c;
    cr->views = ARENA_ARRAY(&r->arena, struct cluster_view *, p ? p->n_workers : 1);
    cr->state = cluster_state_get(c->name);
    cr->lb = lb_find(c->policy_set->balance->algorithm);
    if (!cr->lb)
        return refuse(e, c->name, "no balancing algorithm is called '%.*s'",
                      c->policy_set->balance->algorithm);
    cr->proto = c->protocol == SERVICE_H2 || c->protocol == SERVICE_GRPC ? PROTO_H2 : PROTO_H1;
    if (!c->tls)
        return true;
    cr->tls = client_context(r, c, &cr->tls_key, e);
    return cr->tls != NULL;
}

/* ---- filters ---- */
struct filter_pass {
    struct runtime *r;
    struct errors *e;
    bool ok;
};

static int filter_order(const void *a, const void *b)
{
    const struct filter *x = a, *y = b;
    if (x->type->phase != y->type->phase)
        return x->type->phase < y->type->phase ? -1 : 1;
    return strcmp(x->type->name, y->type->name);
}

static void open_filters(struct policy_set *ps, void *arg)
{
    struct filter_pass *fp = arg;
    struct policy_runtime *pr = ARENA_NEW(&fp->r->arena, struct policy_runtime);
    ps->runtime = pr;
    pr->v = ARENA_ARRAY(&fp->r->arena, struct filter, ps->filters.n ? ps->filters.n : 1);
    for (size_t i = 0; i < ps->filters.n; i++) {
        const struct filter_conf *fc = &ps->filters.v[i];
        const struct section_info *info = fc->row->extra;
        struct filter f = { .type = info->filter, .conf = fc->conf };
        f.key = arena_fmt(&fp->r->arena, "%s|%.*s", fc->row->key, STR_FMT(fc->origin));
        if (f.type->open && !f.type->open(&f, fp->e)) {
            fp->ok = false;
            return;
        }
        pr->v[pr->n++] = f;
    }
    qsort(pr->v, pr->n, sizeof(*pr->v), filter_order);
}

static void close_filters(struct policy_set *ps, void *arg)
{
    struct policy_runtime *pr = ps->runtime;
    (void)arg;
    for (size_t i = 0; pr && i < pr->n; i++)
        if (pr->v[i].type->close)
            pr->v[i].type->close(&pr->v[i]);
    ps->runtime = NULL;
}

/* ---- the whole ---- */
void runtime_free(struct runtime *r)
{
    if (!r)
        return;
    world_policy_sets(r->world, close_filters, NULL);
    for (size_t i = 0; i < r->n_listeners; i++) {
        tls_unref(r->listeners[i].tls);
        log_file_unref(r->listeners[i].log);
        if (r->listeners[i].socket)
            atomic_fetch_sub(&r->listeners[i].socket->users, 1);
    }
    for (size_t i = 0; i < r->n_clusters; i++) {
        tls_unref(r->clusters[i].tls);
        endpoint_set_unref(r->clusters[i].set);
    }
    arena_fini(&r->arena);
    mem_free(r);
}

static void world_gone(struct world *w, void *arg)
{
    struct runtime *r = arg;
    (void)w;
    if (r->proxy)
        atomic_fetch_add(&r->proxy->worlds_gone, 1);
    runtime_free(r);
}

struct runtime *runtime_new(struct proxy *p, struct world *w, struct errors *e)
{
    struct runtime *r = NEW(struct runtime);
    const listener_list *ls = world_listeners(w);
    const cluster_list *cs = world_clusters(w);
    arena_init(&r->arena, 0, 0);
    r->proxy = p;
    r->world = w;
    r->listeners = ARENA_ARRAY(&r->arena, struct runtime_listener, ls->n ? ls->n : 1);
    r->clusters = ARENA_ARRAY(&r->arena, struct cluster_runtime, cs->n ? cs->n : 1);
    bool ok = true;
    for (size_t i = 0; i < ls->n; i++, r->n_listeners++)
        ok &= listener_runtime(p, r, &ls->v[i], &r->listeners[i], e);
    for (size_t i = 0; i < cs->n; i++, r->n_clusters++)
        ok &= cluster_runtime(p, r, &cs->v[i], &r->clusters[i], e);
    struct filter_pass fp = { .r = r, .e = e, .ok = true };
    world_policy_sets(w, open_filters, &fp);
    if (!ok || !fp.ok) {
        runtime_free(r);
        return NULL;
    }
    world_on_free(w, world_gone, r);
    return r;
}

bool proxy_check(struct world *w, struct errors *e)
{
    return runtime_new(NULL, w, e) != NULL; /* goes with the world */
}
