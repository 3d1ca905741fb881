/* weir proxy: the data plane alone, from a compiled snapshot. */
#include "cli/documents.h"
#include "cli/run_proxy.h"

static struct world *load(void *arg, const struct world *prev, struct errors *e)
{
    return snapshot_world(arg, prev, e);
}

static int run(const struct invocation *in)
{
    const char *file = invocation_option(in, "snapshot");
    if (!file || in->args.n)
        return usage_error(in, "give --snapshot FILE (made by 'weir compile -o FILE DOCUMENTS')");
    return run_proxy(in, &(struct run_source){ .load = load, .arg = (void *)(uintptr_t)file });
}

static const struct option options[] = {
    { "snapshot", 0, "FILE", "The snapshot to run; SIGHUP reads it again" },
    PROXY_OPTIONS,
    { NULL },
};
const struct command cmd_proxy = {
    .name = "proxy",
    .summary = "Runs the data plane alone, from a compiled snapshot.",
    .options = options,
    .run = run,
};
