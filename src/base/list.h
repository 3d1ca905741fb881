/* Intrusive doubly linked list; a node that is in no list points at itself. */
#pragma once
#include "base/base.h"

struct list {
    struct list *next, *prev;
};
static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}
static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}
static inline void list_del(struct list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}
static inline void list_add_tail(struct list *l, struct list *n)
{
    n->prev = l->prev;
    n->next = l;
    l->prev->next = n;
    l->prev = n;
}
static inline void list_add_head(struct list *l, struct list *n)
{
    list_add_tail(l->next, n);
}
#define LIST_FOR(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
/* it may be removed in the body */
#define LIST_FOR_SAFE(it, tmp, head) \
    for (struct list *it = (head)->next, *tmp = it->next; it != (head); it = tmp, tmp = it->next)
