/* Metrics of the data plane: the rows, and the counting of a finished exchange. Names follow
 * OpenTelemetry's conventions where there is one. */
#include "base/mem.h"
#include "proxy/exchange.h"
#include "proxy/proxy_priv.h"

static const struct metric request_duration = {
    .name = "http.server.request.duration",
    .unit = "s",
    .type = METRIC_HISTOGRAM,
    .help =
        "Time from the whole request head to the end of the response, by route, service and status "
        "class.",
    .labels = { "listener", "route", "service", "code" },
};
static const struct metric upstream_duration = {
    .name = "http.client.request.duration",
    .unit = "s",
    .type = METRIC_HISTOGRAM,
    .help = "Time spent waiting for a service, all tries of a request together.",
    .labels = { "service" },
};
static const struct metric retries = {
    .name = "weir.upstream.retries",
    .unit = "{retry}",
    .type = METRIC_COUNTER,
    .help = "Tries beyond the first.",
    .labels = { "service" },
};
static const struct metric failures = {
    .name = "weir.request.failures",
    .unit = "{request}",
    .type = METRIC_COUNTER,
    .help = "Requests that Weir answered itself or broke off, by error type of RFC 9209.",
    .labels = { "error" },
};
static const struct metric connections = { .name = "weir.listener.connections",
                                           .unit = "{connection}",
                                           .type = METRIC_COUNTER,
                                           .help = "Connections accepted.",
                                           .labels = { "listener" } };
static const struct metric active = { .name = "weir.listener.active_connections",
                                      .unit = "{connection}",
                                      .type = METRIC_GAUGE,
                                      .help = "Connections open now.",
                                      .labels = { "listener" } };
static const struct metric shed = { .name = "weir.listener.shed",
                                    .unit = "{connection}",
                                    .type = METRIC_COUNTER,
                                    .help = "Connections refused because a limit was reached.",
                                    .labels = { "listener" } };
static const struct metric tls_failed = { .name = "weir.listener.tls_failures",
                                          .unit = "{connection}",
                                          .type = METRIC_COUNTER,
                                          .help = "TLS handshakes that failed.",
                                          .labels = { "listener" } };
static const struct metric abuse = { .name = "weir.listener.abuse",
                                     .unit = "{connection}",
                                     .type = METRIC_COUNTER,
                                     .help = "Connections closed for protocol abuse.",
                                     .labels = { "listener" } };
static const struct metric bytes_in = { .name = "weir.listener.received",
                                        .unit = "By",
                                        .type = METRIC_COUNTER,
                                        .help = "Body bytes from clients.",
                                        .labels = { "listener" } };
static const struct metric bytes_out = { .name = "weir.listener.sent",
                                         .unit = "By",
                                         .type = METRIC_COUNTER,
                                         .help = "Body bytes to clients.",
                                         .labels = { "listener" } };

static const struct metric log_dropped = { .name = "weir.access_log.dropped",
                                           .unit = "{line}",
                                           .type = METRIC_COUNTER,
                                           .help =
                                               "Lines of the access log that the writer was "
                                               "too far behind for." };
static const struct metric reloads = { .name = "weir.config.reloads",
                                       .unit = "{reload}",
                                       .type = METRIC_COUNTER,
                                       .help = "Configurations read, by result: ok or failed.",
                                       .labels = { "result" } };
static const struct metric reload_ok = { .name = "weir.config.last_reload_ok",
                                         .unit = "1",
                                         .type = METRIC_GAUGE,
                                         .help = "1 when the last configuration read was taken." };

const struct metric *const telemetry_metrics[] = {
    &request_duration,
    &upstream_duration,
    &retries,
    &failures,
    &connections,
    &active,
    &shed,
    &tls_failed,
    &abuse,
    &bytes_in,
    &bytes_out,
    &log_dropped,
    &reloads,
    &reload_ok,
    NULL,
};

void telemetry_listener(struct listener_metrics *m, const struct listener *l)
{
    *m = (struct listener_metrics){
        .connections = metric_series(&connections, &l->name, 1),
        .active = metric_series(&active, &l->name, 1),
        .shed = metric_series(&shed, &l->name, 1),
        .tls_failed = metric_series(&tls_failed, &l->name, 1),
        .abuse = metric_series(&abuse, &l->name, 1),
        .bytes_in = metric_series(&bytes_in, &l->name, 1),
        .bytes_out = metric_series(&bytes_out, &l->name, 1),
    };
}

/* What kind of series a slot of the worker's cache holds, in its code. */
enum { SLOT_UPSTREAM = 100, SLOT_RETRIES, SLOT_FAILURE, SLOT_LOG };

bool telemetry_cache(struct worker *w, size_t routes)
{
    size_t n = SERIES_CACHE;
    while (n < SERIES_CACHE_MAX && n < 4 * routes)
        n *= 2;
    if (n == w->series_n) {
        memset(w->series, 0, n * sizeof(*w->series));
        return true;
    }
    struct series_slot *v = mem_array(n, sizeof(*v));
    if (!v)
        return false;
    mem_free(w->series);
    w->series = v;
    w->series_n = n;
    return true;
}

/* The registry takes a lock; this small direct-mapped cache keeps the hot path out of it. Cleared
 * at every swap, so names that were freed cannot match. */
static struct series_slot *slot(struct worker *w, const void *route, const void *service,
                                uint32_t code)
{
    uint64_t h = ((uintptr_t)route >> 2) * 0x9e3779b97f4a7c15u ^
                 ((uintptr_t)service >> 3) * 0xc2b2ae3d27d4eb4fu ^ code * 0x165667b19e3779f9u;
    return &w->series[(h >> 40) & (w->series_n - 1)];
}

static bool slot_is(const struct series_slot *s, const void *route, const void *service,
                    uint32_t code)
{
    return s->series && s->route == route && s->service == service && s->code == code;
}

static void slot_set(struct series_slot *s, const void *route, const void *service, uint32_t code,
                     struct metric_series *series)
{
    *s = (struct series_slot){ .route = route, .service = service, .code = code, .series = series };
}

static struct metric_series *duration_series(struct exchange *x, uint32_t class)
{
    static const struct str class_name[] = { STR_INIT("0xx"), STR_INIT("1xx"), STR_INIT("2xx"),
                                             STR_INIT("3xx"), STR_INIT("4xx"), STR_INIT("5xx") };
    struct str route = exchange_route_name(x), service = exchange_service_name(x);
    const void *rk = route.p,
               *sk = x->backend ? (const void *)x->backend->cluster : (const void *)x->l;
    struct series_slot *s = slot(x->w, rk, sk, class);
    if (LIKELY(slot_is(s, rk, sk, class)))
        return s->series;
    struct str labels[] = { x->l->name, route, service, class_name[class] };
    slot_set(s, rk, sk, class, metric_series(&request_duration, labels, 4));
    return s->series;
}

static struct metric_series *service_series(struct exchange *x, const struct metric *m,
                                            uint32_t kind)
{
    const void *key = x->backend->cluster;
    struct series_slot *s = slot(x->w, m, key, kind);
    if (UNLIKELY(!slot_is(s, m, key, kind))) {
        struct str name = x->backend->cluster->name;
        slot_set(s, m, key, kind, metric_series(m, &name, 1));
    }
    return s->series;
}

static void count_fail(struct worker *w, const char *why)
{
    struct series_slot *s = slot(w, why, &failures, SLOT_FAILURE);
    if (!slot_is(s, why, &failures, SLOT_FAILURE)) {
        struct str label = str_from(why);
        slot_set(s, why, &failures, SLOT_FAILURE, metric_series(&failures, &label, 1));
    }
    metric_add(s->series, w->id, 1);
}

void telemetry_exchange(struct exchange *x)
{
    unsigned w = x->w->id;
    uint32_t class = x->status / 100u;
    metric_observe(duration_series(x, class > 5 ? 5 : class), w, loop_now(x->w->loop) - x->t_start);
    const struct listener_metrics *m = &x->l->runtime->metrics;
    if (x->bytes_in)
        metric_add(m->bytes_in, w, (int64_t)x->bytes_in);
    if (x->bytes_out)
        metric_add(m->bytes_out, w, (int64_t)x->bytes_out);
    if (x->fail != FAIL_NONE && x->fail_why)
        count_fail(x->w, x->fail_why);
    if (!x->backend || x->tries == 0)
        return;
    metric_observe(service_series(x, &upstream_duration, SLOT_UPSTREAM), w, x->t_up_total);
    if (x->tries > 1)
        metric_add(service_series(x, &retries, SLOT_RETRIES), w, x->tries - 1);
}

void telemetry_log_dropped(struct worker *w)
{
    struct series_slot *s = slot(w, &log_dropped, NULL, SLOT_LOG);
    if (!slot_is(s, &log_dropped, NULL, SLOT_LOG))
        slot_set(s, &log_dropped, NULL, SLOT_LOG, metric_series(&log_dropped, NULL, 0));
    metric_add(s->series, w->id, 1);
}

void telemetry_reload(bool ok)
{
    struct str names[] = { STR("ok"), STR("failed") };
    unsigned main_thread = METRIC_MAX_WORKERS - 1;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        metric_add(metric_series(&reloads, &names[i], 1), main_thread, ok == (i == 0));
    metric_set(metric_series(&reload_ok, NULL, 0), main_thread, ok);
    (void)metric_series(&log_dropped, NULL, 0); /* there from the start, for alerts */
}
