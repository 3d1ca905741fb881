/* The descriptor engine: one table of rows drives parse, validation, defaults, print, diff, JSON
   Schema, reference pages and completion. A row's type is computed from the C member, so the two
   cannot disagree.

     struct conf { int64_t requests; struct dur window; uint8_t key; bool dry_run; };
     static const struct field fields[] = {
         FIELD(struct conf, requests, "requests", "Requests allowed per window.", .flags =
   F_REQUIRED, .min = 1, .max = 1000000000), FIELD(struct conf, window, "window", "Length of the
   window.", .def = "1s"), FENUM(struct conf, key, "key", keys, "What is counted.", .def =
   "clientAddress"), FIELD(struct conf, dry_run, "dryRun", "Count, but never refuse."), FEND,
     };
     const struct schema conf_schema = { .name = "rate-limit", .doc = "...", .size = sizeof(struct
   conf), .fields = fields };
*/
#pragma once
#include "base/error.h"
#include "codec/node.h"

enum field_type {
    T_BOOL,
    T_INT,
    T_NUMBER,
    T_DUR,
    T_BYTES,
    T_RATIO,
    T_STR,         /* scalars: from the member's type */
    T_ENUM,        /* uint8_t member, .values */
    T_OBJECT,      /* embedded struct, .sub; absent = all defaults */
    T_OBJECT_PTR,  /* pointer to struct, .sub; NULL when absent */
    T_LIST_STR,    /* str_list */
    T_LIST_INT,    /* int_list */
    T_LIST_OBJECT, /* LIST_OF(struct x), .sub */
    T_MAP_STR,     /* str_map */
    T_MAP_OBJECT,  /* LIST_OF(struct x) whose first member is struct str key, .sub */
    T_SECTIONS, /* const struct node *: a map whose keys name schemas of .registry; kept as a sparse
                   tree */
    T_NODE,     /* const struct node *: any value, kept as it is */
};
enum field_flags {
    F_REQUIRED = 1 << 0,
    F_SECRET = 1 << 1,    /* never printed, "<redacted>" in its place */
    F_IMMUTABLE = 1 << 2, /* a later write may not change it */
    F_REF = 1 << 3,       /* names another object: .ref is its kind */
    F_EXPERIMENTAL = 1 << 4,
    F_INLINE = 1 << 5, /* T_OBJECT: its fields stand in the parent's map */
    F_STR_SHORT =
        1
        << 6, /* list of objects: an item may be a plain string, read into the sub's first field */
    F_KEY_NOCASE = 1 << 7, /* map: its keys are header fields, whose case means nothing; values of
                              those that carry credentials are never printed */
};
enum field_format {
    FMT_ANY,
    FMT_NAME,     /* a DNS label list: object names, listener names */
    FMT_HOST,     /* exact or *.wildcard host name */
    FMT_ADDRESS,  /* ip:port, [v6]:port; port may be 0 */
    FMT_ENDPOINT, /* address or dns-name:port */
    FMT_PATH,     /* begins with / */
    FMT_TEMPLATE, /* /users/{id}/orders */
    FMT_REGEX,
    FMT_HEADER, /* an HTTP field name */
    FMT_HEADER_VALUE,
    FMT_METHOD,
    FMT_URL,
    FMT_CIDR,
    FMT_FILE,
};
struct enum_value {
    const char *name; /* NULL ends the table */
    int value;
    const char *doc;
};
typedef LIST_OF(int64_t) int_list;
struct schema;
struct field {
    const char *name; /* camelCase */
    const char *doc;  /* one sentence, ends with a full stop */
    const char *def;  /* default as the text a user would write; NULL = zero value */
    const char *example;
    uint8_t type; /* enum field_type, from FIELD's _Generic */
    uint8_t format;
    uint16_t flags;
    uint32_t offset, size;
    int64_t min, max; /* numbers: range; dur ns; bytes; ratio ppm; strings: length; lists and maps:
                         count. Both 0 = none */
    const struct enum_value *values;
    const struct schema *sub;
    const char *ref;
    const char *registry;
};
struct schema {
    const char *name;
    const char *doc;
    size_t size;
    const struct field *fields;
    bool one_of; /* exactly one of the fields must be given */
    /* Cross-field rules, after a clean parse of this object. */
    bool (*check)(const void *obj, const struct node *at, struct str path, struct errors *e);
};
#define FTYPE(T, m)                  \
    _Generic(((T *)0)->m, bool       \
             : T_BOOL, int64_t       \
             : T_INT, double         \
             : T_NUMBER, struct dur  \
             : T_DUR, struct bytes   \
             : T_BYTES, struct ratio \
             : T_RATIO, struct str   \
             : T_STR, str_list       \
             : T_LIST_STR, int_list  \
             : T_LIST_INT, str_map   \
             : T_MAP_STR)
#define FROW(T, m, n, d, t, ...)                                        \
    {                                                                   \
        .name = (n), .doc = (d), .type = (t), .offset = offsetof(T, m), \
        .size = sizeof(((T *)0)->m), __VA_ARGS__                        \
    }
#define FIELD(T, m, n, d, ...) FROW(T, m, n, d, FTYPE(T, m), __VA_ARGS__)
#define FENUM(T, m, n, vals, d, ...) \
    FROW(T, m, n, d, _Generic(((T *)0)->m, uint8_t : T_ENUM), .values = (vals), __VA_ARGS__)
#define FOBJ(T, m, n, s, d, ...) FROW(T, m, n, d, T_OBJECT, .sub = (s), __VA_ARGS__)
#define FPTR(T, m, n, s, d, ...) \
    FROW(T, m, n, d, T_OBJECT_PTR + 0 * sizeof(*((T *)0)->m), .sub = (s), __VA_ARGS__)
#define FLIST(T, m, n, s, d, ...) \
    FROW(T, m, n, d, T_LIST_OBJECT + 0 * sizeof(*((T *)0)->m.v), .sub = (s), __VA_ARGS__)
#define FMAP(T, m, n, s, d, ...) \
    FROW(T, m, n, d, T_MAP_OBJECT + 0 * sizeof(((T *)0)->m.v->key), .sub = (s), __VA_ARGS__)
#define FSECTIONS(T, m, n, reg, d, ...) \
    FROW(T, m, n, d, _Generic(((T *)0)->m, const struct node *: T_SECTIONS), .registry = (reg), __VA_ARGS__)
#define FNODE(T, m, n, d, ...) \
    FROW(T, m, n, d, _Generic(((T *)0)->m, const struct node * : T_NODE), __VA_ARGS__)
#define FEND         \
    {                \
        .name = NULL \
    }

/* ---- parse.c ---- Fills out (s->size bytes, zeroed here) from n: defaults, ranges, formats,
   unknown and missing fields, check. n may be NULL (all defaults). Every error in one pass; strings
   are copied to a. path is the path of n itself ("" or "spec"). False if any error was added. */
bool schema_parse(const struct schema *s, const struct node *n, struct arena *a, void *out,
                  struct str path, struct errors *e);
/* The same checks without an object: for sections that stay sparse (no REQUIRED check when partial
 * is set). */
bool schema_validate(const struct schema *s, const struct node *n, bool partial, struct str path,
                     struct errors *e);
bool format_check(enum field_format f, struct str s,
                  const char **ret_want); /* ret_want: "a host name like ..." */

/* ---- print.c ---- struct → tree; fields equal to their default are left out unless all; secrets
 * redacted unless secrets. */
struct schema_print_opts {
    bool all, secrets;
};
struct node *schema_print(const struct schema *s, const void *obj, struct schema_print_opts o,
                          struct arena *a);
/* Redacts secrets in a sparse tree, for showing documents. */
struct node *schema_redact(const struct schema *s, const struct node *n, struct arena *a);

/* ---- diff.c ---- one line a changed field: "spec.rules[0].weight: 1 -> 2"; secrets never shown.
 */
void schema_diff(const struct schema *s, const struct node *before, const struct node *after,
                 struct str path, struct buf *out);

/* ---- emit.c / emit_md.c / paths.c ---- */
struct node *schema_json_schema(const struct schema *s, struct arena *a); /* draft 2020-12 */
/* The definitions of n schemas for one document's $defs; ret_refs[i] is a $ref to v[i]. */
struct node *schema_json_defs(const struct schema *const *v, size_t n, struct arena *a,
                              struct node **ret_refs);
void schema_markdown(const struct schema *s, unsigned heading, struct buf *out);
/* Paths that can follow prefix, one a line: "spec.rules[].match[].path.prefix". */
void schema_paths(const struct schema *s, struct str prefix, struct buf *out);

/* ---- lint.c ---- undocumented fields, overlapping members, defaults that do not parse. Unit test
 * and debug start. */
bool schema_lint(const struct schema *s, struct buf *out);

/* ---- registry.c ---- named sets of schemas ("policy": timeout, retry, rateLimit, ...). Filled at
   start by cli/tables.c, read-only afterwards. key is the key in documents (camelCase). extra
   travels with the row. */
struct registry_row {
    const char *key;
    const struct schema *schema;
    const void *extra;
};
void registry_add(const char *registry, const char *key, const struct schema *schema,
                  const void *extra);
const struct registry_row *registry_find(const char *registry, struct str key);
const struct registry_row *registry_rows(const char *registry, size_t *ret_n); /* sorted by key */
