/* Open addressing with linear probing; deleting shifts back, so there are no tombstones. */
#include "base/map.h"
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>

void map_fini(struct map *m)
{
    mem_free(m->v);
    *m = (struct map){ 0 };
}

static struct map_slot *slot_of(const struct map *m, struct str key, uint64_t hash)
{
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_slot *s = &m->v[i];
        if (!s->value || (s->hash == hash && str_eq(s->key, key)))
            return s;
    }
}

void *map_get(const struct map *m, struct str key)
{
    return m->n ? slot_of(m, key, str_hash(key))->value : NULL;
}

static bool grow(struct map *m)
{
    struct map bigger = { .n = m->n, .cap = m->cap ? m->cap * 2 : 8 };
    bigger.v = mem_array(bigger.cap, sizeof(*bigger.v));
    if (!bigger.v)
        return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->v[i].value)
            *slot_of(&bigger, m->v[i].key, m->v[i].hash) = m->v[i];
    mem_free(m->v);
    *m = bigger;
    return true;
}

bool map_put(struct map *m, struct str key, void *value)
{
    CHECK(value);
    if (m->n + 1 > m->cap - m->cap / 4 && !grow(m))
        return false;
    uint64_t hash = str_hash(key);
    struct map_slot *s = slot_of(m, key, hash);
    if (s->value) {
        s->value = value;
        return true;
    }
    *s = (struct map_slot){ key, hash, value };
    m->n++;
    return true;
}

void map_need(struct map *m, struct str key, void *value)
{
    if (map_put(m, key, value))
        return;
    fputs("weir: out of memory\n", stderr);
    exit(1);
}

bool map_del(struct map *m, struct str key)
{
    if (m->n == 0)
        return false;
    struct map_slot *s = slot_of(m, key, str_hash(key));
    if (!s->value)
        return false;
    size_t mask = m->cap - 1, hole = (size_t)(s - m->v);
    for (size_t i = (hole + 1) & mask; m->v[i].value; i = (i + 1) & mask) {
        size_t home = m->v[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* stands between its home and the hole: must stay */
        m->v[hole] = m->v[i];
        hole = i;
    }
    m->v[hole] = (struct map_slot){ 0 };
    m->n--;
    return true;
}

struct map_slot *map_next(const struct map *m, size_t *i)
{
    while (*i < m->cap)
        if (m->v[(*i)++].value)
            return &m->v[*i - 1];
    return NULL;
}
