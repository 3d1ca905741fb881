/* Whole files: read with a limit, replace atomically (temporary name, fsync, rename, fsync of the
 * folder). */
#pragma once
#include "base/arena.h"

/* False with errno; EFBIG over max. The bytes are on the arena, NUL after them. */
bool file_read(struct arena *a, const char *path, size_t max, struct str *ret);
/* Standard input to its end. */
bool file_read_stdin(struct arena *a, size_t max, struct str *ret);
bool file_replace(const char *path, struct str bytes, unsigned mode);
/* Regular files in dir ending in .yaml, .yml or .json, sorted by name; full paths. Not recursive.
 */
bool dir_documents(struct arena *a, const char *dir, str_list *ret);
bool path_is_dir(const char *path);
/* Maps read-only; the bytes stay until file_unmap. */
bool file_map(const char *path, struct str *ret);
void file_unmap(struct str s);
