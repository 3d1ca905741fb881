/* What the parts of the world share: blobs, which several worlds may hold, and the state of a
   build. Internal to snapshot. */
#pragma once
#include "base/map.h"
#include "snapshot/host_index.h"
#include "snapshot/sections_priv.h"
#include <stdatomic.h>

/* A compiled pattern, one for each distinct text. */
struct pattern {
    _Atomic uint32_t refs;
    struct regex *regex;
    struct str text; /* behind the struct */
};
/* A resource made ready once; immutable after that and shared by worlds. */
struct blob {
    _Atomic uint32_t refs;
    uint8_t type;
    uint8_t hash[32];
    struct str name; /* on arena */
    struct arena arena;
    void *value; /* struct listener, cluster, endpoints, policy_set, secret or blob_routes; on arena
                  */
};
struct blob_routes {
    struct route_view view;
    struct pattern **patterns; /* view.h->n_patterns; the first n_patterns are held */
    const struct regex **regexes;
    size_t n_patterns;
};

struct world {
    _Atomic uint32_t refs;
    struct arena arena;
    size_t n_blobs;
    struct blob **blobs;   /* sorted by type and name once all are read */
    struct blob **by_hash; /* the same, sorted by hash */
    listener_list listeners;
    cluster_list clusters;              /* sorted by name */
    LIST_OF(struct policy_set) sets;    /* the first is that of all defaults, then sorted by name */
    LIST_OF(struct host_index *) hosts; /* sorted by attach point */
    size_t n_rules;
    char hash[65];
    void (*on_free)(struct world *w, void *arg);
    void *on_free_arg;
};

struct build {
    struct world *w;
    const struct world_input *in;
    const struct world *prev;
    struct errors *e;
    struct arena scratch; /* trees of documents */
    struct map patterns;  /* text → struct pattern, borrowed from blobs */
    bool ok;
};

/* ---- blob.c ---- */
/* Appends a blob of r to b->w, read and checked; errors go to b. Jumps to the world arena's on_oom.
 */
void blob_read(struct build *b, const struct resource *r);
/* Lends what blob holds to blobs that are read later. False when memory is out. */
bool blob_lend(struct build *b, struct blob *blob);
void blob_unref(struct blob *b);
_Noreturn void build_oom(struct build *b);
/* An error about a resource; always false, and the build has failed. */
bool build_fail(struct build *b, uint8_t type, struct str name, struct str path, const char *fmt,
                ...) PRINTF_LIKE(5, 6);

/* ---- policy_set.c ---- */
struct policy_set *policy_set_read(struct arena *a, const struct node *n, struct errors *e);
void policy_set_defaults(struct policy_set *p);

/* ---- world_link.c ---- */
/* Everything between resources: references, hosts, actions. */
void world_link(struct build *b);
const struct blob *world_blob(const struct world *w, uint8_t type, struct str name); /* NULL */
