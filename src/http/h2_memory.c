/* Where nghttp2's memory comes from: the loop's small objects, so that a stream's dozen of them
   cost the heap nothing, and a fault sweep reaches them. Loop thread only. */
#include "http/h2_priv.h"

static void *take(size_t n, void *loop)
{
    return loop_alloc(loop, n);
}

static void *take_zeroed(size_t n, size_t size, void *loop)
{
    size_t bytes;
    void *p = __builtin_mul_overflow(n, size, &bytes) ? NULL : loop_alloc(loop, bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

static void *grow(void *p, size_t n, void *loop)
{
    return loop_realloc(loop, p, n);
}

static void give(void *p, void *loop)
{
    loop_release(loop, p);
}

nghttp2_mem h2_memory(struct loop *l)
{
    return (nghttp2_mem){
        .mem_user_data = l, .malloc = take, .free = give, .calloc = take_zeroed, .realloc = grow
    };
}
