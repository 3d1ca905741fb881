/* Finds mistakes in our own tables: run by a unit test and at the start of debug builds. Pure. */
#include "schema/walk.h"

enum { MAX_SEEN = 512 };
struct lint {
    struct buf *out;
    const struct schema *seen[MAX_SEEN];
    size_t n;
    bool ok;
};

static void lint_schema(struct lint *l, const struct schema *s);

static void say(struct lint *l, const struct schema *s, const struct field *f, const char *what)
{
    l->ok = false;
    buf_fmt(l->out, "%s.%s: %s\n", s->name ? s->name : "?", f ? f->name : "", what);
}

static size_t type_size(const struct field *f)
{
    switch ((enum field_type)f->type) {
    case T_BOOL:
        return sizeof(bool);
    case T_INT:
        return sizeof(int64_t);
    case T_NUMBER:
        return sizeof(double);
    case T_DUR:
        return sizeof(struct dur);
    case T_BYTES:
        return sizeof(struct bytes);
    case T_RATIO:
        return sizeof(struct ratio);
    case T_STR:
        return sizeof(struct str);
    case T_ENUM:
        return 1;
    case T_OBJECT:
        return f->sub ? f->sub->size : 0;
    case T_OBJECT_PTR:
    case T_SECTIONS:
    case T_NODE:
        return sizeof(void *);
    default:
        return sizeof(struct any_list);
    }
}

static bool camel_case(const char *name)
{
    if (!(name[0] >= 'a' && name[0] <= 'z'))
        return false;
    for (const char *c = name; *c; c++)
        if (!(ascii_lower(*c) >= 'a' && ascii_lower(*c) <= 'z') && !(*c >= '0' && *c <= '9'))
            return false;
    return true;
}

static void lint_text(struct lint *l, const struct schema *s, const struct field *f)
{
    size_t n = f->doc ? strlen(f->doc) : 0;
    if (!camel_case(f->name))
        say(l, s, f, "the name is not camelCase");
    if (n == 0)
        say(l, s, f, "has no doc");
    else if (f->doc[n - 1] != '.')
        say(l, s, f, "the doc does not end with a full stop");
}

static void lint_shape(struct lint *l, const struct schema *s, const struct field *f)
{
    bool object = f->type == T_OBJECT || f->type == T_OBJECT_PTR || f->type == T_LIST_OBJECT ||
                  f->type == T_MAP_OBJECT;
    if (object != (f->sub != NULL))
        say(l, s, f, object ? "has no schema of its objects" : "has a schema but takes no objects");
    if (f->type == T_ENUM && (!f->values || !f->values->name))
        say(l, s, f, "has no values");
    if (f->type == T_SECTIONS && !f->registry)
        say(l, s, f, "names no registry");
    if ((f->flags & F_INLINE) && f->type != T_OBJECT && f->type != T_SECTIONS)
        say(l, s, f, "only an object or sections can be inlined");
    if ((f->flags & F_STR_SHORT) && (!f->sub || !field_is_scalar(&f->sub->fields[0])))
        say(l, s, f, "the short form needs a scalar first field");
    if ((f->flags & F_KEY_NOCASE) && f->type != T_MAP_STR)
        say(l, s, f, "only a map of strings has keys without case");
    if ((f->flags & F_REF) && (!f->ref || (f->type != T_STR && f->type != T_LIST_STR)))
        say(l, s, f, "a reference is a string with the kind it names");
    if (f->format != FMT_ANY && f->type != T_STR && f->type != T_LIST_STR && f->type != T_MAP_STR &&
        f->type != T_MAP_OBJECT)
        say(l, s, f, "a format is for strings");
    if ((object && f->type != T_OBJECT_PTR && f->type != T_OBJECT && f->sub && f->sub->size == 0))
        say(l, s, f, "its objects have no size");
    if (f->size != type_size(f))
        say(l, s, f, "the member does not have the size of the type");
    if ((size_t)f->offset + f->size > s->size)
        say(l, s, f, "the member is outside the struct");
    for (const struct field *g = s->fields; g < f; g++)
        if (f->offset < g->offset + g->size && g->offset < f->offset + f->size)
            say(l, s, f, "shares its member with another field");
}

/* The default must pass the checks a user's value passes. */
static void lint_default(struct lint *l, const struct schema *s, const struct field *f)
{
    struct arena a;
    struct errors e;
    node_list docs;
    if (!f->def)
        return;
    if (f->flags & F_REQUIRED)
        say(l, s, f, "is required and has a default");
    arena_init(&a, 0, 0);
    errors_init(&e, &a);
    const struct field alone[] = { *f, FEND };
    struct schema one = { .name = s->name, .size = s->size, .fields = alone };
    struct node *map = node_new(&a, NODE_MAP), *value = NULL;
    if (f->type == T_STR)
        value = node_string(&a, str_from(f->def));
    else if (yaml_parse(&a, STR("default"), str_from(f->def), NULL, &docs, &e) && docs.n == 1)
        value = docs.v[0];
    if (value) {
        node_map_set(&a, map, str_from(f->name), value);
        struct walk w = { .a = &a, .e = &e, .path = STR_INIT("") };
        object_parse(&w, &one, map, NULL, NULL);
    }
    if (!value || errors_any(&e)) {
        say(l, s, f, "the default does not parse");
        for (size_t i = 0; i < e.n; i++)
            buf_fmt(l->out, "  %.*s\n", STR_FMT(e.v[i].msg));
    }
    arena_fini(&a);
}

static size_t lint_names(struct lint *l, const struct schema *top, const struct schema *s)
{
    size_t n = 0;
    for (const struct field *f = s->fields; f->name; f++) {
        if (field_inlined(f) && f->sub) {
            n += lint_names(l, top, f->sub);
            continue;
        }
        n++;
        if (!(f->flags & F_INLINE) && field_find(top, str_from(f->name), NULL, NULL) != f)
            say(l, top, f, "stands twice in one map");
    }
    return n;
}

static void lint_schema(struct lint *l, const struct schema *s)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->seen[i] == s)
            return;
    CHECK(l->n < MAX_SEEN);
    l->seen[l->n++] = s;
    if (!s->name || !s->fields || (s->one_of && !s->fields->name)) {
        say(l, s, NULL, "has no name or no fields");
        return;
    }
    if (!s->doc || !*s->doc)
        say(l, s, NULL, "has no doc");
    for (const struct field *f = s->fields; f->name; f++) {
        lint_text(l, s, f);
        lint_shape(l, s, f);
        lint_default(l, s, f);
    }
    if (lint_names(l, s, s) > SCHEMA_MAX_FIELDS)
        say(l, s, NULL, "has too many fields");
    for (const struct field *f = s->fields; f->name; f++) {
        size_t n = 0;
        const struct registry_row *rows =
            f->type == T_SECTIONS && f->registry ? registry_rows(f->registry, &n) : NULL;
        if (f->sub)
            lint_schema(l, f->sub);
        for (size_t i = 0; i < n; i++)
            if (rows[i].schema)
                lint_schema(l, rows[i].schema);
    }
}

bool schema_lint(const struct schema *s, struct buf *out)
{
    struct lint l = { .out = out, .ok = true };
    lint_schema(&l, s);
    return l.ok;
}
