/* Growable bytes. See buf.h. */
#include "base/buf.h"
#include "base/mem.h"
#include <stdio.h>

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){ .max = max };
}

void buf_init_metered(struct buf *b, size_t max, struct meter *m)
{
    *b = (struct buf){ .max = max, .meter = m };
}

static void count(struct buf *b, size_t less, size_t more)
{
    if (!b->meter)
        return;
    size_t now = atomic_load_explicit(&b->meter->bytes, memory_order_relaxed);
    atomic_store_explicit(&b->meter->bytes, now - less + more, memory_order_relaxed);
}

void buf_fini(struct buf *b)
{
    mem_free(b->p);
    if (b->cap)
        count(b, b->cap, 0);
    *b = (struct buf){ .max = b->max, .meter = b->meter };
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->failed = false;
}

static bool grow(struct buf *b, size_t n)
{
    if (n > b->max || b->n > b->max - n) {
        b->failed = true;
        return false;
    }
    size_t cap = b->cap ? b->cap : 256;
    while (cap < b->n + n)
        cap *= 2;
    if (cap > b->max)
        cap = b->max;
    char *p = mem_realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return false;
    }
    count(b, b->cap, cap);
    b->p = p;
    b->cap = cap;
    return true;
}

char *buf_room(struct buf *b, size_t n)
{
    if (n > b->cap - b->n && !grow(b, n))
        return NULL;
    return b->p ? b->p + b->n : NULL;
}

bool buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return !b->failed;
    char *to = buf_room(b, n);
    if (!to)
        return false;
    memcpy(to, p, n);
    b->n += n;
    return true;
}

bool buf_str(struct buf *b, struct str s)
{
    return buf_add(b, s.p, s.n);
}

bool buf_char(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

bool buf_u64(struct buf *b, uint64_t v)
{
    char digits[20], *at = digits + sizeof(digits);
    do
        *--at = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    return buf_add(b, at, (size_t)(digits + sizeof(digits) - at));
}

bool buf_fmt(struct buf *b, const char *fmt, ...)
{
    char small[256];
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    va_end(ap);
    bool ok = n >= 0;
    if (ok && (size_t)n < sizeof(small)) {
        ok = buf_add(b, small, (size_t)n);
    } else if (ok) {
        char *to = buf_room(b, (size_t)n + 1);
        ok = to != NULL;
        if (ok) {
            vsnprintf(to, (size_t)n + 1, fmt, again);
            b->n += (size_t)n;
        }
    }
    va_end(again);
    return ok;
}

void buf_drop_front(struct buf *b, size_t n)
{
    if (n >= b->n) {
        b->n = 0;
        return;
    }
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}
