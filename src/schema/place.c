/* Errors about a place in a document: paths are rendered only here. Pure but for the errors it
 * adds. */
#include "schema/walk.h"
#include <stdio.h>

static bool simple_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-')
            return false;
    }
    return s.n > 0;
}

void place_path(const struct walk *w, const struct place *at, struct buf *out)
{
    if (!at) {
        buf_str(out, w->path);
        return;
    }
    place_path(w, at->up, out);
    if (!at->name.p) {
        buf_fmt(out, "[%zu]", at->index);
    } else if (simple_name(at->name)) {
        if (out->n)
            buf_char(out, '.');
        buf_str(out, at->name);
    } else {
        buf_char(out, '[');
        json_escape(at->name, out);
        buf_char(out, ']');
    }
}

static bool add(const struct walk *w, const struct place *at, const struct error *where,
                const char *fmt, va_list ap)
{
    char msg[1024];
    vsnprintf(msg, sizeof(msg), fmt, ap);
    struct buf path;
    buf_init(&path, 4096);
    place_path(w, at, &path);
    fail(w->e, where->file, where->line, where->col, buf_view(&path), "%s", msg);
    buf_fini(&path);
    return false;
}

bool place_fail(const struct walk *w, const struct place *at, const struct node *n, const char *fmt,
                ...)
{
    struct error where = { .file = STR_INIT("") };
    if (n)
        where = (struct error){ .file = n->file, .line = n->line, .col = n->col };
    va_list ap;
    va_start(ap, fmt);
    add(w, at, &where, fmt, ap);
    va_end(ap);
    return false;
}

bool place_fail_key(const struct walk *w, const struct place *at, const struct node *map,
                    const struct node_pair *key, const char *fmt, ...)
{
    struct error where = { .file = map->file, .line = key->line, .col = key->col };
    va_list ap;
    va_start(ap, fmt);
    add(w, at, &where, fmt, ap);
    va_end(ap);
    return false;
}

const char *place_show(struct str s, char out[96])
{
    static const struct str pem = STR_INIT("-----BEGIN");
    size_t n = s.n;
    if (str_starts(s, pem)) { /* a key in the wrong place stays a key */
        n = pem.n;
    } else if (n > 64) {
        n = 64;
        while (n > 60 &&
               ((unsigned char)s.p[n] & 0xC0) == 0x80) /* not in the middle of a character */
            n--;
    }
    snprintf(out, 96, "%.*s%s", (int)n, s.n ? s.p : "", s.n > n ? "..." : "");
    return out;
}

bool place_want(const struct walk *w, const struct place *at, const struct node *n,
                const char *want, bool secret)
{
    char shown[96];
    if (secret)
        return place_fail(w, at, n, "want %s", want);
    switch ((enum node_type)n->type) {
    case NODE_NULL:
        return place_fail(w, at, n, "want %s, got null", want);
    case NODE_LIST:
        return place_fail(w, at, n, "want %s, got a list", want);
    case NODE_MAP:
        return place_fail(w, at, n, "want %s, got a map", want);
    default:
        return place_fail(w, at, n, "want %s, got '%s'", want, place_show(n->text, shown));
    }
}

/* Equal but for case and separators: dry_run and dryRun. */
static bool same_letters(struct str a, struct str b)
{
    size_t i = 0, j = 0;
    for (;;) {
        while (i < a.n && (a.p[i] == '_' || a.p[i] == '-'))
            i++;
        while (j < b.n && (b.p[j] == '_' || b.p[j] == '-'))
            j++;
        if (i == a.n || j == b.n)
            return i == a.n && j == b.n;
        if (ascii_lower(a.p[i++]) != ascii_lower(b.p[j++]))
            return false;
    }
}

void guess_try(struct guess *g, struct str name)
{
    if (g->wrong.n == 0 || g->wrong.n > 64)
        return;
    size_t allowed = g->wrong.n <= 3 ? 1 : 2;
    size_t d = same_letters(g->wrong, name) ? 0 : str_distance(g->wrong, name);
    if (d <= allowed && (!g->best.p || d < g->distance)) {
        g->best = name;
        g->distance = d;
    }
}

const char *guess_text(const struct guess *g, char out[96])
{
    if (!g->best.p || g->best.n > 60)
        return "";
    snprintf(out, 96, "; did you mean '%.*s'?", STR_FMT(g->best));
    return out;
}
