/* Balancing: shares follow weights, what is out of use is left out, what just failed is avoided. */
#include "lb/lb.h"
#include "../harness/harness.h"
#include "base/rand.h"

void unit_lb(void);
extern const struct lb_type lb_round_robin, lb_least_request;

enum { HOSTS = 4 };
static _Atomic uint32_t active[HOSTS];

static void hosts(struct lb_host *h, const uint32_t *weights)
{
    for (size_t i = 0; i < HOSTS; i++) {
        active[i] = 0;
        h[i] = (struct lb_host){ .weight = weights[i], .usable = true, .active = &active[i] };
    }
}

static void count(const struct lb_type *t, const struct lb_host *h, size_t avoid, size_t picks,
                  struct lb_state *st, size_t *ret)
{
    memset(ret, 0, sizeof(*ret) * (HOSTS + 1));
    for (size_t i = 0; i < picks; i++)
        ret[t->pick(h, HOSTS, avoid, st)]++;
}

static void round_robin(void)
{
    const uint32_t even[HOSTS] = { 1, 1, 1, 1 }, uneven[HOSTS] = { 5, 1, 1, 3 };
    struct lb_host h[HOSTS];
    size_t n[HOSTS + 1];
    int64_t credit[HOSTS] = { 0 };
    struct lb_state st = { .credit = credit };

    CASE("round robin: equal weights take turns");
    hosts(h, even);
    count(&lb_round_robin, h, HOSTS, 400, &st, n);
    for (size_t i = 0; i < HOSTS; i++)
        EXPECT_INT(n[i], 100);

    CASE("round robin: weights are shares, smooth over every round");
    hosts(h, uneven);
    st = (struct lb_state){ .credit = memset(credit, 0, sizeof(credit)) };
    size_t run = 0, longest = 0, last = HOSTS;
    memset(n, 0, sizeof(n));
    for (size_t i = 0; i < 1000; i++) {
        size_t at = lb_round_robin.pick(h, HOSTS, HOSTS, &st);
        run = at == last ? run + 1 : 1;
        last = at;
        longest = run > longest ? run : longest;
        n[at]++;
    }
    for (size_t i = 0; i < HOSTS; i++)
        EXPECT(n[i] + 1 >= uneven[i] * 100 && n[i] <= uneven[i] * 100 + 1);
    EXPECT(longest <= 2);

    CASE("round robin: unusable hosts get nothing, their share is spread");
    hosts(h, even);
    st = (struct lb_state){ .credit = memset(credit, 0, sizeof(credit)) };
    h[1].usable = false;
    count(&lb_round_robin, h, HOSTS, 300, &st, n);
    EXPECT_INT(n[1], 0);
    EXPECT_INT(n[0], 100);
    EXPECT_INT(n[2], 100);
    EXPECT_INT(n[3], 100);
}

static void least_request(void)
{
    const uint32_t even[HOSTS] = { 1, 1, 1, 1 }, two[HOSTS] = { 3, 1, 1, 1 };
    struct lb_host h[HOSTS];
    size_t n[HOSTS + 1];
    struct lb_state st = { 0 };

    CASE("least request: the busiest host is never drawn before another");
    rand_seed(7);
    hosts(h, even);
    active[2] = 1000;
    count(&lb_least_request, h, HOSTS, 1000, &st, n);
    EXPECT_INT(n[2], 0);
    EXPECT(n[0] > 200 && n[1] > 200 && n[3] > 200);

    CASE("least request: idle hosts get the shares of their weights, the light ones too");
    hosts(h, two);
    count(&lb_least_request, h, HOSTS, 6000, &st, n);
    EXPECT(n[0] > 2700 && n[0] < 3300);
    for (size_t i = 1; i < HOSTS; i++)
        EXPECT(n[i] > 800 && n[i] < 1200);
    h[2].usable = h[3].usable = false;
    count(&lb_least_request, h, HOSTS, 4000, &st, n);
    EXPECT(n[1] > 850 && n[1] < 1150);

    CASE("least request: load counts for its weight");
    hosts(h, two);
    for (size_t i = 0; i < 600; i++)
        active[lb_least_request.pick(h, HOSTS, HOSTS, &st)]++;
    EXPECT(active[0] > 250 && active[0] < 350);
    for (size_t i = 1; i < HOSTS; i++)
        EXPECT(active[i] > 70 && active[i] < 130);
}

static void either(const struct lb_type *t)
{
    const uint32_t even[HOSTS] = { 1, 1, 1, 1 };
    struct lb_host h[HOSTS];
    size_t n[HOSTS + 1];
    int64_t credit[HOSTS] = { 0 };
    struct lb_state st = { .credit = credit };

    CASE("what just failed is avoided while another is usable");
    hosts(h, even);
    count(t, h, 3, 100, &st, n);
    EXPECT_INT(n[3], 0);
    EXPECT_INT(n[HOSTS], 0);
    for (size_t i = 0; i < 3; i++)
        h[i].usable = false;
    EXPECT_INT(t->pick(h, HOSTS, 3, &st), 3);

    CASE("no usable host, or none at all");
    h[3].usable = false;
    EXPECT_INT(t->pick(h, HOSTS, HOSTS, &st), HOSTS);
    EXPECT_INT(t->pick(h, HOSTS, 3, &st), HOSTS);
    EXPECT_INT(t->pick(h, 0, 0, &st), 0);

    CASE("the only host is taken also when it is to be avoided");
    h[0].usable = true;
    EXPECT_INT(t->pick(h, 1, 1, &st), 0);
    EXPECT_INT(t->pick(h, 1, 0, &st), 0);
}

void unit_lb(void)
{
    round_robin();
    least_request();
    either(&lb_round_robin);
    either(&lb_least_request);

    CASE("algorithms are found by name");
    registry_add("lb", lb_round_robin.name, NULL, &lb_round_robin);
    registry_add("lb", lb_least_request.name, NULL, &lb_least_request);
    EXPECT(lb_find(STR("round-robin")) == &lb_round_robin);
    EXPECT(lb_find(STR("least-request")) == &lb_least_request);
    EXPECT(lb_find(STR("most-request")) == NULL);
}
