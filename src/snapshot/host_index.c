/* Hosts to their route tables: one hash table for exact names and for wildcards, which are kept by
   their suffix; a suffix begins with a dot and a name never does, so the two cannot meet. */
#include "snapshot/host_index.h"

static struct str key_of(const struct host_entry *e)
{
    return str_starts(e->host, STR("*.")) ? str_sub(e->host, 1, e->host.n) : e->host;
}

struct host_index *host_index_new(struct arena *a, struct str attach, const struct host_entry *v,
                                  size_t n)
{
    struct host_index *ix = ARENA_NEW(a, struct host_index);
    size_t cap = 4;
    while (cap < n * 2)
        cap *= 2;
    *ix =
        (struct host_index){ .attach = attach, .entries = v, .n = n, .mask = (uint32_t)(cap - 1) };
    ix->slots = ARENA_ARRAY(a, struct host_slot, cap);
    for (size_t i = 0; i < n; i++) {
        if (str_eq(v[i].host, STR("*"))) {
            ix->any = &v[i];
            continue;
        }
        ix->wild |= v[i].host.p[0] == '*';
        uint32_t hash = (uint32_t)str_hash(key_of(&v[i])), at = hash & ix->mask;
        while (ix->slots[at].entry)
            at = (at + 1) & ix->mask;
        ix->slots[at] = (struct host_slot){ hash, (uint32_t)i + 1 };
    }
    return ix;
}

const struct host_entry *host_index_find(const struct host_index *ix, struct str key)
{
    uint32_t hash = (uint32_t)str_hash(key);
    for (uint32_t at = hash & ix->mask; ix->slots[at].entry; at = (at + 1) & ix->mask) {
        const struct host_entry *e = &ix->entries[ix->slots[at].entry - 1];
        size_t star = e->host.n - key.n; /* 1: "*" stands before the suffix that is looked for */
        if (ix->slots[at].hash != hash || star > 1 || (e->host.p[0] == '*') != (star == 1))
            continue;
        if (memcmp(e->host.p + star, key.p, key.n) == 0)
            return e;
    }
    return NULL;
}
