/* Which route takes a request: hosts from the most specific on, each host's rules in their total
   order. Pure; no allocation; any thread. */
#include "decide/decide.h"
#include "decide/route_find.h"
#include "snapshot/host_index.h"

/* Copies what the rule says. path: of the request; NULL for raw connections. */
static void fill(const struct host_entry *e, const struct route_table *t, uint32_t index,
                 const struct str *path, struct route_match *ret)
{
    const struct route_view *v = &t->view;
    const struct rt_rule *r = &v->rules[index];
    ret->action = &t->actions[r->action];
    ret->route = route_str(v->base, r->route);
    ret->rule = r->rule;
    ret->host = e->host;
    ret->path_kind = r->path_kind;
    ret->captures.n = 0;
    switch (r->path_kind) {
    case PATH_EXACT:
    case PATH_PREFIX:
        ret->matched_path = route_path_str(v, &v->paths[r->path]);
        break;
    case PATH_TEMPLATE:
        ret->matched_path = route_str(v->base, r->path);
        if (path)
            (void)path_template_match(ret->matched_path, *path, &ret->captures); /* it did before */
        break;
    case PATH_REGEX:
        ret->matched_path = route_str(v->base, v->patterns[r->path]);
        break;
    default:
        ret->matched_path = STR("/");
    }
}

static bool try_http(const struct host_entry *e, const struct http_message *m,
                     struct route_match *ret)
{
    for (size_t i = 0; i < e->n_tables; i++) {
        uint32_t index = route_find(&e->tables[i], m);
        if (index != ROUTE_NONE) {
            fill(e, &e->tables[i], index, &m->path, ret);
            return true;
        }
    }
    return false;
}

/* The first rule that asks for nothing a raw connection does not have. */
static bool try_raw(const struct host_entry *e, struct route_match *ret)
{
    for (size_t i = 0; i < e->n_tables; i++) {
        const struct route_view *v = &e->tables[i].view;
        for (uint32_t k = 0; k < v->h->n_rules; k++) {
            const struct rt_rule *r = &v->rules[k];
            if (r->path_kind != PATH_ANY || r->method || r->n_headers || r->n_query)
                continue;
            fill(e, &e->tables[i], k, NULL, ret);
            return true;
        }
    }
    return false;
}

static bool try_host(const struct host_entry *e, const struct http_message *m,
                     struct route_match *ret)
{
    return e && (m ? try_http(e, m, ret) : try_raw(e, ret));
}

/* m NULL: a raw connection. */
static bool find(const struct host_index *ix, struct str host, const struct http_message *m,
                 struct route_match *ret)
{
    if (try_host(host_index_find(ix, host), m, ret))
        return true;
    /* *.a.example stands for any number of labels, at least one; the longest suffix comes first */
    for (size_t i = 1; ix->wild && i < host.n; i++)
        if (host.p[i] == '.' && try_host(host_index_find(ix, str_sub(host, i, host.n)), m, ret))
            return true;
    return try_host(ix->any, m, ret);
}

bool decide_route(const struct listener *l, struct str host, const struct http_message *m,
                  struct route_match *ret)
{
    return l->hosts && find(l->hosts, host, m, ret);
}

bool decide_raw(const struct listener *l, struct str sni, struct route_match *ret)
{
    return l->hosts && find(l->hosts, sni, NULL, ret);
}

bool decide_host_allowed(const struct listener *l, struct str host)
{
    for (size_t i = 0; i < l->hostnames.n; i++) {
        struct str h = l->hostnames.v[i];
        if (str_starts(h, STR("*.")) ? host.n >= h.n && str_ends(host, str_sub(h, 1, h.n))
                                     : str_eq(h, host))
            return true;
    }
    return l->hostnames.n == 0;
}

const struct backend *decide_backend(const struct action *a, uint32_t point)
{
    for (size_t i = 0; i < a->backends.n; i++) {
        if (point < a->backends.v[i].weight)
            return &a->backends.v[i];
        point -= a->backends.v[i].weight;
    }
    return NULL;
}
