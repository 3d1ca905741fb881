/* Route tables. First byte even: the rest is a table, which is refused with a reason or can be
   looked into, and then the lookup equals reading its rules one after another. Odd: the rest are
   rules, one a line (kind, method, path), NUL, and a request; what is built from them checks out.
 */
#include "snapshot/route_table.h"
#include "base/mem.h"
#include "codec/path.h"
#include "decide/route_find.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool compile_all(struct route_table *t, const struct regex **v)
{
    char err[100];
    size_t at;
    for (uint32_t i = 0; i < t->view.h->n_patterns; i++) {
        v[i] = regex_new(route_str(t->view.base, t->view.patterns[i]), err, sizeof(err), &at);
        if (!v[i])
            return false;
    }
    return true;
}

static bool path_fits(const struct route_table *t, const struct rt_rule *r, struct str path)
{
    if (r->path_kind == PATH_EXACT)
        return str_eq(route_path_str(&t->view, &t->view.paths[r->path]), path);
    if (r->path_kind == PATH_PREFIX) {
        struct str p = route_path_str(&t->view, &t->view.paths[r->path]);
        return str_starts(path, p) && (path.n == p.n || path.p[p.n] == '/');
    }
    return true; /* the rest is in route_rule_match */
}

static void look(struct str bytes, const struct http_message *m)
{
    struct route_table t = { .patterns = NULL };
    CHECK(route_view(bytes, &t.view));
    uint32_t n = t.view.h->n_patterns;
    if (n > 64)
        return; /* only slow */
    const struct regex **v = mem_array(n + 1, sizeof(*v));
    CHECK(v);
    t.patterns = v;
    if (compile_all(&t, v)) {
        uint32_t want = 0, rules = (uint32_t)route_table_rules(bytes), got = route_find(&t, m);
        while (want < rules && !(path_fits(&t, &t.view.rules[want], m->path) &&
                                 route_rule_match(&t, &t.view.rules[want], m)))
            want++;
        CHECK(got == (want < rules ? want : (uint32_t)ROUTE_NONE));
    }
    for (uint32_t i = 0; i < n; i++)
        regex_free((struct regex *)(uintptr_t)v[i]);
    mem_free(v);
}

static void check_bytes(struct str in, const struct http_message *m)
{
    const char *why;
    char *copy = mem_alloc(in.n ? in.n : 1);
    CHECK(copy);
    if (in.n)
        memcpy(copy, in.p, in.n);
    struct str bytes = { copy, in.n };
    if (route_table_check(bytes, &why))
        look(bytes, m);
    else
        CHECK(why[0] != '\0');
    mem_free(copy);
}

static struct str line(struct str *rest)
{
    size_t n = str_find(*rest, '\n');
    struct str s = str_sub(*rest, 0, n);
    *rest = str_sub(*rest, n + 1, rest->n);
    return s;
}

static bool is_token(struct str s)
{
    return s.n == 0 || header_name_valid(s);
}

static void build_rules(struct str text, const struct http_message *m)
{
    struct arena a;
    const char *why;
    struct action_def to[2] = { { .type = ACTION_REPLY, .status = 200 },
                                { .type = ACTION_REPLY, .status = 404 } };
    struct rule_def v[64];
    size_t n = 0;
    arena_init(&a, 0, 0);
    while (text.n > 0 && n < ARRAY_LEN(v)) {
        struct str l = line(&text), method = STR(""), path = STR("");
        if (l.n == 0 || !str_cut(str_sub(l, 1, l.n), ' ', &method, &path))
            continue;
        struct rule_def r = { .route = STR("r"),
                              .rule = (uint32_t)n,
                              .path_kind = (uint8_t)l.p[0] % 5,
                              .path = path,
                              .method = method };
        if (!is_token(method) ||
            (r.path_kind == PATH_TEMPLATE && !path_template_valid(path, &why)) ||
            (r.path_kind == PATH_REGEX && path.n == 0))
            continue;
        r.action = &to[n % 2];
        v[n++] = r;
    }
    struct str bytes = route_table_build(&a, &a, v, n);
    CHECK(route_table_check(bytes, &why));
    CHECK(route_table_rules(bytes) == n);
    look(bytes, m);
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct header hv[2] = { { "x-a", "1", 1, 3, HDR_OTHER, 0 },
                            { "x-a", "22", 2, 3, HDR_OTHER, 0 } };
    struct http_message m = { .method_text = STR("GET"),
                              .target = STR("/a/b/c?x=1&y=%41"),
                              .headers = { hv, 2, 2 } };
    if (size == 0)
        return 0;
    struct str rest = { (const char *)data + 1, size - 1 };
    if (data[0] & 1) {
        size_t zero = str_find(rest, '\0');
        m.target = str_sub(rest, zero + 1, rest.n);
        message_split_target(&m);
        build_rules(str_sub(rest, 0, zero), &m);
    } else {
        message_split_target(&m);
        check_bytes(rest, &m);
    }
    return 0;
}
