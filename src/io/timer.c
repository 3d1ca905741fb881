/* The timer wheel of a loop. A timer is linked at or before its deadline; when its slot comes up
   and the deadline is still ahead, it is linked again: that is what makes moving a deadline later a
   plain store. Loop thread only. */
#include "io/loop_priv.h"

static int64_t tick_of(int64_t ns) /* never early: rounds up */
{
    return (ns + (1 << WHEEL_TICK_BITS) - 1) >> WHEEL_TICK_BITS;
}

void wheel_init(struct wheel *w, int64_t now_ns)
{
    w->tick = now_ns >> WHEEL_TICK_BITS;
    w->next = INT64_MAX;
    for (size_t i = 0; i < WHEEL_SLOTS0; i++)
        list_init(&w->slot0[i]);
    for (size_t i = 0; i < WHEEL_SLOTS1; i++) {
        list_init(&w->slot1[i]);
        list_init(&w->slot2[i]);
    }
}

/* Links t by its deadline, after the current tick. */
static void wheel_link(struct wheel *w, struct timer *t)
{
    enum { SHIFT2 = WHEEL_BITS0 + WHEEL_BITS1 };
    int64_t at = tick_of(t->deadline);
    if (at <= w->tick)
        at = w->tick + 1;
    size_t i;
    struct list *slots;
    uint64_t *used;
    if (at - w->tick < WHEEL_SLOTS0) {
        i = (size_t)at & (WHEEL_SLOTS0 - 1);
        slots = w->slot0;
        used = w->used0;
    } else if ((at >> WHEEL_BITS0) - (w->tick >> WHEEL_BITS0) < WHEEL_SLOTS1) {
        at = at >> WHEEL_BITS0 << WHEEL_BITS0;
        i = (size_t)(at >> WHEEL_BITS0) & (WHEEL_SLOTS1 - 1);
        slots = w->slot1;
        used = w->used1;
    } else {
        int64_t far = (w->tick >> SHIFT2) + WHEEL_SLOTS1 - 1, slot = at >> SHIFT2;
        slot = slot < far ? slot : far; /* days ahead: it comes round and is linked again */
        at = slot << SHIFT2;
        i = (size_t)slot & (WHEEL_SLOTS1 - 1);
        slots = w->slot2;
        used = w->used2;
    }
    list_add_tail(&slots[i], &t->link);
    used[i / 64] |= 1ULL << (i % 64);
    t->armed = at << WHEEL_TICK_BITS;
    if (at < w->next)
        w->next = at;
}

/* First used slot after `from` going round once, as a distance in [1, n]; 0 = none. */
static int64_t used_after(const uint64_t *used, size_t n, size_t from)
{
    size_t words = n / 64, start = (from + 1) & (n - 1);
    for (size_t k = 0; k <= words; k++) {
        size_t w = (start / 64 + k) % words;
        uint64_t v = used[w];
        if (k == 0)
            v &= ~0ULL << (start % 64);
        else if (k == words)
            v &= ~(~0ULL << (start % 64));
        if (v)
            return (int64_t)((w * 64 + (size_t)__builtin_ctzll(v) - from - 1) & (n - 1)) + 1;
    }
    return 0;
}

static int64_t wheel_find_next(const struct wheel *w)
{
    int64_t best = INT64_MAX, d;
    d = used_after(w->used0, WHEEL_SLOTS0, (size_t)w->tick & (WHEEL_SLOTS0 - 1));
    if (d)
        best = w->tick + d;
    const uint64_t *used[2] = { w->used1, w->used2 };
    for (unsigned k = 0; k < 2; k++) {
        unsigned shift = WHEEL_BITS0 + k * WHEEL_BITS1;
        int64_t now = w->tick >> shift;
        d = used_after(used[k], WHEEL_SLOTS1, (size_t)now & (WHEEL_SLOTS1 - 1));
        if (d && (now + d) << shift < best)
            best = (now + d) << shift;
    }
    return best;
}

/* Takes a slot's timers out: those due are called, the rest linked anew. A callback may end any
 * timer, so always the first. */
static void wheel_take(struct loop *l, struct list *slot, uint64_t *used, size_t i)
{
    struct list due;
    used[i / 64] &= ~(1ULL << (i % 64));
    list_init(&due);
    if (list_empty(&slot[i]))
        return;
    due = slot[i];
    due.next->prev = due.prev->next = &due;
    list_init(&slot[i]);
    while (!list_empty(&due)) {
        struct timer *t = CONTAINER_OF(due.next, struct timer, link);
        list_del(&t->link);
        t->armed = 0;
        if (t->deadline == 0)
            continue;
        if (t->deadline > l->now) {
            wheel_link(&l->wheel, t);
            continue;
        }
        t->deadline = 0;
        t->fn(t);
    }
}

void wheel_run(struct loop *l)
{
    struct wheel *w = &l->wheel;
    int64_t now = l->now >> WHEEL_TICK_BITS;
    while (w->next <= now) {
        int64_t at = w->next;
        w->tick = at;
        if ((at & ((1 << (WHEEL_BITS0 + WHEEL_BITS1)) - 1)) == 0)
            wheel_take(l, w->slot2, w->used2,
                       (size_t)(at >> (WHEEL_BITS0 + WHEEL_BITS1)) & (WHEEL_SLOTS1 - 1));
        if ((at & (WHEEL_SLOTS0 - 1)) == 0)
            wheel_take(l, w->slot1, w->used1, (size_t)(at >> WHEEL_BITS0) & (WHEEL_SLOTS1 - 1));
        wheel_take(l, w->slot0, w->used0, (size_t)at & (WHEEL_SLOTS0 - 1));
        w->next = wheel_find_next(w);
    }
    if (now > w->tick)
        w->tick = now;
}

int64_t wheel_wait(const struct loop *l)
{
    if (l->wheel.next == INT64_MAX)
        return INT64_MAX;
    int64_t d = (l->wheel.next << WHEEL_TICK_BITS) - l->now;
    return d > 0 ? d : 0;
}

void timer_init(struct timer *t, timer_fn *fn)
{
    list_init(&t->link);
    t->fn = fn;
    t->deadline = t->armed = 0;
}

void timer_set(struct loop *l, struct timer *t, int64_t deadline_ns)
{
    t->deadline = deadline_ns > 0 ? deadline_ns : 1;
    if (t->armed && t->armed <= t->deadline)
        return;
    list_del(&t->link);
    wheel_link(&l->wheel, t);
}

void timer_off(struct timer *t)
{
    t->deadline = 0;
}

void timer_fini(struct loop *l, struct timer *t)
{
    (void)l;
    list_del(&t->link);
    t->deadline = t->armed = 0;
}
