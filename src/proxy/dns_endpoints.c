/* Endpoints of services: addresses as they are, names through DNS and again when their time to live
 * ends. Main thread. */
#include "base/log.h"
#include "base/mem.h"
#include "io/dns.h"
#include "proxy/proxy_priv.h"
#include <stdlib.h>

enum { ADDRESSES_A_NAME = 64 };

struct dns_name {
    struct dns_endpoints *d;
    struct str host;
    uint16_t port;
    uint32_t weight;
    struct dns_query *query;
    struct timer timer;
    union addr v[ADDRESSES_A_NAME];
    size_t n;
    bool answered;
};
struct dns_endpoints {
    struct proxy *proxy;
    struct cluster_runtime *rt; /* of the newest world, or the one that is to be it */
    struct cluster_state *state;
    struct arena arena;
    struct endpoint_ref *fixed;
    size_t n_fixed;
    struct dns_name *names;
    size_t n_names;
};

static bool split_port(struct str s, struct str *ret_host, uint16_t *ret_port)
{
    size_t colon = s.n;
    while (colon > 0 && s.p[colon - 1] != ':')
        colon--;
    uint64_t port;
    if (colon < 2 || !str_to_u64(str_sub(s, colon, s.n), &port) || port == 0 || port > 65535)
        return false;
    *ret_host = str_sub(s, 0, colon - 1);
    *ret_port = (uint16_t)port;
    return true;
}

/* Each endpoint shows a certificate of its own host name, unless the service has one for all. */
static struct str tls_name(const struct dns_endpoints *d, size_t i)
{
    const struct cluster_tls *t = d->rt->conf->tls;
    return t && !t->name.n ? d->names[i].host : STR("");
}

/* Publishes what is known. A name that fails keeps its last addresses: stale is better than none.
 */
static void publish(struct dns_endpoints *d)
{
    size_t n = d->n_fixed;
    bool pending = false, failed = false;
    for (size_t i = 0; i < d->n_names; i++) {
        n += d->names[i].n;
        pending |= !d->names[i].answered;
        failed |= d->names[i].answered && d->names[i].n == 0;
    }
    struct endpoint_ref *v = mem_need((n ? n : 1) * sizeof(*v));
    size_t at = d->n_fixed;
    if (at)
        memcpy(v, d->fixed, at * sizeof(*v));
    for (size_t i = 0; i < d->n_names; i++)
        for (size_t k = 0; k < d->names[i].n; k++)
            v[at++] = (struct endpoint_ref){ endpoint_state_get(d->state->name, tls_name(d, i),
                                                                &d->names[i].v[k]),
                                             d->names[i].weight };
    const char *error = n         ? NULL
                        : pending ? "The service's name is not resolved yet."
                        : failed  ? "The service's name does not resolve."
                                  : NULL;
    cluster_set_endpoints(d->proxy, d->rt, v, n, error);
    if (d->state->dns == d)
        cluster_publish(d->proxy, d->rt);
    mem_free(v);
}

static void ask(struct timer *t);

/* Servers turn their answers round: the same addresses are the same set, whatever their order. */
static int by_address(const void *a, const void *b)
{
    const union addr *x = a, *y = b;
    if (x->sa.sa_family != y->sa.sa_family)
        return x->sa.sa_family < y->sa.sa_family ? -1 : 1;
    return x->sa.sa_family == AF_INET
               ? memcmp(&x->v4.sin_addr, &y->v4.sin_addr, sizeof(x->v4.sin_addr))
               : memcmp(&x->v6.sin6_addr, &y->v6.sin6_addr, sizeof(x->v6.sin6_addr));
}

static void answered(void *arg, const struct dns_result *r)
{
    struct dns_name *n = arg;
    n->query = NULL;
    n->answered = true;
    if (r->error) {
        LOG_WARN("name does not resolve", LS("service", n->d->state->name), LS("name", n->host),
                 LC("why", r->error), LI("kept", n->n));
    } else {
        n->n = r->n < ADDRESSES_A_NAME ? r->n : ADDRESSES_A_NAME;
        for (size_t i = 0; i < n->n; i++) {
            n->v[i] = r->v[i];
            addr_set_port(&n->v[i], n->port);
        }
        qsort(n->v, n->n, sizeof(*n->v), by_address);
    }
    publish(n->d);
    timer_set(n->d->proxy->loop, &n->timer,
              loop_now(n->d->proxy->loop) + (r->ttl.ns > NS_PER_S ? r->ttl.ns : NS_PER_S));
}

static void ask(struct timer *t)
{
    struct dns_name *n = CONTAINER_OF(t, struct dns_name, timer);
    n->query = dns_resolve(n->d->proxy->loop, n->host, answered, n);
    if (!n->query)
        timer_set(n->d->proxy->loop, t, loop_now(n->d->proxy->loop) + NS_PER_S);
}

void dns_endpoints_stop(struct cluster_state *s)
{
    struct dns_endpoints *d = s->dns;
    if (!d)
        return;
    s->dns = NULL; /* its runtime may be gone next */
    for (size_t i = 0; i < d->n_names; i++) {
        if (d->names[i].query)
            dns_cancel(d->names[i].query);
        timer_fini(d->proxy->loop, &d->names[i].timer);
    }
    arena_fini(&d->arena);
    mem_free(d);
}

static void add_name(struct dns_endpoints *d, const struct endpoint *e,
                     const struct dns_endpoints *before)
{
    struct dns_name *n = &d->names[d->n_names];
    if (!split_port(e->address, &n->host, &n->port))
        return; /* the schema's format has refused it already */
    n->host = arena_str(&d->arena, n->host);
    n->d = d;
    n->weight = (uint32_t)e->weight;
    timer_init(&n->timer, ask);
    d->n_names++;
    for (size_t i = 0; before && i < before->n_names; i++) {
        const struct dns_name *o = &before->names[i];
        if (str_eq(o->host, n->host) && o->port == n->port) { /* a reload loses no addresses */
            memcpy(n->v, o->v, sizeof(n->v));
            n->n = o->n;
            n->answered = o->answered;
        }
    }
}

static void prepare(struct proxy *p, struct cluster_runtime *c)
{
    struct dns_endpoints *d = NEW(struct dns_endpoints), *before = c->state->dns;
    size_t n = c->conf->endpoints.n;
    arena_init(&d->arena, 4096, 0);
    d->proxy = p;
    d->rt = c;
    d->state = c->state;
    c->dns = d;
    d->fixed = ARENA_ARRAY(&d->arena, struct endpoint_ref, n ? n : 1);
    size_t names = 0;
    union addr a;
    for (size_t i = 0; i < n; i++)
        names += !addr_parse(c->conf->endpoints.v[i].address, &a);
    d->names = ARENA_ARRAY(&d->arena, struct dns_name, names ? names : 1);
    for (size_t i = 0; i < n; i++) {
        const struct endpoint *e = &c->conf->endpoints.v[i];
        if (addr_parse(e->address, &a))
            d->fixed[d->n_fixed++] =
                (struct endpoint_ref){ endpoint_state_get(c->state->name, STR(""), &a),
                                       (uint32_t)e->weight };
        else
            add_name(d, e, before);
    }
    publish(d);
    for (size_t i = 0; i < d->n_names; i++)
        ask(&d->names[i].timer);
}

void endpoints_prepare(struct proxy *p, struct runtime *r)
{
    for (size_t i = 0; i < r->n_clusters; i++)
        prepare(p, &r->clusters[i]);
}

bool endpoints_pending(const struct runtime *r)
{
    for (size_t i = 0; i < r->n_clusters; i++)
        for (size_t k = 0; k < r->clusters[i].dns->n_names; k++)
            if (!r->clusters[i].dns->names[k].answered)
                return true;
    return false;
}

void endpoints_publish(struct proxy *p, struct runtime *r)
{
    for (size_t i = 0; i < r->n_clusters; i++) {
        struct cluster_runtime *c = &r->clusters[i];
        dns_endpoints_stop(c->state);
        c->state->dns = c->dns;
        c->dns = NULL;
        cluster_publish(p, c);
    }
}
