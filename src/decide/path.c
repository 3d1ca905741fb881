/* The path to forward, or to redirect to: whole replacements with captures, replacements of the
   matched prefix. The query stays as it came. Pure. */
#include "decide/decide.h"

struct out {
    char *p;
    size_t n, cap;
};

static bool put(struct out *o, struct str s)
{
    if (s.n > o->cap - o->n)
        return false;
    if (s.n)
        memcpy(o->p + o->n, s.p, s.n);
    o->n += s.n;
    return true;
}

static struct str without_slash(struct str s)
{
    return s.n && s.p[s.n - 1] == '/' ? str_sub(s, 0, s.n - 1) : s;
}

/* Gateway API ReplacePrefixMatch: the prefix, which tables hold without its closing slash, gives
   way to the replacement without its own; what follows begins with a slash or is nothing, and
   nothing at all is "/". */
static bool put_prefix(struct out *o, const struct route_match *r, struct str path)
{
    bool part = r->path_kind == PATH_PREFIX || r->path_kind == PATH_EXACT;
    struct str prefix = part ? r->matched_path : STR("");
    struct str rest = str_sub(path, prefix.n, path.n);
    struct str to = rest.n ? without_slash(r->action->path) : r->action->path;
    if (to.n + rest.n == 0)
        to = STR("/");
    return put(o, to) && put(o, rest);
}

bool decide_path(const struct route_match *r, const struct http_message *m, char *out, size_t cap,
                 struct str *ret)
{
    const struct action *a = r->action;
    struct out o = { out, 0, cap };
    bool ok;
    *ret = m->target;
    if (a->path.n == 0 || m->path.n == 0 || m->path.p[0] != '/') /* "*" of OPTIONS has no parts */
        return true;
    if (a->path_prefix && r->path_kind != PATH_TEMPLATE && r->path_kind != PATH_REGEX)
        ok = put_prefix(&o, r, m->path);
    else if (r->path_kind == PATH_TEMPLATE)
        ok = path_template_fill(a->path, &r->captures, out, cap, &o.n);
    else
        ok = put(&o, a->path);
    if (m->has_query)
        ok = ok && put(&o, STR("?")) && put(&o, m->query);
    *ret = (struct str){ out, o.n };
    return ok;
}
