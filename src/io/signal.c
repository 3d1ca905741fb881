/* Signals through a signalfd. Main thread. */
#include "io/signal.h"
#include "base/mem.h"
#include <execinfo.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct signals {
    struct watch watch;
    struct loop *loop;
    void (*fn)(void *arg, int signo);
    void *arg;
};

static void watched(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGUSR1);
    sigaddset(set, SIGUSR2);
}

void signals_block(void)
{
    sigset_t set;
    watched(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Where a thread stands when the process ends itself. Looking that up may need the heap, whose lock
 * this thread may hold: the alarm ends a wait for it. */
static void on_abort(int signo)
{
    enum { FRAMES = 64, PATIENCE = 3 };
    static const char title[] = "weir: stack of the thread (addr2line -fe weir ADDRESS):\n";
    void *frames[FRAMES];
    alarm(PATIENCE);
    ssize_t ignored = write(STDERR_FILENO, title, sizeof(title) - 1);
    (void)ignored;
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO);
    (void)raise(signo); /* by default now, which leaves a core */
}

void signals_trace_abort(void)
{
    struct sigaction a = { .sa_handler = on_abort, .sa_flags = (int)SA_RESETHAND };
    sigemptyset(&a.sa_mask);
    (void)sigaction(SIGABRT, &a, NULL);
}

static void on_readable(struct watch *w, uint32_t events)
{
    struct signals *s = CONTAINER_OF(w, struct signals, watch);
    struct signalfd_siginfo info;
    (void)events;
    while (read(w->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        s->fn(s->arg, (int)info.ssi_signo);
}

struct signals *signals_watch(struct loop *l, void (*fn)(void *arg, int signo), void *arg)
{
    sigset_t set;
    watched(&set);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    struct signals *s = fd >= 0 ? mem_alloc(sizeof(*s)) : NULL;
    if (!s) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    s->loop = l;
    s->fn = fn;
    s->arg = arg;
    s->watch.fn = on_readable;
    if (loop_watch(l, &s->watch, fd, EPOLLIN))
        return s;
    close(fd);
    mem_free(s);
    return NULL;
}

void signals_free(struct signals *s)
{
    if (!s)
        return;
    loop_unwatch(s->loop, &s->watch);
    close(s->watch.fd);
    mem_free(s);
}
