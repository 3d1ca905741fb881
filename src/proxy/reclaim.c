/* Memory that goes: what workers may still read is freed when all of them have turned, and what a
   crowd or an older world used is given back to the system. Main thread. */
#include "base/mem.h"
#include "proxy/proxy_priv.h"
#include <stdatomic.h>

enum { CROWD = 256 }; /* connections; fewer leave nothing worth a trim */
static const int64_t TRIM_AFTER_NS = 3 * NS_PER_S; /* workers have given up their spares by then */

void proxy_retire(struct proxy *p, void (*fn)(void *p), void *ptr)
{
    if (!p->running) {
        fn(ptr);
        return;
    }
    struct retired *r = NEW(struct retired);
    r->fn = fn;
    r->p = ptr;
    for (unsigned i = 0; i < p->n_workers; i++)
        r->turns[i] = atomic_load_explicit(&p->workers[i].turns, memory_order_acquire);
    r->next = p->retired;
    p->retired = r;
    proxy_wake_workers(p);
}

static bool quiescent(const struct proxy *p, const struct retired *r)
{
    for (unsigned i = 0; i < p->n_workers; i++)
        if (atomic_load_explicit(&p->workers[i].turns, memory_order_acquire) < r->turns[i] + 2 &&
            !atomic_load_explicit(&p->workers_ended[i], memory_order_acquire))
            return false;
    return true;
}

void proxy_free_retired(struct proxy *p)
{
    for (struct retired **at = &p->retired; *at;) {
        struct retired *r = *at;
        if (!quiescent(p, r)) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        r->fn(r->p);
        mem_free(r);
    }
    if (p->retired)
        proxy_wake_workers(p);
}

void proxy_trim(struct proxy *p)
{
    uint32_t now = atomic_load_explicit(&p->connections, memory_order_relaxed),
             peak = atomic_load_explicit(&p->peak_connections, memory_order_relaxed),
             worlds = atomic_load_explicit(&p->worlds_gone, memory_order_relaxed);
    bool crowd_gone = peak >= CROWD && now <= peak / 2;
    if (crowd_gone)
        atomic_store_explicit(&p->peak_connections, now, memory_order_relaxed);
    if ((crowd_gone || worlds != p->worlds_seen) && p->trim_at == 0)
        p->trim_at = loop_now(p->loop) + TRIM_AFTER_NS;
    p->worlds_seen = worlds;
    if (p->trim_at == 0 || loop_now(p->loop) < p->trim_at)
        return;
    p->trim_at = 0;
    mem_trim();
    for (unsigned i = 0; i < p->n_workers; i++)
        atomic_store_explicit(&p->workers[i].trim, true, memory_order_relaxed);
}
