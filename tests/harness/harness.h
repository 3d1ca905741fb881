/* Unit tests: a file tests/unit/foo.c holds one function `void unit_foo(void)` (the listing is the
   registry) that calls CASE("what is promised") and the EXPECT macros. A failed EXPECT prints
   file:line and goes on. */
#pragma once
#include "base/error.h"

void test_case(const char *name);
void test_result(bool ok, const char *file, int line, const char *fmt, ...) PRINTF_LIKE(4, 5);
#define CASE(name)   test_case(name)
#define EXPECT(cond) test_result((cond), __FILE__, __LINE__, "%s", #cond)
#define EXPECT_INT(got, want)                                                               \
    do {                                                                                    \
        long long g_ = (long long)(got), w_ = (long long)(want);                            \
        test_result(g_ == w_, __FILE__, __LINE__, "%s: got %lld, want %lld", #got, g_, w_); \
    } while (0)
#define EXPECT_STR(got, want)                                                                \
    do {                                                                                     \
        struct str g_ = (got), w_ = (want);                                                  \
        test_result(str_eq(g_, w_), __FILE__, __LINE__, "%s: got '%.*s', want '%.*s'", #got, \
                    STR_FMT(g_), STR_FMT(w_));                                               \
    } while (0)
/* All errors, a line each; lives as long as their arena. */
struct str test_errors(const struct errors *e);
