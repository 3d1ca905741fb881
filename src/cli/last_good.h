/* weir up --data DIR: the last configuration that was accepted, kept as a sealed snapshot, so that
 * a restart with bad documents can go on with it (docs/adr/0005). Main thread. */
#pragma once
#include "base/error.h"
#include "snapshot/world.h"

struct last_good;
struct sealed;
/* Makes DIR if it is missing and takes its lock: one process a DIR. NULL with errors. */
struct last_good *last_good_open(const char *dir, struct errors *e);
void last_good_close(struct last_good *l); /* NULL is fine */
/* What the world that was loaded last is made of, until it is accepted or another is offered; takes
 * the reference. NULL: nothing. */
void last_good_offer(struct last_good *l, struct sealed *s);
/* The offered world was accepted: writes it, unless it is what stands there. False with errno. */
bool last_good_save(struct last_good *l);
const char *last_good_path(const struct last_good *l);
/* A world from the copy, as a proxy_load_fn whose arg is the struct last_good. */
struct world *last_good_world(void *l, const struct world *prev, struct errors *e);
