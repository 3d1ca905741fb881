/* Queues of fixed-size chunks: output that waits for the kernel or for encryption. Loop thread
 * only. */
#include "io/conn_tls.h"

static struct chunk *chunk_add(struct loop *l, struct chunk_queue *q)
{
    struct chunk *k = loop_chunk(l);
    if (!k)
        return NULL;
    k->next = NULL;
    k->from = k->to = 0;
    if (q->tail)
        q->tail->next = k;
    else
        q->head = k;
    return q->tail = k;
}

struct chunk *chunk_room(struct loop *l, struct chunk_queue *q, size_t n)
{
    struct chunk *k = q->tail;
    return k && CHUNK_DATA - k->to >= n ? k : chunk_add(l, q);
}

bool chunk_append(struct loop *l, struct chunk_queue *q, const char *p, size_t n)
{
    while (n > 0) {
        struct chunk *k = chunk_room(l, q, 1);
        if (!k)
            return false;
        size_t room = CHUNK_DATA - k->to, m = n < room ? n : room;
        memcpy(k->data + k->to, p, m);
        k->to += (uint32_t)m;
        p += m;
        n -= m;
    }
    return true;
}

void chunk_consume(struct loop *l, struct chunk_queue *q, size_t n)
{
    while (q->head) {
        struct chunk *k = q->head;
        size_t have = k->to - k->from;
        if (n < have) {
            k->from += (uint32_t)n;
            return;
        }
        n -= have;
        q->head = k->next;
        if (!q->head)
            q->tail = NULL;
        loop_chunk_free(l, k);
    }
    CHECK(n == 0);
}

void chunk_drop(struct loop *l, struct chunk_queue *q)
{
    while (q->head) {
        struct chunk *k = q->head;
        q->head = k->next;
        loop_chunk_free(l, k);
    }
    q->tail = NULL;
}
