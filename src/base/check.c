/* The end of a process that found a bug in itself: one line, then abort, so that a core or a trace
 * shows where. */
#include "base/base.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void check_failed(const char *file, int line, const char *expr)
{
    char text[512];
    int n = snprintf(text, sizeof(text), "weir: internal error at %s:%d: %s\n", file, line, expr);
    if (n > 0) {
        size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
        ssize_t ignored = write(STDERR_FILENO, text, len);
        (void)ignored;
    }
    abort();
}
