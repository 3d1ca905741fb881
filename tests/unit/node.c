/* Trees made by hand: growth, replacement, equality, copies, merging. */
#include "codec/node.h"
#include "../harness/harness.h"

void unit_node(void);

static struct node *tree(struct arena *a, const char *json)
{
    struct errors e;
    errors_init(&e, a);
    struct node *n = json_parse(a, STR("t"), str_from(json), NULL, &e);
    CHECK(n);
    return n;
}

static struct str text(struct arena *a, const struct node *n)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    json_print(n, 0, &b);
    struct str s = arena_str(a, buf_view(&b));
    buf_fini(&b);
    return s;
}

void unit_node(void)
{
    struct arena a;
    arena_init(&a, 0, 0);

    CASE("a map grows past its first room and replaces by key");
    struct node *m = node_new(&a, NODE_MAP);
    for (int i = 0; i < 100; i++)
        node_map_set(&a, m, arena_fmt(&a, "k%d", i), node_int(&a, i));
    EXPECT_INT(m->map.n, 100);
    node_map_set(&a, m, STR("k7"), node_string(&a, STR("seven")));
    EXPECT_INT(m->map.n, 100);
    EXPECT_STR(node_get(m, STR("k7"))->text, STR("seven"));
    EXPECT_STR(node_get(m, STR("k99"))->text, STR("99"));
    EXPECT(node_get(m, STR("k100")) == NULL);
    EXPECT(node_get(node_int(&a, 1), STR("x")) == NULL);
    EXPECT(node_get(NULL, STR("x")) == NULL);

    CASE("adding to a parsed list leaves other trees alone");
    struct node *p = tree(&a, "[[1,2,3],[4]]"), *first = p->list.v[0];
    node_list_add(&a, first, node_int(&a, 9));
    node_list_add(&a, first, node_int(&a, 10));
    EXPECT_STR(text(&a, p), STR("[[1,2,3,9,10],[4]]"));

    CASE("equality looks at values, not at the order of maps");
    EXPECT(node_equal(tree(&a, "{\"a\":1,\"b\":[true,null]}"),
                      tree(&a, "{\"b\":[true,null],\"a\":1}")));
    EXPECT(!node_equal(tree(&a, "{\"a\":1}"), tree(&a, "{\"a\":2}")));
    EXPECT(!node_equal(tree(&a, "{\"a\":1}"), tree(&a, "{\"b\":1}")));
    EXPECT(!node_equal(tree(&a, "{\"a\":1}"), tree(&a, "{\"a\":1,\"b\":1}")));
    EXPECT(!node_equal(tree(&a, "[1,2]"), tree(&a, "[2,1]")));
    EXPECT(!node_equal(tree(&a, "\"1\""), tree(&a, "1")));
    EXPECT(!node_equal(tree(&a, "1"), NULL));
    EXPECT(node_equal(NULL, NULL));

    CASE("a copy is equal, shares nothing and can grow");
    struct node *from = tree(&a, "{\"a\":[1,{\"b\":\"x\"}],\"c\":null}"), *to = node_copy(&a, from);
    EXPECT(node_equal(from, to));
    EXPECT(to->map.v[0].value != from->map.v[0].value);
    node_map_set(&a, to, STR("d"), node_bool(&a, true));
    EXPECT_INT(from->map.n, 2);
    EXPECT_STR(text(&a, to), STR("{\"a\":[1,{\"b\":\"x\"}],\"c\":null,\"d\":true}"));

    CASE("merging overlays maps key by key and replaces all else");
    const struct node *under = tree(&a, "{\"a\":{\"x\":1,\"y\":2},\"l\":[1,2],\"k\":1}");
    const struct node *top = tree(&a, "{\"a\":{\"y\":3,\"z\":4},\"l\":[9],\"n\":null}");
    EXPECT_STR(text(&a, node_merge(&a, under, top)),
               STR("{\"a\":{\"x\":1,\"y\":3,\"z\":4},\"l\":[9],\"k\":1,\"n\":null}"));
    EXPECT_STR(text(&a, under), STR("{\"a\":{\"x\":1,\"y\":2},\"l\":[1,2],\"k\":1}"));
    EXPECT(node_merge(&a, NULL, top) == top);
    EXPECT(node_merge(&a, under, NULL) == under);
    arena_fini(&a);
}
