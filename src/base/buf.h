/* Growable bytes with a maximum that the maker must name. One thread at a time. */
#pragma once
#include "base/base.h"
#include <stdatomic.h>

/* Bytes that all bufs hold which were given it. One thread writes, any may read. */
struct meter {
    _Atomic size_t bytes;
};
struct buf {
    char *p;
    size_t n, cap, max;
    struct meter *meter; /* NULL: not counted */
    bool failed; /* an append did not fit or memory was out; sticky, the bytes so far are kept */
};
void buf_init(struct buf *b, size_t max);
/* For what a peer can make grow: m counts what b holds until buf_fini. */
void buf_init_metered(struct buf *b, size_t max, struct meter *m);
void buf_fini(struct buf *b);
void buf_clear(struct buf *b); /* keeps memory, clears failed */
bool buf_add(struct buf *b, const void *p,
             size_t n); /* false and failed over max: nothing is added */
bool buf_str(struct buf *b, struct str s);
bool buf_char(struct buf *b, char c);
bool buf_fmt(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool buf_u64(struct buf *b, uint64_t v); /* decimal */
void buf_drop_front(struct buf *b, size_t n);
/* Room for n more bytes at the end; NULL if it does not fit. Then add to b->n what was written. */
NODISCARD char *buf_room(struct buf *b, size_t n);
static inline struct str buf_view(const struct buf *b)
{
    return (struct str){ b->p, b->n };
}
