/* Documents from files to a world: read, model, compile, and through the wire's bytes, as it would
 * be between processes. Main thread. */
#pragma once
#include "compile/compile.h"
#include "snapshot/world.h"

struct document_source {
    str_list paths;     /* files and folders */
    const char *to;     /* --to URL: a gateway without a file; NULL = none */
    const char *listen; /* its address; NULL = 127.0.0.1:8000 */
};
/* What is wrong with to and listen as they stand on the command line; NULL: nothing. */
const char *documents_to_fault(const struct document_source *s);
struct compiled_documents {
    struct arena arena;
    struct arena text; /* of the file being read */
    struct model model;
    struct compiled compiled;
};
/* False with errors; fini in both cases. */
bool documents_compile(const struct document_source *s, struct compiled_documents *ret,
                       struct errors *e);
void documents_fini(struct compiled_documents *d);
/* A sealed snapshot in memory, counted. Any thread. */
struct sealed;
struct str sealed_view(const struct sealed *s);
void sealed_unref(struct sealed *s); /* NULL is fine */
/* A world from resources, by way of the bytes of a snapshot. NULL with errors. ret_sealed (may be
 * NULL): those bytes, with a reference for the caller. */
struct world *documents_world(const resource_list *r, const struct world *prev,
                              struct sealed **ret_sealed, struct errors *e);
struct world *snapshot_world(const char *path, const struct world *prev, struct errors *e);
/* Prints what was collected, to a terminal with the line and a caret; returns the exit code: 1 when
 * there was a true error. */
int documents_report(const struct errors *e);
