/* Whole files. Blocking; main thread. */
#define _GNU_SOURCE /* memfd_create */
#include "io/file.h"
#include "base/buf.h"
#include "base/mem.h"
#include "io/sys.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool read_all(int fd, struct buf *out)
{
    for (;;) {
        char *to = buf_room(out, 64 * 1024);
        if (!to) {
            errno = out->n + 64 * 1024 > out->max ? EFBIG : ENOMEM;
            return false;
        }
        ssize_t n = sys_read(fd, to, 64 * 1024);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        out->n += (size_t)n;
    }
}

static bool read_descriptor(int fd, struct arena *a, size_t max, struct str *ret)
{
    struct buf b;
    buf_init(&b, max + 64 * 1024);
    bool ok = read_all(fd, &b);
    if (ok && b.n > max) {
        errno = EFBIG;
        ok = false;
    }
    int err = errno;
    if (ok) { /* not arena_str: it may leave by a jump, and the buffer would stay behind */
        *ret = arena_try_str(a, buf_view(&b));
        ok = ret->p != NULL;
        err = ok ? err : ENOMEM;
    }
    buf_fini(&b);
    errno = err;
    return ok;
}

enum at_once { READ_ALL, READ_FAILED, READ_OTHERWISE };

/* A regular file goes to the arena at once; not one that grows meanwhile. */
static enum at_once read_at_once(int fd, struct arena *a, size_t max, struct str *ret)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 || (size_t)st.st_size > max)
        return READ_OTHERWISE;
    size_t size = (size_t)st.st_size, n = 0;
    ssize_t got = 1;
    char *p = arena_try_bytes(a, size + 1);
    if (!p) {
        errno = ENOMEM;
        return READ_FAILED;
    }
    while (got > 0 && n <= size) {
        got = sys_read(fd, p + n, size + 1 - n);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            n += (size_t)got;
    }
    if (got < 0)
        return READ_FAILED;
    if (got > 0)
        return lseek(fd, 0, SEEK_SET) == 0 ? READ_OTHERWISE : READ_FAILED;
    p[n] = '\0';
    *ret = (struct str){ p, n };
    return READ_ALL;
}

bool file_read(struct arena *a, const char *path, size_t max, struct str *ret)
{
    int fd = sys_open(path, O_RDONLY, 0);
    if (fd < 0)
        return false;
    enum at_once r = read_at_once(fd, a, max, ret);
    bool ok = r == READ_ALL || (r == READ_OTHERWISE && read_descriptor(fd, a, max, ret));
    int err = errno;
    (void)sys_close(fd);
    errno = err;
    return ok;
}

bool file_read_stdin(struct arena *a, size_t max, struct str *ret)
{
    return read_descriptor(STDIN_FILENO, a, max, ret);
}

static bool write_all(int fd, struct str s)
{
    while (s.n > 0) {
        ssize_t n = sys_write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        s = str_sub(s, (size_t)n, s.n);
    }
    return true;
}

/* The rename is only safe on disk once the folder is. */
static bool sync_folder(const char *path)
{
    char dir[4096];
    const char *slash = strrchr(path, '/');
    int n = slash ? snprintf(dir, sizeof(dir), "%.*s",
                             (int)(slash - path) ? (int)(slash - path) : 1, path)
                  : snprintf(dir, sizeof(dir), ".");
    if (n < 0 || (size_t)n >= sizeof(dir))
        return false;
    int fd = sys_open(dir, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return false;
    bool ok = sys_fsync(fd) == 0 || errno == EINVAL;
    (void)sys_close(fd);
    return ok;
}

bool file_replace(const char *path, struct str bytes, unsigned mode)
{
    char temp[4096];
    int n = snprintf(temp, sizeof(temp), "%s.%ld.new", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof(temp)) {
        errno = ENAMETOOLONG;
        return false;
    }
    /* Left behind by a process of the same number, or put there by somebody else: never written
     * through. */
    (void)unlink(temp);
    int fd = sys_open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    if (fd < 0)
        return false;
    bool ok = write_all(fd, bytes) && sys_fsync(fd) == 0;
    int err = errno;
    if (sys_close(fd) != 0 && ok) {
        ok = false;
        err = errno;
    }
    if (ok && sys_rename(temp, path) != 0) {
        ok = false;
        err = errno;
    }
    if (!ok) {
        unlink(temp);
        errno = err;
        return false;
    }
    return sync_folder(path);
}

void file_sweep(const char *dir, const char *name)
{
    DIR *d = opendir(dir);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        struct str s = str_from(e->d_name), n = str_from(name);
        uint64_t pid;
        bool fits = s.n > n.n && str_starts(s, n) && s.p[n.n] == '.' && str_ends(s, STR(".new"));
        if (fits && str_to_u64(str_sub(s, n.n + 1, s.n - 4), &pid))
            (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    closedir(d);
}

static bool is_document(struct str name)
{
    return name.n > 0 && name.p[0] != '.' &&
           (str_ends(name, STR(".yaml")) || str_ends(name, STR(".yml")) ||
            str_ends(name, STR(".json")));
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

bool dir_documents(struct arena *a, const char *dir, str_list *ret)
{
    struct buf list; /* of struct str */
    DIR *d = opendir(dir);
    if (!d)
        return false;
    buf_init(&list, 16u << 20);
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        struct str path = arena_fmt(a, "%s/%s", dir, e->d_name);
        if (is_document(str_from(e->d_name)) && stat(path.p, &st) == 0 && S_ISREG(st.st_mode))
            buf_add(&list, &path, sizeof(path));
    }
    closedir(d);
    ret->n = list.n / sizeof(struct str);
    ret->v = ARENA_ARRAY(a, struct str, ret->n ? ret->n : 1);
    if (ret->n)
        memcpy(ret->v, list.p, list.n);
    buf_fini(&list);
    if (ret->n > 1)
        qsort(ret->v, ret->n, sizeof(*ret->v), by_name);
    return true;
}

bool path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool dir_make_private(const char *dir)
{
    struct stat st;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return false;
    if (stat(dir, &st) != 0)
        return false;
    errno = S_ISDIR(st.st_mode) ? EPERM : ENOTDIR;
    return S_ISDIR(st.st_mode) && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int file_lock(const char *path)
{
    int fd = sys_open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    int err = errno;
    (void)sys_close(fd);
    errno = err;
    return -1;
}

void file_unlock(int lock)
{
    (void)sys_close(lock);
}

/* All that from has, to where to stands; *ret_n is how much. EFBIG over max. */
static bool copy_all(int from, int to, size_t max, size_t *ret_n)
{
    char block[64 * 1024];
    *ret_n = 0;
    for (;;) {
        ssize_t n = sys_read(from, block, sizeof(block));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        *ret_n += (size_t)n;
        if (*ret_n > max) {
            errno = EFBIG;
            return false;
        }
        if (!write_all(to, (struct str){ block, (size_t)n }))
            return false;
    }
}

static bool map_copy(int from, size_t max, struct str *ret)
{
    size_t n;
    int copy = memfd_create("weir-file", MFD_CLOEXEC);
    if (copy < 0)
        return false;
    void *p = MAP_FAILED;
    if (copy_all(from, copy, max, &n)) {
        if (n > 0)
            p = mmap(NULL, n, PROT_READ, MAP_SHARED, copy, 0);
        else
            errno = EINVAL;
    }
    int err = errno;
    (void)sys_close(copy);
    errno = err;
    *ret = (struct str){ p, n };
    return p != MAP_FAILED;
}

bool file_map(const char *path, size_t max, struct str *ret)
{
    int fd = sys_open(path, O_RDONLY, 0);
    if (fd < 0)
        return false;
    bool ok = map_copy(fd, max, ret);
    int err = errno;
    (void)sys_close(fd);
    errno = err;
    return ok;
}

void file_map_drop(struct str piece)
{
    (void)madvise((void *)(uintptr_t)piece.p, piece.n, MADV_DONTNEED);
}

void file_unmap(struct str s)
{
    if (s.n)
        munmap((void *)(uintptr_t)s.p, s.n);
}
