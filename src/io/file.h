/* Whole files: read with a limit, replace atomically (temporary name, fsync, rename, fsync of the
 * folder). */
#pragma once
#include "base/arena.h"

/* False with errno; EFBIG over max. The bytes are on the arena, NUL after them. */
bool file_read(struct arena *a, const char *path, size_t max, struct str *ret);
/* Standard input to its end. */
bool file_read_stdin(struct arena *a, size_t max, struct str *ret);
bool file_replace(const char *path, struct str bytes, unsigned mode);
/* Removes what processes that were killed in file_replace left of this file in its folder, which
 * must be the caller's alone. */
void file_sweep(const char *dir, const char *name);
/* Regular files in dir ending in .yaml, .yml or .json, sorted by name; full paths. Not recursive.
 */
bool dir_documents(struct arena *a, const char *dir, str_list *ret);
bool path_is_dir(const char *path);
/* Makes the folder for us alone (0700) if it is missing. False with errno; EPERM when others may
 * write in it. */
bool dir_make_private(const char *dir);
/* Takes the lock of a file, made if missing, for as long as the process or until file_unlock; -1
 * with errno, EWOULDBLOCK when somebody else has it. */
int file_lock(const char *path);
void file_unlock(int lock);
/* Maps a copy of the file, read-only, until file_unmap: what others do to the file meanwhile cannot
 * change the bytes, nor end this process as reading a mapping that was cut short does. False with
 * errno; EINVAL when the file is empty, EFBIG over max. */
bool file_map(const char *path, size_t max, struct str *ret);
/* A piece that begins on a page leaves this process until it is used again. */
void file_map_drop(struct str piece);
void file_unmap(struct str s);
