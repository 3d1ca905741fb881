/* The event loop on epoll (level-triggered, each descriptor registered once). epoll stands only
   here and in conn.c's interest bookkeeping, behind loop_poll_*: another back end replaces those.
   Threads: see loop.h. */
#include "base/clock.h"
#include "base/mem.h"
#include "io/loop_priv.h"
#include "io/sys.h"
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* epoll's data pointer: a connection as it is, a watch with its lowest bit set, the loop's own
 * wake-up as 0. */
enum { TAG_WATCH = 1 };
enum {
    CHUNKS_KEEP = 16, /* unused chunks (256 KiB) a loop never gives back */
    ROUNDS = 4,       /* how often work made at the end of a turn is done in the same turn */
};
static const int64_t TRIM_EVERY = NS_PER_S;
static const size_t MEMORY_LIMIT = (size_t)1 << 30; /* until loop_set_memory_limit */

static void tasks_init(struct tasks *q)
{
    q->head = NULL;
    q->tail = &q->head;
}

static void trim_chunks(struct timer *t)
{
    struct loop *l = CONTAINER_OF(t, struct loop, trim);
    size_t used = atomic_load_explicit(&l->chunks_used, memory_order_relaxed);
    size_t keep = l->chunks_peak > CHUNKS_KEEP ? l->chunks_peak : CHUNKS_KEEP;
    while (l->chunks_free > 0 && l->chunks_free + used > keep) {
        struct list *c = l->chunks.next;
        list_del(c);
        mem_free(c);
        l->chunks_free--;
    }
    l->chunks_peak = used;
    if (l->chunks_free > CHUNKS_KEEP)
        timer_set(l, &l->trim, l->now + TRIM_EVERY);
}

struct loop *loop_new(unsigned worker)
{
    struct loop *l = mem_alloc(sizeof *l);
    if (!l) {
        errno = ENOMEM;
        return NULL;
    }
    l->worker = worker;
    list_init(&l->dirty);
    list_init(&l->closed);
    list_init(&l->chunks);
    tasks_init(&l->deferred);
    timer_init(&l->trim, trim_chunks);
    l->memory_limit = MEMORY_LIMIT;
    l->now = clock_mono();
    wheel_init(&l->wheel, l->now);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    /* Edge-triggered: every write is one event and the counter need not be read back. */
    struct epoll_event e = { .events = EPOLLIN | EPOLLET };
    if (l->epoll < 0 || l->event_fd < 0 ||
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->event_fd, &e) != 0) {
        int err = errno;
        loop_free(l);
        errno = err;
        return NULL;
    }
    return l;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    LIST_FOR_SAFE(it, tmp, &l->chunks)
    mem_free(it);
    slab_fini(l);
    if (l->event_fd >= 0)
        close(l->event_fd);
    if (l->epoll >= 0)
        close(l->epoll);
    mem_free(l);
}

unsigned loop_worker(const struct loop *l)
{
    return l->worker;
}

int64_t loop_now(const struct loop *l)
{
    return l->now;
}

int64_t loop_wall(const struct loop *l)
{
    if (l->wall == 0)
        ((struct loop *)(uintptr_t)l)->wall = clock_wall();
    return l->wall;
}

static bool watch_control(struct loop *l, struct watch *w, int op, uint32_t events)
{
    struct epoll_event e = { .events = events, .data.u64 = (uint64_t)(uintptr_t)w | TAG_WATCH };
    return sys_epoll_ctl(l->epoll, op, w->fd, &e) == 0;
}

bool loop_watch(struct loop *l, struct watch *w, int fd, uint32_t epoll_events)
{
    w->fd = fd;
    w->closed = false;
    return watch_control(l, w, EPOLL_CTL_ADD, epoll_events);
}

bool loop_rewatch(struct loop *l, struct watch *w, uint32_t epoll_events)
{
    return watch_control(l, w, EPOLL_CTL_MOD, epoll_events);
}

void loop_unwatch(struct loop *l, struct watch *w)
{
    if (w->closed)
        return;
    w->closed = true;
    (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL); /* ENOENT when loop_watch had failed */
    /* The owner may free w now: events of this batch that still name it are struck out. */
    for (int i = l->batch_at + 1; i < l->batch_n; i++)
        if (l->events[i].data.u64 == ((uint64_t)(uintptr_t)w | TAG_WATCH))
            l->events[i].data.u64 = 0;
}

static void task_push(struct tasks *q, struct task *t)
{
    t->next = NULL;
    *q->tail = t;
    q->tail = &t->next;
}

void loop_wake(struct loop *l)
{
    static const uint64_t one = 1;
    if (atomic_exchange_explicit(&l->woken, true, memory_order_acq_rel))
        return;
    int err = errno;
    if (write(l->event_fd, &one, sizeof one) < 0) {
        /* Only EAGAIN at 2^64 - 1 unread wake-ups: the event is pending all the same. */
    }
    errno = err;
}

void loop_post(struct loop *l, struct task *t)
{
    if (__atomic_exchange_n(&t->queued, true, __ATOMIC_ACQ_REL))
        return;
    t->next = atomic_load_explicit(&l->posted, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&l->posted, &t->next, t, memory_order_release,
                                                  memory_order_relaxed)) {
    }
    loop_wake(l);
}

void loop_defer(struct loop *l, struct task *t)
{
    if (__atomic_exchange_n(&t->queued, true, __ATOMIC_ACQ_REL))
        return;
    task_push(&l->deferred, t);
}

/* woken is cleared before the list is taken: a later post writes the event again, an earlier one is
 * in the list. */
static void take_posted(struct loop *l)
{
    struct task *t, *next, *fifo = NULL;
    atomic_exchange_explicit(&l->woken, false, memory_order_acq_rel);
    t = atomic_exchange_explicit(&l->posted, NULL, memory_order_acquire);
    for (; t; t = next) {
        next = t->next;
        t->next = fifo;
        fifo = t;
    }
    for (t = fifo; t; t = next) {
        next = t->next;
        task_push(&l->deferred, t);
    }
}

void loop_cancel(struct loop *l, struct task *t)
{
    for (struct task **at = &l->deferred.head; *at; at = &(*at)->next) {
        if (*at != t)
            continue;
        *at = t->next;
        if (!t->next)
            l->deferred.tail = at;
        __atomic_store_n(&t->queued, false, __ATOMIC_RELEASE);
        return;
    }
}

static void run_deferred(struct loop *l)
{
    struct task *t = l->deferred.head, *next;
    tasks_init(&l->deferred);
    for (; t; t = next) {
        next = t->next;
        __atomic_store_n(&t->queued, false, __ATOMIC_RELEASE);
        t->fn(t);
    }
}

static bool pending(const struct loop *l)
{
    return l->deferred.head || !list_empty(&l->dirty) || !list_empty(&l->closed);
}

static void deliver(struct loop *l, int n)
{
    l->batch_n = n;
    for (int i = 0; i < n; i++) {
        l->batch_at = i;
        uint64_t data = l->events[i].data.u64;
        if (LIKELY((data & TAG_WATCH) == 0)) {
            if (LIKELY(data != 0))
                conn_event((struct conn *)(uintptr_t)data, l->events[i].events);
            continue;
        }
        struct watch *w = (struct watch *)(uintptr_t)(data & ~(uint64_t)TAG_WATCH);
        if (!w->closed)
            w->fn(w, l->events[i].events);
    }
    l->batch_at = l->batch_n = 0;
}

static int wait_ms(const struct loop *l, int64_t max_wait_ns)
{
    if (pending(l) || max_wait_ns == 0)
        return 0;
    int64_t ns = wheel_wait(l);
    if (max_wait_ns > 0 && max_wait_ns < ns)
        ns = max_wait_ns;
    if (ns == INT64_MAX)
        return -1;
    int64_t ms = ns / NS_PER_MS + (ns % NS_PER_MS != 0);
    return ms < 60000 ? (int)ms : 60000;
}

void loop_turn(struct loop *l, int64_t max_wait_ns)
{
    int n = epoll_wait(l->epoll, l->events, LOOP_EVENTS, wait_ms(l, max_wait_ns));
    CHECK(n >= 0 || errno == EINTR);
    l->now = clock_mono();
    l->wall = 0;
    deliver(l, n);
    wheel_run(l);
    if (atomic_load_explicit(&l->woken, memory_order_relaxed))
        take_posted(l);
    for (unsigned i = 0; i < ROUNDS && pending(l); i++) {
        run_deferred(l);
        conn_flush_dirty(l);
        conn_finish_closed(l);
    }
}

void loop_run(struct loop *l, void (*on_turn)(void *arg), void *arg)
{
    while (!atomic_load_explicit(&l->stop, memory_order_acquire)) {
        if (on_turn)
            on_turn(arg);
        loop_turn(l, -1);
    }
    atomic_store(&l->stop, false);
}

void loop_stop(struct loop *l)
{
    atomic_store_explicit(&l->stop, true, memory_order_release);
    loop_wake(l);
}

void *loop_chunk(struct loop *l)
{
    size_t used = atomic_load_explicit(&l->chunks_used, memory_order_relaxed);
    if (UNLIKELY((used + 1) * CHUNK_BYTES > l->memory_limit))
        return NULL;
    void *p;
    if (LIKELY(l->chunks_free > 0)) {
        struct list *c = l->chunks.next;
        list_del(c);
        l->chunks_free--;
        p = c;
    } else if (!(p = mem_alloc(CHUNK_BYTES))) {
        return NULL;
    }
    atomic_store_explicit(&l->chunks_used, used + 1, memory_order_relaxed);
    if (used + 1 > l->chunks_peak)
        l->chunks_peak = used + 1;
    return p;
}

void loop_chunk_free(struct loop *l, void *chunk)
{
    struct list *c = chunk;
    size_t used = atomic_load_explicit(&l->chunks_used, memory_order_relaxed);
    CHECK(used > 0);
    atomic_store_explicit(&l->chunks_used, used - 1, memory_order_relaxed);
    list_add_head(&l->chunks, c); /* last in, first out: it is warm */
    if (++l->chunks_free > CHUNKS_KEEP && l->trim.deadline == 0)
        timer_set(l, &l->trim, l->now + TRIM_EVERY);
}

size_t loop_memory(const struct loop *l)
{
    return atomic_load_explicit(&l->chunks_used, memory_order_relaxed) * CHUNK_BYTES +
           atomic_load_explicit(&l->buffered.bytes, memory_order_relaxed);
}

struct meter *loop_meter(struct loop *l)
{
    return &l->buffered;
}

void loop_set_memory_limit(struct loop *l, size_t bytes)
{
    l->memory_limit = bytes;
}
