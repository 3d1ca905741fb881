/* Policies to merged sets: which sections a target can honour, what falls under which target, and
   one resource for each distinct set. */
#include "compile/priv.h"
#include "crypto/hash.h"
#include "snapshot/sections.h"
#include <stdlib.h>

enum {
    NAME_BYTES = 16, /* of a set: enough of the hash that no two sets share one */
    KEY_MAX = 640    /* rank, gateway and listener names */
};
static const char rank_letter[RANKS] = { 'm', 's', 'g', 'l', 'r' };
static const char *const rank_word[RANKS] = { "mesh", "service", "gateway", "listener", "route" };

/* ---- what a target can honour ---- */

enum scope { SCOPE_ANY, SCOPE_LISTENER, SCOPE_SERVICE };

/* Sections that act before a route is known, and those about a service as a whole. */
static enum scope section_scope(struct str key)
{
    static const char *const listener[] = { "limits", "trust" };
    static const char *const service[] = { "balance", "breaker", "health" };
    for (size_t i = 0; i < ARRAY_LEN(listener); i++)
        if (str_eq(key, str_from(listener[i])))
            return SCOPE_LISTENER;
    for (size_t i = 0; i < ARRAY_LEN(service); i++)
        if (str_eq(key, str_from(service[i])))
            return SCOPE_SERVICE;
    return SCOPE_ANY;
}

static unsigned gateway_layers(const struct gateway_spec *g, struct str listener)
{
    unsigned layers = 0;
    for (size_t i = 0; i < g->listeners.n; i++)
        if (listener.n == 0 || str_eq(listener, g->listeners.v[i].name))
            layers |= gateway_listener_raw(&g->listeners.v[i]) ? SECTION_L4 : SECTION_L7;
    return layers;
}

/* Rank and name of a policy's target, and the layers that it has. */
static enum rank target_of(const struct compile *c, const struct object *o, struct str *ret_name,
                           unsigned *ret_layers)
{
    const struct policy_target *t = &((const struct policy_spec *)o->spec)->target;
    const struct policy_object *p = &t->object;
    *ret_layers = SECTION_L4 | SECTION_L7;
    *ret_name = STR("");
    if (p->service.p) {
        const struct service_spec *s = model_find(c->m, "Service", p->service)->spec;
        *ret_layers = s->protocol == MODEL_TCP ? SECTION_L4 : SECTION_L7;
        *ret_name = p->service;
        return RANK_SERVICE;
    }
    if (p->route.p) {
        const struct route_spec *r = model_find(c->m, "Route", p->route)->spec;
        *ret_layers = route_raw(r, c->m) ? SECTION_L4 : SECTION_L7;
        *ret_name = p->route;
        return RANK_ROUTE;
    }
    if (!p->gateway.p)
        return RANK_MESH;
    *ret_layers = gateway_layers(model_find(c->m, "Gateway", p->gateway)->spec, t->listener);
    *ret_name = p->gateway;
    if (!t->listener.n)
        return RANK_GATEWAY;
    *ret_name = arena_fmt(c->a, "%.*s/%.*s", STR_FMT(p->gateway), STR_FMT(t->listener));
    return RANK_LISTENER;
}

static void section_refused(struct compile *c, const struct object *o, struct str key,
                            enum rank rank, const char *why)
{
    struct errors *e = c->e;
    spec_fail(e, o, AT("spec.%.*s", STR_FMT(key)), "'%.*s' cannot be set for a %s: %s",
              STR_FMT(key), rank_word[rank], why);
}

/* timeout has fields that end before a route is known. */
static void timeout_check(struct compile *c, const struct object *o, const struct node *section,
                          enum rank rank)
{
    static const char *const early[] = { "handshake", "header", "keepAlive" };
    struct errors *e = c->e;
    for (size_t i = 0; i < ARRAY_LEN(early); i++)
        if (node_get(section, str_from(early[i])))
            spec_fail(e, o, AT("spec.timeout.%s", early[i]),
                      "'%s' cannot be set for a %s: it acts before a route is known", early[i],
                      rank_word[rank]);
}

static void policy_check(struct compile *c, const struct object *o, enum rank rank, unsigned layers)
{
    const struct node *sections = ((const struct policy_spec *)o->spec)->sections;
    bool early = rank == RANK_MESH || rank == RANK_GATEWAY || rank == RANK_LISTENER;
    for (size_t i = 0; sections && i < sections->map.n; i++) {
        struct str key = sections->map.v[i].key;
        const struct section_info *info = registry_find("policy", key)->extra;
        enum scope scope = section_scope(key);
        if (scope == SCOPE_LISTENER && !early)
            section_refused(c, o, key, rank, "it acts before a route is known");
        else if (scope == SCOPE_SERVICE && rank != RANK_MESH && rank != RANK_SERVICE)
            section_refused(c, o, key, rank, "it is about a service as a whole");
        else if (info && !(info->layers & layers))
            section_refused(c, o, key, rank,
                            layers == SECTION_L4 ? "it works on requests, here are only bytes"
                                                 : "it works on bytes, here are requests");
        else if (!early && str_eq(key, STR("timeout")))
            timeout_check(c, o, sections->map.v[i].value, rank);
    }
}

/* ---- targets ---- */

static struct str target_key(enum rank rank, struct str name, char buf[KEY_MAX])
{
    if (name.n > KEY_MAX - 1)
        return STR("");
    buf[0] = rank_letter[rank];
    if (name.n)
        memcpy(buf + 1, name.p, name.n);
    return (struct str){ buf, name.n + 1 };
}

const struct target *policies_of(const struct compile *c, enum rank rank, struct str name)
{
    char buf[KEY_MAX];
    return c->targets.n ? map_get(&c->targets, target_key(rank, name, buf)) : NULL;
}

static void target_add(struct compile *c, enum rank rank, struct str name, const struct object *o)
{
    char buf[KEY_MAX];
    struct str key = target_key(rank, name, buf);
    struct target *t = map_get(&c->targets, key);
    if (!t) {
        t = ARENA_NEW(c->a, struct target);
        t->key = arena_str(c->a, key);
        if (!map_put(&c->targets, t->key, t)) {
            fail(c->e, STR(""), 0, 0, STR(""), "out of memory");
            return;
        }
    }
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 4;
        const struct object **v = (void *)ARENA_ARRAY(c->a, struct object *, cap);
        if (t->n)
            memcpy(v, t->v, t->n * sizeof(*v));
        t->v = v;
        t->cap = cap;
    }
    t->v[t->n++] = o;
}

static int by_strength(const void *pa, const void *pb)
{
    const struct object *a = *(const struct object *const *)pa;
    const struct object *b = *(const struct object *const *)pb;
    int64_t x = ((const struct policy_spec *)a->spec)->priority;
    int64_t y = ((const struct policy_spec *)b->spec)->priority;
    return x != y ? (x < y ? -1 : 1) : str_cmp(a->name, b->name);
}

void policies_index(struct compile *c)
{
    const struct object **all = (void *)ARENA_ARRAY(c->a, struct object *, c->m->objects.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < c->m->objects.n; i++)
        if (strcmp(c->m->objects.v[i].kind->name, "Policy") == 0)
            all[n++] = &c->m->objects.v[i];
    if (n)
        qsort(all, n, sizeof(*all), by_strength);
    for (size_t i = 0; i < n; i++) {
        unsigned layers;
        struct str name;
        enum rank rank = target_of(c, all[i], &name, &layers);
        policy_check(c, all[i], rank, layers);
        target_add(c, rank, name, all[i]);
    }
}

/* ---- merged sets ---- */

/* Errors of merged sections come again with every set that has them: told once. */
static void tell(struct compile *c, const struct errors *found)
{
    for (size_t i = 0; i < found->n; i++) {
        const struct error *err = &found->v[i];
        struct str key = arena_fmt(c->a, "%.*s:%u:%u:%.*s", STR_FMT(err->file), err->line, err->col,
                                   STR_FMT(err->msg));
        if (map_get(&c->told, key))
            continue;
        fail(c->e, err->file, err->line, err->col, err->path, "%.*s", STR_FMT(err->msg));
        if (!map_put(&c->told, key, c))
            return;
    }
}

/* The section as it travels: checked as a whole now that all fields are there, defaults left out.
 */
static struct node *section_node(struct compile *c, const struct registry_row *row,
                                 const struct node *n)
{
    struct errors found;
    void *conf = arena_alloc(c->a, row->schema->size);
    errors_init(&found, c->a);
    if (!schema_parse(row->schema, n, c->a, conf, arena_fmt(c->a, "spec.%s", row->key), &found)) {
        tell(c, &found);
        return node_new(c->a, NODE_MAP);
    }
    return schema_print(row->schema, conf, (struct schema_print_opts){ .secrets = true }, c->a);
}

/* Whose the section's state is (the count of a limit): of the most specific policy that gives what
   is required in it. One that adds another field to the limits of many does not make them one. */
static const struct object *section_origin(const struct merged *m, const struct registry_row *row)
{
    const struct field *f = row->schema->fields;
    while (f->name && !(f->flags & F_REQUIRED))
        f++;
    const struct object *any = NULL;
    for (size_t i = m->n; i-- > 0;) {
        const struct policy_spec *p = m->members[i]->spec;
        const struct node *section = node_get(p->sections, str_from(row->key));
        if (section && (!f->name || node_get(section, str_from(f->name))))
            return m->members[i];
        if (section)
            any = m->members[i]; /* nobody gives it: an error that is told elsewhere */
    }
    return any;
}

static struct str set_bytes(struct compile *c, const struct merged *m)
{
    struct node *set = node_new(c->a, NODE_MAP), *sections = node_new(c->a, NODE_MAP);
    struct node *origins = node_new(c->a, NODE_MAP);
    size_t n;
    const struct registry_row *rows = registry_rows("policy", &n); /* sorted by key */
    for (size_t i = 0; i < n; i++) {
        struct str key = str_from(rows[i].key);
        const struct node *section = node_get(m->sections, key);
        if (!section)
            continue;
        node_map_set(c->a, sections, key, section_node(c, &rows[i], section));
        node_map_set(c->a, origins, key, node_string(c->a, section_origin(m, &rows[i])->id));
    }
    node_map_set(c->a, set, STR("sections"), sections);
    node_map_set(c->a, set, STR("origins"), origins);
    return compile_json(c, set);
}

/* The name covers the members too: sets of the same content that others decided stay apart, so that
   each can say where its fields come from. */
static struct str set_name(struct compile *c, const struct merged *m, struct str bytes)
{
    uint8_t hash[32];
    char hex[2 * NAME_BYTES];
    struct sha256 h;
    sha256_init(&h);
    sha256_add(&h, bytes.p, bytes.n);
    for (size_t i = 0; i < m->n; i++) {
        sha256_add(&h, "\n", 1);
        sha256_add(&h, m->members[i]->name.p, m->members[i]->name.n);
    }
    sha256_end(&h, hash);
    hex_lower(hash, NAME_BYTES, hex);
    return arena_str(c->a, (struct str){ hex, sizeof(hex) });
}

static struct merged *merge(struct compile *c, const struct stack *s)
{
    struct merged *m = ARENA_NEW(c->a, struct merged);
    size_t n = 0;
    for (int r = 0; r < RANKS; r++)
        n += s->at[r] ? s->at[r]->n : 0;
    m->members = (void *)ARENA_ARRAY(c->a, struct object *, n + 1);
    m->name = STR("");
    for (int r = 0; r < RANKS; r++) {
        for (size_t i = 0; s->at[r] && i < s->at[r]->n; i++) {
            const struct policy_spec *p = s->at[r]->v[i]->spec;
            if (!p->sections)
                continue;
            m->members[m->n++] = s->at[r]->v[i];
            m->sections = merge_sections(c->a, m->sections, p->sections);
        }
    }
    if (m->n == 0)
        return m;
    struct str bytes = set_bytes(c, m);
    m->name = set_name(c, m, bytes);
    if (map_get(&c->out->origins, m->name))
        return m;
    if (!map_put(&c->out->origins, m->name, m))
        fail(c->e, STR(""), 0, 0, STR(""), "out of memory");
    compile_add(c, RES_POLICY, m->name, bytes);
    return m;
}

struct str policy_set_name(struct compile *c, const struct stack *s)
{
    struct str key = { (const char *)s->at, sizeof(s->at) };
    struct merged *m = map_get(&c->sets, key);
    if (!m) {
        m = merge(c, s);
        if (!map_put(&c->sets, arena_str(c->a, key), m))
            fail(c->e, STR(""), 0, 0, STR(""), "out of memory");
    }
    return m->name;
}
