/* Snapshot files and the worlds in them: what is read lies inside the input, is written again as
   the same bytes, and a world of it is built or refused with a reason. Input: a file; its seal is
   mended, so that what follows is reached. */
#include "wire/wire.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "snapshot/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern const struct lb_type lb_round_robin;

enum { HEADER = 64, SEAL_AT = 32 };

static bool inside(struct str in, struct str s)
{
    return s.p >= in.p && s.p + s.n <= in.p + in.n;
}

static void seal(char *p, size_t n)
{
    if (n >= HEADER)
        sha256((struct str){ p + HEADER, n - HEADER }, (uint8_t *)p + SEAL_AT);
}

static void again(const resource_list *l, struct arena *a, struct errors *e)
{
    struct buf b;
    resource_list twice;
    buf_init(&b, 16 << 20);
    CHECK(wire_snapshot_write(l, &b));
    CHECK(wire_snapshot_read(buf_view(&b), true, a, &twice, e, STR("again")));
    CHECK(twice.n == l->n);
    for (size_t i = 0; i < l->n; i++) {
        const struct resource *x = &l->v[i], *y = &twice.v[i];
        CHECK(x->type == y->type && str_eq(x->name, y->name) && str_eq(x->bytes, y->bytes) &&
              memcmp(x->hash, y->hash, 32) == 0);
    }
    buf_fini(&b);
}

static void count_used(void *arg, struct str bytes)
{
    (void)bytes;
    ++*(size_t *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct errors e;
    resource_list l;
    char *copy = mem_alloc(size ? size : 1);
    CHECK(copy);
    registry_add("lb", "round-robin", NULL, &lb_round_robin);
    sections_register();
    if (size)
        memcpy(copy, data, size);
    seal(copy, size);
    struct str in = { copy, size };
    arena_init(&a, 0, 0);
    errors_init(&e, &a);
    if (wire_snapshot_read(in, true, &a, &l, &e, STR("f")) && l.n < 4096) {
        size_t n = 0, total = 0;
        for (size_t i = 0; i < l.n; i++) {
            CHECK(inside(in, l.v[i].name) && inside(in, l.v[i].bytes));
            total += l.v[i].name.n + l.v[i].bytes.n;
        }
        if (total < (8 << 20)) /* entries may share bytes */
            again(&l, &a, &e);
        struct world_input first = { .resources = &l, .used = count_used, .used_arg = &n };
        struct world *w = world_build(&first, NULL, &e);
        CHECK(!w == errors_any(&e));
        struct world *next =
            w ? world_build(&(struct world_input){ .resources = &l }, w, &e) : NULL;
        CHECK(!w == !next);
        if (w) {
            CHECK(strcmp(world_hash(w), world_hash(next)) == 0);
            CHECK(world_describe(w, &a));
        }
        world_unref(w);
        world_unref(next);
        CHECK(n == l.n);
    } else {
        CHECK(errors_any(&e) || l.n >= 4096);
    }
    arena_fini(&a);
    mem_free(copy);
    return 0;
}
