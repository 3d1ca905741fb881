/* ${NAME} in documents: replaced in every scalar value, never in keys. $${ is a literal ${. Trees
   without variables are shared, not copied. */
#include "model/spec.h"

enum { VALUE_MAX = 1 << 20 }; /* of one scalar after replacement: a certificate bundle fits */

struct replace {
    const struct model_input *in;
    struct arena *a;
    struct errors *e;
    bool ok;
};

static bool has_mark(struct str s)
{
    for (const char *p = s.p, *end = s.p + s.n;
         p < end && (p = memchr(p, '$', (size_t)(end - p))) != NULL; p++)
        if (p + 1 < end && p[1] == '{')
            return true;
    return false;
}

static bool name_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        if (!(c >= 'a' && c <= 'z') && c != '_' && !(c >= '0' && c <= '9' && i > 0))
            return false;
    }
    return s.n > 0;
}

static void replace_fail(struct replace *r, const struct node *n, const char *fmt, struct str name)
{
    r->ok = fail(r->e, n->file, n->line, n->col, STR(""), fmt, STR_FMT(str_sub(name, 0, 64)));
}

/* Where the text goes: counted first (p is NULL), then written. */
struct sink {
    char *p;
    size_t n;
};

static void put(struct sink *s, struct str v)
{
    if (s->p && v.n)
        memcpy(s->p + s->n, v.p, v.n);
    s->n += v.n;
}

/* The variable that begins at text ("${..."); what stands after it, or {NULL, 0} with an error. */
static struct str replace_one(struct replace *r, const struct node *n, struct str text,
                              struct sink *out)
{
    struct str name, rest, value;
    if (!str_cut(str_sub(text, 2, text.n), '}', &name, &rest) || !name_valid(name)) {
        replace_fail(r, n, "'%.*s' is not a variable like ${NAME}; write $${ for a literal ${",
                     text);
        return (struct str){ NULL, 0 };
    }
    if (!r->in || !r->in->variable || !r->in->variable(r->in->arg, name, &value))
        replace_fail(r, n, "the variable '%.*s' is not defined", name);
    else
        put(out, value);
    return rest;
}

static void replace_text(struct replace *r, const struct node *n, struct sink *out)
{
    struct str rest = n->text;
    while (rest.n) {
        size_t i = str_find(rest, '$');
        put(out, str_sub(rest, 0, i));
        rest = str_sub(rest, i, rest.n);
        if (str_starts(rest, STR("$${"))) {
            put(out, STR("${"));
            rest = str_sub(rest, 3, rest.n);
        } else if (str_starts(rest, STR("${"))) {
            rest = replace_one(r, n, rest, out);
        } else if (rest.n) {
            put(out, STR("$"));
            rest = str_sub(rest, 1, rest.n);
        }
    }
}

/* A plain scalar is what its new text says it is, as if it had been written so. */
static void retype(struct replace *r, struct node *n)
{
    struct errors none;
    struct node *number;
    if (str_eq(n->text, STR("true")) || str_eq(n->text, STR("false"))) {
        n->type = NODE_BOOL;
        n->boolean = n->text.p[0] == 't';
        return;
    }
    if (n->text.n == 0 || !(n->text.p[0] == '-' || (n->text.p[0] >= '0' && n->text.p[0] <= '9')))
        return;
    errors_init(&none, r->a);
    number = json_parse(r->a, STR(""), n->text, NULL, &none);
    if (number && number->type == NODE_NUMBER)
        n->type = NODE_NUMBER;
}

static const struct node *replace_scalar(struct replace *r, const struct node *n)
{
    struct sink size = { 0 };
    bool before = r->ok;
    r->ok = true;
    replace_text(r, n, &size);
    if (r->ok && size.n > VALUE_MAX)
        replace_fail(r, n, "longer than 1 MiB after replacing '%.*s'", n->text);
    bool ok = r->ok;
    r->ok &= before;
    if (!ok)
        return n;
    struct sink out = { .p = arena_alloc(r->a, size.n + 1) };
    replace_text(r, n, &out);
    struct node *c = ARENA_NEW(r->a, struct node);
    *c = *n;
    c->text = (struct str){ out.p, out.n };
    if (c->plain)
        retype(r, c);
    return c;
}

static const struct node *replace_node(struct replace *r, const struct node *n);

static const struct node *replace_list(struct replace *r, const struct node *n)
{
    struct node *copy = NULL;
    for (size_t i = 0; i < n->list.n; i++) {
        const struct node *v = replace_node(r, n->list.v[i]);
        if (v == n->list.v[i])
            continue;
        if (!copy) {
            copy = ARENA_NEW(r->a, struct node);
            *copy = *n;
            copy->grow = 0;
            copy->list.v = ARENA_ARRAY(r->a, struct node *, n->list.n);
            memcpy(copy->list.v, n->list.v, n->list.n * sizeof(n->list.v[0]));
        }
        copy->list.v[i] = (struct node *)(uintptr_t)v; /* trees are read-only once built */
    }
    return copy ? copy : n;
}

static const struct node *replace_map(struct replace *r, const struct node *n)
{
    struct node *copy = NULL;
    for (size_t i = 0; i < n->map.n; i++) {
        const struct node *v = replace_node(r, n->map.v[i].value);
        if (v == n->map.v[i].value)
            continue;
        if (!copy) {
            copy = ARENA_NEW(r->a, struct node);
            *copy = *n;
            copy->grow = 0;
            copy->map.v = arena_alloc_array(r->a, n->map.n, sizeof(n->map.v[0]));
            memcpy(copy->map.v, n->map.v, n->map.n * sizeof(n->map.v[0]));
        }
        copy->map.v[i].value = (struct node *)(uintptr_t)v;
    }
    return copy ? copy : n;
}

static const struct node *replace_node(struct replace *r, const struct node *n)
{
    switch ((enum node_type)n->type) {
    case NODE_STRING:
        return has_mark(n->text) ? replace_scalar(r, n) : n;
    case NODE_LIST:
        return replace_list(r, n);
    case NODE_MAP:
        return replace_map(r, n);
    default:
        return n;
    }
}

bool variables_replace(const struct node *n, const struct model_input *in, struct arena *a,
                       const struct node **ret, struct errors *e)
{
    struct replace r = { .in = in, .a = a, .e = e, .ok = true };
    *ret = replace_node(&r, n);
    return r.ok;
}
