/* What one rule of a Route can say wrong by itself: paths that no request can have, captures that
   no match gives, actions that exclude each other, headers that are not for editing. */
#include "codec/path.h"
#include "model/spec.h"

enum { PATH_MAX_BYTES = 8192 }; /* longer than any request line that is read */

/* Requests are normalised before matching, so a path that is not normal matches none. */
static bool path_is_normal(struct str path, char *out, struct str *ret_normal)
{
    const char *why;
    *ret_normal = (struct str){ NULL, 0 };
    if (path.n > PATH_MAX_BYTES)
        return false;
    switch (path_normalise(path, out, PATH_MAX_BYTES, ret_normal, &why)) {
    case PATH_SAME:
        return true;
    case PATH_CHANGED:
        return str_eq(path, *ret_normal);
    case PATH_BAD:
        break;
    }
    *ret_normal = (struct str){ NULL, 0 };
    return false;
}

static bool path_check(const struct object *o, struct errors *e, struct str path, struct str at)
{
    char out[PATH_MAX_BYTES];
    struct str normal;
    if (!path.p || path_is_normal(path, out, &normal))
        return true;
    if (normal.p)
        return spec_fail(e, o, at, "no request has this path after normalising; write %.*s",
                         STR_FMT(normal));
    return spec_fail(e, o, at, "no request can have this path");
}

/* Every {name} of path must be captured by every match of the rule. */
static bool captures_check(const struct object *o, struct errors *e, const struct route_rule *r,
                           struct str path, struct str at)
{
    if (!path.p)
        return true;
    if (path.n == 0 || path.p[0] != '/')
        return spec_fail(e, o, at, "want a path that begins with /, got '%.*s'", STR_FMT(path));
    if (str_find(path, '{') == path.n && str_find(path, '}') == path.n)
        return path_check(o, e, path, at);
    if (r->match.n == 0)
        return spec_fail(e, o, at, "names in {} need a match with a path template");
    for (size_t i = 0; i < r->match.n; i++) {
        const struct route_path *p = r->match.v[i].path;
        struct path_captures c = { 0 };
        char out[PATH_MAX_BYTES];
        size_t n;
        if (!p || !p->template.p)
            return spec_fail(e, o, at, "names in {} need a path template, which match[%zu] is not",
                             i);
        path_template_match(p->template, p->template, &c); /* itself: for the names */
        if (!path_template_fill(path, &c, out, sizeof(out), &n))
            return spec_fail(e, o, at, "a name in {} is not one of the template %.*s",
                             STR_FMT(p->template));
    }
    return true;
}

/* prefixPath needs a prefix to replace. */
static bool prefix_path_check(const struct object *o, struct errors *e, const struct route_rule *r,
                              struct str path, struct str at)
{
    if (!path.p)
        return true;
    for (size_t i = 0; i < r->match.n; i++)
        if (r->match.v[i].path && !r->match.v[i].path->prefix.p)
            return spec_fail(e, o, at, "needs a path prefix, which match[%zu] is not", i);
    return path_check(o, e, path, at);
}

static bool matches_check(const struct object *o, struct errors *e, size_t i)
{
    const struct route_rule *r = &((const struct route_spec *)o->spec)->rules.v[i];
    bool ok = true;
    for (size_t k = 0; k < r->match.n; k++) {
        const struct route_path *p = r->match.v[k].path;
        if (p && p->exact.p)
            ok &= path_check(o, e, p->exact, AT("spec.rules[%zu].match[%zu].path.exact", i, k));
        if (p && p->prefix.n > 1)
            ok &= path_check(o, e, p->prefix, AT("spec.rules[%zu].match[%zu].path.prefix", i, k));
    }
    return ok;
}

static bool redirect_check(const struct object *o, struct errors *e, size_t i)
{
    const struct route_rule *r = &((const struct route_spec *)o->spec)->rules.v[i];
    const struct route_redirect *d = r->redirect;
    bool ok = true;
    if (!d)
        return true;
    if (d->status > 303 && d->status < 307)
        ok = spec_fail(e, o, AT("spec.rules[%zu].redirect.status", i),
                       "%lld is not one of 301, 302, 303, 307, 308", (long long)d->status);
    if (d->path.p && d->prefix_path.p)
        ok =
            spec_fail(e, o, AT("spec.rules[%zu].redirect", i), "want only one of path, prefixPath");
    if (d->host.n && d->host.p[0] == '*')
        ok = spec_fail(e, o, AT("spec.rules[%zu].redirect.host", i),
                       "want one name, not a wildcard");
    if (!d->scheme.p && !d->host.p && !d->port && !d->path.p && !d->prefix_path.p)
        ok = spec_fail(e, o, AT("spec.rules[%zu].redirect", i),
                       "want at least one of scheme, host, port, path, prefixPath");
    ok &= captures_check(o, e, r, d->path, AT("spec.rules[%zu].redirect.path", i));
    return prefix_path_check(o, e, r, d->prefix_path,
                             AT("spec.rules[%zu].redirect.prefixPath", i)) &&
           ok;
}

static bool rewrite_check(const struct object *o, struct errors *e, size_t i)
{
    const struct route_rule *r = &((const struct route_spec *)o->spec)->rules.v[i];
    const struct route_rewrite *w = r->rewrite;
    bool ok = true;
    if (!w)
        return true;
    if (r->to.n == 0)
        ok = spec_fail(e, o, AT("spec.rules[%zu].rewrite", i),
                       "nothing is sent on: the rule has no 'to'");
    if (w->path.p && w->prefix_path.p)
        ok = spec_fail(e, o, AT("spec.rules[%zu].rewrite", i), "want only one of path, prefixPath");
    if (w->host.n && w->host.p[0] == '*')
        ok =
            spec_fail(e, o, AT("spec.rules[%zu].rewrite.host", i), "want one name, not a wildcard");
    ok &= captures_check(o, e, r, w->path, AT("spec.rules[%zu].rewrite.path", i));
    return prefix_path_check(o, e, r, w->prefix_path,
                             AT("spec.rules[%zu].rewrite.prefixPath", i)) &&
           ok;
}

static bool action_check(const struct object *o, struct errors *e, size_t i)
{
    const struct route_rule *r = &((const struct route_spec *)o->spec)->rules.v[i];
    int n = (r->to.n > 0) + (r->redirect != NULL) + (r->reply != NULL);
    bool ok = true;
    if (n != 1)
        ok = spec_fail(e, o, AT("spec.rules[%zu]", i),
                       n ? "want only one of to, redirect, reply"
                         : "want one of to, redirect, reply");
    for (size_t k = 1; k < r->to.n; k++)
        for (size_t j = 0; j < k; j++)
            if (str_eq(r->to.v[j].service, r->to.v[k].service))
                ok = spec_fail(e, o, AT("spec.rules[%zu].to[%zu].service", i, k),
                               "'%.*s' is in the list already", STR_FMT(r->to.v[k].service));
    const struct route_reply *p = r->reply;
    if (p && p->body.n && (p->status == 204 || p->status == 304))
        ok = spec_fail(e, o, AT("spec.rules[%zu].reply.body", i), "an answer %lld has no body",
                       (long long)p->status);
    return ok;
}

/* Headers that belong to the connection or to the framing of messages: the proxy's own. */
static bool header_fixed(struct str name)
{
    static const char *const names[] = { "connection", "content-length",    "host",
                                         "keep-alive", "proxy-connection",  "te",
                                         "trailer",    "transfer-encoding", "upgrade" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_ieq(name, str_from(names[i])))
            return true;
    return false;
}

static bool edit_name(const struct object *o, struct errors *e, struct str name, struct str at)
{
    const char *want;
    if (!format_check(FMT_HEADER, name, &want))
        return spec_fail(e, o, at, "'%.*s': want %s", STR_FMT(str_sub(name, 0, 64)), want);
    if (str_ieq(name, STR("host")))
        return spec_fail(e, o, at, "write rewrite.host to change the host");
    if (header_fixed(name))
        return spec_fail(e, o, at, "'%.*s' cannot be edited: it belongs to the connection",
                         STR_FMT(name));
    return true;
}

static bool edits_check(const struct object *o, struct errors *e, const struct route_edits *d,
                        struct str at)
{
    bool ok = true;
    for (size_t k = 0; k < d->set.n; k++)
        ok &= edit_name(o, e, d->set.v[k].key,
                        AT("%.*s.set.%.*s", STR_FMT(at), STR_FMT(d->set.v[k].key)));
    for (size_t k = 0; k < d->add.n; k++)
        ok &= edit_name(o, e, d->add.v[k].key,
                        AT("%.*s.add.%.*s", STR_FMT(at), STR_FMT(d->add.v[k].key)));
    for (size_t k = 0; k < d->remove.n; k++)
        ok &= edit_name(o, e, d->remove.v[k], AT("%.*s.remove[%zu]", STR_FMT(at), k));
    return ok;
}

bool route_rules_check(const struct object *o, struct errors *e)
{
    const struct route_spec *r = o->spec;
    bool ok = true;
    for (size_t i = 0; i < r->rules.n; i++) {
        const struct route_headers *h = r->rules.v[i].headers;
        ok &= action_check(o, e, i);
        ok &= matches_check(o, e, i);
        ok &= redirect_check(o, e, i);
        ok &= rewrite_check(o, e, i);
        if (h) {
            ok &= edits_check(o, e, &h->request, AT("spec.rules[%zu].headers.request", i));
            ok &= edits_check(o, e, &h->response, AT("spec.rules[%zu].headers.response", i));
        }
    }
    return ok;
}
