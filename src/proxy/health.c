/* Active health checks: from the main thread, for the whole process. One checker a service that
 * asks for it, one probe at a time an endpoint. */
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "proxy/proxy_priv.h"
#include <stdatomic.h>

struct probe {
    struct list link;
    struct health_checker *h;
    struct endpoint_state *e;
    struct timer timer;    /* next probe, or the deadline of the one under way */
    struct http_client *c; /* http */
    struct http_stream *s;
    struct tcp_probe *tcp; /* tcp */
    uint32_t good, bad;    /* in a row */
    bool running, seen;
};
struct tcp_probe { /* outlives its probe until the connection has closed */
    struct conn conn;
    struct probe *p;
};
struct health_checker {
    struct proxy *proxy;
    struct cluster_state *state;
    struct health_active conf;
    struct str path, host, tls_key;
    int_list statuses;
    struct tls_ctx *tls; /* the newest world's with the identity tls_key */
    uint8_t proto;
    struct list probes;
    uint64_t set_id;
    struct timer watch; /* notices new endpoint sets */
    struct arena arena;
};

static void schedule(struct probe *p, int64_t after)
{
    p->running = false;
    timer_set(p->h->proxy->loop, &p->timer, loop_now(p->h->proxy->loop) + after);
}

static void verdict(struct probe *p, bool ok, const char *why)
{
    const struct health_active *c = &p->h->conf;
    bool down = atomic_load(&p->e->unhealthy);
    p->good = ok ? p->good + 1 : 0;
    p->bad = ok ? 0 : p->bad + 1;
    if (down && p->good >= (uint64_t)c->healthy) {
        atomic_store(&p->e->unhealthy, 0);
        LOG_INFO("endpoint healthy", LS("service", p->h->state->name),
                 LS("endpoint", p->e->address));
    } else if (!down && p->bad >= (uint64_t)c->unhealthy) {
        atomic_store(&p->e->unhealthy, 1);
        LOG_WARN("endpoint unhealthy", LS("service", p->h->state->name),
                 LS("endpoint", p->e->address), LC("why", why));
    } else {
        schedule(p, c->interval.ns);
        return;
    }
    atomic_fetch_add(&p->h->state->version, 1);
    schedule(p, c->interval.ns);
}

static void drop_probe_connections(struct probe *p)
{
    if (p->s)
        http_stream_abort(p->s, HTTP_ERR_CANCEL);
    p->s = NULL;
    if (p->c) {
        struct http_client *c = p->c;
        p->c = NULL;
        c->user = NULL;
        http_client_close(c);
    }
    if (p->tcp) {
        struct tcp_probe *t = p->tcp;
        p->tcp = NULL;
        t->p = NULL;
        conn_abort(&t->conn, IO_OK);
    }
}

static void done(struct probe *p, bool ok, const char *why)
{
    if (!p->running)
        return;
    drop_probe_connections(p);
    verdict(p, ok, why);
}

/* ---- http ---- */
static bool status_good(const struct health_checker *h, uint16_t status)
{
    if (h->statuses.n == 0)
        return status >= 200 && status < 400;
    for (size_t i = 0; i < h->statuses.n; i++)
        if (h->statuses.v[i] == status)
            return true;
    return false;
}

static void probe_head(struct http_stream *s, struct http_message *m, bool end)
{
    struct probe *p = s->user;
    (void)end;
    done(p, status_good(p->h, m->status), "status");
}

static void probe_interim(struct http_stream *s, struct http_message *m)
{
    (void)s, (void)m;
}

static void probe_data(struct http_stream *s, const char *b, size_t n)
{
    (void)s, (void)b, (void)n;
}

static void probe_end(struct http_stream *s, const struct headers *t)
{
    (void)s, (void)t;
}

static void probe_drain(struct http_stream *s)
{
    (void)s;
}

static void probe_close(struct http_stream *s, enum http_error e, const char *why)
{
    struct probe *p = s->user;
    (void)e;
    p->s = NULL;
    done(p, false, why);
}

static const struct http_events probe_events = { probe_head, probe_interim, probe_data,
                                                 probe_end,  probe_drain,   probe_close };

static void client_open(struct http_client *c)
{
    struct probe *p = c->user;
    if (!p)
        return;
    struct header hv[2];
    struct http_message m = {
        .method = METHOD_GET,
        .method_text = STR("GET"),
        .authority = p->h->host,
        .target = p->h->path,
        .version = HTTP_11,
        .tls = p->h->tls != NULL,
        .headers = { .v = hv, .cap = 2 },
    };
    bool fits = headers_add(&m.headers, STR("user-agent"), STR("weir-health"));
    CHECK(fits);
    p->s = http_client_request(c, &probe_events, p);
    if (p->s)
        http_send_head(p->s, &m, true);
    else
        done(p, false, "connection not usable");
}

static void client_idle(struct http_client *c)
{
    (void)c;
}

static void client_end(struct http_client *c, bool gone, enum http_error e, const char *why)
{
    struct probe *p = c->user;
    (void)e;
    if (!gone || !p)
        return;
    p->c = NULL;
    done(p, false, why && *why ? why : http_error_name(e));
}

static const struct http_client_events client_events = { client_open, client_idle, client_end };

/* ---- tcp ---- */
static void tcp_open(struct conn *c)
{
    struct tcp_probe *t = CONTAINER_OF(c, struct tcp_probe, conn);
    if (t->p)
        done(t->p, true, "");
}

static void tcp_data(struct conn *c, const char *b, size_t n)
{
    (void)c, (void)b, (void)n;
}

static void tcp_nothing(struct conn *c)
{
    (void)c;
}

static void tcp_close(struct conn *c, enum io_err why)
{
    struct tcp_probe *t = CONTAINER_OF(c, struct tcp_probe, conn);
    (void)why;
    if (t->p) {
        t->p->tcp = NULL;
        done(t->p, false, "connect failed");
    }
    mem_free(t);
}

static const struct conn_ops tcp_ops = { tcp_open, tcp_data, tcp_nothing, tcp_nothing, tcp_close };

/* ---- probes ---- */
static bool probe_start(struct probe *p)
{
    struct health_checker *h = p->h;
    if (h->conf.type == HEALTH_TCP) {
        p->tcp = mem_alloc(sizeof(*p->tcp));
        if (!p->tcp)
            return false;
        p->tcp->p = p;
        if (conn_connect(&p->tcp->conn, h->proxy->loop, &p->e->addr, NULL, NULL, &tcp_ops))
            return true;
        mem_free(p->tcp);
        p->tcp = NULL;
        return false;
    }
    const struct http_client_conf conf = { .h1 = { .head_bytes = 65536, .headers = 200 },
                                           .proto = h->proto,
                                           .window = 65535 };
    p->c = http_client_open(h->proxy->loop, &p->e->addr, h->tls, p->e->tls_name, &conf,
                            &client_events, p);
    if (!p->c)
        return false;
    timer_init(&p->c->idle, NULL);
    list_init(&p->c->link);
    return true;
}

static void on_probe_timer(struct timer *t)
{
    struct probe *p = CONTAINER_OF(t, struct probe, timer);
    if (p->running) {
        done(p, false, "timeout");
        return;
    }
    p->running = true;
    timer_set(p->h->proxy->loop, t, loop_now(p->h->proxy->loop) + p->h->conf.timeout.ns);
    if (!probe_start(p))
        done(p, false, "connect failed");
}

static void probe_free(struct probe *p, bool forget)
{
    p->running = false;
    drop_probe_connections(p);
    timer_fini(p->h->proxy->loop, &p->timer);
    if (forget)
        atomic_store(&p->e->unhealthy, 0); /* nobody looks any more */
    endpoint_unuse(p->e);
    list_del(&p->link);
    mem_free(p);
}

static struct probe *probe_of(struct health_checker *h, const struct endpoint_state *e)
{
    LIST_FOR(it, &h->probes)
    {
        struct probe *p = CONTAINER_OF(it, struct probe, link);
        if (p->e == e)
            return p;
    }
    return NULL;
}

/* Probes follow the endpoint set, which DNS may change at any time. The first probe of each comes
 * at once. */
static void follow_set(struct health_checker *h)
{
    const struct endpoint_set *set = atomic_load(&h->state->set);
    if (!set || set->id == h->set_id)
        return;
    h->set_id = set->id;
    LIST_FOR(it, &h->probes)
    {
        CONTAINER_OF(it, struct probe, link)->seen = false;
    }
    for (size_t i = 0; i < set->n; i++) {
        struct probe *p = probe_of(h, set->v[i].state);
        if (!p) {
            p = NEW(struct probe);
            p->h = h;
            p->e = set->v[i].state;
            endpoint_use(p->e);
            timer_init(&p->timer, on_probe_timer);
            list_add_tail(&h->probes, &p->link);
            timer_set(h->proxy->loop, &p->timer, loop_now(h->proxy->loop) + 1);
        }
        p->seen = true;
    }
    LIST_FOR_SAFE(it, tmp, &h->probes)
    {
        struct probe *p = CONTAINER_OF(it, struct probe, link);
        if (!p->seen)
            probe_free(p, true);
    }
}

static void on_watch(struct timer *t)
{
    struct health_checker *h = CONTAINER_OF(t, struct health_checker, watch);
    follow_set(h);
    timer_set(h->proxy->loop, t, loop_now(h->proxy->loop) + NS_PER_S);
}

static bool in_use(const struct cluster_state *s, const struct endpoint_state *e)
{
    const struct endpoint_set *set = atomic_load(&s->set);
    return set && atomic_load(&e->in_set) == set->id;
}

/* forget: endpoints count as healthy again; else what is known of those that the service still has
 * stays for the checker that follows. */
static void stop_checker(struct cluster_state *s, bool forget)
{
    struct health_checker *h = s->checker;
    if (!h)
        return;
    s->checker = NULL;
    LIST_FOR_SAFE(it, tmp, &h->probes)
    {
        struct probe *p = CONTAINER_OF(it, struct probe, link);
        probe_free(p, forget || !in_use(s, p->e));
    }
    timer_fini(h->proxy->loop, &h->watch);
    tls_unref(h->tls);
    arena_fini(&h->arena);
    mem_free(h);
    atomic_fetch_add(&s->version, 1);
}

void health_stop(struct cluster_state *s)
{
    stop_checker(s, true);
}

static bool same_conf(const struct health_checker *h, const struct cluster_runtime *c,
                      const struct health_active *a)
{
    if (!str_eq(h->tls_key, c->tls_key) || h->proto != c->proto || h->conf.type != a->type ||
        h->conf.interval.ns != a->interval.ns || h->conf.timeout.ns != a->timeout.ns ||
        h->conf.healthy != a->healthy || h->conf.unhealthy != a->unhealthy ||
        !str_eq(h->path, a->path) || !str_eq(h->host, a->host.n ? a->host : c->conf->name) ||
        h->statuses.n != a->statuses.n)
        return false;
    return a->statuses.n == 0 ||
           memcmp(h->statuses.v, a->statuses.v, a->statuses.n * sizeof(*a->statuses.v)) == 0;
}

static void start_checker(struct proxy *p, const struct cluster_runtime *c,
                          const struct health_active *a)
{
    struct health_checker *h = NEW(struct health_checker);
    arena_init(&h->arena, 1024, 0);
    h->proxy = p;
    h->state = c->state;
    h->conf = *a;
    h->path = arena_str(&h->arena, a->path);
    h->host = arena_str(&h->arena, a->host.n ? a->host : c->conf->name);
    h->statuses = (int_list){ ARENA_ARRAY(&h->arena, int64_t, a->statuses.n ? a->statuses.n : 1),
                              a->statuses.n };
    if (a->statuses.n)
        memcpy(h->statuses.v, a->statuses.v, a->statuses.n * sizeof(*a->statuses.v));
    h->tls = c->tls ? tls_ref(c->tls) : NULL;
    h->tls_key = arena_str(&h->arena, c->tls_key);
    h->proto = c->proto;
    list_init(&h->probes);
    timer_init(&h->watch, on_watch);
    c->state->checker = h;
    follow_set(h);
    timer_set(p->loop, &h->watch, loop_now(p->loop) + NS_PER_S);
}

/* The checker stays, and with it what it knows; later probes use the new world's context. */
static void keep_checker(struct health_checker *h, const struct cluster_runtime *c)
{
    struct tls_ctx *old = h->tls;
    h->tls = c->tls ? tls_ref(c->tls) : NULL;
    tls_unref(old);
    follow_set(h);
}

static void stop_unused(struct cluster_state *s, void *arg)
{
    struct proxy *p = arg;
    if (s->seen == atomic_load(&p->generation))
        return;
    health_stop(s);
    dns_endpoints_stop(s);
    cluster_forget(p, s);
}

void health_adopt(struct proxy *p, struct runtime *r)
{
    for (size_t i = 0; i < r->n_clusters; i++) {
        const struct cluster_runtime *c = &r->clusters[i];
        const struct health_active *a = c->conf->policy_set->health->active;
        c->state->seen = r->generation;
        if (c->state->checker && a && same_conf(c->state->checker, c, a)) {
            keep_checker(c->state->checker, c);
            continue;
        }
        stop_checker(c->state, a == NULL);
        if (a)
            start_checker(p, c, a);
    }
    cluster_states_each(stop_unused, p);
}
