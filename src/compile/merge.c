/* Laying sparse sections over each other by their schemas. Pure; trees are shared. */
#include "compile/priv.h"

static const struct field *row_find(const struct schema *s, struct str key)
{
    for (const struct field *f = s->fields; f->name; f++)
        if (str_eq(str_from(f->name), key))
            return f;
    return NULL;
}

static bool is_inline(const struct field *f)
{
    return (f->flags & F_INLINE) && f->type == T_OBJECT;
}

/* The group of alternatives that key belongs to: s itself, or one whose fields stand among those
   of s. NULL: none. */
static const struct schema *alternatives(const struct schema *s, struct str key)
{
    if (s->one_of)
        return s;
    for (const struct field *f = s->fields; f->name; f++)
        if (is_inline(f) && f->sub->one_of && row_find(f->sub, key))
            return f->sub;
    return NULL;
}

static const struct field *field_of(const struct schema *s, struct str key)
{
    const struct field *f = row_find(s, key);
    for (const struct field *g = s->fields; !f && g->name; g++)
        if (is_inline(g))
            f = row_find(g->sub, key);
    return f;
}

/* Does top give another alternative in the place of key? */
static bool displaced(const struct schema *s, struct str key, const struct node *top)
{
    const struct schema *group = alternatives(s, key);
    if (!group || node_get(top, key))
        return false;
    for (size_t i = 0; i < top->map.n; i++)
        if (alternatives(s, top->map.v[i].key) == group)
            return true;
    return false;
}

static bool has_name(const struct node *map, struct str name)
{
    for (size_t i = 0; i < map->map.n; i++)
        if (str_ieq(map->map.v[i].key, name))
            return true;
    return false;
}

/* X-A and x-a are one header: the more specific map has the say, however it writes the name. */
static const struct node *merge_names(struct arena *a, const struct node *under,
                                      const struct node *top)
{
    struct node *m = ARENA_NEW(a, struct node);
    *m = *top;
    m->grow = 0;
    m->map.n = 0;
    m->map.v = arena_alloc_array(a, under->map.n + top->map.n, sizeof(m->map.v[0]));
    for (size_t i = 0; i < under->map.n; i++)
        if (!has_name(top, under->map.v[i].key))
            m->map.v[m->map.n++] = under->map.v[i];
    for (size_t i = 0; i < top->map.n; i++)
        m->map.v[m->map.n++] = top->map.v[i];
    return m;
}

static const struct node *merge_object(struct arena *a, const struct schema *s,
                                       const struct node *under, const struct node *top);

static const struct node *merge_field(struct arena *a, const struct field *f,
                                      const struct node *under, const struct node *top)
{
    bool maps = under->type == NODE_MAP && top->type == NODE_MAP;
    if (maps && f && (f->type == T_OBJECT || f->type == T_OBJECT_PTR))
        return merge_object(a, f->sub, under, top);
    if (maps && f && (f->flags & F_KEY_NOCASE))
        return merge_names(a, under, top);
    return node_merge(a, under, top);
}

static const struct node *merge_object(struct arena *a, const struct schema *s,
                                       const struct node *under, const struct node *top)
{
    struct node *m = ARENA_NEW(a, struct node);
    *m = *top; /* the place of the more specific document */
    m->grow = 0;
    m->map.n = 0;
    m->map.v = arena_alloc_array(a, under->map.n + top->map.n, sizeof(m->map.v[0]));
    for (size_t i = 0; i < under->map.n; i++)
        if (!node_get(top, under->map.v[i].key) && !displaced(s, under->map.v[i].key, top))
            m->map.v[m->map.n++] = under->map.v[i];
    for (size_t i = 0; i < top->map.n; i++) {
        struct node_pair p = top->map.v[i];
        const struct node *old = node_get(under, p.key);
        if (old) /* trees are read-only once built; the cast only lets them be shared */
            p.value = (struct node *)(uintptr_t)merge_field(a, field_of(s, p.key), old, p.value);
        m->map.v[m->map.n++] = p;
    }
    return m;
}

const struct node *merge_sections(struct arena *a, const struct node *under, const struct node *top)
{
    if (!under || !top)
        return top ? top : under;
    struct node *m = ARENA_NEW(a, struct node);
    *m = *top;
    m->grow = 0;
    m->map.n = 0;
    m->map.v = arena_alloc_array(a, under->map.n + top->map.n, sizeof(m->map.v[0]));
    for (size_t i = 0; i < under->map.n; i++)
        if (!node_get(top, under->map.v[i].key))
            m->map.v[m->map.n++] = under->map.v[i];
    for (size_t i = 0; i < top->map.n; i++) {
        struct node_pair p = top->map.v[i];
        const struct node *old = node_get(under, p.key);
        const struct registry_row *row = registry_find("policy", p.key);
        if (old && row && old->type == NODE_MAP && p.value->type == NODE_MAP)
            p.value = (struct node *)(uintptr_t)merge_object(a, row->schema, old, p.value);
        m->map.v[m->map.n++] = p;
    }
    return m;
}
