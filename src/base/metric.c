/* Metric cells and their exposition. The registry has one lock, taken when a series is found or
   made and at scrape; cells are written with relaxed stores by their one writer. */
#include "base/metric.h"
#include "base/arena.h"
#include "base/map.h"
#include "base/mem.h"
#include <pthread.h>
#include <stdatomic.h>

/* Histogram buckets: 4 a power of two from 2^HIST_FIRST to 2^(HIST_FIRST + HIST_POWERS) of the raw
 * unit; one below, one above. */
enum {
    HIST_FIRST = 14 /* 16 µs, or 16 KiB */,
    HIST_POWERS = 23 /* to 137 s */,
    HIST_SUB = 4,
    HIST_CELLS = HIST_POWERS * HIST_SUB + 2
};
struct histogram {
    _Atomic int64_t count, sum;
    _Atomic int64_t cell[HIST_CELLS];
};
struct metric_series {
    const struct metric *metric;
    struct metric_series *next; /* of the same metric */
    struct str labels[METRIC_MAX_LABELS];
    size_t n_labels;
    union {
        _Atomic int64_t value[METRIC_MAX_WORKERS];
        _Atomic(struct histogram *)
            hist[METRIC_MAX_WORKERS]; /* made by the worker that first observes */
    };
};
struct family {
    struct family *next;
    const struct metric *metric;
    struct metric_series *first, **last, *other;
};
static struct {
    pthread_mutex_t lock;
    struct arena arena;
    struct map series, families;
    struct family *first, **last;
    size_t histograms; /* bytes that those made may come to take, outside the arena */
    size_t budget;
    unsigned workers;
    struct metric_series *folded;
    bool ready;
} reg = { .lock = PTHREAD_MUTEX_INITIALIZER, .budget = 16 << 20, .workers = 1 };
static const struct metric folded_metric = {
    "weir.metrics.folded",
    "{series}",
    "Series that did not fit into the byte budget and count under \"other\".",
    METRIC_COUNTER,
    { NULL }
};

static size_t series_bytes(const struct metric *m, const struct str *labels, size_t n)
{
    size_t bytes = sizeof(struct metric_series) + 2 * sizeof(struct map_slot);
    for (size_t i = 0; i < n; i++)
        bytes += 2 * (labels[i].n + 1);
    return bytes + (m->type == METRIC_HISTOGRAM ? reg.workers * sizeof(struct histogram) : 0);
}

static struct str key_of(const struct metric *m, const struct str *labels, size_t n)
{
    struct buf b;
    buf_init(&b, 64 * 1024);
    buf_fmt(&b, "%s", m->name);
    for (size_t i = 0; i < n; i++) {
        buf_char(&b, '\0');
        buf_str(&b, labels[i]);
    }
    struct str key = arena_str(&reg.arena, buf_view(&b));
    buf_fini(&b);
    return key;
}

static struct family *family_of(const struct metric *m)
{
    struct family *f = map_get(&reg.families, str_from(m->name));
    if (f)
        return f;
    f = ARENA_NEW(&reg.arena, struct family);
    f->metric = m;
    f->last = &f->first;
    bool findable = map_put(&reg.families, str_from(m->name), f);
    (void)findable; /* out of memory: its next series make another family */
    *reg.last = f;
    reg.last = &f->next;
    return f;
}

static struct metric_series *series_new(struct family *f, const struct str *labels, size_t n)
{
    struct metric_series *s = ARENA_NEW(&reg.arena, struct metric_series);
    s->metric = f->metric;
    s->n_labels = n;
    for (size_t i = 0; i < n; i++)
        s->labels[i] = arena_str(&reg.arena, labels[i]);
    *f->last = s;
    f->last = &s->next;
    if (f->metric->type == METRIC_HISTOGRAM)
        reg.histograms += reg.workers * sizeof(struct histogram);
    return s;
}

static struct metric_series *other_of(struct family *f, size_t n)
{
    struct str other[METRIC_MAX_LABELS];
    for (size_t i = 0; i < n; i++)
        other[i] = STR("other");
    if (!f->other)
        f->other = series_new(f, other, n);
    if (reg.folded)
        atomic_fetch_add_explicit(&reg.folded->value[0], 1, memory_order_relaxed);
    return f->other;
}

static struct metric_series *find_or_make(const struct metric *m, const struct str *labels,
                                          size_t n)
{
    struct family *f = family_of(m);
    if (reg.arena.used + reg.histograms + series_bytes(m, labels, n) > reg.budget && n > 0)
        return other_of(f, n);
    struct str key = key_of(m, labels, n);
    struct metric_series *s = map_get(&reg.series, key);
    if (s)
        return s;
    s = series_new(f, labels, n);
    if (!map_put(&reg.series, s->n_labels ? key : str_from(m->name), s))
        return s; /* out of memory: counted, but found no more */
    return s;
}

static struct metric_series *lookup(const struct metric *m, const struct str *labels, size_t n)
{
    char stack[2048], *at = stack; /* six labels of a name's length */
    size_t len = strlen(m->name), need = len;
    for (size_t i = 0; i < n; i++)
        need += 1 + labels[i].n;
    if (need > sizeof(stack))
        return NULL;
    memcpy(at, m->name, len);
    at += len;
    for (size_t i = 0; i < n; i++) {
        *at++ = 0;
        if (labels[i].n)
            memcpy(at, labels[i].p, labels[i].n);
        at += labels[i].n;
    }
    return map_get(&reg.series, (struct str){ stack, need });
}

static void ready(void)
{
    if (reg.ready)
        return;
    reg.ready = true;
    reg.last = &reg.first;
    arena_init(&reg.arena, 64 * 1024, 0);
    reg.folded = find_or_make(&folded_metric, NULL, 0);
}

void metrics_set_budget(size_t bytes)
{
    pthread_mutex_lock(&reg.lock);
    reg.budget = bytes;
    pthread_mutex_unlock(&reg.lock);
}

void metrics_set_workers(unsigned n)
{
    pthread_mutex_lock(&reg.lock);
    reg.workers = n;
    pthread_mutex_unlock(&reg.lock);
}

struct metric_series *metric_series(const struct metric *m, const struct str *labels, size_t n)
{
    CHECK(n <= METRIC_MAX_LABELS);
    pthread_mutex_lock(&reg.lock);
    ready();
    struct metric_series *s = lookup(m, labels, n);
    if (!s)
        s = find_or_make(m, labels, n);
    pthread_mutex_unlock(&reg.lock);
    return s;
}

static inline void bump(_Atomic int64_t *cell, int64_t n)
{
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

void metric_add(struct metric_series *s, unsigned worker, int64_t n)
{
    bump(&s->value[worker], n);
}

void metric_set(struct metric_series *s, unsigned worker, int64_t n)
{
    atomic_store_explicit(&s->value[worker], n, memory_order_relaxed);
}

static size_t cell_of(int64_t value)
{
    if (value < (INT64_C(1) << HIST_FIRST))
        return 0;
    unsigned power = 63u - (unsigned)__builtin_clzll((unsigned long long)value);
    if (power >= HIST_FIRST + HIST_POWERS)
        return HIST_CELLS - 1;
    size_t sub = (size_t)(value >> (power - 2)) & (HIST_SUB - 1);
    return 1 + (size_t)(power - HIST_FIRST) * HIST_SUB + sub;
}

/* Exclusive upper bound of a cell in the raw unit. */
static int64_t cell_bound(size_t cell)
{
    if (cell == 0)
        return INT64_C(1) << HIST_FIRST;
    size_t power = HIST_FIRST + (cell - 1) / HIST_SUB, sub = (cell - 1) % HIST_SUB;
    return (INT64_C(1) << power) + (int64_t)(sub + 1) * (INT64_C(1) << (power - 2));
}

void metric_observe(struct metric_series *s, unsigned worker, int64_t value)
{
    struct histogram *h = atomic_load_explicit(&s->hist[worker], memory_order_relaxed);
    if (UNLIKELY(!h)) {
        h = mem_alloc(sizeof(*h));
        if (!h)
            return;
        atomic_store_explicit(&s->hist[worker], h, memory_order_release);
    }
    bump(&h->count, 1);
    bump(&h->sum, value);
    bump(&h->cell[cell_of(value)], 1);
}

int64_t metric_value(struct metric_series *s)
{
    int64_t sum = 0;
    for (unsigned w = 0; w < METRIC_MAX_WORKERS; w++) {
        if (s->metric->type != METRIC_HISTOGRAM) {
            sum += atomic_load_explicit(&s->value[w], memory_order_relaxed);
            continue;
        }
        struct histogram *h = atomic_load_explicit(&s->hist[w], memory_order_acquire);
        sum += h ? atomic_load_explicit(&h->count, memory_order_relaxed) : 0;
    }
    return sum;
}

/* ---- exposition ---- */
static void put_name(struct buf *out, const struct metric *m)
{
    for (const char *p = m->name; *p; p++)
        buf_char(out, *p == '.' || *p == '-' ? '_' : *p);
    if (strcmp(m->unit, "s") == 0)
        buf_str(out, STR("_seconds"));
    else if (strcmp(m->unit, "By") == 0)
        buf_str(out, STR("_bytes"));
    if (m->type == METRIC_COUNTER)
        buf_str(out, STR("_total"));
}

static void put_labels(struct buf *out, const struct metric_series *s, const char *le)
{
    if (s->n_labels == 0 && !le)
        return;
    buf_char(out, '{');
    for (size_t i = 0; i < s->n_labels; i++) {
        if (i)
            buf_char(out, ',');
        for (const char *p = s->metric->labels[i]; *p; p++)
            buf_char(out, *p == '.' ? '_' : *p);
        buf_str(out, STR("=\""));
        for (size_t k = 0; k < s->labels[i].n; k++) {
            char c = s->labels[i].p[k];
            if (c == '"' || c == '\\' || c == '\n')
                buf_char(out, '\\');
            buf_char(out, c == '\n' ? 'n' : c);
        }
        buf_char(out, '"');
    }
    if (le)
        buf_fmt(out, "%sle=\"%s\"", s->n_labels ? "," : "", le);
    buf_char(out, '}');
}

static void put_sample(struct buf *out, const struct metric_series *s, const char *suffix,
                       const char *le)
{
    put_name(out, s->metric);
    buf_fmt(out, "%s", suffix);
    put_labels(out, s, le);
    buf_char(out, ' ');
}

static void expose_histogram(struct buf *out, const struct metric_series *s)
{
    int64_t cells[HIST_CELLS] = { 0 }, sum = 0, total = 0;
    bool seconds = strcmp(s->metric->unit, "s") == 0;
    for (unsigned w = 0; w < METRIC_MAX_WORKERS; w++) {
        struct histogram *h = atomic_load_explicit(&s->hist[w], memory_order_acquire);
        if (!h)
            continue;
        sum += atomic_load_explicit(&h->sum, memory_order_relaxed);
        for (size_t i = 0; i < HIST_CELLS; i++)
            cells[i] += atomic_load_explicit(&h->cell[i], memory_order_relaxed);
    }
    for (size_t i = 0; i < HIST_CELLS; i++) {
        char le[32] = "+Inf";
        struct buf b = { .p = le, .cap = sizeof(le), .max = sizeof(le) };
        total += cells[i];
        if (i + 1 < HIST_CELLS && i % 2)
            continue; /* two bounds a power of two are enough outside; always the same ones, for
                         rate() */
        if (i + 1 < HIST_CELLS) {
            buf_fmt(&b, seconds ? "%.9g" : "%.0f",
                    seconds ? (double)cell_bound(i) / 1e9 : (double)cell_bound(i));
            le[b.n] = 0;
        }
        put_sample(out, s, "_bucket", le);
        buf_fmt(out, "%lld\n", (long long)total);
    }
    put_sample(out, s, "_sum", NULL);
    buf_fmt(out, seconds ? "%.9f\n" : "%.0f\n", seconds ? (double)sum / 1e9 : (double)sum);
    put_sample(out, s, "_count", NULL);
    buf_fmt(out, "%lld\n", (long long)total);
}

static void expose_family(struct buf *out, const struct family *f)
{
    static const char *const type[] = { "counter", "gauge", "histogram" };
    buf_str(out, STR("# HELP "));
    put_name(out, f->metric);
    buf_fmt(out, " %s\n# TYPE ", f->metric->help);
    put_name(out, f->metric);
    buf_fmt(out, " %s\n", type[f->metric->type]);
    for (struct metric_series *s = f->first; s; s = s->next) {
        if (f->metric->type == METRIC_HISTOGRAM) {
            expose_histogram(out, s);
            continue;
        }
        put_sample(out, s, "", NULL);
        buf_fmt(out, "%lld\n", (long long)metric_value(s));
    }
}

void metrics_expose(struct buf *out)
{
    pthread_mutex_lock(&reg.lock);
    ready();
    for (const struct family *f = reg.first; f; f = f->next)
        expose_family(out, f);
    pthread_mutex_unlock(&reg.lock);
}
