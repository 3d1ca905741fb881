/* The flat route table of one (attach point, host): built by compile, carried as bytes, used in
   place. One chunk holds at most 1,024 rules; a host's chunks are in total order, so the first
   chunk that matches wins.

   Layout, little endian, offsets from the start, everything 4-aligned and checked once by
   route_table_check: header | rules[n_rules] | paths[n_paths] sorted bytewise | refs | values |
   actions | backends | edits | patterns | strings Rules stand in the total order of the model
   (priority, path exact > longest prefix or template > regex, method, number of headers, number of
   query parameters, older, name), so a smaller index wins. paths[] are the distinct literal
   beginnings (whole path for exact and prefix, the part before the first '{' for templates, "" for
   regex); each has the index of its longest proper prefix among them as parent. All prefixes of a
   request path lie on the parent chain of its bytewise predecessor, so a lookup is one binary
   search and a short walk. */
#pragma once
#include "base/error.h"
#include "schema/schema.h"

enum path_kind { PATH_ANY /* prefix / */, PATH_EXACT, PATH_PREFIX, PATH_TEMPLATE, PATH_REGEX };
enum value_match { MATCH_EXACT, MATCH_PREFIX, MATCH_REGEX, MATCH_PRESENT };
struct value_rule {
    struct str name;
    uint8_t match; /* enum value_match */
    bool invert;
    struct str value;
};
enum action_type { ACTION_FORWARD, ACTION_REDIRECT, ACTION_REPLY };
struct backend_def {
    struct str cluster; /* RES_CLUSTER name */
    struct str policy;  /* RES_POLICY name: the merged set of (rule, service); "" = none */
    uint32_t weight;
};
struct header_edit {
    uint8_t op; /* enum { EDIT_SET, EDIT_ADD, EDIT_REMOVE } */
    bool response;
    struct str name, value;
};
enum { EDIT_SET, EDIT_ADD, EDIT_REMOVE };
struct action_def { /* equal actions of a table are stored once */
    uint8_t type;
    LIST_OF(struct backend_def) backends;
    struct str policy;       /* of redirect and reply, and of a forward with no backends (503) */
    uint16_t status;         /* redirect 301 302 303 307 308; reply */
    struct str scheme, host; /* redirect; "" = as it came. host also for rewrite: the new Host */
    uint16_t port;           /* redirect; 0 = scheme's */
    struct str path;         /* redirect and rewrite: replacement, may hold {captures} */
    bool path_prefix;        /* path replaces the matched prefix only */
    struct str content_type, body; /* reply */
    LIST_OF(struct header_edit) edits;
};
struct rule_def {
    struct str route; /* object name and rule index, for logs and explain: "shop" and 0 */
    uint32_t rule;
    uint8_t path_kind;
    struct str path;
    struct str method; /* "" = any */
    LIST_OF(struct value_rule) headers;
    LIST_OF(struct value_rule) query;
    struct action_def *action;
};
/* Builds the bytes on a; scratch (which may be a) holds what is not needed afterwards. Rules must
   already be in total order, n ≤ 1024. */
struct str route_table_build(struct arena *a, struct arena *scratch, const struct rule_def *v,
                             size_t n);
/* Verifies every offset, order and count, so that readers need no checks. False with the reason.
 * Untrusted bytes. */
bool route_table_check(struct str bytes, const char **ret_why);
size_t route_table_rules(struct str bytes);
