/* The heap door: malloc with counting and a switch that makes one call fail. Any thread. */
#include "base/mem.h"
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* From here on a block is the system's, and goes back to it when it is freed. Left alone, the heap
   raises this to the largest block it saw, and keeps the memory of a reload for the next one. */
enum { OWN_PAGES_FROM = 1 << 20, HEAP_TRIM = 4 << 20 };

static _Atomic uint64_t calls, fail_at;
static atomic_bool counting;

/* The environment's wish is read before main, so that start-up itself can be swept. */
__attribute__((constructor)) static void mem_from_environment(void)
{
    uint64_t n;
    (void)mallopt(M_MMAP_THRESHOLD, OWN_PAGES_FROM);
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_TRIM);
    if (str_to_u64(str_from(getenv("WEIR_FAULT_ALLOC")), &n))
        mem_fail_nth(n);
}

static bool refused(void)
{
    if (LIKELY(!atomic_load_explicit(&counting, memory_order_relaxed)))
        return false;
    uint64_t n = atomic_fetch_add(&calls, 1) + 1;
    return n == atomic_load(&fail_at);
}

void mem_fail_nth(uint64_t n)
{
    atomic_store(&fail_at, n ? atomic_load(&calls) + n : 0);
    atomic_store(&counting, true);
}

uint64_t mem_calls(void)
{
    atomic_store(&counting, true);
    return atomic_load(&calls);
}

void *mem_alloc(size_t n)
{
    return UNLIKELY(refused()) ? NULL : calloc(1, n ? n : 1);
}

void *mem_realloc(void *p, size_t n)
{
    return UNLIKELY(refused()) ? NULL : realloc(p, n ? n : 1);
}

void mem_free(void *p)
{
    free(p);
}

void mem_trim(void)
{
    (void)malloc_trim(0);
}

/* glibc looks at the end of a thread's heap only when something of this size is freed there. */
void mem_trim_own(void)
{
    enum { LARGE_FREE = 128 << 10 };
    void *volatile p = malloc(LARGE_FREE);
    free(p);
}

#ifdef WEIR_DEBUG /* the sanitizers know the heap */
void *mem_pages(size_t *n)
{
    return mem_alloc(*n);
}

void mem_pages_free(void *p, size_t n)
{
    (void)n;
    mem_free(p);
}
#else
enum { HUGE_PAGE = 2 << 20 };

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) & ~(to - 1);
}

void *mem_pages(size_t *n)
{
    bool huge = *n >= HUGE_PAGE;
    if (*n > SIZE_MAX / 2 || UNLIKELY(refused()))
        return NULL;
    *n = round_up(*n, huge ? HUGE_PAGE : 4096);
    size_t extra = huge ? HUGE_PAGE : 0;
    char *p = mmap(NULL, *n + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (!huge)
        return p;
    /* Aligned, so that huge pages can be had: a fault for each small page is a third of the time
       that reading 100,000 routes takes. */
    char *at = (char *)round_up((uintptr_t)p, HUGE_PAGE);
    if (at > p)
        munmap(p, (size_t)(at - p));
    if (at < p + extra)
        munmap(at + *n, (size_t)(p + extra - at));
    (void)madvise(at, *n, MADV_HUGEPAGE);
    return at;
}

void mem_pages_free(void *p, size_t n)
{
    if (p)
        munmap(p, n);
}
#endif

void *mem_need(size_t n)
{
    void *p = mem_alloc(n);
    if (!p) {
        fputs("weir: out of memory\n", stderr);
        exit(1);
    }
    return p;
}

void *mem_array(size_t n, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(n, size, &bytes) ? NULL : mem_alloc(bytes);
}
