/* Signals as loop events (signalfd), so handlers run as ordinary code. Call signals_block before
 * any thread starts. */
#pragma once
#include "io/loop.h"

void signals_block(void); /* HUP INT TERM USR1 USR2; SIGPIPE ignored */
/* From here on a process that aborts says first where the aborting thread stood. */
void signals_trace_abort(void);
struct signals;
struct signals *signals_watch(struct loop *l, void (*fn)(void *arg, int signo), void *arg);
void signals_free(struct signals *s);
