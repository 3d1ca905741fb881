/* A world as a tree that people read: what was said, defaults left out, secrets blacked out. On the
 * caller's arena. */
#include "codec/header.h"
#include "snapshot/world_priv.h"

static void put_str(struct arena *a, struct node *to, const char *key, struct str s)
{
    if (s.n)
        node_map_set(a, to, str_from(key), node_string(a, s));
}

static void put_int(struct arena *a, struct node *to, const char *key, int64_t v)
{
    node_map_set(a, to, str_from(key), node_int(a, v));
}

static struct node *named(struct arena *a, struct str name, const struct schema *s, const void *obj)
{
    struct node *n = node_new(a, NODE_MAP),
                *body = schema_print(s, obj, (struct schema_print_opts){ 0 }, a);
    put_str(a, n, "name", name);
    for (size_t i = 0; i < body->map.n; i++)
        node_map_set(a, n, body->map.v[i].key, body->map.v[i].value);
    return n;
}

/* ---- policies ---- */

static const void *core_conf(const struct policy_set *p, enum core_section c)
{
    const void *const all[CORE_SECTIONS] = {
        [CORE_TIMEOUT] = p->timeout, [CORE_RETRY] = p->retry,   [CORE_BREAKER] = p->breaker,
        [CORE_BALANCE] = p->balance, [CORE_HEALTH] = p->health, [CORE_LIMITS] = p->limits,
        [CORE_TRUST] = p->trust,
    };
    return all[c];
}

static struct node *policy(struct arena *a, const struct policy_set *p)
{
    struct node *n = node_new(a, NODE_MAP), *sections = node_new(a, NODE_MAP);
    put_str(a, n, "name", p->name);
    for (unsigned c = 0; c < CORE_SECTIONS; c++) {
        const struct registry_row *row = registry_find("policy", str_from(core_section_key[c]));
        const void *conf = core_conf(p, c);
        if (conf != section_defaults(c))
            node_map_set(a, sections, str_from(row->key),
                         schema_print(row->schema, conf, (struct schema_print_opts){ 0 }, a));
    }
    for (size_t i = 0; i < p->filters.n; i++) {
        const struct filter_conf *f = &p->filters.v[i];
        struct node *conf =
            schema_print(f->row->schema, f->conf, (struct schema_print_opts){ 0 }, a);
        node_map_set(a, sections, str_from(f->row->key), conf);
    }
    node_map_set(a, n, STR("sections"), sections);
    return n;
}

/* ---- routes ---- */

/* The value of a field or parameter, unless it is a credential by its name. */
static struct str shown(struct str name, struct str value)
{
    return value.n && header_credential(name) ? STR("<redacted>") : value;
}

static void put_values(struct arena *a, struct node *to, const char *key,
                       const struct route_view *v, const struct rt_value *from, size_t n)
{
    static const char *const kinds[] = { [MATCH_EXACT] = "exact",
                                         [MATCH_PREFIX] = "prefix",
                                         [MATCH_REGEX] = "regex",
                                         [MATCH_PRESENT] = "present" };
    struct node *list = node_new(a, NODE_LIST);
    for (size_t i = 0; i < n; i++) {
        struct node *item = node_new(a, NODE_MAP);
        struct str name = route_str(v->base, from[i].name);
        put_str(a, item, "name", name);
        if (from[i].match == MATCH_PRESENT)
            node_map_set(a, item, STR("present"), node_bool(a, true));
        else
            node_map_set(
                a, item, str_from(kinds[from[i].match]),
                node_string(a, shown(name, route_str(v->base, from[i].match == MATCH_REGEX
                                                                  ? v->patterns[from[i].value]
                                                                  : from[i].value))));
        if (from[i].invert)
            node_map_set(a, item, STR("invert"), node_bool(a, true));
        node_list_add(a, list, item);
    }
    if (n)
        node_map_set(a, to, str_from(key), list);
}

static struct node *match(struct arena *a, const struct route_view *v, const struct rt_rule *r)
{
    static const char *const kinds[] = {
        [PATH_ANY] = "prefix",        [PATH_EXACT] = "exact", [PATH_PREFIX] = "prefix",
        [PATH_TEMPLATE] = "template", [PATH_REGEX] = "regex",
    };
    struct node *n = node_new(a, NODE_MAP);
    struct str path = r->path_kind == PATH_ANY        ? STR("/")
                      : r->path_kind == PATH_TEMPLATE ? route_str(v->base, r->path)
                      : r->path_kind == PATH_REGEX    ? route_str(v->base, v->patterns[r->path])
                                                      : route_path_str(v, &v->paths[r->path]);
    put_str(a, n, kinds[r->path_kind], path);
    put_str(a, n, "method", route_str(v->base, r->method));
    put_values(a, n, "headers", v, &v->values[r->values], r->n_headers);
    put_values(a, n, "query", v, &v->values[r->values + r->n_headers], r->n_query);
    return n;
}

static struct node *edits(struct arena *a, const struct action *x)
{
    static const char *const ops[] = {
        [EDIT_SET] = "set", [EDIT_ADD] = "add", [EDIT_REMOVE] = "remove"
    };
    struct node *list = node_new(a, NODE_LIST);
    for (size_t i = 0; i < x->edits.n; i++) {
        const struct header_edit *e = &x->edits.v[i];
        struct node *item = node_new(a, NODE_MAP);
        put_str(a, item, "on", e->response ? STR("response") : STR("request"));
        put_str(a, item, ops[e->op], e->name);
        put_str(a, item, "value", shown(e->name, e->value));
        node_list_add(a, list, item);
    }
    return list;
}

static struct node *action(struct arena *a, const struct action *x)
{
    static const char *const types[] = {
        [ACTION_FORWARD] = "forward", [ACTION_REDIRECT] = "redirect", [ACTION_REPLY] = "reply"
    };
    struct node *n = node_new(a, NODE_MAP), *to = node_new(a, NODE_LIST);
    put_str(a, n, "type", str_from(types[x->type]));
    for (size_t i = 0; i < x->backends.n; i++) {
        struct node *item = node_new(a, NODE_MAP);
        put_str(a, item, "service", x->backends.v[i].cluster->name);
        put_int(a, item, "weight", x->backends.v[i].weight);
        put_str(a, item, "policy", x->backends.v[i].policy->name);
        node_list_add(a, to, item);
    }
    if (x->backends.n)
        node_map_set(a, n, STR("to"), to);
    if (x->status)
        put_int(a, n, "status", x->status);
    put_str(a, n, "scheme", x->scheme);
    put_str(a, n, "host", x->host);
    if (x->port)
        put_int(a, n, "port", x->port);
    put_str(a, n, x->path_prefix ? "replacePrefix" : "path", x->path);
    put_str(a, n, "contentType", x->content_type);
    put_str(a, n, "body", x->body);
    put_str(a, n, "policy", x->policy->name);
    if (x->edits.n)
        node_map_set(a, n, STR("headers"), edits(a, x));
    return n;
}

static void put_rules(struct arena *a, struct node *list, const struct host_index *ix,
                      const struct host_entry *e)
{
    for (size_t t = 0; t < e->n_tables; t++) {
        const struct route_view *v = &e->tables[t].view;
        for (uint32_t i = 0; i < v->h->n_rules; i++) {
            const struct rt_rule *r = &v->rules[i];
            struct node *n = node_new(a, NODE_MAP);
            put_str(a, n, "listener", ix->attach);
            put_str(a, n, "host", e->host);
            put_str(a, n, "route", route_str(v->base, r->route));
            put_int(a, n, "rule", r->rule);
            node_map_set(a, n, STR("match"), match(a, v, r));
            node_map_set(a, n, STR("action"), action(a, &e->tables[t].actions[r->action]));
            node_list_add(a, list, n);
        }
    }
}

/* ---- the whole ---- */

static struct node *endpoints(struct arena *a, const struct cluster *c)
{
    struct node *list = node_new(a, NODE_LIST);
    for (size_t i = 0; i < c->endpoints.n; i++) {
        struct node *n = node_new(a, NODE_MAP);
        put_str(a, n, "address", c->endpoints.v[i].address);
        put_int(a, n, "weight", c->endpoints.v[i].weight);
        node_list_add(a, list, n);
    }
    return list;
}

struct node *world_describe(const struct world *w, struct arena *a)
{
    struct node *top = node_new(a, NODE_MAP), *listeners = node_new(a, NODE_LIST),
                *clusters = node_new(a, NODE_LIST), *sets = node_new(a, NODE_LIST),
                *secrets = node_new(a, NODE_LIST), *rules = node_new(a, NODE_LIST);
    for (size_t i = 0; i < w->listeners.n; i++)
        node_list_add(a, listeners,
                      named(a, w->listeners.v[i].name, &listener_schema, &w->listeners.v[i]));
    for (size_t i = 0; i < w->clusters.n; i++) {
        struct node *n = named(a, w->clusters.v[i].name, &cluster_schema, &w->clusters.v[i]);
        node_map_set(a, n, STR("endpoints"), endpoints(a, &w->clusters.v[i]));
        node_list_add(a, clusters, n);
    }
    for (size_t i = 1; i < w->sets.n; i++)
        node_list_add(a, sets, policy(a, &w->sets.v[i]));
    for (size_t i = 0; i < w->n_blobs; i++)
        if (w->blobs[i]->type == RES_SECRET)
            node_list_add(a, secrets,
                          named(a, w->blobs[i]->name, &secret_schema, w->blobs[i]->value));
    for (size_t i = 0; i < w->hosts.n; i++)
        for (size_t k = 0; k < w->hosts.v[i]->n; k++)
            put_rules(a, rules, w->hosts.v[i], &w->hosts.v[i]->entries[k]);
    put_str(a, top, "hash", str_from(w->hash));
    node_map_set(a, top, STR("listeners"), listeners);
    node_map_set(a, top, STR("clusters"), clusters);
    node_map_set(a, top, STR("policies"), sets);
    node_map_set(a, top, STR("secrets"), secrets);
    node_map_set(a, top, STR("rules"), rules);
    return top;
}
