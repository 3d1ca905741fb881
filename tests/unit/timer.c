/* The timer wheel, on virtual time: never early, not late by more than a tick, whatever happens to
 * deadlines meanwhile. */
#include "../harness/harness.h"
#include "base/clock.h"
#include "base/rand.h"
#include "io/loop.h"

enum { N = 400 };
struct probe {
    struct timer t;
    struct loop *l;
    int64_t want; /* 0: must not fire */
    unsigned fired, early, late;
    struct probe *kill; /* ended by this one's callback */
};

static void on_probe(struct timer *t)
{
    struct probe *p = CONTAINER_OF(t, struct probe, t);
    int64_t now = loop_now(p->l);
    p->fired++;
    p->early += now < p->want;
    p->late += now > p->want + 4 * NS_PER_MS;
    if (p->kill)
        timer_fini(p->l, &p->kill->t);
}

static void advance(struct loop *l, int64_t ns, int64_t step)
{
    for (int64_t at = 0; at < ns; at += step) {
        clock_advance((struct dur){ step });
        loop_turn(l, 0);
    }
}

static void single(struct loop *l, int64_t in, int64_t step)
{
    struct probe p = { .l = l };
    timer_init(&p.t, on_probe);
    p.want = loop_now(l) + in;
    timer_set(l, &p.t, p.want);
    while (loop_now(l) + step < p.want)
        advance(l, step, step);
    EXPECT_INT(p.fired, 0);
    advance(l, 3 * step, step);
    EXPECT_INT(p.fired, 1);
    EXPECT_INT(p.early, 0);
    timer_fini(l, &p.t);
}

static void many(struct loop *l)
{
    static struct probe p[N];
    for (size_t i = 0; i < N; i++) {
        p[i] = (struct probe){ .l = l };
        timer_init(&p[i].t, on_probe);
        p[i].want = loop_now(l) + 1 + rand_below(3000) * NS_PER_MS;
        timer_set(l, &p[i].t, p[i].want);
    }
    for (unsigned round = 0; round < 1000; round++) {
        struct probe *q = &p[rand_below(N)];
        if (!q->fired && round % 3 == 0) {
            timer_off(&q->t);
            q->want = 0;
        } else if (!q->fired) {
            q->want = loop_now(l) + 1 + rand_below(5000) * NS_PER_MS;
            timer_set(l, &q->t, q->want);
        }
        advance(l, 2 * NS_PER_MS, 2 * NS_PER_MS);
    }
    advance(l, 6 * NS_PER_S, 2 * NS_PER_MS);
    for (size_t i = 0; i < N; i++) {
        test_result(p[i].fired == (p[i].want != 0) && !p[i].early && !p[i].late, __FILE__, __LINE__,
                    "timer %zu: fired %u, early %u, late %u", i, p[i].fired, p[i].early, p[i].late);
        timer_fini(l, &p[i].t);
    }
}

void unit_timer(void);
void unit_timer(void)
{
    clock_set_virtual(1000 * NS_PER_S + 12345, 0);
    rand_seed(7);
    struct loop *l = loop_new(0);
    EXPECT(l != NULL);
    if (!l)
        return;

    CASE("a timer fires once, never early, on every level of the wheel");
    single(l, 1, NS_PER_MS);
    single(l, 5 * NS_PER_MS, NS_PER_MS);
    single(l, 1023 * NS_PER_MS, NS_PER_MS);
    single(l, 1100 * NS_PER_MS, NS_PER_MS);
    single(l, 250 * NS_PER_S, 10 * NS_PER_MS);
    single(l, 400 * NS_PER_S, 10 * NS_PER_MS);
    single(l, 86400 * NS_PER_S, NS_PER_S);
    single(l, 40 * 86400 * NS_PER_S, 1000 * NS_PER_S);

    CASE("a sleep over many slots fires all that became due");
    struct probe p = { .l = l, .want = loop_now(l) + NS_PER_S },
                 q = { .l = l, .want = loop_now(l) + 700 * NS_PER_S };
    timer_init(&p.t, on_probe);
    timer_init(&q.t, on_probe);
    timer_set(l, &p.t, p.want);
    timer_set(l, &q.t, q.want);
    advance(l, 3000 * NS_PER_S, 3000 * NS_PER_S);
    EXPECT_INT(p.fired + q.fired, 2);

    CASE("a callback may end another timer of its slot");
    p.want = q.want = loop_now(l) + 10 * NS_PER_MS;
    p.kill = &q;
    timer_set(l, &p.t, p.want);
    timer_set(l, &q.t, q.want);
    advance(l, 50 * NS_PER_MS, 10 * NS_PER_MS);
    EXPECT_INT(p.fired, 2);
    EXPECT_INT(q.fired, 1);
    timer_fini(l, &p.t);

    CASE("random deadlines moved forth and back keep their promise");
    many(l);
    loop_free(l);
    clock_set_real();
}
