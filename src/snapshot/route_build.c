/* Rules to the bytes of a route table: the same rules give the same bytes. Not the reader, not the
   judge of rules: what may be written was decided by the model. Texts and actions are numbered in
   the order in which rules name them, so every one is looked up once. */
#include "snapshot/route_layout.h"
#include <stdlib.h>

/* Distinct texts by number, from 1 in order of their first use; 0 is "". */
struct texts {
    struct str *v; /* v[0] is not used */
    uint32_t n, cap;
    uint32_t *slots; /* numbers by hash; 0 = empty */
    uint32_t mask;
};
struct rule_ids {
    uint32_t route, method;
    uint32_t path;    /* text of a template or pattern, 0 for other kinds */
    uint32_t literal; /* its beginning that is no pattern */
    uint32_t action;
    uint8_t kind;
};
struct value_ids {
    uint32_t name, value;
};
struct build {
    struct arena *a; /* for what is not needed afterwards */
    const struct rule_def *rules;
    size_t n;
    struct texts strings;
    struct texts actions; /* struct rt_action, its backends and edits as bytes, texts by number */
    struct rule_ids *ids; /* of each rule */
    struct value_ids *values;
    uint32_t n_values, n_backends, n_edits;
    uint32_t *offsets; /* by number of the text */
    /* Texts that are paths or patterns, sorted; and the place of each by its number. */
    struct sorted {
        struct named {
            struct str text;
            uint32_t id;
        } * v;
        uint32_t n;
        uint16_t *place;
    } paths, patterns;
    char *out;
    struct route_view v;
};

/* ---- numbers ---- */

static void texts_grow(struct arena *a, struct texts *t)
{
    uint32_t cap = t->cap ? t->cap * 2 : 32;
    struct str *v = ARENA_ARRAY(a, struct str, cap);
    uint32_t *slots = ARENA_ARRAY(a, uint32_t, cap * 2);
    if (t->n)
        memcpy(v, t->v, (t->n + 1) * sizeof(*v));
    t->v = v;
    t->cap = cap;
    t->slots = slots;
    t->mask = cap * 2 - 1;
    for (uint32_t i = 1; i <= t->n; i++) {
        uint32_t at = (uint32_t)str_hash(v[i]) & t->mask;
        while (slots[at])
            at = (at + 1) & t->mask;
        slots[at] = i;
    }
}

static uint32_t number(struct arena *a, struct texts *t, struct str s)
{
    if (s.n == 0)
        return 0;
    if (t->n + 2 > t->cap)
        texts_grow(a, t);
    uint32_t at = (uint32_t)str_hash(s) & t->mask;
    for (; t->slots[at]; at = (at + 1) & t->mask)
        if (str_eq(t->v[t->slots[at]], s))
            return t->slots[at];
    t->slots[at] = ++t->n;
    t->v[t->n] = s;
    return t->n;
}

static uint32_t text(struct build *b, struct str s)
{
    return number(b->a, &b->strings, s);
}

static int by_text(const void *a, const void *b)
{
    return str_cmp(((const struct named *)a)->text, ((const struct named *)b)->text);
}

/* Of no text twice; the order of bytes gives each its place. */
static void sort_places(struct sorted *s)
{
    if (s->n)
        qsort(s->v, s->n, sizeof(*s->v), by_text);
    for (uint32_t i = 0; i < s->n; i++)
        s->place[s->v[i].id] = (uint16_t)i;
}

/* ---- what rules say ---- */

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

static void number_path(struct build *b, const struct rule_def *r, struct rule_ids *ids)
{
    struct str path;
    ids->kind = rule_path(r, &path);
    if (ids->kind == PATH_EXACT || ids->kind == PATH_PREFIX) {
        ids->literal = text(b, path);
    } else if (ids->kind == PATH_TEMPLATE) {
        ids->literal = text(b, str_sub(path, 0, str_find(path, '{')));
        ids->path = text(b, path);
    } else if (ids->kind == PATH_REGEX) {
        ids->path = text(b, path);
    }
}

static void number_values(struct build *b, const struct value_rule *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        b->values[b->n_values++] =
            (struct value_ids){ .name = text(b, v[i].name), .value = text(b, v[i].value) };
}

/* Equal bytes are equal actions; offsets come when the layout is known. */
static struct str action_key(struct build *b, const struct action_def *d)
{
    size_t n = sizeof(struct rt_action) + d->backends.n * sizeof(struct rt_backend) +
               d->edits.n * sizeof(struct rt_edit);
    char *p = arena_alloc(b->a, n);
    struct rt_action *x = (void *)p;
    *x = (struct rt_action){
        .type = d->type, .path_prefix = d->path_prefix, .status = d->status, .port = d->port
    };
    x->policy = text(b, d->policy);
    x->scheme = text(b, d->scheme);
    x->host = text(b, d->host);
    x->path = text(b, d->path);
    x->content_type = text(b, d->content_type);
    x->body = text(b, d->body);
    x->n_backends = (uint32_t)d->backends.n;
    x->n_edits = (uint32_t)d->edits.n;
    struct rt_backend *back = (void *)(x + 1);
    for (size_t i = 0; i < d->backends.n; i++) {
        const struct backend_def *o = &d->backends.v[i];
        back[i] = (struct rt_backend){ text(b, o->cluster), text(b, o->policy), o->weight };
    }
    struct rt_edit *edit = (void *)(back + d->backends.n);
    for (size_t i = 0; i < d->edits.n; i++) {
        const struct header_edit *o = &d->edits.v[i];
        edit[i] = (struct rt_edit){ .op = o->op, .response = o->response };
        edit[i].name = text(b, o->name);
        edit[i].value = text(b, o->value);
    }
    return (struct str){ p, n };
}

static uint32_t number_action(struct build *b, const struct action_def *d)
{
    uint32_t before = b->actions.n, id = number(b->a, &b->actions, action_key(b, d));
    if (id > before) {
        b->n_backends += (uint32_t)d->backends.n;
        b->n_edits += (uint32_t)d->edits.n;
    }
    return id;
}

static void number_all(struct build *b)
{
    size_t values = 0;
    for (size_t i = 0; i < b->n; i++)
        values += b->rules[i].headers.n + b->rules[i].query.n;
    b->ids = ARENA_ARRAY(b->a, struct rule_ids, b->n + 1);
    b->values = ARENA_ARRAY(b->a, struct value_ids, values + 1);
    for (size_t i = 0; i < b->n; i++) {
        const struct rule_def *r = &b->rules[i], *last = i ? r - 1 : NULL;
        struct rule_ids *ids = &b->ids[i];
        CHECK(r->headers.n <= UINT16_MAX && r->query.n <= UINT16_MAX);
        ids->route = last && last->route.p == r->route.p && last->route.n == r->route.n
                         ? ids[-1].route
                         : text(b, r->route);
        ids->method = text(b, r->method);
        number_path(b, r, ids);
        number_values(b, r->headers.v, r->headers.n);
        number_values(b, r->query.v, r->query.n);
        ids->action =
            last && last->action == r->action ? ids[-1].action : number_action(b, r->action);
    }
}

static void sorted_init(struct build *b, struct sorted *s, size_t most)
{
    s->v = ARENA_ARRAY(b->a, struct named, most + 1);
    s->place = ARENA_ARRAY(b->a, uint16_t, b->strings.n + 1);
    memset(s->place, 0xff, (b->strings.n + 1) * sizeof(*s->place)); /* ROUTE_NONE */
}

static void sorted_add(const struct build *b, struct sorted *s, uint32_t id)
{
    if (s->place[id] != ROUTE_NONE)
        return;
    s->place[id] = 0;
    s->v[s->n++] = (struct named){ id ? b->strings.v[id] : STR(""), id };
}

static void sort_paths_and_patterns(struct build *b)
{
    uint32_t value = 0;
    sorted_init(b, &b->paths, b->n);
    sorted_init(b, &b->patterns, b->n + b->n_values);
    for (size_t i = 0; i < b->n; i++) {
        const struct rule_def *r = &b->rules[i];
        sorted_add(b, &b->paths, b->ids[i].literal);
        if (b->ids[i].kind == PATH_REGEX)
            sorted_add(b, &b->patterns, b->ids[i].path);
        for (size_t k = 0; k < r->headers.n + r->query.n; k++, value++)
            if ((k < r->headers.n ? r->headers.v[k] : r->query.v[k - r->headers.n]).match ==
                MATCH_REGEX)
                sorted_add(b, &b->patterns, b->values[value].value);
    }
    sort_places(&b->paths);
    sort_places(&b->patterns);
}

/* ---- writing ---- */

static size_t string_size(struct str s)
{
    return 4 + ((s.n + 3) & ~(size_t)3);
}

static void lay_out(struct build *b, struct arena *to)
{
    struct rt_header h = { .magic = ROUTE_MAGIC,
                           .n_rules = (uint32_t)b->n,
                           .n_paths = b->paths.n,
                           .n_values = b->n_values };
    h.n_actions = b->actions.n;
    h.n_backends = b->n_backends;
    h.n_edits = b->n_edits;
    h.n_patterns = b->patterns.n;
    size_t size = sizeof(h) + b->n * sizeof(struct rt_rule) + b->paths.n * sizeof(struct rt_path) +
                  ((b->n + 1) & ~(size_t)1) * 2 + b->n_values * sizeof(struct rt_value) +
                  b->actions.n * sizeof(struct rt_action) +
                  b->n_backends * sizeof(struct rt_backend) + b->n_edits * sizeof(struct rt_edit) +
                  b->patterns.n * 4;
    b->offsets = ARENA_ARRAY(b->a, uint32_t, b->strings.n + 1);
    for (uint32_t i = 1; i <= b->strings.n; i++) {
        b->offsets[i] = (uint32_t)size;
        size += string_size(b->strings.v[i]);
        CHECK(size <= UINT32_MAX); /* documents are bounded far below */
    }
    h.size = (uint32_t)size;
    b->out = arena_alloc(to, size);
    memcpy(b->out, &h, sizeof(h));
    CHECK(route_view((struct str){ b->out, size }, &b->v));
    for (uint32_t i = 1; i <= b->strings.n; i++) {
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
        const struct value_ids *ids = &b->values[at];
        out[at] = (struct rt_value){ .name = b->offsets[ids->name],
                                     .match = v[i].match,
                                     .invert = v[i].invert };
        out[at].value =
            v[i].match == MATCH_REGEX ? b->patterns.place[ids->value] : b->offsets[ids->value];
    }
    return at;
}

static void write_rules(struct build *b)
{
    struct rt_rule *out = WRITE(b, struct rt_rule, rules);
    uint32_t values = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct rule_def *d = &b->rules[i];
        const struct rule_ids *ids = &b->ids[i];
        struct rt_rule *r = &out[i];
        r->path_kind = ids->kind;
        r->route = b->offsets[ids->route];
        r->rule = d->rule;
        r->method = b->offsets[ids->method];
        r->path = ids->kind == PATH_TEMPLATE ? b->offsets[ids->path]
                  : ids->kind == PATH_REGEX  ? b->patterns.place[ids->path]
                  : ids->kind == PATH_ANY    ? 0
                                             : b->paths.place[ids->literal];
        r->values = values;
        r->n_headers = (uint16_t)d->headers.n;
        r->n_query = (uint16_t)d->query.n;
        r->action = (uint16_t)(ids->action - 1);
        values = write_values(b, values, d->headers.v, d->headers.n);
        values = write_values(b, values, d->query.v, d->query.n);
    }
}

static void write_paths(struct build *b)
{
    struct rt_path *out = WRITE(b, struct rt_path, paths);
    uint16_t *refs = WRITE(b, uint16_t, refs), first = 0;
    for (size_t i = 0; i < b->n; i++)
        out[b->paths.place[b->ids[i].literal]].n_refs++;
    for (size_t p = 0; p < b->paths.n; p++) {
        struct str s = b->paths.v[p].text;
        out[p].at = s.n ? b->offsets[b->paths.v[p].id] + 4 : 0;
        out[p].n = (uint32_t)s.n;
        out[p].first = first;
        first = (uint16_t)(first + out[p].n_refs);
        out[p].n_refs = 0;
        uint16_t parent = p ? (uint16_t)(p - 1) : ROUTE_NONE;
        while (parent != ROUTE_NONE && !str_starts(s, b->paths.v[parent].text))
            parent = out[parent].parent; /* every beginning of s is on the chain of its neighbour */
        out[p].parent = parent;
    }
    for (size_t i = 0; i < b->n; i++) { /* in order, so refs ascend */
        struct rt_path *path = &out[b->paths.place[b->ids[i].literal]];
        refs[path->first + path->n_refs++] = (uint16_t)i;
    }
}

static void write_actions(struct build *b)
{
    struct rt_action *out = WRITE(b, struct rt_action, actions);
    struct rt_backend *back = WRITE(b, struct rt_backend, backends);
    struct rt_edit *edit = WRITE(b, struct rt_edit, edits);
    uint32_t n_back = 0, n_edit = 0;
    for (uint32_t i = 0; i < b->actions.n; i++) {
        const char *key = b->actions.v[i + 1].p;
        struct rt_action *x = &out[i];
        memcpy(x, key, sizeof(*x));
        key += sizeof(*x);
        uint32_t *names[] = {
            &x->policy, &x->scheme, &x->host, &x->path, &x->content_type, &x->body
        };
        for (size_t k = 0; k < ARRAY_LEN(names); k++)
            *names[k] = b->offsets[*names[k]];
        x->backends = n_back;
        x->edits = n_edit;
        for (uint32_t k = 0; k < x->n_backends; k++, n_back++, key += sizeof(*back)) {
            memcpy(&back[n_back], key, sizeof(*back));
            back[n_back].cluster = b->offsets[back[n_back].cluster];
            back[n_back].policy = b->offsets[back[n_back].policy];
        }
        for (uint32_t k = 0; k < x->n_edits; k++, n_edit++, key += sizeof(*edit)) {
            memcpy(&edit[n_edit], key, sizeof(*edit));
            edit[n_edit].name = b->offsets[edit[n_edit].name];
            edit[n_edit].value = b->offsets[edit[n_edit].value];
        }
    }
}

struct str route_table_build(struct arena *a, struct arena *scratch, const struct rule_def *v,
                             size_t n)
{
    CHECK(n <= ROUTE_MAX_RULES);
    struct build b = { .a = scratch, .rules = v, .n = n };
    number_all(&b);
    sort_paths_and_patterns(&b);
    lay_out(&b, a);
    write_rules(&b);
    write_paths(&b);
    write_actions(&b);
    uint32_t *patterns = WRITE(&b, uint32_t, patterns);
    for (uint32_t i = 0; i < b.patterns.n; i++)
        patterns[i] = b.offsets[b.patterns.v[i].id];
    return (struct str){ b.out, b.v.h->size };
}
