/* The lookup in one route table. Shared with tests and fuzzers, which compare it with a plain
 * reading. */
#pragma once
#include "codec/message.h"
#include "snapshot/route_layout.h"

/* Index of the first rule in the table's order that matches, or ROUTE_NONE. */
uint32_t route_find(const struct route_table *t, const struct http_message *m);
/* Does rule r match in method, headers, query and, for templates and patterns, path? Where its
 * literal beginning was found is the caller's business. */
bool route_rule_match(const struct route_table *t, const struct rt_rule *r,
                      const struct http_message *m);
