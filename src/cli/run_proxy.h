/* What `up` and `proxy` share: the proxy's options and its run. Main thread. */
#pragma once
#include "cli/command.h"
#include "proxy/proxy.h"

#define PROXY_OPTIONS                                                                  \
    { "status", 's', "ADDR",                                                           \
      "Address of the status page: /ready /status /metrics /config; \"off\" for none " \
      "(127.0.0.1:8007)" },                                                            \
        { "workers", 'w', "N", "Worker threads (one a CPU)" },                         \
        { "drain", 0, "DUR", "Longest wait for requests under way at the end (10s)" }, \
        { "watchdog", 0, "DUR",                                                        \
          "CPU time one turn of a worker may take before the process ends with its "   \
          "stack; 0 for no limit (2s)" },                                              \
    {                                                                                  \
        "memory", 0, "BYTES", "Bytes of buffers before requests are shed (1GiB)"       \
    }
struct last_good;
struct run_source {
    proxy_load_fn *load;
    void *arg;
    struct last_good *last_good; /* --data; NULL: no state is kept */
};
/* Runs until a signal. Returns the exit code. */
int run_proxy(const struct invocation *in, const struct run_source *s);
