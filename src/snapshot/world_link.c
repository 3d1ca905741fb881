/* References between resources: policy sets, secrets, endpoints; route tables to hosts, actions to
   clusters. Runs when every blob is good; what it makes belongs to one world. */
#include "snapshot/world_priv.h"
#include <stdlib.h>

/* ---- finding ---- */

struct blob_key {
    uint8_t type;
    struct str name;
};

static int blob_order(const void *key, const void *slot)
{
    const struct blob_key *k = key;
    const struct blob *b = *(struct blob *const *)slot;
    return k->type != b->type ? (k->type < b->type ? -1 : 1) : str_cmp(k->name, b->name);
}

const struct blob *world_blob(const struct world *w, uint8_t type, struct str name)
{
    struct blob_key k = { type, name };
    struct blob *const *at =
        w->n_blobs ? bsearch(&k, w->blobs, w->n_blobs, sizeof(*w->blobs), blob_order) : NULL;
    return at ? *at : NULL;
}

static int set_order(const void *key, const void *set)
{
    return str_cmp(*(const struct str *)key, ((const struct policy_set *)set)->name);
}

/* The set of that name; the defaults stand in, with an error, for one that is missing. */
static const struct policy_set *find_set(struct build *b, const struct blob *from, struct str path,
                                         struct str name)
{
    const struct world *w = b->w;
    if (name.n == 0)
        return &w->sets.v[0];
    const struct policy_set *p =
        bsearch(&name, w->sets.v, w->sets.n, sizeof(*w->sets.v), set_order);
    if (!p)
        build_fail(b, from->type, from->name, path, "no policy set named '%.*s'", STR_FMT(name));
    return p ? p : &w->sets.v[0];
}

/* Checks a reference to a secret; "" is none. */
static const struct secret *find_secret(struct build *b, const struct blob *from, struct str path,
                                        struct str name)
{
    const struct blob *s = name.n ? world_blob(b->w, RES_SECRET, name) : NULL;
    if (name.n && !s)
        build_fail(b, from->type, from->name, path, "no secret named '%.*s'", STR_FMT(name));
    return s ? s->value : NULL;
}

static void need_pair(struct build *b, const struct blob *from, struct str path, struct str name)
{
    const struct secret *s = find_secret(b, from, path, name);
    if (s && (s->cert_pem.n == 0 || s->key_pem.n == 0))
        build_fail(b, from->type, from->name, path, "secret '%.*s' has no certificate with its key",
                   STR_FMT(name));
}

static void need_ca(struct build *b, const struct blob *from, struct str path, struct str name)
{
    const struct secret *s = find_secret(b, from, path, name);
    if (s && s->ca_pem.n == 0 && s->cert_pem.n == 0)
        build_fail(b, from->type, from->name, path, "secret '%.*s' has no certificate",
                   STR_FMT(name));
}

/* How many blobs have this type; they stand together. */
static struct blob **of_type(const struct world *w, uint8_t type, size_t *ret_n)
{
    size_t from = 0, to;
    while (from < w->n_blobs && w->blobs[from]->type < type)
        from++;
    for (to = from; to < w->n_blobs && w->blobs[to]->type == type;)
        to++;
    *ret_n = to - from;
    return w->blobs + from;
}

/* ---- policy sets, clusters, listeners ---- */

static void link_sets(struct build *b)
{
    size_t n;
    struct world *w = b->w;
    struct blob **v = of_type(w, RES_POLICY, &n);
    w->sets.v = ARENA_ARRAY(&w->arena, struct policy_set, n + 1);
    w->sets.n = n + 1;
    policy_set_defaults(&w->sets.v[0]);
    for (size_t i = 0; i < n; i++) {
        w->sets.v[i + 1] =
            *(const struct policy_set *)v[i]->value; /* a copy: runtime is this world's */
        w->sets.v[i + 1].name = v[i]->name;
    }
}

static void link_clusters(struct build *b)
{
    size_t n;
    struct world *w = b->w;
    struct blob **v = of_type(w, RES_CLUSTER, &n);
    w->clusters.v = ARENA_ARRAY(&w->arena, struct cluster, n + 1);
    w->clusters.n = n;
    for (size_t i = 0; i < n; i++) {
        struct cluster *c = &w->clusters.v[i];
        *c = *(const struct cluster *)v[i]->value;
        c->name = v[i]->name;
        c->index = (uint32_t)i;
        c->policy_set = find_set(b, v[i], STR("policy"), c->policy);
        if (c->tls && c->tls->ca.n)
            need_ca(b, v[i], STR("tls.ca"), c->tls->ca);
        if (c->tls && c->tls->certificate.n)
            need_pair(b, v[i], STR("tls.certificate"), c->tls->certificate);
        const struct blob *e = world_blob(w, RES_ENDPOINTS, c->name);
        const struct endpoints *list = e ? e->value : NULL;
        if (list) {
            c->endpoints.v = list->v.v;
            c->endpoints.n = list->v.n;
        }
    }
    v = of_type(w, RES_ENDPOINTS, &n);
    for (size_t i = 0; i < n; i++)
        if (!world_blob(w, RES_CLUSTER, v[i]->name))
            build_fail(b, v[i]->type, v[i]->name, STR(""), "no cluster has this name");
}

static void link_listener_tls(struct build *b, const struct blob *from, const struct listener *l)
{
    bool ends_tls = l->protocol == LISTEN_HTTPS || l->protocol == LISTEN_TLS;
    if (ends_tls && l->tls.certificates.n == 0)
        build_fail(b, from->type, from->name, STR("tls.certificates"),
                   "a listener that ends TLS needs a certificate");
    for (size_t i = 0; i < l->tls.certificates.n; i++)
        need_pair(b, from, STR("tls.certificates"), l->tls.certificates.v[i]);
    if (l->tls.client_ca.n)
        need_ca(b, from, STR("tls.clientCa"), l->tls.client_ca);
    else if (ends_tls && l->tls.client_cert != CLIENT_CERT_NONE)
        build_fail(b, from->type, from->name, STR("tls.clientCa"),
                   "client certificates need an authority to check them");
}

static int hosts_order(const void *key, const void *slot)
{
    return str_cmp(*(const struct str *)key, (*(struct host_index *const *)slot)->attach);
}

static void link_listeners(struct build *b)
{
    size_t n;
    struct world *w = b->w;
    struct blob **v = of_type(w, RES_LISTENER, &n);
    w->listeners.v = ARENA_ARRAY(&w->arena, struct listener, n + 1);
    w->listeners.n = n;
    for (size_t i = 0; i < n; i++) {
        struct listener *l = &w->listeners.v[i];
        *l = *(const struct listener *)v[i]->value;
        l->name = v[i]->name;
        size_t slash = str_find(l->name, '/');
        l->gateway = str_sub(l->name, 0, slash);
        l->section = str_sub(l->name, slash + 1, l->name.n);
        l->policy_set = find_set(b, v[i], STR("policy"), l->policy);
        link_listener_tls(b, v[i], l);
        struct host_index *const *h =
            w->hosts.n ? bsearch(&l->name, w->hosts.v, w->hosts.n, sizeof(*w->hosts.v), hosts_order)
                       : NULL;
        l->hosts = h ? *h : NULL;
    }
}

/* ---- actions ---- */

/* Each array once a table: actions point into them, so bytes that share ranges cannot make the
 * world grow. */
static struct backend *link_backends(struct build *b, const struct blob *from,
                                     const struct route_view *v)
{
    struct backend *out = ARENA_ARRAY(&b->w->arena, struct backend, v->h->n_backends + 1);
    for (uint32_t i = 0; i < v->h->n_backends; i++) {
        const struct rt_backend *d = &v->backends[i];
        bool again = i > 0 && d[-1].cluster == d->cluster && d[-1].policy == d->policy;
        out[i] = again ? out[i - 1] : (struct backend){ 0 };
        out[i].weight = d->weight;
        if (again)
            continue;
        struct str name = route_str(v->base, d->cluster);
        out[i].cluster = world_cluster(b->w, name);
        if (!out[i].cluster)
            build_fail(b, from->type, from->name, STR(""), "no cluster named '%.*s'",
                       STR_FMT(str_sub(name, 0, 200)));
        out[i].policy = find_set(b, from, STR(""), route_str(v->base, d->policy));
    }
    return out;
}

static struct header_edit *link_edits(struct build *b, const struct route_view *v)
{
    struct header_edit *out =
        v->h->n_edits ? ARENA_ARRAY(&b->w->arena, struct header_edit, v->h->n_edits) : NULL;
    for (uint32_t i = 0; i < v->h->n_edits; i++) {
        const struct rt_edit *d = &v->edits[i];
        out[i] = (struct header_edit){ .op = d->op, .response = d->response };
        out[i].name = route_str(v->base, d->name);
        out[i].value = route_str(v->base, d->value);
    }
    return out;
}

static void link_action(struct build *b, const struct blob *from, const struct route_view *v,
                        const struct rt_action *d, struct action *out)
{
    *out = (struct action){
        .type = d->type, .path_prefix = d->path_prefix, .status = d->status, .port = d->port
    };
    out->scheme = route_str(v->base, d->scheme);
    out->host = route_str(v->base, d->host);
    out->path = route_str(v->base, d->path);
    out->content_type = route_str(v->base, d->content_type);
    out->body = route_str(v->base, d->body);
    out->policy = find_set(b, from, STR(""), route_str(v->base, d->policy));
}

static void link_table(struct build *b, const struct blob *from, struct route_table *out)
{
    const struct blob_routes *r = from->value;
    const struct route_view *v = &r->view;
    struct action *actions = ARENA_ARRAY(&b->w->arena, struct action, v->h->n_actions + 1);
    struct backend *backends = link_backends(b, from, v);
    struct header_edit *edits = link_edits(b, v);
    for (uint32_t i = 0; i < v->h->n_actions; i++) {
        const struct rt_action *d = &v->actions[i];
        link_action(b, from, v, d, &actions[i]);
        actions[i].backends.v = backends + d->backends;
        actions[i].backends.n = d->n_backends;
        for (uint32_t k = 0; k < d->n_backends; k++)
            actions[i].total_weight += backends[d->backends + k].weight;
        actions[i].edits.v = d->n_edits ? edits + d->edits : NULL;
        actions[i].edits.n = d->n_edits;
    }
    *out = (struct route_table){ .view = *v, .patterns = r->regexes, .actions = actions };
    b->w->n_rules += v->h->n_rules;
}

/* ---- hosts ---- */

struct routes_name {
    struct str attach, host;
    uint64_t chunk;
};

static bool routes_name(struct str name, struct routes_name *ret)
{
    struct str rest, chunk;
    const char *want;
    if (!str_cut(name, '|', &ret->attach, &rest) || !str_cut(rest, '|', &ret->host, &chunk))
        return false;
    bool plain = chunk.n == 1 || (chunk.n > 1 && chunk.p[0] != '0'); /* one way to write a number */
    return ret->attach.n > 0 && plain && str_to_u64(chunk, &ret->chunk) &&
           (str_eq(ret->host, STR("*")) || format_check(FMT_HOST, ret->host, &want));
}

/* The chunks of one host: v[0..n). By name "10" stands before "2", so each goes where its number
 * says. */
static void link_host(struct build *b, struct blob **v, size_t n, struct host_entry *out)
{
    struct route_table *tables = ARENA_ARRAY(&b->w->arena, struct route_table, n);
    for (size_t i = 0; i < n; i++) {
        struct routes_name name;
        CHECK(routes_name(v[i]->name, &name));
        if (name.chunk >= n)
            build_fail(b, v[i]->type, v[i]->name, STR(""), "a chunk before this one is missing");
        else
            link_table(b, v[i], &tables[name.chunk]);
        out->host = name.host;
    }
    out->tables = tables;
    out->n_tables = n;
}

/* All hosts of one attach point: v[0..n), sorted by name. */
static struct host_index *link_attach(struct build *b, struct str attach, struct blob **v, size_t n)
{
    struct host_entry *entries = ARENA_ARRAY(&b->w->arena, struct host_entry, n);
    size_t hosts = 0;
    for (size_t i = 0, next; i < n; i = next) {
        struct routes_name first, name;
        CHECK(routes_name(v[i]->name, &first));
        for (next = i + 1; next < n; next++) {
            CHECK(routes_name(v[next]->name, &name));
            if (!str_eq(name.host, first.host))
                break;
        }
        link_host(b, v + i, next - i, &entries[hosts++]);
    }
    return host_index_new(&b->w->arena, attach, entries, hosts);
}

static int by_attach(const void *a, const void *b)
{
    return str_cmp((*(struct host_index *const *)a)->attach,
                   (*(struct host_index *const *)b)->attach);
}

static void link_routes(struct build *b)
{
    size_t n;
    struct world *w = b->w;
    struct blob **v = of_type(w, RES_ROUTES, &n);
    struct routes_name first, name;
    for (size_t i = 0; i < n; i++)
        if (!routes_name(v[i]->name, &name))
            build_fail(b, v[i]->type, v[i]->name, STR(""),
                       "want a name like edge/web|shop.example|0");
        else if (!world_blob(w, RES_LISTENER, name.attach))
            build_fail(b, v[i]->type, v[i]->name, STR(""), "no listener named '%.*s'",
                       STR_FMT(str_sub(name.attach, 0, 200)));
    if (!b->ok)
        return;
    w->hosts.v = ARENA_ARRAY(&w->arena, struct host_index *, n + 1);
    for (size_t i = 0, next; i < n; i = next) {
        CHECK(routes_name(v[i]->name, &first));
        for (next = i + 1; next < n; next++) {
            CHECK(routes_name(v[next]->name, &name));
            if (!str_eq(name.attach, first.attach))
                break;
        }
        w->hosts.v[w->hosts.n] = link_attach(b, first.attach, v + i, next - i);
        w->hosts.n++;
    }
    /* "edge/https|" stands before "edge/http|", but "edge/http" before "edge/https" */
    if (w->hosts.n)
        qsort(w->hosts.v, w->hosts.n, sizeof(*w->hosts.v), by_attach);
}

void world_link(struct build *b)
{
    link_sets(b);
    link_clusters(b);
    link_routes(b);
    link_listeners(b);
}
