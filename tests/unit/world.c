/* Worlds: what resources say is there, older blobs are shared, every mistake is
   refused with its place, no failure of memory leaves anything behind. */
#define _GNU_SOURCE /* memmem */
#include "snapshot/world.h"
#include "../harness/harness.h"
#include "base/mem.h"
#include "snapshot/host_index.h"

void unit_world(void);
extern const struct lb_type lb_round_robin;

/* A filter's section, as far as a world sees it. */
struct demo_conf {
    int64_t requests;
    struct str token;
};
static const struct field demo_fields[] = {
    FIELD(struct demo_conf, requests, "requests", "How many.", .def = "7"),
    FIELD(struct demo_conf, token, "token", "A secret.", .flags = F_SECRET),
    FEND,
};
static const struct schema demo_schema = {
    .name = "demo", .doc = "A filter.", .size = sizeof(struct demo_conf), .fields = demo_fields
};
static const struct section_info demo_info = { SECTION_USER, SECTION_L7, &demo_schema };

enum { MANY = 24 };
struct fixture {
    struct arena a;
    struct resource r[MANY];
    size_t n;
};

static void add(struct fixture *f, uint8_t type, const char *name, const char *text)
{
    CHECK(f->n < MANY);
    struct resource *r = &f->r[f->n++];
    *r = (struct resource){ .type = type, .name = str_from(name), .bytes = str_from(text) };
    resource_seal(r);
}

static void add_routes(struct fixture *f, const char *name, struct rule_def *v, size_t n)
{
    struct resource *r = &f->r[f->n++];
    *r = (struct resource){ .type = RES_ROUTES,
                            .name = str_from(name),
                            .bytes = route_table_build(&f->a, &f->a, v, n) };
    resource_seal(r);
}

static struct action_def *forward(struct fixture *f, const char *cluster, const char *policy)
{
    struct action_def *d = ARENA_NEW(&f->a, struct action_def);
    d->backends.v = ARENA_ARRAY(&f->a, struct backend_def, 2);
    d->backends.v[0] = (struct backend_def){ .cluster = str_from(cluster),
                                             .policy = str_from(policy),
                                             .weight = 3 };
    d->backends.v[1] = (struct backend_def){ .cluster = str_from(cluster), .weight = 1 };
    d->backends.n = 2;
    return d;
}

static void add_table(struct fixture *f, const char *name, const char *cluster, const char *policy)
{
    struct rule_def v[] = {
        { .route = STR("shop"), .path_kind = PATH_REGEX, .path = STR("/[0-9]+") },
        { .route = STR("shop"), .rule = 1, .path_kind = PATH_ANY },
    };
    struct header_edit *edit = ARENA_NEW(&f->a, struct header_edit);
    *edit = (struct header_edit){
        .op = EDIT_ADD, .response = true, .name = STR("x-a"), .value = STR("1")
    };
    v[0].action = v[1].action = forward(f, cluster, policy);
    v[0].action->edits.v = edit;
    v[0].action->edits.n = 1;
    add_routes(f, name, v, 2);
}

/* The least that uses every type. */
static void begin(struct fixture *f)
{
    f->n = 0;
    arena_init(&f->a, 0, 0);
    add(f, RES_LISTENER, "edge/web",
        "{\"address\":\"127.0.0.1:8000\",\"protocol\":\"https\",\"hostnames\":[\"*.example\"],"
        "\"tls\":{\"certificates\":[\"web\"]},\"policy\":\"p1\"}");
    add(f, RES_CLUSTER, "shop",
        "{\"tls\":{\"ca\":\"web\",\"name\":\"shop.internal\"},\"policy\":\"p1\"}");
    add(f, RES_CLUSTER, "cart", "{\"protocol\":\"grpc\"}");
    add(f, RES_ENDPOINTS, "shop",
        "{\"endpoints\":[\"127.0.0.1:9001\",{\"address\":\"b.internal:80\",\"weight\":5}]}");
    add(f, RES_POLICY, "p1",
        "{\"sections\":{\"timeout\":{\"request\":\"5s\"},\"demo\":{\"token\":\"hunter2\"}},"
        "\"origins\":{\"demo\":\"Policy/limits\"}}");
    add(f, RES_SECRET, "web", "{\"certPem\":\"CERT\",\"keyPem\":\"KEY\"}");
    add_table(f, "edge/web|shop.example|0", "shop", "p1");
    add_table(f, "edge/web|*|0", "shop", "p1");
}

static void end(struct fixture *f)
{
    arena_fini(&f->a);
}

static void count_used(void *arg, struct str bytes)
{
    (void)bytes;
    ++*(int *)arg;
}

/* used (may be NULL) counts the resources whose bytes were read. */
static struct world *build(struct fixture *f, const struct world *prev, int *used, struct errors *e)
{
    resource_list l = { f->r, f->n };
    struct world_input in = { .resources = &l };
    if (used) {
        in.used = count_used;
        in.used_arg = used;
    }
    errors_init(e, &f->a);
    return world_build(&in, prev, e);
}

/* All errors as lines; builds from nothing. */
static struct str errors_of(struct fixture *f)
{
    struct errors e;
    struct buf b;
    struct world *w = build(f, NULL, NULL, &e);
    buf_init(&b, 1 << 16);
    for (size_t i = 0; i < e.n; i++) {
        error_format(&e.v[i], &b);
        buf_char(&b, '\n');
    }
    EXPECT(!w == (e.n > 0));
    world_unref(w);
    struct str s = arena_str(&f->a, buf_view(&b));
    buf_fini(&b);
    return s;
}

/* ---- what is said is there ---- */

static void count_sets(struct policy_set *p, void *arg)
{
    EXPECT(p->timeout && p->retry && p->breaker && p->balance && p->health && p->limits &&
           p->trust);
    ++*(int *)arg;
}

static void gone(struct world *w, void *arg)
{
    *(size_t *)arg = world_routes(w);
}

static void contents(void)
{
    struct fixture f;
    struct errors e;
    begin(&f);
    struct world *w = build(&f, NULL, NULL, &e);
    CHECK(w);

    CASE("listeners, with their policy set and hosts");
    EXPECT_INT(world_listeners(w)->n, 1);
    const struct listener *l = &world_listeners(w)->v[0];
    EXPECT_STR(l->name, STR("edge/web"));
    EXPECT_STR(l->gateway, STR("edge"));
    EXPECT_STR(l->section, STR("web"));
    EXPECT_INT(l->protocol, LISTEN_HTTPS);
    EXPECT(l->h2 && l->request_id && l->access_log.enabled);
    EXPECT_INT(l->access_log.sample.ppm, 1000000);
    EXPECT_INT(l->policy_set->timeout->request.ns, 5 * NS_PER_S);
    EXPECT(l->hosts != NULL && l->hosts->n == 2);

    CASE("clusters sorted by name, with their endpoints");
    EXPECT_INT(world_clusters(w)->n, 2);
    EXPECT_STR(world_clusters(w)->v[0].name, STR("cart"));
    const struct cluster *c = world_cluster(w, STR("shop"));
    EXPECT(c == &world_clusters(w)->v[1]);
    EXPECT_INT(c->index, 1);
    EXPECT_INT(c->endpoints.n, 2);
    EXPECT_INT(c->endpoints.v[0].weight, 1);
    EXPECT_STR(c->endpoints.v[1].address, STR("b.internal:80"));
    EXPECT_INT(c->endpoints.v[1].weight, 5);
    EXPECT(c->tls && c->tls->verify);
    EXPECT(world_cluster(w, STR("cart"))->tls == NULL);
    EXPECT_INT(world_cluster(w, STR("cart"))->endpoints.n, 0);
    EXPECT_STR(world_cluster(w, STR("cart"))->policy_set->name, STR(""));
    EXPECT(world_cluster(w, STR("nobody")) == NULL);

    CASE("secrets");
    EXPECT_STR(world_secret(w, STR("web"))->key_pem, STR("KEY"));
    EXPECT_STR(world_secret(w, STR("web"))->name, STR("web"));
    EXPECT(world_secret(w, STR("")) == NULL);

    CASE("policy sets: sections with defaults, filters with their origin");
    int sets = 0;
    world_policy_sets(w, count_sets, &sets);
    EXPECT_INT(sets, 2);
    const struct policy_set *p = l->policy_set;
    EXPECT_STR(p->name, STR("p1"));
    EXPECT_INT(p->timeout->connect.ns, 5 * NS_PER_S);
    EXPECT_INT(p->filters.n, 1);
    EXPECT_STR(p->filters.v[0].origin, STR("Policy/limits"));
    EXPECT_INT(((const struct demo_conf *)p->filters.v[0].conf)->requests, 7);
    EXPECT(p->filters.v[0].row->extra == &demo_info);

    CASE("actions are resolved");
    EXPECT_INT(world_routes(w), 4);
    const struct host_entry *h = host_index_find(l->hosts, STR("shop.example"));
    EXPECT(h && h->n_tables == 1);
    const struct action *x = &h->tables[0].actions[0];
    EXPECT_INT(x->total_weight, 4);
    EXPECT(x->backends.v[0].cluster == c && x->backends.v[0].policy == p);
    EXPECT_STR(x->backends.v[1].policy->name, STR(""));
    EXPECT_INT(x->edits.n, 1);
    EXPECT_STR(x->edits.v[0].name, STR("x-a"));

    CASE("the hash is over all resources, whatever their order");
    char hash[65];
    memcpy(hash, world_hash(w), 65);
    EXPECT_INT(strlen(hash), 64);
    struct resource t = f.r[0];
    f.r[0] = f.r[f.n - 1];
    f.r[f.n - 1] = t;
    struct world *again = build(&f, NULL, NULL, &e);
    EXPECT_STR(str_from(world_hash(again)), str_from(hash));
    world_unref(again);
    f.n--;
    again = build(&f, NULL, NULL, &e);
    EXPECT(again == NULL || strcmp(world_hash(again), hash) != 0);
    world_unref(again);

    CASE("the last reference tells that the world goes");
    size_t rules = 0;
    world_on_free(w, gone, &rules);
    world_unref(world_ref(w));
    EXPECT_INT(rules, 0);
    world_unref(w);
    EXPECT_INT(rules, 4);
    world_unref(NULL);
    end(&f);
}

static void describe(void)
{
    struct fixture f;
    struct errors e;
    struct buf b;
    begin(&f);
    CASE("a world as a tree: complete, without secrets");
    struct world *w = build(&f, NULL, NULL, &e);
    buf_init(&b, 1 << 16);
    json_print(world_describe(w, &f.a), 0, &b);
    struct str s = buf_view(&b);
    static const char *const there[] = {
        "\"name\":\"edge/web\"",
        "\"protocol\":\"https\"",
        "\"keyPem\":\"<redacted>\"",
        "\"token\":\"<redacted>\"",
        "\"request\":\"5s\"",
        "b.internal:80",
        "\"regex\":\"/[0-9]+\"",
        "\"service\":\"shop\",\"weight\":3,\"policy\":\"p1\"",
        "\"host\":\"*\"",
        "\"on\":\"response\",\"add\":\"x-a\",\"value\":\"1\"",
    };
    for (size_t i = 0; i < ARRAY_LEN(there); i++)
        test_result(memmem(s.p, s.n, there[i], strlen(there[i])) != NULL, __FILE__, __LINE__,
                    "%s is not in %.*s", there[i], STR_FMT(s));
    EXPECT(!memmem(s.p, s.n, "hunter2", 7) && !memmem(s.p, s.n, "KEY", 3));
    buf_fini(&b);
    world_unref(w);
    end(&f);
}

/* ---- sharing ---- */

static void sharing(void)
{
    struct fixture f;
    struct errors e;
    int first = 0, second = 0;
    begin(&f);
    CASE("blobs of the same hash are shared, the others made anew");
    struct world *old = build(&f, NULL, &first, &e);
    add(&f, RES_CLUSTER, "new", "{}");
    struct world *now = build(&f, old, &second, &e);
    CHECK(old && now);
    EXPECT_INT(first, f.n - 1);
    EXPECT_INT(second, 1); /* what is shared is not read */
    const struct host_entry *a = world_listeners(old)->v[0].hosts->entries,
                            *b = world_listeners(now)->v[0].hosts->entries;
    EXPECT(a[0].tables[0].view.base == b[0].tables[0].view.base);
    EXPECT(a[0].tables[0].patterns == b[0].tables[0].patterns);
    EXPECT(a[0].tables[0].patterns[0] ==
           a[1].tables[0].patterns[0]); /* equal patterns of one world */
    EXPECT(world_secret(old, STR("web")) == world_secret(now, STR("web")));
    EXPECT(world_listeners(old)->v[0].policy_set != world_listeners(now)->v[0].policy_set);
    EXPECT(a[0].tables[0].actions != b[0].tables[0].actions);
    EXPECT(a[0].tables[0].actions[0].backends.v[0].cluster == world_cluster(old, STR("shop")));
    EXPECT(b[0].tables[0].actions[0].backends.v[0].cluster == world_cluster(now, STR("shop")));

    CASE("a blob outlives the world that it was made for");
    world_unref(old);
    add_table(&f, "edge/web|late.example|0", "shop", "p1");
    struct world *last = build(&f, now, &second, &e);
    CHECK(last);
    EXPECT_INT(second, 2);
    EXPECT(host_index_find(world_listeners(last)->v[0].hosts, STR("late.example"))
               ->tables[0]
               .patterns[0] == world_listeners(now)->v[0].hosts->entries[0].tables[0].patterns[0]);
    world_unref(now);
    world_unref(last);

    CASE("a failed build lets go of what it borrowed");
    old = build(&f, NULL, NULL, &e);
    add(&f, RES_CLUSTER, "bad", "{\"policy\":\"none\"}");
    EXPECT(build(&f, old, NULL, &e) == NULL);
    world_unref(old);
    end(&f);
}

/* ---- mistakes ---- */

struct mistake {
    uint8_t type;
    const char *name, *text, *want;
};

static void mistakes(void)
{
    static const struct mistake v[] = {
        { RES_CLUSTER, "x", "{\"policy\":\"none\"}",
          "cluster/x: policy: no policy set named 'none'\n" },
        { RES_CLUSTER, "x", "{\"tls\":{\"ca\":\"none\"}}",
          "cluster/x: tls.ca: no secret named 'none'\n" },
        { RES_CLUSTER, "x", "{\"tls\":{\"certificate\":\"half\"}}",
          "cluster/x: tls.certificate: secret 'half' has no certificate with its key\n" },
        { RES_CLUSTER, "x", "{\"protocol\":\"smtp\"}",
          "cluster/x:1:13: protocol: 'smtp' is not one of http, h2, grpc, tcp; did you mean "
          "'http'?\n" },
        { RES_CLUSTER, "x", "{\"polcy\":\"a\"}",
          "cluster/x:1:2: unknown field 'polcy'; did you mean 'policy'?\n" },
        { RES_CLUSTER, "x", "{", "cluster/x:1:2: want a key in quotes\n" },
        { RES_CLUSTER, "shop", "{}", "cluster/shop: the same resource twice\n" },
        { RES_CLUSTER, "", "{}", "listener/: a resource of an unknown type or with a bad name\n" },
        { RES_CLUSTER, "a b", "{}",
          "listener/: a resource of an unknown type or with a bad name\n" },
        { 99, "x", "{}", "listener/: a resource of an unknown type or with a bad name\n" },
        { RES_ENDPOINTS, "x", "{}", "endpoints/x: no cluster has this name\n" },
        { RES_ENDPOINTS, "cart", "{\"endpoints\":[{\"address\":\"a:1\",\"weight\":0}]}",
          "endpoints/cart:1:41: endpoints[0].weight: 0 is outside 1..1000\n" },
        { RES_LISTENER, "e/x", "{}", "listener/e/x:1:1: missing required field 'address'\n" },
        { RES_LISTENER, "e/x", "{\"address\":\"127.0.0.1:1\",\"protocol\":\"https\"}",
          "listener/e/x: tls.certificates: a listener that ends TLS needs a certificate\n" },
        { RES_LISTENER, "e/x",
          "{\"address\":\"127.0.0.1:1\",\"tls\":{\"certificates\":[\"none\"]}}",
          "listener/e/x: tls.certificates: no secret named 'none'\n" },
        { RES_LISTENER, "e/x",
          "{\"address\":\"127.0.0.1:1\",\"protocol\":\"tls\",\"tls\":{\"certificates\":[\"web\"],"
          "\"clientCert\":\"required\"}}",
          "listener/e/x: tls.clientCa: client certificates need an authority to check them\n" },
        { RES_POLICY, "x", "{\"sections\":{\"timeout\":{\"request\":\"soon\"}}}",
          "policy/x:1:35: sections.timeout.request: want a duration like 250ms, got 'soon'\n" },
        { RES_POLICY, "x", "{\"sections\":{\"balance\":{\"algorithm\":\"magic\"}}}",
          "policy/x:1:37: sections.balance.algorithm: 'magic' is not a known algorithm: "
          "round-robin\n" },
        { RES_POLICY, "x", "{\"sections\":{\"none\":{}}}",
          "policy/x:1:14: sections: unknown section 'none': made by a newer version?\n" },
        { RES_POLICY, "x", "{\"sections\":{\"demo\":{}}}",
          "policy/x:1:14: origins: 'demo' has no origin\n" },
        { RES_POLICY, "x", "{\"other\":{}}", "policy/x:1:10: other: unknown field\n" },
        { RES_POLICY, "x", "{\"sections\":[]}", "policy/x:1:1: sections and origins are maps\n" },
        { RES_POLICY, "x", "[]", "policy/x:1:1: want a map\n" },
        { RES_ROUTES, "edge/web|x.example|0", "nonsense",
          "routes/edge/web|x.example|0: a broken route table: too short or too long\n" },
    };
    CASE("mistakes are refused with the resource and the place");
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        struct fixture f;
        begin(&f);
        add(&f, RES_SECRET, "half", "{\"certPem\":\"CERT\"}");
        add(&f, v[i].type, v[i].name, v[i].text);
        EXPECT_STR(errors_of(&f), str_from(v[i].want));
        end(&f);
    }
}

static void route_mistakes(void)
{
    static const struct {
        const char *name, *cluster, *policy, *want;
    } v[] = {
        { "edge/web|x.example|0", "none", "",
          "routes/edge/web|x.example|0: no cluster named 'none'\n" },
        { "edge/web|x.example|0", "shop", "none",
          "routes/edge/web|x.example|0: no policy set named 'none'\n" },
        { "edge/none|x.example|0", "shop", "",
          "routes/edge/none|x.example|0: no listener named 'edge/none'\n" },
        { "edge/web|x.example|1", "shop", "",
          "routes/edge/web|x.example|1: a chunk before this one is missing\n" },
        { "edge/web|x.example|00", "shop", "",
          "routes/edge/web|x.example|00: want a name like edge/web|shop.example|0\n" },
        { "edge/web|X.example|0", "shop", "",
          "routes/edge/web|X.example|0: want a name like edge/web|shop.example|0\n" },
        { "edge/web|x.example", "shop", "",
          "routes/edge/web|x.example: want a name like edge/web|shop.example|0\n" },
    };
    CASE("route tables name what is there");
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        struct fixture f;
        begin(&f);
        add_table(&f, v[i].name, v[i].cluster, v[i].policy);
        EXPECT_STR(errors_of(&f), str_from(v[i].want));
        end(&f);
    }

    CASE("a pattern that does not compile");
    struct fixture f;
    begin(&f);
    struct rule_def bad = { .route = STR("r"),
                            .path_kind = PATH_REGEX,
                            .path = STR("/(a"),
                            .action = forward(&f, "shop", "") };
    add_routes(&f, "edge/web|x.example|0", &bad, 1);
    EXPECT_STR(errors_of(&f), STR("routes/edge/web|x.example|0: bad regular expression '/(a': "
                                  "missing closing parenthesis (at character 4)\n"));
    end(&f);

    CASE("more chunks than one digit counts stand in their order");
    begin(&f);
    for (int i = 0; i < 12; i++) {
        struct rule_def one = { .route = arena_fmt(&f.a, "n%d", i),
                                .action = forward(&f, "shop", "") };
        add_routes(&f, arena_cstr(&f.a, arena_fmt(&f.a, "edge/web|x.example|%d", i)), &one, 1);
    }
    struct errors e;
    struct world *w = build(&f, NULL, NULL, &e);
    CHECK(w);
    const struct host_entry *h = host_index_find(world_listeners(w)->v[0].hosts, STR("x.example"));
    EXPECT_INT(h->n_tables, 12);
    for (size_t i = 0; i < h->n_tables; i++)
        EXPECT_STR(route_str(h->tables[i].view.base, h->tables[i].view.rules[0].route),
                   arena_fmt(&f.a, "n%zu", i));
    world_unref(w);
    end(&f);
}

/* ---- memory ---- */

static void out_of_memory(void)
{
    struct fixture f;
    struct errors e;
    struct arena told;
    static char room[64 * 1024]; /* errors are told without the heap */
    begin(&f);
    CASE("whatever allocation fails, the build fails as a whole");
    struct world *old = build(&f, NULL, NULL, &e);
    add_table(&f, "edge/web|late.example|0", "shop", "p1");
    resource_list l = { f.r, f.n };
    for (int with_prev = 0; with_prev < 2; with_prev++) {
        size_t failed = 0;
        bool done = false;
        for (uint64_t nth = 1; nth < 500 && !done; nth++) {
            struct world_input in = { .resources = &l };
            arena_init_with(&told, room, sizeof(room), 0, 0);
            errors_init(&e, &told);
            uint64_t before = mem_calls();
            mem_fail_nth(nth);
            struct world *w = world_build(&in, with_prev ? old : NULL, &e);
            mem_fail_nth(0);
            done = mem_calls() - before < nth; /* it never came to fail */
            EXPECT(!w == errors_any(&e));
            failed += !w;
            world_unref(w);
            arena_fini(&told);
        }
        EXPECT(done);
        EXPECT(failed >= 5); /* what is shared is not allocated again */
    }
    world_unref(old);
    end(&f);
}

static void schemas(void)
{
    CASE("the tables of resources are sound");
    struct buf b;
    buf_init(&b, 1 << 16);
    EXPECT(schema_lint(&listener_schema, &b));
    EXPECT(schema_lint(&cluster_schema, &b));
    EXPECT(schema_lint(&endpoints_schema, &b));
    EXPECT(schema_lint(&secret_schema, &b));
    EXPECT_STR(buf_view(&b), STR(""));
    buf_fini(&b);
}

void unit_world(void)
{
    registry_add("lb", "round-robin", NULL, &lb_round_robin);
    registry_add("policy", "demo", &demo_schema, &demo_info);
    sections_register();
    schemas();
    contents();
    describe();
    sharing();
    mistakes();
    route_mistakes();
    out_of_memory();
}
