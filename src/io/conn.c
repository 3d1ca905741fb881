/* Stream connections on a loop: reading, interest in epoll, and the way from open to on_close.
   Output is in conn_out.c. Loop thread only. */
#include "base/mem.h"
#include "io/conn_priv.h"
#include "io/sys.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum {
    READS_PER_TURN = 4
}; /* full buffers one connection may take before the others have their turn */

/* While conn_close waits: for the queue to leave, then for the peer to close. */
struct conn_linger {
    struct timer timer;
    struct conn *c;
};

/* ---- interest ---- */

void conn_mark(struct conn *c)
{
    if (list_empty(&c->dirty))
        list_add_tail(&c->loop->dirty, &c->dirty);
}

static bool poll_control(struct conn *c, int op, uint8_t want)
{
    struct epoll_event e = { .data.ptr = c };
    if (want & CONN_EV_IN)
        e.events |= EPOLLIN | EPOLLRDHUP;
    if (want & CONN_EV_OUT)
        e.events |= EPOLLOUT;
    if (sys_epoll_ctl(c->loop->epoll, op, c->fd, &e) != 0)
        return false;
    c->events = want;
    return true;
}

/* Lazy: input stays watched while paused until an event shows that it matters, so a pause nobody
 * notices costs nothing. */
void conn_interest(struct conn *c)
{
    uint8_t want = CONN_EV_REG;
    bool reading = !(c->flags & (CONN_F_PAUSED | CONN_F_EOF | CONN_F_CONNECTING));
    if (reading || ((c->events & CONN_EV_IN) && !(c->flags & (CONN_F_UNWATCH | CONN_F_EOF))))
        want |= CONN_EV_IN;
    if (c->flags & (CONN_F_BLOCKED | CONN_F_CONNECTING))
        want |= CONN_EV_OUT;
    if (c->flags & CONN_F_HUNG && want == CONN_EV_REG)
        want = 0; /* HUP cannot be masked */
    if (want == c->events)
        return;
    int op = !(c->events & CONN_EV_REG) ? EPOLL_CTL_ADD : want ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
    if (!poll_control(c, op, want))
        conn_fail(c, IO_OTHER);
}

/* ---- the end ---- */

static void conn_linger_end(struct conn *c)
{
    if (!(c->flags & CONN_F_TIMED))
        return;
    c->flags &= (uint16_t)~CONN_F_TIMED;
    timer_fini(c->loop, &c->linger.timed->timer);
    mem_free(c->linger.timed);
}

/* From here only on_close is left. */
static void conn_dead(struct conn *c)
{
    c->flags |= CONN_F_CLOSING | CONN_F_DEAD;
    conn_linger_end(c);
    list_del(&c->dirty);
    list_add_tail(&c->loop->closed, &c->dirty);
}

void conn_fail(struct conn *c, enum io_err why)
{
    if (c->flags & CONN_F_DEAD)
        return;
    if (!(c->flags & CONN_F_CLOSING))
        c->err = (uint8_t)why;
    else if (c->out_n > 0 && c->err == IO_OK)
        c->err = IO_RESET; /* closed by us, but not all of it arrived */
    conn_dead(c);
}

void conn_finish_closed(struct loop *l)
{
    while (!list_empty(&l->closed)) {
        struct conn *c = CONTAINER_OF(l->closed.next, struct conn, dirty);
        list_del(&c->dirty);
        chunk_drop(l, &c->out);
        if (c->fd >= 0)
            sys_close(c->fd);
        c->fd = -1;
        struct tls *t = c->tls;
        const struct conn_tls_ops *tls = conn_tls_ops_of(c);
        c->ops->on_close(c, (enum io_err)c->err);
        if (t) /* c may be gone; its error text lived until here */
            tls->free(t);
    }
}

void conn_abort(struct conn *c, enum io_err why)
{
    if (c->flags & CONN_F_DEAD)
        return;
    if (!c->tls && c->fd >= 0 && !(c->flags & CONN_F_FIN_SENT)) { /* else all was said */
        struct linger hard = { .l_onoff = 1 };
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    }
    c->err = (uint8_t)why;
    conn_dead(c);
}

static void linger_over(struct timer *t)
{
    conn_fail(CONTAINER_OF(t, struct conn_linger, timer)->c, IO_RESET);
}

void conn_close(struct conn *c, struct dur linger)
{
    if (c->flags & CONN_F_CLOSING)
        return;
    c->flags |= CONN_F_CLOSING | CONN_F_FIN;
    c->err = IO_OK;
    if (c->flags & CONN_F_CONNECTING) {
        conn_dead(c);
        return;
    }
    if (linger.ns <= 0)
        c->flags |= CONN_F_NO_LINGER;
    c->linger.time = linger.ns > 0 ? linger.ns : CONN_FLUSH_TIME * NS_PER_S;
    c->flags &= (uint16_t) ~(CONN_F_PAUSED | CONN_F_UNWATCH);
    conn_mark(c);
}

/* The queue is empty and our FIN is out: wait for the peer, or not. */
void conn_after_fin(struct conn *c)
{
    if ((c->flags & CONN_F_CLOSING) && (c->flags & (CONN_F_EOF | CONN_F_NO_LINGER)))
        conn_dead(c);
}

/* End of the turn in which conn_close was called, and it is not over: only now a timer is worth its
 * price. */
void conn_linger_arm(struct conn *c)
{
    if (!(c->flags & CONN_F_CLOSING) || (c->flags & CONN_F_TIMED))
        return;
    struct conn_linger *g = mem_alloc(sizeof *g);
    if (!g) {
        conn_fail(c, IO_MEMORY);
        return;
    }
    g->c = c;
    timer_init(&g->timer, linger_over);
    timer_set(c->loop, &g->timer, c->loop->now + c->linger.time);
    c->linger.timed = g;
    c->flags |= CONN_F_TIMED;
}

bool conn_peer(const struct conn *c, union addr *ret)
{
    socklen_t n = sizeof(*ret);
    return getpeername(c->fd, &ret->sa, &n) == 0;
}

bool conn_closing(const struct conn *c)
{
    return (c->flags & CONN_F_CLOSING) != 0;
}

int conn_peek_fd(const struct conn *c)
{
    return c->tls || c->out.head || (c->flags & (CONN_F_CLOSING | CONN_F_CONNECTING)) ? -1 : c->fd;
}

/* ---- reading ---- */

static void conn_eof(struct conn *c)
{
    if (c->flags & CONN_F_EOF)
        return;
    c->flags |= CONN_F_EOF;
    conn_mark(c);
    if (c->flags & CONN_F_CLOSING) {
        if (c->out_n == 0)
            conn_dead(c);
    } else if (c->ops->on_eof && (!c->tls || conn_tls_ops_of(c)->is_open(c->tls))) {
        c->ops->on_eof(c);
    } else {
        conn_close(c, (struct dur){ 0 });
        c->err = IO_EOF;
    }
}

static void conn_take(struct conn *c, const char *p, size_t n)
{
    if (c->flags & CONN_F_CLOSING)
        return; /* lingering: read and forgotten */
    if (c->tls)
        conn_tls_ops_of(c)->input(c, p, n);
    else
        c->ops->on_data(c, p, n);
}

/* A TCP FIN. Under TLS without close_notify the peer's data may have been cut off by somebody else:
 * an error. */
static void conn_peer_fin(struct conn *c)
{
    if (c->tls && !(c->flags & (CONN_F_EOF | CONN_F_CLOSING)) &&
        conn_tls_ops_of(c)->is_open(c->tls))
        conn_fail(c, IO_RESET);
    else
        conn_eof(c);
}

static void conn_read(struct conn *c, uint32_t ev)
{
    char *buf = c->loop->recv;
    for (unsigned i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = sys_recv(c->fd, buf, CONN_RECV_MAX);
        if (n > 0) {
            conn_take(c, buf, (size_t)n);
        } else if (n == 0 && !(c->flags & CONN_F_BROKEN)) {
            conn_peer_fin(c);
            return;
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else {
            if (c->flags & CONN_F_BROKEN || (errno != EAGAIN && errno != EWOULDBLOCK))
                conn_fail(c, IO_RESET);
            return;
        }
        if (c->flags & (CONN_F_PAUSED | CONN_F_DEAD))
            return;
        /* A short read emptied the socket; only a FIN can be behind it. */
        if (n < CONN_RECV_MAX && !(ev & (EPOLLRDHUP | EPOLLHUP)))
            return;
    }
}

void conn_read_last(struct conn *c)
{
    if (c->flags & (CONN_F_DEAD | CONN_F_PAUSED))
        return; /* resuming comes back to it */
    conn_read(c, EPOLLHUP);
    if (!(c->flags & (CONN_F_DEAD | CONN_F_PAUSED)))
        conn_mark(c);
}

static void conn_connected(struct conn *c, uint32_t ev)
{
    if (ev & (EPOLLERR | EPOLLHUP)) {
        conn_fail(c, IO_REFUSED);
        return;
    }
    c->flags &= (uint16_t)~CONN_F_CONNECTING;
    conn_mark(c);
    if (c->tls)
        conn_tls_ops_of(c)->start(c);
    else if (c->ops->on_open)
        c->ops->on_open(c);
}

void conn_event(struct conn *c, uint32_t ev)
{
    if (UNLIKELY(c->flags & CONN_F_DEAD))
        return;
    if (UNLIKELY(c->flags & CONN_F_CONNECTING)) {
        conn_connected(c, ev);
        return;
    }
    if (ev & EPOLLOUT) {
        c->flags &= (uint16_t)~CONN_F_BLOCKED;
        conn_mark(c);
    }
    if (c->flags & (CONN_F_PAUSED | CONN_F_EOF)) {
        if (ev & EPOLLERR) {
            conn_fail(c, IO_RESET);
        } else if (ev & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) {
            c->flags |= (uint16_t)(CONN_F_UNWATCH | (ev & EPOLLHUP ? CONN_F_HUNG : 0));
            conn_mark(c);
        }
        return;
    }
    if (ev & ~(uint32_t)EPOLLOUT)
        conn_read(c, ev);
}

void conn_read_pause(struct conn *c)
{
    if (!(c->flags & CONN_F_CLOSING))
        c->flags |= CONN_F_PAUSED;
}

void conn_read_resume(struct conn *c)
{
    if (!(c->flags & CONN_F_PAUSED))
        return;
    c->flags &= (uint16_t) ~(CONN_F_PAUSED | CONN_F_UNWATCH);
    if (!(c->events & CONN_EV_IN) && !(c->flags & CONN_F_DEAD))
        conn_mark(c);
}

/* ---- the beginning ---- */

static bool conn_begin(struct conn *c, struct tls_ctx *ctx, const char *sni, uint8_t watch)
{
    const struct tls_head *head = (const struct tls_head *)(const void *)ctx;
    if (ctx && !head->ops->open(ctx, c, sni))
        c->tls = NULL;
    else if (poll_control(c, EPOLL_CTL_ADD, (uint8_t)(CONN_EV_REG | watch)))
        return true;
    if (c->tls)
        conn_tls_ops_of(c)->free(c->tls);
    c->tls = NULL;
    sys_close(c->fd);
    c->fd = -1;
    return false;
}

static void conn_clear(struct conn *c, struct loop *l, int fd, const struct conn_ops *ops)
{
    c->ops = ops;
    c->loop = l;
    c->tls = NULL;
    list_init(&c->dirty);
    c->out = (struct chunk_queue){ NULL, NULL };
    c->linger.time = 0;
    c->out_n = 0;
    c->fd = fd;
    c->flags = 0;
    c->err = IO_OK;
    c->events = 0;
}

bool conn_accept(struct conn *c, struct loop *l, int fd, struct tls_ctx *ctx,
                 const struct conn_ops *ops)
{
    conn_clear(c, l, fd, ops);
    return conn_begin(c, ctx, NULL, CONN_EV_IN);
}

bool conn_connect(struct conn *c, struct loop *l, const union addr *to, struct tls_ctx *ctx,
                  const char *sni, const struct conn_ops *ops)
{
    static const int one = 1;
    conn_clear(c, l, sys_socket(to->sa.sa_family, SOCK_STREAM), ops);
    if (c->fd < 0)
        return false;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->flags = CONN_F_CONNECTING | CONN_F_DIALED;
    bool refused = sys_connect(c->fd, to) != 0 && errno != EINPROGRESS && errno != EINTR;
    if (!conn_begin(c, ctx, sni, CONN_EV_OUT))
        return false;
    if (refused)
        conn_fail(c, IO_REFUSED);
    return true;
}

/* ---- what TLS calls back ---- */

void conn_tls_opened(struct conn *c)
{
    conn_mark(c);
    if (!(c->flags & CONN_F_CLOSING) && c->ops->on_open)
        c->ops->on_open(c);
}

void conn_tls_deliver(struct conn *c, const char *p, size_t n)
{
    if (!(c->flags & CONN_F_CLOSING))
        c->ops->on_data(c, p, n);
}

void conn_tls_eof(struct conn *c)
{
    conn_eof(c);
}

void conn_tls_fail(struct conn *c, enum io_err why, struct dur linger)
{
    if (c->flags & CONN_F_DEAD)
        return;
    if (linger.ns > 0 && !(c->flags & CONN_F_CLOSING)) {
        conn_close(c, linger);
        c->flags |= CONN_F_NOTIFIED;
        c->err = (uint8_t)why;
        return;
    }
    conn_send(c);
    conn_fail(c, why);
}

char *conn_tls_buffer(struct conn *c)
{
    return c->loop->plain;
}
