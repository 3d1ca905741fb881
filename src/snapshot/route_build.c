/* Rules to the bytes of a route table: the same rules give the same bytes. Not the reader, not the
   judge of rules: what may be written was decided by the model. Everything lives on the caller's
   arena. */
#include "snapshot/route_layout.h"
#include <stdlib.h>

struct build {
    struct arena *a;
    const struct rule_def *rules;
    size_t n;
    str_list strings;  /* sorted, distinct */
    uint32_t *offsets; /* of strings */
    str_list patterns; /* sorted, distinct */
    str_list paths;    /* sorted, distinct literal beginnings */
    str_list actions;  /* sorted, distinct: struct rt_action, its backends and edits, as bytes */
    uint32_t n_values, n_backends, n_edits;
    char *out;
    struct route_view v;
};

static int by_bytes(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void sort_distinct(str_list *l)
{
    size_t kept = 0;
    if (l->n)
        qsort(l->v, l->n, sizeof(*l->v), by_bytes);
    for (size_t i = 0; i < l->n; i++)
        if (kept == 0 || !str_eq(l->v[kept - 1], l->v[i]))
            l->v[kept++] = l->v[i];
    l->n = kept;
}

static uint32_t index_of(const str_list *l, struct str s)
{
    const struct str *at = bsearch(&s, l->v, l->n, sizeof(*l->v), by_bytes);
    CHECK(at);
    return (uint32_t)(at - l->v);
}

static uint32_t string_at(const struct build *b, struct str s)
{
    return s.n ? b->offsets[index_of(&b->strings, s)] : 0;
}

/* Kind and path in the one form that tables know. */
static uint8_t rule_path(const struct rule_def *r, struct str *ret)
{
    *ret = r->path;
    if (r->path_kind == PATH_PREFIX) {
        if (ret->n && ret->p[ret->n - 1] == '/')
            ret->n--;
        if (ret->n == 0)
            return PATH_ANY;
    } else if (r->path_kind == PATH_ANY) {
        *ret = STR("");
    }
    return r->path_kind;
}

static struct str literal(const struct rule_def *r)
{
    struct str path;
    switch (rule_path(r, &path)) {
    case PATH_EXACT:
    case PATH_PREFIX:
        return path;
    case PATH_TEMPLATE:
        return str_sub(path, 0, str_find(path, '{'));
    default:
        return STR("");
    }
}

/* ---- what is said, collected ---- */

struct sink {
    str_list l;
    bool store; /* else it is only counted */
};

static void put(struct sink *s, struct str v)
{
    if (s->store && v.n)
        s->l.v[s->l.n] = v;
    s->l.n += v.n > 0;
}

static void action_strings(struct sink *s, const struct action_def *d)
{
    put(s, d->policy);
    put(s, d->scheme);
    put(s, d->host);
    put(s, d->path);
    put(s, d->content_type);
    put(s, d->body);
    for (size_t i = 0; i < d->backends.n; i++) {
        put(s, d->backends.v[i].cluster);
        put(s, d->backends.v[i].policy);
    }
    for (size_t i = 0; i < d->edits.n; i++) {
        put(s, d->edits.v[i].name);
        put(s, d->edits.v[i].value);
    }
}

static void value_strings(struct sink *strings, struct sink *patterns, const struct value_rule *v,
                          size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put(strings, v[i].name);
        put(strings, v[i].value);
        if (v[i].match == MATCH_REGEX)
            put(patterns, v[i].value);
    }
}

static void walk_strings(const struct build *b, struct sink *strings, struct sink *patterns,
                         struct sink *paths)
{
    strings->l.n = patterns->l.n = paths->l.n = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct rule_def *r = &b->rules[i];
        struct str path;
        uint8_t kind = rule_path(r, &path);
        put(strings, r->route);
        put(strings, r->method);
        put(strings, literal(r));
        put(paths, literal(r));
        if (kind == PATH_TEMPLATE || kind == PATH_REGEX)
            put(strings, path);
        if (kind == PATH_REGEX)
            put(patterns, path);
        value_strings(strings, patterns, r->headers.v, r->headers.n);
        value_strings(strings, patterns, r->query.v, r->query.n);
        if (i == 0 || b->rules[i - 1].action != r->action)
            action_strings(strings, r->action);
    }
}

static void collect(struct build *b)
{
    struct sink s[3] = { 0 };
    walk_strings(b, &s[0], &s[1], &s[2]);
    for (size_t i = 0; i < ARRAY_LEN(s); i++) {
        s[i].l.v = ARENA_ARRAY(b->a, struct str, s[i].l.n + 1);
        s[i].store = true;
    }
    walk_strings(b, &s[0], &s[1], &s[2]);
    bool root = false; /* the empty beginning is a path of its own */
    for (size_t i = 0; i < b->n; i++)
        root |= literal(&b->rules[i]).n == 0;
    if (root)
        s[2].l.v[s[2].l.n++] = STR("");
    b->strings = s[0].l;
    b->patterns = s[1].l;
    b->paths = s[2].l;
    sort_distinct(&b->strings);
    sort_distinct(&b->patterns);
    sort_distinct(&b->paths);
    for (size_t i = 0; i < b->n; i++)
        b->n_values += (uint32_t)(b->rules[i].headers.n + b->rules[i].query.n);
}

/* ---- actions, made comparable ---- */

/* Strings stand as indexes of b->strings + 1, so equal bytes are equal actions; offsets come when
 * the layout is known. */
static uint32_t name_of(const struct build *b, struct str s)
{
    return s.n ? index_of(&b->strings, s) + 1 : 0;
}

static struct str action_key(const struct build *b, const struct action_def *d)
{
    size_t n = sizeof(struct rt_action) + d->backends.n * sizeof(struct rt_backend) +
               d->edits.n * sizeof(struct rt_edit);
    char *p = arena_alloc(b->a, n);
    struct rt_action *x = (void *)p;
    *x = (struct rt_action){
        .type = d->type, .path_prefix = d->path_prefix, .status = d->status, .port = d->port
    };
    x->policy = name_of(b, d->policy);
    x->scheme = name_of(b, d->scheme);
    x->host = name_of(b, d->host);
    x->path = name_of(b, d->path);
    x->content_type = name_of(b, d->content_type);
    x->body = name_of(b, d->body);
    x->n_backends = (uint32_t)d->backends.n;
    x->n_edits = (uint32_t)d->edits.n;
    struct rt_backend *back = (void *)(x + 1);
    for (size_t i = 0; i < d->backends.n; i++) {
        const struct backend_def *o = &d->backends.v[i];
        back[i] = (struct rt_backend){ name_of(b, o->cluster), name_of(b, o->policy), o->weight };
    }
    struct rt_edit *edit = (void *)(back + d->backends.n);
    for (size_t i = 0; i < d->edits.n; i++) {
        const struct header_edit *o = &d->edits.v[i];
        edit[i] = (struct rt_edit){ .op = o->op,
                                    .response = o->response,
                                    .name = name_of(b, o->name),
                                    .value = name_of(b, o->value) };
    }
    return (struct str){ p, n };
}

/* keys[i] is the action of rule i. */
static struct str *collect_actions(struct build *b)
{
    struct str *keys = ARENA_ARRAY(b->a, struct str, b->n + 1);
    b->actions.v = ARENA_ARRAY(b->a, struct str, b->n + 1);
    for (size_t i = 0; i < b->n; i++) {
        bool same = i > 0 && b->rules[i].action == b->rules[i - 1].action;
        keys[i] = same ? keys[i - 1] : action_key(b, b->rules[i].action);
        b->actions.v[b->actions.n++] = keys[i];
    }
    sort_distinct(&b->actions);
    for (size_t i = 0; i < b->actions.n; i++) {
        const struct rt_action *x = (const void *)b->actions.v[i].p;
        b->n_backends += x->n_backends;
        b->n_edits += x->n_edits;
    }
    return keys;
}

/* ---- writing ---- */

static size_t string_size(struct str s)
{
    return 4 + ((s.n + 3) & ~(size_t)3);
}

static void lay_out(struct build *b)
{
    struct rt_header h = { .magic = ROUTE_MAGIC,
                           .n_rules = (uint32_t)b->n,
                           .n_paths = (uint32_t)b->paths.n,
                           .n_values = b->n_values };
    h.n_actions = (uint32_t)b->actions.n;
    h.n_backends = b->n_backends;
    h.n_edits = b->n_edits;
    h.n_patterns = (uint32_t)b->patterns.n;
    size_t size = sizeof(h) + b->n * sizeof(struct rt_rule) + b->paths.n * sizeof(struct rt_path) +
                  ((b->n + 1) & ~(size_t)1) * 2 + b->n_values * sizeof(struct rt_value) +
                  b->actions.n * sizeof(struct rt_action) +
                  b->n_backends * sizeof(struct rt_backend) + b->n_edits * sizeof(struct rt_edit) +
                  b->patterns.n * 4;
    b->offsets = ARENA_ARRAY(b->a, uint32_t, b->strings.n + 1);
    for (size_t i = 0; i < b->strings.n; i++) {
        b->offsets[i] = (uint32_t)size;
        size += string_size(b->strings.v[i]);
        CHECK(size <= UINT32_MAX); /* documents are bounded far below */
    }
    h.size = (uint32_t)size;
    b->out = arena_alloc(b->a, size);
    memcpy(b->out, &h, sizeof(h));
    CHECK(route_view((struct str){ b->out, size }, &b->v));
    for (size_t i = 0; i < b->strings.n; i++) {
        uint32_t n = (uint32_t)b->strings.v[i].n;
        memcpy(b->out + b->offsets[i], &n, 4);
        memcpy(b->out + b->offsets[i] + 4, b->strings.v[i].p, n);
    }
}

/* The arrays of the view, to be written: they lie in b->out. */
#define WRITE(b, T, array) ((T *)(void *)((b)->out + ((const char *)(b)->v.array - (b)->v.base)))

static uint32_t write_values(struct build *b, uint32_t at, const struct value_rule *v, size_t n)
{
    struct rt_value *out = WRITE(b, struct rt_value, values);
    for (size_t i = 0; i < n; i++, at++) {
        bool pattern = v[i].match == MATCH_REGEX;
        out[at] = (struct rt_value){ .name = string_at(b, v[i].name),
                                     .match = v[i].match,
                                     .invert = v[i].invert };
        out[at].value = pattern ? index_of(&b->patterns, v[i].value) : string_at(b, v[i].value);
    }
    return at;
}

static void write_rules(struct build *b, const struct str *keys)
{
    struct rt_rule *out = WRITE(b, struct rt_rule, rules);
    uint32_t values = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct rule_def *d = &b->rules[i];
        struct rt_rule *r = &out[i];
        struct str path;
        CHECK(d->headers.n <= UINT16_MAX && d->query.n <= UINT16_MAX);
        r->path_kind = rule_path(d, &path);
        r->route = string_at(b, d->route);
        r->rule = d->rule;
        r->method = string_at(b, d->method);
        r->path = r->path_kind == PATH_TEMPLATE ? string_at(b, path)
                  : r->path_kind == PATH_REGEX  ? index_of(&b->patterns, path)
                  : r->path_kind == PATH_ANY    ? 0
                                                : index_of(&b->paths, path);
        r->values = values;
        r->n_headers = (uint16_t)d->headers.n;
        r->n_query = (uint16_t)d->query.n;
        r->action = (uint16_t)index_of(&b->actions, keys[i]);
        values = write_values(b, values, d->headers.v, d->headers.n);
        values = write_values(b, values, d->query.v, d->query.n);
    }
}

static void write_paths(struct build *b)
{
    struct rt_path *out = WRITE(b, struct rt_path, paths);
    uint16_t *refs = WRITE(b, uint16_t, refs);
    uint16_t *node = ARENA_ARRAY(b->a, uint16_t, b->n + 1), first = 0;
    for (size_t i = 0; i < b->n; i++) {
        node[i] = (uint16_t)index_of(&b->paths, literal(&b->rules[i]));
        out[node[i]].n_refs++;
    }
    for (size_t p = 0; p < b->paths.n; p++) {
        struct str s = b->paths.v[p];
        out[p].at = s.n ? string_at(b, s) + 4 : 0;
        out[p].n = (uint32_t)s.n;
        out[p].first = first;
        first = (uint16_t)(first + out[p].n_refs);
        out[p].n_refs = 0;
        uint16_t parent = p ? (uint16_t)(p - 1) : ROUTE_NONE;
        while (parent != ROUTE_NONE && !str_starts(s, b->paths.v[parent]))
            parent = out[parent].parent; /* every beginning of s is on the chain of its neighbour */
        out[p].parent = parent;
    }
    for (size_t i = 0; i < b->n; i++) /* in order, so refs ascend */
        refs[out[node[i]].first + out[node[i]].n_refs++] = (uint16_t)i;
}

static void write_actions(struct build *b)
{
    struct rt_action *out = WRITE(b, struct rt_action, actions);
    struct rt_backend *back = WRITE(b, struct rt_backend, backends);
    struct rt_edit *edit = WRITE(b, struct rt_edit, edits);
    uint32_t n_back = 0, n_edit = 0;
    for (size_t i = 0; i < b->actions.n; i++) {
        const char *key = b->actions.v[i].p;
        struct rt_action *x = &out[i];
        memcpy(x, key, sizeof(*x));
        key += sizeof(*x);
        uint32_t *names[] = {
            &x->policy, &x->scheme, &x->host, &x->path, &x->content_type, &x->body
        };
        for (size_t k = 0; k < ARRAY_LEN(names); k++)
            *names[k] = *names[k] ? b->offsets[*names[k] - 1] : 0;
        x->backends = n_back;
        x->edits = n_edit;
        for (uint32_t k = 0; k < x->n_backends; k++, n_back++, key += sizeof(*back)) {
            memcpy(&back[n_back], key, sizeof(*back));
            back[n_back].cluster = back[n_back].cluster ? b->offsets[back[n_back].cluster - 1] : 0;
            back[n_back].policy = back[n_back].policy ? b->offsets[back[n_back].policy - 1] : 0;
        }
        for (uint32_t k = 0; k < x->n_edits; k++, n_edit++, key += sizeof(*edit)) {
            memcpy(&edit[n_edit], key, sizeof(*edit));
            edit[n_edit].name = edit[n_edit].name ? b->offsets[edit[n_edit].name - 1] : 0;
            edit[n_edit].value = edit[n_edit].value ? b->offsets[edit[n_edit].value - 1] : 0;
        }
    }
}

struct str route_table_build(struct arena *a, const struct rule_def *v, size_t n)
{
    CHECK(n <= ROUTE_MAX_RULES);
    struct build b = { .a = a, .rules = v, .n = n };
    collect(&b);
    struct str *keys = collect_actions(&b);
    lay_out(&b);
    write_rules(&b, keys);
    write_paths(&b);
    write_actions(&b);
    uint32_t *patterns = WRITE(&b, uint32_t, patterns);
    for (size_t i = 0; i < b.patterns.n; i++)
        patterns[i] = string_at(&b, b.patterns.v[i]);
    return (struct str){ b.out, b.v.h->size };
}
