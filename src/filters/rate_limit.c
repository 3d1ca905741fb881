/* rateLimit: so many requests a window, counted over all workers of this process. A key's window
   begins with its first request.

   The counters stand in a table of fixed size: 8 slots a bucket, found by a keyed hash, claimed and
   counted by compare-and-swap. When a bucket is full the slot whose window began first is taken
   over, so an attacker who invents keys makes counters forget, never grow. */
#include "proxy/filter.h"
#include <stdatomic.h>
#include <stdio.h>

enum { BUCKETS = 8192, SLOTS = 8, COUNT_BITS = 24, COUNT_MAX = (1 << COUNT_BITS) - 1 };
enum key_by { BY_CLIENT, BY_ROUTE, BY_SERVICE, BY_ALL };
struct rate_key {
    uint8_t by; /* enum key_by */
    struct str header;
};
struct rate_conf {
    int64_t requests;
    struct dur window;
    struct rate_key key;
    bool dry_run;
};
struct slot {
    _Atomic uint64_t key;   /* 0 = free */
    _Atomic uint64_t state; /* start of the window in ms (40 bits), requests in it (24 bits) */
};
struct limiter {
    struct slot v[BUCKETS][SLOTS]; /* 1 MiB, of which only pages in use exist */
};

static const struct enum_value keys[] = {
    { "clientAddress", BY_CLIENT, "The client's address; IPv6 by its /64." },
    { "route", BY_ROUTE, "The route." },
    { "service", BY_SERVICE, "The service." },
    { "all", BY_ALL, "All requests together." },
    { NULL },
};
static const struct field key_fields[] = {
    FENUM(struct rate_key, by, "by", keys, "What has a count of its own.", .def = "clientAddress"),
    FIELD(struct rate_key, header, "header",
          "Counts by the value of this request header; without it by client address.",
          .format = FMT_HEADER),
    FEND,
};
static const struct schema key_schema = { .name = "rateLimitKey",
                                          .doc = "What is counted together.",
                                          .size = sizeof(struct rate_key),
                                          .fields = key_fields };
static const struct field fields[] = {
    FIELD(struct rate_conf, requests, "requests",
          "Requests allowed in a window; the count is that of the policy that says so.",
          .flags = F_REQUIRED, .min = 1, .max = COUNT_MAX - 1),
    FIELD(struct rate_conf, window, "window", "Length of the window.", .def = "1s",
          .min = 10 * NS_PER_MS, .max = 86400 * NS_PER_S),
    FOBJ(struct rate_conf, key, "key", &key_schema, "What is counted together."),
    FIELD(struct rate_conf, dry_run, "dryRun", "Counts and tells, but never refuses."),
    FEND,
};
static const struct schema schema = { .name = "rateLimit",
                                      .doc =
                                          "Limits requests in a window; over it the answer is 429.",
                                      .size = sizeof(struct rate_conf),
                                      .fields = fields };

static bool open_filter(struct filter *f, struct errors *e)
{
    (void)e;
    f->shared = shared_get(f->key, sizeof(struct limiter), NULL);
    return true;
}

static void close_filter(struct filter *f)
{
    shared_put(f->shared);
}

static uint64_t hash_of(struct exchange *x, const struct rate_conf *c)
{
    const struct header *h =
        c->key.header.n ? headers_find(&exchange_request(x)->headers, c->key.header) : NULL;
    const union addr *a = exchange_client(x);
    struct str s;
    if (h)
        s = header_value(h);
    else if (c->key.by == BY_ROUTE)
        s = exchange_route_name(x);
    else if (c->key.by == BY_SERVICE)
        s = exchange_service_name(x);
    else if (c->key.by == BY_ALL)
        s = STR("all");
    else if (a->sa.sa_family == AF_INET)
        s = (struct str){ (const char *)&a->v4.sin_addr, 4 };
    else
        s = (struct str){ (const char *)&a->v6.sin6_addr, 8 };
    uint64_t hash =
        str_hash(s) ^ (h ? 0x9e3779b97f4a7c15u : 0); /* a header cannot name an address's count */
    return hash ? hash : 1;
}

static uint64_t start_of(uint64_t state)
{
    return state >> COUNT_BITS;
}

/* The slot of key; one that is taken over has lost its count. */
static struct slot *find_slot(struct limiter *l, uint64_t key)
{
    struct slot *b = l->v[key % BUCKETS], *oldest = &b[0];
    for (size_t i = 0; i < SLOTS; i++) {
        uint64_t there = atomic_load_explicit(&b[i].key, memory_order_relaxed);
        if (there == key)
            return &b[i];
        if (there == 0 && atomic_compare_exchange_strong(&b[i].key, &there, key))
            return &b[i];
        if (there == key)
            return &b[i];
        if (start_of(atomic_load_explicit(&b[i].state, memory_order_relaxed)) <
            start_of(atomic_load_explicit(&oldest->state, memory_order_relaxed)))
            oldest = &b[i];
    }
    atomic_store(&oldest->key, key);
    atomic_store(&oldest->state, 0);
    return oldest;
}

struct verdict {
    bool allowed;
    uint64_t left;
    uint64_t wait_ms; /* until the window ends */
};

static struct verdict count(struct slot *s, const struct rate_conf *c, uint64_t now_ms)
{
    uint64_t window = (uint64_t)(c->window.ns / NS_PER_MS), old = atomic_load(&s->state), next,
             used, start;
    do {
        start = start_of(old);
        used = old & COUNT_MAX;
        if (used == 0 || now_ms >= start + window || now_ms < start) {
            start = now_ms;
            used = 0;
        }
        if (used >= (uint64_t)c->requests)
            return (struct verdict){ false, 0, start + window - now_ms };
        next = start << COUNT_BITS | (used + 1);
    } while (!atomic_compare_exchange_weak(&s->state, &old, next));
    return (struct verdict){ true, (uint64_t)c->requests - used - 1, start + window - now_ms };
}

/* draft-ietf-httpapi-ratelimit-headers. */
static void tell(struct exchange *x, const struct rate_conf *c, const struct verdict *v)
{
    struct arena *a = exchange_arena(x);
    struct str policy = arena_try_fmt(a, "\"default\";q=%lld;w=%lld", (long long)c->requests,
                                      (long long)((c->window.ns + NS_PER_S - 1) / NS_PER_S));
    struct str now = arena_try_fmt(a, "\"default\";r=%llu;t=%llu", (unsigned long long)v->left,
                                   (unsigned long long)(v->wait_ms + 999) / 1000);
    if (policy.p)
        (void)exchange_response_header(x, STR("ratelimit-policy"), policy);
    if (now.p)
        (void)exchange_response_header(x, STR("ratelimit"), now);
}

static enum filter_verdict on_request(struct exchange *x, const struct filter *f, void *state)
{
    const struct rate_conf *c = f->conf;
    (void)state;
    /* 40 bits of milliseconds are 34 years of uptime. */
    struct verdict v =
        count(find_slot(f->shared, hash_of(x, c)), c, (uint64_t)(exchange_now(x) / NS_PER_MS) + 1);
    tell(x, c, &v);
    if (v.allowed || c->dry_run)
        return FILTER_NEXT;
    struct str wait =
        arena_try_fmt(exchange_arena(x), "%llu", (unsigned long long)(v.wait_ms + 999) / 1000);
    if (wait.p)
        (void)exchange_response_header(x, STR("retry-after"), wait);
    exchange_reply(x, 429, "rate-limited",
                   STR("Too many requests: the limit of this window is used up."));
    return FILTER_RESPOND;
}

const struct filter_type filter_rate_limit = {
    .name = "rateLimit",
    .phase = PHASE_LIMIT,
    .class = SECTION_USER,
    .layers = SECTION_L7,
    .schema = &schema,
    .open = open_filter,
    .close = close_filter,
    .on_request = on_request,
};
