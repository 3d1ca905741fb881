/* Target: the YAML reader. What it takes prints, as YAML and as JSON, as something that reads back
   equal, and never has more values than the limits allow. */
#include "base/mem.h"
#include "codec/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct node_limits limits = {
    .depth = 20, .nodes = 5000, .aliases = 100, .scalar_bytes = 4096
};

static size_t check_places(const struct node *n, size_t depth)
{
    size_t count = 1;
    CHECK(n->line > 0 && n->col > 0 && depth <= limits.depth);
    if (n->type == NODE_LIST) {
        for (size_t i = 0; i < n->list.n; i++)
            count += check_places(n->list.v[i], depth + 1);
    } else if (n->type == NODE_MAP) {
        for (size_t i = 0; i < n->map.n; i++) {
            CHECK(n->map.v[i].line > 0 && n->map.v[i].col > 0);
            count += check_places(n->map.v[i].value, depth + 1);
        }
    }
    return count;
}

static void again(struct arena *a, struct errors *e, const struct node *n)
{
    struct buf b;
    node_list docs;
    buf_init(&b, 64 << 20);
    yaml_print(n, &b);
    CHECK(!b.failed && yaml_parse(a, STR("y"), buf_view(&b), NULL, &docs, e) && docs.n == 1);
    CHECK(node_equal(n, docs.v[0]));
    buf_clear(&b);
    json_print(n, 2, &b);
    const struct node *back = json_parse(a, STR("j"), buf_view(&b), NULL, e);
    CHECK(back && node_equal(n, back));
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct errors e;
    node_list docs;
    size_t count = 0;
    char *text = mem_alloc(size ? size : 1); /* ends where the allocation ends */
    CHECK(text);
    memcpy(text, data, size);
    arena_init(&a, 0, 0);
    errors_init(&e, &a);
    bool ok = yaml_parse(&a, STR("f"), (struct str){ text, size }, &limits, &docs, &e);
    mem_free(text); /* the trees must not point into it */
    CHECK(ok == !errors_any(&e));
    CHECK(ok || docs.n == 0);
    for (size_t i = 0; i < docs.n; i++) {
        count += check_places(docs.v[i], 0);
        again(&a, &e, docs.v[i]);
    }
    CHECK(count <= limits.nodes);
    arena_fini(&a);
    return 0;
}
