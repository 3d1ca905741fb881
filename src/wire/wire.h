/* The messages between control and proxy, and the snapshot file: the same frames. Documents go
 * through these bytes from the first day, also in one process. */
#pragma once
#include "snapshot/resource.h"

/* A whole snapshot: magic, version, count, index (type, name, offset, length, hash) and payloads
 * 4-aligned, sealed by SHA-256 over all of it. Appends to out. */
bool wire_snapshot_write(const resource_list *r, struct buf *out);
/* Is the seal true? Tells each piece of 1 MiB that was read, so that a mapping can let go of it. */
bool wire_snapshot_sealed(struct str in, void (*read)(void *arg, struct str piece), void *arg);
/* Reads in place: names and bytes point into in, which may be a file mapping. Verifies the seal
 * (when verify) and every bound. Untrusted input. */
bool wire_snapshot_read(struct str in, bool verify, struct arena *a, resource_list *ret,
                        struct errors *e, struct str file);
