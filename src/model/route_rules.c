/* What one rule of a Route can say wrong by itself: paths that no request can have, captures that
   no match gives, actions that exclude each other, headers that are not for editing. */
#include "codec/header.h"
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

/* A field of a rule; its path is written when there is an error to tell, not for 100,000 good
 * rules. */
struct spot {
    const struct object *o;
    struct errors *e;
    size_t rule, match; /* match: NO_MATCH when the field is the rule's own */
    const char *field;
};
enum { NO_MATCH = SIZE_MAX };

static struct str spot_path(const struct spot *s)
{
    struct errors *e = s->e;
    return s->match == NO_MATCH ? AT("spec.rules[%zu].%s", s->rule, s->field)
                                : AT("spec.rules[%zu].match[%zu].%s", s->rule, s->match, s->field);
}
#define SPOT_FAIL(s, ...) spec_fail((s)->e, (s)->o, spot_path(s), __VA_ARGS__)

static bool path_check(const struct spot *s, struct str path)
{
    char out[PATH_MAX_BYTES];
    struct str normal;
    if (!path.p || path_is_normal(path, out, &normal))
        return true;
    if (normal.p)
        return SPOT_FAIL(s, "no request has this path after normalising; write %.*s",
                         STR_FMT(normal));
    return SPOT_FAIL(s, "no request can have this path");
}

/* What stands between the captures is matched as it is written, too. */
static bool template_check(const struct spot *s, struct str tmpl)
{
    char plain[PATH_MAX_BYTES], out[PATH_MAX_BYTES];
    struct str normal;
    if (tmpl.n > sizeof(plain))
        return SPOT_FAIL(s, "no request can have this path");
    for (size_t i = 0; i < tmpl.n; i++)
        plain[i] = tmpl.p[i] == '{' || tmpl.p[i] == '}' ? '_' : tmpl.p[i];
    return path_is_normal((struct str){ plain, tmpl.n }, out, &normal) ||
           SPOT_FAIL(s,
                     "no request has this path: dot segments and needless percent-encoding are "
                     "resolved before a path is matched");
}

/* Every {name} of path must be captured by every match of the rule. */
static bool captures_check(const struct spot *s, const struct route_rule *r, struct str path)
{
    if (!path.p)
        return true;
    if (path.n == 0 || path.p[0] != '/')
        return SPOT_FAIL(s, "want a path that begins with /, got '%.*s'", STR_FMT(path));
    if (str_find(path, '{') == path.n && str_find(path, '}') == path.n)
        return path_check(s, path);
    if (r->match.n == 0)
        return SPOT_FAIL(s, "names in {} need a match with a path template");
    for (size_t i = 0; i < r->match.n; i++) {
        const struct route_path *p = r->match.v[i].path;
        struct path_captures c = { 0 };
        char out[PATH_MAX_BYTES];
        size_t n;
        if (!p || !p->template.p)
            return SPOT_FAIL(s, "names in {} need a path template, which match[%zu] is not", i);
        path_template_match(p->template, p->template, &c); /* itself: for the names */
        if (!path_template_fill(path, &c, out, sizeof(out), &n))
            return SPOT_FAIL(s, "a name in {} is not one of the template %.*s",
                             STR_FMT(p->template));
    }
    return true;
}

/* prefixPath needs a prefix to replace. */
static bool prefix_path_check(const struct spot *s, const struct route_rule *r, struct str path)
{
    if (!path.p)
        return true;
    for (size_t i = 0; i < r->match.n; i++)
        if (r->match.v[i].path && !r->match.v[i].path->prefix.p)
            return SPOT_FAIL(s, "needs a path prefix, which match[%zu] is not", i);
    return path_check(s, path);
}

static bool matches_check(const struct object *o, struct errors *e, size_t i)
{
    const struct route_rule *r = &((const struct route_spec *)o->spec)->rules.v[i];
    bool ok = true;
    for (size_t k = 0; k < r->match.n; k++) {
        const struct route_path *p = r->match.v[k].path;
        struct spot s = { o, e, i, k, "path.exact" };
        if (p && p->exact.p)
            ok &= path_check(&s, p->exact);
        s.field = "path.prefix";
        if (p && p->prefix.n > 1)
            ok &= path_check(&s, p->prefix);
        s.field = "path.template";
        if (p && p->template.p)
            ok &= template_check(&s, p->template);
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
    ok &= captures_check(&(struct spot){ o, e, i, NO_MATCH, "redirect.path" }, r, d->path);
    return prefix_path_check(&(struct spot){ o, e, i, NO_MATCH, "redirect.prefixPath" }, r,
                             d->prefix_path) &&
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
    ok &= captures_check(&(struct spot){ o, e, i, NO_MATCH, "rewrite.path" }, r, w->path);
    return prefix_path_check(&(struct spot){ o, e, i, NO_MATCH, "rewrite.prefixPath" }, r,
                             w->prefix_path) &&
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

/* What is wrong with editing a header; false with nothing to say when all is well. */
static bool edit_bad(struct errors *e, struct str name, struct str *ret_why)
{
    const char *want;
    if (!format_check(FMT_HEADER, name, &want))
        *ret_why = AT("'%.*s': want %s", STR_FMT(str_sub(name, 0, 64)), want);
    else if (str_ieq(name, STR("host")))
        *ret_why = STR("write rewrite.host to change the host");
    else if (header_fixed(name))
        *ret_why = AT("'%.*s' cannot be edited: it belongs to the connection", STR_FMT(name));
    else
        return false;
    return true;
}

static bool edits_check(const struct spot *s, const struct route_edits *d)
{
    struct errors *e = s->e;
    struct str why;
    bool ok = true;
    for (size_t k = 0; k < d->set.n; k++)
        if (edit_bad(e, d->set.v[k].key, &why))
            ok = spec_fail(e, s->o,
                           AT("%.*s.set.%.*s", STR_FMT(spot_path(s)), STR_FMT(d->set.v[k].key)),
                           "%.*s", STR_FMT(why));
    for (size_t k = 0; k < d->add.n; k++)
        if (edit_bad(e, d->add.v[k].key, &why))
            ok = spec_fail(e, s->o,
                           AT("%.*s.add.%.*s", STR_FMT(spot_path(s)), STR_FMT(d->add.v[k].key)),
                           "%.*s", STR_FMT(why));
    for (size_t k = 0; k < d->remove.n; k++)
        if (edit_bad(e, d->remove.v[k], &why))
            ok = spec_fail(e, s->o, AT("%.*s.remove[%zu]", STR_FMT(spot_path(s)), k), "%.*s",
                           STR_FMT(why));
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
            ok &= edits_check(&(struct spot){ o, e, i, NO_MATCH, "headers.request" }, &h->request);
            ok &=
                edits_check(&(struct spot){ o, e, i, NO_MATCH, "headers.response" }, &h->response);
        }
    }
    return ok;
}
