/* The builder under the YAML and JSON readers. Not a parser. Called by one thread at a time; a
 * value on the caller's stack. */
#include "codec/tree.h"
#include "base/map.h"
#include "base/mem.h"

/* Maps up to this many keys are checked for duplicates pair by pair; hashing costs more below. */
enum { SMALL_MAP = 16 };

void tree_init(struct tree *t, struct arena *a, struct str file, const struct node_limits *lim,
               struct errors *e)
{
    memset(t, 0, sizeof(*t));
    t->a = a;
    t->file = file.n ? arena_str(a, file) : STR("");
    t->lim = lim ? *lim : NODE_LIMITS_DEFAULT;
    t->e = e;
}

void tree_fini(struct tree *t)
{
    mem_free(t->v);
    t->v = NULL;
}

bool tree_run(struct tree *t, void (*fn)(void *arg), void *arg)
{
    jmp_buf *outer = t->a->on_oom;
    jmp_buf here;
    t->a->on_oom = &here;
    if (setjmp(here) == 0) {
        fn(arg);
        t->a->on_oom = outer;
        return true;
    }
    t->a->on_oom = outer;
    return false;
}

void tree_oom(struct tree *t)
{
    if (t->a->on_oom)
        longjmp(*t->a->on_oom, 1);
    fail(t->e, t->file, 0, 0, STR(""), "out of memory while reading the document");
}

struct node *tree_node(struct tree *t, enum node_type type, uint32_t line, uint32_t col)
{
    if (UNLIKELY(t->nodes >= t->lim.nodes)) {
        fail(t->e, t->file, line, col, STR(""), "more than %zu values in one file", t->lim.nodes);
        return NULL;
    }
    t->nodes++;
    struct node *n = ARENA_NEW(t->a, struct node);
    n->type = (uint8_t)type;
    n->line = line;
    n->col = col;
    n->file = t->file;
    return n;
}

struct str tree_copy(struct tree *t, const char *p, size_t n)
{
    char *to = arena_try_bytes(t->a, n + 1);
    if (UNLIKELY(!to))
        to = arena_alloc(t->a, n + 1); /* leaves through on_oom */
    memcpy(to, p, n);
    to[n] = '\0';
    return (struct str){ to, n };
}

struct str tree_key(struct tree *t, const char *p, size_t n)
{
    if (n == 0)
        return STR("");
    size_t h = ((unsigned char)p[0] * 7u + (unsigned char)p[n - 1] * 3u + n) % TREE_KEY_CACHE;
    struct str *c = &t->keys[h];
    if (c->n != n || memcmp(c->p, p, n) != 0)
        *c = tree_copy(t, p, n);
    return *c;
}

bool tree_push(struct tree *t, struct node_pair child)
{
    if (UNLIKELY(t->n == t->cap)) {
        size_t cap = t->cap ? t->cap * 2 : 256;
        struct node_pair *v = mem_realloc(t->v, cap * sizeof(*v));
        if (!v)
            return fail(t->e, t->file, child.line, child.col, STR(""),
                        "out of memory while reading the document");
        t->v = v;
        t->cap = cap;
    }
    t->v[t->n++] = child;
    return true;
}

static void duplicate(struct tree *t, const struct node_pair *first, const struct node_pair *again)
{
    t->failed = true;
    fail(t->e, t->file, again->line, again->col, STR(""), "duplicate key '%.*s', first on line %u",
         (int)(again->key.n < 100 ? again->key.n : 100), again->key.p, first->line);
}

/* Keeps the first of equal keys; returns how many pairs are left. */
static size_t unique_small(struct tree *t, struct node_pair *v, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        size_t j = 0;
        while (j < kept &&
               (v[j].key.n != v[i].key.n || memcmp(v[j].key.p, v[i].key.p, v[i].key.n) != 0))
            j++;
        if (j < kept)
            duplicate(t, &v[j], &v[i]);
        else
            v[kept++] = v[i];
    }
    return kept;
}

static size_t unique_big(struct tree *t, struct node_pair *v, size_t n)
{
    struct map seen = { 0 };
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const struct node_pair *first = map_get(&seen, v[i].key);
        if (first) {
            duplicate(t, first, &v[i]);
            continue;
        }
        v[kept] = v[i];
        if (!map_put(&seen, v[kept].key, &v[kept])) {
            t->failed = true;
            fail(t->e, t->file, v[i].line, v[i].col, STR(""),
                 "out of memory while reading the document");
            break;
        }
        kept++;
    }
    map_fini(&seen);
    return kept;
}

void tree_close(struct tree *t, struct node *n, size_t base)
{
    size_t count = t->n - base;
    if (count == 0)
        return;
    struct node_pair *v = t->v + base;
    t->n = base;
    if (n->type == NODE_LIST) {
        n->list.v = ARENA_ARRAY(t->a, struct node *, count);
        n->list.n = count;
        for (size_t i = 0; i < count; i++)
            n->list.v[i] = v[i].value;
        return;
    }
    count = count <= SMALL_MAP ? unique_small(t, v, count) : unique_big(t, v, count);
    struct node_pair *pairs = ARENA_ARRAY(t->a, struct node_pair, count);
    memcpy(pairs, v, count * sizeof(*pairs));
    n->map.v = (void *)pairs;
    n->map.n = count;
}

bool tree_is_number(const char *p, size_t n)
{
    const char *end = p + n;
    if (p < end && *p == '-')
        p++;
    if (p == end || *p < '0' || *p > '9')
        return false;
    if (*p == '0')
        p++;
    else
        while (p < end && *p >= '0' && *p <= '9')
            p++;
    if (p < end && *p == '.') {
        const char *from = ++p;
        while (p < end && *p >= '0' && *p <= '9')
            p++;
        if (p == from)
            return false;
    }
    if (p < end && (*p | 0x20) == 'e') {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        const char *from = p;
        while (p < end && *p >= '0' && *p <= '9')
            p++;
        if (p == from)
            return false;
    }
    return p == end;
}

size_t tree_utf8(const char *p, const char *end)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t left = (size_t)(end - p), need;
    unsigned
        lo = 0x80,
        hi = 0xBF; /* bounds of the second byte: no overlong form, no surrogate, at most U+10FFFF */
    if (u[0] < 0x80)
        return 1;
    if (u[0] >= 0xC2 && u[0] <= 0xDF) {
        need = 2;
    } else if (u[0] >= 0xE0 && u[0] <= 0xEF) {
        need = 3;
        lo = u[0] == 0xE0 ? 0xA0 : 0x80;
        hi = u[0] == 0xED ? 0x9F : 0xBF;
    } else if (u[0] >= 0xF0 && u[0] <= 0xF4) {
        need = 4;
        lo = u[0] == 0xF0 ? 0x90 : 0x80;
        hi = u[0] == 0xF4 ? 0x8F : 0xBF;
    } else {
        return 0;
    }
    if (left < need || u[1] < lo || u[1] > hi)
        return 0;
    for (size_t i = 2; i < need; i++)
        if ((u[i] & 0xC0) != 0x80)
            return 0;
    return need;
}
