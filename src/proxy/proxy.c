/* The main thread: loading worlds, binding sockets, handing both to the workers, signals, draining.
 */
#include "proxy/proxy.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/signal.h"
#include "io/sys.h"
#include "proxy/proxy_priv.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

enum { FD_RESERVE = 64, LISTEN_BACKLOG = 8192, LAST_TURNS = 4 };
static const int64_t NAMES_PATIENCE_NS = 2 * NS_PER_S; /* a name server that does not answer must
                                                          not keep a change away for long */
static const int64_t SWAP_SLOW_NS = 10 * NS_PER_S;     /* then it is told */

/* ---- sockets ---- */
static struct str keep_str(struct str s)
{
    char *c = mem_need(s.n + 1);
    memcpy(c, s.p, s.n);
    return (struct str){ c, s.n };
}

static void bound_free(struct proxy *p, struct bound *b)
{
    for (unsigned i = 0; i < p->n_workers; i++)
        if (b->fd[i] >= 0)
            (void)sys_close(b->fd[i]);
    list_del(&b->link);
    mem_free((void *)b->name.p);
    mem_free((void *)b->address.p);
    mem_free(b->fd);
    mem_free(b);
}

/* A listener that cannot have its address: what is wrong, and what a person can do about it. */
static bool refuse_address(struct errors *e, const struct listener *l, int err)
{
    const char *hint = "";
    if (err == EADDRINUSE)
        hint =
            ": another process has it ('ss -ltnp' names it); stop that one or choose another "
            "address, port 0 takes a free one";
    else if (err == EACCES)
        hint =
            ": ports below 1024 need the capability CAP_NET_BIND_SERVICE (packaging/weir.service"
            " has it), or choose a higher port";
    else if (err == EADDRNOTAVAIL)
        hint = ": no interface of this machine has that address";
    return fail(e, STR(""), 0, 0, l->name, "cannot listen on %.*s: %s%s", STR_FMT(l->address),
                strerror(err), hint);
}

/* All workers' sockets of one listener, or none. Port 0 is settled by the first. */
static struct bound *bound_open(struct proxy *p, const struct listener *l, const union addr *want,
                                struct errors *e)
{
    struct bound *b = NEW(struct bound);
    b->name = keep_str(l->name);
    b->address = keep_str(l->address);
    b->fd = mem_need(p->n_workers * sizeof(int));
    b->fresh = b->keep = true;
    b->real = *want;
    for (unsigned i = 0; i < p->n_workers; i++)
        b->fd[i] = -1;
    list_add_tail(&p->bound, &b->link);
    for (unsigned i = 0; i < p->n_workers; i++) {
        union addr a = b->real;
        b->fd[i] = listen_open(
            &a, (struct listen_opts){ .reuse_port = true, .backlog = LISTEN_BACKLOG }, &b->real);
        if (b->fd[i] < 0) {
            refuse_address(e, l, errno);
            bound_free(p, b);
            return NULL;
        }
    }
    return b;
}

/* True when a listener of this process holds the port, at any address: 127.0.0.1:80 may become
 * 0.0.0.0:80 by a reload. */
static bool own_port(const struct proxy *p, uint16_t port)
{
    LIST_FOR(it, &p->bound)
    {
        if (addr_port(&CONTAINER_OF(it, struct bound, link)->real) == port)
            return true;
    }
    return false;
}

/* SO_REUSEPORT would let two listeners share an address by accident, and each would get some of the
 * other's connections: another one of ours (written differently, or on a port that it was given for
 * 0) is among the bound, another process is found by a probe without it. */
static bool address_free(const struct proxy *p, const struct listener *l, const union addr *a,
                         struct errors *e)
{
    union addr got;
    LIST_FOR(it, &p->bound)
    {
        const struct bound *b = CONTAINER_OF(it, struct bound, link);
        if (b->keep && addr_equal(&b->real, a))
            return fail(e, STR(""), 0, 0, l->name, "cannot listen on %.*s: listener '%.*s' does",
                        STR_FMT(l->address), STR_FMT(b->name));
    }
    if (addr_port(a) == 0 || own_port(p, addr_port(a)))
        return true;
    int fd = listen_open(a, (struct listen_opts){ .backlog = 1 }, &got);
    if (fd < 0)
        return refuse_address(e, l, errno);
    (void)sys_close(fd);
    return true;
}

/* What is bound already stays bound: first for the listeners that have not changed, then for those
 * that only got another name, so that no connection on its way is lost. */
static void bound_match(struct proxy *p, struct runtime *r, bool by_name)
{
    for (size_t i = 0; i < r->n_listeners; i++) {
        struct runtime_listener *rl = &r->listeners[i];
        LIST_FOR(it, &p->bound)
        {
            struct bound *b = CONTAINER_OF(it, struct bound, link);
            bool fits =
                by_name ? str_eq(b->name, rl->conf->name) && str_eq(b->address, rl->conf->address)
                        : addr_port(&rl->addr) && addr_equal(&b->real, &rl->addr);
            if (rl->socket || b->keep || !fits)
                continue;
            b->keep = true;
            rl->socket = b;
        }
    }
}

static void bound_undo(struct proxy *p, struct runtime *r)
{
    for (size_t i = 0; i < r->n_listeners; i++) {
        struct bound *b = r->listeners[i].socket;
        r->listeners[i].socket = NULL;
        if (b && b->fresh)
            bound_free(p, b);
    }
}

static bool bind_all(struct proxy *p, struct runtime *r, struct errors *e)
{
    bool ok = true;
    LIST_FOR(it, &p->bound)
    {
        struct bound *b = CONTAINER_OF(it, struct bound, link);
        b->fresh = b->keep = false;
    }
    bound_match(p, r, true);
    bound_match(p, r, false);
    for (size_t i = 0; i < r->n_listeners; i++) {
        struct runtime_listener *rl = &r->listeners[i];
        if (!rl->socket && address_free(p, rl->conf, &rl->addr, e))
            rl->socket = bound_open(p, rl->conf, &rl->addr, e);
        ok &= rl->socket != NULL;
    }
    if (!ok)
        bound_undo(p, r);
    for (size_t i = 0; ok && i < r->n_listeners; i++)
        atomic_fetch_add(&r->listeners[i].socket->users, 1);
    return ok;
}

/* After the swap: new names, and what no listener uses any more. The struct is freed after the last
 * runtime that counts connections in it. */
static void bound_sweep(struct proxy *p)
{
    for (size_t i = 0; i < p->runtime->n_listeners; i++) {
        const struct runtime_listener *rl = &p->runtime->listeners[i];
        struct bound *b = rl->socket;
        if (str_eq(b->name, rl->conf->name) && str_eq(b->address, rl->conf->address))
            continue;
        mem_free((void *)b->name.p);
        mem_free((void *)b->address.p);
        b->name = keep_str(rl->conf->name);
        b->address = keep_str(rl->conf->address);
    }
    LIST_FOR_SAFE(it, tmp, &p->bound)
    {
        struct bound *b = CONTAINER_OF(it, struct bound, link);
        if (b->keep)
            continue;
        list_del(&b->link);
        list_add_tail(&p->bound_old, &b->link);
    }
}

static void free_old_bounds(struct proxy *p)
{
    LIST_FOR_SAFE(it, tmp, &p->bound_old)
    {
        struct bound *b = CONTAINER_OF(it, struct bound, link);
        if (atomic_load(&b->users) == 0)
            bound_free(p, b);
    }
}

/* ---- swapping worlds ---- */
void proxy_wake_workers(struct proxy *p)
{
    for (unsigned i = 0; i < p->n_workers; i++)
        if (p->workers[i].loop)
            loop_wake(p->workers[i].loop);
}

static bool all_adopted(const struct proxy *p, uint64_t generation)
{
    for (unsigned i = 0; i < p->n_workers; i++)
        if (!atomic_load_explicit(&p->workers_ended[i], memory_order_acquire) &&
            atomic_load_explicit(&p->workers[i].adopted, memory_order_acquire) != generation)
            return false;
    return true;
}

/* Names that are new are looked up before anybody may ask for them: without the wait the first
 * requests after every such change would be refused. */
static void prepare_endpoints(struct proxy *p, struct runtime *r)
{
    int64_t patience = clock_mono() + NAMES_PATIENCE_NS;
    endpoints_prepare(p, r);
    while (endpoints_pending(r) && clock_mono() < patience && !p->draining)
        loop_turn(p->loop, 10 * NS_PER_MS);
}

static void swap(struct proxy *p, struct runtime *r)
{
    prepare_endpoints(p, r);
    r->generation = atomic_load(&p->generation) + 1;
    atomic_store(&p->generation, r->generation);
    endpoints_publish(p, r);
    atomic_store_explicit(&p->published, r, memory_order_release);
    for (unsigned i = 0; i < p->n_workers; i++)
        loop_post(p->workers[i].loop, &p->workers[i].adopt);
    /* However long it takes: a worker without a CPU comes back, one that spins is the watchdog's.
     */
    int64_t slow = clock_mono() + SWAP_SLOW_NS;
    while (!all_adopted(p, r->generation)) {
        loop_turn(p->loop, 10 * NS_PER_MS);
        if (clock_mono() < slow)
            continue;
        LOG_WARN("a worker has not taken the new configuration yet");
        slow = INT64_MAX;
    }
    struct runtime *old = p->runtime;
    p->runtime = r;
    health_adopt(p, r);
    if (old)
        world_unref(old->world); /* runtime_free follows the last use */
    bound_sweep(p);
}

static void announce(const struct proxy *p)
{
    LIST_FOR(it, &p->bound)
    {
        const struct bound *b = CONTAINER_OF(it, struct bound, link);
        char text[ADDR_TEXT_MAX];
        size_t n = addr_print(&b->real, text);
        if (b->fresh)
            LOG_INFO("listening", LS("listener", b->name),
                     LS("address", ((struct str){ text, n })));
    }
}

static void remember(struct proxy *p, bool ok, const struct errors *e)
{
    struct buf b;
    telemetry_reload(ok);
    p->reload.last_ok = ok;
    p->reload.last_wall = clock_wall();
    if (ok) {
        p->reload.ok++;
        p->reload.error[0] = 0;
        return;
    }
    p->reload.failed++;
    buf_init(&b, sizeof(p->reload.error) - 1);
    for (size_t i = 0; i < e->n && !b.failed; i++) {
        if (b.n)
            buf_char(&b, '\n');
        error_format(&e->v[i], &b);
    }
    memcpy(p->reload.error, b.p ? b.p : "", b.n);
    p->reload.error[b.n] = 0;
    buf_fini(&b);
}

static bool take(struct proxy *p, struct world *w, struct errors *e)
{
    struct runtime *r = w ? runtime_new(p, w, e) : NULL;
    if (!r || !bind_all(p, r, e)) {
        if (w)
            world_unref(w); /* with it the runtime, if it was made */
        return false;
    }
    if (p->running) {
        swap(p, r);
        log_writer_reopen(p->log_writer);
    } else {
        p->runtime = r;
    }
    announce(p);
    return true;
}

bool proxy_reload(struct proxy *p, struct errors *e)
{
    struct world *prev = p->runtime ? p->runtime->world : NULL;
    bool ok = take(p, p->load(p->load_arg, prev, e), e);
    remember(p, ok, e);
    return ok;
}

bool proxy_fall_back(struct proxy *p, proxy_load_fn *load, void *arg, struct errors *e)
{
    CHECK(!p->running);
    return take(p, load(arg, NULL, e), e);
}

/* ---- signals, drain ---- */
static void tell(struct proxy *p, enum proxy_event event, const struct errors *e)
{
    if (p->on_event)
        p->on_event(p->on_event_arg, event, e);
}

static void do_reload(struct proxy *p)
{
    struct arena a;
    struct errors e;
    arena_init(&a, 0, 0);
    errors_init(&e, &a);
    tell(p, PROXY_RELOADING, NULL);
    bool ok = proxy_reload(p, &e);
    if (ok)
        LOG_INFO("reloaded", LC("hash", world_hash(p->runtime->world)),
                 LI("rules", world_routes(p->runtime->world)));
    else
        LOG_ERROR("reload failed: nothing changed", LC("error", p->reload.error),
                  LI("errors", e.n));
    tell(p, ok ? PROXY_RELOADED : PROXY_REFUSED, &e);
    arena_fini(&a);
}

static void begin_drain(struct proxy *p)
{
    if (p->draining) {
        LOG_WARN("second signal: ending at once");
        atomic_store(&p->stop_requested, true);
    } else {
        p->draining = true;
        p->drain_deadline = loop_now(p->loop) + p->conf.drain.ns;
        LOG_INFO("draining", LI("seconds", p->conf.drain.ns / NS_PER_S));
        atomic_store(&p->drain_requested, true);
        tell(p, PROXY_DRAINING, NULL);
    }
    proxy_wake_workers(p);
}

static void on_signal(void *arg, int signo)
{
    struct proxy *p = arg;
    if (signo == SIGHUP)
        p->reload_wanted =
            true; /* done between turns: waiting for the workers turns this loop itself */
    else if (signo == SIGTERM || signo == SIGINT)
        begin_drain(p);
}

static void on_turn(void *arg)
{
    struct proxy *p = arg;
    if (!p->reload_wanted)
        return;
    p->reload_wanted = false;
    if (p->draining)
        LOG_INFO("not reloaded", LC("why", "draining"));
    else
        do_reload(p);
}

static bool workers_ended(const struct proxy *p)
{
    for (unsigned i = 0; i < p->n_workers; i++)
        if (!atomic_load_explicit(&p->workers_ended[i], memory_order_acquire))
            return false;
    return true;
}

static void on_tick(struct timer *t)
{
    struct proxy *p = CONTAINER_OF(t, struct proxy, tick);
    int64_t now = loop_now(p->loop);
    proxy_free_retired(p);
    watchdog_tick(p);
    free_old_bounds(p);
    proxy_trim(p);
    endpoint_states_sweep(p);
    if (p->draining && now > p->drain_deadline + NS_PER_S)
        atomic_store(&p->stop_requested, true);
    if (p->draining && workers_ended(p)) {
        loop_stop(p->loop);
        return;
    }
    if (atomic_load(&p->stop_requested))
        proxy_wake_workers(p);
    timer_set(p->loop, t, now + (p->draining ? 20 * NS_PER_MS : 200 * NS_PER_MS));
}

/* ---- start and end ---- */
/* Connections of both sides together; the rest is for files, probes and the status page. */
static uint32_t connection_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return 400;
    r.rlim_cur = r.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &r);
    (void)getrlimit(RLIMIT_NOFILE, &r);
    if (r.rlim_cur == RLIM_INFINITY || r.rlim_cur > 4000000)
        return 2000000;
    return r.rlim_cur > 2 * FD_RESERVE ? (uint32_t)(r.rlim_cur - FD_RESERVE) : FD_RESERVE;
}

struct proxy *proxy_new(const struct proxy_conf *c, proxy_load_fn *load, void *arg)
{
    struct proxy *p = NEW(struct proxy);
    p->conf = *c;
    p->load = load;
    p->load_arg = arg;
    p->n_workers = c->workers ? c->workers : cpu_count();
    if (p->n_workers > METRIC_MAX_WORKERS - 1)
        p->n_workers = METRIC_MAX_WORKERS - 1; /* the last metric shard is the main thread's */
    metrics_set_workers(p->n_workers);
    if (!p->conf.drain.ns)
        p->conf.drain.ns = 30 * NS_PER_S;
    if (!p->conf.memory_limit)
        p->conf.memory_limit = (size_t)1 << 30;
    p->max_connections = connection_limit();
    p->workers = mem_need(p->n_workers * sizeof(*p->workers));
    list_init(&p->bound);
    list_init(&p->bound_old);
    p->started_wall = clock_wall();
    p->log_writer = log_writer_new();
    p->loop = loop_new(METRIC_MAX_WORKERS - 1);
    if (!p->loop || !p->log_writer) {
        LOG_ERROR("cannot start the main loop", LC("error", strerror(errno)));
        proxy_free(p);
        return NULL;
    }
    return p;
}

static bool start(struct proxy *p)
{
    struct arena a;
    struct errors e;
    arena_init(&a, 0, 0);
    errors_init(&e, &a);
    bool ok = true;
    if (p->conf.status_address.n) {
        p->status = status_open(p, p->conf.status_address, &e);
        ok = p->status != NULL;
        char text[ADDR_TEXT_MAX];
        if (ok)
            LOG_INFO(
                "status",
                LS("address", ((struct str){ text, addr_print(status_address(p->status), text) })));
        if (!ok && e.n)
            LOG_ERROR("no status listener", LS("error", e.v[0].msg));
    }
    for (unsigned i = 0; i < p->n_workers && ok; i++)
        ok = worker_start(&p->workers[i], p, i);
    arena_fini(&a);
    return ok;
}

int proxy_run(struct proxy *p)
{
    p->signals = signals_watch(p->loop, on_signal, p);
    if (!p->signals || !start(p))
        return 1;
    struct runtime *first = p->runtime;
    p->runtime = NULL;
    p->running = true;
    swap(p, first);
    tell(p, PROXY_READY, NULL);
    LOG_INFO("ready", LI("workers", p->n_workers), LI("rules", world_routes(first->world)),
             LC("hash", world_hash(first->world)));
    timer_init(&p->tick, on_tick);
    timer_set(p->loop, &p->tick, loop_now(p->loop) + 200 * NS_PER_MS);
    loop_run(p->loop, on_turn, p);
    for (unsigned i = 0; i < p->n_workers; i++)
        thread_join(&p->workers[i].thread);
    p->running = false;
    LOG_INFO("stopped");
    return p->exit_code;
}

void proxy_on_event(struct proxy *p, proxy_event_fn *fn, void *arg)
{
    p->on_event = fn;
    p->on_event_arg = arg;
}

void proxy_set_saved(struct proxy *p, const char *saved)
{
    p->saved = saved;
}

static void stop_cluster(struct cluster_state *s, void *arg)
{
    (void)arg;
    health_stop(s);
    dns_endpoints_stop(s);
}

void proxy_free(struct proxy *p)
{
    if (!p)
        return;
    cluster_states_each(stop_cluster, NULL);
    /* Connections end at the end of a turn: those of checks under way are freed here. */
    for (int i = 0; i < LAST_TURNS && p->loop; i++)
        loop_turn(p->loop, 0);
    if (p->log_writer)
        log_writer_stop(p->log_writer);
    for (unsigned i = 0; i < p->n_workers; i++)
        if (p->workers[i].loop)
            worker_fini(&p->workers[i]);
    if (p->runtime)
        world_unref(p->runtime->world);
    proxy_free_retired(p);
    status_free(p->status);
    LIST_FOR_SAFE(it, tmp, &p->bound)
    {
        bound_free(p, CONTAINER_OF(it, struct bound, link));
    }
    LIST_FOR_SAFE(it, tmp, &p->bound_old)
    {
        bound_free(p, CONTAINER_OF(it, struct bound, link));
    }
    if (p->signals)
        signals_free(p->signals);
    if (p->log_writer)
        log_writer_free(p->log_writer);
    if (p->loop)
        loop_free(p->loop);
    mem_free(p->workers);
    mem_free(p);
}
