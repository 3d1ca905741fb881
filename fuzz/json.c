/* Target: the JSON reader. What it takes prints, in three forms, as something that reads back
 * equal. */
#include "base/mem.h"
#include "codec/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(struct arena *a, struct errors *e, const struct node *n, unsigned indent)
{
    struct buf b;
    buf_init(&b, 64 << 20);
    json_print(n, indent, &b);
    const struct node *back = json_parse(a, STR("b"), buf_view(&b), NULL, e);
    CHECK(back && node_equal(n, back));
    CHECK(node_equal(n, node_copy(a, n)));
    buf_clear(&b);
    yaml_print(n, &b);
    node_list docs;
    CHECK(!b.failed && yaml_parse(a, STR("y"), buf_view(&b), NULL, &docs, e) && docs.n == 1);
    CHECK(node_equal(n, docs.v[0]));
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct errors e;
    char *text = mem_alloc(size ? size : 1); /* ends where the allocation ends */
    CHECK(text);
    memcpy(text, data, size);
    arena_init(&a, 0, 0);
    errors_init(&e, &a);
    const struct node *n = json_parse(&a, STR("f"), (struct str){ text, size }, NULL, &e);
    mem_free(text); /* the tree must not point into it */
    CHECK((n != NULL) == !errors_any(&e));
    for (size_t i = 0; i < e.n; i++)
        CHECK(e.v[i].line > 0 && e.v[i].col > 0 && e.v[i].msg.n > 0);
    if (n) {
        again(&a, &e, n, 0);
        again(&a, &e, n, 3);
    }
    arena_fini(&a);
    return 0;
}
