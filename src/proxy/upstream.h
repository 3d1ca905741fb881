/* Upstream services as the proxy sees them. Process-wide state (health, ejection, breaker) is keyed
   by name and address and outlives worlds; views and pools belong to one worker. Private to
   src/proxy. */
#pragma once
#include "http/http.h"
#include "lb/lb.h"
#include "proxy/worker.h"

/* ---- process-wide (upstream_state.c): atomics ---- */
/* Found by name and address, so that a change keeps what is known. Goes when nobody can reach it:
 * it is in no set, has no pool, no check and no request under way. */
struct endpoint_state {
    struct str key;       /* "shop|127.0.0.1:9001", "shop|a.example|127.0.0.1:9001" */
    struct str address;   /* text, for logs */
    const char *tls_name; /* asked for and found in its certificate; NULL: the context's */
    union addr addr;
    _Atomic uint32_t users;            /* sets, pools, checks */
    _Atomic uint32_t active;           /* requests under way */
    _Atomic uint32_t failures;         /* consecutive */
    _Atomic uint32_t ejections;        /* so far, falls with time */
    _Atomic int64_t ejected_until;     /* monotonic ns; 0 = in */
    _Atomic uint8_t unhealthy;         /* active check says no */
    _Atomic uint64_t in_set;           /* id of the newest endpoint set that has it */
    _Atomic uint64_t requests, errors; /* totals for /status */
};
/* The endpoints of a cluster: replaced as a whole when DNS changes them. Each world has its own,
 * since transport and addresses belong together: a request of the world before must not meet a
 * service that has moved to another port and speaks TLS there. Counted; freed after every worker
 * has turned. */
struct endpoint_ref {
    struct endpoint_state *state;
    uint32_t weight;
};
struct endpoint_set {
    uint64_t id; /* unique: an address can be given out again by the heap */
    _Atomic uint32_t refs;
    size_t n;
    const char *error; /* DNS: why there is none */
    struct endpoint_ref v[];
};
struct cluster_state {
    struct str name;
    _Atomic(struct endpoint_set *) set; /* of the newest world */
    _Atomic uint64_t version;           /* changes with the set, health or ejection */
    _Atomic uint32_t connections, pending, requests, retries;
    _Atomic uint32_t ejected;
    _Atomic bool starved; /* a worker waits for a connection permit */
    /* current configuration, main thread only */
    struct dns_endpoints *dns;
    struct health_checker *checker;
    uint64_t seen; /* generation of the world that last used it */
};
struct cluster_state *cluster_state_get(struct str name); /* main thread */
/* tls_name: "" = that of the service's context. Addresses of two names are two endpoints. */
void endpoint_use(struct endpoint_state *e);   /* any thread that can reach it */
void endpoint_unuse(struct endpoint_state *e); /* it may be gone with the next turn */
struct endpoint_state *endpoint_state_get(struct str cluster, struct str tls_name,
                                          const union addr *a);
struct cluster_runtime;
/* Frees endpoints that nobody can reach, when there are many more than the last time. Main thread,
 * now and then. */
void endpoint_states_sweep(struct proxy *p);
/* The endpoints of c from now on; what was before is retired. Main thread. */
void cluster_set_endpoints(struct proxy *p, struct cluster_runtime *c, const struct endpoint_ref *v,
                           size_t n, const char *error);
/* c is of the newest world: its endpoints are those that are checked, shown and kept. Main thread.
 */
void cluster_publish(struct proxy *p, const struct cluster_runtime *c);
/* No world names s any more. Main thread. */
void cluster_forget(struct proxy *p, struct cluster_state *s);
void endpoint_set_unref(struct endpoint_set *s); /* NULL is fine; any thread */
/* A try ended. Passive ejection is decided here. Any worker. */
void endpoint_report(struct cluster_state *c, struct endpoint_state *e,
                     const struct health_section *h, bool failed, int64_t now);
bool endpoint_usable(const struct endpoint_state *e, int64_t now);
void cluster_states_each(void (*fn)(struct cluster_state *s, void *arg),
                         void *arg); /* main thread */

/* ---- per world, shared (runtime.c) ---- */
struct cluster_runtime {
    const struct cluster *conf;
    struct cluster_state *state;
    const struct lb_type *lb;
    struct tls_ctx *tls; /* NULL = clear */
    struct str tls_key;  /* identity for pool keys: "" = clear */
    uint8_t proto;       /* enum http_proto */
    _Atomic(struct endpoint_set *) set;
    struct dns_endpoints *dns; /* until it is published */
    struct cluster_view *
        *views; /* by worker id: each worker finds its own once, without a search */
};

/* ---- per worker (upstream.c) ---- */
struct cluster_view {
    const struct cluster_runtime *rt; /* who asked last */
    struct cluster_state *state;
    const struct endpoint_set *set;
    uint64_t set_id;
    uint64_t version;
    int64_t recheck;       /* when an ejection ends: monotonic ns, 0 = never */
    struct lb_host *hosts; /* set->n */
    struct pool **pools;   /* set->n, filled on first use */
    struct lb_state lb;
    size_t n;
};
enum { CLUSTER_INDEX_NONE = UINT32_MAX };
struct cluster_view *
upstream_view(struct worker *w,
              const struct cluster_runtime *rt); /* up to date; NULL when memory is out */
/* Index of the endpoint for the next try, or view->n. */
size_t upstream_pick(struct worker *w, struct cluster_view *v, size_t avoid);
/* The pool of endpoint i of v, found on first use; NULL when memory is out. */
struct pool *upstream_pool(struct worker *w, struct cluster_view *v, size_t i,
                           const struct policy_set *policy);
void upstream_worker_fini(struct worker *w);

/* ---- pools (pool.c) ---- */
struct pool {
    struct str key; /* address|tls identity|protocol */
    struct worker *w;
    union addr addr;
    struct endpoint_state *endpoint;
    struct tls_ctx *tls;
    struct cluster_state *state; /* whose breaker it counts in */
    struct list idle;            /* h1 connections, most recently used first */
    struct list mux;             /* h2 connections that may take another stream */
    struct list opening;         /* connections on their way */
    struct list waiters;         /* exchange.wait */
    struct list mute;            /* h2 connections whose peer allows no stream now */
    uint32_t connecting, open;
    uint32_t held; /* views that have found it */
    struct dur connect_timeout, idle_timeout;
    uint8_t proto;
};
struct exchange;
struct pool *pool_get(struct worker *w, const struct cluster_runtime *rt, struct endpoint_state *e,
                      const struct policy_set *policy);
/* A connection for x: at once (returned), or later through exchange_connected /
 * exchange_connect_failed. ret_wait says which; NULL and false: the breaker is open. */
struct http_client *pool_acquire(struct pool *p, struct exchange *x,
                                 const struct policy_set *policy, bool *ret_wait);
void pool_cancel(struct exchange *x); /* leaves the waiters */
/* Connections are on their way and none has come about: who waits, waits for the endpoint, not in
 * a line of ours. */
bool pool_unreached(const struct pool *p);
/* Descriptors or memory are short: this worker's idle HTTP/1 connections are given up by halves. */
void pool_relieve(struct worker *w);
void pool_tick(struct worker *w); /* once a second: gives back what nobody needs */
void pool_close_all(struct worker *w);
bool pool_any_open(const struct worker *w);
void pool_worker_fini(struct worker *w); /* when their connections are gone */
