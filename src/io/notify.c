/* Tells systemd, or whoever speaks its protocol, how far we are. See notify.h. Not a dependency:
 * the protocol is one datagram. */
#include "io/notify.h"
#include "base/clock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int notify_fd = -1;

void notify_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    size_t n = path ? strlen(path) : 0;
    if (n < 2 || n >= sizeof(a.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(a.sun_path, path, n);
    if (path[0] == '@') /* the abstract name space: a leading NUL, and the length counts */
        a.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&a, len) == 0) {
        notify_fd = fd;
        return;
    }
    if (fd >= 0)
        close(fd);
}

void notify_close(void)
{
    if (notify_fd >= 0)
        close(notify_fd);
    notify_fd = -1;
}

static bool tell(const char *text)
{
    return notify_fd < 0 || send(notify_fd, text, strlen(text), MSG_NOSIGNAL) >= 0;
}

bool notify_ready(const char *status)
{
    char text[512];
    snprintf(text, sizeof(text), "READY=1\nSTATUS=%.400s", status);
    return tell(text);
}

bool notify_reloading(void)
{
    char text[128];
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=Reading the documents.",
             (long long)(clock_mono() / 1000));
    return tell(text);
}

bool notify_stopping(void)
{
    return tell("STOPPING=1\nSTATUS=Letting requests under way finish.");
}
