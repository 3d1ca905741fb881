/* The only reader of time. Virtual in tests: clock_set_virtual, then clock_advance. */
#pragma once
#include "base/base.h"
#include <pthread.h>

int64_t clock_mono(void); /* ns, monotonic; arbitrary origin */
int64_t clock_wall(void); /* ns since 1970-01-01 UTC */
void clock_set_virtual(int64_t mono_ns, int64_t wall_ns);
void clock_advance(struct dur d);
void clock_set_real(void);
/* ns of CPU time that the thread has used, always the kernel's word; -1 when it cannot be told. */
int64_t clock_thread(pthread_t thread);
/* "2026-11-23T08:41:24.123456Z" into out (28 bytes incl. NUL); returns its length. */
size_t clock_format_utc(int64_t wall_ns, char out[32]);
/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7), 29 characters and a NUL. */
void clock_format_http(int64_t wall_ns, char out[32]);
