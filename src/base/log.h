/* Structured log to stderr: JSON lines, or text on a terminal. Any thread; one write(2) a line;
   never on the hot path. LOG_INFO("reloaded", LS("file", path), LI("routes", n)); values are
   escaped, so nothing can be injected. */
#pragma once
#include "base/base.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
struct log_field {
    const char *key;
    enum { LOG_STR, LOG_INT } type;
    struct str s;
    int64_t i;
};
#define LS(k, sv) ((struct log_field){ .key = (k), .type = LOG_STR, .s = (sv) })
#define LC(k, cs) ((struct log_field){ .key = (k), .type = LOG_STR, .s = str_from(cs) })
#define LI(k, iv) ((struct log_field){ .key = (k), .type = LOG_INT, .i = (int64_t)(iv) })
void log_set_level(enum log_level min);
void log_set_format_json(bool json); /* default: text when stderr is a terminal */
void log_write(enum log_level level, const char *msg, const struct log_field *f, size_t n);
#define LOG_AT(lv, m, ...)                                \
    log_write(lv, m, (struct log_field[]){ __VA_ARGS__ }, \
              sizeof((struct log_field[]){ __VA_ARGS__ }) / sizeof(struct log_field))
#define LOG_DEBUG(m, ...) LOG_AT(LOG_LEVEL_DEBUG, m, __VA_ARGS__)
#define LOG_INFO(m, ...)  LOG_AT(LOG_LEVEL_INFO, m, __VA_ARGS__)
#define LOG_WARN(m, ...)  LOG_AT(LOG_LEVEL_WARN, m, __VA_ARGS__)
#define LOG_ERROR(m, ...) LOG_AT(LOG_LEVEL_ERROR, m, __VA_ARGS__)
