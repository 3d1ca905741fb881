/* The last good configuration on disk. See last_good.h. */
#include "cli/last_good.h"
#include "base/mem.h"
#include "cli/documents.h"
#include "io/file.h"
#include <errno.h>
#include <stdio.h>

#define SNAPSHOT "last-good.snapshot"
enum { DATA_PATH_MAX = 4000 };
struct last_good {
    int lock;
    struct sealed *offered;
    uint64_t saved; /* hash of the bytes that were written last; 0 = none yet */
    char snapshot[DATA_PATH_MAX + 32], lock_path[DATA_PATH_MAX + 32];
};

static bool refuse(struct errors *e, const char *dir, const char *what)
{
    return fail(e, STR("--data"), 0, 0, STR(""), "%s: %s", dir, what);
}

static bool open_folder(struct last_good *l, const char *dir, struct errors *e)
{
    if (!dir[0] || strlen(dir) > DATA_PATH_MAX)
        return refuse(e, dir, "want the path of a folder");
    snprintf(l->snapshot, sizeof(l->snapshot), "%s/" SNAPSHOT, dir);
    snprintf(l->lock_path, sizeof(l->lock_path), "%s/lock", dir);
    if (!dir_make_private(dir))
        return refuse(e, dir,
                      errno == EPERM ? "others may write there, and who does chooses what "
                                       "runs: chmod go-w it"
                                     : strerror(errno));
    l->lock = file_lock(l->lock_path);
    if (l->lock < 0)
        return refuse(e, dir,
                      errno == EWOULDBLOCK ? "another weir runs with it; give each its own"
                                           : strerror(errno));
    file_sweep(dir, SNAPSHOT); /* they hold keys, and would fill the disk */
    return true;
}

struct last_good *last_good_open(const char *dir, struct errors *e)
{
    struct last_good *l = NEW(struct last_good);
    l->lock = -1;
    if (open_folder(l, dir, e))
        return l;
    last_good_close(l);
    return NULL;
}

void last_good_close(struct last_good *l)
{
    if (!l)
        return;
    sealed_unref(l->offered);
    if (l->lock >= 0)
        file_unlock(l->lock);
    mem_free(l);
}

void last_good_offer(struct last_good *l, struct sealed *s)
{
    sealed_unref(l->offered);
    l->offered = s;
}

bool last_good_save(struct last_good *l)
{
    if (!l->offered)
        return true;
    struct str bytes = sealed_view(l->offered);
    uint64_t hash = str_hash(bytes) | 1;
    bool ok = hash == l->saved || file_replace(l->snapshot, bytes, 0600); /* it holds keys */
    int err = errno;
    if (ok)
        l->saved = hash;
    last_good_offer(l, NULL);
    errno = err;
    return ok;
}

const char *last_good_path(const struct last_good *l)
{
    return l->snapshot;
}

struct world *last_good_world(void *l, const struct world *prev, struct errors *e)
{
    struct last_good *self = l;
    return snapshot_world(self->snapshot, prev, e);
}
