#define _GNU_SOURCE /* memmem */
/* Metrics: sums over workers, buckets, exposition, and what happens when label sets outgrow the
 * budget. */
#include "base/metric.h"
#include "../harness/harness.h"
#include <stdio.h>

void unit_metric(void);

static const struct metric requests = {
    "weir.test.requests", "{request}", "Requests.", METRIC_COUNTER, { "route", "code" }
};
static const struct metric duration = {
    "weir.test.duration", "s", "Time.", METRIC_HISTOGRAM, { "route" }
};

static bool exposed(const struct buf *b, const char *line)
{
    return b->n && memmem(b->p, b->n, line, strlen(line)) != NULL;
}

static void sums(void)
{
    const struct str a[] = { STR("a"), STR("2xx") }, odd[] = { STR("q\"\\\n"), STR("") };
    struct metric_series *s = metric_series(&requests, a, 2);

    CASE("the same labels are the same series; workers are summed");
    EXPECT(metric_series(&requests, a, 2) == s);
    metric_add(s, 0, 3);
    metric_add(s, 5, 4);
    EXPECT_INT(metric_value(s), 7);

    CASE("exposition: names with unit and suffix, label values escaped");
    metric_add(metric_series(&requests, odd, 2), 0, 1);
    struct buf b;
    buf_init(&b, 1 << 20);
    metrics_expose(&b);
    EXPECT(exposed(&b, "# TYPE weir_test_requests_total counter\n"));
    EXPECT(exposed(&b, "weir_test_requests_total{route=\"a\",code=\"2xx\"} 7\n"));
    EXPECT(exposed(&b, "weir_test_requests_total{route=\"q\\\"\\\\\\n\",code=\"\"} 1\n"));
    buf_fini(&b);
}

static void buckets(void)
{
    const struct str label = STR("h");
    struct metric_series *s = metric_series(&duration, &label, 1);

    CASE("a histogram counts every value once, however small or large");
    for (int64_t v = 1; v > 0 && v < INT64_MAX / 2; v *= 2)
        metric_observe(s, 0, v);
    metric_observe(s, 1, 0);
    metric_observe(s, 1, INT64_MAX / 4);
    EXPECT_INT(metric_value(s), 64);
    struct buf b;
    buf_init(&b, 1 << 20);
    metrics_expose(&b);
    EXPECT(exposed(&b, "weir_test_duration_seconds_bucket{route=\"h\",le=\"+Inf\"} 64\n"));
    EXPECT(exposed(&b, "weir_test_duration_seconds_count{route=\"h\"} 64\n"));
    buf_fini(&b);
}

/* Its series and what they may come to hold stay within the budget; nothing is lost. */
static void budget(void)
{
    enum { ROUTES = 5000, BUDGET = 256 * 1024 };
    static char name[ROUTES][16];
    const struct str other = STR("other");

    CASE("label sets over the byte budget count under \"other\", and that is counted");
    metrics_set_workers(4);
    metrics_set_budget(BUDGET);
    struct str label[ROUTES];
    for (size_t i = 0; i < ROUTES; i++) {
        int n = snprintf(name[i], sizeof(name[i]), "route-%zu", i);
        label[i] = (struct str){ name[i], (size_t)n };
        metric_observe(metric_series(&duration, &label[i], 1), 0, NS_PER_MS);
    }
    const struct metric_series *folded = metric_series(&duration, &other, 1);
    size_t own = 0;
    for (size_t i = 0; i < ROUTES; i++)
        own += metric_series(&duration, &label[i], 1) != folded;
    EXPECT(own > 10);
    EXPECT(own * 4 * 700 < BUDGET);
    EXPECT_INT(metric_value(metric_series(&duration, &other, 1)) + (int64_t)own, ROUTES);
    struct buf b;
    buf_init(&b, 4 << 20);
    metrics_expose(&b);
    EXPECT(exposed(&b, "weir_test_duration_seconds_count{route=\"other\"}"));
    EXPECT(exposed(&b, "weir_metrics_folded_total "));
    EXPECT(!exposed(&b, "weir_metrics_folded_total 0\n"));
    buf_fini(&b);
}

void unit_metric(void)
{
    sums();
    buckets();
    budget();
}
