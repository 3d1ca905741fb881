/* Route tables: what is built checks out and is found, also against a plain reading of random
   rules; damaged bytes are refused or harmless. */
#include "snapshot/route_table.h"
#include "../harness/harness.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/path.h"
#include "decide/route_find.h"

void unit_route_table(void);

static struct action_def forward_to(struct arena *a, struct str cluster)
{
    struct action_def d = { .type = ACTION_FORWARD };
    d.backends.v = ARENA_NEW(a, struct backend_def);
    d.backends.v[0] = (struct backend_def){ .cluster = cluster, .weight = 1 };
    d.backends.n = 1;
    return d;
}

static void close_table(struct route_table *t)
{
    for (uint32_t i = 0; t->patterns && i < t->view.h->n_patterns; i++)
        regex_free((struct regex *)(uintptr_t)t->patterns[i]);
    mem_free((void *)(uintptr_t)t->patterns);
}

/* False when the bytes are refused or hold what is no pattern. */
static bool open_table(struct str bytes, struct route_table *ret)
{
    const char *why;
    bool ok = true;
    *ret = (struct route_table){ .patterns = NULL };
    if (!route_table_check(bytes, &why)) {
        EXPECT(why[0] != '\0');
        return false;
    }
    CHECK(route_view(bytes, &ret->view));
    const struct regex **v = mem_array(ret->view.h->n_patterns + 1, sizeof(*v));
    CHECK(v);
    ret->patterns = v;
    for (uint32_t i = 0; i < ret->view.h->n_patterns; i++) {
        char err[100];
        size_t at;
        v[i] = regex_new(route_str(ret->view.base, ret->view.patterns[i]), err, sizeof(err), &at);
        ok &= v[i] != NULL;
    }
    if (!ok)
        close_table(ret);
    return ok;
}

static uint32_t find(const struct route_table *t, const char *method, const char *target)
{
    struct http_message m = { .method_text = str_from(method), .target = str_from(target) };
    message_split_target(&m);
    return route_find(t, &m);
}

/* ---- by example ---- */

static void examples(struct arena *a)
{
    struct action_def to = forward_to(a, STR("shop")), other = forward_to(a, STR("shop"));
    const struct rule_def rules[] = {
        { .route = STR("r"),
          .rule = 0,
          .path_kind = PATH_EXACT,
          .path = STR("/a/b"),
          .action = &to },
        { .route = STR("r"),
          .rule = 1,
          .path_kind = PATH_PREFIX,
          .path = STR("/a/b/"),
          .method = STR("POST"),
          .action = &other },
        { .route = STR("r"),
          .rule = 2,
          .path_kind = PATH_PREFIX,
          .path = STR("/a/b"),
          .action = &to },
        { .route = STR("r"),
          .rule = 3,
          .path_kind = PATH_TEMPLATE,
          .path = STR("/a/{x}/c"),
          .action = &to },
        { .route = STR("r"),
          .rule = 4,
          .path_kind = PATH_PREFIX,
          .path = STR("/a"),
          .action = &to },
        { .route = STR("r"),
          .rule = 5,
          .path_kind = PATH_REGEX,
          .path = STR("/z+"),
          .action = &to },
        { .route = STR("r"),
          .rule = 6,
          .path_kind = PATH_PREFIX,
          .path = STR("/"),
          .method = STR("GET"),
          .action = &to },
    };
    struct route_table t;
    struct str bytes = route_table_build(a, a, rules, ARRAY_LEN(rules));

    CASE("what is built checks out; equal actions stand once");
    EXPECT(open_table(bytes, &t));
    EXPECT_INT(route_table_rules(bytes), 7);
    EXPECT_INT(t.view.h->n_actions, 1);
    EXPECT_INT(t.view.h->n_backends, 1);
    EXPECT_INT(t.view.h->n_patterns, 1);
    EXPECT_STR(route_table_build(a, a, rules, ARRAY_LEN(rules)), bytes);

    CASE("exact, prefix on segments, template, pattern, everything");
    EXPECT_INT(find(&t, "GET", "/a/b"), 0);
    EXPECT_INT(find(&t, "GET", "/a/b?x=1"), 0);
    EXPECT_INT(find(&t, "GET", "/a/b/"), 2);
    EXPECT_INT(find(&t, "POST", "/a/b/"), 1);
    EXPECT_INT(find(&t, "POST", "/a/b/c"), 1);
    EXPECT_INT(find(&t, "GET", "/a/b/c"), 2);
    EXPECT_INT(find(&t, "GET", "/a/bc/c"), 3);
    EXPECT_INT(find(&t, "GET", "/a/bc"), 4);
    EXPECT_INT(find(&t, "GET", "/a/"), 4);
    EXPECT_INT(find(&t, "GET", "/a"), 4);
    EXPECT_INT(find(&t, "POST", "/ab"), ROUTE_NONE);
    EXPECT_INT(find(&t, "GET", "/ab"), 6);
    EXPECT_INT(find(&t, "POST", "/zzz"), 5);
    EXPECT_INT(find(&t, "POST", "/zzzy"), ROUTE_NONE);
    EXPECT_INT(find(&t, "HEAD", "/"), ROUTE_NONE);
    EXPECT_INT(find(&t, "GET", "*"), 6);
    close_table(&t);

    CASE("no rules at all");
    EXPECT(open_table(route_table_build(a, a, NULL, 0), &t));
    EXPECT_INT(find(&t, "GET", "/"), ROUTE_NONE);
    close_table(&t);

    CASE("the order of the rules decides, not the length of the path");
    const struct rule_def swapped[] = {
        { .route = STR("r"), .path_kind = PATH_ANY, .method = STR("PUT"), .action = &to },
        { .route = STR("r"), .path_kind = PATH_PREFIX, .path = STR("/a"), .action = &to },
        { .route = STR("r"), .path_kind = PATH_PREFIX, .path = STR("/a/b"), .action = &to },
    };
    EXPECT(open_table(route_table_build(a, a, swapped, 3), &t));
    EXPECT_INT(find(&t, "GET", "/a/b"), 1);
    EXPECT_INT(find(&t, "PUT", "/a/b"), 0);
    EXPECT_INT(find(&t, "GET", "/b"), ROUTE_NONE);
    close_table(&t);
}

/* ---- against a plain reading ---- */

static struct str random_path(struct arena *a, bool request)
{
    static const char *const parts[] = { "a", "b", "ab", "aa", "abc" };
    char text[64];
    size_t n = 0, segments = rand_below(4);
    for (size_t i = 0; i < segments; i++) {
        const char *p = parts[rand_below(ARRAY_LEN(parts))];
        text[n++] = '/';
        memcpy(text + n, p, strlen(p));
        n += strlen(p);
    }
    if (n == 0 || (request && rand_below(4) == 0))
        text[n++] = '/';
    return arena_str(a, (struct str){ text, n });
}

static struct rule_def random_rule(struct arena *a, struct action_def *to)
{
    struct rule_def r = { .route = STR("r"),
                          .path_kind = (uint8_t)rand_below(5),
                          .path = random_path(a, false),
                          .action = to };
    if (r.path_kind == PATH_TEMPLATE && r.path.n > 1)
        r.path = arena_fmt(a, "%.*s/{x}%s", STR_FMT(r.path), rand_below(2) ? "" : "/{y...}");
    if (r.path_kind == PATH_REGEX)
        r.path = arena_fmt(a, "%.*s[ab/]*", STR_FMT(r.path));
    if (rand_below(3) == 0)
        r.method = STR("PUT");
    return r;
}

static bool plain_match(const struct rule_def *r, struct str method, struct str path)
{
    struct path_captures c;
    char err[100];
    size_t at;
    if (r->method.n && !str_eq(r->method, method))
        return false;
    switch (r->path_kind) {
    case PATH_EXACT:
        return str_eq(r->path, path);
    case PATH_PREFIX:
        return path_prefix_match(r->path, path);
    case PATH_TEMPLATE:
        return path_template_match(r->path, path, &c);
    case PATH_REGEX: {
        struct regex *re = regex_new(r->path, err, sizeof(err), &at);
        bool yes = re && regex_match(re, path) == REGEX_YES;
        regex_free(re);
        return yes;
    }
    default:
        return true;
    }
}

/* What fuzzing found. */
static void found(struct arena *a)
{
    CASE("a prefix with two closing slashes is one that ends with a slash");
    struct action_def to = forward_to(a, STR("shop"));
    struct rule_def r = {
        .route = STR("r"), .path_kind = PATH_PREFIX, .path = STR("/a//"), .action = &to
    };
    struct route_table t;
    EXPECT(open_table(route_table_build(a, a, &r, 1), &t));
    EXPECT_INT(find(&t, "GET", "/a//b"), 0);
    EXPECT_INT(find(&t, "GET", "/a/"), 0);
    EXPECT_INT(find(&t, "GET", "/a/b"), ROUTE_NONE);
    close_table(&t);

    CASE("backends and edits that no action has are checked too");
    struct str bytes = route_table_build(a, a, &r, 1);
    struct route_view v;
    const char *why;
    CHECK(route_view(bytes, &v));
    ((struct rt_action *)(uintptr_t)v.actions)->n_backends = 0;
    EXPECT(route_table_check(bytes, &why));
    ((struct rt_backend *)(uintptr_t)v.backends)->cluster = 0x7ffffffc;
    EXPECT(!route_table_check(bytes, &why));
    EXPECT_STR(str_from(why), STR("a backend with a bad name"));

    CASE("actions that share their backends are refused");
    struct action_def other = { .type = ACTION_REPLY, .status = 204 };
    struct rule_def two[] = { r, { .route = STR("r"), .action = &other } };
    bytes = route_table_build(a, a, two, 2);
    CHECK(route_view(bytes, &v));
    struct rt_action *x = (struct rt_action *)(uintptr_t)v.actions;
    x[0].n_backends = x[1].n_backends = 1;
    x[0].backends = x[1].backends = 0;
    EXPECT(!route_table_check(bytes, &why));
    EXPECT_STR(str_from(why), STR("the backends of an action are not its own"));
}

static void random_rules(void)
{
    CASE("random rules: the lookup equals reading them one after another");
    rand_seed(11);
    size_t wrong = 0, found = 0;
    for (unsigned round = 0; round < 150; round++) {
        struct arena a;
        struct route_table t;
        arena_init(&a, 0, 0);
        struct action_def to[2] = { forward_to(&a, STR("x")), forward_to(&a, STR("y")) };
        size_t n = rand_below(40);
        struct rule_def *v = ARENA_ARRAY(&a, struct rule_def, n + 1);
        for (size_t i = 0; i < n; i++)
            v[i] = random_rule(&a, &to[rand_below(2)]);
        struct str bytes = route_table_build(&a, &a, v, n);
        EXPECT(open_table(bytes, &t));
        for (unsigned k = 0; k < 60; k++) {
            struct str path = random_path(&a, true),
                       method = rand_below(2) ? STR("GET") : STR("PUT");
            uint32_t want = 0, got = find(&t, arena_cstr(&a, method), path.p);
            while (want < n && !plain_match(&v[want], method, path))
                want++;
            wrong += got != (want < n ? want : (uint32_t)ROUTE_NONE);
            found += want < n;
        }
        close_table(&t);
        arena_fini(&a);
    }
    EXPECT_INT(wrong, 0);
    EXPECT(found > 3000);
}

/* ---- damage ---- */

static void damage(struct arena *a)
{
    struct action_def to = forward_to(a, STR("shop")), move = {
        .type = ACTION_REDIRECT, .status = 301, .scheme = STR("https"), .path = STR("/n/{x}")
    };
    struct header_edit edit = { .op = EDIT_SET, .name = STR("x-a"), .value = STR("1") };
    to.edits.v = &edit;
    to.edits.n = 1;
    struct value_rule header = { .name = STR("x-t"), .match = MATCH_REGEX, .value = STR("a.*") };
    struct rule_def rules[] = {
        { .route = STR("one"), .path_kind = PATH_TEMPLATE, .path = STR("/o/{x}"), .action = &move },
        { .route = STR("two"),
          .path_kind = PATH_PREFIX,
          .path = STR("/p"),
          .method = STR("GET"),
          .action = &to },
        { .route = STR("two"), .path_kind = PATH_REGEX, .path = STR("/[0-9]+"), .action = &to },
    };
    rules[1].headers.v = &header;
    rules[1].headers.n = 1;
    struct str good = route_table_build(a, a, rules, ARRAY_LEN(rules));
    const char *why;

    CASE("every shorter prefix is refused");
    EXPECT(route_table_check(good, &why));
    size_t accepted = 0;
    for (size_t n = 0; n < good.n; n++)
        accepted += route_table_check(str_sub(good, 0, n), &why) || why[0] == '\0';
    EXPECT_INT(accepted, 0);

    CASE("every changed byte is refused, or can be looked into");
    char *copy = mem_alloc(good.n);
    size_t refused = 0;
    CHECK(copy);
    for (size_t i = 0; i < good.n * 3; i++) {
        static const uint8_t flips[] = { 1, 0x80, 0xff };
        struct route_table t;
        memcpy(copy, good.p, good.n);
        copy[i / 3] = (char)(copy[i / 3] ^ flips[i % 3]);
        if (!open_table((struct str){ copy, good.n }, &t)) {
            refused++;
            continue;
        }
        (void)find(&t, "POST", "/p/x");
        (void)find(&t, "GET", "/o/x");
        close_table(&t);
    }
    EXPECT(refused > good.n);
    mem_free(copy);

    CASE("bytes that are not aligned are refused");
    char *shifted = arena_alloc(a, good.n + 4);
    memcpy(shifted + 1, good.p, good.n);
    EXPECT(!route_table_check((struct str){ shifted + 1, good.n }, &why));
    EXPECT_STR(str_from(why), STR("not aligned"));
}

/* Builds one rule with one action and tells what the check says of it. */
static struct str verdict(struct arena *a, struct rule_def r, struct action_def d)
{
    const char *why;
    r.route = STR("r");
    r.action = &d;
    route_table_check(route_table_build(a, a, &r, 1), &why);
    return str_from(why);
}

static void texts(struct arena *a)
{
    CASE("texts that would reach the wire are checked");
    struct header_edit bad_name = { .name = STR("x:y"), .value = STR("1") },
                       bad_value = { .name = STR("x"), .value = STR("a\r\nb: c") };
    struct value_rule header = { .name = STR("a b"), .match = MATCH_PRESENT };
    struct action_def ok = { .type = ACTION_REPLY, .status = 204 }, edits = ok;
    struct rule_def any = { .path_kind = PATH_ANY }, with = any;
    EXPECT_STR(verdict(a, any, ok), STR(""));
    edits.edits.v = &bad_name;
    edits.edits.n = 1;
    EXPECT_STR(verdict(a, any, edits), STR("a header edit with a bad name"));
    edits.edits.v = &bad_value;
    EXPECT_STR(verdict(a, any, edits), STR("a header edit with a bad value"));
    with.headers.v = &header;
    with.headers.n = 1;
    EXPECT_STR(verdict(a, with, ok), STR("a bad header name"));
    EXPECT_STR(verdict(a, (struct rule_def){ .method = STR("GET /") }, ok), STR("a bad method"));
    EXPECT_STR(
        verdict(a, (struct rule_def){ .path_kind = PATH_TEMPLATE, .path = STR("/a{b}") }, ok),
        STR("a bad template"));
    EXPECT_STR(verdict(a, (struct rule_def){ .path_kind = 9 }, ok), STR("an unknown kind of path"));
    EXPECT_STR(verdict(a, any, (struct action_def){ .type = ACTION_REDIRECT, .status = 304 }),
               STR("a redirect with a status that is none"));
    EXPECT_STR(verdict(a, any, (struct action_def){ .type = ACTION_REPLY, .status = 100 }),
               STR("a reply with a bad status"));
    EXPECT_STR(verdict(a, any, (struct action_def){ .type = 7 }), STR("an unknown kind of action"));
    EXPECT_STR(verdict(a, any, (struct action_def){ .host = STR("a b") }), STR("a bad host"));
    EXPECT_STR(verdict(a, any, (struct action_def){ .scheme = STR("ftp") }),
               STR("an unknown scheme"));
    EXPECT_STR(verdict(a, any, (struct action_def){ .path = STR("/a\r\n") }),
               STR("a bad replacement path"));
    EXPECT_STR(verdict(a, any,
                       (struct action_def){
                           .type = ACTION_REPLY, .status = 200, .content_type = STR("a\nb") }),
               STR("a bad content type"));
    struct backend_def heavy[2] = { { STR("a"), STR(""), UINT32_MAX }, { STR("b"), STR(""), 1 } };
    struct action_def sum = { .type = ACTION_FORWARD };
    sum.backends.v = heavy;
    sum.backends.n = 2;
    EXPECT_STR(verdict(a, any, sum), STR("weights that add up to more than 32 bits hold"));
}

void unit_route_table(void)
{
    struct arena a;
    arena_init(&a, 0, 0);
    examples(&a);
    random_rules();
    found(&a);
    damage(&a);
    texts(&a);
    arena_fini(&a);
}
