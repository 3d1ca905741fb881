/* Collected errors. See error.h. */
#include "base/error.h"
#include "base/mem.h"
#include <stdlib.h>

enum { ERRORS_MAX = 100 };

void errors_init(struct errors *e, struct arena *a)
{
    *e = (struct errors){ .a = a, .max = ERRORS_MAX };
}

static bool room(struct errors *e)
{
    if (e->n < e->cap)
        return true;
    if (e->n >= e->max)
        return false;
    size_t cap = e->cap ? e->cap * 2 : 8;
    struct error *v = ARENA_ARRAY(e->a, struct error, cap);
    if (e->n)
        memcpy(v, e->v, e->n * sizeof(*v));
    e->v = v;
    e->cap = cap;
    return true;
}

static void add(struct errors *e, struct error err, const char *fmt, va_list ap)
{
    if (!room(e)) {
        e->dropped += !err.warning;
        return;
    }
    /* Errors of one document share its name: the copy made for the last one serves again. */
    if (e->n > 0 && str_eq(e->v[e->n - 1].file, err.file))
        err.file = e->v[e->n - 1].file;
    else
        err.file = arena_str(e->a, err.file);
    err.path = arena_str(e->a, err.path);
    err.msg = arena_vfmt(e->a, fmt, ap);
    e->v[e->n++] = err;
    e->warnings += err.warning;
}

bool fail(struct errors *e, struct str file, uint32_t line, uint32_t col, struct str path,
          const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(e, (struct error){ .file = file, .line = line, .col = col, .path = path }, fmt, ap);
    va_end(ap);
    return false;
}

bool warn(struct errors *e, struct str file, uint32_t line, uint32_t col, struct str path,
          const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(e, (struct error){ .file = file, .line = line, .col = col, .path = path, .warning = true },
        fmt, ap);
    va_end(ap);
    return false;
}

bool errors_any(const struct errors *e)
{
    return e->n > e->warnings || e->dropped > 0;
}

static int by_place(const void *pa, const void *pb)
{
    const struct error *a = pa, *b = pb;
    int c = str_cmp(a->file, b->file);
    if (c != 0)
        return c;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    if (a->col != b->col)
        return a->col < b->col ? -1 : 1;
    return str_cmp(a->msg, b->msg);
}

void errors_sort(struct errors *e)
{
    if (e->n > 1)
        qsort(e->v, e->n, sizeof(*e->v), by_place);
}

void error_format(const struct error *e, struct buf *out)
{
    if (e->file.n)
        buf_fmt(out, "%.*s:", STR_FMT(e->file));
    if (e->line)
        buf_fmt(out, "%u:", e->line);
    if (e->line && e->col)
        buf_fmt(out, "%u:", e->col);
    if (e->file.n || e->line)
        buf_char(out, ' ');
    if (e->path.n)
        buf_fmt(out, "%.*s: ", STR_FMT(e->path));
    buf_fmt(out, "%s%.*s", e->warning ? "warning: " : "", STR_FMT(e->msg));
}
