/* Target: documents against a schema with a field of every type. Checking and parsing agree; what
   parses prints as something that parses to the same; redacting and comparing survive anything.
   Input: a YAML stream; the second document is compared with the first. */
#include "base/mem.h"

/* Not required: an embedded object may be absent, and then its zero would be outside the range. */
#define EVERY_TYPE_REQUESTS .def = "1"
#include "../tests/harness/every_type.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const struct schema all_schema = {
    .name = "all", .doc = "Everything.", .size = sizeof(struct all), .fields = all_fields
};

static void round_trip(struct arena *a, const struct all *o)
{
    struct errors e;
    struct all again;
    struct schema_print_opts opts = { .secrets = true };
    errors_init(&e, a);
    const struct node *n = schema_print(&all_schema, o, opts, a);
    CHECK(schema_parse(&all_schema, n, a, &again, STR(""), &e));
    CHECK(node_equal(n, schema_print(&all_schema, &again, opts, a)));
    /* With all, zero values of absent fields are shown too, which need not be in range: for eyes,
     * not for reading back. */
    opts.all = true;
    CHECK(node_equal(schema_print(&all_schema, o, opts, a),
                     schema_print(&all_schema, &again, opts, a)));
    opts = (struct schema_print_opts){ 0 };
    CHECK(schema_print(&all_schema, o, opts, a)->type == NODE_MAP);
}

static void one(struct arena *a, const struct node *n)
{
    struct errors e, f;
    struct all *o = ARENA_NEW(a, struct all);
    errors_init(&e, a);
    errors_init(&f, a);
    bool ok = schema_parse(&all_schema, n, a, o, STR("spec"), &e);
    CHECK(ok == !errors_any(&e));
    CHECK(schema_validate(&all_schema, n, false, STR("spec"), &f) == ok);
    CHECK(f.n == e.n);
    errors_init(&f, a);
    bool partial = schema_validate(&all_schema, n, true, STR("spec"), &f);
    CHECK(partial || !ok); /* the partial check asks for less */
    if (ok)
        round_trip(a, o);
    CHECK(schema_redact(&all_schema, n, a) != NULL);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    registry_add("every-type", "throttle", &limit_schema, NULL);
    registry_add("every-type", "port", &port_schema, NULL);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct errors e;
    node_list docs;
    struct buf b;
    arena_init(&a, 0, 0);
    errors_init(&e, &a);
    buf_init(&b, 16 << 20);
    if (yaml_parse(&a, STR("f"), (struct str){ (const char *)data, size }, NULL, &docs, &e)) {
        for (size_t i = 0; i < docs.n; i++)
            one(&a, docs.v[i]);
        if (docs.n > 1)
            schema_diff(&all_schema, docs.v[0], docs.v[1], STR("spec"), &b);
        if (docs.n == 1) {
            schema_diff(&all_schema, docs.v[0], docs.v[0], STR("spec"), &b);
            CHECK(b.n == 0);
        }
    }
    buf_fini(&b);
    arena_fini(&a);
    return 0;
}
