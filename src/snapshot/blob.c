/* Resources made ready: documents parsed by their schema, route tables checked and their patterns
   compiled. A blob is filled by the thread that builds a world and read-only after; its count is
   atomic. */
#include "base/mem.h"
#include "snapshot/world_priv.h"
#include <stdio.h>

enum { BLOB_ARENA = 1024, NAME_MAX_BYTES = 1024 };

/* ---- owners ---- */

static void pattern_unref(struct pattern *p)
{
    if (atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    regex_free(p->regex);
    mem_free(p);
}

void blob_unref(struct blob *b)
{
    if (atomic_fetch_sub(&b->refs, 1) != 1)
        return;
    struct blob_routes *r = b->type == RES_ROUTES ? b->value : NULL;
    if (r) {
        for (size_t i = 0; i < r->n_patterns; i++)
            pattern_unref(r->patterns[i]);
    }
    arena_fini(&b->arena);
    mem_free(b);
}

/* ---- errors ---- */

_Noreturn void build_oom(struct build *b)
{
    longjmp(*b->w->arena.on_oom, 1);
}

/* "cluster/shop": what stands for the file in errors. */
static struct str title(char out[256], uint8_t type, struct str name)
{
    int n = snprintf(out, 256, "%s/%.*s", resource_type_name[type],
                     (int)(name.n < 200 ? name.n : 200), name.n ? name.p : "");
    return (struct str){ out, (size_t)n };
}

bool build_fail(struct build *b, uint8_t type, struct str name, struct str path, const char *fmt,
                ...)
{
    char file[256], msg[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    b->ok = false;
    return fail(b->e, title(file, type, name), 0, 0, path, "%s", msg);
}

/* ---- patterns ---- */

/* With one more reference for the caller; NULL when the text is no pattern, with an error. */
static struct pattern *pattern_get(struct build *b, const struct blob *blob, struct str text)
{
    char why[160] = "";
    size_t at = 0;
    struct pattern *p = map_get(&b->patterns, text);
    if (p) {
        atomic_fetch_add(&p->refs, 1);
        return p;
    }
    p = mem_alloc(sizeof(*p) + text.n);
    if (!p)
        build_oom(b);
    memcpy(p + 1, text.p, text.n);
    p->text = (struct str){ (char *)(p + 1), text.n };
    p->refs = 1;
    p->regex = regex_new(p->text, why, sizeof(why), &at);
    if (!p->regex) {
        mem_free(p);
        build_fail(b, blob->type, blob->name, STR(""),
                   "bad regular expression '%.*s': %s (at character %zu)",
                   STR_FMT(str_sub(text, 0, 100)), why, at + 1);
        return NULL;
    }
    if (!map_put(&b->patterns, p->text, p)) {
        pattern_unref(p);
        build_oom(b);
    }
    return p;
}

bool blob_lend(struct build *b, struct blob *blob)
{
    struct blob_routes *r = blob->type == RES_ROUTES ? blob->value : NULL;
    for (size_t i = 0; r && i < r->n_patterns; i++)
        if (!map_get(&b->patterns, r->patterns[i]->text) &&
            !map_put(&b->patterns, r->patterns[i]->text, r->patterns[i]))
            return false;
    return true;
}

/* ---- routes ---- */

static void read_routes(struct build *b, struct blob *blob, struct str bytes)
{
    const char *why;
    struct blob_routes *r = ARENA_NEW(&blob->arena, struct blob_routes);
    blob->value = r;
    char *table = arena_alloc(&blob->arena, bytes.n);
    if (bytes.n)
        memcpy(table, bytes.p, bytes.n);
    bytes.p = table;
    if (!route_table_check(bytes, &why)) {
        build_fail(b, blob->type, blob->name, STR(""), "a broken route table: %s", why);
        return;
    }
    CHECK(route_view(bytes, &r->view));
    size_t n = r->view.h->n_patterns;
    if (n == 0)
        return;
    r->patterns = ARENA_ARRAY(&blob->arena, struct pattern *, n);
    r->regexes = ARENA_ARRAY(&blob->arena, const struct regex *, n);
    for (size_t i = 0; i < n; i++) {
        struct pattern *p = pattern_get(b, blob, route_str(r->view.base, r->view.patterns[i]));
        if (!p)
            return;
        r->patterns[r->n_patterns] = p;
        r->regexes[r->n_patterns++] = p->regex;
    }
}

/* ---- documents ---- */

static void read_document(struct build *b, struct blob *blob, struct str bytes)
{
    static const struct schema *const schemas[RES_TYPES] = {
        [RES_LISTENER] = &listener_schema,
        [RES_CLUSTER] = &cluster_schema,
        [RES_ENDPOINTS] = &endpoints_schema,
        [RES_SECRET] = &secret_schema,
    };
    char file[256];
    struct arena *a = &blob->arena;
    const struct node *n =
        json_parse(&b->scratch, title(file, blob->type, blob->name), bytes, NULL, b->e);
    if (!n) {
        b->ok = false;
    } else if (blob->type == RES_POLICY) {
        blob->value = policy_set_read(a, n, b->e);
        b->ok &= blob->value != NULL;
    } else {
        blob->value = arena_alloc(a, schemas[blob->type]->size);
        b->ok &= schema_parse(schemas[blob->type], n, a, blob->value, STR(""), b->e);
    }
    if (blob->type == RES_SECRET && blob->value)
        ((struct secret *)blob->value)->name = blob->name;
    jmp_buf *on_oom = b->scratch.on_oom;
    arena_fini(&b->scratch);
    arena_init(&b->scratch, 0, 0);
    b->scratch.on_oom = on_oom;
}

/* ---- all ---- */

static bool name_good(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] == 0x7f)
            return false;
    return s.n > 0 && s.n <= NAME_MAX_BYTES;
}

/* What a route table surely needs comes with its blob: there may be 100,000 of them with a rule
 * each. */
static size_t first_memory(const struct resource *r)
{
    if (r->type != RES_ROUTES)
        return 0;
    return r->name.n + 1 + sizeof(struct blob_routes) + 16 + r->bytes.n + 8;
}

void blob_read(struct build *b, const struct resource *r)
{
    if (r->type >= RES_TYPES || !name_good(r->name)) {
        build_fail(b, RES_LISTENER, STR(""), STR(""),
                   "a resource of an unknown type or with a bad name");
        return;
    }
    size_t first = first_memory(r);
    struct blob *blob = mem_alloc(sizeof(*blob) + first);
    if (!blob)
        build_oom(b);
    blob->refs = 1;
    blob->type = r->type;
    memcpy(blob->hash, r->hash, sizeof(blob->hash));
    arena_init_with(&blob->arena, blob + 1, first, BLOB_ARENA, 0);
    b->w->blobs[b->w->n_blobs++] = blob; /* from here on it goes with the world */
    blob->arena.on_oom = b->w->arena.on_oom;
    blob->name = arena_str(&blob->arena, r->name);
    if (r->type == RES_ROUTES)
        read_routes(b, blob, r->bytes);
    else
        read_document(b, blob, r->bytes);
    blob->arena.on_oom = NULL;
}
