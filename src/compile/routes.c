/* Routes to tables: every match of every rule goes to each (listener, host) it stands under; there
   they are ordered, checked against each other, and written in chunks. */
#include "base/mem.h"
#include "compile/priv.h"
#include <stdlib.h>

enum { CHUNK_RULES = 1024 }; /* an edit of one rule sends one table of this size */

struct entry {
    const struct prepared *p;
    struct action_def *action;
};
struct bucket { /* one listener and host */
    const struct gate *gate;
    struct str host;
    struct entry *v;
    size_t n, cap;
    const struct object
        *last; /* the route that was added last: a host it names twice counts once */
};
struct routes {
    struct compile *c;
    struct bucket **buckets; /* as they were made */
    size_t n, cap;
    struct rule_def *chunk; /* scratch */
};

/* ---- actions ---- */

static int by_key(const void *a, const void *b)
{
    return str_cmp(((const struct str_pair *)a)->key, ((const struct str_pair *)b)->key);
}

static struct header_edit *pairs(struct arena *a, const str_map *m, struct header_edit like,
                                 struct header_edit *at)
{
    struct str_pair *v = (void *)ARENA_ARRAY(a, struct str_pair, m->n + 1);
    if (m->n) {
        memcpy(v, m->v, m->n * sizeof(*v));
        qsort(v, m->n, sizeof(*v), by_key);
    }
    for (size_t i = 0; i < m->n; i++) {
        *at = like;
        at->name = v[i].key;
        (at++)->value = v[i].value;
    }
    return at;
}

/* Remove, then set, then add. */
static struct header_edit *edits(struct arena *a, const struct route_edits *d, bool response,
                                 struct header_edit *at)
{
    for (size_t i = 0; i < d->remove.n; i++)
        *at++ = (struct header_edit){
            .op = EDIT_REMOVE, .response = response, .name = d->remove.v[i], .value = STR("")
        };
    at = pairs(a, &d->set, (struct header_edit){ .op = EDIT_SET, .response = response }, at);
    return pairs(a, &d->add, (struct header_edit){ .op = EDIT_ADD, .response = response }, at);
}

static void action_edits(struct arena *a, const struct route_headers *h, struct action_def *d)
{
    size_t n = h->request.remove.n + h->request.set.n + h->request.add.n + h->response.remove.n +
               h->response.set.n + h->response.add.n;
    struct header_edit *v = ARENA_ARRAY(a, struct header_edit, n + 1);
    d->edits.v = (void *)v;
    d->edits.n = n;
    edits(a, &h->response, true, edits(a, &h->request, false, v));
}

static struct str text(struct str s)
{
    return s.n ? s : STR("");
}

/* What is done but for policies: the same on every listener. */
static void action_prepare(struct arena *a, const struct route_rule *r, struct action_def *d)
{
    *d = (struct action_def){ .policy = STR_INIT(""),
                              .content_type = STR_INIT(""),
                              .body = STR_INIT("") };
    d->scheme = d->host = d->path = STR("");
    if (r->redirect) {
        d->type = ACTION_REDIRECT;
        d->status = (uint16_t)r->redirect->status;
        d->scheme = text(r->redirect->scheme);
        d->host = text(r->redirect->host);
        d->port = (uint16_t)r->redirect->port;
        d->path_prefix = r->redirect->prefix_path.p != NULL;
        d->path = text(d->path_prefix ? r->redirect->prefix_path : r->redirect->path);
    } else if (r->reply) {
        d->type = ACTION_REPLY;
        d->status = (uint16_t)r->reply->status;
        d->content_type = text(r->reply->content_type);
        d->body = text(r->reply->body);
    } else if (r->rewrite) {
        d->host = text(r->rewrite->host);
        d->path_prefix = r->rewrite->prefix_path.p != NULL;
        d->path = text(d->path_prefix ? r->rewrite->prefix_path : r->rewrite->path);
    }
    if (r->headers)
        action_edits(a, r->headers, d);
}

/* The action of a rule behind one listener, with the policies of each (rule, service). */
static struct action_def *action_make(struct compile *c, const struct route_rule *r,
                                      const struct stack *s)
{
    struct action_def *d = ARENA_NEW(c->a, struct action_def);
    struct backend_def *v = r->to.n ? ARENA_ARRAY(c->a, struct backend_def, r->to.n) : NULL;
    int64_t weight = 0;
    action_prepare(c->a, r, d);
    for (size_t i = 0; i < r->to.n; i++) {
        struct stack own = *s;
        own.at[RANK_SERVICE] = policies_of(c, RANK_SERVICE, r->to.v[i].service);
        v[i] = (struct backend_def){ .cluster = r->to.v[i].service,
                                     .policy = policy_set_name(c, &own),
                                     .weight = (uint32_t)r->to.v[i].weight };
        weight += r->to.v[i].weight;
    }
    d->backends.v = (void *)v;
    d->backends.n = r->to.n;
    if (weight == 0)
        d->policy = policy_set_name(c, s);
    return d;
}

/* ---- buckets ---- */

static struct bucket *bucket_get(struct routes *r, struct gate *g, struct str host)
{
    struct bucket *b = map_get(&g->hosts, host);
    if (b)
        return b;
    b = ARENA_NEW(r->c->a, struct bucket);
    b->gate = g;
    b->host = host;
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 64;
        struct bucket **v = ARENA_ARRAY(r->c->a, struct bucket *, cap);
        if (r->n)
            memcpy(v, r->buckets, r->n * sizeof(*v));
        r->buckets = v;
        r->cap = cap;
    }
    r->buckets[r->n++] = b;
    if (!map_put(&g->hosts, host, b))
        fail(r->c->e, STR(""), 0, 0, STR(""), "out of memory");
    return b;
}

static void bucket_add(struct compile *c, struct bucket *b, const struct entry *v, size_t n)
{
    if (b->n + n > b->cap) {
        size_t cap = b->cap * 2 > b->n + n ? b->cap * 2 : b->n + n;
        struct entry *more = ARENA_ARRAY(c->a, struct entry, cap);
        if (b->n)
            memcpy(more, b->v, b->n * sizeof(*more));
        b->v = more;
        b->cap = cap;
    }
    memcpy(b->v + b->n, v, n * sizeof(*v));
    b->n += n;
}

struct prepared_list {
    struct prepared *v;
    size_t n;
};

static struct prepared_list prepare(struct compile *c, const struct object *o)
{
    const struct route_spec *r = o->spec;
    struct prepared_list l = { 0 };
    for (size_t i = 0; i < r->rules.n; i++)
        l.n += r->rules.v[i].match.n ? r->rules.v[i].match.n : 1;
    l.v = ARENA_ARRAY(c->a, struct prepared, l.n);
    size_t n = 0;
    for (uint32_t i = 0; i < r->rules.n; i++)
        for (uint32_t k = 0; k == 0 || k < r->rules.v[i].match.n; k++)
            rule_prepare(c, o, i, k, &l.v[n++]);
    return l;
}

/* Do both rules only send requests on, and to the same services? Then one action does for both:
   with many rules most are like the one before. */
static bool same_plain(const struct route_rule *a, const struct route_rule *b)
{
    if (a->redirect || a->reply || a->rewrite || a->headers || b->redirect || b->reply ||
        b->rewrite || b->headers || a->to.n != b->to.n)
        return false;
    for (size_t i = 0; i < a->to.n; i++)
        if (a->to.v[i].weight != b->to.v[i].weight ||
            !str_eq(a->to.v[i].service, b->to.v[i].service))
            return false;
    return true;
}

/* Enters a route's matches under one listener, for each host that it takes there. */
static void enter(struct routes *r, struct gate *g, const struct object *o,
                  const struct prepared_list *l)
{
    struct compile *c = r->c;
    const struct route_spec *spec = o->spec;
    struct stack s = { .at = { [RANK_MESH] = policies_of(c, RANK_MESH, STR("")),
                               [RANK_GATEWAY] = g->gateway_policies,
                               [RANK_LISTENER] = g->listener_policies,
                               [RANK_ROUTE] = policies_of(c, RANK_ROUTE, o->name) } };
    struct entry *v = ARENA_ARRAY(c->a, struct entry, l->n);
    for (size_t i = 0; i < l->n; i++) {
        const struct route_rule *rule = &spec->rules.v[l->v[i].rule];
        v[i].p = &l->v[i];
        v[i].action = i > 0 && (l->v[i].match || same_plain(rule - 1, rule))
                          ? v[i - 1].action
                          : action_make(c, rule, &s);
    }
    for (size_t i = 0; i < (spec->hosts.n ? spec->hosts.n : 1); i++) {
        struct str host = spec->hosts.n ? spec->hosts.v[i] : STR("*");
        if (spec->hosts.n && !gateway_listener_takes_host(g->conf, host))
            continue;
        struct bucket *b = bucket_get(r, g, host);
        if (b->last == o)
            continue;
        b->last = o;
        bucket_add(c, b, v, l->n);
    }
}

static bool attached(const struct route_spec *r, bool raw, const struct gate *g)
{
    for (size_t i = 0; i < r->attach.n; i++)
        if (str_eq(r->attach.v[i].gateway, g->gateway->name) &&
            route_attaches(&r->attach.v[i], raw, g->conf))
            return true;
    return false;
}

/* ---- order, doubles, tables ---- */

static int by_order(const void *a, const void *b)
{
    return rule_compare(((const struct entry *)a)->p, ((const struct entry *)b)->p);
}

static const struct node *place_of(const struct prepared *p)
{
    const struct node *rules = node_get(p->route->spec_node, STR("rules"));
    const struct node *rule = rules->list.v[p->rule];
    const struct node *match = node_get(rule, STR("match"));
    return match && match->type == NODE_LIST && p->match < match->list.n ? match->list.v[p->match]
                                                                         : rule;
}

static void tell_double(struct compile *c, const struct bucket *b, const struct prepared *first,
                        const struct prepared *second)
{
    struct errors *e = c->e;
    const struct node *was = place_of(first);
    object_fail(e, second->route, place_of(second),
                AT("spec.rules[%u].match[%u]", second->rule, second->match),
                "Route '%.*s' matches the same already under listener '%.*s' and host '%.*s': "
                "%.*s:%u:%u",
                STR_FMT(first->route->name), STR_FMT(b->gate->name), STR_FMT(b->host),
                STR_FMT(was->file), was->line, was->col);
}

/* Two entries that take the same requests: one of them could never be reached. The slots hold
   indexes from 1. */
static void find_doubles(struct compile *c, const struct bucket *b)
{
    size_t cap = 16;
    while (cap < b->n * 2)
        cap *= 2;
    uint32_t *slots = mem_array(cap, sizeof(*slots));
    if (!slots) {
        fail(c->e, STR(""), 0, 0, STR(""), "out of memory");
        return;
    }
    for (size_t i = 0; i < b->n; i++) {
        const struct prepared *p = b->v[i].p;
        size_t at = p->hash & (cap - 1);
        while (slots[at] && !str_eq(b->v[slots[at] - 1].p->key, p->key))
            at = (at + 1) & (cap - 1);
        if (slots[at])
            tell_double(c, b, b->v[slots[at] - 1].p, p);
        else
            slots[at] = (uint32_t)i + 1;
    }
    mem_free(slots);
}

static void write_tables(struct routes *r, struct bucket *b)
{
    struct compile *c = r->c;
    for (size_t from = 0, chunk = 0; from < b->n; from += CHUNK_RULES, chunk++) {
        size_t n = b->n - from < CHUNK_RULES ? b->n - from : CHUNK_RULES;
        for (size_t i = 0; i < n; i++) {
            r->chunk[i] = b->v[from + i].p->def;
            r->chunk[i].action = b->v[from + i].action;
        }
        compile_add(
            c, RES_ROUTES,
            arena_fmt(c->a, "%.*s|%.*s|%zu", STR_FMT(b->gate->name), STR_FMT(b->host), chunk),
            route_table_build(c->a, &c->table_scratch, r->chunk, n));
        arena_reset(&c->table_scratch);
    }
}

void routes_compile(struct compile *c)
{
    struct routes r = { .c = c, .chunk = ARENA_ARRAY(c->a, struct rule_def, CHUNK_RULES) };
    for (size_t i = 0; i < c->m->objects.n; i++) {
        const struct object *o = &c->m->objects.v[i];
        if (strcmp(o->kind->name, "Route") != 0)
            continue;
        struct prepared_list l = prepare(c, o);
        bool raw = route_raw(o->spec, c->m);
        for (size_t k = 0; k < c->n_gates; k++)
            if (attached(o->spec, raw, &c->gates[k]))
                enter(&r, &c->gates[k], o, &l);
    }
    for (size_t i = 0; i < r.n; i++) {
        struct bucket *b = r.buckets[i];
        if (b->n > 1) {
            qsort(b->v, b->n, sizeof(*b->v), by_order);
            find_doubles(c, b);
        }
    }
    if (errors_any(c->e))
        return;
    for (size_t i = 0; i < r.n; i++)
        write_tables(&r, r.buckets[i]);
}
