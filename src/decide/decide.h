/* Pure decisions over a snapshot: the same code answers the proxy, `explain` and policy tests. No
 * I/O, no clock, no allocation. */
#pragma once
#include "snapshot/world.h"

struct route_match {
    const struct action *action;
    struct str route;        /* name of the Route object */
    uint32_t rule;           /* index of the rule in it */
    struct str host;         /* the route host that matched: "shop.example", "*.example", "*" */
    struct str matched_path; /* the prefix or exact path of the rule, for prefix replacement */
    uint8_t path_kind;
    struct path_captures
        captures; /* filled for templates only: values are slices of the request path */
};
/* First match in the model's total order over all hosts that fit: exact host, then wildcards from
   longest to shortest, then "*". host: without port, lower case. m->path must be normalised.
   captures.n is set only for templates (so that a request costs no zeroing). */
bool decide_route(const struct listener *l, struct str host, const struct http_message *m,
                  struct route_match *ret);
/* Weighted choice; point in [0, total_weight). NULL when there is none. */
const struct backend *decide_backend(const struct action *a, uint32_t point);
/* Is host among the listener's hostnames (empty list: yes)? */
bool decide_host_allowed(const struct listener *l, struct str host);
/* For raw listeners: the action for an SNI name (""), same host order. */
bool decide_raw(const struct listener *l, struct str sni, struct route_match *ret);
/* Builds the path to forward (rewrite or redirect). False: out too small. PATH as it came when the
 * action says nothing. */
bool decide_path(const struct route_match *r, const struct http_message *m, char *out, size_t cap,
                 struct str *ret);
