/* RES_POLICY: sparse sections to structs, defaults filled in; what nobody said is the process-wide
   default and costs nothing. Pure. */
#include "snapshot/world_priv.h"
#include <stdio.h>

static void set_core(struct policy_set *p, enum core_section c, const void *conf)
{
    switch (c) {
    case CORE_TIMEOUT:
        p->timeout = conf;
        break;
    case CORE_RETRY:
        p->retry = conf;
        break;
    case CORE_BREAKER:
        p->breaker = conf;
        break;
    case CORE_BALANCE:
        p->balance = conf;
        break;
    case CORE_HEALTH:
        p->health = conf;
        break;
    case CORE_LIMITS:
        p->limits = conf;
        break;
    case CORE_TRUST:
        p->trust = conf;
        break;
    case CORE_SECTIONS:
        break;
    }
}

void policy_set_defaults(struct policy_set *p)
{
    *p = (struct policy_set){ .name = STR_INIT("") };
    for (unsigned i = 0; i < CORE_SECTIONS; i++)
        set_core(p, i, section_defaults(i));
}

static bool fail_node(struct errors *e, const struct node *n, struct str path, const char *what)
{
    return fail(e, n->file, n->line, n->col, path, "%s", what);
}

static bool read_section(struct policy_set *p, struct arena *a, const struct node_pair *pair,
                         const struct node *origins, struct errors *e)
{
    char text[80];
    const struct registry_row *row = registry_find("policy", pair->key);
    if (!row)
        return fail(e, pair->value->file, pair->line, pair->col, STR("sections"),
                    "unknown section '%.*s': made by a newer version?",
                    STR_FMT(str_sub(pair->key, 0, 64)));
    snprintf(text, sizeof(text), "sections.%s", row->key);
    void *conf = arena_alloc(a, row->schema->size);
    if (!schema_parse(row->schema, pair->value, a, conf, str_from(text), e))
        return false;
    enum core_section core = section_core(row);
    if (core != CORE_SECTIONS) {
        set_core(p, core, conf);
        return true;
    }
    const struct node *origin = node_get(origins, pair->key);
    if (!origin || origin->type != NODE_STRING || origin->text.n == 0)
        return fail(e, pair->value->file, pair->line, pair->col, STR("origins"),
                    "'%s' has no origin", row->key);
    p->filters.v[p->filters.n++] =
        (struct filter_conf){ .row = row, .conf = conf, .origin = arena_str(a, origin->text) };
    return true;
}

struct policy_set *policy_set_read(struct arena *a, const struct node *n, struct errors *e)
{
    struct policy_set *p = ARENA_NEW(a, struct policy_set);
    const struct node *sections = node_get(n, STR("sections")),
                      *origins = node_get(n, STR("origins"));
    bool ok = true;
    policy_set_defaults(p);
    if (n->type != NODE_MAP) {
        fail_node(e, n, STR(""), "want a map");
        return NULL;
    }
    for (size_t i = 0; i < n->map.n; i++)
        if (n->map.v[i].value != sections && n->map.v[i].value != origins)
            ok = fail_node(e, n->map.v[i].value, n->map.v[i].key, "unknown field");
    if ((sections && sections->type != NODE_MAP) || (origins && origins->type != NODE_MAP)) {
        fail_node(e, n, STR(""), "sections and origins are maps");
        return NULL;
    }
    size_t count = sections ? sections->map.n : 0;
    p->filters.v = count ? ARENA_ARRAY(a, struct filter_conf, count) : NULL;
    for (size_t i = 0; i < count; i++)
        ok &= read_section(p, a, &sections->map.v[i], origins, e);
    return ok ? p : NULL;
}
