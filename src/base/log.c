/* One line, one write. Values are escaped for JSON and for the terminal alike, so that no peer
 * writes our log for us. A reader that does not read stops nobody: lines without room are dropped,
 * and the next one says how many. */
#include "base/log.h"
#include "base/buf.h"
#include "base/clock.h"
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum {
    LOG_LINE_MAX = 4096
}; /* PIPE_BUF: what a pipe that can be written takes whole. Longer
      values are cut. */
enum {
    CLOSING = 8,      /* room for what closes the line */
    AFTER_VALUE = 256 /* ... and for the keys and numbers after a value that was cut */
};
static atomic_int min_level = LOG_LEVEL_INFO;
static atomic_int format = -1; /* -1: not chosen, 0 text, 1 JSON */
static const char *const level_name[] = { "debug", "info", "warn", "error" };

struct line {
    char p[LOG_LINE_MAX];
    size_t n;
};

void log_set_level(enum log_level min)
{
    atomic_store(&min_level, (int)min);
}

void log_set_format_json(bool json)
{
    atomic_store(&format, json);
}

static void put(struct line *l, const char *p, size_t n)
{
    size_t left = sizeof(l->p) - CLOSING - l->n;
    if (n > left)
        n = left;
    memcpy(l->p + l->n, p, n);
    l->n += n;
}

static void put_text(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

static void put_escaped(struct line *l, struct str s)
{
    for (size_t i = 0; i < s.n && l->n < sizeof(l->p) - AFTER_VALUE; i++) {
        unsigned char c = (unsigned char)s.p[i];
        char esc[8];
        if (c == '"' || c == '\\') {
            esc[0] = '\\';
            esc[1] = (char)c;
            put(l, esc, 2);
        } else if (c < 0x20 || c >= 0x7f) {
            int n = snprintf(esc, sizeof(esc), "\\u%04x", c);
            put(l, esc, (size_t)n);
        } else {
            put(l, s.p + i, 1);
        }
    }
}

static void put_value(struct line *l, const struct log_field *f, bool json)
{
    if (f->type == LOG_INT) {
        char digits[24];
        int n = snprintf(digits, sizeof(digits), "%lld", (long long)f->i);
        put(l, digits, (size_t)n);
        return;
    }
    bool quote =
        json || f->s.n == 0 || str_find(f->s, ' ') < f->s.n || str_find(f->s, '=') < f->s.n;
    if (quote)
        put_text(l, "\"");
    put_escaped(l, f->s);
    if (quote)
        put_text(l, "\"");
}

/* Only under the lock is what poll said still true for the write: it never waits. */
static void send_line(struct line *l, bool json)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* rank: leaf */
    static unsigned dropped;
    struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
    pthread_mutex_lock(&lock);
    if (poll(&p, 1, 0) > 0) {
        if (dropped) {
            char text[40];
            int n = snprintf(text, sizeof(text), json ? ",\"dropped\":%u" : " dropped=%u", dropped);
            put(l, text, (size_t)n);
        }
        if (json)
            l->p[l->n++] = '}';
        l->p[l->n++] = '\n';
        if (write(STDERR_FILENO, l->p, l->n) > 0)
            dropped = 0;
    } else {
        dropped++;
    }
    pthread_mutex_unlock(&lock);
}

void log_write(enum log_level level, const char *msg, const struct log_field *f, size_t n)
{
    if ((int)level < atomic_load_explicit(&min_level, memory_order_relaxed))
        return;
    int json = atomic_load_explicit(&format, memory_order_relaxed);
    if (json < 0)
        atomic_store(&format, json = !isatty(STDERR_FILENO));
    struct line l = { .n = 0 };
    char time[32];
    put(&l, json ? "{\"time\":\"" : "", json ? 9 : 0);
    put(&l, time, clock_format_utc(clock_wall(), time));
    put_text(&l, json ? "\",\"level\":\"" : " ");
    put_text(&l, level_name[level]);
    put_text(&l, json                                                 ? "\",\"msg\":\""
                 : level == LOG_LEVEL_INFO || level == LOG_LEVEL_WARN ? "  "
                                                                      : " ");
    put_escaped(&l, str_from(msg));
    put_text(&l, json ? "\"" : "");
    for (size_t i = 0; i < n; i++) {
        put_text(&l, json ? ",\"" : " ");
        put_text(&l, f[i].key);
        put_text(&l, json ? "\":" : "=");
        put_value(&l, &f[i], json);
    }
    send_line(&l, json);
}
