/* Whether bytes are a route table: every offset, order and count, and every text that could reach
   the wire of a protocol. Nothing in them is believed before. Pure; any thread. */
#include "codec/header.h"
#include "codec/message.h"
#include "codec/path.h"
#include "snapshot/route_layout.h"

struct check {
    struct route_view v;
    size_t size;
    const char *why; /* the first fault */
};

static bool bad(struct check *c, const char *why)
{
    c->why = why;
    return false;
}

/* ---- places ---- */

/* Takes n items of size off the front of what is left at *at. */
static bool take(struct str bytes, size_t *at, size_t n, size_t size, const void *ret)
{
    const char *p = bytes.p + *at;
    if (n > (bytes.n - *at) / size)
        return false;
    memcpy((void *)(uintptr_t)ret, &p, sizeof(p));
    *at += n * size;
    return true;
}

bool route_view(struct str bytes, struct route_view *ret)
{
    size_t at = sizeof(struct rt_header);
    if (bytes.n < at)
        return false;
    const struct rt_header *h = (const void *)bytes.p;
    *ret = (struct route_view){ .base = bytes.p, .h = h };
    size_t n_refs = ((size_t)h->n_rules + 1) & ~(size_t)1;
    bool ok = take(bytes, &at, h->n_rules, sizeof(*ret->rules), &ret->rules) &&
              take(bytes, &at, h->n_paths, sizeof(*ret->paths), &ret->paths) &&
              take(bytes, &at, n_refs, sizeof(*ret->refs), &ret->refs) &&
              take(bytes, &at, h->n_values, sizeof(*ret->values), &ret->values) &&
              take(bytes, &at, h->n_actions, sizeof(*ret->actions), &ret->actions) &&
              take(bytes, &at, h->n_backends, sizeof(*ret->backends), &ret->backends) &&
              take(bytes, &at, h->n_edits, sizeof(*ret->edits), &ret->edits) &&
              take(bytes, &at, h->n_patterns, sizeof(*ret->patterns), &ret->patterns);
    ret->strings = at;
    return ok;
}

/* Is at a good string reference? */
static bool string(const struct check *c, uint32_t at, struct str *ret)
{
    uint32_t n;
    *ret = STR("");
    if (at == 0)
        return true;
    if (at < c->v.strings || at % 4 != 0 || at > c->size - 4)
        return false;
    memcpy(&n, c->v.base + at, sizeof(n));
    if (n > c->size - at - 4)
        return false;
    *ret = (struct str){ c->v.base + at + 4, n };
    return true;
}

static bool printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f)
            return false;
    return true;
}

/* ---- rules ---- */

static bool check_path(struct check *c, const struct rt_rule *r)
{
    struct str s;
    const char *why;
    switch (r->path_kind) {
    case PATH_ANY:
        return r->path == 0 || bad(c, "a rule for every path names one");
    case PATH_EXACT:
    case PATH_PREFIX:
        if (r->path >= c->v.h->n_paths)
            return bad(c, "a rule's path is outside of the table");
        return r->path_kind == PATH_EXACT || c->v.paths[r->path].n > 0 || bad(c, "an empty prefix");
    case PATH_TEMPLATE:
        if (!string(c, r->path, &s))
            return bad(c, "a template is outside of the table");
        return path_template_valid(s, &why) || bad(c, "a bad template");
    case PATH_REGEX:
        return r->path < c->v.h->n_patterns || bad(c, "a rule's pattern is outside of the table");
    default:
        return bad(c, "an unknown kind of path");
    }
}

static bool check_value(struct check *c, const struct rt_value *v, bool header)
{
    struct str name, value;
    if (!string(c, v->name, &name) || name.n == 0)
        return bad(c, "a header or query rule without a name");
    if (header && !header_name_valid(name))
        return bad(c, "a bad header name");
    if (v->match > MATCH_PRESENT || v->invert > 1)
        return bad(c, "an unknown way to match a value");
    if (v->match == MATCH_REGEX)
        return v->value < c->v.h->n_patterns || bad(c, "a value's pattern is outside of the table");
    return string(c, v->value, &value) || bad(c, "a value is outside of the table");
}

static bool check_rules(struct check *c)
{
    const struct rt_header *h = c->v.h;
    for (uint32_t i = 0; i < h->n_rules; i++) {
        const struct rt_rule *r = &c->v.rules[i];
        struct str s;
        if (!check_path(c, r))
            return false;
        if (!string(c, r->route, &s))
            return bad(c, "a route's name is outside of the table");
        if (!string(c, r->method, &s) ||
            (s.n > 0 && !header_name_valid(s))) /* a token, as methods are */
            return bad(c, "a bad method");
        if (r->action >= h->n_actions)
            return bad(c, "a rule's action is outside of the table");
        uint32_t n = (uint32_t)r->n_headers + r->n_query;
        if (n > h->n_values || r->values > h->n_values - n)
            return bad(c, "a rule's values are outside of the table");
        for (uint32_t k = 0; k < n; k++)
            if (!check_value(c, &c->v.values[r->values + k], k < r->n_headers))
                return false;
    }
    return true;
}

/* ---- paths ---- */

static bool belongs(const struct check *c, const struct rt_rule *r, uint32_t path)
{
    struct str here = route_path_str(&c->v, &c->v.paths[path]);
    if (r->path_kind == PATH_EXACT || r->path_kind == PATH_PREFIX)
        return r->path == path;
    if (r->path_kind != PATH_TEMPLATE)
        return here.n == 0;
    struct str tmpl = route_str(c->v.base, r->path);
    return str_eq(str_sub(tmpl, 0, str_find(tmpl, '{')), here);
}

/* A rule belongs to one path; so when all lists together are as long as the rules and none repeats
   itself, each rule stands in exactly one. */
static bool check_refs(struct check *c)
{
    const struct rt_header *h = c->v.h;
    uint32_t next = 0;
    for (uint32_t p = 0; p < h->n_paths; p++) {
        const struct rt_path *path = &c->v.paths[p];
        if (path->first != next || path->n_refs > h->n_rules - next)
            return bad(c, "the rules of a path are outside of the table");
        for (uint32_t i = 0; i < path->n_refs; i++) {
            uint16_t rule = c->v.refs[next + i];
            if (rule >= h->n_rules || !belongs(c, &c->v.rules[rule], p))
                return bad(c, "a path lists a rule that is not its own");
            if (i > 0 && rule <= c->v.refs[next + i - 1])
                return bad(c, "the rules of a path are out of order");
        }
        next += path->n_refs;
    }
    return next == h->n_rules || bad(c, "a rule that no path lists");
}

static bool check_paths(struct check *c)
{
    const struct rt_path *v = c->v.paths;
    for (uint32_t p = 0; p < c->v.h->n_paths; p++) {
        if (v[p].n > 0 &&
            (v[p].at < c->v.strings || v[p].at > c->size || v[p].n > c->size - v[p].at))
            return bad(c, "a path is outside of the table");
        if (v[p].n == 0 && v[p].at != 0)
            return bad(c, "an empty path that stands somewhere");
        struct str s = route_path_str(&c->v, &v[p]);
        if (p > 0 && str_cmp(route_path_str(&c->v, &v[p - 1]), s) >= 0)
            return bad(c, "the paths are out of order");
        uint16_t parent = p ? (uint16_t)(p - 1) : ROUTE_NONE;
        while (parent != ROUTE_NONE && !str_starts(s, route_path_str(&c->v, &v[parent])))
            parent = v[parent].parent; /* smaller than itself, as was checked before */
        if (v[p].parent != parent)
            return bad(c, "a path with the wrong parent");
    }
    return true;
}

/* ---- actions ---- */

static bool check_texts(struct check *c, const struct rt_action *x)
{
    struct str scheme, host, path, type, other;
    uint16_t port;
    struct str name;
    if (!string(c, x->scheme, &scheme) || !string(c, x->host, &host) ||
        !string(c, x->path, &path) || !string(c, x->content_type, &type) ||
        !string(c, x->body, &other) || !string(c, x->policy, &other))
        return bad(c, "a text of an action is outside of the table");
    if (scheme.n && !str_eq(scheme, STR("http")) && !str_eq(scheme, STR("https")))
        return bad(c, "an unknown scheme");
    if (host.n && !authority_parse(host, &name, &port))
        return bad(c, "a bad host");
    if (path.n && (path.p[0] != '/' || !printable(path)))
        return bad(c, "a bad replacement path");
    return header_value_valid(type) || bad(c, "a bad content type");
}

static bool check_status(struct check *c, const struct rt_action *x)
{
    switch (x->type) {
    case ACTION_FORWARD:
        return x->status == 0 || bad(c, "a forward with a status");
    case ACTION_REDIRECT:
        return (x->status >= 301 && x->status <= 303) || x->status == 307 || x->status == 308 ||
               bad(c, "a redirect with a status that is none");
    case ACTION_REPLY:
        return (x->status >= 200 && x->status <= 599) || bad(c, "a reply with a bad status");
    default:
        return bad(c, "an unknown kind of action");
    }
}

static bool check_edits(struct check *c)
{
    struct str name, value;
    for (uint32_t i = 0; i < c->v.h->n_edits; i++) {
        const struct rt_edit *e = &c->v.edits[i];
        if (e->op > EDIT_REMOVE || e->response > 1)
            return bad(c, "an unknown header edit");
        if (!string(c, e->name, &name) || !header_name_valid(name))
            return bad(c, "a header edit with a bad name");
        if (!string(c, e->value, &value) || !header_value_valid(value))
            return bad(c, "a header edit with a bad value");
    }
    return true;
}

static bool check_backends(struct check *c)
{
    struct str s;
    for (uint32_t i = 0; i < c->v.h->n_backends; i++) {
        const struct rt_backend *b = &c->v.backends[i];
        if (!string(c, b->cluster, &s) || s.n == 0 || !string(c, b->policy, &s))
            return bad(c, "a backend with a bad name");
    }
    return true;
}

/* Actions share no backends and no edits, so that reading all of them costs no more than the bytes.
 */
static bool check_actions(struct check *c)
{
    const struct rt_header *h = c->v.h;
    uint32_t backends = 0, edits = 0;
    for (uint32_t i = 0; i < h->n_actions; i++) {
        const struct rt_action *x = &c->v.actions[i];
        uint64_t sum = 0;
        if (x->path_prefix > 1)
            return bad(c, "a flag that is neither set nor clear");
        if (!check_status(c, x) || !check_texts(c, x))
            return false;
        if (x->backends != backends || x->n_backends > h->n_backends - backends)
            return bad(c, "the backends of an action are not its own");
        if (x->edits != edits || x->n_edits > h->n_edits - edits)
            return bad(c, "the header edits of an action are not its own");
        for (uint32_t k = 0; k < x->n_backends; k++)
            sum += c->v.backends[backends + k].weight;
        if (sum > UINT32_MAX)
            return bad(c, "weights that add up to more than 32 bits hold");
        backends += x->n_backends;
        edits += x->n_edits;
    }
    return true;
}

static bool check_patterns(struct check *c)
{
    struct str s, before = STR("");
    for (uint32_t i = 0; i < c->v.h->n_patterns; i++, before = s) {
        if (!string(c, c->v.patterns[i], &s) || s.n == 0)
            return bad(c, "a pattern is outside of the table");
        if (str_cmp(before, s) >= 0)
            return bad(c, "the patterns are out of order");
    }
    return true;
}

/* ---- the whole ---- */

static bool check_head(struct check *c, struct str bytes)
{
    if ((uintptr_t)bytes.p % 4 != 0)
        return bad(c, "not aligned");
    if (bytes.n < sizeof(struct rt_header) || bytes.n > UINT32_MAX)
        return bad(c, "too short or too long");
    const struct rt_header *h = (const void *)bytes.p;
    if (h->magic != ROUTE_MAGIC)
        return bad(c, "not a route table of this version");
    if (h->size != bytes.n)
        return bad(c, "not of the size it says");
    if (h->n_rules > ROUTE_MAX_RULES || h->n_paths > h->n_rules || h->n_actions > h->n_rules)
        return bad(c, "more rules, paths or actions than a table has");
    return route_view(bytes, &c->v) || bad(c, "shorter than its parts");
}

bool route_table_check(struct str bytes, const char **ret_why)
{
    struct check c = { .size = bytes.n, .why = "" };
    bool ok = check_head(&c, bytes) && check_paths(&c) && check_patterns(&c) && check_rules(&c) &&
              check_refs(&c) && check_backends(&c) && check_edits(&c) && check_actions(&c);
    *ret_why = c.why;
    return ok;
}

size_t route_table_rules(struct str bytes)
{
    return ((const struct rt_header *)(const void *)bytes.p)->n_rules;
}
