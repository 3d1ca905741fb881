/* The only door to the heap, so that faults can be swept (the nth allocation fails) and use
 * counted. */
#pragma once
#include "base/base.h"

/* NULL when memory is out. Zeroed. Free with mem_free, which takes NULL. */
NODISCARD void *mem_alloc(size_t n);
NODISCARD void *mem_realloc(void *p, size_t n); /* new bytes are not zeroed */
void mem_free(void *p);
/* Pages that hold nothing any more go back to the system: holes in the heaps of all threads, whose
   allocations may wait for some milliseconds; then the end of the calling thread's own. */
void mem_trim(void);
void mem_trim_own(void);
/* mem_alloc for start-up and for objects too small to plan for: ends the process when memory is
 * out. */
NODISCARD void *mem_need(size_t n) __attribute__((returns_nonnull));
#define NEW(T) ((T *)mem_need(sizeof(T)))
/* At least *n bytes straight from the system and back to it, for what is large and short-lived: the
   heap would keep them. Zeroed; *n becomes what was got; NULL when memory is out. */
NODISCARD void *mem_pages(size_t *n);
void mem_pages_free(void *p, size_t n);
/* n * size with overflow checked; NULL on overflow or no memory. */
NODISCARD void *mem_array(size_t n, size_t size);

/* Test seam: the nth call from now fails (1 = next), once; 0 turns it off. Also WEIR_FAULT_ALLOC=n.
 */
void mem_fail_nth(uint64_t n);
uint64_t mem_calls(void); /* allocations so far, to know how far to sweep */
