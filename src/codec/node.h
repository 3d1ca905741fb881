/* A document as a tree in which every node knows its place. YAML and JSON both read into it. Built
   on an arena, then read-only (compile builds new trees with the node_* makers). */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

enum node_type { NODE_NULL, NODE_BOOL, NODE_NUMBER, NODE_STRING, NODE_LIST, NODE_MAP };
struct node;
typedef LIST_OF(struct node *) node_list;
struct node_pair {
    struct str key;
    uint32_t line, col; /* of the key */
    struct node *value;
};
struct node {
    uint8_t type;
    bool plain; /* a YAML plain scalar: may be read as bool, number or null; else always a string */
    bool boolean;
    uint8_t grow; /* node.c only: the array has room for 1 << grow entries; 0 = exact. Copy with
                     node_copy */
    uint32_t line, col; /* from 1; 0 when made by us */
    struct str file;    /* name shown in errors; shared by all nodes of a document */
    struct str
        text; /* NODE_STRING and NODE_NUMBER: the text as written (numbers are kept as text) */
    union {
        node_list list;
        LIST_OF(struct node_pair) map; /* in document order, keys unique */
    };
};
/* Limits of every reader: name, default, reason in node.c. */
struct node_limits {
    size_t depth, nodes, aliases, scalar_bytes;
};
extern const struct node_limits
    NODE_LIMITS_DEFAULT; /* 64, 8 Mi, 0 expansions beyond 1000 nodes, 16 MiB */

const struct node *node_get(const struct node *map,
                            struct str key); /* NULL when absent or not a map */
struct node *node_new(struct arena *a, enum node_type t);
struct node *node_string(struct arena *a, struct str s); /* copies */
struct node *node_int(struct arena *a, int64_t v);
struct node *node_bool(struct arena *a, bool v);
void node_map_set(struct arena *a, struct node *map, struct str key,
                  struct node *value); /* replaces */
void node_list_add(struct arena *a, struct node *list, struct node *value);
bool node_equal(const struct node *a, const struct node *b); /* values only, map order ignored */
struct node *node_copy(struct arena *a, const struct node *n);
/* A deep overlay: maps merge key by key, all else is replaced by top. Either may be NULL. Shares
 * nodes. */
const struct node *node_merge(struct arena *a, const struct node *under, const struct node *top);

/* codec/yaml.c: all documents of a stream. False with errors appended on bad syntax, a duplicate
   key, a limit. JSON is YAML too, but use json_parse for it: it is strict (RFC 8259) and faster.
   text need not outlive the call. */
bool yaml_parse(struct arena *a, struct str file, struct str text, const struct node_limits *lim,
                node_list *ret_docs, struct errors *e);
/* codec/json.c */
struct node *json_parse(struct arena *a, struct str file, struct str text,
                        const struct node_limits *lim, struct errors *e);
/* Compact when indent is 0; keys in tree order. */
void json_print(const struct node *n, unsigned indent, struct buf *out);
void json_escape(struct str s, struct buf *out); /* with the quotes; invalid UTF-8 becomes U+FFFD */
void yaml_print(const struct node *n, struct buf *out);
