/* Building, sharing and ending a world, and what can be asked of it. A build either gives a world
 * or leaves nothing. */
#include "base/mem.h"
#include "crypto/hash.h"
#include "snapshot/world_priv.h"
#include <stdlib.h>

enum { WORLD_ARENA = 64 * 1024 };

/* ---- ends ---- */

struct world *world_ref(struct world *w)
{
    atomic_fetch_add(&w->refs, 1);
    return w;
}

static void world_free(struct world *w)
{
    for (size_t i = 0; i < w->n_blobs; i++)
        blob_unref(w->blobs[i]);
    arena_fini(&w->arena);
    mem_free(w);
}

void world_unref(struct world *w)
{
    if (!w || atomic_fetch_sub(&w->refs, 1) != 1)
        return;
    if (w->on_free)
        w->on_free(w, w->on_free_arg);
    world_free(w);
}

void world_on_free(struct world *w, void (*fn)(struct world *w, void *arg), void *arg)
{
    w->on_free = fn;
    w->on_free_arg = arg;
}

/* ---- building ---- */

static int by_hash(const void *a, const void *b)
{
    return memcmp((*(struct blob *const *)a)->hash, (*(struct blob *const *)b)->hash, 32);
}

static int hash_order(const void *key, const void *slot)
{
    return memcmp(key, (*(struct blob *const *)slot)->hash, 32);
}

static int by_name(const void *a, const void *b)
{
    const struct blob *x = *(struct blob *const *)a, *y = *(struct blob *const *)b;
    return x->type != y->type ? (x->type < y->type ? -1 : 1) : str_cmp(x->name, y->name);
}

/* The blob of the older world that r is, or NULL. */
static struct blob *shared(const struct build *b, const struct resource *r)
{
    if (!b->prev || !b->prev->n_blobs)
        return NULL;
    struct blob **at =
        bsearch(r->hash, b->prev->by_hash, b->prev->n_blobs, sizeof(*at), hash_order);
    return at && (*at)->type == r->type && str_eq((*at)->name, r->name) ? *at : NULL;
}

/* Shared blobs first: the patterns they compiled serve the others. */
static void read_all(struct build *b)
{
    struct world *w = b->w;
    const resource_list *in = b->in->resources;
    w->blobs = ARENA_ARRAY(&w->arena, struct blob *, in->n + 1);
    for (size_t i = 0; i < in->n; i++) {
        struct blob *old = shared(b, &in->v[i]);
        if (!old)
            continue;
        atomic_fetch_add(&old->refs, 1);
        w->blobs[w->n_blobs++] = old;
        if (!blob_lend(b, old))
            build_oom(b);
    }
    for (size_t i = 0; i < in->n; i++)
        if (!shared(b, &in->v[i])) {
            blob_read(b, &in->v[i]);
            if (b->in->used)
                b->in->used(b->in->used_arg, in->v[i].bytes);
        }
}

/* Both orders, the hash over all, and whether a name stands twice. */
static void sort_all(struct build *b)
{
    struct world *w = b->w;
    uint8_t digest[32];
    w->by_hash = ARENA_ARRAY(&w->arena, struct blob *, w->n_blobs + 1);
    memcpy(w->by_hash, w->blobs, w->n_blobs * sizeof(*w->blobs));
    qsort(w->by_hash, w->n_blobs, sizeof(*w->by_hash), by_hash);
    qsort(w->blobs, w->n_blobs, sizeof(*w->blobs), by_name);
    struct sha256 h;
    sha256_init(&h);
    for (size_t i = 0; i < w->n_blobs; i++)
        sha256_add(&h, w->by_hash[i]->hash, 32);
    sha256_end(&h, digest);
    hex_lower(digest, sizeof(digest), w->hash);
    for (size_t i = 1; i < w->n_blobs; i++)
        if (by_name(&w->blobs[i - 1], &w->blobs[i]) == 0)
            build_fail(b, w->blobs[i]->type, w->blobs[i]->name, STR(""), "the same resource twice");
}

static void out_of_memory(struct build *b)
{
    b->ok = false;
    fail(b->e, STR(""), 0, 0, STR(""), "out of memory while building the configuration");
}

static void build(struct build *b)
{
    jmp_buf oom;
    arena_init(&b->w->arena, WORLD_ARENA, 0);
    arena_init(&b->scratch, 0, 0);
    b->w->arena.on_oom = b->scratch.on_oom = &oom;
    if (setjmp(oom) == 0) {
        read_all(b);
        if (b->ok)
            sort_all(b);
        if (b->ok)
            world_link(b);
    } else {
        out_of_memory(b);
    }
    b->w->arena.on_oom = NULL;
    arena_fini(&b->scratch);
    map_fini(&b->patterns);
}

struct world *world_build(const struct world_input *in, const struct world *prev, struct errors *e)
{
    struct build b = { .in = in, .prev = prev, .e = e, .ok = true };
    b.w = mem_alloc(sizeof(*b.w));
    if (b.w) {
        b.w->refs = 1;
        build(&b);
    } else {
        out_of_memory(&b);
    }
    if (!b.ok && b.w) {
        world_free(b.w);
        b.w = NULL;
    }
    return b.w;
}

/* ---- questions ---- */

const listener_list *world_listeners(const struct world *w)
{
    return &w->listeners;
}

const cluster_list *world_clusters(const struct world *w)
{
    return &w->clusters;
}

static int cluster_order(const void *key, const void *c)
{
    return str_cmp(*(const struct str *)key, ((const struct cluster *)c)->name);
}

const struct cluster *world_cluster(const struct world *w, struct str name)
{
    return w->clusters.n
               ? bsearch(&name, w->clusters.v, w->clusters.n, sizeof(*w->clusters.v), cluster_order)
               : NULL;
}

const struct secret *world_secret(const struct world *w, struct str name)
{
    const struct blob *b = world_blob(w, RES_SECRET, name);
    return b ? b->value : NULL;
}

size_t world_routes(const struct world *w)
{
    return w->n_rules;
}

const char *world_hash(const struct world *w)
{
    return w->hash;
}

void world_policy_sets(struct world *w, void (*fn)(struct policy_set *p, void *arg), void *arg)
{
    for (size_t i = 0; i < w->sets.n; i++)
        fn(&w->sets.v[i], arg);
}
