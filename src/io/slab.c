/* Small objects that come and go with every request, kept by size for the next: what a loop's
   thread frees it hands out again without asking the heap. Loop thread only. */
#include "base/mem.h"
#include "io/loop_priv.h"

#ifdef WEIR_DEBUG
enum { SLAB_KEEP = 0 }; /* sanitizers see every use after free */
#else
enum { SLAB_KEEP = 1024 * 1024 }; /* unused bytes a loop keeps: some hundred streams of HTTP/2 */
#endif
enum { SLAB_STEP = 32, SLAB_MAX = SLAB_STEP * SLAB_CLASSES };
struct object {
    uint32_t class; /* size in SLAB_STEPs with this head; 0: larger, of the heap */
    union {
        _Alignas(16) struct object *next; /* while unused */
        char data[1];
    };
};
enum { HEAD = offsetof(struct object, data) };

static struct object *object_of(void *p)
{
    return (struct object *)(void *)((char *)p - HEAD);
}

void *loop_alloc(struct loop *l, size_t n)
{
    struct object *o;
    if (UNLIKELY(n > SLAB_MAX - HEAD)) {
        o = n < SIZE_MAX - HEAD ? mem_alloc(HEAD + n) : NULL;
        return o ? o->data : NULL;
    }
    size_t class = (n + HEAD + SLAB_STEP - 1) / SLAB_STEP;
    o = l->slab[class - 1];
    if (LIKELY(o != NULL)) {
        l->slab[class - 1] = o->next;
        l->slab_kept -= class * SLAB_STEP;
        return o->data;
    }
    o = mem_alloc(class * SLAB_STEP);
    if (!o)
        return NULL;
    o->class = (uint32_t) class;
    return o->data;
}

void loop_release(struct loop *l, void *p)
{
    if (!p)
        return;
    struct object *o = object_of(p);
    size_t bytes = o->class * (size_t)SLAB_STEP;
    if (o->class == 0 || l->slab_kept + bytes > SLAB_KEEP) {
        mem_free(o);
        return;
    }
    o->next = l->slab[o->class - 1];
    l->slab[o->class - 1] = o;
    l->slab_kept += bytes;
}

void *loop_realloc(struct loop *l, void *p, size_t n)
{
    if (!p)
        return loop_alloc(l, n);
    struct object *o = object_of(p);
    if (o->class == 0) {
        o = n < SIZE_MAX - HEAD ? mem_realloc(o, HEAD + n) : NULL;
        return o ? o->data : NULL;
    }
    size_t had = o->class * (size_t)SLAB_STEP - HEAD;
    if (n <= had)
        return p;
    void *to = loop_alloc(l, n);
    if (!to)
        return NULL;
    memcpy(to, p, had);
    loop_release(l, p);
    return to;
}

void slab_fini(struct loop *l)
{
    for (size_t i = 0; i < SLAB_CLASSES; i++)
        for (struct object *o = l->slab[i], *next; o; o = next) {
            next = o->next;
            mem_free(o);
        }
}
