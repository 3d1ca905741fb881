/* What everything stands on: buffers with a maximum, arenas with a limit, maps, clocks, chance. */
#include "../harness/harness.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include <stdio.h>

void unit_base(void);

static void buffers(void)
{
    struct buf b;
    buf_init(&b, 8);

    CASE("a buffer takes up to its maximum; what does not fit is not taken in part");
    EXPECT(buf_str(&b, STR("12345")));
    EXPECT(!buf_str(&b, STR("6789")));
    EXPECT(b.failed);
    EXPECT_STR(buf_view(&b), STR("12345"));
    EXPECT(buf_room(&b, 4) == NULL);
    EXPECT(buf_add(&b, "678", 3));

    CASE("bytes leave from the front; clearing forgets the failure");
    buf_drop_front(&b, 6);
    EXPECT_STR(buf_view(&b), STR("78"));
    buf_clear(&b);
    EXPECT(!b.failed && b.n == 0);
    EXPECT(buf_u64(&b, 12345678));
    EXPECT_STR(buf_view(&b), STR("12345678"));
    buf_fini(&b);
}

static void arenas(void)
{
    struct arena a;
    _Alignas(16) char first[64];

    CASE("an arena's first memory may be the caller's; its limit holds");
    arena_init_with(&a, first, sizeof(first), 128, 1000);
    char *p = arena_try_bytes(&a, 40);
    EXPECT(p >= first && p < first + sizeof(first));
    EXPECT(arena_try_bytes(&a, 500) != NULL);
    EXPECT(arena_try_bytes(&a, 500) == NULL);
    EXPECT(arena_try_str(&a, STR("still fits")).n == 10);
    arena_fini(&a);

    CASE("memory that is out leaves by the jump that was set");
    jmp_buf oom;
    volatile bool jumped = false;
    arena_init(&a, 0, 0);
    a.on_oom = &oom;
    if (setjmp(oom) == 0) {
        mem_fail_nth(1);
        (void)arena_alloc(&a, 1 << 20);
    } else {
        jumped = true;
    }
    mem_fail_nth(0);
    EXPECT(jumped);
    arena_fini(&a);
}

static void maps(void)
{
    enum { N = 3000 };
    static char name[N][8];
    struct map m = { 0 };

    CASE("a map finds what was put, replaces, and forgets what was deleted");
    for (size_t i = 0; i < N; i++) {
        int n = snprintf(name[i], sizeof(name[i]), "%zu", i);
        EXPECT(map_put(&m, (struct str){ name[i], (size_t)n }, name[i]));
    }
    for (size_t i = 0; i < N; i += 3)
        EXPECT(map_del(&m, str_from(name[i])));
    size_t found = 0, seen = 0, at = 0;
    for (size_t i = 0; i < N; i++)
        found += map_get(&m, str_from(name[i])) == (i % 3 ? name[i] : NULL);
    EXPECT_INT(found, N);
    while (map_next(&m, &at))
        seen++;
    EXPECT_INT(seen, N - N / 3);
    EXPECT(map_put(&m, STR("1"), name[2]) && map_get(&m, STR("1")) == name[2]);
    EXPECT(!map_del(&m, STR("absent")));
    map_fini(&m);
}

static void times(void)
{
    char text[32];

    CASE("time is what a test says, and moves when it says so");
    clock_set_virtual(5, 784111777 * NS_PER_S);
    clock_advance((struct dur){ NS_PER_S });
    EXPECT_INT(clock_mono(), 5 + NS_PER_S);
    clock_format_http(clock_wall() - NS_PER_S, text);
    EXPECT_STR(str_from(text), STR("Sun, 06 Nov 1994 08:49:37 GMT"));
    EXPECT_INT(clock_format_utc(951782400 * NS_PER_S + 1000, text), 27);
    EXPECT_STR(str_from(text), STR("2000-02-29T00:00:00.000001Z"));
    clock_set_real();
    EXPECT(clock_wall() > 1700000000 * NS_PER_S);
}

static void chance(void)
{
    char a[36], b[36];

    CASE("chance repeats from a seed");
    rand_seed(7);
    uint64_t one = rand_u64(), two = rand_u64();
    rand_seed(7);
    EXPECT(rand_u64() == one && rand_u64() == two && one != two);
    EXPECT_INT(rand_below(0), 0);
    EXPECT_INT(rand_below(1), 0);

    CASE("UUIDv7: version, variant, time in front, never the same twice");
    rand_uuid7(INT64_C(0x017f22e279b0) * NS_PER_MS, a);
    rand_uuid7(INT64_C(0x017f22e279b0) * NS_PER_MS, b);
    EXPECT(memcmp(a, "017f22e2-79b0-7", 15) == 0);
    EXPECT(a[19] == '8' || a[19] == '9' || a[19] == 'a' || a[19] == 'b');
    EXPECT(memcmp(a, b, sizeof(a)) != 0);
}

void unit_base(void)
{
    buffers();
    arenas();
    maps();
    times();
    chance();
}
