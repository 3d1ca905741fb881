/* Threads, and the little synchronisation the slow path needs. */
#pragma once
#include "base/base.h"
#include <pthread.h>

struct thread {
    pthread_t id;
};
bool thread_start(struct thread *t, const char *name, void (*fn)(void *arg),
                  void *arg); /* name at most 15 characters */
void thread_join(struct thread *t);
unsigned cpu_count(void); /* CPUs this process may use */
