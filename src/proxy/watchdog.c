/* Ends the process when a worker spins. A turn that never ends serves nobody and lets no
   configuration in; a supervisor starts again what has ended, and the stack says where it was.
   Measured in the CPU time of one turn: a worker that only lacks a CPU, or sleeps, is left alone.
   Main thread. */
#include "base/clock.h"
#include "base/log.h"
#include "proxy/proxy_priv.h"
#include <signal.h>
#include <stdatomic.h>

static void check(const struct proxy *p, struct worker *w)
{
    uint64_t turn = atomic_load_explicit(&w->turns, memory_order_relaxed);
    int64_t cpu = clock_thread(w->thread.id);
    if (turn != w->watched_turn || cpu < 0) {
        w->watched_turn = turn;
        w->watched_cpu = cpu;
        return;
    }
    if (cpu - w->watched_cpu <= p->conf.watchdog.ns)
        return;
    LOG_ERROR("a worker spins: the process ends", LI("worker", w->id),
              LI("cpu_ms", (cpu - w->watched_cpu) / NS_PER_MS));
    (void)pthread_kill(w->thread.id, SIGABRT);
    thread_join(&w->thread); /* the signal ends the process */
}

void watchdog_tick(struct proxy *p)
{
    if (p->conf.watchdog.ns <= 0)
        return;
    for (unsigned i = 0; i < p->n_workers; i++)
        if (!atomic_load_explicit(&p->workers_ended[i], memory_order_acquire))
            check(p, &p->workers[i]);
}
