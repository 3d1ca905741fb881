/* Access log: one JSON line an exchange, written into the worker's buffer, handed to one writer
   thread once a loop turn by exchanging a pointer. A worker never waits: when the writer is behind,
   lines are dropped and counted. Every reload opens the files again, for those who rotate them. */
#define _GNU_SOURCE /* dup3 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/node.h"
#include "io/sys.h"
#include "proxy/exchange.h"
#include "proxy/proxy_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_BYTES = 256 * 1024, LINE_MAX_BYTES = 8 * 1024, FILES_MAX = 16 };

/* How long the end of the process waits for whoever shall read the log and does not. */
static const int64_t LAST_WAIT_NS = NS_PER_S;
enum { PIPE_PIECE = 4096 /* what POSIX says fits when a pipe is writable: PIPE_BUF */ };

struct log_file {
    struct str path;
    int fd;
    bool regular;            /* never blocks for a reader */
    _Atomic uint32_t users;  /* runtimes that log into it */
    _Atomic uint32_t blocks; /* not written yet */
};
/* Lines for one file. Owned by the worker while it fills, by the writer while it is in the slot. */
struct log_block {
    struct log_file *file;
    size_t n;
    char bytes[BLOCK_BYTES];
};
struct log_buffer {
    struct log_writer *w;
    struct log_block *filling;
    _Atomic(struct log_block *) slot;  /* full block on its way to the writer */
    _Atomic(struct log_block *) spare; /* written block on its way back */
    struct buf line;                   /* reused for every line */
    struct list link;
    _Atomic uint64_t dropped;
};
struct log_writer {
    struct thread thread;
    sem_t work;
    pthread_mutex_t lock; /* rank: leaf; buffers list and files */
    struct list buffers;
    struct log_file files[FILES_MAX];
    size_t n_files;
    _Atomic bool stop, hopeless; /* hopeless: nobody reads, and the process ends */
    bool started;
};

/* ---- writer thread ---- */
/* Waits until a pipe's reader makes room; false when the process ends and none does. */
static bool room(struct log_writer *w, const struct log_file *f)
{
    int64_t stopped = 0;
    while (!f->regular && !atomic_load(&w->hopeless)) {
        struct pollfd p = { .fd = f->fd, .events = POLLOUT };
        if (poll(&p, 1, 100) > 0)
            return true;
        if (!atomic_load(&w->stop))
            continue;
        if (stopped == 0)
            stopped = clock_mono();
        if (clock_mono() - stopped >= LAST_WAIT_NS)
            atomic_store(&w->hopeless, true);
    }
    return f->regular;
}

static void write_block(struct log_writer *w, struct log_block *k)
{
    const char *p = k->bytes;
    size_t n = k->n;
    while (n && room(w, k->file)) {
        ssize_t did =
            sys_write(k->file->fd, p, k->file->regular || n < PIPE_PIECE ? n : PIPE_PIECE);
        if (did < 0 && errno == EINTR)
            continue;
        if (did <= 0)
            break; /* a closed pipe or a full disk must not stop the proxy */
        p += did;
        n -= (size_t)did;
    }
    atomic_fetch_sub_explicit(&k->file->blocks, 1, memory_order_release);
}

static bool write_pending(struct log_writer *w)
{
    bool any = false;
    pthread_mutex_lock(&w->lock);
    LIST_FOR(it, &w->buffers)
    {
        struct log_buffer *b = CONTAINER_OF(it, struct log_buffer, link);
        struct log_block *k = atomic_exchange_explicit(&b->slot, NULL, memory_order_acquire);
        if (!k)
            continue;
        any = true;
        write_block(w, k);
        mem_free(atomic_exchange_explicit(&b->spare, k, memory_order_acq_rel));
    }
    pthread_mutex_unlock(&w->lock);
    return any;
}

static void writer_main(void *arg)
{
    struct log_writer *w = arg;
    while (!atomic_load(&w->stop)) {
        if (sem_wait(&w->work) == 0)
            (void)write_pending(w);
    }
    (void)write_pending(w);
}

struct log_writer *log_writer_new(void)
{
    struct log_writer *w = NEW(struct log_writer);
    list_init(&w->buffers);
    pthread_mutex_init(&w->lock, NULL);
    if (sem_init(&w->work, 0, 0) != 0) {
        mem_free(w);
        return NULL;
    }
    return w;
}

void log_writer_stop(struct log_writer *w)
{
    if (!w->started || atomic_exchange(&w->stop, true))
        return;
    sem_post(&w->work);
    thread_join(&w->thread);
}

void log_writer_free(struct log_writer *w)
{
    log_writer_stop(w);
    for (size_t i = 0; i < w->n_files; i++) {
        if (w->files[i].fd > 2)
            (void)close(w->files[i].fd);
        mem_free((void *)w->files[i].path.p);
    }
    sem_destroy(&w->work);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}

/* Pipes, sockets and terminals have a reader that can be slow. */
static bool never_blocks(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode) && !isatty(fd);
}

/* ENXIO for a pipe that nobody reads, instead of waiting for a reader. Its own writes may wait. */
static int file_open(const char *name, bool *ret_regular)
{
    int fd = sys_open(name, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0640);
    if (fd < 0)
        return -1;
    *ret_regular = never_blocks(fd);
    (void)fcntl(fd, F_SETFL, O_APPEND);
    return fd;
}

/* A place in the table: a new one, or that of a file which no world names any more. */
static struct log_file *file_slot(struct log_writer *w)
{
    if (w->n_files < FILES_MAX)
        return &w->files[w->n_files++];
    for (size_t i = 0; i < FILES_MAX; i++) {
        struct log_file *f = &w->files[i];
        if (atomic_load(&f->users) || atomic_load(&f->blocks))
            continue;
        if (f->fd > 2)
            (void)close(f->fd);
        mem_free((void *)f->path.p);
        return f;
    }
    return NULL;
}

struct log_file *log_writer_file(struct log_writer *w, struct str path, struct errors *e)
{
    for (size_t i = 0; i < w->n_files; i++) {
        if (!str_eq(w->files[i].path, path))
            continue;
        atomic_fetch_add(&w->files[i].users, 1);
        return &w->files[i];
    }
    char *name = mem_need(path.n + 1);
    if (path.n)
        memcpy(name, path.p, path.n);
    bool regular = never_blocks(STDOUT_FILENO);
    int fd = path.n ? file_open(name, &regular) : STDOUT_FILENO;
    struct log_file *f = fd >= 0 ? file_slot(w) : NULL;
    if (!f) {
        if (fd < 0)
            fail(e, STR(""), 0, 0, STR("accessLog.file"), "cannot open %s: %s", name,
                 strerror(errno));
        else
            fail(e, STR(""), 0, 0, STR("accessLog.file"), "at most %d different log files",
                 FILES_MAX);
        if (fd > 2)
            (void)close(fd);
        mem_free(name);
        return NULL;
    }
    if (!w->started)
        w->started = thread_start(&w->thread, "access-log", writer_main, w);
    *f = (struct log_file){ .path = { name, path.n }, .fd = fd, .regular = regular, .users = 1 };
    return f;
}

void log_file_unref(struct log_file *f)
{
    if (f)
        atomic_fetch_sub(&f->users, 1);
}

/* The number stays and what it names is exchanged, so the writer need not stop. */
void log_writer_reopen(struct log_writer *w)
{
    for (size_t i = 0; i < w->n_files; i++) {
        struct log_file *f = &w->files[i];
        bool regular = false;
        if (!f->path.n || !atomic_load(&f->users))
            continue;
        int fd = file_open(f->path.p, &regular);
        if (fd < 0 || regular != f->regular || dup3(fd, f->fd, O_CLOEXEC) < 0)
            LOG_WARN("access log not opened again", LS("file", f->path),
                     LC("why", fd < 0 ? strerror(errno) : "it is another kind of file now"));
        if (fd >= 0)
            (void)close(fd);
    }
}

uint64_t log_writer_dropped(const struct log_writer *w)
{
    uint64_t n = 0;
    LIST_FOR(it, &w->buffers)
    {
        n += atomic_load_explicit(&CONTAINER_OF(it, struct log_buffer, link)->dropped,
                                  memory_order_relaxed);
    }
    return n;
}

/* ---- worker side ---- */
struct log_buffer *log_buffer_new(struct log_writer *w)
{
    struct log_buffer *b = mem_alloc(sizeof(*b));
    if (!b)
        return NULL;
    b->w = w;
    buf_init(&b->line, LINE_MAX_BYTES);
    pthread_mutex_lock(&w->lock);
    list_add_tail(&w->buffers, &b->link);
    pthread_mutex_unlock(&w->lock);
    return b;
}

void log_buffer_free(struct log_buffer *b)
{
    if (!b)
        return;
    (void)write_pending(b->w);
    if (b->filling) {
        write_block(b->w, b->filling);
        mem_free(b->filling);
    }
    mem_free(atomic_exchange(&b->spare, NULL));
    buf_fini(&b->line);
    pthread_mutex_lock(&b->w->lock);
    list_del(&b->link);
    pthread_mutex_unlock(&b->w->lock);
    mem_free(b);
}

static bool hand_over(struct log_buffer *b)
{
    struct log_block *none = NULL;
    if (!atomic_compare_exchange_strong_explicit(&b->slot, &none, b->filling, memory_order_release,
                                                 memory_order_relaxed))
        return false;
    b->filling = NULL;
    sem_post(&b->w->work);
    return true;
}

void log_buffer_turn(struct log_buffer *b)
{
    if (b->filling && b->filling->n)
        (void)hand_over(b);
}

/* Room for one line, or NULL: then the line is dropped. */
static struct log_block *line_room(struct log_buffer *b, struct log_file *f)
{
    if (b->filling && (b->filling->file != f || b->filling->n + LINE_MAX_BYTES > BLOCK_BYTES) &&
        !hand_over(b))
        return NULL;
    if (!b->filling) {
        b->filling = atomic_exchange_explicit(&b->spare, NULL, memory_order_acquire);
        if (!b->filling)
            b->filling = mem_alloc(sizeof(*b->filling));
        if (b->filling) {
            atomic_fetch_add_explicit(&f->blocks, 1, memory_order_relaxed);
            b->filling->file = f;
            b->filling->n = 0;
        }
    }
    return b->filling;
}

/* ---- lines ---- */
static void key(struct buf *b, struct str name)
{
    buf_str(b, STR(",\""));
    buf_str(b, name);
    buf_str(b, STR("\":"));
}

static void text(struct buf *b, struct str name, struct str v)
{
    if (!v.n)
        return;
    key(b, name);
    json_escape(str_sub(v, 0, 1024), b);
}

static void number(struct buf *b, struct str name, uint64_t v)
{
    key(b, name);
    buf_u64(b, v);
}

static void micros(struct buf *b, struct str name, int64_t ns)
{
    number(b, name, ns > 0 ? (uint64_t)(ns / 1000) : 0);
}

static struct buf *begin(struct worker *w, int64_t wall)
{
    char time[32];
    size_t n = clock_format_utc(wall, time);
    struct buf *b = &w->log->line;
    buf_clear(b);
    buf_str(b, STR("{\"time\":\""));
    buf_add(b, time, n);
    buf_char(b, '"');
    return b;
}

static void put(struct worker *w, struct log_file *f)
{
    struct buf *b = &w->log->line;
    buf_str(b, STR("}\n"));
    struct log_block *k = b->failed ? NULL : line_room(w->log, f);
    if (k) {
        memcpy(k->bytes + k->n, b->p, b->n);
        k->n += b->n;
    } else {
        atomic_fetch_add_explicit(&w->log->dropped, 1, memory_order_relaxed);
        telemetry_log_dropped(w);
    }
}

static const char *const side_name[] = { "", "client", "upstream", "gateway" };

static void failure_fields(struct buf *b, const struct exchange *x)
{
    if (x->fail == FAIL_NONE)
        return;
    text(b, STR("failed"), str_from(side_name[x->fail]));
    text(b, STR("why"), str_from(x->fail_why));
    text(b, STR("detail"), x->fail_detail);
}

static bool sampled_out(const struct runtime_listener *rl)
{
    return rl->log_sample < 1000000 && rand_below(1000000) >= rl->log_sample;
}

void access_log_exchange(struct exchange *x)
{
    const struct runtime_listener *rl = x->l->runtime;
    if (sampled_out(rl))
        return;
    int64_t total = loop_now(x->w->loop) - x->t_start;
    struct buf *b = begin(x->w, loop_wall(x->w->loop) - total);
    text(b, STR("request_id"), x->request_id);
    text(b, STR("listener"), x->l->name);
    text(b, STR("client"), exchange_client_text(x));
    text(b, STR("method"), x->req.method_text);
    text(b, STR("host"), x->host.n ? x->host : x->req.authority); /* before a rewrite */
    text(b, STR("path"), x->req.path.n ? x->req.path : x->req.target);
    text(b, STR("protocol"),
         x->req.version == HTTP_2    ? STR("HTTP/2")
         : x->req.version == HTTP_10 ? STR("HTTP/1.0")
                                     : STR("HTTP/1.1"));
    number(b, STR("status"), x->status);
    text(b, STR("route"), exchange_route_name(x));
    text(b, STR("service"), exchange_service_name(x));
    text(b, STR("endpoint"), x->endpoint ? x->endpoint->address : x->last_endpoint);
    number(b, STR("tries"), x->tries);
    micros(b, STR("duration_us"), total);
    micros(b, STR("upstream_us"), x->t_up_total);
    micros(b, STR("gateway_us"), total - x->t_up_total);
    number(b, STR("bytes_in"), x->bytes_in);
    number(b, STR("bytes_out"), x->bytes_out);
    const struct header *trace = headers_find_id(&x->req.headers, HDR_TRACEPARENT);
    if (trace && trace->value_n >= 55)
        text(b, STR("trace_id"), str_sub(header_value(trace), 3, 35));
    text(b, STR("tls"), x->tls_version);
    text(b, STR("sni"), x->sni);
    text(b, STR("client_certificate"), x->peer_subject);
    failure_fields(b, x);
    put(x->w, rl->log);
}

void access_log_raw(struct worker *w, const struct runtime_listener *rl, const struct raw_log *r)
{
    if (!rl->log || sampled_out(rl))
        return;
    struct buf *b = begin(w, r->start_wall);
    text(b, STR("listener"), r->listener);
    text(b, STR("client"), r->client);
    text(b, STR("protocol"), STR("TCP"));
    text(b, STR("route"), r->route);
    text(b, STR("service"), r->service);
    text(b, STR("endpoint"), r->endpoint);
    text(b, STR("sni"), r->sni);
    text(b, STR("tls"), r->tls);
    number(b, STR("tries"), r->tries);
    micros(b, STR("duration_us"), r->duration_ns);
    number(b, STR("bytes_in"), r->bytes_in);
    number(b, STR("bytes_out"), r->bytes_out);
    text(b, STR("failed"), str_from(r->failed));
    text(b, STR("why"), str_from(r->why));
    put(w, rl->log);
}
