/* Growable bytes with a maximum that the maker must name. One thread at a time. */
#pragma once
#include "base/base.h"

struct buf {
    char *p;
    size_t n, cap, max;
    bool failed; /* an append did not fit or memory was out; sticky, the bytes so far are kept */
};
void buf_init(struct buf *b, size_t max);
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
