/* System calls behind seams for tests. Any thread; the seams are set before
 * threads start. */
#define _GNU_SOURCE /* accept4, memmem */
#include "io/sys.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static _Atomic uint64_t fail_in; /* 0 = off, 1 = the next call */
static size_t short_io;          /* 0 = off */
static const char *spin_on;      /* NULL = off */
static bool seams;               /* any seam is on: the only thing a normal call looks at */

static void seams_update(void)
{
    seams = short_io != 0 || spin_on || atomic_load_explicit(&fail_in, memory_order_relaxed) != 0;
}

void sys_fail_nth(uint64_t n)
{
    atomic_store(&fail_in, n);
    seams_update();
}

void sys_short_io(size_t k)
{
    short_io = k;
    seams_update();
}

/* Before main, so that a call costs one test of a constant. */
static __attribute__((constructor)) void sys_from_environment(void)
{
    uint64_t v;
    if (str_to_u64(str_from(getenv("WEIR_FAULT_SYS")), &v))
        sys_fail_nth(v);
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

static bool fails(void)
{
    if (LIKELY(!seams) || atomic_load_explicit(&fail_in, memory_order_relaxed) == 0)
        return false;
    if (atomic_fetch_sub(&fail_in, 1) != 1)
        return false;
    errno = EIO;
    return true;
}

static size_t shorten(size_t n)
{
    return UNLIKELY(seams) && short_io && n > short_io ? short_io : n;
}

ssize_t sys_recv(int fd, void *p, size_t n)
{
    if (fails())
        return -1;
    ssize_t got = recv(fd, p, shorten(n), 0);
    return LIKELY(!seams) ? got : spin_or(got, p);
}

ssize_t sys_send(int fd, const void *p, size_t n)
{
    return fails() ? -1 : send(fd, p, shorten(n), MSG_NOSIGNAL);
}

ssize_t sys_writev(int fd, const struct iovec *v, int n)
{
    if (fails())
        return -1;
    if (UNLIKELY(seams) && short_io)
        return send(fd, v[0].iov_base, shorten(v[0].iov_len), MSG_NOSIGNAL);
    struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)n };
    return n == 1 ? send(fd, v[0].iov_base, v[0].iov_len, MSG_NOSIGNAL)
                  : sendmsg(fd, &m, MSG_NOSIGNAL);
}

int sys_accept(int fd, union addr *ret_peer)
{
    socklen_t n = sizeof *ret_peer;
    return fails() ? -1 : accept4(fd, &ret_peer->sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int sys_socket(int family, int type)
{
    return fails() ? -1 : socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int sys_connect(int fd, const union addr *a)
{
    return fails() ? -1 : connect(fd, &a->sa, addr_len(a));
}

/* An injected failure still closes, as the real call does. */
int sys_close(int fd)
{
    bool injected = fails();
    int r = close(fd);
    if (!injected)
        return r;
    errno = EIO;
    return -1;
}

int sys_open(const char *path, int flags, unsigned mode)
{
    return fails() ? -1 : open(path, flags | O_CLOEXEC, (mode_t)mode);
}

ssize_t sys_read(int fd, void *p, size_t n)
{
    return fails() ? -1 : read(fd, p, shorten(n));
}

ssize_t sys_write(int fd, const void *p, size_t n)
{
    return fails() ? -1 : write(fd, p, shorten(n));
}

int sys_fsync(int fd)
{
    return fails() ? -1 : fsync(fd);
}

int sys_rename(const char *from, const char *to)
{
    return fails() ? -1 : rename(from, to);
}
