/* Reference pages: a table for each object, its nested objects below it. Pure. */
#include "schema/walk.h"
#include <stdio.h>

enum { MAX_TABLES = 256, MAX_HEADING = 6 };
struct page {
    struct buf *out;
    unsigned heading;
    const struct schema *seen[MAX_TABLES];
    const char *path[MAX_TABLES]; /* where seen[i] is described */
    size_t n;
    struct arena a;
};

static void table(struct page *p, const struct schema *s, struct str path, unsigned heading);

/* A '|' would end the cell. */
static void cell(const char *text, struct buf *out)
{
    for (const char *c = text; c && *c; c++) {
        if (*c == '|')
            buf_char(out, '\\');
        buf_char(out, *c == '\n' ? ' ' : *c);
    }
}

static const char *type_name(const struct field *f)
{
    switch ((enum field_type)f->type) {
    case T_BOOL:
        return "boolean";
    case T_INT:
        return "integer";
    case T_NUMBER:
        return "number";
    case T_DUR:
        return "duration";
    case T_BYTES:
        return "size";
    case T_RATIO:
        return "ratio";
    case T_STR:
        return "string";
    case T_ENUM:
        return "enum";
    case T_OBJECT:
    case T_OBJECT_PTR:
        return "object";
    case T_LIST_STR:
        return "list of strings";
    case T_LIST_INT:
        return "list of integers";
    case T_LIST_OBJECT:
        return "list of objects";
    case T_MAP_STR:
        return "map of strings";
    case T_MAP_OBJECT:
        return "map of objects";
    case T_SECTIONS:
        return "sections";
    case T_NODE:
        return "any";
    }
    return "";
}

static const char *format_name(enum field_format f)
{
    static const char *const names[] = {
        [FMT_ANY] = NULL,
        [FMT_NAME] = "name",
        [FMT_HOST] = "host",
        [FMT_ADDRESS] = "address",
        [FMT_ENDPOINT] = "endpoint",
        [FMT_PATH] = "path",
        [FMT_TEMPLATE] = "path template",
        [FMT_REGEX] = "regular expression",
        [FMT_HEADER] = "header name",
        [FMT_HEADER_VALUE] = "header value",
        [FMT_METHOD] = "method",
        [FMT_URL] = "URL",
        [FMT_CIDR] = "address range",
        [FMT_FILE] = "file",
    };
    return names[f];
}

static void type_cell(const struct field *f, struct buf *out)
{
    const char *format = format_name(f->format);
    char lo[64], hi[64];
    buf_str(out, str_from(type_name(f)));
    if (f->flags & F_REF)
        buf_fmt(out, ", name of a %s", f->ref ? f->ref : "object");
    else if (format)
        buf_fmt(out, ", %s", format);
    if (f->flags & F_STR_SHORT)
        buf_fmt(out, " or its `%s` alone", f->sub->fields[0].name);
    if (f->min == 0 && f->max == 0)
        return;
    const char *unit = f->type == T_STR ? " characters" : f->type > T_ENUM ? " entries" : "";
    if (f->max >= f->min)
        buf_fmt(out, ", %s–%s%s", range_text(f, f->min, lo), range_text(f, f->max, hi), unit);
    else
        buf_fmt(out, ", from %s%s", range_text(f, f->min, lo), unit);
}

static void registry_cell(const struct field *f, struct buf *out)
{
    size_t n;
    const struct registry_row *rows = registry_rows(f->registry, &n);
    for (size_t i = 0; i < n; i++)
        buf_fmt(out, "%s`%s`", i ? ", " : " One of ", rows[i].key);
    if (n)
        buf_char(out, '.');
}

static void doc_cell(const struct field *f, struct buf *out)
{
    cell(f->doc, out);
    if (f->type == T_STR && f->registry) /* the keys are its values */
        registry_cell(f, out);
    if (f->values) {
        buf_str(out, STR(" One of "));
        for (const struct enum_value *v = f->values; v->name; v++) {
            buf_fmt(out, "%s`%s`", v == f->values ? "" : ", ", v->name);
            if (v->doc) {
                buf_str(out, STR(" ("));
                size_t n = strlen(v->doc);
                char text[256];
                snprintf(text, sizeof(text), "%.*s", (int)(n && v->doc[n - 1] == '.' ? n - 1 : n),
                         v->doc);
                cell(text, out);
                buf_char(out, ')');
            }
        }
        buf_char(out, '.');
    }
    if (f->example) {
        buf_str(out, STR(" Example: `"));
        cell(f->example, out);
        buf_str(out, STR("`."));
    }
    if (f->flags & F_SECRET)
        buf_str(out, STR(" Secret: never shown."));
    if (f->flags & F_IMMUTABLE)
        buf_str(out, STR(" Cannot be changed later."));
    if (f->flags & F_EXPERIMENTAL)
        buf_str(out, STR(" Experimental."));
}

static void rows(struct page *p, const struct schema *s, bool one_of)
{
    for (const struct field *f = s->fields; f->name; f++) {
        if (field_inlined(f)) {
            rows(p, f->sub, one_of || f->sub->one_of);
            continue;
        }
        if ((f->flags & F_INLINE) && f->type == T_SECTIONS) {
            buf_fmt(p->out, "| *section* | object | | ");
            cell(f->doc, p->out);
            buf_str(p->out, STR(" |\n"));
            continue;
        }
        buf_fmt(p->out, "| `%s` | ", f->name);
        type_cell(f, p->out);
        buf_str(p->out, STR(" | "));
        if (f->flags & F_REQUIRED) {
            buf_str(p->out, STR("**required**"));
        } else if (f->def) {
            buf_char(p->out, '`');
            cell(f->def, p->out);
            buf_char(p->out, '`');
        } else if (f->type == T_BOOL) {
            buf_str(p->out, STR("`false`"));
        }
        buf_str(p->out, STR(" | "));
        doc_cell(f, p->out);
        buf_str(p->out, STR(" |\n"));
    }
}

static bool described(const struct page *p, const struct schema *s, const char **ret_path)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->seen[i] == s) {
            *ret_path = p->path[i];
            return true;
        }
    }
    return false;
}

static void sub_table(struct page *p, const struct schema *s, struct str path, const char *name,
                      const char *suffix)
{
    struct str sub = arena_fmt(&p->a, "%.*s%s%s%s", STR_FMT(path), path.n ? "." : "", name, suffix);
    table(p, s, sub, p->heading + 1);
}

static void subs(struct page *p, const struct schema *s, struct str path)
{
    for (const struct field *f = s->fields; f->name; f++) {
        if (field_inlined(f)) {
            subs(p, f->sub, path);
        } else if (f->type == T_SECTIONS) {
            size_t n;
            const struct registry_row *r = registry_rows(f->registry, &n);
            struct str at = path;
            if (!(f->flags & F_INLINE))
                at = arena_fmt(&p->a, "%.*s%s%s", STR_FMT(path), path.n ? "." : "", f->name);
            for (size_t i = 0; i < n; i++)
                if (r[i].schema)
                    sub_table(p, r[i].schema, at, r[i].key, "");
        } else if (f->sub) {
            sub_table(p, f->sub, path, f->name,
                      f->type == T_LIST_OBJECT  ? "[]"
                      : f->type == T_MAP_OBJECT ? ".*"
                                                : "");
        }
    }
}

static void table(struct page *p, const struct schema *s, struct str path, unsigned heading)
{
    const char *where;
    for (unsigned i = 0; i < (heading < MAX_HEADING ? heading : MAX_HEADING); i++)
        buf_char(p->out, '#');
    if (path.n)
        buf_fmt(p->out, " `%.*s`\n\n", STR_FMT(path));
    else
        buf_fmt(p->out, " %s\n\n", s->name);
    if (described(p, s, &where)) {
        buf_fmt(p->out, "The fields of `%s`.\n\n", where);
        return;
    }
    if (p->n < MAX_TABLES) {
        p->seen[p->n] = s;
        p->path[p->n++] = path.n ? path.p : s->name;
    }
    if (s->doc)
        buf_fmt(p->out, "%s\n\n", s->doc);
    if (s->one_of)
        buf_str(p->out, STR("Exactly one of these fields is given.\n\n"));
    buf_str(p->out, STR("| field | type | default | what it says |\n|---|---|---|---|\n"));
    rows(p, s, s->one_of);
    buf_char(p->out, '\n');
    subs(p, s, path);
}

void schema_markdown(const struct schema *s, unsigned heading, struct buf *out)
{
    struct page p = { .out = out, .heading = heading };
    arena_init(&p.a, 0, 0);
    table(&p, s, STR(""), heading);
    arena_fini(&p.a);
}
