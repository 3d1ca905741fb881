/* Worker threads: start, adopting worlds, the once-a-second tick, draining, and the memory of
 * exchanges. */
#include "proxy/worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/exchange.h"
#include "proxy/proxy_priv.h"
#include "proxy/upstream.h"
#include <stdatomic.h>
#include <stdio.h>

struct world_pin *pin_ref(struct world_pin *p)
{
    p->users++;
    return p;
}

void pin_unref(struct worker *w, struct world_pin *p)
{
    CHECK(p->users > 0);
    if (--p->users || p == w->current)
        return;
    list_del(&p->link);
    world_unref(p->world);
    mem_free(p);
}

struct exchange *worker_exchange(struct worker *w)
{
    struct exchange *x = w->spare;
    if (LIKELY(x != NULL)) {
        w->spare = x->next_spare;
        if (--w->n_spare < w->spare_low)
            w->spare_low = w->n_spare;
    } else if (!(x = mem_alloc(sizeof(*x)))) {
        return NULL;
    }
    memset(x, 0, offsetof(struct exchange, next_spare));
    return x;
}

void worker_exchange_free(struct worker *w, struct exchange *x)
{
    x->next_spare = w->spare;
    w->spare = x;
    w->n_spare++;
}

/* Those that nobody needed since the last call go back to the heap, but for a few. */
static void trim_spares(struct worker *w, uint32_t keep)
{
    uint32_t n = w->spare_low < w->n_spare ? w->spare_low : w->n_spare;
    for (; n > keep; n--) {
        struct exchange *x = w->spare;
        w->spare = x->next_spare;
        w->n_spare--;
        mem_free(x);
    }
    w->spare_low = w->n_spare;
}

bool worker_overloaded(const struct worker *w)
{
    size_t used = loop_memory(w->loop) + w->active * sizeof(struct exchange);
    return used > w->memory_limit;
}

/* RFC 9110 section 5.6.7; the text is good for the second it was made in. */
struct str worker_date(struct worker *w)
{
    static _Thread_local char text[40];
    static _Thread_local int64_t second = -1;
    int64_t now = loop_wall(w->loop) / NS_PER_S;
    if (now != second) {
        second = now;
        clock_format_http(now * NS_PER_S, text);
    }
    return (struct str){ text, 29 };
}

/* ---- adopting a world ---- */
static struct worker_listener *find_listener(struct worker *w, const struct bound *socket)
{
    LIST_FOR(it, &w->listeners)
    {
        struct worker_listener *l = CONTAINER_OF(it, struct worker_listener, link);
        if (!l->removed && l->runtime->socket == socket)
            return l;
    }
    return NULL;
}

/* The socket that the main thread bound for this very address: a listener that moved shares its
 * name with the one that goes. */
static int take_fd(struct worker *w, struct bound *b)
{
    int fd = b->fd[w->id];
    b->fd[w->id] = -1;
    return fd;
}

static void adopt_listeners(struct worker *w, struct runtime *r, int64_t now)
{
    LIST_FOR_SAFE(it, tmp, &w->listeners)
    {
        struct worker_listener *l = CONTAINER_OF(it, struct worker_listener, link);
        bool stays = false;
        for (size_t i = 0; i < r->n_listeners && !stays; i++)
            stays = !l->removed && r->listeners[i].socket == l->runtime->socket;
        if (!stays && !l->removed)
            worker_listener_remove(l, now + w->p->conf.drain.ns);
    }
    if (w->draining) /* a signal overtook the world: it is adopted, but nothing is opened any more
                      */
        return;
    for (size_t i = 0; i < r->n_listeners; i++) {
        const struct runtime_listener *rl = &r->listeners[i];
        struct worker_listener *l = find_listener(w, rl->socket);
        if (l && l->conf->protocol != rl->conf->protocol) { /* those inside came for another one */
            int fd = worker_listener_yield(l, now + w->p->conf.drain.ns);
            l = worker_listener_open(w, rl->conf, fd);
        }
        if (!l) {
            int fd = take_fd(w, rl->socket);
            CHECK(fd >= 0);
            l = worker_listener_open(w, rl->conf, fd);
        }
        worker_listener_adopt(l, w->current, rl->conf, rl);
    }
}

/* Runs on the worker's thread; the main thread waits in proxy_reload until every worker has done
 * it, so p->bound is stable. */
static void adopt(struct task *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, adopt);
    struct runtime *r = atomic_load_explicit(&w->p->published, memory_order_acquire);
    struct world_pin *old = w->current;
    if (old && old->runtime == r)
        return;
    if (old)
        old->users++; /* stays until the listeners have let go of it */
    struct world_pin *pin = NEW(struct world_pin);
    pin->world = world_ref(r->world);
    pin->runtime = r;
    list_add_tail(&w->pins, &pin->link);
    w->current = pin;
    if (!telemetry_cache(w, world_routes(r->world))) /* a larger one would be faster */
        memset(w->series, 0, w->series_n * sizeof(*w->series));
    adopt_listeners(w, r, loop_now(w->loop));
    if (old)
        pin_unref(w, old); /* frees it when nothing uses it */
    atomic_store_explicit(&w->adopted, r->generation, memory_order_release);
    loop_wake(w->p->loop);
}

/* ---- tick ---- */
static void begin_drain(struct worker *w)
{
    w->draining = true;
    w->drain_deadline = w->p->drain_deadline;
    LIST_FOR_SAFE(it, tmp, &w->listeners)
    {
        worker_listener_remove(CONTAINER_OF(it, struct worker_listener, link), w->drain_deadline);
    }
}

static void tick_listeners(struct worker *w, int64_t now)
{
    LIST_FOR_SAFE(it, tmp, &w->listeners)
    {
        struct worker_listener *l = CONTAINER_OF(it, struct worker_listener, link);
        if (!l->removed)
            continue;
        /* Half of the time is for clients to come back and be told; after it an idle connection is
         * let go. */
        if (now >= l->drain_deadline - w->p->conf.drain.ns / 2)
            http_server_close_idle(&l->http);
        if (now >= l->drain_deadline) {
            http_server_abort_all(&l->http);
            l4_abort_all(l);
        }
        if (worker_listener_idle(l))
            worker_listener_free(l);
    }
}

static void on_tick(struct timer *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, tick);
    int64_t now = loop_now(w->loop);
    pool_tick(w);
    trim_spares(w, EXCHANGE_SPARE);
    if (atomic_exchange_explicit(&w->trim, false, memory_order_relaxed))
        mem_trim_own();
    tick_listeners(w, now);
    if (w->draining && list_empty(&w->listeners) && w->active == 0) {
        w->stopped = true;
        loop_stop(w->loop);
        return;
    }
    timer_set(w->loop, t, now + (w->draining ? 50 * NS_PER_MS : NS_PER_S));
}

static void on_turn(void *arg)
{
    struct worker *w = arg;
    atomic_store_explicit(&w->turns, atomic_load_explicit(&w->turns, memory_order_relaxed) + 1,
                          memory_order_release);
    log_buffer_turn(w->log);
    if (UNLIKELY(atomic_load_explicit(&w->p->drain_requested, memory_order_acquire)) &&
        !w->draining) {
        begin_drain(w);
        timer_set(w->loop, &w->tick, loop_now(w->loop) + 1);
    }
    if (UNLIKELY(atomic_load_explicit(&w->p->stop_requested, memory_order_relaxed)))
        loop_stop(w->loop);
}

static void thread_main(void *arg)
{
    struct worker *w = arg;
    loop_run(w->loop, on_turn, w);
    LIST_FOR_SAFE(it, tmp, &w->listeners)
    {
        struct worker_listener *l = CONTAINER_OF(it, struct worker_listener, link);
        worker_listener_remove(l, 0);
        http_server_abort_all(&l->http);
        l4_abort_all(l);
    }
    pool_close_all(w);
    for (int i = 0; i < 64 && (w->active || !list_empty(&w->listeners) || pool_any_open(w)); i++) {
        loop_turn(w->loop, 0);
        tick_listeners(w, INT64_MAX);
    }
    log_buffer_turn(w->log);
    atomic_store_explicit(&w->p->workers_ended[w->id], true, memory_order_release);
    loop_wake(w->p->loop);
}

bool worker_start(struct worker *w, struct proxy *p, unsigned id)
{
    w->p = p;
    w->id = id;
    w->memory_limit = p->conf.memory_limit / p->n_workers;
    w->adopt.fn = adopt;
    list_init(&w->listeners);
    list_init(&w->pins);
    w->loop = loop_new(id);
    w->log = log_buffer_new(p->log_writer);
    w->series_n = SERIES_CACHE;
    w->series = mem_need(w->series_n * sizeof(*w->series));
    if (!w->loop || !w->log) {
        mem_free(w->series);
        log_buffer_free(w->log);
        if (w->loop)
            loop_free(w->loop);
        w->series = NULL;
        w->log = NULL;
        w->loop = NULL;
        return false;
    }
    timer_init(&w->tick, on_tick);
    timer_set(w->loop, &w->tick, loop_now(w->loop) + NS_PER_S);
    char name[16];
    snprintf(name, sizeof(name), "worker-%u", id);
    return thread_start(&w->thread, name, thread_main, w);
}

/* After the thread has ended. */
void worker_fini(struct worker *w)
{
    upstream_worker_fini(w);
    pool_worker_fini(w);
    LIST_FOR_SAFE(it, tmp, &w->pins)
    {
        struct world_pin *p = CONTAINER_OF(it, struct world_pin, link);
        list_del(&p->link);
        world_unref(p->world);
        mem_free(p);
    }
    w->spare_low = w->n_spare;
    trim_spares(w, 0);
    mem_free(w->series);
    log_buffer_free(w->log);
    if (w->loop)
        loop_free(w->loop);
}
