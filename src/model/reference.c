/* Errors of objects: places found by path, and the nearest name for one that is not there. */
#include "model/spec.h"
#include <stdio.h>

bool object_fail(struct errors *e, const struct object *o, const struct node *at, struct str path,
                 const char *fmt, ...)
{
    const struct node *n = at ? at : o->doc;
    va_list ap;
    va_start(ap, fmt);
    struct str msg = arena_vfmt(e->a, fmt, ap);
    va_end(ap);
    return fail(e, n->file, n->line, n->col, path, "%.*s", STR_FMT(msg));
}

/* Cuts the first step off a path: a key, or [index]. */
static bool next_step(struct str *path, struct str *ret_key, uint64_t *ret_index)
{
    struct str p = *path;
    size_t i = 0;
    *ret_key = (struct str){ NULL, 0 };
    if (p.n && p.p[0] == '[') {
        struct str number;
        return str_cut(str_sub(p, 1, p.n), ']', &number, path) && str_to_u64(number, ret_index);
    }
    if (p.n && p.p[0] == '.')
        p = str_sub(p, 1, p.n);
    while (i < p.n && p.p[i] != '.' && p.p[i] != '[')
        i++;
    *ret_key = str_sub(p, 0, i);
    *path = str_sub(p, i, p.n);
    return i > 0;
}

static const struct node *deepest(const struct node *n, struct str path)
{
    struct str key;
    uint64_t index;
    while (path.n && next_step(&path, &key, &index)) {
        const struct node *in = NULL;
        if (key.p)
            in = node_get(n, key);
        else if (n->type == NODE_LIST && index < n->list.n)
            in = n->list.v[index];
        if (!in)
            break;
        n = in;
    }
    return n;
}

bool spec_fail(struct errors *e, const struct object *o, struct str path, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct str msg = arena_vfmt(e->a, fmt, ap);
    va_end(ap);
    return object_fail(e, o, deepest(o->doc, path), path, "%.*s", STR_FMT(msg));
}

void near_try(struct near *g, struct str name)
{
    if (g->wrong.n == 0 || g->wrong.n > 64)
        return;
    size_t d = str_ieq(g->wrong, name) ? 0 : str_distance(g->wrong, name);
    if (d <= (g->wrong.n <= 3 ? 1u : 2u) && (!g->best.p || d < g->distance)) {
        g->best = name;
        g->distance = d;
    }
}

const char *near_text(struct near *g)
{
    g->text[0] = '\0';
    if (g->best.p && g->best.n <= 60)
        snprintf(g->text, sizeof(g->text), "; did you mean '%.*s'?", STR_FMT(g->best));
    return g->text;
}

bool reference_fail(struct errors *e, const struct object *o, const struct model *m,
                    struct str path, const char *kind, struct str name)
{
    struct near g = { .wrong = name };
    for (size_t i = 0; e->n < e->max && i < m->objects.n; i++)
        if (strcmp(m->objects.v[i].kind->name, kind) == 0)
            near_try(&g, m->objects.v[i].name);
    return spec_fail(e, o, path, "there is no %s '%.*s'%s", kind, STR_FMT(name), near_text(&g));
}

bool reference_secret(const struct object *o, const struct model *m, struct errors *e,
                      struct str path, struct str name)
{
    bool ca = str_ends(path, STR("ca.secret"));
    if (name.n == 0)
        return true;
    const struct object *s = model_find(m, "Secret", name);
    if (!s)
        return reference_fail(e, o, m, path, "Secret", name);
    const struct secret_spec *spec = s->spec;
    if (spec && (ca ? !spec->ca : !spec->tls))
        return spec_fail(e, o, path, "Secret '%.*s' has no '%s'", STR_FMT(name), ca ? "ca" : "tls");
    return true;
}
