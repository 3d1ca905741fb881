/* Making, comparing and merging document trees. Reading and printing are in yaml.c and json.c.
   Pure; a tree may be read by any thread once it is built. */
#include "codec/node.h"
#include "codec/tree.h"

/* depth: people nest some ten levels, and everything that walks a tree recurses. nodes: 100,000
   routes are about one million. aliases: nodes that all aliases of a file may repeat together;
   enough for a shared block, too few for a bomb. scalar_bytes: a certificate bundle or an inline
   specification fits. */
const struct node_limits NODE_LIMITS_DEFAULT = {
    .depth = 64, .nodes = 8 << 20, .aliases = 1000, .scalar_bytes = 16 << 20
};

static const struct node_pair *pair_find(const struct node *map, struct str key)
{
    for (size_t i = 0; i < map->map.n; i++) {
        struct str k = map->map.v[i].key;
        if (k.n == key.n && (k.n == 0 || memcmp(k.p, key.p, k.n) == 0))
            return &map->map.v[i];
    }
    return NULL;
}

const struct node *node_get(const struct node *map, struct str key)
{
    if (!map || map->type != NODE_MAP)
        return NULL;
    const struct node_pair *p = pair_find(map, key);
    return p ? p->value : NULL;
}

struct node *node_new(struct arena *a, enum node_type t)
{
    struct node *n = ARENA_NEW(a, struct node);
    n->type = (uint8_t)t;
    n->file = STR("");
    if (t == NODE_STRING)
        n->text = STR("");
    else if (t == NODE_NUMBER)
        n->text = STR("0");
    return n;
}

struct node *node_string(struct arena *a, struct str s)
{
    struct node *n = node_new(a, NODE_STRING);
    if (s.n)
        n->text = arena_str(a, s);
    return n;
}

struct node *node_int(struct arena *a, int64_t v)
{
    struct node *n = node_new(a, NODE_NUMBER);
    n->text = arena_fmt(a, "%lld", (long long)v);
    return n;
}

struct node *node_bool(struct arena *a, bool v)
{
    struct node *n = node_new(a, NODE_BOOL);
    n->boolean = v;
    n->text = v ? STR("true") : STR("false");
    return n;
}

/* Room for one more entry after n; returns the array to use. A parsed array is exact and is copied
 * on its first growth. */
static void *grown(struct arena *a, struct node *owner, void *v, size_t n, size_t size)
{
    if (owner->grow && n < (size_t)1 << owner->grow)
        return v;
    uint8_t g = 2;
    while ((size_t)1 << g <= n)
        g++;
    void *to = arena_alloc_array(a, (size_t)1 << g, size);
    if (n)
        memcpy(to, v, n * size);
    owner->grow = g;
    return to;
}

void node_map_set(struct arena *a, struct node *map, struct str key, struct node *value)
{
    CHECK(map->type == NODE_MAP);
    const struct node_pair *old = pair_find(map, key);
    if (old) {
        map->map.v[old - map->map.v].value = value;
        return;
    }
    map->map.v = grown(a, map, map->map.v, map->map.n, sizeof(map->map.v[0]));
    map->map.v[map->map.n++] =
        (struct node_pair){ .key = key.n ? arena_str(a, key) : STR(""), .value = value };
}

void node_list_add(struct arena *a, struct node *list, struct node *value)
{
    CHECK(list->type == NODE_LIST);
    list->list.v = grown(a, list, list->list.v, list->list.n, sizeof(struct node *));
    list->list.v[list->list.n++] = value;
}

static bool maps_equal(const struct node *a, const struct node *b)
{
    if (a->map.n != b->map.n)
        return false;
    for (size_t i = 0; i < a->map.n; i++) {
        const struct node_pair *p = &a->map.v[i], *q = &b->map.v[i];
        if (!str_eq(p->key, q->key))
            q = pair_find(b, p->key);
        if (!q || !node_equal(p->value, q->value))
            return false;
    }
    return true;
}

bool node_equal(const struct node *a, const struct node *b)
{
    if (a == b)
        return true;
    if (!a || !b || a->type != b->type)
        return false;
    switch ((enum node_type)a->type) {
    case NODE_NULL:
        return true;
    case NODE_BOOL:
        return a->boolean == b->boolean;
    case NODE_NUMBER:
    case NODE_STRING:
        return str_eq(a->text, b->text);
    case NODE_LIST:
        if (a->list.n != b->list.n)
            return false;
        for (size_t i = 0; i < a->list.n; i++)
            if (!node_equal(a->list.v[i], b->list.v[i]))
                return false;
        return true;
    case NODE_MAP:
        return maps_equal(a, b);
    }
    return false;
}

struct node *node_copy(struct arena *a, const struct node *n)
{
    struct node *c = ARENA_NEW(a, struct node);
    *c = *n;
    c->grow = 0;
    c->file = n->file.n ? arena_str(a, n->file) : STR("");
    if (n->type == NODE_LIST) {
        c->list.v = n->list.n ? ARENA_ARRAY(a, struct node *, n->list.n) : NULL;
        for (size_t i = 0; i < n->list.n; i++)
            c->list.v[i] = node_copy(a, n->list.v[i]);
    } else if (n->type == NODE_MAP) {
        c->map.v = n->map.n ? arena_alloc_array(a, n->map.n, sizeof(n->map.v[0])) : NULL;
        for (size_t i = 0; i < n->map.n; i++) {
            c->map.v[i] = n->map.v[i];
            c->map.v[i].key = n->map.v[i].key.n ? arena_str(a, n->map.v[i].key) : STR("");
            c->map.v[i].value = node_copy(a, n->map.v[i].value);
        }
    } else {
        c->text = n->text.n ? arena_str(a, n->text) : STR("");
    }
    return c;
}

const struct node *node_merge(struct arena *a, const struct node *under, const struct node *top)
{
    if (!top)
        return under;
    if (!under || under->type != NODE_MAP || top->type != NODE_MAP)
        return top;
    struct node *m = ARENA_NEW(a, struct node);
    *m = *top; /* the place shown in errors is that of the more specific document */
    m->grow = 0;
    m->map.n = under->map.n;
    m->map.v = arena_alloc_array(a, under->map.n + top->map.n, sizeof(m->map.v[0]));
    for (size_t i = 0; i < under->map.n; i++)
        m->map.v[i] = under->map.v[i];
    for (size_t i = 0; i < top->map.n; i++) {
        const struct node_pair *p = &top->map.v[i], *old = pair_find(under, p->key);
        if (!old) {
            m->map.v[m->map.n++] = *p;
            continue;
        }
        struct node_pair *to = &m->map.v[old - under->map.v];
        *to = *p;
        /* Trees are read-only once built; the cast only lets them be shared. */
        to->value = (struct node *)node_merge(a, old->value, p->value);
    }
    return m;
}
