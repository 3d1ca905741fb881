/* Upstream connections of one worker, by address, TLS identity and protocol: idle HTTP/1 ones last
   in first out, HTTP/2 ones shared. An exchange that finds none waits in line; whichever connection
   is ready first, new or given back, serves the first in line. */
#include "base/log.h"
#include "base/mem.h"
#include "proxy/exchange.h"
#include "proxy/proxy_priv.h"
#include <stdatomic.h>
#include <stdio.h>

enum {
    H2_STREAMS_PER_CONN = 100,
    POOL_KEY_MAX = 1024,
    DEAD_A_TICK = 256,
    MUTE_MAX = 4, /* connections that may take no stream at all, before no more are opened */
};

static struct exchange *waiter(struct list *it)
{
    return CONTAINER_OF(it, struct exchange, wait);
}

static struct http_client *client(struct list *it)
{
    return CONTAINER_OF(it, struct http_client, link);
}

static uint32_t length(const struct list *l)
{
    uint32_t n = 0;
    LIST_FOR(it, l)
    {
        n++;
    }
    return n;
}

static uint32_t waiting_in(const struct pool *p)
{
    return length(&p->waiters);
}

struct pool *pool_get(struct worker *w, const struct cluster_runtime *rt, struct endpoint_state *e,
                      const struct policy_set *policy)
{
    char key[POOL_KEY_MAX];
    int n = snprintf(key, sizeof(key), "%.*s|%.*s|%u", STR_FMT(e->key), STR_FMT(rt->tls_key),
                     rt->proto);
    if (n < 0 || (size_t)n >= sizeof(key))
        return NULL; /* never a key cut short: it could be another identity's */
    struct pool *p = map_get(&w->pools, (struct str){ key, (size_t)n });
    if (!p) {
        p = mem_alloc(sizeof(*p));
        char *k = mem_alloc((size_t)n + 1);
        if (!p || !k) {
            mem_free(p);
            mem_free(k);
            return NULL;
        }
        memcpy(k, key, (size_t)n);
        p->key = (struct str){ k, (size_t)n };
        p->w = w;
        p->addr = e->addr;
        p->endpoint = e;
        p->proto = rt->proto;
        list_init(&p->idle);
        list_init(&p->mux);
        list_init(&p->mute);
        list_init(&p->opening);
        list_init(&p->waiters);
        if (!map_put(&w->pools, p->key, p)) {
            mem_free(k);
            mem_free(p);
            return NULL;
        }
        endpoint_use(e);
    }
    if (p->tls != rt->tls) { /* the same identity in a newer world */
        if (p->tls)
            tls_unref(p->tls);
        p->tls = rt->tls ? tls_ref(rt->tls) : NULL;
    }
    p->state = rt->state;
    p->connect_timeout = policy->timeout->connect;
    p->idle_timeout = policy->timeout->upstream_keep_alive;
    return p;
}

/* ---- permits: connections of a service over all workers ---- */
static bool permit_take(struct pool *p, const struct breaker_section *b)
{
    uint32_t now = atomic_fetch_add_explicit(&p->state->connections, 1, memory_order_relaxed);
    if (!b->max_connections || now < (uint64_t)b->max_connections)
        return true;
    atomic_fetch_sub_explicit(&p->state->connections, 1, memory_order_relaxed);
    atomic_store_explicit(&p->state->starved, true, memory_order_relaxed);
    return false;
}

static void permit_give(struct pool *p)
{
    atomic_fetch_sub_explicit(&p->state->connections, 1, memory_order_relaxed);
}

/* ---- connections ---- */
/* A connection did not come about: the first in line hears of it when there are more of them than
   connections on their way (one that gave up has left a connection behind that nobody waits for),
   or all who counted on a shared one. */
static void fail_waiters(struct pool *p, enum http_error e, const char *why)
{
    uint32_t waiting = waiting_in(p), n = waiting > p->connecting ? 1 : 0;
    for (n = p->proto == PROTO_H1 ? n : waiting; n > 0 && !list_empty(&p->waiters); n--) {
        struct exchange *x = waiter(p->waiters.next);
        pool_cancel(x);
        exchange_connect_failed(x, e, why);
    }
}

/* An idle connection ends; from here on nobody finds it. */
static void retire(struct http_client *c)
{
    list_del(&c->link);
    http_client_close(c);
}

static void on_connect_timeout(struct timer *t)
{
    struct http_client *c = CONTAINER_OF(t, struct http_client, idle);
    if (c->ready) {
        retire(c); /* idle for long enough */
        return;
    }
    c->timed_out = true;
    http_client_close(c);
}

static void serve_waiters(struct pool *p, struct http_client *c)
{
    while (!list_empty(&p->waiters) && c->ready && c->streams < c->max_streams) {
        struct exchange *x = waiter(p->waiters.next);
        pool_cancel(x);
        timer_off(&c->idle); /* it may have been idle while it was mute */
        exchange_connected(x, c);
        if (!c->h2)
            return;
    }
}

static void park(struct pool *p, struct http_client *c)
{
    list_del(&c->link);
    if (!c->ready)
        return;
    if (c->h2) {
        if (c->max_streams == 0)
            list_add_tail(&p->mute, &c->link);
        else if (c->streams < c->max_streams)
            list_add_tail(&p->mux, &c->link);
    } else if (c->streams == 0) {
        list_add_head(&p->idle, &c->link);
    }
    if (c->streams == 0 && p->idle_timeout.ns)
        timer_set(p->w->loop, &c->idle, loop_now(p->w->loop) + p->idle_timeout.ns);
}

static void on_open(struct http_client *c)
{
    struct pool *p = c->user;
    CHECK(p->connecting > 0);
    p->connecting--;
    c->opening = false;
    timer_off(&c->idle);
    serve_waiters(p, c);
    park(p, c);
}

static void on_idle(struct http_client *c)
{
    struct pool *p = c->user;
    if (!c->ready)
        return;
    serve_waiters(p, c);
    park(p, c);
}

static void on_end(struct http_client *c, bool gone, enum http_error e, const char *why)
{
    struct pool *p = c->user;
    list_del(&c->link);
    if (!gone)
        return;
    CHECK(p->open > 0);
    p->open--;
    atomic_fetch_sub_explicit(&p->w->p->upstream_connections, 1, memory_order_relaxed);
    permit_give(p);
    if (!c->opening)
        return;
    p->connecting--;
    if (c->timed_out)
        fail_waiters(p, HTTP_ERR_TIMEOUT, "connect timeout");
    else
        fail_waiters(p, e == HTTP_OK ? HTTP_ERR_CONNECT : e, why);
}

static const struct http_client_events client_events = { .on_open = on_open,
                                                         .on_idle = on_idle,
                                                         .on_end = on_end };

/* Half of what is idle, those that have waited longest. */
void pool_relieve(struct worker *w)
{
    size_t i = 0;
    for (struct map_slot *m = map_next(&w->pools, &i); m; m = map_next(&w->pools, &i)) {
        struct pool *p = m->value;
        for (uint32_t n = (length(&p->idle) + 1) / 2; n > 0; n--)
            retire(client(p->idle.prev));
    }
}

/* Needs a permit. False: memory or descriptors are out (the permit is given back). */
static bool open_conn(struct pool *p)
{
    static const struct http_client_conf h1 = { .h1 = { .head_bytes = 65536, .headers = 200 },
                                                .window = 256 * 1024 };
    struct http_client_conf conf = h1;
    conf.proto = p->proto;
    struct http_client *c = http_client_open(p->w->loop, &p->addr, p->tls, p->endpoint->tls_name,
                                             &conf, &client_events, p);
    if (!c) {
        permit_give(p);
        pool_relieve(p->w);
        return false;
    }
    c->opening = true;
    list_add_tail(&p->opening, &c->link);
    atomic_fetch_add_explicit(&p->w->p->upstream_connections, 1, memory_order_relaxed);
    p->open++;
    p->connecting++;
    timer_init(&c->idle, on_connect_timeout);
    if (p->connect_timeout.ns)
        timer_set(p->w->loop, &c->idle, loop_now(p->w->loop) + p->connect_timeout.ns);
    return true;
}

/* One connection for each in line, or for HTTP/2 one for as many as a connection takes. */
static uint32_t wanted(const struct pool *p, uint32_t waiting)
{
    return p->proto == PROTO_H1 ? waiting
                                : (waiting + H2_STREAMS_PER_CONN - 1) / H2_STREAMS_PER_CONN;
}

struct http_client *pool_acquire(struct pool *p, struct exchange *x,
                                 const struct policy_set *policy, bool *ret_wait)
{
    const struct breaker_section *b = x->backend->cluster->policy_set->breaker;
    *ret_wait = false;
    if (!list_empty(&p->idle)) {
        struct http_client *c = client(p->idle.next);
        list_del(&c->link);
        timer_off(&c->idle);
        return c;
    }
    if (!list_empty(&p->mux)) {
        struct http_client *c = client(p->mux.next);
        timer_off(&c->idle);
        if (c->streams + 1 >= c->max_streams)
            list_del(&c->link);
        return c;
    }
    uint32_t pending = atomic_fetch_add_explicit(&p->state->pending, 1, memory_order_relaxed);
    bool first = p->proto == PROTO_H1 || p->connecting == 0;
    bool connecting = !first || (length(&p->mute) < MUTE_MAX && permit_take(p, b) && open_conn(p));
    if (!connecting && b->max_pending && pending >= (uint64_t)b->max_pending) {
        atomic_fetch_sub_explicit(&p->state->pending, 1, memory_order_relaxed);
        return NULL;
    }
    if (!connecting && p->open == 0 &&
        !b->max_connections) { /* nothing will ever serve it: no descriptors */
        atomic_fetch_sub_explicit(&p->state->pending, 1, memory_order_relaxed);
        return NULL;
    }
    x->pool = p;
    list_add_tail(&p->waiters, &x->wait);
    *ret_wait = true;
    (void)policy;
    return NULL;
}

bool pool_unreached(const struct pool *p)
{
    return p->connecting > 0 && p->open == p->connecting;
}

void pool_cancel(struct exchange *x)
{
    if (!x->pool)
        return;
    list_del(&x->wait);
    atomic_fetch_sub_explicit(&x->pool->state->pending, 1, memory_order_relaxed);
    x->pool = NULL;
}

/* Another worker wants a permit: give back one idle connection. */
static void give_back(struct pool *p)
{
    if (!atomic_load_explicit(&p->state->starved, memory_order_relaxed) || !list_empty(&p->waiters))
        return;
    if (!list_empty(&p->idle)) {
        atomic_store_explicit(&p->state->starved, false, memory_order_relaxed);
        retire(client(p->idle.prev));
    }
}

/* Those in line without a connection on its way: permits may be free now. */
static void pool_refill(struct pool *p)
{
    if (list_empty(&p->waiters))
        return;
    const struct exchange *x = waiter(p->waiters.next);
    const struct breaker_section *b = x->backend->cluster->policy_set->breaker;
    uint32_t want = wanted(p, waiting_in(p));
    while (p->connecting < want && length(&p->mute) < MUTE_MAX && permit_take(p, b))
        if (!open_conn(p))
            return;
}

static bool pool_unused(const struct pool *p)
{
    return p->open == 0 && p->held == 0 && list_empty(&p->waiters);
}

static void pool_free(struct pool *p)
{
    (void)map_del(&p->w->pools, p->key);
    if (p->tls)
        tls_unref(p->tls);
    endpoint_unuse(p->endpoint);
    mem_free((void *)p->key.p);
    mem_free(p);
}

static void close_idle(struct pool *p)
{
    LIST_FOR_SAFE(it, tmp, &p->idle)
    {
        http_client_close(client(it));
    }
    LIST_FOR_SAFE(it, tmp, &p->mux)
    {
        if (client(it)->streams == 0)
            http_client_close(client(it));
    }
    LIST_FOR_SAFE(it, tmp, &p->mute)
    {
        if (client(it)->streams == 0)
            http_client_close(client(it));
    }
}

/* Its endpoint is not in the service's set any more, or the service is gone: nobody will ask for
 * the idle ones. */
static void drop_if_gone(struct pool *p)
{
    const struct endpoint_set *set = atomic_load_explicit(&p->state->set, memory_order_acquire);
    if (set && atomic_load_explicit(&p->endpoint->in_set, memory_order_acquire) >= set->id)
        return;
    close_idle(p);
}

void pool_tick(struct worker *w)
{
    size_t i = 0, n = 0;
    struct pool *dead[DEAD_A_TICK]; /* the map must not change under the iteration */
    for (struct map_slot *m = map_next(&w->pools, &i); m; m = map_next(&w->pools, &i)) {
        struct pool *p = m->value;
        give_back(p);
        drop_if_gone(p);
        pool_refill(p);
        if (n < DEAD_A_TICK && pool_unused(p))
            dead[n++] = p;
    }
    while (n > 0)
        pool_free(dead[--n]);
}

void pool_close_all(struct worker *w)
{
    size_t i = 0;
    for (struct map_slot *m = map_next(&w->pools, &i); m; m = map_next(&w->pools, &i)) {
        struct pool *p = m->value;
        close_idle(p);
        LIST_FOR_SAFE(it, tmp, &p->mux)
        {
            http_client_close(client(it));
        }
        LIST_FOR_SAFE(it, tmp, &p->mute)
        {
            http_client_close(client(it));
        }
        LIST_FOR_SAFE(it, tmp, &p->opening)
        {
            http_client_close(client(it));
        }
    }
}

bool pool_any_open(const struct worker *w)
{
    size_t i = 0;
    for (struct map_slot *m = map_next(&w->pools, &i); m; m = map_next(&w->pools, &i))
        if (((const struct pool *)m->value)->open > 0)
            return true;
    return false;
}

void pool_worker_fini(struct worker *w)
{
    for (;;) {
        size_t i = 0;
        struct map_slot *m = map_next(&w->pools, &i);
        if (!m)
            break;
        pool_free(m->value);
    }
    map_fini(&w->pools);
}
