/* One binary search for the request path among the literal beginnings of a table's rules, then the
   few that begin it, from the longest to the shortest. Pure; no allocation. */
#include "decide/route_find.h"
#include "codec/path.h"

enum { QUERY_VALUE_MAX = 4096 }; /* a longer value is compared as it came, still encoded */

/* ---- values ---- */

static bool value_matches(const struct route_table *t, const struct rt_value *v, struct str s)
{
    switch (v->match) {
    case MATCH_EXACT:
        return str_eq(s, route_str(t->view.base, v->value));
    case MATCH_PREFIX:
        return str_starts(s, route_str(t->view.base, v->value));
    case MATCH_REGEX:
        return regex_match(t->patterns[v->value], s) == REGEX_YES;
    default:
        return true; /* MATCH_PRESENT */
    }
}

/* A field that was received counts, also one that is not forwarded (Upgrade); what a filter or the
   proxy took out does not. */
static bool field_named(const struct header *h, struct str name)
{
    return !(h->flags & HDR_F_REMOVED) && h->name_n == name.n && str_ieq(header_name(h), name);
}

/* RFC 9110 section 5.3: fields of one name are one list. Is want that list, joined by commas with
 * or without a space? */
static bool joined_equal(const struct headers *hs, struct str name, struct str want)
{
    bool first = true;
    for (uint32_t i = 0; i < hs->n; i++) {
        if (!field_named(&hs->v[i], name))
            continue;
        if (!first) {
            if (want.n == 0 || want.p[0] != ',')
                return false;
            want = str_sub(want, want.n > 1 && want.p[1] == ' ' ? 2 : 1, want.n);
        }
        first = false;
        struct str value = header_value(&hs->v[i]);
        if (!str_starts(want, value))
            return false;
        want = str_sub(want, value.n, want.n);
    }
    return want.n == 0;
}

static bool header_matches(const struct route_table *t, const struct rt_value *v,
                           const struct headers *hs)
{
    struct str name = route_str(t->view.base, v->name);
    unsigned seen = 0;
    for (uint32_t i = 0; i < hs->n; i++) {
        if (!field_named(&hs->v[i], name))
            continue;
        if (value_matches(t, v, header_value(&hs->v[i])))
            return true;
        seen++;
    }
    return seen > 1 && v->match == MATCH_EXACT &&
           joined_equal(hs, name, route_str(t->view.base, v->value));
}

static bool query_matches(const struct route_table *t, const struct rt_value *v, struct str query)
{
    char plain[QUERY_VALUE_MAX];
    struct str value;
    size_t n;
    if (!query_find(query, route_str(t->view.base, v->name), &value))
        return false;
    if (v->match == MATCH_PRESENT)
        return true;
    bool encoded = str_find(value, '%') < value.n || str_find(value, '+') < value.n;
    if (encoded && value.n <= sizeof(plain) && percent_decode(value, true, plain, &n))
        value = (struct str){ plain, n };
    return value_matches(t, v, value);
}

/* ---- rules ---- */

bool route_rule_match(const struct route_table *t, const struct rt_rule *r,
                      const struct http_message *m)
{
    struct path_captures unused;
    if (r->method && !str_eq(route_str(t->view.base, r->method), m->method_text))
        return false;
    if (r->path_kind == PATH_TEMPLATE &&
        !path_template_match(route_str(t->view.base, r->path), m->path, &unused))
        return false;
    const struct rt_value *v = &t->view.values[r->values];
    for (unsigned i = 0; i < r->n_headers; i++, v++)
        if (header_matches(t, v, &m->headers) == v->invert)
            return false;
    for (unsigned i = 0; i < r->n_query; i++, v++)
        if (query_matches(t, v, m->query) == v->invert)
            return false;
    return r->path_kind != PATH_REGEX || regex_match(t->patterns[r->path], m->path) == REGEX_YES;
}

/* ---- paths ---- */

static inline uint64_t load8(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* How many of n bytes a and b share, when they share the first `from`. */
static inline size_t common(const char *a, const char *b, size_t from, size_t n)
{
    uint64_t diff;
    for (; from + 8 <= n; from += 8)
        if ((diff = load8(a + from) ^ load8(b + from)) != 0)
            return from + (size_t)__builtin_ctzll(diff) / 8;
    if (n >= 8 && from < n) { /* the last eight, some of them known to be equal */
        diff = load8(a + n - 8) ^ load8(b + n - 8);
        return diff ? n - 8 + (size_t)__builtin_ctzll(diff) / 8 : n;
    }
    while (from < n && a[from] == b[from])
        from++;
    return from;
}

/* The last path that is not after s, bytewise, and how much of it s shares; ROUTE_NONE when all are
   after it. What both ends of the search share with s, everything between them shares too, so no
   byte of s is looked at twice. */
static uint32_t predecessor(const struct route_view *v, struct str s, size_t *ret_common)
{
    uint32_t lo = 0, hi = v->h->n_paths; /* paths[lo - 1] <= s < paths[hi] */
    size_t lo_common = 0, hi_common = 0;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        const struct rt_path *p = &v->paths[mid];
        const char *bytes = v->base + p->at;
        size_t n = p->n < s.n ? p->n : s.n;
        size_t same = common(bytes, s.p, lo_common < hi_common ? lo_common : hi_common, n);
        bool before = same == n ? p->n <= s.n : (uint8_t)bytes[same] < (uint8_t)s.p[same];
        if (before) {
            lo = mid + 1;
            lo_common = same;
        } else {
            hi = mid;
            hi_common = same;
        }
    }
    *ret_common = lo_common;
    return lo ? lo - 1 : ROUTE_NONE;
}

/* The beginning of the path is as long as n: does that do for a rule of this kind? */
static bool place_matches(uint8_t kind, size_t n, struct str path)
{
    if (kind == PATH_EXACT)
        return path.n == n;
    return kind != PATH_PREFIX || path.n == n || path.p[n] == '/';
}

uint32_t route_find(const struct route_table *t, const struct http_message *m)
{
    const struct route_view *v = &t->view;
    uint32_t best = ROUTE_NONE;
    size_t shared;
    for (uint32_t at = predecessor(v, m->path, &shared); at != ROUTE_NONE;
         at = v->paths[at].parent) {
        const struct rt_path *p = &v->paths[at];
        if (p->n > shared)
            continue; /* not a beginning of the path, but its parents may be */
        const uint16_t *ref = &v->refs[p->first];
        for (unsigned i = 0; i < p->n_refs && ref[i] < best; i++) {
            const struct rt_rule *r = &v->rules[ref[i]];
            if (place_matches(r->path_kind, p->n, m->path) && route_rule_match(t, r, m)) {
                best = ref[i];
                break;
            }
        }
    }
    return best;
}
