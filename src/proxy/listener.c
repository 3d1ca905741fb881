/* A worker's listeners: accepting, the HTTP server's events, adopting new configuration, removal.
 * Worker threads. */
#include "base/log.h"
#include "base/mem.h"
#include "io/sys.h"
#include "proxy/exchange.h"
#include "proxy/proxy_priv.h"
#include <errno.h>
#include <stdatomic.h>

enum {
    ACCEPTS_A_TURN = 64, /* so that a burst of connects does not delay requests under way */
    LAST_ACCEPTS = 128,  /* times as many when a listener goes: a full backlog */
    ACCEPT_REST_MS = 100,
    ACCEPT_WARN_SECONDS = 10,
};

#define SHED_BODY                                                               \
    "{\"type\":\"https://weir.dev/problems/overloaded\",\"title\":\"Service "   \
    "Unavailable\",\"status\":503,\"detail\":\"The gateway is at its limit of " \
    "connections or memory.\",\"request_id\":\"\"}\n"
_Static_assert(sizeof(SHED_BODY) - 1 == 172, "the length in shed_answer");
static const char shed_answer[] =
    "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nserver: weir\r\n"
    "proxy-status: weir; error=connection_limit_reached\r\nretry-after: 1\r\nconnection: close\r\n"
    "content-length: 172\r\n\r\n" SHED_BODY;

static bool over_limit(const struct worker_listener *l)
{
    int64_t max = l->conf->policy_set->limits->connections;
    uint32_t all = atomic_load_explicit(&l->runtime->socket->connections, memory_order_relaxed);
    return (max && all >= (uint64_t)max) || worker_overloaded(l->w);
}

/* All descriptors are in use; idle connections to services are given up for the clients to come. */
static bool process_full(const struct worker_listener *l)
{
    const struct proxy *p = l->w->p;
    uint32_t open = atomic_load_explicit(&p->connections, memory_order_relaxed) +
                    atomic_load_explicit(&p->upstream_connections, memory_order_relaxed);
    if (open < p->max_connections)
        return false;
    pool_relieve(l->w);
    return true;
}

/* Sheds before anything is spent on the connection. Counted first: whoever has seen the answer
 * finds it counted. */
static void shed(struct worker_listener *l, int fd)
{
    atomic_fetch_add_explicit(&l->w->p->shed, 1, memory_order_relaxed);
    metric_add(l->runtime->metrics.shed, l->w->id, 1);
    if (l->conf->protocol == LISTEN_HTTP)
        (void)sys_send(fd, shed_answer, sizeof(shed_answer) - 1);
    (void)sys_close(fd);
}

static void accepted(struct worker_listener *l, int fd, const union addr *peer)
{
    if (over_limit(l) || process_full(l)) {
        shed(l, fd);
        return;
    }
    switch ((enum listen_protocol)l->conf->protocol) {
    case LISTEN_HTTP:
    case LISTEN_HTTPS:
        (void)http_server_accept(&l->http, fd, peer, l->runtime->tls);
        return;
    case LISTEN_TCP:
    case LISTEN_TLS:
    case LISTEN_PASSTHROUGH:
        l4_accept(l, fd, peer);
        return;
    }
}

static void warn_of_rest(struct worker_listener *l)
{
    int64_t now = loop_now(l->w->loop);
    if (now < l->next_warning)
        return;
    l->next_warning = now + ACCEPT_WARN_SECONDS * NS_PER_S;
    LOG_WARN("out of descriptors or memory: connections wait", LS("listener", l->name));
}

/* The kernel has nothing left for another connection, and would say so in every turn. */
static void rest(struct worker_listener *l)
{
    if (l->removed)
        return;
    pool_relieve(l->w);
    (void)loop_rewatch(l->w->loop, &l->watch, 0);
    timer_set(l->w->loop, &l->rest, loop_now(l->w->loop) + ACCEPT_REST_MS * NS_PER_MS);
    warn_of_rest(l);
}

/* epoll needs memory of the kernel too: a listener that it cannot take now is offered again, else
 * it would be deaf for good. */
static void listen_again(struct worker_listener *l)
{
    struct loop *loop = l->w->loop;
    bool ok = l->watched ? loop_rewatch(loop, &l->watch, LOOP_IN)
                         : loop_watch(loop, &l->watch, l->fd, LOOP_IN);
    l->watched |= ok;
    if (ok)
        return;
    warn_of_rest(l);
    timer_set(loop, &l->rest, loop_now(loop) + ACCEPT_REST_MS * NS_PER_MS);
}

static void on_rested(struct timer *t)
{
    listen_again(CONTAINER_OF(t, struct worker_listener, rest));
}

/* False: nobody waits any more, or none can be taken. */
static bool accept_some(struct worker_listener *l)
{
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        union addr peer;
        int fd = sys_accept(l->fd, &peer);
        if (fd >= 0) {
            accepted(l, fd, &peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            rest(l);
        if (errno != EINTR && errno != ECONNABORTED)
            return false;
    }
    return true;
}

static void on_acceptable(struct watch *watch, uint32_t events)
{
    (void)events;
    (void)accept_some(CONTAINER_OF(watch, struct worker_listener, watch));
}

static void on_request(struct http_server *srv, struct http_stream *s, struct http_message *m,
                       bool end)
{
    exchange_start(srv->user, s, m, end);
}

static void on_reject(struct http_server *srv, struct http_stream *s, struct http_message *m,
                      uint16_t status, const char *why)
{
    exchange_reject(srv->user, s, m, status, why);
}

static void count_connections(struct worker_listener *l, int by)
{
    atomic_fetch_add_explicit(&l->runtime->socket->connections, (uint32_t)by, memory_order_relaxed);
    struct proxy *p = l->w->p;
    uint32_t now = (uint32_t)by +
                   atomic_fetch_add_explicit(&p->connections, (uint32_t)by, memory_order_relaxed);
    if (by > 0 && now > atomic_load_explicit(&p->peak_connections, memory_order_relaxed))
        atomic_store_explicit(&p->peak_connections, now, memory_order_relaxed);
    metric_add(l->runtime->metrics.active, l->w->id, by);
    if (by > 0)
        metric_add(l->runtime->metrics.connections, l->w->id, by);
}

static void on_conn(struct http_server *srv, struct conn *c, int event, const char *detail)
{
    struct worker_listener *l = srv->user;
    const struct listener_metrics *m = &l->runtime->metrics;
    (void)c;
    switch ((enum http_conn_event)event) {
    case HTTP_CONN_OPEN:
        count_connections(l, 1);
        return;
    case HTTP_CONN_CLOSED:
        count_connections(l, -1);
        return;
    case HTTP_CONN_TLS_FAILED:
        metric_add(m->tls_failed, l->w->id, 1);
        return;
    case HTTP_CONN_ABUSE:
        metric_add(m->abuse, l->w->id, 1);
        LOG_WARN("connection closed: abuse", LS("listener", l->name), LC("what", detail));
        return;
    case HTTP_CONN_HEADER_TIMEOUT:
    case HTTP_CONN_IDLE_TIMEOUT:
        return;
    }
}

static const struct http_server_events server_events = { .on_request = on_request,
                                                         .on_reject = on_reject,
                                                         .on_conn = on_conn };

void listener_count_raw(struct worker_listener *l, int by)
{
    count_connections(l, by);
}

static void rename_listener(struct worker_listener *l, struct str to)
{
    char *name = mem_need(to.n + 1);
    memcpy(name, to.p, to.n);
    mem_free((void *)l->name.p);
    l->name = (struct str){ name, to.n };
}

struct worker_listener *worker_listener_open(struct worker *w, const struct listener *conf, int fd)
{
    struct worker_listener *l = NEW(struct worker_listener);
    rename_listener(l, conf->name);
    l->w = w;
    l->fd = fd;
    list_init(&l->raw);
    http_server_init(&l->http, w->loop, &server_events, l);
    list_add_tail(&w->listeners, &l->link);
    l->watch.fn = on_acceptable;
    timer_init(&l->rest, on_rested);
    listen_again(l);
    return l;
}

void worker_listener_adopt(struct worker_listener *l, struct world_pin *pin,
                           const struct listener *conf, const struct runtime_listener *rt)
{
    struct world_pin *old = l->conf_pin;
    const struct limits_section *lim = conf->policy_set->limits;
    const struct timeout_section *t = conf->policy_set->timeout;
    if (l->runtime && l->runtime->metrics.active != rt->metrics.active) { /* another name */
        int64_t n = (int64_t)l->http.n_conns + l->n_raw;
        metric_add(l->runtime->metrics.active, l->w->id, -n);
        metric_add(rt->metrics.active, l->w->id, n);
    }
    if (!str_eq(l->name, conf->name))
        rename_listener(l, conf->name);
    l->conf_pin = pin_ref(pin);
    l->conf = conf;
    l->runtime = rt;
    l->http.conf = (struct http_server_conf){
        .h1 = { .head_bytes = (uint32_t)lim->head.n, .headers = (uint32_t)lim->headers },
        .streams = (uint32_t)lim->streams,
        .requests = (uint32_t)lim->requests,
        .h2 = conf->h2,
        .header = t->header,
        .keep_alive = t->keep_alive,
        .handshake = t->handshake,
    };
    if (old)
        pin_unref(l->w, old);
}

int worker_listener_yield(struct worker_listener *l, int64_t deadline)
{
    int fd = l->fd;
    l->removed = true;
    l->drain_deadline = deadline;
    timer_fini(l->w->loop, &l->rest);
    loop_unwatch(l->w->loop, &l->watch);
    l->fd = -1;
    http_server_drain(&l->http);
    return fd;
}

void worker_listener_remove(struct worker_listener *l, int64_t deadline)
{
    if (l->removed)
        return;
    /* what has connected already is served: closing would reset it */
    for (int i = 0; i < LAST_ACCEPTS && accept_some(l); i++)
        ;
    (void)sys_close(worker_listener_yield(l, deadline));
}

bool worker_listener_idle(const struct worker_listener *l)
{
    return l->http.n_conns == 0 && l->n_raw == 0;
}

void worker_listener_free(struct worker_listener *l)
{
    CHECK(worker_listener_idle(l) && l->removed);
    list_del(&l->link);
    http_server_fini(&l->http);
    if (l->conf_pin)
        pin_unref(l->w, l->conf_pin);
    mem_free((void *)l->name.p);
    mem_free(l);
}
