/* A worker's view of a service: which endpoints it has now, which may be used, and the choice among
 * them. */
#include "proxy/upstream.h"

#include "base/mem.h"
#include "proxy/proxy_priv.h"
#include <stdatomic.h>

/* Pools are found anew for the next try; those nobody holds go at a tick. */
static void drop_pools(struct cluster_view *v)
{
    for (size_t i = 0; v->pools && i < v->n; i++) {
        if (v->pools[i])
            v->pools[i]->held--;
        v->pools[i] = NULL;
    }
}

static void view_reset(struct cluster_view *v)
{
    drop_pools(v);
    mem_free(v->hosts);
    mem_free(v->pools);
    mem_free(v->lb.credit);
    v->hosts = NULL;
    v->pools = NULL;
    v->lb = (struct lb_state){ 0 };
    v->n = 0;
}

static bool view_resize(struct cluster_view *v, const struct endpoint_set *set)
{
    size_t n = set ? set->n : 0;
    view_reset(v);
    v->set = set;
    v->set_id = set ? set->id : 0;
    if (n == 0)
        return true;
    v->hosts = mem_array(n, sizeof(*v->hosts));
    v->pools = mem_array(n, sizeof(*v->pools));
    v->lb.credit = mem_array(n, sizeof(*v->lb.credit));
    if (!v->hosts || !v->pools || !v->lb.credit) {
        view_reset(v);
        v->set = NULL;
        v->set_id = 0;
        return false;
    }
    for (size_t i = 0; i < n; i++)
        v->hosts[i] =
            (struct lb_host){ .weight = set->v[i].weight, .active = &set->v[i].state->active };
    v->n = n;
    return true;
}

/* Health as balancing sees it: with fewer usable endpoints than the panic share, all count as
 * usable. */
static void view_health(struct worker *w, struct cluster_view *v)
{
    int64_t now = loop_now(w->loop), next = 0;
    size_t usable = 0;
    for (size_t i = 0; i < v->n; i++) {
        const struct endpoint_state *e = v->set->v[i].state;
        int64_t until = atomic_load_explicit(&e->ejected_until, memory_order_relaxed);
        v->hosts[i].usable = endpoint_usable(e, now);
        usable += v->hosts[i].usable;
        if (until > now && (next == 0 || until < next))
            next = until;
    }
    uint32_t panic = v->rt->conf->policy_set->health->panic.ppm;
    if ((uint64_t)usable * 1000000u < (uint64_t)panic * v->n)
        for (size_t i = 0; i < v->n; i++)
            v->hosts[i].usable = true;
    v->recheck = next;
}

/* A view lives as long as its worker and is shared by all worlds that have the service. */
static struct cluster_view *view_find(struct worker *w, const struct cluster_runtime *rt)
{
    struct cluster_view *v = map_get(&w->views, rt->conf->name);
    if (!v) {
        v = mem_alloc(sizeof(*v));
        if (!v)
            return NULL;
        v->state = rt->state;
        v->version = UINT64_MAX;
        if (!map_put(&w->views, rt->state->name, v)) {
            mem_free(v);
            return NULL;
        }
    }
    /* First use of this rt here. The one before it may be gone and its memory may be this rt's now:
     * equal pointers would keep pools of another transport. */
    v->rt = NULL;
    rt->views[w->id] = v;
    return v;
}

struct cluster_view *upstream_view(struct worker *w, const struct cluster_runtime *rt)
{
    struct cluster_view *v = rt->views[w->id];
    if (UNLIKELY(!v) && !(v = view_find(w, rt)))
        return NULL;
    if (v->rt != rt) { /* a new world: transport may have changed, so pools are found anew */
        v->rt = rt;
        v->version = UINT64_MAX;
        drop_pools(v);
    }
    uint64_t version = atomic_load_explicit(&v->state->version, memory_order_acquire);
    if (LIKELY(version == v->version && (v->recheck == 0 || loop_now(w->loop) < v->recheck)))
        return v;
    const struct endpoint_set *set = atomic_load_explicit(&rt->set, memory_order_acquire);
    if ((set ? set->id : 0) != v->set_id && !view_resize(v, set)) {
        v->version = UINT64_MAX;
        return NULL;
    }
    v->version = version;
    view_health(w, v);
    return v;
}

struct pool *upstream_pool(struct worker *w, struct cluster_view *v, size_t i,
                           const struct policy_set *policy)
{
    if (UNLIKELY(!v->pools[i])) {
        v->pools[i] = pool_get(w, v->rt, v->set->v[i].state, policy);
        if (v->pools[i])
            v->pools[i]->held++;
    }
    return v->pools[i];
}

size_t upstream_pick(struct worker *w, struct cluster_view *v, size_t avoid)
{
    (void)w;
    if (v->n == 0)
        return 0;
    return v->rt->lb->pick(v->hosts, v->n, avoid < v->n ? avoid : v->n, &v->lb);
}

void upstream_worker_fini(struct worker *w)
{
    size_t i = 0;
    for (struct map_slot *m = map_next(&w->views, &i); m; m = map_next(&w->views, &i)) {
        view_reset(m->value);
        mem_free(m->value);
    }
    map_fini(&w->views);
}
