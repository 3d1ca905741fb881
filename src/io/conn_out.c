/* Output of stream connections: queue, direct send of large writes, one flush at the end of a turn.
 * Loop thread only. */
#include "io/conn_priv.h"
#include "io/sys.h"
#include <errno.h>
#include <sys/socket.h>

enum {
    DIRECT_MIN = 4096, /* copying less is cheaper than a system call of its own */
    SEND_IOV = 16,
};

/* A service that wants no more of a request answers and closes: the reset is met by whoever writes
 * first, while the answer waits to be read. */
static void conn_break(struct conn *c)
{
    if ((c->flags & (CONN_F_DIALED | CONN_F_CLOSING | CONN_F_EOF)) != CONN_F_DIALED) {
        conn_fail(c, IO_RESET);
        return;
    }
    c->flags |= CONN_F_BROKEN;
    conn_mark(c);
}

/* False: the kernel took less than all, or the connection failed. */
static bool conn_sent(struct conn *c, ssize_t sent, size_t wanted)
{
    if (sent == (ssize_t)wanted)
        return true;
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        conn_break(c);
    else
        c->flags |= CONN_F_BLOCKED;
    return false;
}

static int queue_iov(const struct conn *c, struct iovec *v, int max, size_t *ret_total)
{
    int n = 0;
    *ret_total = 0;
    for (struct chunk *k = c->out.head; k && n < max; k = k->next, n++) {
        v[n] = (struct iovec){ k->data + k->from, k->to - k->from };
        *ret_total += v[n].iov_len;
    }
    return n;
}

static void conn_taken(struct conn *c, size_t n)
{
    chunk_consume(c->loop, &c->out, n);
    c->out_n -= (uint32_t)n;
}

void conn_send(struct conn *c)
{
    struct iovec v[SEND_IOV];
    size_t total;
    if (c->tls)
        conn_tls_ops_of(c)->flush(c);
    while (c->out.head &&
           !(c->flags & (CONN_F_BLOCKED | CONN_F_CONNECTING | CONN_F_DEAD | CONN_F_BROKEN))) {
        const struct chunk *k = c->out.head;
        ssize_t sent;
        if (LIKELY(!k->next)) {
            total = k->to - k->from;
            sent = sys_send(c->fd, k->data + k->from, total);
        } else {
            int n = queue_iov(c, v, SEND_IOV, &total);
            sent = sys_writev(c->fd, v, n);
        }
        if (sent > 0)
            conn_taken(c, (size_t)sent);
        conn_sent(c, sent, total);
    }
}

static bool conn_queue(struct conn *c, const char *p, size_t n)
{
    if (!chunk_append(c->loop, &c->out, p, n)) {
        conn_fail(c, IO_MEMORY);
        return false;
    }
    c->out_n += (uint32_t)n;
    conn_mark(c);
    return true;
}

bool conn_tls_queue(struct conn *c, const char *p, size_t n)
{
    return !(c->flags & CONN_F_DEAD) && conn_queue(c, p, n);
}

/* Sends the queue and p together without copying p. Returns how much of p the kernel took. */
static size_t conn_direct(struct conn *c, const char *p, size_t n)
{
    struct iovec v[SEND_IOV];
    size_t queued;
    int k = queue_iov(c, v, SEND_IOV, &queued);
    if (k == SEND_IOV)
        return 0;
    v[k] = (struct iovec){ (void *)(uintptr_t)p, n };
    ssize_t sent = sys_writev(c->fd, v, k + 1);
    conn_sent(c, sent, queued + n);
    if (sent <= 0)
        return 0;
    size_t of_queue = (size_t)sent < queued ? (size_t)sent : queued;
    if (of_queue)
        conn_taken(c, of_queue);
    return (size_t)sent - of_queue;
}

static inline bool below_high(struct conn *c)
{
    if (LIKELY(c->out_n <= CONN_HIGH))
        return true;
    c->flags |= CONN_F_OVER;
    return false;
}

static inline struct chunk_queue *queue_of(struct conn *c)
{
    return c->tls ? conn_tls_ops_of(c)->queue(c->tls) : &c->out;
}

char *conn_room(struct conn *c, size_t *ret_n)
{
    struct chunk_queue *q =
        c->flags & (CONN_F_CLOSING | CONN_F_FIN | CONN_F_BROKEN) ? NULL : queue_of(c);
    *ret_n = 0;
    if (!q)
        return NULL;
    struct chunk *k = chunk_room(c->loop, q, CONN_ROOM_MIN);
    if (!k) {
        conn_fail(c, IO_MEMORY);
        return NULL;
    }
    *ret_n = CHUNK_DATA - k->to;
    return k->data + k->to;
}

bool conn_wrote(struct conn *c, size_t n)
{
    struct chunk *k = queue_of(c)->tail;
    CHECK(n > 0 && n <= CHUNK_DATA - k->to); /* an empty chunk could never leave */
    k->to += (uint32_t)n;
    c->out_n += (uint32_t)n;
    conn_mark(c);
    return below_high(c);
}

bool conn_write(struct conn *c, const void *p, size_t n)
{
    const char *at = p;
    if (c->flags & (CONN_F_CLOSING | CONN_F_FIN | CONN_F_BROKEN))
        return true;
    if (c->tls) {
        if (n > 0 && !conn_tls_ops_of(c)->write(c, at, n))
            conn_fail(c, IO_MEMORY);
        if (!(c->flags & CONN_F_DEAD))
            conn_mark(c);
    } else if (n >= DIRECT_MIN && !(c->flags & (CONN_F_BLOCKED | CONN_F_CONNECTING))) {
        size_t sent = conn_direct(c, at, n);
        at += sent;
        n -= sent;
        if (n > 0 && !(c->flags & (CONN_F_DEAD | CONN_F_BROKEN)))
            conn_queue(c, at, n);
    } else if (n > 0) {
        conn_queue(c, at, n);
    }
    return below_high(c);
}

bool conn_writable(const struct conn *c)
{
    return c->out_n <= CONN_HIGH;
}

/* Everything has left: close_notify, then FIN. */
static void conn_fin(struct conn *c)
{
    if (c->tls && !(c->flags & CONN_F_NOTIFIED)) {
        c->flags |= CONN_F_NOTIFIED;
        conn_tls_ops_of(c)->close_notify(c);
        conn_send(c);
        if (c->out.head || (c->flags & CONN_F_DEAD))
            return;
    }
    c->flags |= CONN_F_FIN_SENT;
    /* With linger 0 close() sends the FIN. */
    if (!(c->flags & CONN_F_CLOSING) || !(c->flags & (CONN_F_NO_LINGER | CONN_F_EOF)))
        shutdown(c->fd, SHUT_WR);
    conn_after_fin(c);
}

static void conn_push(struct conn *c)
{
    conn_send(c);
    if (c->flags & (CONN_F_DEAD | CONN_F_CONNECTING | CONN_F_BROKEN))
        return;
    if ((c->flags & (CONN_F_FIN | CONN_F_FIN_SENT)) == CONN_F_FIN && c->out_n == 0)
        conn_fin(c);
    else if ((c->flags & CONN_F_FIN_SENT) && c->out_n == 0)
        conn_after_fin(c); /* conn_close after conn_shutdown */
}

void conn_flush(struct conn *c)
{
    if (c->flags & (CONN_F_DEAD | CONN_F_CLOSING))
        return;
    conn_push(c);
    if (!(c->flags & CONN_F_DEAD) && ((c->flags & CONN_F_OVER) || (c->flags & CONN_F_BLOCKED)))
        conn_mark(c); /* on_drain and epoll wait for the end of the turn */
}

static void conn_flush_one(struct conn *c)
{
    conn_push(c);
    if (UNLIKELY(c->flags & CONN_F_BROKEN))
        conn_read_last(c);
    if (!(c->flags & (CONN_F_DEAD | CONN_F_CLOSING)) && (c->flags & CONN_F_OVER) &&
        c->out_n <= CONN_LOW) {
        c->flags &= (uint16_t)~CONN_F_OVER;
        if (c->ops->on_drain)
            c->ops->on_drain(c);
    }
    if (c->flags & CONN_F_DEAD)
        return;
    conn_linger_arm(c);
    if (!(c->flags & CONN_F_DEAD))
        conn_interest(c);
}

/* What callbacks make dirty during this comes in the next round: the list is taken first. */
void conn_flush_dirty(struct loop *l)
{
    struct list todo;
    if (list_empty(&l->dirty))
        return;
    todo = l->dirty;
    todo.next->prev = todo.prev->next = &todo;
    list_init(&l->dirty);
    while (!list_empty(&todo)) {
        struct conn *c = CONTAINER_OF(todo.next, struct conn, dirty);
        list_del(&c->dirty);
        conn_flush_one(c);
    }
}

void conn_shutdown(struct conn *c)
{
    if (c->flags & (CONN_F_CLOSING | CONN_F_FIN))
        return;
    c->flags |= CONN_F_FIN;
    conn_mark(c);
}
