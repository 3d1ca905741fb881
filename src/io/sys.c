/* System calls behind seams for tests. Any thread; the seams are set before
 * threads start. */
#define _GNU_SOURCE /* accept4, memmem */
#include "io/sys.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum sys_call {
    RECV,
    SEND,
    ACCEPT,
    SOCKET,
    CONNECT,
    CLOSE,
    OPEN,
    READ,
    WRITE,
    FSYNC,
    RENAME,
    EPOLL,
    SYS_CALLS
};
static const struct str call_names[SYS_CALLS] = {
    STR_INIT("recv"),    STR_INIT("send"),  STR_INIT("accept"), STR_INIT("socket"),
    STR_INIT("connect"), STR_INIT("close"), STR_INIT("open"),   STR_INIT("read"),
    STR_INIT("write"),   STR_INIT("fsync"), STR_INIT("rename"), STR_INIT("epoll"),
};
static const struct {
    struct str name;
    int value;
} errors[] = {
    { STR_INIT("EIO"), EIO },
    { STR_INIT("EINTR"), EINTR },
    { STR_INIT("EAGAIN"), EAGAIN },
    { STR_INIT("ECONNRESET"), ECONNRESET },
    { STR_INIT("ECONNABORTED"), ECONNABORTED },
    { STR_INIT("EMFILE"), EMFILE },
    { STR_INIT("ENOMEM"), ENOMEM },
    { STR_INIT("ENOBUFS"), ENOBUFS },
    { STR_INIT("ENOSPC"), ENOSPC },
    { STR_INIT("EPIPE"), EPIPE },
    { STR_INIT("EADDRNOTAVAIL"), EADDRNOTAVAIL },
};

static struct {
    _Atomic uint64_t left; /* 0 = off, 1 = the next call of these */
    uint64_t every;        /* 0: once */
    unsigned calls;        /* bits of enum sys_call */
    int error;
} fault = { .calls = (1u << EPOLL) - 1, .error = EIO };
static size_t short_io; /* 0 = off */
static int (*dial)(void);
static const char *spin_on; /* NULL = off */
static bool seams;          /* any seam is on: the only thing a normal call looks at */

static void seams_update(void)
{
    seams = short_io != 0 || dial || spin_on ||
            atomic_load_explicit(&fault.left, memory_order_relaxed) != 0;
}

void sys_fail_nth(uint64_t n)
{
    atomic_store(&fault.left, n);
    seams_update();
}

void sys_short_io(size_t k)
{
    short_io = k;
    seams_update();
}

void sys_dial_with(int (*fn)(void))
{
    dial = fn;
    seams_update();
}

static bool fault_error(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        if (!str_eq(name, errors[i].name))
            continue;
        fault.error = errors[i].value;
        return true;
    }
    return false;
}

static bool fault_calls(struct str names)
{
    fault.calls = 0;
    while (names.n) {
        size_t n = str_find(names, ','), i = 0;
        while (i < SYS_CALLS && !str_eq(str_sub(names, 0, n), call_names[i]))
            i++;
        if (i == SYS_CALLS)
            return false;
        fault.calls |= 1u << i;
        names = str_sub(names, n + 1, names.n);
    }
    return true;
}

bool sys_fault(struct str spec)
{
    uint64_t n;
    struct str count = spec, rest, error, calls;
    bool more = str_cut(spec, ':', &count, &rest), every = str_starts(count, STR("/"));
    if (!str_to_u64(str_sub(count, every, count.n), &n) || n == 0)
        return false;
    if (more) {
        bool named = str_cut(rest, ':', &error, &calls);
        if (!fault_error(named ? error : rest) || (named && !fault_calls(calls)))
            return false;
    }
    fault.every = every ? n : 0;
    sys_fail_nth(n);
    return true;
}

/* Before main, so that a call costs one test of a constant. */
static __attribute__((constructor)) void sys_from_environment(void)
{
    uint64_t v;
    (void)sys_fault(str_from(getenv("WEIR_FAULT_SYS")));
    if (str_to_u64(str_from(getenv("WEIR_SHORT_IO")), &v))
        sys_short_io((size_t)v);
    spin_on = getenv("WEIR_FAULT_SPIN");
    seams_update();
}

static ssize_t spin_or(ssize_t n, const char *p)
{
    if (n > 0 && spin_on && memmem(p, (size_t)n, spin_on, strlen(spin_on)))
        for (;;)
            __asm__ volatile("");
    return n;
}

static inline bool fails(enum sys_call call)
{
    if (LIKELY(!seams))
        return false;
    if (!(fault.calls & 1u << call) || atomic_load_explicit(&fault.left, memory_order_relaxed) == 0)
        return false;
    if (atomic_fetch_sub(&fault.left, 1) != 1)
        return false;
    if (fault.every)
        atomic_store(&fault.left, fault.every);
    errno = fault.error;
    return true;
}

static inline size_t shorten(size_t n)
{
    return UNLIKELY(seams) && short_io && n > short_io ? short_io : n;
}

/* libc's recv and send are cancellation points: in a process with threads each call costs two
   locked instructions. No thread of ours is ever cancelled. */
static ssize_t direct_recv(int fd, void *p, size_t n)
{
#ifdef SYS_recvfrom
    return syscall(SYS_recvfrom, fd, p, n, 0, NULL, NULL);
#else
    return recv(fd, p, n, 0);
#endif
}

static ssize_t direct_send(int fd, const void *p, size_t n)
{
#ifdef SYS_sendto
    return syscall(SYS_sendto, fd, p, n, MSG_NOSIGNAL, NULL, 0);
#else
    return send(fd, p, n, MSG_NOSIGNAL);
#endif
}

ssize_t sys_recv(int fd, void *p, size_t n)
{
    if (fails(RECV))
        return -1;
    ssize_t got = direct_recv(fd, p, shorten(n));
    return LIKELY(!seams) ? got : spin_or(got, p);
}

ssize_t sys_send(int fd, const void *p, size_t n)
{
    return fails(SEND) ? -1 : direct_send(fd, p, shorten(n));
}

ssize_t sys_writev(int fd, const struct iovec *v, int n)
{
    if (n == 1 || (UNLIKELY(seams) && short_io))
        return sys_send(fd, v[0].iov_base, v[0].iov_len);
    struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)n };
    return fails(SEND) ? -1 : sendmsg(fd, &m, MSG_NOSIGNAL);
}

int sys_accept(int fd, union addr *ret_peer)
{
    socklen_t n = sizeof *ret_peer;
    return fails(ACCEPT) ? -1 : accept4(fd, &ret_peer->sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int sys_socket(int family, int type)
{
    if (fails(SOCKET))
        return -1;
    return UNLIKELY(seams) && dial ? dial()
                                   : socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int sys_connect(int fd, const union addr *a)
{
    if (fails(CONNECT))
        return -1;
    return UNLIKELY(seams) && dial ? 0 : connect(fd, &a->sa, addr_len(a));
}

/* An injected failure still closes, as the real call does. */
int sys_close(int fd)
{
    bool injected = fails(CLOSE);
    int error = errno, r = close(fd);
    if (!injected)
        return r;
    errno = error;
    return -1;
}

int sys_epoll_ctl(int epoll, int op, int fd, struct epoll_event *e)
{
    return fails(EPOLL) ? -1 : epoll_ctl(epoll, op, fd, e);
}

int sys_open(const char *path, int flags, unsigned mode)
{
    return fails(OPEN) ? -1 : open(path, flags | O_CLOEXEC, (mode_t)mode);
}

ssize_t sys_read(int fd, void *p, size_t n)
{
    return fails(READ) ? -1 : read(fd, p, shorten(n));
}

ssize_t sys_write(int fd, const void *p, size_t n)
{
    return fails(WRITE) ? -1 : write(fd, p, shorten(n));
}

int sys_fsync(int fd)
{
    return fails(FSYNC) ? -1 : fsync(fd);
}

int sys_rename(const char *from, const char *to)
{
    return fails(RENAME) ? -1 : rename(from, to);
}
