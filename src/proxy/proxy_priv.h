/* What the files of src/proxy share about the process-wide side. */
#pragma once
#include "proxy/filter.h"
#include "proxy/proxy.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

struct listener_metrics {
    struct metric_series *connections, *active, *shed, *tls_failed, *abuse, *bytes_in, *bytes_out;
};
struct runtime_listener {
    const struct listener *conf;
    union addr addr;
    struct tls_ctx *tls;
    struct listener_metrics metrics;
    struct bound *socket; /* what it listens on */
    struct log_file *log; /* NULL: no access log */
    uint32_t log_sample;  /* ppm */
};
/* Everything the proxy derives from a world, made before the swap and freed with it. */
struct runtime {
    struct arena arena;
    struct proxy *proxy; /* NULL when only checked */
    struct world *world;
    struct runtime_listener *listeners; /* as world_listeners */
    size_t n_listeners;
    struct cluster_runtime *clusters; /* by cluster.index */
    size_t n_clusters;
    uint64_t generation;
};
/* Filters of a policy set, in request order; hangs on policy_set.runtime. */
struct policy_runtime {
    size_t n;
    struct filter *v;
};
struct runtime *runtime_new(struct proxy *p, struct world *w, struct errors *e);
void runtime_free(struct runtime *r);

/* A listening address and its sockets, one a worker. Main thread. */
struct bound {
    struct list link;
    struct str name;    /* listener name */
    struct str address; /* as written */
    union addr real;
    int *fd; /* per worker; -1 once handed over */
    bool fresh, keep;
    _Atomic uint32_t users;       /* runtimes */
    _Atomic uint32_t connections; /* open ones over all workers */
};
struct retired {
    struct retired *next;
    void (*fn)(void *p);
    void *p;
    uint64_t turns[METRIC_MAX_WORKERS];
};
struct reload_status {
    uint64_t ok, failed;
    int64_t last_wall;
    bool last_ok;     /* false: what runs is not what the documents say */
    char error[1024]; /* first errors of the last failure, "" */
};
struct proxy {
    struct proxy_conf conf;
    proxy_load_fn *load;
    void *load_arg;
    proxy_event_fn *on_event;
    void *on_event_arg;
    const char *saved; /* see proxy_set_saved */
    struct loop *loop; /* the main thread's: signals, status, health checks, DNS */
    struct worker *workers;
    unsigned n_workers;
    struct runtime *runtime; /* current */
    _Atomic(struct runtime *) published;
    _Atomic uint64_t generation;
    struct list bound,
        bound_old; /* old: no listener uses it, late connections may still count in it */
    struct retired *retired;
    _Atomic uint32_t worlds_gone; /* ever, by any thread */
    uint32_t worlds_seen;
    struct status_server *status;
    struct log_writer *log_writer;
    struct signals *signals;
    struct timer tick;
    struct reload_status reload;
    int64_t started_wall;
    bool running, draining, reload_wanted;
    int exit_code;
    int64_t drain_deadline;
    _Atomic uint32_t shed, connections; /* connections: from clients */
    _Atomic uint32_t upstream_connections;
    _Atomic uint32_t peak_connections; /* from clients, since they last fell by half */
    int64_t trim_at;                   /* 0 = nothing to give back */
    uint32_t max_connections;          /* of both, what the descriptor limit leaves room for */
    _Atomic bool drain_requested, stop_requested;
    _Atomic bool workers_ended[METRIC_MAX_WORKERS];
    int signals_seen;
};
void proxy_wake_workers(struct proxy *p);

/* reclaim.c: main thread */
/* fn(ptr) once every worker has turned: none can have it in its hands then. */
void proxy_retire(struct proxy *p, void (*fn)(void *p), void *ptr);
void proxy_free_retired(struct proxy *p); /* those whose time has come; now and then */
/* What a crowd of connections or an older world used goes back to the system some time after it:
 * the heap alone keeps all of it as long as anything small lives behind it. Now and then. */
void proxy_trim(struct proxy *p);

/* health.c, dns_endpoints.c: main thread */
void health_adopt(struct proxy *p, struct runtime *r);
void health_stop(struct cluster_state *s);
void endpoints_prepare(struct proxy *p, struct runtime *r); /* names are asked for */
bool endpoints_pending(const struct runtime *r); /* prepared, but a name is not answered yet */
void endpoints_publish(struct proxy *p, struct runtime *r);
void dns_endpoints_stop(struct cluster_state *s);

/* watchdog.c: main thread, a few times a second */
void watchdog_tick(struct proxy *p);

/* status.c */
struct status_server *status_open(struct proxy *p, struct str address, struct errors *e);
void status_free(struct status_server *s);
const union addr *status_address(const struct status_server *s); /* as bound */

/* telemetry.c */
struct exchange;
void telemetry_exchange(struct exchange *x); /* metrics of a finished exchange */
void telemetry_log_dropped(struct worker *w);
void telemetry_reload(bool ok); /* main thread */
/* Empties the cache of series, and fits it to the number of routes; false: no memory, nothing was
 * changed. */
bool telemetry_cache(struct worker *w, size_t routes);
void telemetry_listener(struct listener_metrics *m, const struct listener *l);

/* access_log.c */
struct log_writer *log_writer_new(void);
void log_writer_free(struct log_writer *w); /* writes what is queued */
void log_writer_stop(struct log_writer *w); /* from here on a reader that does not read is let go */
void log_writer_reopen(struct log_writer *w); /* files that were moved away are made anew */
void log_file_unref(struct log_file *f);      /* NULL is fine */
struct log_file *log_writer_file(struct log_writer *w, struct str path,
                                 struct errors *e); /* "" = standard output; same path, same file */
struct log_buffer *log_buffer_new(struct log_writer *w);
void log_buffer_free(struct log_buffer *b);
void log_buffer_turn(struct log_buffer *b); /* hands full lines over; once a turn */
void access_log_exchange(struct exchange *x);
struct raw_log {
    struct str listener, route, service, endpoint, client, sni, tls;
    uint64_t bytes_in, bytes_out;
    int64_t start_wall, duration_ns;
    uint32_t tries;
    const char *failed, *why; /* "": nobody */
};
void access_log_raw(struct worker *w, const struct runtime_listener *l, const struct raw_log *r);
uint64_t log_writer_dropped(const struct log_writer *w);
