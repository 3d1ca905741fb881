/* Targets: one normal form, what is refused, what is ambiguous; queries, templates, prefixes. */
#include "codec/path.h"
#include "../harness/harness.h"

static const struct {
    const char *in, *out; /* out NULL: refused */
} target_rows[] = {
    { "/", "/" },
    { "/a/b?c=d", "/a/b?c=d" },
    { "*", "*" },
    { "/a/./b", "/a/b" },
    { "/a/../b", "/b" },
    { "/a/.", "/a/" },
    { "/a/..", "/" },
    { "/a/b/..", "/a/" },
    { "/.", "/" },
    { "/./a", "/a" },
    { "/a/b/../../c", "/c" },
    { "/a/%2e%2E/b", "/b" },
    { "/a/%2e/b", "/a/b" },
    { "/a/.%2e/b?x", "/b?x" },
    { "/.well-known/x", "/.well-known/x" },
    { "/a/...", "/a/..." },
    { "/a/..b", "/a/..b" },
    { "/a/b..", "/a/b.." },
    { "/a/.b/c.d", "/a/.b/c.d" },
    { "/%41%7a%5f", "/Az_" },
    { "/%7e%2d%30", "/~-0" },
    { "/a%2fb", "/a%2Fb" },
    { "/a%2Fb", "/a%2Fb" },
    { "/%c3%a4", "/%C3%A4" },
    { "/%25%32%65", "/%252e" },
    { "/%252e%252e/", "/%252e%252e/" },
    { "/%20%0a", "/%20%0A" },
    { "//a//b", "//a//b" },
    { "/a//./b", "/a//b" },
    { "/a;x=1/b;y", "/a;x=1/b;y" },
    { "/a;../b", "/a;../b" },
    { "/a;b;..;c/d", "/a;b;..;c/d" },
    { "/...;/a", "/...;/a" },
    { "/a%2Fb..%2F...", "/a%2Fb..%2F..." },
    { "/A(b)!$&'*+,=:@[]^|~", "/A(b)!$&'*+,=:@[]^|~" },
    { "/a?", "/a?" },
    { "/a/..?", "/?" },
    { "/a?../%zz/\\{}\"", "/a?../%zz/\\{}\"" },
    { "/..;/a", NULL },
    { "/a/.;x/b", NULL },
    { "/a/%2e%2E;x=1", NULL },
    { "/a/..%3b/b", NULL },
    { "/a/..%2fb", NULL },
    { "/a/..%5cb", NULL },
    { "/a%2F..", NULL },
    { "/a%5C..%5Cb", NULL },
    { "/a;x%2f..%2fb", NULL },
    { "/..", NULL },
    { "/../a", NULL },
    { "/a/../../b", NULL },
    { "/%2e%2e/a", NULL },
    { "/a//../b", NULL },
    { "//..", NULL },
    { "", NULL },
    { "a", NULL },
    { "?x", NULL },
    { "**", NULL },
    { "http://h/", NULL },
    { "/%", NULL },
    { "/%4", NULL },
    { "/%4g", NULL },
    { "/%%34", NULL },
    { "/%00", NULL },
    { "/a\\b", NULL },
    { "/a#b", NULL },
    { "/a?b#c", NULL },
    { "/a b", NULL },
    { "/a?b c", NULL },
    { "/a\x01", NULL },
    { "/a\x7f", NULL },
    { "/\xc3\xa4", NULL },
    { "/a?\xc3\xa4", NULL },
    { "/a?\n", NULL },
    { "/<x>", NULL },
    { "/\"", NULL },
    { "/{x}", NULL },
    { "/`", NULL },
};

static void normalisation(void)
{
    CASE("one normal form, and doing it again changes nothing");
    for (size_t i = 0; i < ARRAY_LEN(target_rows); i++) {
        char out[64], again[64];
        struct str ret, in = str_from(target_rows[i].in);
        const char *why;
        enum path_result r = path_normalise(in, out, sizeof(out), &ret, &why);
        if (!target_rows[i].out) {
            test_result(r == PATH_BAD, __FILE__, __LINE__, "'%s' was accepted", target_rows[i].in);
            EXPECT(why[0] != '\0');
            continue;
        }
        test_result(r != PATH_BAD, __FILE__, __LINE__, "'%s' was refused: %s", target_rows[i].in,
                    why);
        EXPECT_STR(ret, str_from(target_rows[i].out));
        EXPECT_INT(r,
                   strcmp(target_rows[i].in, target_rows[i].out) == 0 ? PATH_SAME : PATH_CHANGED);
        EXPECT(r == PATH_CHANGED || ret.p == in.p);
        EXPECT_INT(path_normalise(ret, again, sizeof(again), &in, &why), PATH_SAME);
    }
    CASE("NUL");
    char out[8];
    struct str ret;
    const char *why;
    EXPECT_INT(path_normalise(STR("/a\0b"), out, sizeof(out), &ret, &why), PATH_BAD);
    EXPECT_INT(path_normalise(STR("/a?\0b"), out, sizeof(out), &ret, &why), PATH_BAD);
}

static void ambiguity(void)
{
    static const char *ambiguous[] = { "/a%2fb", "/a%2Fb", "/a%5cb", "/a%5C",  "/a;b",
                                       "/a%3b",  "//",     "/a//b",  "/..;/a", "/%00" };
    static const char *clear[] = { "/", "/a/b", "/a%20b", "/a%2", "/%25", "/a.b" };
    CASE("what authorisation could be fooled by");
    for (size_t i = 0; i < ARRAY_LEN(ambiguous); i++)
        test_result(path_ambiguous(str_from(ambiguous[i])), __FILE__, __LINE__, "%s", ambiguous[i]);
    for (size_t i = 0; i < ARRAY_LEN(clear); i++)
        test_result(!path_ambiguous(str_from(clear[i])), __FILE__, __LINE__, "%s", clear[i]);
}

static void queries(void)
{
    static const struct {
        const char *query, *key, *value; /* value NULL: absent */
    } rows[] = {
        { "a=1&b=2", "a", "1" },   { "a=1&b=2", "b", "2" }, { "a=1&a=2", "a", "1" },
        { "a=1", "A", NULL },      { "ab=1", "a", NULL },   { "a", "a", "" },
        { "a=", "a", "" },         { "a=b=c", "a", "b=c" }, { "&&a=1&", "a", "1" },
        { "%61=1", "a", "1" },     { "x+y=1", "x y", "1" }, { "x%20y=1", "x y", "1" },
        { "a=%20+", "a", "%20+" }, { "%6=1", "%6", "1" },   { "a%=1", "a%", "1" },
        { "a;b=1", "b", NULL },    { "", "a", NULL },       { "=1", "", "1" },
        { "&", "", NULL },
    };
    CASE("the first value of a key");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str value;
        bool found = query_find(str_from(rows[i].query), str_from(rows[i].key), &value);
        test_result(found == (rows[i].value != NULL), __FILE__, __LINE__, "'%s' in '%s': %d",
                    rows[i].key, rows[i].query, found);
        EXPECT_STR(value, str_from(rows[i].value));
    }
    CASE("percent-decoding");
    char out[16];
    size_t n;
    EXPECT(percent_decode(STR("a%20b+c%00"), true, out, &n));
    EXPECT_STR(((struct str){ out, n }), STR("a b c\0"));
    EXPECT(percent_decode(STR("a+b"), false, out, &n));
    EXPECT_STR(((struct str){ out, n }), STR("a+b"));
    EXPECT(!percent_decode(STR("%4"), false, out, &n));
    EXPECT(!percent_decode(STR("%"), false, out, &n));
    EXPECT(!percent_decode(STR("%x0"), false, out, &n));
}

static void templates(void)
{
    static const struct {
        const char *tmpl;
        bool valid;
    } forms[] = {
        { "/", true },
        { "/users/{id}", true },
        { "/users/{id}/files/{rest...}", true },
        { "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}", true },
        { "/a.b/%20/", true },
        { "", false },
        { "users", false },
        { "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", false },
        { "/{a}/{a}", false },
        { "/{}", false },
        { "/{1a}", false },
        { "/{a b}", false },
        { "/{...}", false },
        { "/{rest...}/x", false },
        { "/{rest...}/", false },
        { "/x{a}", false },
        { "/{a}.json", false },
        { "/{a", false },
        { "/a}", false },
        { "/a b", false },
        { "/a?b", false },
    };
    const char *why;
    CASE("which templates are well-formed");
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        bool ok = path_template_valid(str_from(forms[i].tmpl), &why);
        test_result(ok == forms[i].valid, __FILE__, __LINE__, "'%s': %d %s", forms[i].tmpl, ok,
                    why);
        EXPECT(ok == (why[0] == '\0'));
    }
}

static void matching(void)
{
    static const struct {
        const char *tmpl, *path, *first,
            *second; /* first NULL: no match; "" + second NULL: no captures */
    } rows[] = {
        { "/users/{id}", "/users/7", "7", NULL },
        { "/users/{id}", "/users/", NULL, NULL },
        { "/users/{id}", "/users", NULL, NULL },
        { "/users/{id}", "/users/7/", NULL, NULL },
        { "/users/{id}", "/users/7/8", NULL, NULL },
        { "/users/{id}", "/user/7", NULL, NULL },
        { "/users/{id}/", "/users/7/", "7", NULL },
        { "/users/{id}/files/{rest...}", "/users/7/files/a/b", "7", "a/b" },
        { "/users/{id}/files/{rest...}", "/users/7/files/", "7", "" },
        { "/users/{id}/files/{rest...}", "/users/7/files", NULL, NULL },
        { "/{a}/x", "//x", NULL, NULL },
        { "/{a}", "", NULL, NULL },
        { "/a", "/a", "", NULL },
        { "/", "/", "", NULL },
        { "/", "/a", NULL, NULL },
    };
    CASE("template matching");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct path_captures c;
        bool ok = path_template_match(str_from(rows[i].tmpl), str_from(rows[i].path), &c);
        test_result(ok == (rows[i].first != NULL), __FILE__, __LINE__, "%s ~ %s: %d", rows[i].tmpl,
                    rows[i].path, ok);
        if (!ok || !rows[i].first)
            continue;
        EXPECT_INT(c.n, rows[i].second ? 2 : rows[i].first[0] ? 1 : 0);
        if (c.n > 0)
            EXPECT_STR(c.value[0], str_from(rows[i].first));
        if (c.n > 1)
            EXPECT_STR(c.value[1], str_from(rows[i].second));
    }
    CASE("filling");
    struct path_captures c;
    char out[16];
    size_t n;
    EXPECT(path_template_match(STR("/u/{id}/{rest...}"), STR("/u/7/a/b"), &c));
    EXPECT_STR(c.name[1], STR("rest"));
    EXPECT(path_template_fill(STR("/v/{rest}?id={id}"), &c, out, sizeof(out), &n));
    EXPECT_STR(((struct str){ out, n }), STR("/v/a/b?id=7"));
    EXPECT(path_template_fill(STR("/v/{rest...}"), &c, out, sizeof(out), &n));
    EXPECT_STR(((struct str){ out, n }), STR("/v/a/b"));
    EXPECT(path_template_fill(STR("{id}{id}{id}"), &c, out, 3, &n));
    EXPECT(!path_template_fill(STR("{id}{id}{id}"), &c, out, 2, &n));
    EXPECT(!path_template_fill(STR("/{who}"), &c, out, sizeof(out), &n));
    EXPECT(!path_template_fill(STR("/{id"), &c, out, sizeof(out), &n));
    EXPECT(!path_template_fill(STR("/id}"), &c, out, sizeof(out), &n));
    EXPECT(!path_template_fill(STR("/a-longer-text-than-room"), &c, out, sizeof(out), &n));
}

static void prefixes(void)
{
    static const struct {
        const char *prefix, *path;
        bool want;
    } rows[] = {
        { "/foo", "/foo", true },      { "/foo", "/foo/bar", true },
        { "/foo", "/foo/", true },     { "/foo", "/foobar", false },
        { "/foo/", "/foo", true },     { "/foo/", "/foo/bar", true },
        { "/foo/", "/foobar", false }, { "/", "/", true },
        { "/", "/x", true },           { "", "/x", true },
        { "/foo", "/fo", false },      { "/foo", "/FOO", false },
        { "/", "*", false },
    };
    CASE("prefixes end at segments");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        test_result(path_prefix_match(str_from(rows[i].prefix), str_from(rows[i].path)) ==
                        rows[i].want,
                    __FILE__, __LINE__, "%s ~ %s", rows[i].prefix, rows[i].path);
}

void unit_path(void);
void unit_path(void)
{
    normalisation();
    ambiguity();
    queries();
    templates();
    matching();
    prefixes();
}
