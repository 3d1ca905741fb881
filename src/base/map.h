/* Hash map from str to pointer, open addressing, keyed hash. Keys are not copied: they must outlive
 * the map. */
#pragma once
#include "base/base.h"

struct map_slot {
    struct str key;
    uint64_t hash;
    void *value;
};
struct map {
    struct map_slot *v;
    size_t n, cap;
};
void map_fini(struct map *m);                       /* a zeroed map is an empty one */
void *map_get(const struct map *m, struct str key); /* NULL if absent */
/* False when memory is out. Replaces an existing value; value must not be NULL. */
NODISCARD bool map_put(struct map *m, struct str key, void *value);
/* The same at start and for few things: ends the process when memory is out. */
void map_need(struct map *m, struct str key, void *value);
bool map_del(struct map *m, struct str key);
/* Iterates: start with *i = 0; NULL at the end. Order is unspecified. */
struct map_slot *map_next(const struct map *m, size_t *i);
