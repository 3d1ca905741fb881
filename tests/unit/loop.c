/* The loop: watches, deferred and posted work, wake-ups from other threads, chunk memory. */
#include "io/loop.h"
#include "../harness/harness.h"
#include "base/mem.h"
#include "io/sys.h"
#include "io/thread.h"
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned seen;
static struct watch *victim;
static struct loop *loop;

static void on_ready(struct watch *w, uint32_t events)
{
    char c;
    seen++;
    EXPECT(events & EPOLLIN);
    EXPECT_INT(sys_recv(w->fd, &c, 1), 1);
    if (victim)
        loop_unwatch(loop, victim);
}

static void watches(void)
{
    int a[2], b[2];
    struct watch wa = { 0 }, wb = { 0 };
    EXPECT_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
    EXPECT_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
    wa.fn = wb.fn = on_ready;
    EXPECT(loop_watch(loop, &wa, a[0], EPOLLIN));
    EXPECT(loop_watch(loop, &wb, b[0], EPOLLIN));

    CASE("a turn without events delivers nothing and returns");
    loop_turn(loop, 0);
    EXPECT_INT(seen, 0);

    CASE("readiness is delivered while it lasts");
    EXPECT_INT(sys_send(a[1], "xy", 2), 2);
    loop_turn(loop, -1);
    EXPECT_INT(seen, 1);
    loop_turn(loop, -1);
    EXPECT_INT(seen, 2);
    loop_turn(loop, 0);
    EXPECT_INT(seen, 2);

    CASE("an unwatched source hears nothing more, not even in the same turn");
    EXPECT_INT(sys_send(a[1], "x", 1), 1);
    EXPECT_INT(sys_send(b[1], "x", 1), 1);
    victim = &wb;
    struct watch *other = &wa;
    loop_turn(loop, 0); /* whichever came first, wb is gone now */
    EXPECT(wb.closed);
    victim = NULL;
    seen = 0;
    loop_turn(loop, 0);
    loop_turn(loop, 0);
    EXPECT(seen <= 1);
    loop_unwatch(loop, other);
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
}

struct counted {
    struct task task;
    unsigned n, again;
};
static void on_task(struct task *t)
{
    struct counted *c = CONTAINER_OF(t, struct counted, task);
    c->n++;
    if (c->again-- > 0)
        loop_defer(loop, t);
}

static void deferred(void)
{
    struct counted c = { .task.fn = on_task };
    CASE("deferred work runs once in the same turn");
    loop_defer(loop, &c.task);
    loop_defer(loop, &c.task);
    loop_turn(loop, -1);
    EXPECT_INT(c.n, 1);

    CASE("work that defers itself neither stops the loop nor gets lost");
    c.again = 20;
    loop_defer(loop, &c.task);
    for (unsigned i = 0; i < 25; i++)
        loop_turn(loop, 0);
    EXPECT_INT(c.n, 22);

    CASE("posted work runs too");
    c.again = 0;
    loop_post(loop, &c.task);
    loop_turn(loop, -1);
    EXPECT_INT(c.n, 23);
}

enum { POSTS = 2000 };
static _Atomic unsigned posted_runs;
static void on_posted(struct task *t)
{
    (void)t;
    atomic_fetch_add(&posted_runs, 1);
}
static void poster(void *arg)
{
    static struct task t[POSTS];
    (void)arg;
    for (unsigned i = 0; i < POSTS; i++) {
        t[i] = (struct task){ .fn = on_posted };
        loop_post(loop, &t[i]);
    }
}

static void cross_thread(void)
{
    struct thread th;
    CASE("work posted by another thread wakes the loop, none is lost");
    EXPECT(thread_start(&th, "poster", poster, NULL));
    while (atomic_load(&posted_runs) < POSTS)
        loop_turn(loop, -1);
    thread_join(&th);
    EXPECT_INT(atomic_load(&posted_runs), POSTS);
}

static unsigned turns;
static void on_turn(void *arg)
{
    (void)arg;
    if (++turns == 3)
        loop_stop(loop);
    else
        loop_wake(loop);
}

static void chunks(void)
{
    void *c[8];
    CASE("chunks are limited and counted");
    loop_set_memory_limit(loop, 7 * CHUNK_BYTES);
    for (unsigned i = 0; i < 7; i++)
        EXPECT((c[i] = loop_chunk(loop)) != NULL);
    EXPECT((c[7] = loop_chunk(loop)) == NULL);
    EXPECT_INT(loop_memory(loop), 7 * CHUNK_BYTES);
    for (unsigned i = 0; i < 7; i++)
        loop_chunk_free(loop, c[i]);
    EXPECT_INT(loop_memory(loop), 0);
}

static void objects(void)
{
    CASE("small objects of every size can be written whole, and grow with their bytes");
    char *v[80] = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        v[i] = loop_alloc(loop, i * 40);
        EXPECT(v[i] != NULL && (uintptr_t)v[i] % 16 == 0);
        memset(v[i], (int)i, i * 40);
    }
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        v[i] = loop_realloc(loop, v[i], i * 60 + 1);
        EXPECT(v[i] != NULL);
        for (size_t k = 0; k < i * 40; k++)
            EXPECT(v[i][k] == (char)i);
        v[i][i * 60] = 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        loop_release(loop, v[i]);
    loop_release(loop, NULL);
    char *again = loop_realloc(loop, NULL, 100);
    EXPECT(again != NULL);
    memset(again, 0, 100);
    loop_release(loop, again);
    CASE("memory that is out is told");
    EXPECT(loop_alloc(loop, SIZE_MAX) == NULL);
    again = loop_alloc(loop, 5000);
    EXPECT(again != NULL);
    EXPECT(loop_realloc(loop, again, SIZE_MAX) == NULL);
    mem_fail_nth(1);
    EXPECT(loop_alloc(loop, 6000) == NULL);
    mem_fail_nth(0);
    loop_release(loop, again);
}

void unit_loop(void);
void unit_loop(void)
{
    loop = loop_new(3);
    EXPECT(loop != NULL);
    if (!loop)
        return;
    EXPECT_INT(loop_worker(loop), 3);
    watches();
    deferred();
    cross_thread();
    CASE("loop_run calls on_turn every turn and ends by loop_stop");
    loop_run(loop, on_turn, NULL);
    EXPECT_INT(turns, 3);
    chunks();
    objects();
    loop_free(loop);
}
