/* The routes of one attach point by host. Made when a world is built, immutable, on the world's
 * arena. */
#pragma once
#include "snapshot/route_layout.h"
#include "snapshot/world.h"

struct host_entry {
    struct str host;                  /* "shop.example", "*.example", "*" */
    const struct route_table *tables; /* its chunks, in order */
    size_t n_tables;
};
struct host_slot {
    uint32_t hash;
    uint32_t entry; /* index + 1; 0 = empty */
};
struct host_index {
    struct str attach;
    const struct host_entry *entries;
    size_t n;
    const struct host_entry *any; /* "*", or NULL */
    bool wild;                    /* some entry is "*.suffix" */
    uint32_t mask;
    struct host_slot *slots;
};
/* entries must stay; hosts are distinct and checked. */
struct host_index *host_index_new(struct arena *a, struct str attach, const struct host_entry *v,
                                  size_t n);
/* key: a host, or the suffix of a wildcard with its dot (".example"). NULL when absent. */
const struct host_entry *host_index_find(const struct host_index *ix, struct str key);
