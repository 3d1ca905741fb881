/* Runs a proxy in this process. See run_proxy.h. */
#include "cli/run_proxy.h"
#include "base/log.h"
#include "cli/documents.h"
#include "cli/last_good.h"
#include "io/addr.h"
#include "io/notify.h"
#include <errno.h>

static bool read_conf(const struct invocation *in, struct proxy_conf *c, int *ret_code)
{
    const char *status = invocation_option(in, "status"),
               *workers = invocation_option(in, "workers");
    const char *drain = invocation_option(in, "drain"), *memory = invocation_option(in, "memory");
    const char *watchdog = invocation_option(in, "watchdog");
    struct bytes limit = { 0 };
    union addr unused;
    uint64_t n = 0;
    *c = (struct proxy_conf){ .status_address = STR("127.0.0.1:8007"),
                              .drain = { 10 * NS_PER_S },
                              .watchdog = { 2 * NS_PER_S },
                              .version = weir_version };
    if (status)
        c->status_address = strcmp(status, "off") == 0 ? STR("") : str_from(status);
    if (c->status_address.n && !addr_parse(c->status_address, &unused))
        return *ret_code = usage_error(
                   in, "--status takes an address like 127.0.0.1:8007, or off, not '%s'", status),
               false;
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

static void log_errors(const struct errors *e, const char *msg)
{
    for (size_t i = 0; i < e->n; i++) {
        struct buf b;
        buf_init(&b, 4096);
        error_format(&e->v[i], &b);
        if (e->v[i].warning)
            LOG_WARN("documents", LS("what", buf_view(&b)));
        else
            LOG_ERROR(msg, LS("error", buf_view(&b)));
        buf_fini(&b);
    }
}

struct run {
    const struct run_source *source;
    struct proxy *proxy;
    const char *serving; /* for the service manager */
};

/* A configuration that runs but was not saved is told, not undone: the next restart is worse off,
 * traffic is not. */
static void save(struct run *r)
{
    struct last_good *l = r->source->last_good;
    if (!l)
        return;
    bool ok = last_good_save(l);
    proxy_set_saved(r->proxy, ok ? "saved" : "not saved");
    if (!ok)
        LOG_ERROR("the last good configuration was not saved", LC("file", last_good_path(l)),
                  LC("why", strerror(errno)));
}

static void on_event(void *arg, enum proxy_event event, const struct errors *e)
{
    struct run *r = arg;
    switch (event) {
    case PROXY_READY:
        save(r);
        (void)notify_ready(r->serving);
        return;
    case PROXY_RELOADING:
        (void)notify_reloading();
        return;
    case PROXY_RELOADED:
        log_errors(e, "documents");
        save(r);
        (void)notify_ready("Serving.");
        return;
    case PROXY_REFUSED:
        if (r->source->last_good)
            last_good_offer(r->source->last_good, NULL);
        log_errors(e, "reload refused, nothing was changed");
        (void)notify_ready("Serving; the last reload was refused, the log says why.");
        return;
    case PROXY_DRAINING:
        (void)notify_stopping();
        return;
    }
}

/* With --data a start is like a reload: what is refused leaves the last good configuration running.
 */
static bool fall_back(struct run *r, struct errors *e)
{
    struct last_good *l = r->source->last_good;
    size_t refused = e->n;
    if (!l)
        return false;
    last_good_offer(l, NULL);
    if (!proxy_fall_back(r->proxy, last_good_world, l, e))
        return false; /* it says why: there is none yet, or it is damaged */
    e->n = refused;
    log_errors(e, "documents refused at start");
    LOG_ERROR(
        "STALE: the documents were refused, so the last good configuration runs; mend them "
        "and send SIGHUP",
        LC("file", last_good_path(l)));
    r->serving = "Serving the LAST GOOD configuration: the documents were refused.";
    proxy_set_saved(r->proxy, "saved");
    return true;
}

static bool begin(struct run *r, struct errors *e)
{
    if (proxy_reload(r->proxy, e)) {
        documents_report(e); /* warnings */
        return true;
    }
    if (fall_back(r, e))
        return true;
    documents_report(e);
    return false;
}

int run_proxy(const struct invocation *in, const struct run_source *s)
{
    struct proxy_conf conf;
    struct arena a;
    struct errors e;
    int code = EXIT_FAILED;
    if (!read_conf(in, &conf, &code))
        return code;
    arena_init(&a, 0, 0);
    errors_init(&e, &a);
    notify_open();
    struct run r = { .source = s, .serving = "Serving." };
    r.proxy = proxy_new(&conf, s->load, s->arg);
    if (!r.proxy) {
        LOG_ERROR("cannot start", LC("why", "out of memory or descriptors"));
    } else if (begin(&r, &e)) {
        proxy_on_event(r.proxy, on_event, &r);
        code = proxy_run(r.proxy);
    }
    if (r.proxy)
        proxy_free(r.proxy);
    notify_close();
    arena_fini(&a);
    return code;
}
