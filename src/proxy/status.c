/* The status listener: /ready, /status, /metrics, /config, for operators and machines on this host.
 * Read-only. Main thread. */
#include "base/clock.h"
#include "base/mem.h"
#include "codec/node.h"
#include "io/sys.h"
#include "proxy/proxy_priv.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

struct status_server {
    struct proxy *p;
    struct http_server http;
    struct watch watch;
    int fd;
    union addr real;
};
enum { BODY_MAX = 256 << 20 };

/* ---- sending ---- */
static void ignore_data(struct http_stream *s, const char *p, size_t n)
{
    (void)s, (void)p, (void)n;
}
static void ignore_end(struct http_stream *s, const struct headers *t)
{
    (void)s, (void)t;
}
static void ignore_drain(struct http_stream *s)
{
    (void)s;
}
static void ignore_close(struct http_stream *s, enum http_error e, const char *why)
{
    (void)s, (void)e, (void)why;
}
static const struct http_events quiet = {
    .on_data = ignore_data, .on_end = ignore_end, .on_drain = ignore_drain, .on_close = ignore_close
};

static void answer(struct http_stream *s, const struct http_message *req, uint16_t status,
                   struct str type, struct str body)
{
    struct header hv[6];
    char length[24];
    struct http_message m = { .status = status,
                              .version = HTTP_11,
                              .body = BODY_LENGTH,
                              .length = body.n,
                              .headers = { .v = hv, .cap = 6 } };
    bool head = req->method == METHOD_HEAD;
    bool fits = (status != 405 || headers_add(&m.headers, STR("allow"), STR("GET, HEAD"))) &&
                headers_add(&m.headers, STR("content-type"), type) &&
                headers_add(&m.headers, STR("cache-control"), STR("no-store")) &&
                headers_add(&m.headers, STR("x-content-type-options"), STR("nosniff"));
    if (head) {
        int n = snprintf(length, sizeof(length), "%zu", body.n);
        m.body = BODY_NONE;
        fits &= headers_add(&m.headers, STR("content-length"), (struct str){ length, (size_t)n });
    }
    CHECK(fits);
    http_send_head(s, &m, head || body.n == 0);
    if (head || body.n == 0)
        return;
    (void)http_send_data(s, body.p, body.n);
    http_send_end(s, NULL);
}

static void problem(struct http_stream *s, const struct http_message *req, uint16_t status,
                    const char *slug, const char *detail)
{
    struct buf b;
    buf_init(&b, 2048);
    buf_fmt(&b, "{\"type\":\"https://weir.dev/problems/%s\",\"title\":", slug);
    json_escape(http_status_reason(status), &b);
    buf_fmt(&b, ",\"status\":%u,\"detail\":", status);
    json_escape(str_from(detail), &b);
    buf_str(&b, STR("}\n"));
    answer(s, req, status, STR("application/problem+json"), buf_view(&b));
    buf_fini(&b);
}

/* ---- pages ---- */
static struct node *text_node(struct arena *a, struct str s)
{
    return node_string(a, s);
}

static void put_int(struct arena *a, struct node *map, const char *key, int64_t v)
{
    node_map_set(a, map, str_from(key), node_int(a, v));
}

static void put_str(struct arena *a, struct node *map, const char *key, struct str v)
{
    node_map_set(a, map, str_from(key), text_node(a, v));
}

static struct node *listeners_node(struct proxy *p, struct arena *a)
{
    struct node *list = node_new(a, NODE_LIST);
    for (size_t i = 0; i < p->runtime->n_listeners; i++) {
        const struct runtime_listener *l = &p->runtime->listeners[i];
        char text[ADDR_TEXT_MAX];
        size_t n = addr_print(&l->socket->real, text);
        struct node *o = node_new(a, NODE_MAP);
        put_str(a, o, "name", l->conf->name);
        put_str(a, o, "address", (struct str){ text, n });
        put_int(a, o, "connections",
                atomic_load_explicit(&l->socket->connections, memory_order_relaxed));
        node_list_add(a, list, o);
    }
    return list;
}

static struct node *endpoint_node(struct arena *a, const struct endpoint_ref *r, int64_t now)
{
    const struct endpoint_state *e = r->state;
    int64_t until = atomic_load_explicit(&e->ejected_until, memory_order_relaxed);
    struct node *o = node_new(a, NODE_MAP);
    put_str(a, o, "address", e->address);
    put_int(a, o, "weight", r->weight);
    put_str(a, o, "state",
            atomic_load_explicit(&e->unhealthy, memory_order_relaxed) ? STR("unhealthy")
            : until > now                                             ? STR("ejected")
                                                                      : STR("healthy"));
    if (until > now)
        put_int(a, o, "ejectedForSeconds", (until - now + NS_PER_S - 1) / NS_PER_S);
    put_int(a, o, "activeRequests", atomic_load_explicit(&e->active, memory_order_relaxed));
    put_int(a, o, "failuresInARow", atomic_load_explicit(&e->failures, memory_order_relaxed));
    put_int(a, o, "ejections", atomic_load_explicit(&e->ejections, memory_order_relaxed));
    return o;
}

static struct node *services_node(struct proxy *p, struct arena *a)
{
    struct node *list = node_new(a, NODE_LIST);
    int64_t now = loop_now(p->loop);
    for (size_t i = 0; i < p->runtime->n_clusters; i++) {
        struct cluster_state *c = p->runtime->clusters[i].state;
        const struct endpoint_set *set = atomic_load(&c->set);
        struct node *o = node_new(a, NODE_MAP), *eps = node_new(a, NODE_LIST);
        put_str(a, o, "name", c->name);
        put_int(a, o, "connections", atomic_load(&c->connections));
        put_int(a, o, "activeRequests", atomic_load(&c->requests));
        put_int(a, o, "pendingRequests", atomic_load(&c->pending));
        for (size_t k = 0; set && k < set->n; k++)
            node_list_add(a, eps, endpoint_node(a, &set->v[k], now));
        node_map_set(a, o, STR("endpoints"), eps);
        if (set && set->error)
            put_str(a, o, "error", str_from(set->error));
        node_list_add(a, list, o);
    }
    return list;
}

static struct node *reload_node(struct proxy *p, struct arena *a)
{
    struct node *o = node_new(a, NODE_MAP);
    char when[32];
    node_map_set(a, o, STR("ok"), node_bool(a, p->reload.last_ok));
    put_str(a, o, "time", (struct str){ when, clock_format_utc(p->reload.last_wall, when) });
    put_int(a, o, "succeeded", (int64_t)p->reload.ok);
    put_int(a, o, "failed", (int64_t)p->reload.failed);
    if (p->reload.error[0])
        put_str(a, o, "error", str_from(p->reload.error));
    return o;
}

static struct node *status_node(struct proxy *p, struct arena *a)
{
    struct node *o = node_new(a, NODE_MAP);
    size_t memory = 0;
    for (unsigned i = 0; i < p->n_workers; i++)
        memory += loop_memory(p->workers[i].loop);
    put_str(a, o, "version", str_from(p->conf.version));
    put_str(a, o, "state", p->draining ? STR("draining") : STR("running"));
    put_int(a, o, "pid", getpid());
    put_int(a, o, "uptimeSeconds", (clock_wall() - p->started_wall) / NS_PER_S);
    put_int(a, o, "workers", p->n_workers);
    put_str(a, o, "configHash", str_from(world_hash(p->runtime->world)));
    put_int(a, o, "generation", (int64_t)p->runtime->generation);
    put_int(a, o, "rules", (int64_t)world_routes(p->runtime->world));
    put_int(a, o, "connections", atomic_load(&p->connections));
    put_int(a, o, "maxConnections", p->max_connections);
    put_int(a, o, "shed", atomic_load(&p->shed));
    put_int(a, o, "bufferBytes", (int64_t)memory);
    put_int(a, o, "accessLogDropped", (int64_t)log_writer_dropped(p->log_writer));
    node_map_set(a, o, STR("stale"), node_bool(a, !p->reload.last_ok));
    if (p->saved)
        put_str(a, o, "lastGood", str_from(p->saved));
    node_map_set(a, o, STR("lastReload"), reload_node(p, a));
    node_map_set(a, o, STR("listeners"), listeners_node(p, a));
    node_map_set(a, o, STR("services"), services_node(p, a));
    return o;
}

static void send_node(struct http_stream *s, const struct http_message *m, const struct node *n)
{
    struct buf b;
    buf_init(&b, BODY_MAX);
    json_print(n, 2, &b);
    buf_char(&b, '\n');
    answer(s, m, 200, STR("application/json"), buf_view(&b));
    buf_fini(&b);
}

static void page_ready(struct proxy *p, struct http_stream *s, struct http_message *m)
{
    bool ready = p->runtime && !p->draining;
    answer(s, m, ready ? 200 : 503, STR("text/plain"), ready ? STR("ready\n") : STR("not ready\n"));
}

static void page_status(struct proxy *p, struct http_stream *s, struct http_message *m)
{
    struct arena a;
    arena_init(&a, 0, 0);
    send_node(s, m, status_node(p, &a));
    arena_fini(&a);
}

static void page_config(struct proxy *p, struct http_stream *s, struct http_message *m)
{
    struct arena a;
    arena_init(&a, 0, 0);
    send_node(s, m, world_describe(p->runtime->world, &a));
    arena_fini(&a);
}

static void page_metrics(struct proxy *p, struct http_stream *s, struct http_message *m)
{
    struct buf b;
    (void)p;
    buf_init(&b, BODY_MAX);
    metrics_expose(&b);
    answer(s, m, 200, STR("text/plain; version=0.0.4; charset=utf-8"), buf_view(&b));
    buf_fini(&b);
}

static void page_index(struct proxy *p, struct http_stream *s, struct http_message *m)
{
    (void)p;
    answer(s, m, 200, STR("text/plain"),
           STR("/ready    200 when this process serves\n/status   state as JSON\n/metrics  "
               "Prometheus exposition\n/config   the effective configuration, secrets redacted\n"));
}

static const struct page {
    struct str path;
    void (*fn)(struct proxy *p, struct http_stream *s, struct http_message *m);
} pages[] = {
    { STR_INIT("/"), page_index },          { STR_INIT("/ready"), page_ready },
    { STR_INIT("/live"), page_index },      { STR_INIT("/status"), page_status },
    { STR_INIT("/metrics"), page_metrics }, { STR_INIT("/config"), page_config },
};

static void on_request(struct http_server *srv, struct http_stream *s, struct http_message *m,
                       bool end)
{
    struct status_server *ss = srv->user;
    (void)end;
    s->ev = &quiet;
    message_split_target(m);
    if (m->method != METHOD_GET && m->method != METHOD_HEAD) {
        problem(s, m, 405, "method-not-allowed", "The status pages are read-only: use GET.");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        if (!str_eq(pages[i].path, m->path))
            continue;
        if (!ss->p->runtime && pages[i].fn != page_ready)
            problem(s, m, 503, "starting", "Weir is starting.");
        else
            pages[i].fn(ss->p, s, m);
        return;
    }
    problem(s, m, 404, "no-page", "Here are /ready, /status, /metrics and /config.");
}

static void on_reject(struct http_server *srv, struct http_stream *s, struct http_message *m,
                      uint16_t status, const char *why)
{
    (void)srv;
    s->ev = &quiet;
    problem(s, m, status, "bad-request", why);
}

static void on_conn(struct http_server *srv, struct conn *c, int event, const char *detail)
{
    (void)srv, (void)c, (void)event, (void)detail;
}

static const struct http_server_events events = { on_request, on_reject, on_conn };

static void on_acceptable(struct watch *w, uint32_t ev)
{
    struct status_server *ss = CONTAINER_OF(w, struct status_server, watch);
    (void)ev;
    for (int i = 0; i < 16; i++) {
        union addr peer;
        int fd = sys_accept(ss->fd, &peer);
        if (fd < 0)
            return;
        (void)http_server_accept(&ss->http, fd, &peer, NULL);
    }
}

struct status_server *status_open(struct proxy *p, struct str address, struct errors *e)
{
    struct status_server *s = NEW(struct status_server);
    union addr a;
    s->p = p;
    s->fd = -1;
    s->watch.fn = on_acceptable;
    http_server_init(&s->http, p->loop, &events, s);
    s->http.conf = (struct http_server_conf){
        .h1 = { .head_bytes = 16384, .headers = 100 },
        .streams = 32,
        .h2 = true,
        .header = { 10 * NS_PER_S },
        .keep_alive = { 75 * NS_PER_S },
    };
    if (!addr_parse(address, &a)) {
        fail(e, STR(""), 0, 0, STR("--status"), "want an address like 127.0.0.1:8007, got '%.*s'",
             STR_FMT(address));
    } else if ((s->fd = listen_open(&a, (struct listen_opts){ .backlog = 64 }, &s->real)) < 0) {
        fail(e, STR(""), 0, 0, STR("--status"), "cannot listen on %.*s: %s%s", STR_FMT(address),
             strerror(errno),
             errno == EADDRINUSE ? "; --status ADDR chooses another address, 'off' none" : "");
    } else if (loop_watch(p->loop, &s->watch, s->fd, LOOP_IN)) {
        return s;
    }
    status_free(s);
    return NULL;
}

const union addr *status_address(const struct status_server *s)
{
    return &s->real;
}

void status_free(struct status_server *s)
{
    if (!s)
        return;
    if (s->fd >= 0) {
        loop_unwatch(s->p->loop, &s->watch);
        (void)sys_close(s->fd);
    }
    http_server_abort_all(&s->http);
    for (int i = 0; i < 8 && s->http.n_conns; i++)
        loop_turn(s->p->loop, 0);
    if (s->http.n_conns == 0)
        http_server_fini(&s->http);
    mem_free(s);
}
