/* Targets: normalising is idempotent, never grows, leaves no dot segment, and keeps the query;
   templates and queries read nothing outside. Input: a target, optionally NUL and a template, NUL
   and a rewrite pattern. */
#include "codec/path.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str next(struct str *rest)
{
    size_t n = str_find(*rest, '\0');
    struct str s = str_sub(*rest, 0, n);
    *rest = str_sub(*rest, n + 1, rest->n);
    return s;
}

/* A copy that ends where the allocation ends, so that reading on is seen. */
static char *exact(struct str s)
{
    char *p = mem_alloc(s.n ? s.n : 1);
    CHECK(p);
    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}

static bool has_dot_segment(struct str path)
{
    while (path.n > 0) {
        path = str_sub(path, 1, path.n);
        size_t n = str_find(path, '/');
        struct str s = str_sub(path, 0, n);
        if (str_eq(s, STR(".")) || str_eq(s, STR("..")))
            return true;
        path = str_sub(path, n, path.n);
    }
    return false;
}

static void normalise(struct str target, struct str tmpl, struct str pattern)
{
    char *out = mem_alloc(target.n + 1), *again = mem_alloc(target.n + 1);
    struct str once, twice;
    const char *why;
    CHECK(out && again);
    enum path_result r = path_normalise(target, out, target.n, &once, &why);
    if (r != PATH_BAD) {
        size_t q = str_find(target, '?'), q2 = str_find(once, '?');
        struct str path = str_sub(once, 0, q2);
        CHECK(once.n <= target.n);
        CHECK(r != PATH_SAME || str_eq(once, target));
        CHECK(str_eq(str_sub(target, q, target.n), str_sub(once, q2, once.n)));
        CHECK(!has_dot_segment(path) && !memchr(once.p, '#', once.n));
        CHECK(path_normalise(once, again, once.n, &twice, &why) == PATH_SAME &&
              str_eq(once, twice));
        (void)path_ambiguous(path);
        CHECK(path_prefix_match(STR("/"), path) == (path.n > 0 && path.p[0] == '/'));
        struct path_captures c;
        if (path_template_valid(tmpl, &why) && path_template_match(tmpl, path, &c)) {
            size_t n, cap = pattern.n + 64;
            char *fill = mem_alloc(cap), *back = mem_alloc(path.n + 1);
            CHECK(fill && back);
            if (path_template_fill(pattern, &c, fill, cap, &n))
                CHECK(n <= cap);
            /* a template filled with what it took gives what it took it from */
            CHECK(path_template_fill(tmpl, &c, back, path.n, &n) &&
                  str_eq((struct str){ back, n }, path));
            mem_free(fill);
            mem_free(back);
        }
    } else {
        CHECK(why[0] != '\0');
    }
    mem_free(out);
    mem_free(again);
}

static void query(struct str q, struct str key)
{
    struct str value;
    size_t n;
    char *out = mem_alloc(q.n + 1);
    CHECK(out);
    if (query_find(q, key, &value))
        CHECK(value.n == 0 || (value.p >= q.p && value.p + value.n <= q.p + q.n));
    if (percent_decode(q, true, out, &n))
        CHECK(n <= q.n);
    mem_free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = { (const char *)data, size };
    struct str target = next(&rest), tmpl = next(&rest), pattern = next(&rest);
    struct path_captures c;
    char *a = exact(target), *b = exact(tmpl), *d = exact(pattern);
    target.p = a;
    tmpl.p = b;
    pattern.p = d;
    normalise(target, tmpl, pattern);
    (void)path_template_match(tmpl, target, &c); /* also when it is not valid */
    (void)path_prefix_match(tmpl, target);
    query(target, tmpl);
    mem_free(a);
    mem_free(b);
    mem_free(d);
    return 0;
}
