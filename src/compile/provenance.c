/* Which object decided each field of a merged policy set. */
#include "compile/priv.h"
#include "snapshot/sections.h"

struct walk {
    struct arena *a;
    const struct merged *set; /* NULL: all defaults */
    struct provenance *v;
    size_t n, cap;
};

/* The value that a policy gives for the path, or the one that replaced all of it; NULL if none. */
static const struct node *given(const struct object *o, struct str path)
{
    const struct node *n = ((const struct policy_spec *)o->spec)->sections;
    struct str head, rest = path;
    while (n && n->type == NODE_MAP && rest.n) {
        struct str all = rest;
        /* a key may hold dots itself (a header's name): the whole rest is tried first */
        const struct node *whole = node_get(n, all);
        if (whole)
            return whole;
        if (!str_cut(all, '.', &head, &rest)) {
            head = all;
            rest = STR("");
        }
        n = node_get(n, head);
    }
    return n;
}

static struct str value_text(struct arena *a, const struct node *n)
{
    struct buf b;
    if (n->type != NODE_LIST && n->type != NODE_MAP)
        return n->type == NODE_NULL ? STR("null") : n->text;
    buf_init(&b, 1 << 20);
    json_print(n, 0, &b);
    struct str s = arena_str(a, buf_view(&b));
    buf_fini(&b);
    return s;
}

static void add(struct walk *w, struct str path, const struct node *value)
{
    struct provenance p = {
        .path = path, .value = value_text(w->a, value), .object = STR("default"), .file = STR("")
    };
    for (size_t i = w->set ? w->set->n : 0; i > 0; i--) {
        const struct node *n = given(w->set->members[i - 1], path);
        if (!n)
            continue;
        p.object = w->set->members[i - 1]->id;
        p.file = n->file;
        p.line = n->line;
        break;
    }
    if (w->n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 64;
        struct provenance *v = ARENA_ARRAY(w->a, struct provenance, cap);
        if (w->n)
            memcpy(v, w->v, w->n * sizeof(*v));
        w->v = v;
        w->cap = cap;
    }
    w->v[w->n++] = p;
}

static void visit(struct walk *w, struct str path, const struct node *n)
{
    if (n->type != NODE_MAP || n->map.n == 0) {
        add(w, path, n);
        return;
    }
    for (size_t i = 0; i < n->map.n; i++)
        visit(w, arena_fmt(w->a, "%.*s.%.*s", STR_FMT(path), STR_FMT(n->map.v[i].key)),
              n->map.v[i].value);
}

/* Core sections always act; a filter's only when somebody gave it. */
static bool acts(const struct registry_row *row, const struct node *section)
{
    const struct section_info *info = row->extra;
    return section || (info && !info->filter);
}

bool compile_provenance(const struct compiled *c, struct str policy, struct arena *a,
                        provenance_list *ret)
{
    struct walk w = { .a = a, .set = policy.n ? map_get(&c->origins, policy) : NULL };
    size_t n;
    const struct registry_row *rows = registry_rows("policy", &n);
    struct errors none;
    errors_init(&none, a);
    *ret = (provenance_list){ 0 };
    if (policy.n && !w.set)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct node *section =
            w.set ? node_get(w.set->sections, str_from(rows[i].key)) : NULL;
        if (!acts(&rows[i], section))
            continue;
        void *conf = arena_alloc(a, rows[i].schema->size);
        if (!schema_parse(rows[i].schema, section, a, conf, STR(""), &none))
            return false;
        visit(&w, str_from(rows[i].key),
              schema_print(rows[i].schema, conf, (struct schema_print_opts){ .all = true }, a));
    }
    ret->v = (void *)w.v;
    ret->n = w.n;
    return true;
}
