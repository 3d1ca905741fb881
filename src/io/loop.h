/* A worker's event loop: epoll, timers, deferred work. One thread owns it; only loop_wake and
   loop_post may be called by others. A turn is: wait → deliver events → run timers → run deferred
   work → flush dirty connections once each → free closed ones. */
#pragma once
#include "base/buf.h"
#include "base/list.h"

struct loop;
struct timer;
typedef void timer_fn(struct timer *t);
/* Intrusive timer. Moving a deadline later costs a store (the wheel notices when the old slot comes
   up); moving it earlier relinks. Granularity 1 ms below 1 s, coarser above; never fires early. */
struct timer {
    struct list link;
    timer_fn *fn;
    int64_t deadline; /* clock_mono ns; 0 = off */
    int64_t armed;    /* where it is linked in the wheel; 0 = not linked */
};
void timer_init(struct timer *t, timer_fn *fn);
void timer_set(struct loop *l, struct timer *t, int64_t deadline_ns);
void timer_off(struct timer *t);                  /* cheap: keeps the slot, clears the deadline */
void timer_fini(struct loop *l, struct timer *t); /* must be called before the memory goes */

/* A readiness source for things that are not stream connections: listeners, wake-ups, signal and
 * resolver descriptors. */
enum { LOOP_IN = 1, LOOP_OUT = 4 }; /* epoll's EPOLLIN and EPOLLOUT, for other folders */
struct watch {
    int fd;
    void (*fn)(struct watch *w, uint32_t epoll_events);
    bool closed; /* set by loop_unwatch: events later in this turn are dropped */
};

/* worker is the index used for metric cells. NULL with errno when the kernel refuses. */
struct loop *loop_new(unsigned worker);
void loop_free(struct loop *l);
unsigned loop_worker(const struct loop *l);
int64_t loop_now(const struct loop *l);  /* monotonic ns, read once a turn */
int64_t loop_wall(const struct loop *l); /* wall ns, read lazily once a turn */
bool loop_watch(struct loop *l, struct watch *w, int fd, uint32_t epoll_events);
bool loop_rewatch(struct loop *l, struct watch *w, uint32_t epoll_events);
void loop_unwatch(struct loop *l, struct watch *w); /* does not close fd */
/* Runs until loop_stop. on_turn (may be NULL) is called at the start of every turn: where a worker
 * adopts a new world. */
void loop_run(struct loop *l, void (*on_turn)(void *arg), void *arg);
void loop_turn(struct loop *l,
               int64_t max_wait_ns); /* one turn, for tests; <0 = as long as it takes */
void loop_stop(struct loop *l);
void loop_wake(struct loop *l); /* any thread, async-signal-safe */
struct task {
    struct task *next;
    void (*fn)(struct task *t);
    bool queued; /* owned by the loop */
};
void loop_post(struct loop *l, struct task *t); /* any thread: runs on the loop's thread */
void loop_cancel(struct loop *l,
                 struct task *t); /* a deferred one, before its memory goes; no-op if not queued */
void loop_defer(
    struct loop *l,
    struct task *t); /* loop thread: runs later in this turn, before the flush; no-op if queued */

/* Per-loop memory: fixed-size chunks for queued output and buffered input; NULL when the loop's
   limit is reached. Unused chunks go back to the heap after a peak. */
enum { CHUNK_BYTES = 16384 };
NODISCARD void *loop_chunk(struct loop *l);
void loop_chunk_free(struct loop *l, void *chunk);
/* Small objects that come and go with every request; unused ones wait for the next, up to a limit.
 * Not zeroed. A loop_realloc that fails leaves p as it was. */
NODISCARD void *loop_alloc(struct loop *l, size_t n);
NODISCARD void *loop_realloc(struct loop *l, void *p, size_t n);
void loop_release(struct loop *l, void *p);
/* For buffers on this loop that a peer can make grow. */
struct meter *loop_meter(struct loop *l);
size_t loop_memory(
    const struct loop *l); /* bytes of chunks in use and metered buffers; any thread may read it */
void loop_set_memory_limit(struct loop *l, size_t bytes);
