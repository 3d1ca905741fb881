/* JSON: what is accepted, where errors point, and that printing reads back. */
#include "../harness/harness.h"
#include "codec/node.h"

void unit_json(void);

static struct arena a;

static struct node *read(struct str s, struct errors *e)
{
    errors_init(e, &a);
    return json_parse(&a, STR("f"), s, NULL, e);
}

static struct str printed(const struct node *n, unsigned indent)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    json_print(n, indent, &b);
    struct str s = arena_str(&a, buf_view(&b));
    buf_fini(&b);
    return s;
}

/* The first error as text, or what was read. */
static struct str outcome(struct str s)
{
    struct errors e;
    struct node *n = read(s, &e);
    if (n)
        return printed(n, 0);
    CHECK(e.n > 0);
    return arena_fmt(&a, "%u:%u %.*s", e.v[0].line, e.v[0].col, STR_FMT(e.v[0].msg));
}

static void accepts(void)
{
    struct errors e;
    CASE("values of every kind come back as they were");
    EXPECT_STR(outcome(STR(
                   " {\"a\": [1, -0.5e+3, true, false, null, \"x\"], \"b\": {}, \"c\": []}\r\n\t")),
               STR("{\"a\":[1,-0.5e+3,true,false,null,\"x\"],\"b\":{},\"c\":[]}"));
    EXPECT_STR(outcome(STR("0")), STR("0"));
    EXPECT_STR(outcome(STR("\"\"")), STR("\"\""));
    EXPECT_STR(read(STR("123456789012345678901234567890.5"), &e)->text,
               STR("123456789012345678901234567890.5"));

    CASE("escapes and surrogate pairs are decoded");
    EXPECT_STR(
        read(STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83d\\ude00\""), &e)->text,
        STR("\"\\/\b\f\n\r\tA\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
    EXPECT_STR(read(STR("\"a\\u0000b\""), &e)->text, STR("a\0b"));

    CASE("places count lines and characters from 1");
    struct node *n = read(STR("{\n  \"\xC3\xA9\": [1,\n 22]}"), &e);
    EXPECT_INT(n->map.v[0].line, 2);
    EXPECT_INT(n->map.v[0].col, 3);
    EXPECT_INT(n->map.v[0].value->col, 8);
    EXPECT_INT(n->map.v[0].value->list.v[1]->line, 3);
    EXPECT_INT(n->map.v[0].value->list.v[1]->col, 2);
    EXPECT_STR(n->file, STR("f"));
}

static void refuses(void)
{
    static const struct {
        struct str in, want;
    } cases[] = {
        { STR_INIT(""), STR_INIT("1:1 the document ends too early") },
        { STR_INIT("[1,]"), STR_INIT("1:4 want a value") },
        { STR_INIT("[1 2]"), STR_INIT("1:4 want ',' or ']'") },
        { STR_INIT("{\"a\":1,}"), STR_INIT("1:8 want a key in quotes") },
        { STR_INIT("{\"a\" 1}"), STR_INIT("1:6 want ':' after a key") },
        { STR_INIT("{a:1}"), STR_INIT("1:2 want a key in quotes") },
        { STR_INIT("[1] x"), STR_INIT("1:5 want nothing after the document") },
        { STR_INIT("01"), STR_INIT("1:1 not a JSON value: strings stand in double quotes") },
        { STR_INIT("+1"), STR_INIT("1:1 not a JSON value: strings stand in double quotes") },
        { STR_INIT("1."), STR_INIT("1:1 not a JSON value: strings stand in double quotes") },
        { STR_INIT(".5"), STR_INIT("1:1 not a JSON value: strings stand in double quotes") },
        { STR_INIT("1e"), STR_INIT("1:1 not a JSON value: strings stand in double quotes") },
        { STR_INIT("NaN"), STR_INIT("1:1 not a JSON value: strings stand in double quotes") },
        { STR_INIT("'a'"), STR_INIT("1:1 want a value") },
        { STR_INIT("\"a"), STR_INIT("1:3 a string without its closing quote") },
        { STR_INIT("\"a\nb\""),
          STR_INIT("1:3 a control character in a string: write it as an escape") },
        { STR_INIT("\"\\x\""), STR_INIT("1:2 unknown escape in a string: want one of \\\" \\\\ \\/ "
                                        "\\b \\f \\n \\r \\t \\uXXXX") },
        { STR_INIT("\"\\u12g4\""), STR_INIT("1:2 want four hex digits after \\u") },
        { STR_INIT("\"\\ud800x\""), STR_INIT("1:2 a high surrogate without a low one after it") },
        { STR_INIT("\"\\ud800\\u0041\""),
          STR_INIT("1:2 a high surrogate without a low one after it") },
        { STR_INIT("\"\\udc00\""), STR_INIT("1:2 a low surrogate without a high one before it") },
        { STR_INIT("\"\xC3\""), STR_INIT("1:2 invalid UTF-8") },
        { STR_INIT("\"\xC0\x80\""), STR_INIT("1:2 invalid UTF-8") },
        { STR_INIT("\"\xED\xA0\x80\""), STR_INIT("1:2 invalid UTF-8") },
        { STR_INIT("\"\xF4\x90\x80\x80\""), STR_INIT("1:2 invalid UTF-8") },
        { STR_INIT("\xEF\xBB\xBF{}"), STR_INIT("1:1 want a value") },
        { STR_INIT("{\"a\":1,\n\"b\":2,\n\"a\":3}"),
          STR_INIT("3:1 duplicate key 'a', first on line 1") },
    };
    CASE("what RFC 8259 does not allow is refused at its place");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        EXPECT_STR(outcome(cases[i].in), cases[i].want);
}

static void limits(void)
{
    struct errors e;
    struct buf b;
    CASE("a hundred different keys are fine, each repeated one is told");
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 100; i++)
        buf_fmt(&b, "%s\"k%d\":%d", i ? "," : "{", i, i);
    buf_fmt(&b, ",\"k3\":0,\"k98\":0}");
    EXPECT(read(buf_view(&b), &e) == NULL);
    EXPECT_INT(e.n, 2);

    CASE("depth, values and sizes have limits");
    struct node_limits lim = { .depth = 3, .nodes = 10, .scalar_bytes = 5 };
    errors_init(&e, &a);
    EXPECT(json_parse(&a, STR("f"), STR("[[[1]]]"), &lim, &e) != NULL);
    EXPECT(json_parse(&a, STR("f"), STR("[[[[1]]]]"), &lim, &e) == NULL);
    EXPECT_STR(e.v[0].msg, STR("nested too deeply"));
    EXPECT(json_parse(&a, STR("f"), STR("[1,2,3,4,5,6,7,8,9]"), &lim, &e) != NULL);
    EXPECT(json_parse(&a, STR("f"), STR("[1,2,3,4,5,6,7,8,9,10]"), &lim, &e) == NULL);
    EXPECT_STR(e.v[1].msg, STR("more than 10 values in one file"));
    EXPECT(json_parse(&a, STR("f"), STR("\"12345\""), &lim, &e) != NULL);
    EXPECT(json_parse(&a, STR("f"), STR("\"123456\""), &lim, &e) == NULL);
    buf_clear(&b);
    for (int i = 0; i < 100000; i++)
        buf_char(&b, '[');
    EXPECT(read(buf_view(&b), &e) == NULL);
    EXPECT_INT(e.v[0].col, 65);
    buf_fini(&b);
}

void unit_json(void)
{
    struct errors e;
    struct buf b;
    arena_init(&a, 0, 0);
    accepts();
    refuses();
    limits();

    CASE("printing escapes what JSON needs and repairs bad UTF-8");
    buf_init(&b, 1000);
    json_escape(STR("a\"\\\n\x01\x7F\xC3\xA9\xFF\0z"), &b);
    EXPECT_STR(buf_view(&b), STR("\"a\\\"\\\\\\n\\u0001\x7F\xC3\xA9\xEF\xBF\xBD\\u0000z\""));
    buf_fini(&b);

    CASE("indented output keeps the order and closes what it opens");
    EXPECT_STR(printed(read(STR("{\"b\":[1,{}],\"a\":{\"x\":[]}}"), &e), 2),
               STR("{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": {\n    \"x\": []\n  }\n}"));
    arena_fini(&a);
}
