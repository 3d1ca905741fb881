/* References between objects, found through the rows flagged F_REF, so that a new kind needs no code here. */
#include "model/priv.h"

struct pass {
    const struct model *m;
    struct errors *e;
    bool ok;
};

static struct str guess(const struct pass *p, const char *kind, struct str wrong)
{
    size_t best = 4;
    struct str near = { NULL, 0 };
    for (size_t i = 0; i < p->m->objects.n; i++) {
        const struct object *o = &p->m->objects.v[i];
        size_t d = strcmp(o->kind->name, kind) == 0 ? str_distance(wrong, o->name) : best;
        if (d < best) {
            best = d;
            near = o->name;
        }
    }
    return near.p ? arena_fmt(p->m->a, "; did you mean '%.*s'?", STR_FMT(near)) : STR("");
}

static void check_name(struct pass *p, const struct field *f, const struct node *n, struct str path)
{
    if (n->type != NODE_STRING || model_find(p->m, f->ref, n->text))
        return;
    struct str hint = guess(p, f->ref, n->text);
    p->ok = fail(p->e, n->file, n->line, n->col, path, "no %s is called '%.*s'%.*s", f->ref, STR_FMT(n->text), STR_FMT(hint));
}

static bool has_refs(const struct schema *s, unsigned depth)
{
    for (const struct field *f = s->fields; f->name && depth; f++)
        if ((f->flags & F_REF) || (f->sub && has_refs(f->sub, depth - 1)))
            return true;
    return false;
}

enum { DEPTH_MAX = 8 };
static void check_object(struct pass *p, const struct schema *s, const struct node *n, struct str path, unsigned depth)
{
    struct arena *a = p->m->a;
    if (!n || n->type != NODE_MAP || depth == 0)
        return;
    for (const struct field *f = s->fields; f->name; f++) {
        const struct node *v = node_get(n, str_from(f->name));
        if (!v || (!(f->flags & F_REF) && !(f->sub && has_refs(f->sub, depth))))
            continue;
        bool list = v->type == NODE_LIST;
        for (size_t i = 0; i < (list ? v->list.n : 1); i++) {
            const struct node *one = list ? v->list.v[i] : v;
            /* The text of the path is only made when it is needed: most references are good. */
            if ((f->flags & F_REF) && (one->type != NODE_STRING || model_find(p->m, f->ref, one->text)))
                continue;
            struct str at = list ? arena_fmt(a, "%.*s.%s[%zu]", STR_FMT(path), f->name, i) : arena_fmt(a, "%.*s.%s", STR_FMT(path), f->name);
            if (f->flags & F_REF)
                check_name(p, f, one, at);
            else
                check_object(p, f->sub, one, at, depth - 1);
        }
    }
}

bool references_check(const struct model *m, struct errors *e)
{
    struct pass p = { m, e, true };
    for (size_t i = 0; i < m->objects.n; i++) {
        const struct object *o = &m->objects.v[i];
        check_object(&p, o->kind->spec, o->spec_node, STR("spec"), DEPTH_MAX);
    }
    return p.ok;
}
