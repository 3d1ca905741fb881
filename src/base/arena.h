/* Arena: allocations that end together. One thread at a time. */
#pragma once
#include "base/base.h"
#include <setjmp.h>

struct arena_chunk;
struct arena {
    struct arena_chunk *head;
    char *at, *end;     /* free space in the current chunk */
    size_t used, limit; /* bytes handed out; limit 0 = none */
    size_t chunk_size;
    bool big;        /* chunks grow, come from mem_pages, and are zeroed */
    jmp_buf *on_oom; /* when set, arena_alloc jumps here instead of ending the process */
};

/* chunk_size 0 = 16 KiB; limit 0 = none. Allocates nothing yet. */
void arena_init(struct arena *a, size_t chunk_size, size_t limit);
/* Lets a caller's memory serve first (an inline buffer in an object); it is never freed. */
void arena_init_with(struct arena *a, void *first, size_t n, size_t chunk_size, size_t limit);
/* For much that ends soon: all documents of a configuration. What it used goes back to the system.
 */
void arena_init_big(struct arena *a);
void arena_fini(struct arena *a);
/* Ends all allocations and keeps one chunk for those that follow. Not for big arenas, nor with
   first memory of the caller's. */
void arena_reset(struct arena *a);
/* Zeroed, aligned to 16. Never NULL: over the limit or out of memory it jumps to on_oom or ends the
   process. For bounded work on documents and worlds; never for what a peer can make grow. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((returns_nonnull));
/* The same, not zeroed, alignment 1 (strings) or 8; NULL over the limit: for the request path. */
NODISCARD void *arena_try(struct arena *a, size_t n);
NODISCARD char *arena_try_bytes(struct arena *a, size_t n);
/* Copies for the request path: {NULL, 0} over the limit. */
struct str arena_try_str(struct arena *a, struct str s);
struct str arena_try_fmt(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
struct str arena_str(struct arena *a, struct str s);   /* copy, NUL after it */
const char *arena_cstr(struct arena *a, struct str s); /* NUL-terminated copy */
struct str arena_fmt(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* What arena_alloc does when it cannot: for callers that ran out of memory elsewhere on its behalf.
 */
_Noreturn void arena_oom(struct arena *a);
struct str arena_vfmt(struct arena *a, const char *fmt, va_list ap);
#define ARENA_NEW(a, T)      ((T *)arena_alloc((a), sizeof(T)))
#define ARENA_ARRAY(a, T, n) ((T *)arena_alloc_array((a), (n), sizeof(T)))
void *arena_alloc_array(struct arena *a, size_t n, size_t size) __attribute__((returns_nonnull));
