/* Errors for a person: plain lines, or with the source line and a caret. Reads the files again,
   once each in a row. Not for the log. Called by commands on the main thread. */
#include "cli/render_errors.h"
#include "io/file.h"
#include <stdlib.h>
#include <unistd.h>

enum {
    MAX_SOURCE = 64 << 20,
    MAX_SHOWN = 160
}; /* bytes of a file read again, characters of a line shown */

struct render {
    struct buf out;
    bool fancy, colour;
    struct arena a; /* holds the file read last */
    struct str file, text;
};

static const char *style(const struct render *r, const char *code)
{
    return r->colour ? code : "";
}

/* Escapes what a terminal would act on: controls, also those that UTF-8 spells in two bytes (C1).
 */
static void add_safe(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool c1 = c == 0xC2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xA0;
        if (c == '\t')
            buf_char(out, ' ');
        else if (c < 0x20 || c == 0x7F || c1)
            buf_fmt(out, "\\x%02x", c);
        else
            buf_char(out, s.p[i]);
    }
}

static void load(struct render *r, struct str file)
{
    if (r->file.p && str_eq(r->file, file))
        return;
    arena_fini(&r->a);
    arena_init(&r->a, 0, 0);
    r->file = file;
    if (!file_read(&r->a, arena_cstr(&r->a, file), MAX_SOURCE, &r->text))
        r->text = STR("");
}

static struct str source_line(struct str text, uint32_t line)
{
    struct str head = text, rest = text;
    for (uint32_t i = 1; i < line; i++) {
        if (!str_cut(rest, '\n', &head, &rest))
            return STR("");
    }
    if (str_cut(rest, '\n', &head, &text))
        rest = head;
    if (rest.n && rest.p[rest.n - 1] == '\r')
        rest.n--;
    return rest;
}

/* Byte offset of the character col, from 1. */
static size_t char_offset(struct str s, uint32_t col)
{
    size_t i = 0;
    for (uint32_t c = 1; c < col && i < s.n; c++) {
        i++;
        while (i < s.n && ((unsigned char)s.p[i] & 0xC0) == 0x80)
            i++;
    }
    return i;
}

static void add_source(struct render *r, const struct error *e)
{
    if (!r->fancy || e->file.n == 0 || e->line == 0)
        return;
    load(r, e->file);
    struct str s = source_line(r->text, e->line);
    if (s.n == 0)
        return;
    /* A long line is shown from near the place on. */
    uint32_t col = e->col ? e->col : 1, first = col > MAX_SHOWN / 2 ? col - MAX_SHOWN / 2 : 1;
    size_t from = char_offset(s, first);
    size_t to = from + char_offset(str_sub(s, from, s.n), MAX_SHOWN + 1);
    struct buf before;
    buf_init(&before, 1 << 16);
    add_safe(&before, str_sub(s, from, char_offset(s, col)));
    buf_fmt(&r->out, "%s%5u |%s ", style(r, "\033[2m"), e->line, style(r, "\033[0m"));
    add_safe(&r->out, str_sub(s, from, to));
    buf_fmt(&r->out, "\n%s      |%s ", style(r, "\033[2m"), style(r, "\033[0m"));
    for (size_t i = 0; i < before.n; i++)
        if (((unsigned char)before.p[i] & 0xC0) != 0x80)
            buf_char(&r->out, ' ');
    buf_fmt(&r->out, "%s^%s\n", style(r, "\033[31m"), style(r, "\033[0m"));
    buf_fini(&before);
}

static void add_error(struct render *r, const struct error *e)
{
    buf_str(&r->out, str_from(style(r, "\033[1m")));
    if (e->file.n) {
        add_safe(&r->out, e->file);
        buf_char(&r->out, ':');
    }
    if (e->line) {
        buf_fmt(&r->out, "%u:", e->line);
        if (e->col)
            buf_fmt(&r->out, "%u:", e->col);
    }
    buf_str(&r->out, str_from(style(r, "\033[0m")));
    if (e->file.n || e->line)
        buf_char(&r->out, ' ');
    if (e->warning)
        buf_fmt(&r->out, "%swarning:%s ", style(r, "\033[33m"), style(r, "\033[0m"));
    if (e->path.n) {
        buf_str(&r->out, str_from(style(r, "\033[36m")));
        add_safe(&r->out, e->path);
        buf_fmt(&r->out, "%s: ", style(r, "\033[0m"));
    }
    add_safe(&r->out, e->msg);
    buf_char(&r->out, '\n');
    add_source(r, e);
}

static void write_all(int fd, struct str s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n <= 0)
            return; /* there is nobody left to tell */
        s = str_sub(s, (size_t)n, s.n);
    }
}

void render_errors(const struct errors *e, int fd, bool fancy)
{
    const char *no_colour = getenv("NO_COLOR");
    struct render r = { .fancy = fancy, .colour = fancy && !(no_colour && *no_colour) };
    size_t errors = e->n - e->warnings + e->dropped;
    buf_init(&r.out, 4 << 20); /* 100 errors with their lines, and room to spare */
    arena_init(&r.a, 0, 0);
    for (size_t i = 0; i < e->n; i++)
        add_error(&r, &e->v[i]);
    if (errors + e->warnings > 1) {
        buf_fmt(&r.out, "%zu error%s", errors, errors == 1 ? "" : "s");
        if (e->warnings)
            buf_fmt(&r.out, ", %zu warning%s", e->warnings, e->warnings == 1 ? "" : "s");
        if (e->dropped)
            buf_fmt(&r.out, " (%zu not shown)", e->dropped);
        buf_char(&r.out, '\n');
    }
    write_all(fd, buf_view(&r.out));
    buf_fini(&r.out);
    arena_fini(&r.a);
}
