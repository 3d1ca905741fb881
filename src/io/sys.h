/* The one door to the kernel for sockets and files, so that tests can make the nth call fail, make
   every read and write short, or replace the network. Functions behave as the system calls they are
   named after (return -1, errno). */
#pragma once
#include "io/addr.h"
#include <sys/uio.h>

struct epoll_event;
ssize_t sys_recv(int fd, void *p, size_t n);
ssize_t sys_send(int fd, const void *p, size_t n); /* MSG_NOSIGNAL */
ssize_t sys_writev(int fd, const struct iovec *v, int n);
int sys_accept(int fd, union addr *ret_peer); /* non-blocking, close-on-exec */
int sys_socket(int family, int type);         /* the same flags */
int sys_connect(int fd, const union addr *a);
int sys_close(int fd);
int sys_epoll_ctl(int epoll, int op, int fd, struct epoll_event *e); /* of connections */
/* Files: documents, keys, snapshots, logs. Close-on-exec. */
int sys_open(const char *path, int flags, unsigned mode);
ssize_t sys_read(int fd, void *p, size_t n);
ssize_t sys_write(int fd, const void *p, size_t n);
int sys_fsync(int fd);
int sys_rename(const char *from, const char *to);

/* Test seams, also from the environment. WEIR_FAULT_SYS=n[:ERRNO[:call,...]]: the nth of these
   calls fails, once, with EIO if nothing is said. Calls are named as above; send is every way to
   write to a socket, epoll only counts when named. /n instead of n: every nth. WEIR_SHORT_IO=k: no
   read or write moves more than k bytes. A thread that receives the text WEIR_FAULT_SPIN never
   comes back. */
bool sys_fault(struct str spec);
void sys_fail_nth(uint64_t n);
void sys_short_io(size_t k);
/* Sockets come from fn and are connected already; NULL: the kernel's. */
void sys_dial_with(int (*fn)(void));
