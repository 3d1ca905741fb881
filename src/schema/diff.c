/* What changed between two sparse trees of one schema, a line a field. Pure. */
#include "schema/walk.h"

enum { MAX_SHOWN = 200 }; /* bytes of a value on a line */

struct diff {
    struct walk w; /* for paths */
    struct buf *out;
};

static void diff_object(struct diff *d, const struct schema *s, const struct node *b,
                        const struct node *a, const struct place *at);

static void show(const struct node *n, const char *def, struct buf *out)
{
    struct buf text;
    if (!n) {
        if (def)
            buf_fmt(out, "(default %s)", def);
        else
            buf_str(out, STR("(unset)"));
        return;
    }
    buf_init(&text, 16 << 20);
    json_print(n, 0, &text);
    struct str s = buf_view(&text);
    bool cut = s.n > MAX_SHOWN;
    size_t end = cut ? MAX_SHOWN : s.n;
    while (cut && end > 0 && ((unsigned char)s.p[end] & 0xC0) == 0x80)
        end--;
    buf_str(out, str_sub(s, 0, end));
    if (cut)
        buf_str(out, STR("..."));
    buf_fini(&text);
}

static void line(struct diff *d, const struct field *f, const struct node *b, const struct node *a,
                 const struct place *at)
{
    struct buf path;
    buf_init(&path, 4096);
    place_path(&d->w, at, &path);
    buf_str(d->out, buf_view(&path));
    buf_fini(&path);
    if (f && (f->flags & F_SECRET)) {
        buf_str(d->out, b && a ? STR(": changed (secret)\n")
                        : a    ? STR(": set (secret)\n")
                               : STR(": unset (secret)\n"));
        return;
    }
    buf_str(d->out, STR(": "));
    show(b, f ? f->def : NULL, d->out);
    buf_str(d->out, STR(" -> "));
    show(a, f ? f->def : NULL, d->out);
    buf_char(d->out, '\n');
}

static void whole(struct diff *d, const struct schema *s, const struct node *b,
                  const struct node *a, const struct place *at)
{
    struct arena scratch;
    arena_init(&scratch, 0, 0);
    line(d, NULL, b ? schema_redact(s, b, &scratch) : NULL,
         a ? schema_redact(s, a, &scratch) : NULL, at);
    arena_fini(&scratch);
}

/* Objects on both sides are compared inside; one that came or went is one line. */
static void diff_sub(struct diff *d, const struct schema *s, const struct node *b,
                     const struct node *a, const struct place *at)
{
    if (b && a && node_equal(b, a))
        return;
    if (b && a && b->type == NODE_MAP && a->type == NODE_MAP)
        diff_object(d, s, b, a, at);
    else
        whole(d, s, b, a, at);
}

static void diff_list(struct diff *d, const struct field *f, const struct node *b,
                      const struct node *a, const struct place *at)
{
    size_t n = b->list.n > a->list.n ? b->list.n : a->list.n;
    for (size_t i = 0; i < n; i++) {
        struct place in = { .up = at, .index = i };
        diff_sub(d, f->sub, i < b->list.n ? b->list.v[i] : NULL,
                 i < a->list.n ? a->list.v[i] : NULL, &in);
    }
}

static const struct schema *member_schema(const struct field *f, struct str key)
{
    if (f->type == T_MAP_OBJECT)
        return f->sub;
    const struct registry_row *row = registry_find(f->registry, key);
    return row ? row->schema : NULL;
}

static void diff_members(struct diff *d, const struct field *f, const struct node *b,
                         const struct node *a, const struct place *at)
{
    for (int side = 0; side < 2; side++) {
        const struct node *from = side ? a : b;
        for (size_t i = 0; i < from->map.n; i++) {
            struct str key = from->map.v[i].key;
            const struct node *before = node_get(b, key);
            struct place in = { .up = at, .name = key };
            const struct schema *s = member_schema(f, key);
            if (side && before)
                continue; /* was shown from the other side */
            if (s)
                diff_sub(d, s, before, node_get(a, key), &in);
            else
                line(d, f, before, node_get(a, key), &in);
        }
    }
}

static void diff_value(struct diff *d, const struct field *f, const struct node *b,
                       const struct node *a, const struct place *at)
{
    if ((!b && !a) || (b && a && node_equal(b, a)))
        return;
    bool maps = b && a && b->type == NODE_MAP && a->type == NODE_MAP;
    bool object = f->sub && !(f->flags & F_SECRET);
    if (object && f->type == T_LIST_OBJECT && b && a && b->type == NODE_LIST &&
        a->type == NODE_LIST)
        diff_list(d, f, b, a, at);
    else if ((f->type == T_MAP_OBJECT || f->type == T_SECTIONS) && maps && !(f->flags & F_SECRET))
        diff_members(d, f, b, a, at);
    else if (object && (f->type == T_OBJECT || f->type == T_OBJECT_PTR))
        diff_sub(d, f->sub, b, a, at);
    else if (object || f->type == T_SECTIONS) { /* came or went: secrets inside stay hidden */
        const struct field alone[] = { *f, FEND };
        const struct schema one = { .name = f->name, .fields = alone };
        struct arena scratch;
        arena_init(&scratch, 0, 0);
        struct node *side[2] = { NULL, NULL };
        for (int i = 0; i < 2; i++) {
            const struct node *n = i ? a : b;
            if (!n)
                continue;
            struct node *map = node_new(&scratch, NODE_MAP);
            node_map_set(&scratch, map, str_from(f->name), node_copy(&scratch, n));
            side[i] = (struct node *)(uintptr_t)node_get(schema_redact(&one, map, &scratch),
                                                         str_from(f->name));
        }
        line(d, f, side[0], side[1], at);
        arena_fini(&scratch);
    } else
        line(d, f, b, a, at);
}

static void diff_object(struct diff *d, const struct schema *s, const struct node *b,
                        const struct node *a, const struct place *at)
{
    for (const struct field *f = s->fields; f->name; f++) {
        if (field_inlined(f)) {
            diff_object(d, f->sub, b, a, at);
            continue;
        }
        if (f->type == T_SECTIONS && (f->flags & F_INLINE)) {
            size_t n;
            const struct registry_row *rows = registry_rows(f->registry, &n);
            for (size_t i = 0; i < n; i++) {
                struct str key = str_from(rows[i].key);
                struct place in = { .up = at, .name = key };
                const struct node *was = node_get(b, key), *is = node_get(a, key);
                if ((was || is) && !field_find(s, key, NULL, NULL))
                    diff_sub(d, rows[i].schema, was, is, &in);
            }
            continue;
        }
        struct place in = { .up = at, .name = str_from(f->name) };
        diff_value(d, f, node_get(b, in.name), node_get(a, in.name), &in);
    }
}

void schema_diff(const struct schema *s, const struct node *before, const struct node *after,
                 struct str path, struct buf *out)
{
    struct diff d = { .w = { .path = path }, .out = out };
    if (!before && !after)
        return;
    diff_sub(&d, s, before, after, NULL);
}
