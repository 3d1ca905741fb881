/* Tree to struct by the rows of a schema, or only the checks of it. Scalars are in value.c. One
   thread per call; the schemas are read-only. */
#include "schema/walk.h"

static bool value_parse(const struct walk *w, const struct field *f, const struct node *n,
                        void *out, const struct place *at);

static size_t error_count(const struct errors *e)
{
    return e->n - e->warnings + e->dropped;
}

const struct field *field_find(const struct schema *s, struct str key, size_t *ret_offset,
                               unsigned *ret_index)
{
    size_t offset = 0;
    unsigned index = 0;
    for (const struct field *f = s->fields; f->name; f++) {
        const struct field *found = NULL;
        unsigned inner = 0;
        offset = f->offset;
        if (field_inlined(f)) {
            size_t inner_offset = 0;
            found = field_find(f->sub, key, &inner_offset, &inner);
            offset += inner_offset;
        } else if (key.n && f->name[0] == key.p[0] && strlen(f->name) == key.n &&
                   memcmp(f->name, key.p, key.n) == 0 && !(f->flags & F_INLINE)) {
            found = f;
        }
        index += inner;
        if (found) {
            if (ret_offset)
                *ret_offset = offset;
            if (ret_index)
                *ret_index = index;
            return found;
        }
        if (!field_inlined(f))
            index++;
    }
    if (ret_index)
        *ret_index = index; /* how many there are, for the caller above */
    return NULL;
}

const struct field *field_inline_sections(const struct schema *s)
{
    for (const struct field *f = s->fields; f->name; f++)
        if ((f->flags & F_INLINE) && f->type == T_SECTIONS)
            return f;
    return NULL;
}

static void guess_fields(struct guess *g, const struct schema *s)
{
    for (const struct field *f = s->fields; f->name; f++) {
        if (field_inlined(f)) {
            guess_fields(g, f->sub);
        } else if ((f->flags & F_INLINE) && f->type == T_SECTIONS) {
            size_t n;
            const struct registry_row *rows = registry_rows(f->registry, &n);
            for (size_t i = 0; i < n; i++)
                guess_try(g, str_from(rows[i].key));
        } else {
            guess_try(g, str_from(f->name));
        }
    }
}

static void unknown_field(const struct walk *w, const struct schema *s, const struct node *map,
                          const struct node_pair *p, const struct place *at)
{
    struct guess g = { .wrong = p->key };
    char hint[96], shown[96];
    guess_fields(&g, s);
    place_fail_key(w, at, map, p, "unknown field '%s'%s", place_show(p->key, shown),
                   guess_text(&g, hint));
}

static bool section_check(const struct walk *w, const struct registry_row *row,
                          const struct node *n, const struct place *at)
{
    struct walk sparse = *w;
    sparse.partial = true;
    return object_parse(&sparse, row->schema, n, NULL, at);
}

static bool sections_parse(const struct walk *w, const struct field *f, const struct node *n,
                           void *out, const struct place *at)
{
    if (n->type != NODE_MAP)
        return place_want(w, at, n, "a map of sections", false);
    bool ok = true;
    for (size_t i = 0; i < n->map.n; i++) {
        const struct node_pair *p = &n->map.v[i];
        const struct registry_row *row = registry_find(f->registry, p->key);
        struct place in = { .up = at, .name = p->key };
        if (row) {
            ok &= section_check(w, row, p->value, &in);
            continue;
        }
        struct guess g = { .wrong = p->key };
        size_t rows_n;
        const struct registry_row *rows = registry_rows(f->registry, &rows_n);
        char hint[96], shown[96];
        for (size_t k = 0; k < rows_n; k++)
            guess_try(&g, str_from(rows[k].key));
        ok = place_fail_key(w, at, n, p, "unknown section '%s'%s", place_show(p->key, shown),
                            guess_text(&g, hint));
    }
    if (ok && out)
        *(const struct node **)out = node_copy(w->a, n);
    return ok;
}

/* A section that stands beside the ordinary fields; false when the key names none. */
static bool inline_section(const struct walk *w, const struct field *f, const struct node *map,
                           const struct node_pair *p, void *out, const struct place *at)
{
    const struct registry_row *row = registry_find(f->registry, p->key);
    if (!row)
        return false;
    struct place in = { .up = at, .name = p->key };
    if (!section_check(w, row, p->value, &in) || !out)
        return true;
    const struct node **slot = (const struct node **)(void *)((char *)out + f->offset);
    struct node *kept = (struct node *)(uintptr_t)*slot; /* made below, so ours to change */
    if (!kept) {
        kept = node_new(w->a, NODE_MAP);
        kept->file = arena_str(w->a, map->file);
        kept->line = map->line;
        kept->col = map->col;
        *slot = kept;
    }
    node_map_set(w->a, kept, p->key, node_copy(w->a, p->value));
    kept->map.v[kept->map.n - 1].line = p->line;
    kept->map.v[kept->map.n - 1].col = p->col;
    return true;
}

struct seen {
    uint64_t bits[SCHEMA_MAX_FIELDS / 64];
    unsigned next; /* flat index of the field looked at */
    size_t errors_before;
};

static void object_defaults(const struct schema *s, struct arena *a, char *out)
{
    for (const struct field *f = s->fields; f->name; f++)
        field_default(f, a, out + f->offset);
}

static void one_of_fail(const struct walk *w, const struct schema *s, const struct node *n,
                        const struct place *at, size_t given)
{
    struct buf names;
    buf_init(&names, 700);
    for (const struct field *f = s->fields; f->name; f++)
        buf_fmt(&names, "%s%s", names.n ? ", " : "", f->name);
    if (given)
        place_fail(w, at, n, "want only one of %.*s, got %zu", STR_FMT(buf_view(&names)), given);
    else
        place_fail(w, at, n, "want one of %.*s", STR_FMT(buf_view(&names)));
    buf_fini(&names);
}

/* Missing and default fields, exactly-one and the cross-field rule, for s and what is inlined in
   it. Returns how many fields were given. */
static size_t finish(const struct walk *w, const struct schema *s, const struct node *n,
                     struct seen *seen, char *out, const struct place *at)
{
    size_t given = 0;
    for (const struct field *f = s->fields; f->name; f++) {
        char *member = out ? out + f->offset : NULL;
        if (field_inlined(f)) {
            given += finish(w, f->sub, n, seen, member, at) > 0;
            continue;
        }
        unsigned i = seen->next++;
        if (seen->bits[i / 64] >> (i % 64) & 1)
            given++;
        else if ((f->flags & F_REQUIRED) && !w->partial)
            place_fail(w, at, n, "missing required field '%s'", f->name);
        else if (member && !(f->flags & F_INLINE))
            field_default(f, w->a, member);
    }
    if (s->one_of && (given > 1 || (given == 0 && !w->partial)))
        one_of_fail(w, s, n, at, given);
    if (s->check && out && !w->partial && error_count(w->e) == seen->errors_before) {
        struct buf path;
        buf_init(&path, 4096);
        place_path(w, at, &path);
        if (!s->check(out, n, buf_view(&path), w->e) && error_count(w->e) == seen->errors_before)
            place_fail(w, at, n, "these fields do not fit together");
        buf_fini(&path);
    }
    return given;
}

bool object_parse(const struct walk *w, const struct schema *s, const struct node *n, void *out,
                  const struct place *at)
{
    if (n->type != NODE_MAP)
        return place_want(w, at, n, "a map", false);
    struct seen seen = { .errors_before = error_count(w->e) };
    const struct field *sections = field_inline_sections(s);
    for (size_t i = 0; i < n->map.n; i++) {
        const struct node_pair *p = &n->map.v[i];
        size_t offset;
        unsigned index;
        const struct field *f = field_find(s, p->key, &offset, &index);
        if (!f) {
            if (!sections || !inline_section(w, sections, n, p, out, at))
                unknown_field(w, s, n, p, at);
            continue;
        }
        CHECK(index < SCHEMA_MAX_FIELDS);
        seen.bits[index / 64] |= (uint64_t)1 << (index % 64);
        struct place in = { .up = at, .name = p->key };
        value_parse(w, f, p->value, out ? (char *)out + offset : NULL, &in);
    }
    finish(w, s, n, &seen, out, at);
    return error_count(w->e) == seen.errors_before;
}

/* An item or member object; F_STR_SHORT lets a plain scalar stand for its first field. */
static bool item_parse(const struct walk *w, const struct field *f, const struct node *n, void *out,
                       const struct place *at)
{
    bool scalar = n->type == NODE_STRING || n->type == NODE_NUMBER || n->type == NODE_BOOL;
    if (!(f->flags & F_STR_SHORT) || !scalar)
        return object_parse(w, f->sub, n, out, at);
    struct node_pair pair = { .key = str_from(f->sub->fields[0].name),
                              .line = n->line,
                              .col = n->col,
                              .value = (struct node *)(uintptr_t)n };
    struct node map = { .type = NODE_MAP, .line = n->line, .col = n->col, .file = n->file };
    map.map.v = (void *)&pair;
    map.map.n = 1;
    return object_parse(w, f->sub, &map, out, at);
}

static bool count_check(const struct walk *w, const struct field *f, const struct node *n,
                        size_t count, const struct place *at)
{
    int64_t have = (int64_t)count;
    if (f->min == 0 && f->max == 0)
        return true;
    if (have < f->min)
        return place_fail(w, at, n, "want at least %lld %s, got %lld", (long long)f->min,
                          f->min == 1 ? "entry" : "entries", (long long)have);
    if (f->max >= f->min && have > f->max)
        return place_fail(w, at, n, "want at most %lld %s, got %lld", (long long)f->max,
                          f->max == 1 ? "entry" : "entries", (long long)have);
    return true;
}

static bool string_item(const struct walk *w, const struct field *f, const struct node *n,
                        struct str *out, const struct place *at)
{
    if (n->type != NODE_STRING && n->type != NODE_NUMBER && n->type != NODE_BOOL)
        return place_want(w, at, n, "a string", f->flags & F_SECRET);
    if (!string_check(w, f, n, at))
        return false;
    if (out)
        *out = n->text.n ? arena_str(w->a, n->text) : STR("");
    return true;
}

static bool list_parse(const struct walk *w, const struct field *f, const struct node *n, void *out,
                       const struct place *at)
{
    if (n->type != NODE_LIST)
        return place_want(w, at, n, "a list", f->flags & F_SECRET);
    size_t size = f->type == T_LIST_OBJECT ? f->sub->size
                  : f->type == T_LIST_INT  ? sizeof(int64_t)
                                           : sizeof(struct str);
    struct any_list l = { .n = n->list.n };
    bool ok = count_check(w, f, n, l.n, at);
    if (out && l.n)
        l.v = arena_alloc_array(w->a, l.n, size);
    for (size_t i = 0; i < l.n; i++) {
        const struct node *item = n->list.v[i];
        void *to = l.v ? l.v + i * size : NULL;
        struct place in = { .up = at, .index = i };
        union scalar v;
        if (f->type == T_LIST_OBJECT) {
            ok &= item_parse(w, f, item, to, &in);
        } else if (f->type == T_LIST_STR) {
            ok &= string_item(w, f, item, to, &in);
        } else {
            bool read = scalar_parse(w, f, item, &in, &v);
            ok &= read;
            if (read && to)
                memcpy(to, &v.i, sizeof(v.i));
        }
    }
    if (out)
        memcpy(out, &l, sizeof(l));
    return ok;
}

static bool map_parse(const struct walk *w, const struct field *f, const struct node *n, void *out,
                      const struct place *at)
{
    if (n->type != NODE_MAP)
        return place_want(w, at, n, "a map", f->flags & F_SECRET);
    size_t size = f->type == T_MAP_OBJECT ? f->sub->size : sizeof(struct str_pair);
    struct any_list l = { .n = n->map.n };
    bool ok = count_check(w, f, n, l.n, at);
    if (out && l.n)
        l.v = arena_alloc_array(w->a, l.n, size);
    for (size_t i = 0; i < l.n; i++) {
        const struct node_pair *p = &n->map.v[i];
        char *to = l.v ? l.v + i * size : NULL;
        struct place in = { .up = at, .name = p->key };
        if (to) { /* the first member of either shape; a check may look at it */
            struct str key = p->key.n ? arena_str(w->a, p->key) : STR("");
            memcpy(to, &key, sizeof(key));
        }
        if (f->type == T_MAP_OBJECT) {
            const char *want;
            if (f->format != FMT_ANY && !format_check(f->format, p->key, &want))
                ok = place_fail_key(w, &in, n, p, "the key: want %s", want);
            ok &= item_parse(w, f, p->value, to, &in);
        } else {
            ok &= string_item(w, f, p->value, to ? &((struct str_pair *)(void *)to)->value : NULL,
                              &in);
        }
    }
    if (out)
        memcpy(out, &l, sizeof(l));
    return ok;
}

static bool value_parse(const struct walk *w, const struct field *f, const struct node *n,
                        void *out, const struct place *at)
{
    union scalar v;
    switch ((enum field_type)f->type) {
    case T_OBJECT:
        return item_parse(w, f, n, out, at);
    case T_OBJECT_PTR: {
        void *sub = out ? arena_alloc(w->a, f->sub->size) : NULL;
        if (out)
            memcpy(out, &sub, sizeof(sub));
        return item_parse(w, f, n, sub, at);
    }
    case T_LIST_STR:
    case T_LIST_INT:
    case T_LIST_OBJECT:
        return list_parse(w, f, n, out, at);
    case T_MAP_STR:
    case T_MAP_OBJECT:
        return map_parse(w, f, n, out, at);
    case T_SECTIONS:
        return sections_parse(w, f, n, out, at);
    case T_NODE:
        if (out)
            *(const struct node **)out = node_copy(w->a, n);
        return true;
    default:
        if (!scalar_parse(w, f, n, at, &v))
            return false;
        if (out)
            scalar_store(f, &v, w->a, out);
        return true;
    }
}

/* out is zeroed. Defaults are checked by schema_lint; one that does not parse is our bug. */
void field_default(const struct field *f, struct arena *a, void *out)
{
    if (f->type == T_OBJECT && !f->def) {
        object_defaults(f->sub, a, out);
        return;
    }
    if (!f->def)
        return;
    union scalar v;
    if (field_is_scalar(f)) {
        CHECK(scalar_read(f, str_from(f->def), &v));
        if (f->type == T_STR)
            *(struct str *)out = str_from(f->def); /* static text needs no copy */
        else
            scalar_store(f, &v, a, out);
        return;
    }
    struct arena scratch;
    struct errors e;
    node_list docs;
    arena_init(&scratch, 0, 0);
    errors_init(&e, &scratch);
    struct walk w = { .a = a, .e = &e, .path = STR_INIT("") };
    bool ok = yaml_parse(&scratch, STR(""), str_from(f->def), NULL, &docs, &e) && docs.n == 1 &&
              value_parse(&w, f, docs.v[0], out, NULL);
    arena_fini(&scratch);
    if (!ok) /* defaults are known to parse (schema_lint): there was no memory for it */
        arena_oom(a);
}

bool schema_parse(const struct schema *s, const struct node *n, struct arena *a, void *out,
                  struct str path, struct errors *e)
{
    struct walk w = { .a = a, .e = e, .path = path };
    memset(out, 0, s->size);
    if (n)
        return object_parse(&w, s, n, out, NULL);
    object_defaults(s, a, out);
    return true;
}

bool schema_validate(const struct schema *s, const struct node *n, bool partial, struct str path,
                     struct errors *e)
{
    if (!n)
        return true;
    if (partial) {
        struct walk w = { .e = e, .path = path, .partial = true };
        return object_parse(&w, s, n, NULL, NULL);
    }
    struct arena scratch; /* the cross-field rules need an object */
    arena_init(&scratch, 0, 0);
    bool ok = schema_parse(s, n, &scratch, arena_alloc(&scratch, s->size), path, e);
    arena_fini(&scratch);
    return ok;
}
