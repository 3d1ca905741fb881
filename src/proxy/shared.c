/* Process-wide state by key that outlives worlds (limiters). Main thread only: filters get theirs
 * when a world is built and give it back when it goes. */
#include "base/map.h"
#include "base/mem.h"
#include "io/thread.h"
#include "proxy/filter.h"

struct shared {
    struct str key;
    size_t size;
    uint32_t refs;
    _Alignas(64) char data[];
};
static struct map table;
static pthread_mutex_t lock =
    PTHREAD_MUTEX_INITIALIZER; /* rank: leaf. Worlds are freed by the worker that used them last */

void *shared_get(struct str key, size_t size, void (*init)(void *p))
{
    pthread_mutex_lock(&lock);
    struct shared *s = map_get(&table, key);
    if (s && s->size == size) {
        s->refs++;
    } else {
        CHECK(!s); /* one key, one shape */
        s = mem_need(sizeof(*s) + size);
        char *k = mem_need(key.n + 1);
        memcpy(k, key.p, key.n);
        s->key = (struct str){ k, key.n };
        s->size = size;
        s->refs = 1;
        if (init)
            init(s->data);
        map_need(&table, s->key, s);
    }
    pthread_mutex_unlock(&lock);
    return s->data;
}

void shared_put(void *p)
{
    if (!p)
        return;
    struct shared *s = CONTAINER_OF(p, struct shared, data);
    pthread_mutex_lock(&lock);
    if (--s->refs == 0) {
        (void)map_del(&table, s->key);
        mem_free((void *)s->key.p);
        mem_free(s);
    }
    pthread_mutex_unlock(&lock);
}
