/* A worker: one thread, one loop, everything on the hot path. Private to src/proxy. */
#pragma once
#include "base/map.h"
#include "base/metric.h"
#include "http/http.h"
#include "io/thread.h"
#include "snapshot/world.h"

struct proxy;
struct log_buffer;
struct runtime_listener;

/* A worker's hold on a world: requests count here without atomics; the world goes when the count is
 * 0 and a newer one is current. */
struct world_pin {
    struct world *world;
    struct runtime *runtime;
    struct list link;
    uint32_t users;
};
/* A listening socket of this worker and the connections it accepted. Lives across reloads while
 * gateway/listener and address stay. */
struct worker_listener {
    struct list link;
    struct worker *w;
    struct watch watch;
    bool watched;      /* the loop has it */
    struct timer rest; /* accepting goes on when it ends */
    int64_t next_warning;
    int fd;
    struct http_server http;                /* for http and https */
    const struct listener *conf;            /* in the current world; NULL once removed (draining) */
    const struct runtime_listener *runtime; /* TLS context, metric series */
    struct world_pin *conf_pin;             /* keeps conf alive; this listener counts as one user */
    struct list raw;                        /* l4.c's connections */
    uint32_t n_raw;
    struct str name; /* owned copy */
    int64_t drain_deadline;
    bool removed;
};
struct series_slot {
    const void *route, *service;
    uint32_t code;
    struct metric_series *series;
};
enum { SERIES_CACHE = 1024, SERIES_CACHE_MAX = 16384, EXCHANGE_SPARE = 16 };
struct worker {
    struct proxy *p;
    unsigned id;
    struct loop *loop;
    struct thread thread;
    struct list listeners;
    struct list pins;
    struct world_pin *current;
    struct map pools;            /* key → struct pool */
    struct map views;            /* cluster name → struct cluster_view */
    struct exchange *spare;      /* unused ones, the last used first */
    uint32_t n_spare, spare_low; /* low: fewest since the last tick */
    uint32_t active;             /* exchanges and raw connections */
    struct log_buffer *log;
    size_t memory_limit;        /* this worker's share; over it, requests are shed */
    struct series_slot *series; /* cleared at every swap */
    size_t series_n;            /* a power of two, more for a world of many routes */
    struct task adopt;
    struct timer tick;        /* once a second: pools, drain deadlines */
    _Atomic uint64_t adopted; /* generation this worker runs */
    _Atomic uint64_t turns;   /* for quiescence and the watchdog */
    _Atomic bool trim;        /* give back the end of the heap at the next tick */
    _Atomic uint32_t connections;
    uint64_t watched_turn; /* main thread: watchdog.c */
    int64_t watched_cpu;
    bool draining;
    int64_t drain_deadline;
    bool stopped;
};

/* worker.c */
bool worker_start(struct worker *w, struct proxy *p, unsigned id);
struct world_pin *pin_ref(struct world_pin *p);
void pin_unref(struct worker *w, struct world_pin *p);
struct exchange *worker_exchange(struct worker *w); /* NULL: out of memory */
void worker_exchange_free(struct worker *w, struct exchange *x);
bool worker_overloaded(const struct worker *w); /* memory or connection limit: shed */

/* listener.c */
struct worker_listener *worker_listener_open(struct worker *w, const struct listener *conf, int fd);
void worker_listener_adopt(struct worker_listener *l, struct world_pin *pin,
                           const struct listener *conf, const struct runtime_listener *rt);
void worker_listener_remove(struct worker_listener *l, int64_t deadline);
/* Like remove, but the listening socket is the caller's. */
int worker_listener_yield(struct worker_listener *l, int64_t deadline);
bool worker_listener_idle(const struct worker_listener *l);
void worker_listener_free(struct worker_listener *l);

void listener_count_raw(struct worker_listener *l,
                        int by); /* l4.c's connections in the listener's counts */
void worker_fini(struct worker *w);

/* l4.c: raw TCP, TLS terminated to TCP, TLS passthrough. Takes fd over. */
void l4_accept(struct worker_listener *l, int fd, const union addr *peer);
void l4_abort_all(struct worker_listener *l);
