/* Regular expressions: whole-subject matching, refused patterns with their place, limits that hold.
 */
#include "codec/regex.h"
#include "../harness/harness.h"

static void matches(void)
{
    static const struct {
        const char *pattern, *subject;
        enum regex_result want;
    } rows[] = {
        { "/a.*", "/abc", REGEX_YES },
        { "/a", "/ab", REGEX_NO },
        { "a", "ba", REGEX_NO },
        { "a|ab", "ab", REGEX_YES }, /* the shorter alternative does not win */
        { "^/a$", "/a", REGEX_YES },
        { "/a$", "/a\n", REGEX_NO },
        { "/a.b", "/a\nb", REGEX_YES },
        { "", "", REGEX_YES },
        { "", "a", REGEX_NO },
        { "[0-9]+", "0123", REGEX_YES },
        { "(a)(b)(c)", "abc", REGEX_YES },
        { "(?i)GET", "get", REGEX_YES },
        { "/\xc3.", "/\xc3\xa4", REGEX_YES }, /* bytes, not characters */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char err[128];
        size_t at;
        CASE(rows[i].pattern);
        struct regex *r = regex_new(str_from(rows[i].pattern), err, sizeof(err), &at);
        EXPECT(r != NULL);
        EXPECT_STR(str_from(err), STR(""));
        if (r)
            EXPECT_INT(regex_match(r, str_from(rows[i].subject)), rows[i].want);
        regex_free(r);
    }
}

static void refusals(void)
{
    static const struct {
        const char *pattern;
        size_t at;
    } rows[] = {
        { "a(b", 3 }, { "a[b", 3 }, { "*a", 0 }, { "a)", 1 }, { "a\\Cb", 3 }, { "(*UTF)a", 6 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char err[128] = "";
        size_t at;
        CASE(rows[i].pattern);
        EXPECT(regex_new(str_from(rows[i].pattern), err, sizeof(err), &at) == NULL);
        EXPECT(err[0] != '\0');
        EXPECT_INT(at, rows[i].at);
    }
    CASE("patterns too long or too deep");
    static char long_one[5000], deep[201];
    char err[16];
    size_t at;
    memset(long_one, 'a', sizeof(long_one));
    memset(deep, '(', 100);
    memset(deep + 100, ')', 100);
    EXPECT(regex_new((struct str){ long_one, sizeof(long_one) }, err, sizeof(err), &at) == NULL);
    EXPECT(strlen(err) < sizeof(err) && err[0] != '\0');
    EXPECT(regex_new(str_from(deep), err, sizeof(err), &at) == NULL);
    EXPECT(regex_new(STR("("), NULL, 0, &at) == NULL);
}

static void limits(void)
{
    CASE("a pattern that would run for ever gives up");
    char err[128];
    size_t at;
    struct regex *r = regex_new(STR("(a+)+b?c"), err, sizeof(err), &at);
    EXPECT(r != NULL);
    if (r) {
        EXPECT_INT(
            regex_match(
                r, STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaXc")),
            REGEX_LIMIT);
        EXPECT_INT(regex_match(r, STR("aaabc")), REGEX_YES);
    }
    regex_free(r);
    CASE("... and no pattern can raise the limit");
    r = regex_new(STR("(*LIMIT_MATCH=4000000000)(a+)+b?c"), err, sizeof(err), &at);
    if (r)
        EXPECT_INT(
            regex_match(
                r, STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaXc")),
            REGEX_LIMIT);
    regex_free(r);
    regex_free(NULL);
}

void unit_regex(void);
void unit_regex(void)
{
    matches();
    refusals();
    limits();
}
