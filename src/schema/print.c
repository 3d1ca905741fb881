/* Struct to tree, and trees with their secrets blacked out. Pure; the trees live on the caller's
 * arena. */
#include "codec/header.h"
#include "schema/walk.h"

static const char REDACTED[] = "<redacted>";

static struct node *redacted(struct arena *a)
{
    return node_string(a, str_from(REDACTED));
}

static struct node *scalar_node(const struct field *f, const union scalar *v, struct arena *a)
{
    char text[64];
    if (f->type == T_STR)
        return node_string(a, v->s);
    if (f->type == T_BOOL)
        return node_bool(a, v->b);
    struct str s = str_from(scalar_text(f, v, text));
    struct node *n = node_string(a, s);
    if (f->type == T_INT || f->type == T_NUMBER || f->type == T_LIST_INT)
        n->type = NODE_NUMBER;
    return n;
}

static void object_print(const struct schema *s, const char *obj, struct schema_print_opts o,
                         struct arena *a, struct node *out);

static struct node *item_print(const struct field *f, const char *obj, struct schema_print_opts o,
                               struct arena *a)
{
    struct node *n = node_new(a, NODE_MAP);
    object_print(f->sub, obj, o, a, n);
    if (!(f->flags & F_STR_SHORT) || n->map.n != 1)
        return n;
    const struct field *first = &f->sub->fields[0];
    const struct node_pair *p = &n->map.v[0];
    return str_eq(p->key, str_from(first->name)) && p->value->type == NODE_STRING ? p->value : n;
}

static struct node *list_print(const struct field *f, const char *at, struct schema_print_opts o,
                               struct arena *a)
{
    struct any_list l = any_list(at);
    struct node *n = node_new(a, NODE_LIST);
    for (size_t i = 0; i < l.n; i++) {
        union scalar v;
        if (f->type == T_LIST_OBJECT) {
            node_list_add(a, n, item_print(f, l.v + i * f->sub->size, o, a));
        } else if (f->type == T_LIST_STR) {
            node_list_add(a, n, node_string(a, ((const struct str *)(const void *)l.v)[i]));
        } else {
            v.i = ((const int64_t *)(const void *)l.v)[i];
            node_list_add(a, n, scalar_node(f, &v, a));
        }
    }
    return n;
}

/* Maps of header fields: those that by their name carry credentials. */
static bool credential(const struct field *f, struct str key)
{
    return (f->flags & F_KEY_NOCASE) && header_credential(key);
}

static struct node *map_print(const struct field *f, const char *at, struct schema_print_opts o,
                              struct arena *a)
{
    struct any_list l = any_list(at);
    struct node *n = node_new(a, NODE_MAP);
    for (size_t i = 0; i < l.n; i++) {
        if (f->type == T_MAP_OBJECT) {
            const char *item = l.v + i * f->sub->size;
            struct str key;
            memcpy(&key, item, sizeof(key));
            node_map_set(a, n, key, item_print(f, item, o, a));
        } else {
            const struct str_pair *p = &((const struct str_pair *)(const void *)l.v)[i];
            bool hide = !o.secrets && credential(f, p->key);
            node_map_set(a, n, p->key, hide ? redacted(a) : node_string(a, p->value));
        }
    }
    return n;
}

static struct node *sections_print(const struct field *f, const struct node *n,
                                   struct schema_print_opts o, struct arena *a)
{
    if (o.secrets || n->type != NODE_MAP)
        return node_copy(a, n);
    struct node *out = node_new(a, NODE_MAP);
    for (size_t i = 0; i < n->map.n; i++) {
        const struct node_pair *p = &n->map.v[i];
        const struct registry_row *row = registry_find(f->registry, p->key);
        node_map_set(a, out, p->key,
                     row ? schema_redact(row->schema, p->value, a) : node_copy(a, p->value));
    }
    return out;
}

/* NULL: nothing to show. */
static struct node *value_print(const struct field *f, const char *at, struct schema_print_opts o,
                                struct arena *a)
{
    union scalar v;
    const void *ptr;
    switch ((enum field_type)f->type) {
    case T_OBJECT:
        return item_print(f, at, o, a);
    case T_OBJECT_PTR:
        memcpy(&ptr, at, sizeof(ptr));
        return ptr ? item_print(f, ptr, o, a) : NULL;
    case T_LIST_STR:
    case T_LIST_INT:
    case T_LIST_OBJECT:
        return list_print(f, at, o, a);
    case T_MAP_STR:
    case T_MAP_OBJECT:
        return map_print(f, at, o, a);
    case T_SECTIONS:
        memcpy(&ptr, at, sizeof(ptr));
        return ptr ? sections_print(f, ptr, o, a) : NULL;
    case T_NODE:
        memcpy(&ptr, at, sizeof(ptr));
        return ptr ? node_copy(a, ptr) : NULL;
    default:
        scalar_load(f, at, &v);
        return scalar_node(f, &v, a);
    }
}

static bool is_default(const struct schema *s, const struct field *f, const char *at,
                       const struct node *n, struct arena *a)
{
    union scalar v = { 0 }, def = { 0 };
    if (field_is_scalar(f)) {
        scalar_load(f, at, &v);
        if (f->type == T_STR && s->one_of)
            return v.s.p == NULL; /* given as "" says which one it is */
        if (f->def)
            CHECK(scalar_read(f, str_from(f->def), &def));
        return scalar_equal(f, &v, &def);
    }
    if (f->type == T_OBJECT_PTR || f->type == T_NODE || f->type == T_SECTIONS)
        return false; /* present is something said */
    if (f->def) {
        char *tmp = arena_alloc(a, f->size);
        field_default(f, a, tmp);
        return node_equal(n, value_print(f, tmp, (struct schema_print_opts){ .secrets = true }, a));
    }
    return n->type == NODE_LIST ? n->list.n == 0 : n->type == NODE_MAP && n->map.n == 0;
}

static bool is_empty(const struct node *n)
{
    return n->type == NODE_STRING ? n->text.n == 0
           : n->type == NODE_LIST ? n->list.n == 0
                                  : n->type == NODE_NULL;
}

static void object_print(const struct schema *s, const char *obj, struct schema_print_opts o,
                         struct arena *a, struct node *out)
{
    for (const struct field *f = s->fields; f->name; f++) {
        const char *at = obj + f->offset;
        if (field_inlined(f)) {
            object_print(f->sub, at, o, a, out);
            continue;
        }
        struct node *n = value_print(f, at, o, a);
        if (!n || ((!o.all || s->one_of) && !(f->flags & F_REQUIRED) && is_default(s, f, at, n, a)))
            continue;
        if (f->type == T_STR && s->one_of && is_default(s, f, at, n, a))
            continue; /* even with all: two would not read back */
        if (f->type == T_SECTIONS && (f->flags & F_INLINE)) {
            for (size_t i = 0; i < n->map.n; i++)
                node_map_set(a, out, n->map.v[i].key, n->map.v[i].value);
            continue;
        }
        if ((f->flags & F_SECRET) && !o.secrets && !is_empty(n))
            n = redacted(a);
        node_map_set(a, out, str_from(f->name), n);
    }
}

struct node *schema_print(const struct schema *s, const void *obj, struct schema_print_opts o,
                          struct arena *a)
{
    struct node *n = node_new(a, NODE_MAP);
    object_print(s, obj, o, a, n);
    return n;
}

static struct node *redact_items(const struct field *f, const struct node *n, struct arena *a)
{
    struct node *c = node_new(a, n->type);
    c->line = n->line;
    c->col = n->col;
    c->file = n->file;
    if (n->type == NODE_LIST)
        for (size_t i = 0; i < n->list.n; i++)
            node_list_add(a, c, schema_redact(f->sub, n->list.v[i], a));
    else
        for (size_t i = 0; i < n->map.n; i++)
            node_map_set(a, c, n->map.v[i].key, schema_redact(f->sub, n->map.v[i].value, a));
    return c;
}

static struct node *redact_texts(const struct field *f, const struct node *n, struct arena *a)
{
    struct node *c = node_copy(a, n);
    for (size_t i = 0; i < c->map.n; i++)
        if (credential(f, c->map.v[i].key))
            c->map.v[i].value = redacted(a);
    return c;
}

static struct node *redact_value(const struct schema *s, struct str key, const struct node *n,
                                 struct arena *a)
{
    const struct field *f = field_find(s, key, NULL, NULL), *sections = field_inline_sections(s);
    if (!f) {
        const struct registry_row *row = sections ? registry_find(sections->registry, key) : NULL;
        return row ? schema_redact(row->schema, n, a) : (struct node *)(uintptr_t)n;
    }
    if (f->flags & F_SECRET)
        return is_empty(n) ? (struct node *)(uintptr_t)n : redacted(a);
    if (f->type == T_OBJECT || f->type == T_OBJECT_PTR)
        return schema_redact(f->sub, n, a);
    if ((f->type == T_LIST_OBJECT && n->type == NODE_LIST) ||
        (f->type == T_MAP_OBJECT && n->type == NODE_MAP))
        return redact_items(f, n, a);
    if (f->type == T_MAP_STR && n->type == NODE_MAP)
        return redact_texts(f, n, a);
    if (f->type == T_SECTIONS)
        return sections_print(f, n, (struct schema_print_opts){ 0 }, a);
    return (struct node *)(uintptr_t)n;
}

struct node *schema_redact(const struct schema *s, const struct node *n, struct arena *a)
{
    if (n->type != NODE_MAP) { /* F_STR_SHORT: stands for the first field */
        bool secret = s->fields[0].name && (s->fields[0].flags & F_SECRET) && !is_empty(n);
        return secret ? redacted(a) : (struct node *)(uintptr_t)n;
    }
    struct node *c = node_copy(
        a, &(struct node){ .type = NODE_MAP, .line = n->line, .col = n->col, .file = n->file });
    for (size_t i = 0; i < n->map.n; i++) {
        const struct node_pair *p = &n->map.v[i];
        node_map_set(a, c, p->key, redact_value(s, p->key, p->value, a));
        c->map.v[c->map.n - 1].line = p->line;
        c->map.v[c->map.n - 1].col = p->col;
    }
    return c;
}
