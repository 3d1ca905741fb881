/* Arenas: a chain of chunks, newest first. One thread at a time. */
#include "base/arena.h"
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>

struct arena_chunk {
    struct arena_chunk *next;
    size_t pages; /* its size when it is from mem_pages, else 0 */
    _Alignas(16) char data[];
};
/* A big arena begins with what one small file takes, and ends with chunks that are few. */
enum { ARENA_CHUNK = 16 * 1024, BIG_FIRST = 64 * 1024, BIG_MOST = 8 << 20 };

void arena_init(struct arena *a, size_t chunk_size, size_t limit)
{
    *a = (struct arena){ .chunk_size = chunk_size ? chunk_size : ARENA_CHUNK, .limit = limit };
}

void arena_init_big(struct arena *a)
{
    arena_init(a, BIG_FIRST, 0);
    a->big = true;
}

void arena_init_with(struct arena *a, void *first, size_t n, size_t chunk_size, size_t limit)
{
    arena_init(a, chunk_size, limit);
    a->at = first;
    a->end = a->at + n;
}

void arena_fini(struct arena *a)
{
    for (struct arena_chunk *c = a->head, *next; c; c = next) {
        next = c->next;
        if (c->pages)
            mem_pages_free(c, c->pages);
        else
            mem_free(c);
    }
    a->head = NULL;
    a->at = a->end = NULL;
    a->used = 0;
}

void arena_reset(struct arena *a)
{
    CHECK(!a->big);
    struct arena_chunk *keep = a->at ? a->head : NULL; /* the current one is always the newest */
    a->head = keep ? keep->next : a->head;
    char *end = a->end;
    arena_fini(a);
    if (!keep)
        return;
    keep->next = NULL;
    a->head = keep;
    a->at = keep->data;
    a->end = end;
}

/* own: for one request of *size alone. Else *size is what there is in it afterwards. */
static struct arena_chunk *chunk_new(struct arena *a, bool own, size_t *size)
{
    struct arena_chunk *c;
    if (!a->big)
        return mem_alloc(sizeof(*c) + *size);
    size_t pages = own ? sizeof(*c) + *size : *size;
    c = mem_pages(&pages);
    if (!c)
        return NULL;
    c->pages = pages;
    if (own)
        return c;
    *size = pages - sizeof(*c);
    if (a->chunk_size < BIG_MOST)
        a->chunk_size *= 2;
    return c;
}

/* A request larger than a quarter of a chunk gets its own, behind the current one, so that the rest
 * of that is still used. */
static void *take_slow(struct arena *a, size_t n)
{
    if (n > SIZE_MAX / 2)
        return NULL;
    bool own = n > a->chunk_size / 4;
    size_t size = own ? n : a->chunk_size;
    struct arena_chunk *c = chunk_new(a, own, &size);
    if (!c)
        return NULL;
    if (own && a->head) {
        c->next = a->head->next;
        a->head->next = c;
        return c->data;
    }
    c->next = a->head;
    a->head = c;
    if (own) /* the caller's first memory, if any, keeps serving */
        return c->data;
    a->at = c->data + n;
    a->end = c->data + size;
    return c->data;
}

static inline void *take(struct arena *a, size_t n, size_t align)
{
    if (UNLIKELY(a->limit && (n > a->limit || a->used > a->limit - n)))
        return NULL;
    uintptr_t at = ((uintptr_t)a->at + (align - 1)) & ~(uintptr_t)(align - 1);
    if (LIKELY(a->at && at <= (uintptr_t)a->end && n <= (uintptr_t)a->end - at)) {
        a->at = (char *)at + n;
        a->used += n;
        return (void *)at;
    }
    void *p = take_slow(a, n);
    if (p)
        a->used += n;
    return p;
}

_Noreturn void arena_oom(struct arena *a)
{
    if (a->on_oom)
        longjmp(*a->on_oom, 1);
    fputs("weir: out of memory\n", stderr);
    exit(1);
}

void *arena_alloc(struct arena *a, size_t n)
{
    void *p = take(a, n, 16);
    if (!p)
        arena_oom(a);
    return a->big ? p : memset(p, 0, n);
}

void *arena_alloc_array(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        arena_oom(a);
    return arena_alloc(a, bytes);
}

void *arena_try(struct arena *a, size_t n)
{
    return take(a, n, 8);
}

char *arena_try_bytes(struct arena *a, size_t n)
{
    return take(a, n, 1);
}

struct str arena_try_str(struct arena *a, struct str s)
{
    char *p = take(a, s.n + 1, 1);
    if (!p)
        return (struct str){ NULL, 0 };
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return (struct str){ p, s.n };
}

struct str arena_try_fmt(struct arena *a, const char *fmt, ...)
{
    char small[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    va_end(ap);
    if (n < 0)
        return (struct str){ NULL, 0 };
    if ((size_t)n < sizeof(small))
        return arena_try_str(a, (struct str){ small, (size_t)n });
    char *p = take(a, (size_t)n + 1, 1);
    if (!p)
        return (struct str){ NULL, 0 };
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return (struct str){ p, (size_t)n };
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = take(a, s.n + 1, 1);
    if (!p)
        arena_oom(a);
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return (struct str){ p, s.n };
}

const char *arena_cstr(struct arena *a, struct str s)
{
    return arena_str(a, s).p;
}

struct str arena_vfmt(struct arena *a, const char *fmt, va_list ap)
{
    char small[256];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    CHECK(n >= 0);
    struct str s = { small, (size_t)n };
    if ((size_t)n < sizeof(small)) {
        s = arena_str(a, s);
    } else {
        char *p = take(a, (size_t)n + 1, 1);
        if (!p) {
            va_end(again);
            arena_oom(a);
        }
        vsnprintf(p, (size_t)n + 1, fmt, again);
        s.p = p;
    }
    va_end(again);
    return s;
}

struct str arena_fmt(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct str s = arena_vfmt(a, fmt, ap);
    va_end(ap);
    return s;
}
