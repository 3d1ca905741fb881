/* Listening sockets. Any thread. */
#include "io/conn.h"
#include "io/sys.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static bool set(int fd, int level, int name)
{
    static const int one = 1;
    return setsockopt(fd, level, name, &one, sizeof one) == 0;
}

int listen_open(const union addr *a, struct listen_opts o, union addr *ret_bound)
{
    int fd = sys_socket(a->sa.sa_family, SOCK_STREAM);
    if (fd < 0)
        return -1;
    bool v6 = a->sa.sa_family == AF_INET6;
    socklen_t n = sizeof *ret_bound;
    bool ok = set(fd, SOL_SOCKET, SO_REUSEADDR) && set(fd, IPPROTO_TCP, TCP_NODELAY) &&
              (!o.reuse_port || set(fd, SOL_SOCKET, SO_REUSEPORT)) &&
              (!v6 || set(fd, IPPROTO_IPV6, IPV6_V6ONLY)) &&
              (!o.transparent ||
               set(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT)) &&
              bind(fd, &a->sa, addr_len(a)) == 0 &&
              listen(fd, o.backlog > 0 ? o.backlog : SOMAXCONN) == 0 &&
              (!ret_bound || getsockname(fd, &ret_bound->sa, &n) == 0);
    if (ok)
        return fd;
    int err = errno;
    sys_close(fd);
    errno = err;
    return -1;
}
