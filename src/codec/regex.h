/* PCRE2 with JIT, match and heap limits always set, compiled at load only. Immutable after compile;
 * any thread may match with its own scratch. */
#pragma once
#include "base/arena.h"

struct regex;
struct regex *regex_new(struct str pattern, char *err, size_t err_n,
                        size_t *ret_offset); /* NULL with err text */
void regex_free(struct regex *r);
enum regex_result {
    REGEX_NO,
    REGEX_YES,
    REGEX_LIMIT /* gave up: counts as no match, and is reported */
};
/* Anchored at both ends (the whole subject must match). Thread-safe: match data is per thread. */
enum regex_result regex_match(const struct regex *r, struct str subject);
