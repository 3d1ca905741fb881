/* The inside of a loop, shared by loop.c, timer.c and conn.c. Nothing outside src/io includes it.
 */
#pragma once
#include "io/conn.h"
#include <stdatomic.h>
#include <sys/epoll.h>

/* Timer wheel: three levels. Level 0 has a slot per tick; a slot of a higher level is spread over
   the lower ones when its first tick comes up. next is a lower bound of the next tick that has
   work, so that the loop knows how long to sleep. */
enum {
    WHEEL_TICK_BITS = 20, /* 2^20 ns = 1.05 ms */
    WHEEL_BITS0 = 10,
    WHEEL_BITS1 = 8,
    WHEEL_SLOTS0 = 1 << WHEEL_BITS0,
    WHEEL_SLOTS1 = 1 << WHEEL_BITS1,
};
struct wheel {
    int64_t tick; /* everything up to here has run */
    int64_t next; /* INT64_MAX: nothing linked */
    uint64_t used0[WHEEL_SLOTS0 / 64], used1[WHEEL_SLOTS1 / 64], used2[WHEEL_SLOTS1 / 64];
    struct list slot0[WHEEL_SLOTS0], slot1[WHEEL_SLOTS1], slot2[WHEEL_SLOTS1];
};
void wheel_init(struct wheel *w, int64_t now_ns);
void wheel_run(struct loop *l);
/* ns until the next timer from l->now; 0 = due; INT64_MAX = none */
int64_t wheel_wait(const struct loop *l);

struct tasks {
    struct task *head, **tail;
};
enum { SLAB_CLASSES = 64 };
struct object;
void slab_fini(struct loop *l); /* slab.c */
enum { LOOP_EVENTS = 512, LOOP_BUFFER = CONN_RECV_MAX };
struct loop {
    int epoll, event_fd;
    unsigned worker;
    int64_t now, wall;  /* wall 0: not read in this turn */
    struct list dirty;  /* connections with something to flush or to change in epoll */
    struct list closed; /* connections whose on_close is due */
    struct tasks deferred;
    int batch_at, batch_n; /* the events being delivered, so that loop_unwatch can strike one out */
    struct list chunks;    /* unused ones */
    size_t chunks_free, chunks_peak;
    size_t memory_limit;
    struct timer trim;
    _Atomic size_t chunks_used;
    struct meter buffered;
    _Atomic(struct task *) posted;
    atomic_bool woken, stop;
    struct object *slab[SLAB_CLASSES]; /* slab.c */
    size_t slab_kept;
    struct epoll_event events[LOOP_EVENTS];
    struct wheel wheel;
    char recv[LOOP_BUFFER];  /* conn.c: what the kernel gave */
    char plain[LOOP_BUFFER]; /* TLS: what it decrypted to */
};

/* conn.c, called by the loop */
void conn_event(struct conn *c, uint32_t epoll_events);
void conn_flush_dirty(struct loop *l);
void conn_finish_closed(struct loop *l);
