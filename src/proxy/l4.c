/* Raw connections: TCP as it is, TLS ended here, TLS passed through by its server name. A pair of
   connections with bytes going both ways; each side's reading stops while the other side's queue is
   full, so a slow reader never grows memory here. Worker threads.

   The memory is freed when both sides have told on_close; `down` is open from the start, `up` once
   a connection was begun. */
#include "base/mem.h"
#include "base/rand.h"
#include "codec/sni.h"
#include "decide/decide.h"
#include "io/conn.h"
#include "io/sys.h"
#include "proxy/proxy_priv.h"
#include <stdatomic.h>

struct l4 {
    struct conn down, up;
    struct worker_listener *l;
    struct world_pin *pin;
    struct list link; /* l->raw */
    struct timer timer;
    const struct backend *backend;
    struct cluster_view *view;
    struct endpoint_state *endpoint;
    char last_endpoint[ADDR_TEXT_MAX]; /* its address, for the log */
    size_t last_n;
    struct str route;
    struct buf hello; /* what came before there was an upstream */
    size_t avoid;
    uint64_t bytes_in, bytes_out;
    int64_t start, start_wall;
    uint32_t tries;
    const char *why;
    union addr client;
    bool up_used; /* conn_connect succeeded and on_close has not come */
    bool connected, timed_out, down_eof, up_eof, down_gone, counted;
    char tls[16]; /* version, when TLS ends here */
    char sni[SNI_NAME_MAX + 1];
    size_t sni_n;
};

static struct l4 *of_down(struct conn *c)
{
    return CONTAINER_OF(c, struct l4, down);
}
static struct l4 *of_up(struct conn *c)
{
    return CONTAINER_OF(c, struct l4, up);
}

static void arm(struct l4 *x, struct dur d)
{
    struct loop *l = x->l->w->loop;
    if (d.ns > 0)
        timer_set(l, &x->timer, loop_now(l) + d.ns);
    else
        timer_off(&x->timer);
}

static const struct policy_set *policy_of(const struct l4 *x)
{
    return x->backend ? x->backend->policy : x->l->conf->policy_set;
}

static void active_again(struct l4 *x)
{
    if (x->connected)
        arm(x, policy_of(x)->timeout->idle);
}

static void release_endpoint(struct l4 *x)
{
    if (x->counted) {
        atomic_fetch_sub_explicit(&x->view->state->connections, 1, memory_order_relaxed);
        atomic_fetch_sub_explicit(&x->endpoint->active, 1, memory_order_release);
    }
    x->counted = false;
    x->endpoint = NULL;
}

/* Who failed: the client, the gateway itself, or else the service. */
static const char *failed_side(const char *why)
{
    static const struct {
        const char *why, *side;
    } sides[] = { { "", "" },
                  { "client_closed", "client" },
                  { "handshake_timeout", "client" },
                  { "tls_protocol_error", "client" },
                  { "no_route", "gateway" },
                  { "drain", "gateway" },
                  { "connection_limit_reached", "gateway" },
                  { "proxy_internal_response", "gateway" } };
    for (size_t i = 0; i < ARRAY_LEN(sides); i++)
        if (strcmp(sides[i].why, why) == 0)
            return sides[i].side;
    return "upstream";
}

static void write_log(struct l4 *x)
{
    char text[ADDR_TEXT_MAX];
    size_t n = addr_print_ip(&x->client, text);
    struct raw_log r = {
        .listener = x->l->name,
        .route = x->route,
        .service = x->backend ? x->backend->cluster->name : STR(""),
        .endpoint = { x->last_endpoint, x->last_n },
        .client = { text, n },
        .sni = { x->sni, x->sni_n },
        .tls = str_from(x->tls),
        .failed = failed_side(x->why),
        .tries = x->tries,
        .bytes_in = x->bytes_in,
        .bytes_out = x->bytes_out,
        .start_wall = x->start_wall,
        .duration_ns = loop_now(x->l->w->loop) - x->start,
        .why = x->why,
    };
    access_log_raw(x->l->w, x->l->runtime, &r);
}

static void maybe_free(struct l4 *x)
{
    struct worker *w = x->l->w;
    if (!x->down_gone || x->up_used)
        return;
    write_log(x);
    timer_fini(w->loop, &x->timer);
    buf_fini(&x->hello);
    list_del(&x->link);
    x->l->n_raw--;
    listener_count_raw(x->l, -1);
    w->active--;
    pin_unref(w, x->pin);
    mem_free(x);
}

/* Ends both sides; the client sees a reset, never an end that could be taken for a whole answer. */
static void fail_both(struct l4 *x, const char *why)
{
    if (!*x->why)
        x->why = why;
    if (!x->down_gone && !conn_closing(&x->down)) {
        if (x->connected)
            conn_abort(&x->down, IO_OTHER);
        else
            conn_close(&x->down,
                       (struct dur){ NS_PER_S }); /* nothing was said yet that could look whole */
    }
    if (x->up_used && !conn_closing(&x->up))
        conn_abort(&x->up, IO_OTHER);
}

static void close_both(struct l4 *x)
{
    if (!x->down_gone && !conn_closing(&x->down))
        conn_close(&x->down, (struct dur){ 0 });
    if (x->up_used && !conn_closing(&x->up))
        conn_close(&x->up, (struct dur){ 0 });
}

/* ---- upstream ---- */
static const struct conn_ops up_ops;

static bool breaker_open(const struct l4 *x)
{
    const struct breaker_section *b = x->backend->cluster->policy_set->breaker;
    uint32_t now = atomic_fetch_add_explicit(&x->view->state->connections, 1, memory_order_relaxed);
    if (!b->max_connections || now < (uint64_t)b->max_connections)
        return false;
    atomic_fetch_sub_explicit(&x->view->state->connections, 1, memory_order_relaxed);
    return true;
}

static void connect_upstream(struct l4 *x)
{
    struct worker *w = x->l->w;
    const struct cluster_runtime *rt = &x->pin->runtime->clusters[x->backend->cluster->index];
    x->view = upstream_view(w, rt);
    size_t i = x->view ? upstream_pick(w, x->view, x->avoid) : 0;
    if (!x->view || i >= x->view->n) {
        fail_both(x, "destination_unavailable");
        return;
    }
    if (breaker_open(x)) {
        fail_both(x, "connection_limit_reached");
        return;
    }
    x->avoid = i;
    x->tries++;
    x->timed_out = false;
    x->endpoint = x->view->set->v[i].state;
    x->last_n = x->endpoint->address.n;
    memcpy(x->last_endpoint, x->endpoint->address.p, x->last_n);
    x->counted = true;
    atomic_fetch_add_explicit(&x->endpoint->active, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&x->endpoint->requests, 1, memory_order_relaxed);
    memset(&x->up, 0, sizeof(x->up));
    if (!conn_connect(&x->up, w->loop, &x->endpoint->addr, rt->tls, x->endpoint->tls_name,
                      &up_ops)) {
        release_endpoint(x);
        fail_both(x, "connection_refused");
        return;
    }
    x->up_used = true;
    atomic_fetch_add_explicit(&w->p->upstream_connections, 1, memory_order_relaxed);
    arm(x, policy_of(x)->timeout->connect);
}

static void report(struct l4 *x, bool failed)
{
    if (x->endpoint)
        endpoint_report(x->view->state, x->endpoint, x->backend->cluster->policy_set->health,
                        failed, loop_now(x->l->w->loop));
}

static void up_open(struct conn *c)
{
    struct l4 *x = of_up(c);
    x->connected = true;
    report(x, false);
    active_again(x);
    if (x->hello.n) {
        conn_write(&x->up, x->hello.p, x->hello.n);
        buf_fini(&x->hello);
    }
    if (x->down_eof)
        conn_shutdown(&x->up);
    conn_read_resume(&x->down);
}

static void up_data(struct conn *c, const char *p, size_t n)
{
    struct l4 *x = of_up(c);
    x->bytes_out += n;
    active_again(x);
    if (x->down_gone || conn_closing(&x->down))
        return;
    if (!conn_write(&x->down, p, n))
        conn_read_pause(&x->up);
}

static void up_eof(struct conn *c)
{
    struct l4 *x = of_up(c);
    x->up_eof = true;
    if (x->down_eof)
        close_both(x);
    else if (!conn_closing(&x->down))
        conn_shutdown(&x->down);
}

static void up_drain(struct conn *c)
{
    struct l4 *x = of_up(c);
    if (!conn_closing(&x->down))
        conn_read_resume(&x->down);
}

/* Nothing was sent yet: the one condition of retries that bytes can meet. */
static bool may_try_again(const struct l4 *x)
{
    const struct retry_section *r = policy_of(x)->retry;
    for (size_t i = 0; i < r->on.n; i++)
        if (str_eq(r->on.v[i], STR("connect-failure")))
            return x->tries <= (uint64_t)r->attempts;
    return false;
}

static void up_close(struct conn *c, enum io_err e)
{
    struct l4 *x = of_up(c);
    x->up_used = false;
    atomic_fetch_sub_explicit(&x->l->w->p->upstream_connections, 1, memory_order_relaxed);
    bool never = !x->connected;
    if (never)
        report(x, true);
    release_endpoint(x);
    if (never && !x->down_gone && !conn_closing(&x->down) && may_try_again(x)) {
        connect_upstream(x);
        return;
    }
    if (never)
        fail_both(x, e == IO_TLS || e == IO_TLS_VERIFY ? "tls_certificate_error"
                     : x->timed_out                    ? "connection_timeout"
                                                       : "connection_refused");
    else if (e == IO_OK || e == IO_EOF)
        close_both(x);
    else
        fail_both(x, "connection_terminated");
    maybe_free(x);
}

static const struct conn_ops up_ops = { .on_open = up_open,
                                        .on_data = up_data,
                                        .on_eof = up_eof,
                                        .on_drain = up_drain,
                                        .on_close = up_close };

/* ---- the client ---- */
static void choose(struct l4 *x)
{
    struct route_match r;
    const struct action *a;
    if (!decide_raw(x->l->conf, (struct str){ x->sni, x->sni_n }, &r)) {
        fail_both(x, "no_route");
        return;
    }
    a = r.action;
    x->route = r.route;
    if (a->type == ACTION_FORWARD && a->total_weight)
        x->backend = decide_backend(a, rand_below(a->total_weight));
    if (!x->backend) {
        fail_both(x, "no_route");
        return;
    }
    conn_read_pause(&x->down); /* until there is somewhere to put it */
    connect_upstream(x);
}

static void down_open(struct conn *c)
{
    struct l4 *x = of_down(c);
    struct tls_info ti;
    if (tls_info(c, &ti) && ti.sni.n <= SNI_NAME_MAX) {
        memcpy(x->sni, ti.sni.p, ti.sni.n);
        x->sni_n = ti.sni.n;
        size_t n = ti.version.n < sizeof(x->tls) ? ti.version.n : sizeof(x->tls) - 1;
        memcpy(x->tls, ti.version.p, n);
    }
    choose(x);
}

static void take_hello(struct l4 *x)
{
    switch (sni_parse(x->hello.p, x->hello.n, x->sni, &x->sni_n)) {
    case SNI_MORE:
        return;
    case SNI_FOUND:
    case SNI_NONE:
        choose(x);
        return;
    case SNI_BAD:
        fail_both(x, "tls_protocol_error");
        return;
    }
}

static void down_data(struct conn *c, const char *p, size_t n)
{
    struct l4 *x = of_down(c);
    x->bytes_in += n;
    if (x->connected) {
        active_again(x);
        if (x->up_used && !conn_closing(&x->up) && !conn_write(&x->up, p, n))
            conn_read_pause(&x->down);
        return;
    }
    if (!buf_add(&x->hello, p, n)) {
        fail_both(x, "proxy_internal_response");
        return;
    }
    if (!x->backend)
        take_hello(x);
}

static void down_eof(struct conn *c)
{
    struct l4 *x = of_down(c);
    x->down_eof = true;
    if (!x->backend)
        fail_both(x, "client_closed");
    else if (x->up_eof)
        close_both(x);
    else if (x->connected && x->up_used && !conn_closing(&x->up))
        conn_shutdown(&x->up);
}

static void down_drain(struct conn *c)
{
    struct l4 *x = of_down(c);
    if (x->up_used && !conn_closing(&x->up))
        conn_read_resume(&x->up);
}

static void down_close(struct conn *c, enum io_err e)
{
    struct l4 *x = of_down(c);
    x->down_gone = true;
    if (e != IO_OK && e != IO_EOF && !*x->why)
        x->why = "client_closed";
    if (x->up_used && !conn_closing(&x->up)) {
        if (e == IO_OK)
            conn_close(&x->up, (struct dur){ 0 });
        else
            conn_abort(&x->up, IO_OTHER);
    }
    maybe_free(x);
}

static const struct conn_ops down_ops = { .on_open = down_open,
                                          .on_data = down_data,
                                          .on_eof = down_eof,
                                          .on_drain = down_drain,
                                          .on_close = down_close };

static void on_timer(struct timer *t)
{
    struct l4 *x = CONTAINER_OF(t, struct l4, timer);
    if (!x->backend) {
        fail_both(x, "handshake_timeout");
    } else if (!x->connected && x->up_used) {
        x->timed_out = true;
        conn_abort(&x->up, IO_OTHER); /* on_close tries another endpoint */
    } else {
        fail_both(x, "connection_read_timeout");
    }
}

void l4_accept(struct worker_listener *l, int fd, const union addr *peer)
{
    struct l4 *x = mem_alloc(sizeof(*x));
    if (!x) {
        (void)sys_close(fd);
        return;
    }
    x->l = l;
    x->client = *peer;
    x->why = "";
    x->avoid = SIZE_MAX;
    x->start = loop_now(l->w->loop);
    x->start_wall = loop_wall(l->w->loop);
    buf_init_metered(&x->hello, SNI_HELLO_MAX + 2 * CONN_RECV_MAX, loop_meter(l->w->loop));
    timer_init(&x->timer, on_timer);
    if (!conn_accept(&x->down, l->w->loop, fd,
                     l->conf->protocol == LISTEN_TLS ? l->runtime->tls : NULL, &down_ops)) {
        mem_free(x);
        return;
    }
    x->pin = pin_ref(l->conf_pin);
    list_add_tail(&l->raw, &x->link);
    l->n_raw++;
    l->w->active++;
    listener_count_raw(l, 1);
    if (l->conf->protocol == LISTEN_TCP)
        choose(x);
    else
        arm(x, l->conf->policy_set->timeout->handshake);
}

/* Also those that only linger. */
void l4_abort_all(struct worker_listener *l)
{
    LIST_FOR_SAFE(it, tmp, &l->raw)
    {
        struct l4 *x = CONTAINER_OF(it, struct l4, link);
        if (!*x->why)
            x->why = "drain";
        if (!x->down_gone)
            conn_abort(&x->down, IO_OTHER);
        if (x->up_used)
            conn_abort(&x->up, IO_OTHER);
    }
}
