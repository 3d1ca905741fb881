/* Pure balancing: hosts in, index out. A new algorithm is one file in this folder and its test; the
 * listing is the registry. */
#pragma once
#include "schema/schema.h"

struct lb_host {
    uint32_t weight;                /* ≥ 1 */
    bool usable;                    /* healthy enough, or panic; the caller decides */
    const _Atomic uint32_t *active; /* requests under way to it, process-wide */
};
/* Per (worker, cluster) position; zeroed at start; survives swaps as long as the host list keeps
 * its size. */
struct lb_state {
    uint64_t v[2];
    int64_t *credit; /* n entries, owned by the caller, zeroed; for smooth weighted round robin */
};
struct lb_type {
    const char *name, *doc;
    /* Index of a usable host, or n when there is none. avoid (may be n): an index to avoid if
     * another is usable (the one that just failed). */
    size_t (*pick)(const struct lb_host *h, size_t n, size_t avoid, struct lb_state *st);
};
/* lb.c: common checks, and lookup in registry "lb" (extra = struct lb_type). */
const struct lb_type *lb_find(struct str name);
