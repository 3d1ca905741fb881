/* ${NAME} in documents. Replacing happens on the tree, after parsing: a value can never become structure. */
#include "model/priv.h"

struct pass {
    const struct model_input *in;
    struct arena *a;
    struct errors *e;
    bool ok;
};

static bool name_char(char c, bool first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || (!first && c >= '0' && c <= '9');
}

/* The name in "${NAME}" at s, or {NULL, 0}. */
static struct str name_at(struct str s)
{
    size_t i = 2;
    while (i < s.n && name_char(s.p[i], i == 2))
        i++;
    return i > 2 && i < s.n && s.p[i] == '}' ? str_sub(s, 2, i) : (struct str){ NULL, 0 };
}

static struct str replace(struct pass *p, const struct node *n)
{
    struct buf b;
    buf_init(&b, 16u << 20);
    for (struct str s = n->text; s.n > 0;) {
        struct str value, name;
        if (str_starts(s, STR("$${"))) {
            buf_str(&b, STR("${"));
            s = str_sub(s, 3, s.n);
            continue;
        }
        if (!str_starts(s, STR("${"))) {
            buf_char(&b, *s.p);
            s = str_sub(s, 1, s.n);
            continue;
        }
        name = name_at(s);
        if (!name.p) {
            p->ok = fail(p->e, n->file, n->line, n->col, STR(""), "malformed variable: write ${NAME}, or $${ for a literal ${");
            break;
        }
        if (!p->in->variable || !p->in->variable(p->in->arg, name, &value))
            p->ok = fail(p->e, n->file, n->line, n->col, STR(""), "the variable %.*s is not set", STR_FMT(name));
        else
            buf_str(&b, value);
        s = str_sub(s, name.n + 3, s.n);
    }
    struct str out = arena_str(p->a, buf_view(&b));
    buf_fini(&b);
    return out;
}

static bool has_variable(const struct node *n)
{
    switch ((enum node_type)n->type) {
    case NODE_STRING:
        for (size_t i = 0; i + 1 < n->text.n; i++)
            if (n->text.p[i] == '$' && n->text.p[i + 1] == '{')
                return true;
        return false;
    case NODE_LIST:
        for (size_t i = 0; i < n->list.n; i++)
            if (has_variable(n->list.v[i]))
                return true;
        return false;
    case NODE_MAP:
        for (size_t i = 0; i < n->map.n; i++)
            if (has_variable(n->map.v[i].value))
                return true;
        return false;
    default:
        return false;
    }
}

static void walk(struct pass *p, struct node *n)
{
    if (n->type == NODE_STRING)
        n->text = has_variable(n) ? replace(p, n) : n->text;
    for (size_t i = 0; n->type == NODE_LIST && i < n->list.n; i++)
        walk(p, n->list.v[i]);
    for (size_t i = 0; n->type == NODE_MAP && i < n->map.n; i++)
        walk(p, n->map.v[i].value);
}

const struct node *variables_replace(const struct node *doc, const struct model_input *in, struct arena *a, struct errors *e, bool *ret_ok)
{
    if (!has_variable(doc))
        return doc;
    struct pass p = { in, a, e, true };
    struct node *copy = node_copy(a, doc);
    walk(&p, copy);
    if (!p.ok)
        *ret_ok = false;
    return copy;
}
