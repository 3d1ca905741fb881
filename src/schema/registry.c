/* Named sets of schemas. Filled at start by one thread, read-only afterwards, so readers take no
 * lock. */
#include "base/mem.h"
#include "schema/schema.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    MAX_REGISTRIES = 16
}; /* policy, filter, lb, kind, ...: named in the source, never by users */
struct set {
    const char *name;
    struct registry_row *rows;
    size_t n, cap;
};
static struct set sets[MAX_REGISTRIES];

static struct set *set_find(const char *name, bool make)
{
    for (size_t i = 0; i < MAX_REGISTRIES; i++) {
        if (!sets[i].name) {
            if (!make)
                return NULL;
            sets[i].name = name;
            return &sets[i];
        }
        if (strcmp(sets[i].name, name) == 0)
            return &sets[i];
    }
    CHECK(!make);
    return NULL;
}

/* Index of key, or where it would stand. */
static size_t position(const struct set *s, struct str key, bool *ret_found)
{
    size_t lo = 0, hi = s->n;
    *ret_found = false;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = str_cmp(str_from(s->rows[mid].key), key);
        if (c == 0) {
            *ret_found = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

void registry_add(const char *registry, const char *key, const struct schema *schema,
                  const void *extra)
{
    struct set *s = set_find(registry, true);
    struct registry_row row = { key, schema, extra };
    bool found;
    size_t at = position(s, str_from(key), &found);
    if (found) { /* tests fill twice; the same row again changes nothing */
        CHECK(s->rows[at].schema == schema);
        s->rows[at].extra = extra;
        return;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;
        struct registry_row *rows = mem_realloc(s->rows, cap * sizeof(*rows));
        if (!rows) { /* at start: nothing to fall back to */
            fputs("weir: out of memory\n", stderr);
            exit(1);
        }
        s->rows = rows;
        s->cap = cap;
    }
    memmove(s->rows + at + 1, s->rows + at, (s->n - at) * sizeof(*s->rows));
    s->rows[at] = row;
    s->n++;
}

const struct registry_row *registry_find(const char *registry, struct str key)
{
    const struct set *s = set_find(registry, false);
    bool found = false;
    size_t at = s ? position(s, key, &found) : 0;
    return found ? &s->rows[at] : NULL;
}

const struct registry_row *registry_rows(const char *registry, size_t *ret_n)
{
    const struct set *s = set_find(registry, false);
    *ret_n = s ? s->n : 0;
    return s ? s->rows : NULL;
}
