/* Threads with names, and how many CPUs there are for them. Any thread. */
#define _GNU_SOURCE
#include "io/thread.h"
#include "base/mem.h"
#include <sched.h>

struct start {
    void (*fn)(void *arg);
    void *arg;
};

static void *thread_main(void *p)
{
    struct start s = *(struct start *)p;
    mem_free(p);
    s.fn(s.arg);
    return NULL;
}

bool thread_start(struct thread *t, const char *name, void (*fn)(void *arg), void *arg)
{
    struct start *s = mem_alloc(sizeof *s);
    if (!s)
        return false;
    *s = (struct start){ fn, arg };
    if (pthread_create(&t->id, NULL, thread_main, s) != 0) {
        mem_free(s);
        return false;
    }
    pthread_setname_np(t->id, name);
    return true;
}

void thread_join(struct thread *t)
{
    CHECK(pthread_join(t->id, NULL) == 0);
}

unsigned cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? (unsigned)n : 1;
}
