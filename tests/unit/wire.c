/* The snapshot file: what is written is read in place; every damage is refused when the seal is
   looked at, and read inside its bounds when it is not. */
#include "wire/wire.h"
#include "../harness/harness.h"
#include "base/mem.h"

void unit_wire(void);

static struct str read_error(struct str in, bool verify)
{
    struct arena a;
    struct errors e;
    resource_list l;
    static char out[200];
    struct buf b;
    arena_init(&a, 0, 0);
    errors_init(&e, &a);
    buf_init(&b, sizeof(out));
    bool ok = wire_snapshot_read(in, verify, &a, &l, &e, STR("s.weir"));
    EXPECT_INT(ok, !errors_any(&e));
    size_t sum = 0;
    for (size_t i = 0; i < l.n; i++) { /* every byte said to be there is there */
        for (size_t k = 0; k < l.v[i].name.n; k++)
            sum += (uint8_t)l.v[i].name.p[k];
        for (size_t k = 0; k < l.v[i].bytes.n; k++)
            sum += (uint8_t)l.v[i].bytes.p[k];
        EXPECT(l.v[i].type < RES_TYPES && (size_t)(l.v[i].bytes.p - in.p) % 4 == 0);
    }
    EXPECT(ok || (l.n == 0 && sum == 0));
    if (e.n)
        error_format(&e.v[0], &b);
    memcpy(out, b.n ? b.p : "", b.n);
    struct str s = { out, b.n };
    buf_fini(&b);
    arena_fini(&a);
    return s;
}

static void round_trip(struct str file, const struct resource *r, size_t n)
{
    CASE("what is written is read, in place and aligned");
    struct arena a;
    struct errors e;
    resource_list l;
    arena_init(&a, 0, 0);
    errors_init(&e, &a);
    EXPECT(wire_snapshot_read(file, true, &a, &l, &e, STR("f")));
    EXPECT_INT(l.n, n);
    for (size_t i = 0; i < l.n && i < n; i++) {
        EXPECT_INT(l.v[i].type, r[i].type);
        EXPECT_STR(l.v[i].name, r[i].name);
        EXPECT_STR(l.v[i].bytes, r[i].bytes);
        EXPECT(memcmp(l.v[i].hash, r[i].hash, 32) == 0);
        EXPECT(l.v[i].bytes.p >= file.p && l.v[i].bytes.p + l.v[i].bytes.n <= file.p + file.n);
    }
    arena_fini(&a);
}

static void damage(struct str good)
{
    char *copy = mem_alloc(good.n + 1);
    CHECK(copy);
    CASE("every shorter or longer file is refused");
    for (size_t n = 0; n < good.n; n++) {
        char *exact = mem_alloc(n ? n : 1); /* so that reading on is seen */
        CHECK(exact);
        if (n)
            memcpy(exact, good.p, n);
        EXPECT(read_error((struct str){ exact, n }, false).n > 0);
        mem_free(exact);
    }
    memcpy(copy, good.p, good.n);
    copy[good.n] = 0;
    EXPECT_STR(read_error((struct str){ copy, good.n + 1 }, true),
               STR("s.weir: the file is cut short or too long"));

    CASE("every changed byte that means something is refused by the seal");
    size_t accepted = 0;
    for (size_t i = 0; i < good.n; i++) {
        memcpy(copy, good.p, good.n);
        copy[i] = (char)(copy[i] ^ 0x41);
        accepted += read_error((struct str){ copy, good.n }, true).n == 0;
        (void)read_error((struct str){ copy, good.n }, false);
    }
    EXPECT_INT(accepted, 0);
    mem_free(copy);
    EXPECT_STR(
        read_error(STR("WEIRSNAPxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), true),
        STR("s.weir: a snapshot of another version"));
    EXPECT_STR(read_error(STR("kind: Gateway"), true), STR("s.weir: not a snapshot file"));
}

void unit_wire(void)
{
    struct resource r[] = {
        { .type = RES_CLUSTER, .name = STR_INIT("shop"), .bytes = STR_INIT("{\"a\":1}") },
        { .type = RES_SECRET, .name = STR_INIT("s"), .bytes = STR_INIT("") },
        { .type = RES_ROUTES, .name = STR_INIT("edge/web|*|0"), .bytes = STR_INIT("12345") },
    };
    struct buf b, small;
    buf_init(&b, 1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(r); i++)
        resource_seal(&r[i]);
    resource_list l = { r, ARRAY_LEN(r) }, none = { NULL, 0 };
    CASE("a snapshot is written");
    EXPECT(wire_snapshot_write(&l, &b));
    struct str file = buf_view(&b);
    round_trip(file, r, ARRAY_LEN(r));
    damage(file);

    CASE("hashes tell type, name and bytes apart");
    struct resource x = { .type = RES_CLUSTER, .name = STR("ab"), .bytes = STR("c") },
                    y = { .type = RES_CLUSTER, .name = STR("a"), .bytes = STR("bc") },
                    z = { .type = RES_SECRET, .name = STR("ab"), .bytes = STR("c") };
    resource_seal(&x);
    resource_seal(&y);
    resource_seal(&z);
    EXPECT(memcmp(x.hash, y.hash, 32) != 0 && memcmp(x.hash, z.hash, 32) != 0 &&
           memcmp(y.hash, z.hash, 32) != 0);

    CASE("no resources; a buffer that is too small");
    buf_clear(&b);
    EXPECT(wire_snapshot_write(&none, &b));
    round_trip(buf_view(&b), r, 0);
    for (size_t cap = 1; cap < file.n; cap += 7) {
        buf_init(&small, cap);
        EXPECT(!wire_snapshot_write(&l, &small));
        buf_fini(&small);
    }

    CASE("appended behind other bytes it reads as well");
    buf_clear(&b);
    buf_str(&b, STR("xyz"));
    EXPECT(wire_snapshot_write(&l, &b));
    round_trip(str_sub(buf_view(&b), 3, b.n), r, ARRAY_LEN(r));
    buf_fini(&b);
}
