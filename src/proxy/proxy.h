/* The data plane as a whole: workers, worlds, listeners, the status page. Owned by the main thread.
 */
#pragma once
#include "base/error.h"
#include "snapshot/world.h"

struct proxy;
struct proxy_conf {
    unsigned workers;          /* 0 = one a CPU */
    struct str status_address; /* "" = none */
    struct dur drain;          /* deadline of drains; default 30s */
    size_t memory_limit; /* bytes of buffers over all workers before requests are shed; 0 = 1 GiB */
    struct dur watchdog; /* CPU time one loop turn of a worker may take; 0 = no limit */
    const char *version;
};
/* How the documents are read again on SIGHUP: gives a new world, or NULL with errors. */
typedef struct world *proxy_load_fn(void *arg, const struct world *prev, struct errors *e);
struct proxy *proxy_new(const struct proxy_conf *c, proxy_load_fn *load, void *arg);
/* Loads and swaps in a world: certificates, sockets and limits are prepared aside; on false nothing
 * changed. */
bool proxy_reload(struct proxy *p, struct errors *e);
/* Starts workers and the status listener, then serves until a signal ends it. SIGHUP reloads,
   SIGTERM and SIGINT drain, a second one ends at once. Returns the exit code. */
int proxy_run(struct proxy *p);
void proxy_free(struct proxy *p);
/* After a proxy_reload that failed at start: runs what load gives instead. /status calls it stale
 * until a reload succeeds. */
bool proxy_fall_back(struct proxy *p, proxy_load_fn *load, void *arg, struct errors *e);
enum proxy_event {
    PROXY_READY,     /* serving; once */
    PROXY_RELOADING, /* then one of the next two */
    PROXY_RELOADED,
    PROXY_REFUSED, /* the documents were; what ran goes on */
    PROXY_DRAINING,
};
/* Told on the main thread, from inside proxy_run. e is what a reload collected, else NULL. */
typedef void proxy_event_fn(void *arg, enum proxy_event event, const struct errors *e);
void proxy_on_event(struct proxy *p, proxy_event_fn *fn, void *arg);
/* What /status says about the copy kept for the next start: "saved", "not saved". NULL: nothing. */
void proxy_set_saved(struct proxy *p, const char *saved);
/* Everything that a reload would refuse about w but sockets: certificates, filters. Binds nothing.
 */
bool proxy_check(struct world *w, struct errors *e);
