/* Request targets: the one normalisation done before matching, queries, templates, prefixes. Pure;
 * any thread. */
#include "codec/path.h"
#include "codec/scan.h"

static enum path_result fault(const char **why, const char *text)
{
    *why = text;
    return PATH_BAD;
}

static const char *byte_fault(char c)
{
    if (c == '#')
        return "fragment in the path";
    if (c == '\\')
        return "backslash in the path";
    if ((uint8_t)c <= 0x20 || c == 0x7f)
        return "control byte or space in the path";
    return (uint8_t)c >= 0x80 ? "non-ASCII byte in the path"
                              : "byte that must be percent-encoded in a path";
}

static bool hex_pair(const char *p, const char *end, uint8_t *ret)
{
    if (end - p < 2 || !scan_is(p[0], SCAN_HEX) || !scan_is(p[1], SCAN_HEX))
        return false;
    *ret = (uint8_t)(scan_hex(p[0]) << 4 | scan_hex(p[1]));
    return true;
}

/* ---- normalisation ---- */

/* Index of the first byte of path that is not plainly normal: '%', a dot that begins a segment, or
 * a byte that has no place. */
static size_t plain_length(struct str path)
{
    size_t i = 0;
    for (;;) {
        while (i < path.n && scan_is(path.p[i], SCAN_PATH))
            i++;
        if (i == path.n || path.p[i] != '.' || path.p[i - 1] == '/') /* path.p[0] is '/' */
            return i;
        i++;
    }
}

/* Bytes of the escape or byte at s.p[i] that some servers take for the end of a segment (%2F, %5C)
 * or of its name (";", %3B); 0: neither. */
static size_t divider(struct str s, size_t i, bool *ret_name_only)
{
    *ret_name_only = s.p[i] == ';';
    if (*ret_name_only)
        return 1;
    if (s.p[i] != '%') /* escapes are whole and upper-case here */
        return 0;
    unsigned v = scan_hex(s.p[i + 1]) << 4 | scan_hex(s.p[i + 2]);
    *ret_name_only = v == ';';
    return v == '/' || v == '\\' || v == ';' ? 3 : 0;
}

/* "..;", "..%2F" and the like: a name for us, a dot segment for others, so that they would serve
   another path than was matched (T10). */
static bool hidden_dots(struct str s)
{
    size_t dots = 0; /* of the part so far; SIZE_MAX: it is no dot segment */
    bool in_parameter = false, divided = false, name_only;
    for (size_t i = 0; i < s.n;) {
        size_t n = divider(s, i, &name_only);
        if (n && !in_parameter && (dots == 1 || dots == 2))
            return true;
        if (n) {
            divided = true;
            in_parameter = name_only;
            dots = 0;
        } else if (s.p[i] != '.') {
            dots = SIZE_MAX;
        } else if (dots != SIZE_MAX) {
            dots++;
        }
        i += n ? n : 1;
    }
    return divided && !in_parameter && (dots == 1 || dots == 2);
}

/* A segment has ended: out[*seg, *w). "." goes, ".." takes its parent along. Returns false and a
   reason when the path climbs over the root, or over an empty segment, which some read as nothing
   and some as a segment. ret_kept: the segment stays. */
static bool end_segment(const char *out, size_t *seg, size_t *w, bool *ret_kept, const char **why)
{
    size_t n = *w - *seg;
    *ret_kept = false;
    if (n == 1 && out[*seg] == '.') {
        *w = *seg;
        return true;
    }
    if (n != 2 || out[*seg] != '.' || out[*seg + 1] != '.') {
        *ret_kept = !hidden_dots((struct str){ out + *seg, n });
        if (!*ret_kept)
            *why = "dot segment hidden by ';', %2F or %5C";
        return *ret_kept;
    }
    if (*seg == 1) {
        *why = "path climbs over the root";
        return false;
    }
    size_t parent = *seg - 1; /* its closing slash */
    while (out[parent - 1] != '/')
        parent--;
    if (parent == *seg - 1) {
        *why = "dot segments after an empty segment";
        return false;
    }
    *seg = *w = parent;
    return true;
}

/* The byte or escape at path.p[*i] to out[*w]. Never writes more than it reads. */
static const char *copy_byte(struct str path, size_t *i, char *out, size_t *w)
{
    static const char digits[] = "0123456789ABCDEF";
    char c = path.p[*i];
    uint8_t v;
    if (c != '%') {
        if (!scan_is(c, SCAN_PATH) && c != '.')
            return byte_fault(c);
        out[(*w)++] = c;
        (*i)++;
        return NULL;
    }
    if (!hex_pair(path.p + *i + 1, path.p + path.n, &v))
        return "malformed percent-encoding";
    if (v == 0)
        return "%00 in the path";
    *i += 3;
    if (scan_is((char)v, SCAN_UNRESERVED)) {
        out[(*w)++] = (char)v;
        return NULL;
    }
    out[(*w)++] = '%';
    out[(*w)++] = digits[v >> 4];
    out[(*w)++] = digits[v & 15];
    return NULL;
}

/* RFC 3986 sections 6.2.2 and 5.2.4 on a path that begins with '/'. */
static bool rebuild(struct str path, char *out, size_t *ret_n, const char **why)
{
    size_t w = 1, seg = 1, i = 1; /* seg: where the current segment begins in out */
    bool kept;
    out[0] = '/';
    while (i < path.n) {
        if (path.p[i] != '/') {
            const char *bad = copy_byte(path, &i, out, &w);
            if (bad) {
                *why = bad;
                return false;
            }
            continue;
        }
        if (!end_segment(out, &seg, &w, &kept, why))
            return false;
        if (kept) {
            out[w++] = '/';
            seg = w;
        }
        i++;
    }
    if (!end_segment(out, &seg, &w, &kept, why))
        return false;
    *ret_n = w;
    return true;
}

enum path_result path_normalise(struct str target, char *out, size_t cap, struct str *ret,
                                const char **ret_why)
{
    *ret = target;
    *ret_why = "";
    CHECK(cap >= target.n);
    if (target.n == 1 && target.p[0] == '*')
        return PATH_SAME;
    if (target.n == 0 || target.p[0] != '/')
        return fault(ret_why, "path without a leading slash");
    const char *q = memchr(target.p, '?', target.n), *end = target.p + target.n;
    struct str path = { target.p, q ? (size_t)(q - target.p) : target.n };
    const char *unused;
    if (q && scan_target(q, end, &unused) != end)
        return fault(ret_why, "control byte, space, '#' or non-ASCII byte in the query");
    if (LIKELY(plain_length(path) == path.n))
        return PATH_SAME;
    size_t n;
    if (!rebuild(path, out, &n, ret_why))
        return PATH_BAD;
    if (n == path.n && memcmp(out, path.p, n) == 0)
        return PATH_SAME;
    memcpy(out + n, path.p + path.n, target.n - path.n); /* the query, as it came */
    *ret = (struct str){ out, n + target.n - path.n };
    return PATH_CHANGED;
}

bool path_ambiguous(struct str path)
{
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        if (c == ';' || c == '\\' || (c == '/' && i > 0 && path.p[i - 1] == '/'))
            return true;
        uint8_t v;
        if (c == '%' && hex_pair(path.p + i + 1, path.p + path.n, &v) &&
            (v == '/' || v == '\\' || v == ';' || v == 0))
            return true;
    }
    return false;
}

bool path_prefix_match(struct str prefix, struct str path)
{
    if (prefix.n > 0 && prefix.p[prefix.n - 1] == '/')
        prefix.n--;
    if (!str_starts(path, prefix))
        return false;
    return path.n == prefix.n || path.p[prefix.n] == '/';
}

/* ---- queries ---- */

/* The decoded byte at *i; a '%' that begins no escape stands for itself, as it does in every form
 * decoder. */
static char query_byte(struct str s, size_t *i)
{
    char c = s.p[(*i)++];
    uint8_t v;
    if (c == '+')
        return ' ';
    if (c != '%' || !hex_pair(s.p + *i, s.p + s.n, &v))
        return c;
    *i += 2;
    return (char)v;
}

static bool query_same(struct str a, struct str b)
{
    size_t i = 0, j = 0;
    while (i < a.n && j < b.n)
        if (query_byte(a, &i) != query_byte(b, &j))
            return false;
    return i == a.n && j == b.n;
}

bool query_find(struct str query, struct str key, struct str *ret_value)
{
    struct str rest = query, pair;
    *ret_value = STR("");
    while (rest.n > 0) {
        size_t amp = str_find(rest, '&');
        pair = str_sub(rest, 0, amp);
        rest = str_sub(rest, amp + 1, rest.n);
        size_t eq = str_find(pair, '=');
        if (pair.n == 0 || !query_same(str_sub(pair, 0, eq), key))
            continue;
        *ret_value = str_sub(pair, eq + 1, pair.n);
        return true;
    }
    return false;
}

bool percent_decode(struct str s, bool plus_is_space, char *out, size_t *ret_n)
{
    size_t w = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t v = (uint8_t)s.p[i];
        if (v == '+' && plus_is_space)
            v = ' ';
        if (s.p[i] == '%') {
            if (!hex_pair(s.p + i + 1, s.p + s.n, &v))
                return false;
            i += 2;
        }
        out[w++] = (char)v;
    }
    *ret_n = w;
    return true;
}

/* ---- templates ---- */

/* One segment of a template. */
struct piece {
    struct str text;    /* a literal, or a capture's name */
    bool capture, rest; /* {name}, {name...} */
};

/* Takes the segment after the slash at the start of *tmpl off it. False at the end. */
static bool next_piece(struct str *tmpl, struct piece *ret)
{
    if (tmpl->n == 0)
        return false;
    struct str rest = str_sub(*tmpl, 1, tmpl->n);
    size_t n = str_find(rest, '/');
    struct str s = str_sub(rest, 0, n);
    *tmpl = str_sub(rest, n, rest.n);
    *ret = (struct piece){ .text = s };
    if (s.n < 2 || s.p[0] != '{' || s.p[s.n - 1] != '}')
        return true;
    ret->capture = true;
    ret->text = str_sub(s, 1, s.n - 1);
    ret->rest = str_ends(ret->text, STR("..."));
    if (ret->rest)
        ret->text.n -= 3;
    return true;
}

static bool capture_name_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        if (!((c >= 'a' && c <= 'z') || c == '_' ||
              (i > 0 && ((c >= '0' && c <= '9') || c == '-'))))
            return false;
    }
    return s.n > 0;
}

static const char whole_segment[] = "a capture takes a whole segment: /{name}/";

static const char *piece_fault(const struct piece *p, const struct path_captures *before)
{
    if (!p->capture) {
        for (size_t i = 0; i < p->text.n; i++)
            if (!scan_is(p->text.p[i], SCAN_PATH) && p->text.p[i] != '.' && p->text.p[i] != '%')
                return p->text.p[i] == '{' || p->text.p[i] == '}' ? whole_segment
                                                                  : byte_fault(p->text.p[i]);
        return NULL;
    }
    if (str_find(p->text, '{') < p->text.n || str_find(p->text, '}') < p->text.n)
        return whole_segment;
    if (!capture_name_valid(p->text))
        return "a capture's name is letters, digits, '_' and '-'";
    if (before->n == PATH_MAX_CAPTURES)
        return "more than 8 captures";
    for (uint8_t i = 0; i < before->n; i++)
        if (str_eq(before->name[i], p->text))
            return "the same capture name twice";
    return NULL;
}

bool path_template_valid(struct str tmpl, const char **ret_why)
{
    struct path_captures names = { .n = 0 };
    struct piece p;
    *ret_why = "a path begins with '/'";
    if (tmpl.n == 0 || tmpl.p[0] != '/')
        return false;
    while (next_piece(&tmpl, &p)) {
        *ret_why = piece_fault(&p, &names);
        if (*ret_why)
            return false;
        if (p.rest && tmpl.n > 0) {
            *ret_why = "{name...} must come last";
            return false;
        }
        if (p.capture)
            names.name[names.n++] = p.text;
    }
    *ret_why = "";
    return true;
}

bool path_template_match(struct str tmpl, struct str path, struct path_captures *ret)
{
    struct piece p;
    ret->n = 0;
    while (next_piece(&tmpl, &p)) {
        if (path.n == 0 || path.p[0] != '/')
            return false;
        path = str_sub(path, 1, path.n);
        size_t n = p.rest ? path.n : str_find(path, '/');
        struct str segment = str_sub(path, 0, n);
        path = str_sub(path, n, path.n);
        if (!p.capture) {
            if (!str_eq(p.text, segment))
                return false;
            continue;
        }
        if (ret->n == PATH_MAX_CAPTURES || (n == 0 && !p.rest))
            return false;
        ret->name[ret->n] = p.text;
        ret->value[ret->n++] = segment;
    }
    return path.n == 0;
}

static const struct str *capture_find(const struct path_captures *c, struct str name)
{
    if (str_ends(name, STR("...")))
        name.n -= 3;
    for (uint8_t i = 0; i < c->n; i++)
        if (str_eq(c->name[i], name))
            return &c->value[i];
    return NULL;
}

bool path_template_fill(struct str pattern, const struct path_captures *c, char *out, size_t cap,
                        size_t *ret_n)
{
    size_t w = 0;
    for (size_t i = 0; i < pattern.n;) {
        struct str piece = str_sub(pattern, i, i + 1);
        if (pattern.p[i] == '}')
            return false;
        if (pattern.p[i] == '{') {
            struct str tail = str_sub(pattern, i + 1, pattern.n);
            size_t close = str_find(tail, '}');
            const struct str *value =
                close < tail.n ? capture_find(c, str_sub(tail, 0, close)) : NULL;
            if (!value)
                return false;
            piece = *value;
            i += close + 2;
        } else {
            i++;
        }
        if (piece.n > cap - w)
            return false;
        if (piece.n)
            memcpy(out + w, piece.p, piece.n);
        w += piece.n;
    }
    *ret_n = w;
    return true;
}
