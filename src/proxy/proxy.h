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
/* Called after each reload attempt in proxy_run: cli prints errors. */
void proxy_on_reload(struct proxy *p, void (*fn)(void *arg, bool ok, const struct errors *e),
                     void *arg);
/* Everything that a reload would refuse about w but sockets: certificates, filters. Binds nothing.
 */
bool proxy_check(struct world *w, struct errors *e);
