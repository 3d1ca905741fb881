/* What the YAML and JSON readers share: making nodes under limits, and turning the children seen so
   far into lists and maps with unique keys. Internal to codec. */
#pragma once
#include "codec/node.h"

enum { TREE_KEY_CACHE = 64 };
struct tree {
    struct arena *a;
    struct str file;
    struct node_limits lim;
    struct errors *e;
    struct node_pair
        *v; /* children of all open containers, innermost last; a scratch stack on the heap */
    size_t n, cap;
    size_t nodes; /* made so far; what an alias repeats counts again */
    bool failed;  /* an error was added that did not stop the reader */
    struct str keys[TREE_KEY_CACHE];
};
void tree_init(struct tree *t, struct arena *a, struct str file, const struct node_limits *lim,
               struct errors *e);
void tree_fini(struct tree *t);
/* Calls fn(arg); false when the arena was out of memory on the way. The caller then cleans up and
 * calls tree_oom. */
bool tree_run(struct tree *t, void (*fn)(void *arg), void *arg);
/* Goes where the arena's owner wanted (on_oom), else adds an error. */
void tree_oom(struct tree *t);
/* NULL with an error over the limit of nodes. */
struct node *tree_node(struct tree *t, enum node_type type, uint32_t line, uint32_t col);
/* A copy on the arena, a NUL after it. */
struct str tree_copy(struct tree *t, const char *p, size_t n);
/* The same for keys: a key seen lately is not copied again. */
struct str tree_key(struct tree *t, const char *p, size_t n);
/* Appends a child of the innermost open container; false with an error when memory is out. */
bool tree_push(struct tree *t, struct node_pair child);
/* The children from base on become n's; duplicate keys are errors, and the first one stays. */
void tree_close(struct tree *t, struct node *n, size_t base);
/* RFC 8259 number grammar over the whole text. */
bool tree_is_number(const char *p, size_t n);
/* Length of the well-formed UTF-8 sequence at p (RFC 3629), 0 when it is malformed. p < end. */
size_t tree_utf8(const char *p, const char *end);
