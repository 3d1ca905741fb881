/* Least request: of two endpoints drawn by weight the first, unless the second would with this
 * request still have no more under way for its weight than the first has without it. So idle
 * endpoints get their weights' shares, and busy ones are evened out. */
#include "base/rand.h"
#include "lb/lb.h"
#include <stdatomic.h>

/* The host at a point of the weights of all usable ones but avoid and first. */
static size_t draw(const struct lb_host *h, size_t n, size_t avoid, size_t first)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        if (h[i].usable && i != avoid && i != first)
            sum += h[i].weight;
    if (sum == 0)
        return n;
    uint64_t point = rand_u64() % sum;
    for (size_t i = 0; i < n; i++) {
        if (!h[i].usable || i == avoid || i == first)
            continue;
        if (point < h[i].weight)
            return i;
        point -= h[i].weight;
    }
    return n;
}

static uint64_t active(const struct lb_host *h)
{
    return h->active ? atomic_load_explicit(h->active, memory_order_relaxed) : 0;
}

static size_t pick(const struct lb_host *h, size_t n, size_t avoid, struct lb_state *st)
{
    (void)st;
    size_t a = draw(h, n, avoid, n);
    if (a == n)
        return avoid < n && h[avoid].usable ? avoid : n;
    size_t b = draw(h, n, avoid, a);
    if (b == n)
        return a;
    return (active(&h[b]) + 1) * h[a].weight <= active(&h[a]) * h[b].weight ? b : a;
}

const struct lb_type lb_least_request = {
    .name = "least-request",
    .doc = "Of two endpoints drawn by weight, the one with fewer requests under way.",
    .pick = pick,
};
