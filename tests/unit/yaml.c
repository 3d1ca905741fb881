/* YAML: scalars, places, limits, what is refused, and that printing reads back. */
#include "../harness/harness.h"
#include "codec/node.h"

void unit_yaml(void);

static struct arena a;

static struct str json(const struct node *n)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    json_print(n, 0, &b);
    struct str s = arena_str(&a, buf_view(&b));
    buf_fini(&b);
    return s;
}

/* All documents as JSON with ';' between, or all errors. */
static struct str outcome_lim(struct str s, const struct node_limits *lim)
{
    struct errors e;
    node_list docs;
    struct str out = STR("");
    errors_init(&e, &a);
    bool ok = yaml_parse(&a, STR("f"), s, lim, &docs, &e);
    CHECK(ok == !errors_any(&e));
    CHECK(ok || docs.n == 0);
    for (size_t i = 0; i < docs.n; i++)
        out = arena_fmt(&a, "%.*s%s%.*s", STR_FMT(out), i ? ";" : "", STR_FMT(json(docs.v[i])));
    for (size_t i = 0; i < e.n; i++)
        out = arena_fmt(&a, "%.*s%s%u:%u %.*s", STR_FMT(out), i ? "; " : "", e.v[i].line,
                        e.v[i].col, STR_FMT(e.v[i].msg));
    return out;
}

static struct str outcome(struct str s)
{
    return outcome_lim(s, NULL);
}

static const struct node *read(struct str s)
{
    struct errors e;
    node_list docs;
    errors_init(&e, &a);
    CHECK(yaml_parse(&a, STR("f"), s, NULL, &docs, &e) && docs.n == 1);
    return docs.v[0];
}

static void scalars(void)
{
    CASE("only true, false and null are words, only JSON's numbers are numbers");
    EXPECT_STR(
        outcome(STR("[true, false, null, yes, no, on, off, True, NULL, ~, y]")),
        STR("[true,false,null,\"yes\",\"no\",\"on\",\"off\",\"True\",\"NULL\",\"~\",\"y\"]"));
    EXPECT_STR(outcome(STR("[0, -1, 1.10, 1e5, 007, 0x1F, 1_000, .5, 1., +1, 1.2.3, 10:30, -]")),
               STR("[0,-1,1.10,1e5,\"007\",\"0x1F\",\"1_000\",\".5\",\"1.\",\"+1\",\"1.2.3\",\"10:"
                   "30\",\"-\"]"));
    EXPECT_STR(outcome(STR("a:\nb: ''\nc: \"503\"\nd: 503\n")),
               STR("{\"a\":null,\"b\":\"\",\"c\":\"503\",\"d\":503}"));

    CASE("quoted, folded and literal scalars");
    EXPECT_STR(
        outcome(STR("a: 'it''s'\nb: \"x\\ty\\u00e9\"\nc: |\n  one\n  two\nd: >-\n  one\n  two\n")),
        STR("{\"a\":\"it's\",\"b\":\"x\\ty\xC3\xA9\",\"c\":\"one\\ntwo\\n\",\"d\":\"one two\"}"));

    CASE("core tags are honoured when the value fits");
    EXPECT_STR(
        outcome(STR(
            "[!!str 5, !!int 5, !!bool \"true\", !!null null, !!float 1.5, !!seq [], !!map {}]")),
        STR("[\"5\",5,true,null,1.5,[],{}]"));
    EXPECT_STR(outcome(STR("a: !!int x")),
               STR("1:4 tag 'tag:yaml.org,2002:int' is not supported or does not fit its value"));
    EXPECT_STR(outcome(STR("a: !thing x")),
               STR("1:4 tag '!thing' is not supported or does not fit its value"));
    EXPECT_STR(outcome(STR("a: !!set {b: }")),
               STR("1:4 tag 'tag:yaml.org,2002:set' is not supported or does not fit its value"));

    CASE("a plain scalar says so");
    const struct node *n = read(STR("[503, '503', x]"));
    EXPECT(n->list.v[0]->plain && n->list.v[0]->type == NODE_NUMBER);
    EXPECT(!n->list.v[1]->plain && n->list.v[1]->type == NODE_STRING);
    EXPECT(n->list.v[2]->plain && n->list.v[2]->type == NODE_STRING);
}

static void streams(void)
{
    CASE("a stream has any number of documents, empty ones are left out");
    EXPECT_STR(outcome(STR("a: 1\n---\nb: 2\n---\n[]\n...\n")), STR("{\"a\":1};{\"b\":2};[]"));
    EXPECT_STR(outcome(STR("---\na: 1\n---\n---\n# nothing\n")), STR("{\"a\":1}"));
    EXPECT_STR(outcome(STR("")), STR(""));
    EXPECT_STR(outcome(STR("# only this\n")), STR(""));
    EXPECT_STR(outcome(STR("--- null\n")), STR("null"));
    EXPECT_STR(outcome(STR("\xEF\xBB\xBF"
                           "a: 1\r\nb: 2\r\n")),
               STR("{\"a\":1,\"b\":2}"));

    CASE("places are those of keys and of values");
    const struct node *n = read(STR("# c\nspec:\n  \xC3\xA9: [1, x]\n  rules:\n    - a: {b: 1}\n"));
    const struct node *spec = node_get(n, STR("spec"));
    EXPECT_INT(n->map.v[0].line, 2);
    EXPECT_INT(n->map.v[0].col, 1);
    EXPECT_INT(spec->line, 3);
    EXPECT_INT(spec->col, 3);
    EXPECT_INT(spec->map.v[0].value->col, 6);
    EXPECT_INT(spec->map.v[0].value->list.v[1]->col, 10);
    const struct node *item = spec->map.v[1].value->list.v[0];
    EXPECT_INT(item->line, 5);
    EXPECT_INT(item->col, 7);
    EXPECT_INT(item->map.v[0].value->map.v[0].col, 11);
    EXPECT_INT(item->map.v[0].value->map.v[0].value->col, 14);
}

static void refusals(void)
{
    CASE("duplicate keys are all told, with the line of the first");
    EXPECT_STR(
        outcome(STR("a: 1\nb: {c: 1, c: 2}\na: 3\n")),
        STR("2:11 duplicate key 'c', first on line 2; 3:1 duplicate key 'a', first on line 1"));

    CASE("keys are plain text");
    EXPECT_STR(outcome(STR("{[a]: 1}")), STR("1:2 a key must be plain text, not a list or a map"));
    EXPECT_STR(outcome(STR("&x a: 1\n")), STR("1:1 anchors and tags on keys are not supported"));
    EXPECT_STR(outcome(STR("a: &x 1\n*x : 2\n")), STR("2:1 an alias cannot be a key"));
    EXPECT_STR(outcome(STR("a: &x {b: 1}\nc:\n  <<: *x\n")),
               STR("3:3 merge keys (<<) are not supported: write the fields out, or alias the "
                   "whole value"));

    EXPECT_STR(outcome(STR("?\n: 1\n")), STR("1:2 a key is missing before ':'"));

    CASE("bad syntax is told at its place");
    EXPECT_STR(outcome(STR("a: b: c\n")),
               STR("1:5 mapping values are not allowed in this context"));
    EXPECT_STR(
        outcome(STR("a:\n  - x\n b: 1\n")),
        STR("3:2 did not find expected key (while parsing a block mapping that begins on line 1)"));
    EXPECT_STR(outcome(STR("a: 1\nb: \"\xC3(\"\n")), STR("2:6 invalid trailing UTF-8 octet"));
    EXPECT_STR(outcome(STR("a: 1\nb: \x01\n")), STR("2:4 control characters are not allowed"));
    EXPECT_STR(outcome(STR("a: @x\n")), STR("1:4 found character that cannot start any token; a "
                                            "value that begins with @, ` or % needs quotes"));
}

static void aliases(void)
{
    CASE("an alias repeats its value");
    EXPECT_STR(outcome(STR("a: &x {b: [1, 2]}\nc: *x\nd: [*x]\n")),
               STR("{\"a\":{\"b\":[1,2]},\"c\":{\"b\":[1,2]},\"d\":[{\"b\":[1,2]}]}"));
    EXPECT_STR(outcome(STR("- &x 1\n- &x 2\n- *x\n")), STR("[1,2,2]"));

    CASE("an alias must follow its anchor in the same document");
    EXPECT_STR(outcome(STR("a: *x\n")),
               STR("1:4 no anchor of this name stands before it in the document"));
    EXPECT_STR(outcome(STR("a: &x 1\n---\nb: *x\n")),
               STR("3:4 no anchor of this name stands before it in the document"));
    EXPECT_STR(outcome(STR("a: &x [*x]\n")), STR("1:8 an alias inside the value that it names"));

    CASE("aliases cannot make a small file large or deep");
    EXPECT_STR(
        outcome(STR("a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
                    "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n")),
        STR("4:8 aliases repeat more than 1000 values"));
    struct node_limits lim = NODE_LIMITS_DEFAULT;
    lim.depth = 4;
    EXPECT_STR(outcome_lim(STR("a: &a [[1]]\nb: [*a]\n"), &lim),
               STR("{\"a\":[[1]],\"b\":[[[1]]]}"));
    EXPECT_STR(outcome_lim(STR("a: &a [[1]]\nb: [[*a]]\n"), &lim), STR("2:6 nested too deeply"));
}

static void limits(void)
{
    struct node_limits lim = { .depth = 3, .nodes = 10, .aliases = 1, .scalar_bytes = 5 };
    struct buf b;
    CASE("depth, values and sizes have limits");
    EXPECT_STR(outcome_lim(STR("[[[1]]]"), &lim), STR("[[[1]]]"));
    EXPECT_STR(outcome_lim(STR("[[[[1]]]]"), &lim), STR("1:4 nested too deeply"));
    EXPECT_STR(outcome_lim(STR("[1,2,3,4,5,6,7,8,9,10]"), &lim),
               STR("1:20 more than 10 values in one file"));
    EXPECT_STR(outcome_lim(STR("a: 123456"), &lim), STR("1:4 a value over the size limit"));
    EXPECT_STR(outcome_lim(STR("123456: a"), &lim), STR("1:1 a key over the size limit"));

    CASE("a flood of brackets is refused at once");
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 200000; i++)
        buf_char(&b, '[');
    EXPECT_STR(outcome(buf_view(&b)), STR("1:65 nested too deeply"));

    CASE("large maps find their duplicates");
    buf_clear(&b);
    for (int i = 0; i < 5000; i++)
        buf_fmt(&b, "key-%d: %d\n", i, i);
    buf_str(&b, STR("key-17: again\n"));
    EXPECT_STR(outcome(buf_view(&b)), STR("5001:1 duplicate key 'key-17', first on line 18"));
    buf_fini(&b);
}

static void round_trip(const char *from_json)
{
    struct errors e;
    struct buf b;
    errors_init(&e, &a);
    const struct node *n = json_parse(&a, STR("j"), str_from(from_json), NULL, &e);
    CHECK(n);
    buf_init(&b, 1 << 20);
    yaml_print(n, &b);
    EXPECT_STR(outcome(buf_view(&b)), json(n));
    buf_fini(&b);
}

static void printing(void)
{
    CASE("printed YAML is in block style and quotes only where it must");
    struct buf b;
    buf_init(&b, 1 << 16);
    yaml_print(read(STR("{kind: Route, hosts: [\"*.x.example\", '503', \"true\"], rules: [{to: "
                        "[{service: a, w: 1}]}, []],"
                        " addr: \"127.0.0.1:8000\", empty: {}, text: \"a\\nb\\n\", none: null}")),
               &b);
    EXPECT_STR(buf_view(&b),
               STR("kind: Route\nhosts:\n  - \"*.x.example\"\n  - \"503\"\n  - \"true\"\nrules:\n"
                   "  - to:\n      - service: a\n        w: 1\n  - []\naddr: \"127.0.0.1:8000\"\n"
                   "empty: {}\ntext: |\n  a\n  b\nnone: null\n"));
    buf_fini(&b);

    CASE("printed YAML reads back as the same tree");
    round_trip("{\"a\":[[1,[2]],[[]],{\"b\":[{}]}],\"c\":{\"d\":{\"e\":\"f\"}}}");
    round_trip(
        "[\"\",\" \",\" x\",\"x \",\"a: b\",\"a #b\",\"- x\",\"? "
        "x\",\"---\",\"...\",\"~\",\"null\",\"1e5\",\"-\",\"@x\"]");
    round_trip(
        "[\"a\\nb\",\"a\\nb\\n\",\"a\\nb\\n\\n\",\"\\na\",\" a\\nb\",\"a \\nb\",\"a\\n "
        "b\\n\",\"a\\n\\nb\",\"\\n\",\"a\\tb\\nc\"]");
    round_trip(
        "[\"\\u0000\\u0001\\u007f\\u0085\\u00a0\\u2028\\ufeff\\uffff\\ufffd\\ud83d\\ude00\\u00e9\","
        "\"\\r\\n\"]");
    round_trip("{\"\":1,\"a b\":2,\"x: y\":3,\"<<\":4,\"\\n\":5,\"null\":6,\"1\":7}");
    round_trip("\"just text\"");
    round_trip("[]");
    round_trip("null");
    struct node *m = node_new(&a, NODE_MAP), *inner = node_new(&a, NODE_LIST);
    char key[2000];
    memset(key, 'k', sizeof(key));
    node_list_add(&a, inner, node_int(&a, 1));
    node_map_set(&a, m, (struct str){ key, sizeof(key) }, inner);
    struct buf c;
    buf_init(&c, 1 << 16);
    yaml_print(m, &c);
    EXPECT_STR(outcome(buf_view(&c)), json(m));
    buf_fini(&c);
}

void unit_yaml(void)
{
    arena_init(&a, 0, 0);
    scalars();
    streams();
    refusals();
    aliases();
    limits();
    printing();
    arena_fini(&a);
}
