/* Metric cells. A metric is a row (name, type, unit, help, label names) declared by the module that
   counts. A series is one label set of it. Cells are per worker and written without locks or
   atomics beyond relaxed stores; they are summed at scrape. The registry has a byte budget: a
   series that would exceed it is folded into the one whose labels are all "other", and
   weir.metrics.folded counts that. */
#pragma once
#include "base/buf.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
enum { METRIC_MAX_LABELS = 6, METRIC_MAX_WORKERS = 64 };
struct metric {
    const char *name; /* OpenTelemetry name: http.server.request.duration */
    const char *unit; /* UCUM: s, By, {request} */
    const char *help;
    enum metric_type type;
    const char *labels[METRIC_MAX_LABELS]; /* NULL-terminated when fewer */
};
struct metric_series; /* opaque, lives until the process ends; safe to cache a pointer */

/* Bytes the registry may use for series; default 16 MiB. Call before the first series. */
void metrics_set_budget(size_t bytes);
/* How many workers will write: a histogram has cells for each of them. Call before the first
 * series; default 1. */
void metrics_set_workers(unsigned n);
/* Finds or makes the series. Takes a lock: call when a world is built or a connection opens, and
 * cache. Never NULL. */
struct metric_series *metric_series(const struct metric *m, const struct str *labels, size_t n);
/* worker in [0, METRIC_MAX_WORKERS); one writer per (series, worker). */
void metric_add(struct metric_series *s, unsigned worker, int64_t n); /* counter or gauge */
void metric_set(struct metric_series *s, unsigned worker, int64_t n); /* gauge */
/* Histograms are log-linear over nanoseconds (or bytes): 4 buckets per power of two, exposed as
   OpenMetrics le in the base unit (s for "s"). */
void metric_observe(struct metric_series *s, unsigned worker, int64_t value);
int64_t metric_value(struct metric_series *s); /* summed over workers; for tests and /status */
/* Prometheus text exposition (names: dots to underscores, unit and _total suffixes). Any thread. */
void metrics_expose(struct buf *out);
