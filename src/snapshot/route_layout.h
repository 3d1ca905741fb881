/* The bytes of a route table as structs, and the table as readers hold it. Shared by the builder,
   the checker, the world and decide; after route_table_check every offset and index here is good.
   Little endian only. */
#pragma once
#include "codec/regex.h"
#include "snapshot/route_table.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "route tables are used in place");

enum { ROUTE_MAGIC = 0x31545257 /* "WRT1" */, ROUTE_MAX_RULES = 1024, ROUTE_NONE = 0xffff };

/* A string reference is an offset from the start to a u32 length and the bytes, padded to 4; 0 =
 * "". */
struct rt_header {
    uint32_t magic, size; /* of all of it */
    uint32_t n_rules, n_paths, n_values, n_actions, n_backends, n_edits, n_patterns;
    uint32_t reserved;
};
struct rt_rule {
    uint32_t route; /* string */
    uint32_t rule;
    uint32_t path;   /* exact, prefix: index in paths; template: string; regex: index in patterns;
                        any: 0 */
    uint32_t method; /* string, 0 = any */
    uint32_t values; /* first of its header rules, which its query rules follow */
    uint16_t n_headers, n_query;
    uint16_t action;
    uint8_t path_kind;
    uint8_t reserved;
};
struct rt_path {
    uint32_t at, n;         /* the bytes themselves, no length before them is needed */
    uint16_t parent;        /* ROUTE_NONE: none */
    uint16_t first, n_refs; /* its rules: refs[first..], ascending */
    uint16_t reserved;
};
struct rt_value {
    uint32_t name;
    uint32_t value; /* string, or index in patterns */
    uint8_t match, invert;
    uint16_t reserved;
};
struct rt_action {
    uint8_t type, path_prefix;
    uint16_t status, port, reserved;
    uint32_t policy, scheme, host, path, content_type, body; /* strings */
    uint32_t backends, n_backends, edits, n_edits;
};
struct rt_backend {
    uint32_t cluster, policy, weight;
};
struct rt_edit {
    uint8_t op, response;
    uint16_t reserved;
    uint32_t name, value;
};

/* Where the arrays stand. refs: n_rules u16, padded to 4. */
struct route_view {
    const char *base;
    const struct rt_header *h;
    const struct rt_rule *rules;
    const struct rt_path *paths;
    const uint16_t *refs;
    const struct rt_value *values;
    const struct rt_action *actions;
    const struct rt_backend *backends;
    const struct rt_edit *edits;
    const uint32_t *patterns; /* strings, ascending */
    size_t strings;           /* where they begin */
};
/* False when the arrays do not fit into bytes. Checks nothing else. */
bool route_view(struct str bytes, struct route_view *ret);

static inline struct str route_str(const char *base, uint32_t at)
{
    uint32_t n;
    if (at == 0)
        return STR("");
    memcpy(&n, base + at, sizeof(n));
    return (struct str){ base + at + 4, n };
}
static inline struct str route_path_str(const struct route_view *v, const struct rt_path *p)
{
    return (struct str){ v->base + p->at, p->n };
}

struct action;
/* A table ready for use. */
struct route_table {
    struct route_view view;
    const struct regex *const *patterns; /* compiled, n_patterns */
    const struct action *actions; /* resolved, n_actions; NULL for a table outside of a world */
};
