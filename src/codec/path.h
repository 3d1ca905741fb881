/* One normalisation of request targets, done before matching; what was matched is what is
 * forwarded. Pure. */
#pragma once
#include "base/base.h"

enum path_result {
    PATH_SAME,    /* already normal: use the input */
    PATH_CHANGED, /* use out */
    PATH_BAD,     /* 400: bad percent-encoding, control or non-ASCII bytes, '#', backslash, %00, dot
                     segments that climb over the root */
};
/* Decodes %XX of unreserved characters, upper-cases the hex of the rest, removes dot segments (also
   encoded ones), keeps %2F and // as they are. Works on the path only; query is checked (no control
   bytes, no '#') and kept. out has cap ≥ target.n. ret_why: static text. */
enum path_result path_normalise(struct str target, char *out, size_t cap, struct str *ret,
                                const char **ret_why);
/* Anything an authorisation rule could be fooled by: %2f %5c ; // in the path. */
bool path_ambiguous(struct str path);
/* First value of key in a query string; both percent-decoded for the comparison, + is a space.
 * False if absent. value is raw. */
bool query_find(struct str query, struct str key, struct str *ret_value);
/* Percent-decodes into out (cap ≥ s.n); false on bad encoding. */
bool percent_decode(struct str s, bool plus_is_space, char *out, size_t *ret_n);

/* Path templates: /users/{id}/files/{rest...}. A {name} takes one non-empty segment; {name...} the
 * rest, last only. */
enum { PATH_MAX_CAPTURES = 8 };
struct path_captures {
    struct str name[PATH_MAX_CAPTURES], value[PATH_MAX_CAPTURES];
    uint8_t n;
};
bool path_template_valid(struct str tmpl, const char **ret_why);
bool path_template_match(struct str tmpl, struct str path, struct path_captures *ret);
/* Replaces {name} in pattern by captures. False if a name is unknown or out is too small. */
bool path_template_fill(struct str pattern, const struct path_captures *c, char *out, size_t cap,
                        size_t *ret_n);
/* Prefix on segment boundaries, Gateway API PathPrefix: /foo matches /foo and /foo/bar, not
 * /foobar; a trailing / of prefix is ignored. */
bool path_prefix_match(struct str prefix, struct str path);
