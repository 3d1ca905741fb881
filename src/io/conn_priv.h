/* What conn.c (reading, life) and conn_out.c (writing) share. Nothing else includes it. */
#pragma once
#include "io/conn_tls.h"
#include "io/loop_priv.h"

enum {
    CONN_F_CONNECTING = 1,
    CONN_F_PAUSED = 2,  /* by the owner */
    CONN_F_UNWATCH = 4, /* input came while paused: now epoll must be told */
    CONN_F_EOF = 8,     /* the peer's FIN or close_notify has been seen */
    CONN_F_HUNG =
        16, /* epoll reports HUP, which cannot be masked: deregister when nothing is wanted */
    CONN_F_BLOCKED = 32, /* the kernel took less than all: wait for EPOLLOUT */
    CONN_F_OVER = 64,    /* queue went over CONN_HIGH: on_drain is owed */
    CONN_F_FIN = 128,    /* shut our side down once the queue is empty */
    CONN_F_FIN_SENT = 256,
    CONN_F_NOTIFIED = 512, /* close_notify is queued */
    CONN_F_CLOSING = 1024, /* conn_close or a failure: no callback but on_close */
    CONN_F_NO_LINGER = 2048,
    CONN_F_DEAD = 4096,    /* in the loop's closed list */
    CONN_F_TIMED = 8192,   /* linger.timed holds a running timer */
    CONN_F_DIALED = 16384, /* we asked for it */
    CONN_F_BROKEN = 32768, /* writing failed; what the peer had said before is still read */
};
enum { CONN_EV_REG = 1, CONN_EV_IN = 2, CONN_EV_OUT = 4 }; /* of conn.events */

static inline const struct conn_tls_ops *conn_tls_ops_of(const struct conn *c)
{
    return c->tls ? ((const struct tls_head *)(const void *)c->tls)->ops : NULL;
}
void conn_mark(struct conn *c);
void conn_read_last(struct conn *c); /* of one that is broken, at the end of a turn */
void conn_interest(struct conn *c);
void conn_fail(struct conn *c, enum io_err why);
void conn_after_fin(struct conn *c);
void conn_linger_arm(struct conn *c);
void conn_send(struct conn *c); /* one attempt to empty the queue */
