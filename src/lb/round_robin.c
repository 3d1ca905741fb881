/* Smooth weighted round robin: every pick each usable host earns its weight, the richest is chosen
   and pays the sum. Equal weights take a counter instead. */
#include "base/rand.h"
#include "lb/lb.h"

static bool equal_weights(const struct lb_host *h, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (h[i].weight != h[0].weight)
            return false;
    return true;
}

static size_t next_usable(const struct lb_host *h, size_t n, size_t avoid, uint64_t *at)
{
    size_t second = n;
    for (size_t step = 0; step < n; step++) {
        size_t i = (size_t)((*at)++ % n);
        if (!h[i].usable)
            continue;
        if (i != avoid)
            return i;
        second = i;
    }
    return second;
}

static size_t richest(const struct lb_host *h, size_t n, size_t avoid, int64_t *credit)
{
    int64_t sum = 0;
    size_t best = n;
    for (size_t i = 0; i < n; i++) {
        if (!h[i].usable || i == avoid)
            continue;
        sum += h[i].weight;
        credit[i] += h[i].weight;
        if (best == n || credit[i] > credit[best])
            best = i;
    }
    if (best < n)
        credit[best] -= sum;
    else if (avoid < n && h[avoid].usable)
        best = avoid;
    return best;
}

static size_t pick(const struct lb_host *h, size_t n, size_t avoid, struct lb_state *st)
{
    if (n == 0)
        return 0;
    if (!st->v[1]) { /* workers start apart, so that they do not march in step */
        st->v[1] = 1;
        st->v[0] = rand_below((uint32_t)n);
        if (st->credit && n > 1)
            st->credit[st->v[0]] = 1;
    }
    if (n == 1)
        return h[0].usable ? 0 : n;
    if (!st->credit || equal_weights(h, n))
        return next_usable(h, n, avoid, &st->v[0]);
    return richest(h, n, avoid, st->credit);
}

const struct lb_type lb_round_robin = {
    .name = "round-robin",
    .doc = "Each endpoint in turn, as often as its weight says.",
    .pick = pick,
};
