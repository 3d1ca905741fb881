/* Runs a proxy in this process. See run_proxy.h. */
#include "cli/run_proxy.h"
#include "base/log.h"
#include "cli/documents.h"

static bool read_conf(const struct invocation *in, struct proxy_conf *c, int *ret_code)
{
    const char *status = invocation_option(in, "status"),
               *workers = invocation_option(in, "workers");
    const char *drain = invocation_option(in, "drain"), *memory = invocation_option(in, "memory");
    const char *watchdog = invocation_option(in, "watchdog");
    struct bytes limit = { 0 };
    uint64_t n = 0;
    *c = (struct proxy_conf){ .status_address = STR("127.0.0.1:8007"),
                              .drain = { 10 * NS_PER_S },
                              .watchdog = { 2 * NS_PER_S },
                              .version = weir_version };
    if (status)
        c->status_address = strcmp(status, "off") == 0 ? STR("") : str_from(status);
    if (workers && (!str_to_u64(str_from(workers), &n) || n == 0 || n > 60))
        return *ret_code =
                   usage_error(in, "--workers takes a number from 1 to 60, not '%s'", workers),
               false;
    if (drain && !str_to_dur(str_from(drain), &c->drain))
        return *ret_code = usage_error(in, "--drain takes a duration like 10s, not '%s'", drain),
               false;
    if (watchdog && !str_to_dur(str_from(watchdog), &c->watchdog))
        return *ret_code =
                   usage_error(in, "--watchdog takes a duration like 2s, not '%s'", watchdog),
               false;
    if (memory && (!str_to_bytes(str_from(memory), &limit) || limit.n < 1 << 20))
        return *ret_code = usage_error(
                   in, "--memory takes a size like 512MiB, at least 1MiB, not '%s'", memory),
               false;
    c->workers = (unsigned)n;
    c->memory_limit = (size_t)limit.n;
    return true;
}

static void on_reload(void *arg, bool ok, const struct errors *e)
{
    (void)arg, (void)ok;
    for (size_t i = 0; i < e->n; i++) {
        struct buf b;
        buf_init(&b, 4096);
        error_format(&e->v[i], &b);
        if (e->v[i].warning)
            LOG_WARN("documents", LS("what", buf_view(&b)));
        else
            LOG_ERROR("reload refused, nothing was changed", LS("error", buf_view(&b)));
        buf_fini(&b);
    }
}

int run_proxy(const struct invocation *in, proxy_load_fn *load, void *arg)
{
    struct proxy_conf conf;
    struct arena a;
    struct errors e;
    int code = EXIT_FAILED;
    if (!read_conf(in, &conf, &code))
        return code;
    arena_init(&a, 0, 0);
    errors_init(&e, &a);
    struct proxy *p = proxy_new(&conf, load, arg);
    if (!p) {
        LOG_ERROR("cannot start", LC("why", "out of memory or descriptors"));
    } else if (proxy_reload(p, &e)) {
        documents_report(&e); /* warnings */
        proxy_on_reload(p, on_reload, NULL);
        code = proxy_run(p);
    } else {
        documents_report(&e);
    }
    if (p)
        proxy_free(p);
    arena_fini(&a);
    return code;
}
