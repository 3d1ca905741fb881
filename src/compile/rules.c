/* One match of one rule: its row in a route table, its place in the total order, and the key by
   which two that take the same requests are found. */
#include "compile/priv.h"
#include <stdlib.h>

enum path_class {
    CLASS_REGEX,
    CLASS_PREFIX, /* a match without a path is the prefix / */
    CLASS_EXACT
}; /* a higher one comes first */

static struct str lower(struct arena *a, struct str s)
{
    struct str c = arena_str(a, s);
    char *p = (char *)(uintptr_t)c.p; /* made just now */
    for (size_t i = 0; i < c.n; i++)
        p[i] = ascii_lower(p[i]);
    return c;
}

/* Longest literal beginning first; then templates without {rest...}, with more segments, with more
   literal text. */
static uint64_t prefix_rank(struct str path)
{
    uint64_t text = 0, segments = 0;
    bool in = false;
    for (size_t i = 0; i < path.n; i++) {
        in = path.p[i] == '{' || (in && path.p[i] != '}');
        text += !in && path.p[i] != '}';
        segments += path.p[i] == '/';
    }
    bool rest = str_ends(path, STR("...}"));
    return (uint64_t)str_find(path, '{') << 40 | (uint64_t)!rest << 39 | (segments & 0x7FFF) << 24 |
           (text & 0xFFFFFF);
}

/* /foo/ is the same prefix as /foo. The table takes the slash off too, so it is left on the path:
   taken off twice, /foo// would be /foo. */
static struct str without_slash(struct str prefix)
{
    return str_ends(prefix, STR("/")) ? str_sub(prefix, 0, prefix.n - 1) : prefix;
}

static void path_prepare(const struct route_path *p, struct prepared *ret)
{
    struct rule_def *d = &ret->def;
    uint64_t class = CLASS_PREFIX, rank = 0;
    d->path = STR("");
    d->path_kind = PATH_ANY;
    if (p && p->exact.p) {
        class = CLASS_EXACT;
        d->path_kind = PATH_EXACT;
        d->path = p->exact;
    } else if (p && p->template.p) {
        class = CLASS_PREFIX;
        d->path_kind = PATH_TEMPLATE;
        d->path = p->template;
        rank = prefix_rank(d->path);
    } else if (p && p->regex.p) {
        class = CLASS_REGEX;
        d->path_kind = PATH_REGEX;
        d->path = p->regex;
    } else if (p && p->prefix.n > 1) { /* "/" alone is every path */
        class = CLASS_PREFIX;
        d->path_kind = PATH_PREFIX;
        d->path = p->prefix;
        rank = (uint64_t)without_slash(d->path).n << 40;
    }
    ret->path_rank = class << 62 | rank;
}

static int by_value(const void *pa, const void *pb)
{
    const struct value_rule *a = pa, *b = pb;
    int c = str_cmp(a->name, b->name);
    if (c == 0 && (a->match != b->match || a->invert != b->invert))
        c = a->match != b->match ? a->match - b->match : a->invert - b->invert;
    return c ? c : str_cmp(a->value, b->value);
}

static struct value_rule value_prepare(struct arena *a, const struct route_value *v, bool header)
{
    struct value_rule r = { .name = header ? lower(a, v->name) : v->name,
                            .match = MATCH_PRESENT,
                            .invert = v->invert,
                            .value = STR("") };
    if (v->test.exact.p) {
        r.match = MATCH_EXACT;
        r.value = v->test.exact;
    } else if (v->test.prefix.p) {
        r.match = MATCH_PREFIX;
        r.value = v->test.prefix;
    } else if (v->test.regex.p) {
        r.match = MATCH_REGEX;
        r.value = v->test.regex;
    } else {
        r.invert ^= v->test.present == 1;
    }
    return r;
}

/* All of a list, sorted: their order means nothing. */
static struct value_rule *values_prepare(struct arena *a, const struct route_value *v, size_t n,
                                         bool header)
{
    struct value_rule *r = n ? ARENA_ARRAY(a, struct value_rule, n) : NULL;
    for (size_t i = 0; i < n; i++)
        r[i] = value_prepare(a, &v[i], header);
    if (n > 1)
        qsort(r, n, sizeof(*r), by_value);
    return r;
}

/* A template without the names of its captures: they do not change what matches. */
static void key_path(struct buf *b, const struct rule_def *d)
{
    bool in = false;
    for (size_t i = 0; i < d->path.n; i++) {
        char ch = d->path.p[i];
        if (ch == '{' || ch == '}')
            in = ch == '{';
        if (!in || ch == '{' || ch == '.')
            buf_char(b, ch);
    }
}

static void key_text(struct buf *b, struct str s)
{
    buf_u64(b, s.n);
    buf_char(b, ' ');
    buf_str(b, s);
}

static void key_values(struct buf *b, const struct value_rule *v, size_t n)
{
    buf_char(b, '\n');
    for (size_t i = 0; i < n; i++) {
        key_text(b, v[i].name);
        buf_char(b, (char)('a' + v[i].match));
        buf_char(b, v[i].invert ? '!' : '=');
        key_text(b, v[i].value);
    }
}

static void key_prepare(struct compile *c, struct prepared *p)
{
    struct buf *b = &c->scratch;
    buf_clear(b);
    buf_fmt(b, "%lld %c", (long long)p->priority, 'a' + p->def.path_kind);
    if (p->def.path_kind == PATH_TEMPLATE)
        key_path(b, &p->def);
    else
        buf_str(b, p->def.path_kind == PATH_PREFIX ? without_slash(p->def.path) : p->def.path);
    buf_char(b, ' ');
    buf_str(b, p->def.method);
    key_values(b, p->def.headers.v, p->def.headers.n);
    key_values(b, p->def.query.v, p->def.query.n);
    p->key = arena_str(c->a, buf_view(b));
    p->hash = str_hash(p->key);
}

void rule_prepare(struct compile *c, const struct object *route, uint32_t rule, uint32_t match,
                  struct prepared *ret)
{
    const struct route_spec *r = route->spec;
    const struct route_rule *from = &r->rules.v[rule];
    const struct route_match_spec *m = from->match.n ? &from->match.v[match] : NULL;
    const struct node *created = node_get(node_get(route->doc, STR("metadata")), STR("created"));
    *ret = (struct prepared){ .route = route,
                              .rule = rule,
                              .match = match,
                              .priority = r->priority,
                              .created = created ? created->text : STR("") };
    ret->def = (struct rule_def){ .route = route->name, .rule = rule, .method = STR("") };
    path_prepare(m ? m->path : NULL, ret);
    if (m) {
        ret->def.method = m->method.n ? m->method : STR("");
        ret->def.headers.v = (void *)values_prepare(c->a, m->headers.v, m->headers.n, true);
        ret->def.headers.n = m->headers.n;
        ret->def.query.v = (void *)values_prepare(c->a, m->query.v, m->query.n, false);
        ret->def.query.n = m->query.n;
    }
    ret->detail = (uint64_t)(ret->def.method.n > 0) << 32 | (uint64_t)ret->def.headers.n << 16 |
                  (uint64_t)ret->def.query.n;
    key_prepare(c, ret);
}

int rule_compare(const struct prepared *a, const struct prepared *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    if (a->path_rank != b->path_rank)
        return a->path_rank > b->path_rank ? -1 : 1;
    if (a->detail != b->detail)
        return a->detail > b->detail ? -1 : 1;
    if ((a->created.n > 0) != (b->created.n > 0))
        return a->created.n ? -1 : 1;
    int c = str_cmp(a->created, b->created);
    if (c == 0 && a->route != b->route)
        c = str_cmp(a->route->name, b->route->name);
    if (c)
        return c;
    if (a->rule != b->rule)
        return a->rule < b->rule ? -1 : 1;
    return a->match < b->match ? -1 : a->match > b->match;
}
