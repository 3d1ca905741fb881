/* Decisions over a small world: hosts, methods, headers, queries, captures, weights, paths to
 * forward. */
#include "decide/decide.h"
#include "../harness/harness.h"

void unit_decide(void);
extern const struct lb_type lb_round_robin;

static struct action_def replies[16];

/* An action that can be told by its status. */
static struct action_def *reply(uint16_t status)
{
    struct action_def *d = &replies[status % 16];
    *d = (struct action_def){ .type = ACTION_REPLY, .status = status };
    return d;
}

static struct world *world_of(struct arena *a, struct resource *r, size_t n, struct errors *e)
{
    for (size_t i = 0; i < n; i++)
        resource_seal(&r[i]);
    resource_list l = { r, n };
    errors_init(e, a);
    struct world *w = world_build(&(struct world_input){ .resources = &l }, NULL, e);
    for (size_t i = 0; i < e->n; i++) {
        struct buf b;
        buf_init(&b, 4096);
        error_format(&e->v[i], &b);
        test_result(false, __FILE__, __LINE__, "%.*s", STR_FMT(buf_view(&b)));
        buf_fini(&b);
    }
    return w;
}

static struct resource routes(struct arena *a, const char *name, const struct rule_def *v, size_t n)
{
    return (struct resource){ .type = RES_ROUTES,
                              .name = str_from(name),
                              .bytes = route_table_build(a, a, v, n) };
}

static struct resource listener(const char *protocol)
{
    return (struct resource){ .type = RES_LISTENER,
                              .name = STR("edge/web"),
                              .bytes = str_from(protocol) };
}

static struct http_message request(const char *method, const char *target, struct header *hv,
                                   uint32_t n)
{
    struct http_message m = { .method_text = str_from(method), .target = str_from(target) };
    m.headers = (struct headers){ hv, n, n };
    message_split_target(&m);
    return m;
}

/* Status of the reply that the request finds; 0 = no route. */
static unsigned status(const struct listener *l, const char *host, const char *method,
                       const char *target)
{
    struct route_match rm;
    struct http_message m = request(method, target, NULL, 0);
    return decide_route(l, str_from(host), &m, &rm) ? rm.action->status : 0;
}

/* ---- hosts ---- */

static void hosts(struct arena *a)
{
    struct errors e;
    struct rule_def any = { .route = STR("r") }, only_a = {
        .route = STR("only"), .rule = 3, .path_kind = PATH_PREFIX, .path = STR("/a")
    };
    struct rule_def exact = only_a, deep = any, wide = any, star = any, chunk = any;
    exact.action = reply(201);
    deep.action = reply(202);
    deep.path_kind = PATH_PREFIX;
    deep.path = STR("/deep");
    wide.action = reply(203);
    star.action = reply(204);
    chunk.action = reply(205);
    chunk.path_kind = PATH_EXACT;
    chunk.path = STR("/later");
    struct resource r[] = {
        listener("{\"address\":\"127.0.0.1:0\"}"),
        routes(a, "edge/web|shop.a.example|0", &exact, 1),
        routes(a, "edge/web|*.a.example|0", &deep, 1),
        routes(a, "edge/web|*.example|0", &wide, 1),
        routes(a, "edge/web|*|0", &star, 1),
        routes(a, "edge/web|shop.a.example|1", &chunk, 1),
    };
    struct world *w = world_of(a, r, ARRAY_LEN(r), &e);
    const struct listener *l = &world_listeners(w)->v[0];

    CASE("the most specific host whose rules match wins");
    EXPECT_INT(status(l, "shop.a.example", "GET", "/a"), 201);
    EXPECT_INT(status(l, "shop.a.example", "GET", "/deep"), 202);
    EXPECT_INT(status(l, "shop.a.example", "GET", "/b"), 203);
    EXPECT_INT(status(l, "x.y.a.example", "GET", "/deep/er"), 202);
    EXPECT_INT(status(l, "x.y.a.example", "GET", "/"), 203);
    EXPECT_INT(status(l, "a.example", "GET", "/deep"), 203);
    EXPECT_INT(status(l, "example", "GET", "/"), 204);
    EXPECT_INT(status(l, "other.test", "GET", "/a"), 204);
    EXPECT_INT(status(l, "", "GET", "/a"), 204);
    EXPECT_INT(status(l, "[::1]", "GET", "/a"), 204);

    CASE("chunks of a host go on where the one before ended");
    EXPECT_INT(status(l, "shop.a.example", "GET", "/later"), 205);

    CASE("what matched is told");
    struct route_match rm;
    struct http_message m = request("GET", "/a/x", NULL, 0);
    EXPECT(decide_route(l, STR("shop.a.example"), &m, &rm));
    EXPECT_STR(rm.route, STR("only"));
    EXPECT_INT(rm.rule, 3);
    EXPECT_STR(rm.host, STR("shop.a.example"));
    EXPECT_STR(rm.matched_path, STR("/a"));
    EXPECT_INT(rm.path_kind, PATH_PREFIX);
    EXPECT_INT(rm.captures.n, 0);
    EXPECT(decide_route(l, STR("b.example"), &m, &rm));
    EXPECT_STR(rm.host, STR("*.example"));
    EXPECT_STR(rm.matched_path, STR("/"));

    CASE("raw connections take the first rule that asks for nothing");
    EXPECT(decide_raw(l, STR("x.a.example"), &rm) && rm.action->status == 203);
    EXPECT(decide_raw(l, STR(""), &rm) && rm.action->status == 204);
    EXPECT(decide_raw(l, STR("shop.a.example"), &rm) && rm.action->status == 203);
    world_unref(w);

    CASE("a listener without routes has none");
    w = world_of(a, r, 1, &e);
    EXPECT_INT(status(&world_listeners(w)->v[0], "shop.a.example", "GET", "/a"), 0);
    EXPECT(!decide_raw(&world_listeners(w)->v[0], STR(""), &rm));
    world_unref(w);
}

static void allowed(void)
{
    CASE("hosts a listener takes");
    struct str v[] = { STR("shop.example"), STR("*.b.example") };
    struct listener l = { .hostnames = { v, 2 } }, every = { .name = STR_INIT("") };
    EXPECT(decide_host_allowed(&l, STR("shop.example")));
    EXPECT(!decide_host_allowed(&l, STR("a.shop.example")));
    EXPECT(decide_host_allowed(&l, STR("x.b.example")));
    EXPECT(decide_host_allowed(&l, STR("x.y.b.example")));
    EXPECT(!decide_host_allowed(&l, STR("b.example")));
    EXPECT(!decide_host_allowed(&l, STR("xb.example")));
    EXPECT(!decide_host_allowed(&l, STR("")));
    EXPECT(decide_host_allowed(&every, STR("")));
}

/* ---- values ---- */

static struct header field(const char *name, const char *value, uint8_t flags)
{
    return (struct header){ .name = name,
                            .value = value,
                            .name_n = (uint16_t)strlen(name),
                            .value_n = (uint32_t)strlen(value),
                            .flags = flags };
}

/* Does one rule with these values take the request? */
static bool takes(struct arena *a, struct value_rule *headers, size_t n_headers,
                  struct value_rule *query, size_t n_query, const char *target, struct header *hv,
                  uint32_t n)
{
    struct errors e;
    struct rule_def d = { .route = STR("r"), .action = reply(200) };
    struct route_match rm;
    d.headers.v = headers;
    d.headers.n = n_headers;
    d.query.v = query;
    d.query.n = n_query;
    struct resource r[] = { listener("{\"address\":\"127.0.0.1:0\"}"),
                            routes(a, "edge/web|*|0", &d, 1) };
    struct world *w = world_of(a, r, 2, &e);
    struct http_message m = request("GET", target, hv, n);
    bool yes = decide_route(&world_listeners(w)->v[0], STR("h"), &m, &rm);
    world_unref(w);
    return yes;
}

static bool takes_header(struct arena *a, struct value_rule v, struct header *hv, uint32_t n)
{
    return takes(a, &v, 1, NULL, 0, "/", hv, n);
}

static bool takes_query(struct arena *a, struct value_rule v, const char *target)
{
    return takes(a, NULL, 0, &v, 1, target, NULL, 0);
}

static void values(struct arena *a)
{
    struct header one[] = { field("X-Tenant", "gold", 0) },
                  removed[] = { field("x-tenant", "gold", HDR_F_REMOVED) };
    struct header two[] = { field("x-tenant", "silver", 0), field("other", "gold", 0),
                            field("X-TENANT", "gold", 0) };
    struct header hop[] = { field("upgrade", "websocket", HDR_F_HOP) };

    CASE("headers: exact, prefix, pattern, present, and their opposites");
    struct value_rule exact = { .name = STR("x-tenant"),
                                .match = MATCH_EXACT,
                                .value = STR("gold") };
    struct value_rule prefix = { .name = STR("x-tenant"),
                                 .match = MATCH_PREFIX,
                                 .value = STR("go") };
    struct value_rule pattern = { .name = STR("x-tenant"),
                                  .match = MATCH_REGEX,
                                  .value = STR("g.*d") };
    struct value_rule present = { .name = STR("x-tenant"), .match = MATCH_PRESENT };
    EXPECT(takes_header(a, exact, one, 1) && takes_header(a, prefix, one, 1) &&
           takes_header(a, pattern, one, 1) && takes_header(a, present, one, 1));
    EXPECT(!takes_header(a, exact, NULL, 0) && !takes_header(a, prefix, NULL, 0) &&
           !takes_header(a, pattern, NULL, 0) && !takes_header(a, present, NULL, 0));
    EXPECT(!takes_header(a, exact, removed, 1) && !takes_header(a, present, removed, 1));
    exact.value = STR("Gold"); /* values are compared as they are */
    EXPECT(!takes_header(a, exact, one, 1));
    exact.value = STR("gol");
    EXPECT(!takes_header(a, exact, one, 1));
    pattern.value = STR("g"); /* the whole value must match */
    EXPECT(!takes_header(a, pattern, one, 1));
    present.invert = prefix.invert = true;
    EXPECT(!takes_header(a, present, one, 1) && takes_header(a, present, NULL, 0));
    EXPECT(!takes_header(a, prefix, one, 1) && takes_header(a, prefix, NULL, 0));

    CASE("headers: several fields of one name are any of them, or all joined");
    exact.value = STR("gold");
    EXPECT(takes_header(a, exact, two, 3));
    exact.value = STR("silver, gold");
    EXPECT(takes_header(a, exact, two, 3));
    exact.value = STR("silver,gold");
    EXPECT(takes_header(a, exact, two, 3));
    exact.value = STR("silver");
    EXPECT(takes_header(a, exact, two, 3));
    static const char *const wrong[] = { "gold, silver", "silver, gold,", "silver;gold",
                                         "silver, ",     "silver,  gold", "bronze" };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        exact.value = str_from(wrong[i]);
        EXPECT(!takes_header(a, exact, two, 3));
    }
    EXPECT(takes_header(a,
                        (struct value_rule){ .name = STR("upgrade"),
                                             .match = MATCH_EXACT,
                                             .value = STR("websocket") },
                        hop, 1));

    CASE("query: the first value of the name, decoded");
    struct value_rule q = { .name = STR("a b"), .match = MATCH_EXACT, .value = STR("x y") };
    EXPECT(takes_query(a, q, "/?a%20b=x+y"));
    EXPECT(takes_query(a, q, "/?c=1&a+b=x%20y&a+b=z"));
    EXPECT(!takes_query(a, q, "/?a+b=z&a+b=x+y"));
    EXPECT(!takes_query(a, q, "/?a+b"));
    EXPECT(!takes_query(a, q, "/"));
    q.match = MATCH_PRESENT;
    EXPECT(takes_query(a, q, "/?a+b"));
    q.match = MATCH_REGEX;
    q.value = STR("x[ ]y|z");
    EXPECT(takes_query(a, q, "/?a+b=x+y") && !takes_query(a, q, "/?a+b=xy"));
    q.match = MATCH_PREFIX;
    q.value = STR("100%");
    EXPECT(takes_query(a, q, "/?a+b=100%zz")); /* no escape: stands for itself */

    CASE("every header and query rule must hold");
    struct value_rule hs[2] = { { STR("x-tenant"), MATCH_PRESENT, false, STR("") },
                                { STR("x-none"), MATCH_PRESENT, true, STR("") } };
    struct value_rule qs[2] = { { STR("p"), MATCH_EXACT, false, STR("1") },
                                { STR("q"), MATCH_EXACT, true, STR("1") } };
    EXPECT(takes(a, hs, 2, qs, 2, "/?p=1", one, 1));
    EXPECT(takes(a, hs, 2, qs, 2, "/?p=1&q=2", one, 1));
    EXPECT(!takes(a, hs, 2, qs, 2, "/?p=1&q=1", one, 1));
    EXPECT(!takes(a, hs, 2, qs, 2, "/?p=1", NULL, 0));
}

/* ---- backends ---- */

static void backends(void)
{
    CASE("weights are ranges of points");
    struct backend v[] = { { .weight = 2 }, { .weight = 0 }, { .weight = 3 } };
    struct action x = { .total_weight = 5 };
    x.backends.v = v;
    x.backends.n = 3;
    EXPECT(decide_backend(&x, 0) == &v[0] && decide_backend(&x, 1) == &v[0]);
    EXPECT(decide_backend(&x, 2) == &v[2] && decide_backend(&x, 4) == &v[2]);
    EXPECT(decide_backend(&x, 5) == NULL);
    x.backends.n = 0;
    EXPECT(decide_backend(&x, 0) == NULL);
}

/* ---- paths ---- */

struct rewrite {
    uint8_t kind;
    const char *path, *target, *replacement;
    bool prefix;
    const char *want; /* NULL: does not work out */
};

static void rewrites(struct arena *a)
{
    static const struct rewrite v[] = {
        { PATH_PREFIX, "/foo", "/foo/bar", "/xyz", true, "/xyz/bar" },
        { PATH_PREFIX, "/foo", "/foo/bar", "/xyz/", true, "/xyz/bar" },
        { PATH_PREFIX, "/foo/", "/foo/bar", "/xyz", true, "/xyz/bar" },
        { PATH_PREFIX, "/foo/", "/foo/bar", "/xyz/", true, "/xyz/bar" },
        { PATH_PREFIX, "/foo", "/foo", "/xyz", true, "/xyz" },
        { PATH_PREFIX, "/foo", "/foo", "/xyz/", true, "/xyz/" },
        { PATH_PREFIX, "/foo", "/foo/", "/xyz", true, "/xyz/" },
        { PATH_PREFIX, "/foo", "/foo", "/", true, "/" },
        { PATH_PREFIX, "/foo", "/foo/", "/", true, "/" },
        { PATH_PREFIX, "/foo", "/foo/bar", "/", true, "/bar" },
        { PATH_PREFIX, "/foo", "/foo/bar?q=/foo&r", "/x", true, "/x/bar?q=/foo&r" },
        { PATH_PREFIX, "/foo", "/foo?", "/x", true, "/x?" },
        { PATH_PREFIX, "/foo", "/foo/bar", "/all", false, "/all" },
        { PATH_PREFIX, "/foo", "/foo/bar?a", "/all", false, "/all?a" },
        { PATH_PREFIX, "/foo", "/foo/bar?a", "", false, "/foo/bar?a" },
        { PATH_ANY, "/", "/bar", "/x", true, "/x/bar" },
        { PATH_ANY, "/", "*", "/x", true, "*" },
        { PATH_EXACT, "/foo/", "/foo/", "/x", true, "/x" },
        { PATH_TEMPLATE, "/u/{id}/{rest...}", "/u/7/a/b?c", "/v2/{rest...}/of/{id}", false,
          "/v2/a/b/of/7?c" },
        { PATH_TEMPLATE, "/u/{id}", "/u/7", "/v2/{name}", false, NULL },
        { PATH_REGEX, "/[a-z]+", "/abc?q", "/r", false, "/r?q" },
    };
    CASE("paths to forward");
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        struct errors e;
        struct action_def to = { .type = ACTION_FORWARD,
                                 .path = str_from(v[i].replacement),
                                 .path_prefix = v[i].prefix };
        struct rule_def d = {
            .route = STR("r"), .path_kind = v[i].kind, .path = str_from(v[i].path), .action = &to
        };
        struct resource r[] = { listener("{\"address\":\"127.0.0.1:0\"}"),
                                routes(a, "edge/web|*|0", &d, 1) };
        struct world *w = world_of(a, r, 2, &e);
        struct http_message m = request("GET", v[i].target, NULL, 0);
        struct route_match rm;
        char out[100];
        struct str got;
        EXPECT(decide_route(&world_listeners(w)->v[0], STR("h"), &m, &rm));
        bool ok = decide_path(&rm, &m, out, sizeof(out), &got);
        EXPECT_INT(ok, v[i].want != NULL);
        if (ok && v[i].want) {
            EXPECT_STR(got, str_from(v[i].want));
            for (size_t cap = 0; cap < got.n && got.p == out; cap++) {
                struct str none;
                EXPECT(!decide_path(&rm, &m, out, cap, &none));
            }
        }
        world_unref(w);
    }
}

void unit_decide(void)
{
    struct arena a;
    arena_init(&a, 0, 0);
    registry_add("lb", "round-robin", NULL, &lb_round_robin);
    sections_register();
    hosts(&a);
    allowed();
    values(&a);
    backends();
    rewrites(&a);
    arena_fini(&a);
}
