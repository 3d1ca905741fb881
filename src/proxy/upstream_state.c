/* Process-wide state of services and endpoints: found by name and address, so it survives worlds.
   Tables are changed by the main thread only; counters are atomics. */
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "proxy/proxy_priv.h"
#include <stdatomic.h>
#include <stdio.h>

enum { EJECTION_FACTOR_MAX = 10, SWEEP_FROM = 64, SWEPT_AT_ONCE = 512, SWEEPS_A_TURN = 16 };
static const int64_t EJECTION_MAX_NS = 300 * NS_PER_S;

static struct map clusters, endpoints;

static struct str copy(struct str s)
{
    char *p = mem_need(s.n + 1);
    memcpy(p, s.p, s.n);
    return (struct str){ p, s.n };
}

struct cluster_state *cluster_state_get(struct str name)
{
    struct cluster_state *s = map_get(&clusters, name);
    if (s)
        return s;
    s = NEW(struct cluster_state);
    s->name = copy(name);
    map_need(&clusters, s->name, s);
    return s;
}

struct endpoint_state *endpoint_state_get(struct str cluster, struct str tls_name,
                                          const union addr *a)
{
    char text[ADDR_TEXT_MAX], key[768];
    size_t n = addr_print(a, text);
    int kn = snprintf(key, sizeof(key), "%.*s|%.*s%s%.*s", STR_FMT(str_sub(cluster, 0, 400)),
                      STR_FMT(str_sub(tls_name, 0, 255)), tls_name.n ? "|" : "", (int)n, text);
    struct str k = { key, (size_t)kn };
    struct endpoint_state *e = map_get(&endpoints, k);
    if (e)
        return e;
    e = NEW(struct endpoint_state);
    e->key = copy(k);
    e->address = str_sub(e->key, e->key.n - n, e->key.n);
    e->addr = *a;
    e->tls_name = tls_name.n ? copy(tls_name).p : NULL;
    map_need(&endpoints, e->key, e);
    return e;
}

void endpoint_use(struct endpoint_state *e)
{
    atomic_fetch_add_explicit(&e->users, 1, memory_order_relaxed);
}

void endpoint_unuse(struct endpoint_state *e)
{
    atomic_fetch_sub_explicit(&e->users, 1, memory_order_acq_rel);
}

static void endpoint_free(void *arg)
{
    struct endpoint_state *e = arg;
    mem_free((void *)(uintptr_t)e->tls_name);
    mem_free((void *)e->key.p);
    mem_free(e);
}

/* A set that a worker still reads keeps its users until every worker has turned, and a request that
 * chose an endpoint there is active before that: without both nobody has a way to it. */
static bool reachable(const struct endpoint_state *e)
{
    return atomic_load_explicit(&e->users, memory_order_acquire) > 0 ||
           atomic_load_explicit(&e->active, memory_order_acquire) > 0;
}

static size_t sweep_some(struct proxy *p)
{
    struct endpoint_state *gone[SWEPT_AT_ONCE]; /* the map must not change under the iteration */
    size_t i = 0, n = 0;
    for (struct map_slot *m = map_next(&endpoints, &i); m && n < SWEPT_AT_ONCE;
         m = map_next(&endpoints, &i))
        if (!reachable(m->value))
            gone[n++] = m->value;
    for (size_t k = 0; k < n; k++) {
        (void)map_del(&endpoints, gone[k]->key);
        proxy_retire(p, endpoint_free, gone[k]);
    }
    return n;
}

void endpoint_states_sweep(struct proxy *p)
{
    static size_t enough = SWEEP_FROM;
    if (endpoints.n < enough)
        return;
    size_t n = SWEPT_AT_ONCE;
    for (int i = 0; i < SWEEPS_A_TURN && n == SWEPT_AT_ONCE; i++)
        n = sweep_some(p);
    if (n < SWEPT_AT_ONCE)
        enough = 2 * endpoints.n + SWEEP_FROM;
}

static bool same_set(const struct endpoint_set *s, const struct endpoint_ref *v, size_t n,
                     const char *error)
{
    if (!s || s->n != n || s->error != error)
        return false;
    for (size_t i = 0; i < n; i++)
        if (s->v[i].state != v[i].state || s->v[i].weight != v[i].weight)
            return false;
    return true;
}

static struct endpoint_set *set_new(const struct endpoint_ref *v, size_t n, const char *error)
{
    struct endpoint_set *set = mem_need(sizeof(*set) + n * sizeof(*v));
    static uint64_t ids;
    set->id = ++ids;
    atomic_init(&set->refs, 1);
    set->n = n;
    set->error = error;
    if (n)
        memcpy(set->v, v, n * sizeof(*v));
    for (size_t i = 0; i < n; i++)
        endpoint_use(v[i].state);
    return set;
}

static struct endpoint_set *set_ref(struct endpoint_set *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void endpoint_set_unref(struct endpoint_set *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < s->n; i++)
        endpoint_unuse(s->v[i].state);
    mem_free(s);
}

static void set_retired(void *set)
{
    endpoint_set_unref(set);
}

static void set_replace(struct proxy *p, _Atomic(struct endpoint_set *) *at, struct endpoint_set *s)
{
    struct endpoint_set *old = atomic_exchange_explicit(at, s, memory_order_acq_rel);
    if (old)
        proxy_retire(p, set_retired, old);
}

void cluster_set_endpoints(struct proxy *p, struct cluster_runtime *c, const struct endpoint_ref *v,
                           size_t n, const char *error)
{
    struct endpoint_set *now = atomic_load_explicit(&c->set, memory_order_relaxed),
                        *newest = atomic_load_explicit(&c->state->set, memory_order_relaxed);
    if (same_set(now, v, n, error))
        return;
    /* the very same one, where it can be: nobody's turn and no connection is lost by a reload */
    bool same = same_set(newest, v, n, error);
    set_replace(p, &c->set, same ? set_ref(newest) : set_new(v, n, error));
}

void cluster_publish(struct proxy *p, const struct cluster_runtime *c)
{
    struct cluster_state *s = c->state;
    struct endpoint_set *set = atomic_load_explicit(&c->set, memory_order_relaxed);
    if (set == atomic_load_explicit(&s->set, memory_order_relaxed))
        return;
    for (size_t i = 0; i < set->n; i++) /* before it is seen: what is newer than it is not gone */
        atomic_store_explicit(&set->v[i].state->in_set, set->id, memory_order_release);
    set_replace(p, &s->set, set_ref(set));
    atomic_fetch_add_explicit(&s->version, 1, memory_order_release);
}

void cluster_forget(struct proxy *p, struct cluster_state *s)
{
    if (atomic_load_explicit(&s->set, memory_order_relaxed))
        set_replace(p, &s->set, NULL);
}

bool endpoint_usable(const struct endpoint_state *e, int64_t now)
{
    return !atomic_load_explicit(&e->unhealthy, memory_order_relaxed) &&
           atomic_load_explicit(&e->ejected_until, memory_order_relaxed) <= now;
}

/* At most max_ejected of a service's endpoints, but always at least one when there are two or more.
 */
static bool may_eject(const struct cluster_state *c, const struct health_passive *p, int64_t now)
{
    const struct endpoint_set *set = atomic_load_explicit(&c->set, memory_order_acquire);
    if (!set || set->n < 2)
        return false;
    size_t out = 0;
    for (size_t i = 0; i < set->n; i++)
        out += atomic_load_explicit(&set->v[i].state->ejected_until, memory_order_relaxed) > now;
    size_t max = (size_t)((uint64_t)set->n * p->max_ejected.ppm / 1000000u);
    return out < (max ? max : 1);
}

static void eject(struct cluster_state *c, struct endpoint_state *e, const struct health_passive *p,
                  int64_t now)
{
    int64_t in = atomic_load_explicit(&e->ejected_until, memory_order_relaxed);
    uint32_t times = atomic_load_explicit(&e->ejections, memory_order_relaxed);
    int64_t served = in && p->ejection.ns ? (now - in) / p->ejection.ns : 0;
    times = served < times ? times - (uint32_t)served + 1 : 1; /* time in use forgets */
    int64_t for_ns = p->ejection.ns * (times < EJECTION_FACTOR_MAX ? times : EJECTION_FACTOR_MAX);
    if (for_ns > EJECTION_MAX_NS)
        for_ns = EJECTION_MAX_NS;
    if (in > now || !atomic_compare_exchange_strong(&e->ejected_until, &in, now + for_ns))
        return; /* another worker did */
    atomic_store_explicit(&e->ejections, times, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->ejected, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->version, 1, memory_order_release);
    LOG_WARN("endpoint ejected", LS("service", c->name), LS("endpoint", e->address),
             LI("seconds", for_ns / NS_PER_S));
}

void endpoint_report(struct cluster_state *c, struct endpoint_state *e,
                     const struct health_section *h, bool failed, int64_t now)
{
    if (!failed) {
        if (atomic_load_explicit(&e->failures, memory_order_relaxed))
            atomic_store_explicit(&e->failures, 0, memory_order_relaxed);
        return;
    }
    atomic_fetch_add_explicit(&e->errors, 1, memory_order_relaxed);
    uint32_t row = atomic_fetch_add_explicit(&e->failures, 1, memory_order_relaxed) + 1;
    if (h->passive.consecutive == 0 || row < (uint64_t)h->passive.consecutive)
        return;
    if (atomic_load_explicit(&e->ejected_until, memory_order_relaxed) > now ||
        !may_eject(c, &h->passive, now))
        return;
    atomic_store_explicit(&e->failures, 0, memory_order_relaxed);
    eject(c, e, &h->passive, now);
}

void cluster_states_each(void (*fn)(struct cluster_state *s, void *arg), void *arg)
{
    size_t i = 0;
    for (struct map_slot *m = map_next(&clusters, &i); m; m = map_next(&clusters, &i))
        fn(m->value, arg);
}
