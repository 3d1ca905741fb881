/* Completion: the field paths of a schema that begin with what was typed. Pure. */
#include "schema/walk.h"

enum { MAX_DEPTH = 12 }; /* recursive schemas end here */
struct paths {
    struct str prefix;
    struct buf path; /* of the object walked */
    struct buf *out;
};

static void walk(struct paths *p, const struct schema *s, unsigned depth);

/* Worth going on: one of the two begins with the other. */
static bool near(const struct paths *p)
{
    struct str path = buf_view(&p->path);
    return path.n >= p->prefix.n ? str_starts(path, p->prefix) : str_starts(p->prefix, path);
}

static void visit(struct paths *p, const char *name, const char *suffix, const struct schema *sub,
                  unsigned depth)
{
    size_t n = p->path.n;
    buf_fmt(&p->path, "%s%s%s", n ? "." : "", name, suffix);
    if (near(p)) {
        if (p->path.n >= p->prefix.n) {
            buf_str(p->out, buf_view(&p->path));
            buf_char(p->out, '\n');
        }
        if (sub && depth < MAX_DEPTH)
            walk(p, sub, depth + 1);
    }
    p->path.n = n;
}

static void sections(struct paths *p, const struct field *f, unsigned depth)
{
    size_t n;
    const struct registry_row *rows = registry_rows(f->registry, &n);
    for (size_t i = 0; i < n; i++)
        visit(p, rows[i].key, "", rows[i].schema, depth);
}

static void walk(struct paths *p, const struct schema *s, unsigned depth)
{
    for (const struct field *f = s->fields; f->name; f++) {
        bool list = f->type == T_LIST_STR || f->type == T_LIST_INT || f->type == T_LIST_OBJECT;
        bool map = f->type == T_MAP_STR || f->type == T_MAP_OBJECT;
        if (field_inlined(f)) {
            walk(p, f->sub, depth);
        } else if (f->type == T_SECTIONS) {
            size_t n = p->path.n;
            if (!(f->flags & F_INLINE)) {
                visit(p, f->name, "", NULL, depth);
                buf_fmt(&p->path, "%s%s", n ? "." : "", f->name);
            }
            if (near(p))
                sections(p, f, depth);
            p->path.n = n;
        } else {
            visit(p, f->name, list ? "[]" : map ? ".*" : "", f->sub, depth);
        }
    }
}

/* What a person typed has numbers in its brackets; ours have none. */
static struct str without_indexes(struct str s, struct arena *a)
{
    char *to = arena_alloc(a, s.n + 1);
    size_t n = 0;
    bool inside = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == ']')
            inside = false;
        if (!inside || s.p[i] < '0' || s.p[i] > '9')
            to[n++] = s.p[i];
        if (s.p[i] == '[')
            inside = true;
    }
    return (struct str){ to, n };
}

void schema_paths(const struct schema *s, struct str prefix, struct buf *out)
{
    struct paths p = { .out = out };
    struct arena a;
    arena_init(&a, 0, 0);
    buf_init(&p.path, 4096);
    p.prefix = without_indexes(prefix, &a);
    walk(&p, s, 0);
    buf_fini(&p.path);
    arena_fini(&a);
}
