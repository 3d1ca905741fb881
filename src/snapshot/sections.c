/* The rows of the core policy sections and the rules that rows cannot say. Read-only after
   sections_register. */
#include "codec/h1.h"
#include "snapshot/sections_priv.h"
#include <stdio.h>

#define DAY (24 * 3600 * NS_PER_S)

/* ---- timeout ---- */

static const struct field timeout_fields[] = {
    FIELD(struct timeout_section, connect, "connect",
          "Connecting to an endpoint, with its TLS handshake.", .def = "5s", .max = DAY),
    FIELD(struct timeout_section, request, "request",
          "From the whole request head to the end of the response, all tries together. 0 = no such "
          "limit: streams, uploads and downloads last as long as bytes come, and idle also limits "
          "the wait for a response to begin.",
          .max = DAY),
    FIELD(struct timeout_section, per_try, "perTry",
          "One try with its connecting, until its response begins; not while the client owes its "
          "body. 0 = none.",
          .max = DAY),
    FIELD(struct timeout_section, idle, "idle", "No byte either way on a stream or tunnel.",
          .def = "60s", .max = DAY),
    FIELD(struct timeout_section, header, "header",
          "From the first byte of a request to the end of its head.", .def = "10s", .max = DAY),
    FIELD(struct timeout_section, body_idle, "bodyIdle",
          "Gap between two pieces of a request body.", .def = "30s", .max = DAY),
    FIELD(struct timeout_section, keep_alive, "keepAlive", "A client connection without a request.",
          .def = "75s", .max = DAY),
    FIELD(struct timeout_section, handshake, "handshake", "A client's TLS handshake.", .def = "10s",
          .max = DAY),
    FIELD(struct timeout_section, upstream_keep_alive, "upstreamKeepAlive",
          "A pooled connection to an endpoint without a request.", .def = "55s", .max = DAY),
    FEND,
};
const struct schema timeout_schema = { .name = "timeout",
                                       .doc = "How long each step may take; 0 = no limit.",
                                       .size = sizeof(struct timeout_section),
                                       .fields = timeout_fields };

/* ---- retry ---- */

static bool retry_on_known(struct str s)
{
    static const char *const names[] = { "connect-failure", "reset",         "refused-stream",
                                         "timeout",         "gateway-error", "5xx" };
    uint64_t status;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(s, str_from(names[i])))
            return true;
    return s.n == 3 && str_to_u64(s, &status) && status >= 400 && status <= 599;
}

/* An error at the value of key in the section's map. */
static bool fail_at(struct errors *e, const struct node *at, struct str path, const char *key,
                    const struct node *value, const char *text, struct str shown)
{
    char full[256];
    const struct node *n = value ? value : at;
    int len = snprintf(full, sizeof(full), "%.*s%s%s", (int)(path.n < 128 ? path.n : 128),
                       path.n ? path.p : "", path.n ? "." : "", key);
    struct str where = { full, (size_t)len < sizeof(full) ? (size_t)len : sizeof(full) - 1 };
    shown = str_sub(shown, 0, 64);
    return fail(e, n->file, n->line, n->col, where, "'%.*s' is not %s", STR_FMT(shown), text);
}

static bool retry_check(const void *obj, const struct node *at, struct str path, struct errors *e)
{
    const struct retry_section *r = obj;
    const struct node *on = node_get(at, STR("on"));
    bool ok = true;
    for (size_t i = 0; i < r->on.n; i++) {
        char key[32];
        if (retry_on_known(r->on.v[i]))
            continue;
        snprintf(key, sizeof(key), "on[%zu]", i);
        ok = fail_at(e, at, path, key,
                     on && on->type == NODE_LIST && i < on->list.n ? on->list.v[i] : NULL,
                     "one of connect-failure, reset, refused-stream, timeout, gateway-error, 5xx "
                     "or a status 400..599",
                     r->on.v[i]);
    }
    if (r->backoff_base.ns > r->backoff_max.ns)
        ok = fail(e, at->file, at->line, at->col, path, "backoffBase is longer than backoffMax");
    return ok;
}

static const struct field retry_fields[] = {
    FIELD(struct retry_section, attempts, "attempts", "Tries beyond the first.", .max = 10),
    FIELD(struct retry_section, on, "on",
          "What is tried again: connect-failure, reset, refused-stream, timeout, gateway-error, "
          "5xx, or a status.",
          .def = "[connect-failure, refused-stream, reset, gateway-error]", .max = 32),
    FIELD(struct retry_section, backoff_base, "backoffBase",
          "Wait before the first retry, doubled for each further one, with full jitter.",
          .def = "25ms", .max = 60 * NS_PER_S),
    FIELD(struct retry_section, backoff_max, "backoffMax", "Longest wait between two tries.",
          .def = "250ms", .max = 60 * NS_PER_S),
    FIELD(struct retry_section, budget, "budget",
          "Share of a service's active requests that may be retries.", .def = "20%",
          .max = 1000000),
    FIELD(struct retry_section, budget_min, "budgetMin",
          "Retries allowed at the same time whatever the budget.", .def = "3", .max = 100000),
    FIELD(struct retry_section, body_buffer, "bodyBuffer",
          "Request bodies up to this size are kept so that they can be sent again.", .def = "16KiB",
          .max = 16 << 20),
    FIELD(struct retry_section, non_idempotent, "nonIdempotent",
          "Retry POST and the like also after bytes were sent."),
    FEND,
};
const struct schema retry_schema = {
    .name = "retry",
    .doc =
        "When and how often a failed request is tried again; of connections of "
        "bytes only a failed connecting is.",
    .size = sizeof(struct retry_section),
    .fields = retry_fields,
    .check = retry_check
};

/* ---- breaker ---- */

static const struct field breaker_fields[] = {
    FIELD(struct breaker_section, max_connections, "maxConnections",
          "Connections to the service at the same time; 0 = no limit.", .max = 1000000),
    FIELD(struct breaker_section, max_pending, "maxPending",
          "Requests that wait for a connection; 0 = no limit.", .def = "1024", .max = 1000000),
    FIELD(struct breaker_section, max_requests, "maxRequests",
          "Requests to the service at the same time; 0 = no limit.", .max = 1000000),
    FEND,
};
const struct schema breaker_schema = {
    .name = "breaker",
    .doc = "Limits of a service over the whole process; over them requests get 503.",
    .size = sizeof(struct breaker_section),
    .fields = breaker_fields
};

/* ---- balance ---- */

static bool balance_check(const void *obj, const struct node *at, struct str path, struct errors *e)
{
    const struct balance_section *b = obj;
    if (registry_find("lb", b->algorithm))
        return true;
    char text[256] = "a known algorithm:";
    size_t n, used = strlen(text);
    const struct registry_row *rows = registry_rows("lb", &n);
    for (size_t i = 0; i < n && used < sizeof(text); i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, " %s", rows[i].key);
    return fail_at(e, at, path, "algorithm", node_get(at, STR("algorithm")), text, b->algorithm);
}

static const struct field balance_fields[] = {
    FIELD(struct balance_section, algorithm, "algorithm", "How an endpoint is chosen.",
          .def = "round-robin", .example = "least-request", .registry = "lb"),
    FEND,
};
const struct schema balance_schema = {
    .name = "balance",
    .doc = "How requests are spread over the endpoints of a service.",
    .size = sizeof(struct balance_section),
    .fields = balance_fields,
    .check = balance_check
};

/* ---- health ---- */

static const struct enum_value health_types[] = {
    { "http", HEALTH_HTTP, "A GET request must be answered with a good status." },
    { "tcp", HEALTH_TCP, "A connection must open." },
    { NULL, 0, NULL },
};

static bool active_check(const void *obj, const struct node *at, struct str path, struct errors *e)
{
    const struct health_active *a = obj;
    const struct node *list = node_get(at, STR("statuses"));
    bool ok = true;
    for (size_t i = 0; i < a->statuses.n; i++) {
        char key[40], shown[24];
        if (a->statuses.v[i] >= 100 && a->statuses.v[i] <= 599)
            continue;
        snprintf(key, sizeof(key), "statuses[%zu]", i);
        snprintf(shown, sizeof(shown), "%lld", (long long)a->statuses.v[i]);
        ok = fail_at(e, at, path, key,
                     list && list->type == NODE_LIST && i < list->list.n ? list->list.v[i] : NULL,
                     "a status 100..599", str_from(shown));
    }
    return ok;
}

static const struct field active_fields[] = {
    FENUM(struct health_active, type, "type", health_types, "What is asked.", .def = "http"),
    FIELD(struct health_active, path, "path", "Path of the request.", .def = "/",
          .format = FMT_PATH),
    FIELD(struct health_active, host, "host", "Host of the request; empty = the service's name."),
    FIELD(struct health_active, interval, "interval", "Time between two checks.", .def = "5s",
          .min = 100 * NS_PER_MS, .max = DAY),
    FIELD(struct health_active, timeout, "timeout", "A check that takes longer has failed.",
          .def = "2s", .min = 10 * NS_PER_MS, .max = DAY),
    FIELD(struct health_active, healthy, "healthy",
          "Successes in a row that make an endpoint healthy.", .def = "2", .min = 1, .max = 100),
    FIELD(struct health_active, unhealthy, "unhealthy", "Failures in a row that make it unhealthy.",
          .def = "3", .min = 1, .max = 100),
    FIELD(struct health_active, statuses, "statuses", "Statuses that are good; empty = 200 to 399.",
          .max = 64),
    FEND,
};
static const struct schema active_schema = { .name = "active",
                                             .doc = "Regular checks of every endpoint.",
                                             .size = sizeof(struct health_active),
                                             .fields = active_fields,
                                             .check = active_check };
static const struct field passive_fields[] = {
    FIELD(struct health_passive, consecutive, "consecutive",
          "Failures in a row that eject an endpoint; 0 = never.", .def = "5", .max = 1000),
    FIELD(struct health_passive, statuses, "statuses", "Answers 502, 503 and 504 are failures too.",
          .def = "true"),
    FIELD(struct health_passive, ejection, "ejection",
          "Time out of use, times the ejections in a row, at most 5m; as long in use forgets one.",
          .def = "30s", .min = 10 * NS_PER_MS, .max = DAY),
    FIELD(struct health_passive, max_ejected, "maxEjected",
          "Share of the endpoints that may be ejected; of two or more one always may.",
          .def = "50%", .max = 1000000),
    FEND,
};
static const struct schema passive_schema = {
    .name = "passive",
    .doc = "Endpoints that fail real requests are left out for a while.",
    .size = sizeof(struct health_passive),
    .fields = passive_fields
};
static const struct field health_fields[] = {
    FPTR(struct health_section, active, "active", &active_schema,
         "Regular checks of every endpoint; absent = none."),
    FOBJ(struct health_section, passive, "passive", &passive_schema,
         "What real requests tell about endpoints."),
    FIELD(struct health_section, panic, "panic",
          "When a smaller share of the endpoints is healthy, health is ignored.", .def = "50%",
          .max = 1000000),
    FEND,
};
const struct schema health_schema = { .name = "health",
                                      .doc = "Which endpoints of a service are used.",
                                      .size = sizeof(struct health_section),
                                      .fields = health_fields };

/* ---- limits ---- */

static const struct field limits_fields[] = {
    FIELD(struct limits_section, head, "head",
          "Request line and headers together; larger ones get 431.", .def = "16KiB", .min = 1024,
          .max = 1 << 20),
    FIELD(struct limits_section, headers, "headers", "Number of header fields.", .def = "100",
          .min = 8, .max = H1_MAX_HEADERS),
    FIELD(struct limits_section, body, "body", "Request body; larger ones get 413; 0 = no limit.",
          .max = INT64_MAX),
    FIELD(struct limits_section, streams, "streams", "Concurrent HTTP/2 streams of a connection.",
          .def = "128", .min = 1, .max = 10000),
    FIELD(struct limits_section, requests, "requests",
          "Requests of a connection before it is closed; 0 = no limit.", .max = 1000000000),
    FIELD(struct limits_section, connections, "connections",
          "Connections of a listener; new ones over it get 503; 0 = no limit.", .max = 1000000),
    FEND,
};
const struct schema limits_schema = { .name = "limits",
                                      .doc = "What one client may ask of a listener.",
                                      .size = sizeof(struct limits_section),
                                      .fields = limits_fields };

/* ---- trust ---- */

static const struct field trust_fields[] = {
    FIELD(struct trust_section, proxies, "proxies",
          "Address ranges whose X-Forwarded-* and X-Request-Id headers are believed.",
          .format = FMT_CIDR, .max = 256),
    FEND,
};
const struct schema trust_schema = { .name = "trust",
                                     .doc = "Who may speak for the client.",
                                     .size = sizeof(struct trust_section),
                                     .fields = trust_fields };

/* ---- the set ---- */

const char *const core_section_key[CORE_SECTIONS] = {
    [CORE_TIMEOUT] = "timeout", [CORE_RETRY] = "retry",   [CORE_BREAKER] = "breaker",
    [CORE_BALANCE] = "balance", [CORE_HEALTH] = "health", [CORE_LIMITS] = "limits",
    [CORE_TRUST] = "trust",
};
static const struct {
    const struct schema *schema;
    struct section_info info;
} core[CORE_SECTIONS] = {
    [CORE_TIMEOUT] = { &timeout_schema, { SECTION_TRAFFIC, SECTION_L4 | SECTION_L7, NULL } },
    [CORE_RETRY] = { &retry_schema, { SECTION_TRAFFIC, SECTION_L4 | SECTION_L7, NULL } },
    [CORE_BREAKER] = { &breaker_schema, { SECTION_TRAFFIC, SECTION_L4 | SECTION_L7, NULL } },
    [CORE_BALANCE] = { &balance_schema, { SECTION_TRAFFIC, SECTION_L4 | SECTION_L7, NULL } },
    [CORE_HEALTH] = { &health_schema, { SECTION_TRAFFIC, SECTION_L4 | SECTION_L7, NULL } },
    [CORE_LIMITS] = { &limits_schema, { SECTION_TRAFFIC, SECTION_L4 | SECTION_L7, NULL } },
    [CORE_TRUST] = { &trust_schema, { SECTION_TRAFFIC, SECTION_L7, NULL } },
};
static struct arena defaults_arena;
static const void *defaults[CORE_SECTIONS];

enum core_section section_core(const struct registry_row *row)
{
    for (unsigned i = 0; i < CORE_SECTIONS; i++)
        if (row->schema == core[i].schema)
            return i;
    return CORE_SECTIONS;
}

const void *section_defaults(enum core_section c)
{
    CHECK(defaults[c]); /* sections_register comes first */
    return defaults[c];
}

void sections_register(void)
{
    if (!defaults_arena.chunk_size)
        arena_init(&defaults_arena, 2048, 0);
    struct errors e;
    errors_init(&e, &defaults_arena);
    for (unsigned i = 0; i < CORE_SECTIONS; i++) {
        registry_add("policy", core_section_key[i], core[i].schema, &core[i].info);
        if (defaults[i])
            continue;
        void *conf = arena_alloc(&defaults_arena, core[i].schema->size);
        CHECK(schema_parse(core[i].schema, NULL, &defaults_arena, conf, STR(""), &e));
        defaults[i] = conf;
    }
}
