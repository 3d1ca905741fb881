/* Errors about what a person wrote: all of them, each with its place. Library folders return, only
 * cli prints. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

struct error {
    struct str file;    /* "" when not from a file */
    uint32_t line, col; /* from 1; 0 = unknown */
    struct str path;    /* spec.rules[0].to[1].service */
    struct str msg;
    bool warning;
};
struct errors {
    struct arena *a; /* owns the texts */
    struct error *v;
    size_t n, cap, max; /* over max (default 100) errors are counted in dropped, not kept */
    size_t dropped;
    size_t warnings; /* how many of v are only warnings */
};
void errors_init(struct errors *e, struct arena *a);
/* Appends; copies every text. Always returns false so that `return fail(...)` reads well. */
bool fail(struct errors *e, struct str file, uint32_t line, uint32_t col, struct str path,
          const char *fmt, ...) PRINTF_LIKE(6, 7);
bool warn(struct errors *e, struct str file, uint32_t line, uint32_t col, struct str path,
          const char *fmt, ...) PRINTF_LIKE(6, 7);
bool errors_any(const struct errors *e); /* true errors, not warnings */
void errors_sort(struct errors *e);      /* by file, line, column */
/* "file:line:col: path: message"; parts that are empty are left out with their colon. */
void error_format(const struct error *e, struct buf *out);
