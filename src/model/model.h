/* Objects: documents read into typed, checked structs with references between them. Pure: files and
   the environment come in through struct model_input. A kind is one file in src/model/kinds that
   exports `const struct kind kind_<file>`; the listing is the registry "kind" (key = kind name,
   schema = its spec, extra = the struct kind), filled by cli/tables.c. */
#pragma once
#include "base/map.h"
#include "schema/schema.h"

struct object;
struct model;
struct model_input {
    /* Bytes of a file named in the document `beside` (its path; "" = working directory). False with
     * a reason in plain words. NULL: no files. */
    bool (*read_file)(void *arg, struct str beside, struct str name, struct arena *a,
                      struct str *ret, const char **ret_why);
    /* Value of ${NAME}; false = not defined. NULL: nothing is defined. */
    bool (*variable)(void *arg, struct str name, struct str *ret);
    void *arg;
};
struct kind {
    const char *name; /* "Gateway" */
    const char *doc;
    const struct schema *spec;
    /* Reads files and checks what one object can know alone. May be NULL. */
    bool (*resolve)(struct object *o, const struct model_input *in, struct arena *a,
                    struct errors *e);
    /* References and what depends on other objects; runs when all objects are read. May be NULL. */
    bool (*check)(const struct object *o, const struct model *m, struct errors *e);
};
struct object {
    const struct kind *kind;
    struct str name;
    struct str id;          /* "Gateway/edge" */
    const struct node *doc; /* the whole document, variables replaced */
    const struct node *spec_node;
    void *spec;   /* struct of kind->spec, see spec.h */
    size_t order; /* position among all documents: "older" in the precedence rules */
};
struct model {
    struct arena *a;
    LIST_OF(struct object) objects; /* in document order */
    struct map by_id;
};
/* Fills m from documents; everything lives on a. All errors in one pass: unknown kind or
   apiVersion, missing name, the same object twice (with the place of the first), schema errors,
   undefined variables, unreadable files, dangling references. False if any. */
bool model_build(struct model *m, struct arena *a, const node_list *docs,
                 const struct model_input *in, struct errors *e);
void model_fini(struct model *m);
const struct object *model_find(const struct model *m, const char *kind,
                                struct str name); /* NULL */
/* Like fail, at a node of the object, e.g. (o, node, "spec.attach[0].gateway", ...). node may be
 * NULL: the document's start. */
bool object_fail(struct errors *e, const struct object *o, const struct node *at, struct str path,
                 const char *fmt, ...) PRINTF_LIKE(5, 6);
