/* weir explain: what would happen to a request, decided by the same code that decides in the proxy.
 */
#include "cli/command.h"
#include "cli/documents.h"
#include "cli/question.h"
#include "decide/decide.h"
#include <stdio.h>

/* "shop.yaml:12": where an object begins, or the part of it that was asked for. */
static void put_place(struct arena *a, struct node *to, const char *key, const struct node *of)
{
    if (of && of->line && of->file.n)
        node_map_set(a, to, str_from(key),
                     node_string(a, arena_fmt(a, "%.*s:%u", STR_FMT(of->file), of->line)));
}

static const struct node *rule_of(const struct object *route, uint32_t rule)
{
    const struct node *rules = route ? node_get(route->spec_node, STR("rules")) : NULL;
    return rules && rule < rules->list.n ? rules->list.v[rule] : NULL;
}

/* listener: "gateway/name". */
static const struct node *listener_of(const struct model *m, struct str listener)
{
    struct str gateway, name;
    if (!str_cut(listener, '/', &gateway, &name))
        return NULL;
    const struct object *o = model_find(m, "Gateway", gateway);
    const struct node *list = o ? node_get(o->spec_node, STR("listeners")) : NULL;
    for (size_t i = 0; list && i < list->list.n; i++) {
        const struct node *n = node_get(list->list.v[i], STR("name"));
        if (n && str_eq(n->text, name))
            return list->list.v[i];
    }
    return NULL;
}

static const struct node *document_of(const struct model *m, const char *kind, struct str name)
{
    const struct object *o = model_find(m, kind, name);
    return o ? o->doc : NULL;
}

static struct node *endpoints_of(struct arena *a, const struct cluster *c)
{
    struct node *l = node_new(a, NODE_LIST);
    for (size_t i = 0; i < c->endpoints.n; i++)
        node_list_add(a, l, node_string(a, c->endpoints.v[i].address));
    return l;
}

static struct node *policy_of(struct arena *a, const struct compiled *c, const struct policy_set *p)
{
    provenance_list v = { NULL, 0 };
    struct node *l = node_new(a, NODE_LIST);
    (void)compile_provenance(c, p->name, a, &v);
    for (size_t i = 0; i < v.n; i++) {
        struct node *n = node_new(a, NODE_MAP);
        node_map_set(a, n, STR("field"), node_string(a, v.v[i].path));
        node_map_set(a, n, STR("value"), node_string(a, v.v[i].value));
        node_map_set(a, n, STR("from"), node_string(a, v.v[i].object));
        if (v.v[i].line)
            node_map_set(
                a, n, STR("at"),
                node_string(a, arena_fmt(a, "%.*s:%u", STR_FMT(v.v[i].file), v.v[i].line)));
        node_list_add(a, l, n);
    }
    return l;
}

static struct node *action_of(struct question *q, const struct compiled_documents *d,
                              const struct route_match *r)
{
    struct arena *a = &q->a;
    const struct compiled *c = &d->compiled;
    struct node *n = node_new(a, NODE_MAP), *to = node_new(a, NODE_LIST);
    const struct action *act = r->action;
    const struct policy_set *policy = act->policy;
    size_t cap = q->m.target.n + act->path.n + 1024;
    char *out = arena_alloc(a, cap);
    struct str path = q->m.target;
    node_map_set(a, n, STR("route"), node_string(a, r->route));
    node_map_set(a, n, STR("rule"), node_int(a, r->rule));
    put_place(a, n, "ruleAt", rule_of(model_find(&d->model, "Route", r->route), r->rule));
    node_map_set(a, n, STR("host"), node_string(a, r->host));
    if (act->type != ACTION_REPLY && decide_path(r, &q->m, out, cap, &path) && act->path.n)
        node_map_set(a, n, STR("newPath"), node_string(a, path));
    if (act->host.n)
        node_map_set(a, n, STR("newHost"), node_string(a, act->host));
    if (act->type == ACTION_REDIRECT || act->type == ACTION_REPLY)
        node_map_set(a, n, act->type == ACTION_REPLY ? STR("reply") : STR("redirect"),
                     node_int(a, act->status));
    for (size_t i = 0; i < act->backends.n; i++) {
        const struct backend *b = &act->backends.v[i];
        struct node *one = node_new(a, NODE_MAP);
        node_map_set(a, one, STR("service"), node_string(a, b->cluster->name));
        put_place(a, one, "serviceAt", document_of(&d->model, "Service", b->cluster->name));
        node_map_set(a, one, STR("weight"), node_int(a, b->weight));
        node_map_set(a, one, STR("endpoints"), endpoints_of(a, b->cluster));
        node_map_set(a, one, STR("policy"), policy_of(a, c, b->policy));
        node_list_add(a, to, one);
    }
    if (act->backends.n)
        node_map_set(a, n, STR("to"), to);
    else
        node_map_set(a, n, STR("policy"), policy_of(a, c, policy));
    return n;
}

/* ---- for people ---- */
static struct str text(const struct node *n, const char *key)
{
    const struct node *v = node_get(n, str_from(key));
    return v ? v->text : STR("");
}

/* "  (shop.yaml:12)" or "". */
static const char *place(const struct node *n, const char *key)
{
    static char out[256];
    struct str at = key ? text(n, key) : STR("");
    snprintf(out, sizeof(out), "%s%.*s%s", at.n ? " (" : "", STR_FMT(at), at.n ? ")" : "");
    return out;
}

static void print_policy(const struct node *p, const char *indent)
{
    for (size_t i = 0; p && i < p->list.n; i++) {
        const struct node *f = p->list.v[i];
        struct str at = text(f, "at");
        printf("%s%-28.*s %-24.*s %.*s%s%.*s%s\n", indent, STR_FMT(text(f, "field")),
               STR_FMT(text(f, "value")), STR_FMT(text(f, "from")), at.n ? " (" : "", STR_FMT(at),
               at.n ? ")" : "");
    }
}

static void print_answer(const struct node *n)
{
    static const struct {
        const char *key, *at;
    } lines[] = { { "listener", "listenerAt" }, { "route", NULL },
                  { "rule", "ruleAt" },         { "host", NULL },
                  { "newHost", NULL },          { "newPath", NULL },
                  { "redirect", NULL },         { "reply", NULL } };
    const struct node *to = node_get(n, STR("to"));
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (text(n, lines[i].key).n)
            printf("%-10s %.*s%s\n", lines[i].key, STR_FMT(text(n, lines[i].key)),
                   place(n, lines[i].at));
    for (size_t i = 0; to && i < to->list.n; i++) {
        const struct node *b = to->list.v[i], *ep = node_get(b, STR("endpoints"));
        printf("service    %.*s, weight %.*s%s\n", STR_FMT(text(b, "service")),
               STR_FMT(text(b, "weight")), place(b, "serviceAt"));
        for (size_t k = 0; k < ep->list.n; k++)
            printf("  endpoint %.*s\n", STR_FMT(ep->list.v[k]->text));
        printf("  policy\n");
        print_policy(node_get(b, STR("policy")), "    ");
    }
    if (!to) {
        printf("policy\n");
        print_policy(node_get(n, STR("policy")), "  ");
    }
}

/* NULL: the listener takes the request and r is filled; else what speaks against it. */
static const char *against(const struct question *q, const struct listener *l, struct str only,
                           struct route_match *r)
{
    if (only.n && !str_eq(only, l->name))
        return "not the one that was asked for";
    if (l->protocol != LISTEN_HTTP && l->protocol != LISTEN_HTTPS)
        return "passes connections on without reading requests";
    if (l->protocol != (q->https ? LISTEN_HTTPS : LISTEN_HTTP))
        return q->https ? "speaks http, the request is https" : "speaks https, the request is http";
    if (!decide_host_allowed(l, q->host))
        return "its hostnames leave this host out";
    if (!l->hosts || !decide_route(l, q->host, &q->m, r))
        return "no rule of its routes matches";
    return NULL;
}

static void print_refusals(const struct question *q, const struct world *w, struct str only)
{
    const listener_list *ls = world_listeners(w);
    struct route_match r;
    bool known = only.n == 0;
    for (size_t i = 0; i < ls->n; i++)
        known |= str_eq(ls->v[i].name, only);
    if (known)
        fprintf(stderr, "weir explain: no route: the answer would be 404\n");
    else
        fprintf(stderr, "weir explain: there is no listener '%.*s'; it is one of\n", STR_FMT(only));
    for (size_t i = 0; i < ls->n; i++)
        fprintf(stderr, "  %-20.*s %s\n", STR_FMT(ls->v[i].name),
                known ? against(q, &ls->v[i], only, &r) : "");
}

static struct node *answer(struct question *q, const struct compiled_documents *d,
                           const struct world *w, struct str only)
{
    const listener_list *ls = world_listeners(w);
    for (size_t i = 0; i < ls->n; i++) {
        const struct listener *l = &ls->v[i];
        struct route_match r;
        if (against(q, l, only, &r))
            continue;
        struct node *n = action_of(q, d, &r);
        node_map_set(&q->a, n, STR("listener"), node_string(&q->a, l->name));
        put_place(&q->a, n, "listenerAt", listener_of(&d->model, l->name));
        return n;
    }
    return NULL;
}

static int explain(struct question *q, const struct compiled_documents *d, const struct world *w,
                   const struct invocation *in, bool json)
{
    struct str listener = str_from(invocation_option(in, "listener"));
    struct node *n = answer(q, d, w, listener);
    struct buf b;
    if (!n) {
        print_refusals(q, w, listener);
        return EXIT_FAILED;
    }
    if (!json) {
        print_answer(n);
        return EXIT_DONE;
    }
    buf_init(&b, 64u << 20);
    json_print(n, 2, &b);
    printf("%.*s\n", STR_FMT(buf_view(&b)));
    buf_fini(&b);
    return EXIT_DONE;
}

static int run(const struct invocation *in)
{
    struct document_source s = { .paths = in->args };
    const char *request = invocation_option(in, "request"), *h, *why = NULL;
    struct compiled_documents d;
    struct errors e;
    struct question q;
    bool json;
    if (!request || s.paths.n == 0)
        return usage_error(in, "give --request 'GET https://host/path' and FILE or DIR");
    if (!invocation_json(in, &json))
        return EXIT_USAGE;
    arena_init(&q.a, 0, 0);
    errors_init(&e, &q.a);
    why = question_read(&q, request);
    for (size_t i = 0; !why && (h = invocation_next(in, "header", &i));)
        why = question_add_header(&q, h) ? NULL : "--header takes 'Name: value'";
    if (why) {
        arena_fini(&q.a);
        return usage_error(in, "%s", why);
    }
    struct world *w = documents_compile(&s, &d, &e)
                          ? documents_world(&d.compiled.resources, NULL, NULL, &e)
                          : NULL;
    errors_sort(&e);
    int code = documents_report(&e);
    if (w && code == EXIT_DONE)
        code = explain(&q, &d, w, in, json);
    if (w)
        world_unref(w);
    documents_fini(&d);
    arena_fini(&q.a);
    return code;
}

static const struct option options[] = {
    { "request", 'r', "REQUEST", "The request: 'GET https://shop.example/api/x'" },
    { "header", 'H', "HEADER", "A header field: 'Name: value'", true },
    { "listener", 'l', "NAME", "Only this listener: gateway/listener" },
    OUTPUT_OPTION,
    { NULL },
};
const struct command cmd_explain = {
    .name = "explain",
    .args = "FILE|DIR...",
    .summary = "Tells what would happen to a request, and why.",
    .doc = "Example:\n  weir explain --request 'GET https://shop.example/api/x' shop.yaml",
    .options = options,
    .run = run,
};
