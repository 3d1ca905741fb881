/* Runs the unit tests. Every file of tests/unit is one forked process, as many at once as there are
   processors, so that a crash, a leak or a virtual clock stays with its file. Counted are cases: a
   case passes when it expected something and all of it held; a file that crashes, hangs or ends
   early adds one failed case.

   Usage: unit [NAME ...]   The last line of output is "N passed, N failed"; 1 is returned when any
   failed. */
#define _GNU_SOURCE /* memfd_create */
#include "harness.h"
#include "base/clock.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define X(u) void unit_##u(void);
#include "unit.gen.h"
#undef X

enum { BOUND_S = 120, NAME_MAX_BYTES = 160 };

/* Shared with the child, so that what it knew survives its crash. */
struct tally {
    unsigned passed, failed;
    unsigned expected, broken; /* in the current case */
    char name[NAME_MAX_BYTES]; /* the current case; "" before the first one */
    bool ended;
};
struct unit {
    const char *name;
    void (*run)(void);
    bool chosen;
    pid_t pid; /* 0 = not running */
    int out;
    int64_t began;
    struct tally *tally;
};

#define X(u) { .name = #u, .run = unit_##u },
static struct unit units[] = {
#include "unit.gen.h"
};
#undef X

static struct unit *self; /* in the child */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void end_case(struct tally *t)
{
    if (t->name[0] && !t->expected) {
        t->broken++;
        printf("tests/unit/%s.c: %s: expects nothing\n", self->name, t->name);
    }
    if (t->broken)
        t->failed++;
    else if (t->expected)
        t->passed++;
    t->expected = t->broken = 0;
}

void test_case(const char *name)
{
    pthread_mutex_lock(&lock);
    end_case(self->tally);
    snprintf(self->tally->name, sizeof self->tally->name, "%s", name);
    pthread_mutex_unlock(&lock);
}

void test_result(bool ok, const char *file, int line, const char *fmt, ...)
{
    pthread_mutex_lock(&lock);
    struct tally *t = self->tally;
    t->expected++;
    if (!ok) {
        t->broken++;
        printf("%s:%d: %s: ", file, line, t->name[0] ? t->name : self->name);
        va_list ap;
        va_start(ap, fmt);
        vprintf(fmt, ap);
        va_end(ap);
        printf("\n");
    }
    pthread_mutex_unlock(&lock);
}

struct str test_errors(const struct errors *e)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < e->n; i++) {
        error_format(&e->v[i], &b);
        buf_char(&b, '\n');
    }
    struct str s = arena_str(e->a, buf_view(&b));
    buf_fini(&b);
    return s;
}

/* Runs in the child; ends through exit() so that the leak check of a sanitizer has its say. */
static _Noreturn void run_child(struct unit *u, const sigset_t *mask)
{
    self = u;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    sigprocmask(SIG_SETMASK, mask, NULL);
    dup2(u->out, STDOUT_FILENO);
    dup2(u->out, STDERR_FILENO);
    setvbuf(stdout, NULL, _IOLBF, 0);
    u->run();
    end_case(u->tally);
    u->tally->ended = true;
    exit(0);
}

static void start(struct unit *u, const sigset_t *mask)
{
    u->out = memfd_create(u->name, MFD_CLOEXEC);
    u->tally =
        mmap(NULL, sizeof *u->tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(u->out >= 0 && u->tally != MAP_FAILED);
    u->began = clock_mono();
    fflush(stdout);
    u->pid = fork();
    CHECK(u->pid >= 0);
    if (u->pid == 0)
        run_child(u, mask);
}

static void copy_output(struct unit *u)
{
    char block[4096];
    lseek(u->out, 0, SEEK_SET);
    for (ssize_t n; (n = read(u->out, block, sizeof block)) > 0;)
        fwrite(block, 1, (size_t)n, stdout);
    close(u->out);
}

static void finish(struct unit *u, int status)
{
    struct tally *t = u->tally;
    copy_output(u);
    kill(-u->pid, SIGKILL); /* what the file may have started */
    u->pid = 0;
    const char *last = t->name[0] ? t->name : "before the first case";
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        printf("tests/unit/%s.c: %s: killed; the bound is %d s\n", u->name, last, BOUND_S);
        t->failed++;
    } else if (WIFSIGNALED(status)) {
        printf("tests/unit/%s.c: %s: %s\n", u->name, last, strsignal(WTERMSIG(status)));
        t->failed++;
    } else if (!t->ended || WEXITSTATUS(status)) {
        printf("tests/unit/%s.c: %s: ended with status %d\n", u->name,
               t->ended ? "after the last case" : last, WEXITSTATUS(status));
        t->failed++;
    } else if (!t->passed && !t->failed) {
        printf("tests/unit/%s.c: holds no case\n", u->name);
        t->failed++;
    }
    printf("%s %-20s %u passed, %u failed\n", t->failed ? "FAIL" : "ok  ", u->name, t->passed,
           t->failed);
    fflush(stdout);
}

/* Ends files over their bound and returns how many ended since the last call. */
static size_t reap(void)
{
    size_t ended = 0;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        struct unit *u = &units[i];
        int status;
        if (!u->pid)
            continue;
        if (clock_mono() - u->began > BOUND_S * NS_PER_S)
            kill(u->pid, SIGKILL);
        if (waitpid(u->pid, &status, WNOHANG) == u->pid) {
            finish(u, status);
            ended++;
        }
    }
    return ended;
}

static void run_chosen(void)
{
    sigset_t child, before;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &before);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t most = cpus > 0 ? (size_t)cpus : 1, running = 0, next = 0;
    while (next < ARRAY_LEN(units) || running) {
        while (next < ARRAY_LEN(units) && running < most) {
            struct unit *u = &units[next++];
            if (u->chosen) {
                start(u, &before);
                running++;
            }
        }
        if (running)
            sigtimedwait(&child, NULL, &(struct timespec){ .tv_sec = 1 });
        running -= reap();
    }
}

static bool choose(int argc, char **argv)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        units[i].chosen = argc < 2;
    for (int a = 1; a < argc; a++) {
        bool found = false;
        for (size_t i = 0; i < ARRAY_LEN(units); i++) {
            if (!strcmp(units[i].name, argv[a]))
                units[i].chosen = found = true;
        }
        if (!found) {
            fprintf(stderr, "no unit test is named '%s'\n", argv[a]);
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    if (!choose(argc, argv))
        return 2;
    run_chosen();
    unsigned passed = 0, failed = 0;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        passed += units[i].tally ? units[i].tally->passed : 0;
        failed += units[i].tally ? units[i].tally->failed : 0;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed ? 1 : 0;
}
