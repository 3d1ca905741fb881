/* The descriptor engine over one schema with every type: parse, errors, defaults, print, diff,
 * emit, paths, lint. */
#include "../harness/harness.h"

#define EVERY_TYPE_REQUESTS .flags = F_REQUIRED
#include "../harness/every_type.h"

void unit_schema(void);

static bool all_check(const void *obj, const struct node *at, struct str path, struct errors *e)
{
    const struct all *o = obj;
    return o->count != 13 || fail(e, at->file, at->line, at->col, path, "13 brings bad luck");
}
static const struct schema all_schema = { .name = "all",
                                          .doc = "Everything.",
                                          .size = sizeof(struct all),
                                          .fields = all_fields,
                                          .check = all_check };

struct spec_of {
    struct all spec;
};
static const struct field doc_fields[] = {
    FOBJ(struct spec_of, spec, "spec", &all_schema, "What it says.", .flags = F_REQUIRED),
    FEND,
};
static const struct schema doc_schema = {
    .name = "doc", .doc = "A document.", .size = sizeof(struct spec_of), .fields = doc_fields
};

static struct arena a;

static const struct node *read(const char *yaml)
{
    struct errors e;
    node_list docs;
    errors_init(&e, &a);
    CHECK(yaml_parse(&a, STR("f"), str_from(yaml), NULL, &docs, &e) && docs.n == 1);
    return docs.v[0];
}

static struct str errors_of(const struct schema *s, const char *yaml)
{
    struct errors e;
    errors_init(&e, &a);
    bool ok = schema_parse(s, read(yaml), &a, arena_alloc(&a, s->size), STR(""), &e);
    EXPECT(ok == !errors_any(&e));
    struct str first = test_errors(&e);
    errors_init(&e, &a);
    EXPECT(schema_validate(s, read(yaml), false, STR(""), &e) == ok);
    EXPECT_STR(test_errors(&e), first);
    return first;
}

static struct all *good(const char *yaml)
{
    struct errors e;
    struct all *o = ARENA_NEW(&a, struct all);
    errors_init(&e, &a);
    EXPECT(schema_parse(&all_schema, read(yaml), &a, o, STR(""), &e));
    EXPECT_STR(test_errors(&e), STR(""));
    return o;
}

static struct str json(const struct node *n)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    json_print(n, 0, &b);
    struct str s = arena_str(&a, buf_view(&b));
    buf_fini(&b);
    return s;
}

static void bad_document(void)
{
    CASE("the bad document of the design notes: all errors in one pass, each at its place");
    EXPECT_STR(
        errors_of(&limit_schema, "requests: 0\nwindow: 5 sec\nkey: clientaddress\ndry_run: true\n"),
        STR("f:1:11: requests: 0 is outside 1..1000000000\n"
            "f:2:9: window: want a duration like 250ms, got '5 sec'\n"
            "f:3:6: key: 'clientaddress' is not one of clientAddress, header; did you mean "
            "'clientAddress'?\n"
            "f:4:1: unknown field 'dry_run'; did you mean 'dryRun'?\n"));
    EXPECT_STR(
        errors_of(&limit_schema, "window: 2h\n"),
        STR("f:1:9: window: 2h is outside 1ms..1h\nf:1:1: missing required field 'requests'\n"));
    EXPECT_STR(errors_of(&limit_schema, "[1]"), STR("f:1:1: want a map, got a list\n"));
}

static void values(void)
{
    CASE("defaults are there when nothing is given");
    struct all *o = good("wantA: true\n");
    EXPECT_INT(o->count, 7);
    EXPECT(o->number == 0.5);
    EXPECT_INT(o->dur.ns, 1500000000);
    EXPECT_INT(o->size.n, 16384);
    EXPECT_INT(o->share.ppm, 125000);
    EXPECT(o->text.p == NULL && o->maybe == NULL && o->node == NULL && o->sections == NULL);
    EXPECT_INT(o->key, KEY_HEADER);
    EXPECT_INT(o->limit.window.ns, NS_PER_S);
    EXPECT_INT(o->on.n, 1);
    EXPECT_STR(o->on.v[0], STR("connect-failure"));
    EXPECT(o->in.a && !o->in.b);
    struct all zero;
    struct errors e;
    errors_init(&e, &a);
    EXPECT(schema_parse(&all_schema, NULL, &a, &zero, STR(""), &e) && zero.count == 7);

    CASE("every type is read");
    o = good(
        "wantB: true\nflag: true\ncount: 42\nnumber: -1\ndur: 250ms\nsize: 2048\nshare: 0.5\ntext: "
        "503\nsecret: s\n"
        "key: clientAddress\nlimit: {requests: 5}\nmaybe: {requests: 6, window: 0.5s}\non: [503, "
        "connect-failure]\n"
        "hosts: [a.example, '*.b.example']\nints: [3, -4]\nlabels: {app.io/x: 1, y: 'true'}\n"
        "ports: {web: {number: 80}}\nnode: [1, {a: b}]\nthrottle: {window: 2s}\npolicies: "
        "{throttle: {dryRun: true}}\n"
        "rules:\n  - match: [{path: {prefix: /api}, methods: [GET]}]\n    to: [shop, {service: "
        "cart, weight: 0}]\n");
    EXPECT(o->flag && o->in.b && !o->in.a);
    EXPECT_INT(o->count, 42);
    EXPECT_INT(o->dur.ns, 250 * NS_PER_MS);
    EXPECT_INT(o->size.n, 2048);
    EXPECT_INT(o->share.ppm, 500000);
    EXPECT_STR(o->text, STR("503"));
    EXPECT_INT(o->key, KEY_ADDRESS);
    EXPECT_INT(o->limit.requests, 5);
    EXPECT_INT(o->maybe->window.ns, 500 * NS_PER_MS);
    EXPECT_STR(o->on.v[0], STR("503"));
    EXPECT_STR(o->hosts.v[1], STR("*.b.example"));
    EXPECT_INT(o->ints.v[1], -4);
    EXPECT_STR(o->labels.v[0].key, STR("app.io/x"));
    EXPECT_STR(o->labels.v[0].value, STR("1"));
    EXPECT_STR(o->ports.v[0].key, STR("web"));
    EXPECT_INT(o->ports.v[0].number, 80);
    EXPECT_STR(json(o->node), STR("[1,{\"a\":\"b\"}]"));
    EXPECT_STR(json(o->sections), STR("{\"throttle\":{\"window\":\"2s\"}}"));
    EXPECT_STR(json(o->policies), STR("{\"throttle\":{\"dryRun\":true}}"));
    EXPECT_STR(o->rules.v[0].match.v[0].path->prefix, STR("/api"));
    EXPECT_STR(o->rules.v[0].match.v[0].methods.v[0], STR("GET"));
    EXPECT_STR(o->rules.v[0].to.v[0].service, STR("shop"));
    EXPECT_INT(o->rules.v[0].to.v[0].weight, 1);
    EXPECT_INT(o->rules.v[0].to.v[1].weight, 0);
}

struct bad_case {
    const char *yaml, *want;
};
static void bad_cases(const struct bad_case *c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        EXPECT_STR(errors_of(&doc_schema, c[i].yaml), str_from(c[i].want));
}

static void refusals(void)
{
    static const struct bad_case scalars[] = {
        { "spec: {wantA: true, flag: 'true'}",
          "f:1:27: spec.flag: want true or false, got 'true' in quotes\n" },
        { "spec: {wantA: true, flag: yes}", "f:1:27: spec.flag: want true or false, got 'yes'\n" },
        { "spec: {wantA: true, count: '5'}",
          "f:1:28: spec.count: want a whole number, got '5' in quotes\n" },
        { "spec: {wantA: true, count: 1.5}",
          "f:1:28: spec.count: want a whole number, got '1.5'\n" },
        { "spec: {wantA: true, count: -3}", "f:1:28: spec.count: -3 is less than 1\n" },
        { "spec: {wantA: true, count: 99999999999999999999}",
          "f:1:28: spec.count: want a whole number, got '99999999999999999999'\n" },
        { "spec: {wantA: true, number: 1.01}", "f:1:29: spec.number: 1.01 is outside -1..1\n" },
        { "spec: {wantA: true, dur: 5}",
          "f:1:26: spec.dur: want a duration like 250ms, got '5'\n" },
        { "spec: {wantA: true, dur: null}",
          "f:1:26: spec.dur: want a duration like 250ms, got null\n" },
        { "spec: {wantA: true, size: 2MiB}", "f:1:27: spec.size: 2MiB is outside 1KiB..1MiB\n" },
        { "spec: {wantA: true, share: 60%}", "f:1:28: spec.share: 60% is outside 0%..50%\n" },
        { "spec: {wantA: true, text: null}", "f:1:27: spec.text: want a string, got null\n" },
        { "spec: {wantA: true, text: x}", "f:1:27: spec.text: want at least 2 characters\n" },
        { "spec: {wantA: true, text: 123456}",
          "f:1:27: spec.text: want at most 5 characters, got 6\n" },
        { "spec: {wantA: true, hosts: \"-----BEGIN EC PRIVATE KEY-----\\nMHcC\"}",
          "f:1:28: spec.hosts: want a list, got '-----BEGIN...'\n" },
        { "spec: {wantA: true, secret: [x]}", "f:1:29: spec.secret: want a string\n" },
        { "spec: {wantA: true, key: no}",
          "f:1:26: spec.key: 'no' is not one of clientAddress, header\n" },
    };
    static const struct bad_case shapes[] = {
        { "{}", "f:1:1: missing required field 'spec'\n" },
        { "spec: {}", "f:1:7: spec: want one of wantA, wantB\n" },
        { "spec: {wantA: true, wantB: true}",
          "f:1:7: spec: want only one of wantA, wantB, got 2\n" },
        { "spec: {wantA: true, count: 13}", "f:1:7: spec: 13 brings bad luck\n" },
        { "spec: {wantA: true, on: [503, 504]}",
          "f:1:31: spec.on[1]: '504' is not one of connect-failure, 503; did you mean '503'?\n" },
        { "spec: {wantA: true, hosts: a.example}",
          "f:1:28: spec.hosts: want a list, got 'a.example'\n" },
        { "spec: {wantA: true, hosts: [A.example]}",
          "f:1:29: spec.hosts[0]: want a lower-case host name like shop.example or *.shop.example, "
          "without a port, "
          "got 'A.example'\n" },
        { "spec: {wantA: true, ints: [1, 2, 3, x]}",
          "f:1:27: spec.ints: want at most 3 entries, got 4\n"
          "f:1:37: spec.ints[3]: want a whole number, got 'x'\n" },
        { "spec: {wantA: true, labels: {a.b/c: [1]}}",
          "f:1:37: spec.labels[\"a.b/c\"]: want a string, got a list\n" },
        { "spec: {wantA: true, ports: {Web: {number: 0}}}",
          "f:1:29: spec.ports.Web: the key: want a name of lower-case letters, digits, '-' and "
          "'.'\n"
          "f:1:43: spec.ports.Web.number: 0 is outside 1..65535\n" },
        { "spec: {wantA: true, limits: 1}",
          "f:1:21: spec: unknown field 'limits'; did you mean 'limit'?\n" },
        { "spec: {wantA: true, want_b: 1}",
          "f:1:21: spec: unknown field 'want_b'; did you mean 'wantB'?\n" },
        { "spec: {wantA: true, throtle: {}}",
          "f:1:21: spec: unknown field 'throtle'; did you mean 'throttle'?\n" },
        { "spec: {wantA: true, throttle: {window: x, y: 1}}",
          "f:1:40: spec.throttle.window: want a duration like 250ms, got 'x'\n"
          "f:1:43: spec.throttle: unknown field 'y'\n" },
        { "spec: {wantA: true, policies: {trottle: {}}}",
          "f:1:32: spec.policies: unknown section 'trottle'; did you mean 'throttle'?\n" },
        { "spec:\n  wantA: true\n  rules:\n    - match:\n        - {}\n        - path: {prefix: "
          "api}\n      to: []\n",
          "f:6:26: spec.rules[0].match[1].path.prefix: want a path like /api/v1, "
          "percent-encoded, without query or fragment, got 'api'\n"
          "f:7:11: spec.rules[0].to: want at least 1 entry, got 0\n" },
        { "spec: {wantA: true, rules: [{match: [{path: {}}], to: [Shop]}]}",
          "f:1:45: spec.rules[0].match[0].path: want one of exact, prefix, regex\n"
          "f:1:56: spec.rules[0].to[0].service: want a name of lower-case letters, digits, '-' and "
          "'.', got 'Shop'\n" },
        { "spec: {wantA: true, rules: [{to: [{weight: 101}]}]}",
          "f:1:44: spec.rules[0].to[0].weight: 101 is outside 0..100\n"
          "f:1:35: spec.rules[0].to[0]: missing required field 'service'\n" },
    };
    CASE("scalars of the wrong type or range are told in their own words");
    bad_cases(scalars, ARRAY_LEN(scalars));
    CASE("wrong shapes, names and counts are told with the whole path");
    bad_cases(shapes, ARRAY_LEN(shapes));

    CASE("a bad pattern says why and where");
    struct str s = errors_of(&path_schema, "regex: 'a(b'");
    EXPECT(str_starts(s, STR("f:1:8: regex: bad regular expression: ")));

    CASE("a partial check does not ask for required fields");
    struct errors e;
    errors_init(&e, &a);
    EXPECT(schema_validate(&limit_schema, read("window: 2s"), true, STR("spec.throttle"), &e));
    EXPECT(schema_validate(&path_schema, read("{}"), true, STR("p"), &e));
    EXPECT(!schema_validate(&limit_schema, read("window: x"), true, STR("spec.throttle"), &e));
    EXPECT_STR(test_errors(&e),
               STR("f:1:9: spec.throttle.window: want a duration like 250ms, got 'x'\n"));
}

static void formats(void)
{
    static const struct {
        enum field_format f;
        const char *good[8], *bad[9];
    } rows[] = {
        { FMT_NAME, { "a", "a-b.c", "0x" }, { "", "A", "-a", "a-", "a..b", ".a", "a_b", "a b" } },
        { FMT_HOST,
          { "a.b", "*.a.b", "127.0.0.1", "[::1]", "a_b.c" },
          { "", "*", "*.", "a.*", "A.b", "a:80", "::1", "a b" } },
        { FMT_ADDRESS,
          { "127.0.0.1:0", "[::1]:65535" },
          { "127.0.0.1", "a:1", "127.0.0.1:65536", "127.0.0.256:1", "::1:80", "[::1]",
            "127.0.0.1:", "127.0.0.1:-1" } },
        { FMT_ENDPOINT,
          { "127.0.0.1:1", "[::1]:1", "shop.internal:9000", "a:1" },
          { "a", "a:0", "a:x", ":1", "1.2.3:80", "A:1", "a/b:1" } },
        { FMT_PATH, { "/", "/a/b%20c" }, { "", "a", "/a?b", "/a#b", "/a b" } },
        { FMT_TEMPLATE, { "/users/{id}/x", "/{rest...}" }, { "", "users", "/{", "/{rest...}/x" } },
        { FMT_REGEX, { "a.*b", "" }, { "(", "[a" } },
        { FMT_HEADER, { "x-tenant", "X_Y" }, { "", "a b", "a:", "\xC3\xA9" } },
        { FMT_HEADER_VALUE, { "", "a b", "\xC3\xA9" }, { " a", "a ", "a\nb", "a\x7F" } },
        { FMT_METHOD, { "GET", "PURGE-ALL" }, { "", "GE T" } },
        { FMT_URL,
          { "http://a.b", "https://a.b:8443/x?y=1", "http://[::1]:80/" },
          { "", "ftp://a", "http://", "http://*.a", "http://a:0/", "http://a b", "//a" } },
        { FMT_CIDR,
          { "10.0.0.0/8", "::1", "192.0.2.7" },
          { "", "10.0.0.1/8", "a", "10.0.0.0/33" } },
        { FMT_FILE, { "a", "./b c" }, { "" } },
    };
    CASE("formats take and refuse");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *want = NULL;
        for (size_t k = 0; k < 8 && rows[i].good[k]; k++)
            test_result(format_check(rows[i].f, str_from(rows[i].good[k]), &want), __FILE__,
                        __LINE__, "format %d takes '%s'", (int)rows[i].f, rows[i].good[k]);
        for (size_t k = 0; k < 9 && rows[i].bad[k]; k++)
            test_result(!format_check(rows[i].f, str_from(rows[i].bad[k]), &want), __FILE__,
                        __LINE__, "format %d refuses '%s'", (int)rows[i].f, rows[i].bad[k]);
        EXPECT(want != NULL);
    }
}

static void printing(void)
{
    const struct schema_print_opts sparse = { 0 }, full = { .all = true },
                                   secrets = { .secrets = true };
    const char *yaml =
        "wantB: true\nflag: true\ncount: 42\ndur: 90s\nsize: 2048\nshare: 50%\ntext: ab\nsecret: "
        "hush\n"
        "on: [connect-failure]\nhosts: [a.example]\nlimit: {requests: 5}\nmaybe: {requests: 6}\n"
        "ports: {web: {number: 80}}\nthrottle: {window: 2s}\nlabels: {x: y}\n"
        "rules: [{match: [{path: {prefix: /}}], to: [shop, {service: b, weight: 2}]}]\n";
    CASE("printing leaves out defaults and hides secrets");
    struct all *o = good(yaml);
    EXPECT_STR(
        json(schema_print(&all_schema, o, sparse, &a)),
        STR("{\"wantB\":true,\"flag\":true,\"count\":42,\"dur\":\"90s\",\"size\":\"2KiB\","
            "\"share\":\"50%\","
            "\"text\":\"ab\",\"secret\":\"<redacted>\",\"limit\":{\"requests\":5},\"maybe\":{"
            "\"requests\":6},"
            "\"hosts\":[\"a.example\"],\"rules\":[{\"match\":[{\"path\":{\"prefix\":\"/\"}}],"
            "\"to\":[\"shop\",{\"service\":\"b\",\"weight\":2}]}],\"labels\":{\"x\":\"y\"},"
            "\"ports\":{\"web\":{\"number\":80}},\"throttle\":{\"window\":\"2s\"}}"));

    CASE("what was printed reads back as the same object");
    struct errors e;
    struct all again;
    errors_init(&e, &a);
    struct node *n = schema_print(&all_schema, o, secrets, &a);
    EXPECT(schema_parse(&all_schema, n, &a, &again, STR(""), &e));
    EXPECT_STR(again.secret, STR("hush"));
    EXPECT(node_equal(n, schema_print(&all_schema, &again, secrets, &a)));

    CASE("printing all shows defaults");
    struct limit l = { .requests = 1, .window = { NS_PER_S } };
    EXPECT_STR(
        json(schema_print(&limit_schema, &l, full, &a)),
        STR("{\"requests\":1,\"window\":\"1s\",\"key\":\"clientAddress\",\"dryRun\":false}"));

    CASE("units print exactly");
    static const char *const durs[] = { "0",      "1us",   "1500ns",
                                        "1001us", "250ms", "61s",
                                        "2m",     "36h",   "6744073709000000200ns" };
    for (size_t i = 0; i < ARRAY_LEN(durs); i++) {
        struct limit d = { .requests = 1 };
        EXPECT(str_to_dur(str_from(durs[i]), &d.window));
        const struct node *w = node_get(schema_print(&limit_schema, &d, full, &a), STR("window"));
        EXPECT_STR(w->text, str_from(durs[i]));
    }

    CASE("a sparse tree is shown without its secrets");
    EXPECT_STR(json(schema_redact(&doc_schema, read("spec: {secret: x, count: 1, other: y}"), &a)),
               STR("{\"spec\":{\"secret\":\"<redacted>\",\"count\":1,\"other\":\"y\"}}"));
}

static struct str diff(const char *before, const char *after)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    schema_diff(&doc_schema, before ? read(before) : NULL, after ? read(after) : NULL, STR(""), &b);
    struct str s = arena_str(&a, buf_view(&b));
    buf_fini(&b);
    return s;
}

static void diffs(void)
{
    CASE("a diff is one line a changed field");
    EXPECT_STR(
        diff("spec: {count: 1, dur: 1s, rules: [{to: [{service: a, weight: 1}]}], secret: a}",
             "spec: {count: 1, text: ab, rules: [{to: [{service: a, weight: 2}, b]}, {to: [c]}], "
             "secret: b}"),
        STR("spec.dur: \"1s\" -> (default 1.5s)\nspec.text: (unset) -> \"ab\"\n"
            "spec.secret: changed (secret)\n"
            "spec.rules[0].to[0].weight: 1 -> 2\nspec.rules[0].to[1]: (unset) -> \"b\"\n"
            "spec.rules[1]: (unset) -> {\"to\":[\"c\"]}\n"));
    EXPECT_STR(
        diff("spec: {labels: {a: b}, throttle: {window: 1s}, ports: {w: {number: 1}}}",
             "spec: {labels: {a: c}, throttle: {window: 2s}, ports: {w: {number: 2}, x: {number: "
             "3}}}"),
        STR("spec.labels: {\"a\":\"b\"} -> {\"a\":\"c\"}\nspec.ports.w.number: 1 -> 2\n"
            "spec.ports.x: (unset) -> {\"number\":3}\nspec.throttle.window: \"1s\" -> \"2s\"\n"));
    EXPECT_STR(diff("spec: {count: 1}", "spec: {count: 1}"), STR(""));
    EXPECT_STR(diff(NULL, "spec: {secret: a}"),
               STR(": (unset) -> {\"spec\":{\"secret\":\"<redacted>\"}}\n"));
}

static bool contains(struct str s, const char *what)
{
    struct str w = str_from(what);
    for (size_t i = 0; i + w.n <= s.n; i++)
        if (memcmp(s.p + i, w.p, w.n) == 0)
            return true;
    return false;
}

static void emitting(void)
{
    struct buf b;
    CASE("JSON Schema has the types, bounds, defaults and rules");
    struct str s = json(schema_json_schema(&doc_schema, &a));
    static const char *const parts[] = {
        "\"$schema\":\"https://json-schema.org/draft/2020-12/schema\"",
        "\"required\":[\"spec\"]",
        "\"count\":{\"description\":\"A "
        "number.\",\"type\":[\"integer\",\"string\"],\"pattern\":\"\\\\$\\\\{\",\"minimum\":1,"
        "\"default\":7}",
        "\"key\":{\"description\":\"A "
        "word.\",\"enum\":[\"clientAddress\",\"header\"],\"default\":"
        "\"header\"}",
        "\"oneOf\":[{\"required\":[\"wantA\"]},{\"required\":[\"wantB\"]}]",
        "\"throttle\":{\"$ref\":\"#/$defs/limit-2\"}", /* a section: nothing is required */
        "\"limit\":{\"description\":\"Embedded.\",\"$ref\":\"#/$defs/limit\"}",
        "\"minItems\":1,\"maxItems\":3",
        "\"writeOnly\":true",
        "\"x-ref\":\"Service\"",
        "\"x-range\":\"1KiB..1MiB\"",
        "\"default\":[\"connect-failure\"]",
        "\"additionalProperties\":false",
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        test_result(contains(s, parts[i]), __FILE__, __LINE__, "JSON Schema has %s", parts[i]);

    CASE("the reference page has a row a field and a table an object");
    buf_init(&b, 1 << 20);
    schema_markdown(&doc_schema, 2, &b);
    static const char *const lines[] = {
        "## doc\n\nA document.\n",
        "| `requests` | integer, 1–1000000000 | **required** | Requests allowed per window. |\n",
        "| `window` | duration, 1ms–1h | `1s` | Length of the window. |\n",
        "| `service` | string, name of a Service | **required** | Where to. |\n",
        "| `to` | list of objects or its `service` alone, 1–3 entries |  | Where requests go. |\n",
        ("### `spec.rules[].match[].path`\n\nOne of three.\n\n"
         "Exactly one of these fields is given.\n"),
        "One of `clientAddress` (The peer), `header` (A header of the request).",
        "### `spec.maybe`\n\nThe fields of `spec.limit`.\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        test_result(contains(buf_view(&b), lines[i]), __FILE__, __LINE__, "the page has %s",
                    lines[i]);

    CASE("paths that can follow what was typed");
    buf_clear(&b);
    schema_paths(&doc_schema, STR("spec.rules[0].ma"), &b);
    EXPECT_STR(
        buf_view(&b),
        STR("spec.rules[].match[]\nspec.rules[].match[].path\nspec.rules[].match[].path.exact\n"
            "spec.rules[].match[].path.prefix\nspec.rules[].match[].path.regex\n"
            "spec.rules[].match[].methods[]\n"));
    buf_clear(&b);
    schema_paths(&doc_schema, STR("spec.thr"), &b);
    EXPECT_STR(
        buf_view(&b),
        STR("spec.throttle\nspec.throttle.requests\nspec.throttle.window\nspec.throttle.key\n"
            "spec.throttle.dryRun\n"));
    buf_fini(&b);
}

struct messy {
    int64_t n;
    struct dur d;
    bool b;
};
static void linting(void)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    CASE("lint is silent about good tables");
    EXPECT(schema_lint(&doc_schema, &b));
    EXPECT_STR(buf_view(&b), STR(""));

    CASE("lint finds our mistakes");
    static const struct field fields[] = {
        FIELD(struct messy, n, "n", "A number.", .def = "0", .min = 1),
        FIELD(struct messy, d, "bad_name", "No full stop", .def = "1 sec"),
        FIELD(struct messy, d, "again", "Shares."),
        FIELD(struct messy, b, "b", NULL, .flags = F_REF),
        FIELD(struct messy, b, "n", "Twice."),
        FEND,
    };
    static const struct schema messy = {
        .name = "messy", .doc = "x", .size = sizeof(struct messy), .fields = fields
    };
    EXPECT(!schema_lint(&messy, &b));
    static const char *const found[] = {
        "messy.n: the default does not parse\n  0 is less than 1\n",
        "messy.bad_name: the name is not camelCase\n",
        "messy.bad_name: the doc does not end with a full stop\n",
        "messy.bad_name: the default does not parse\n",
        "messy.again: shares its member with another field\n",
        "messy.b: has no doc\n",
        "messy.b: a reference is a string with the kind it names\n",
        "messy.n: stands twice in one map\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(found); i++)
        test_result(contains(buf_view(&b), found[i]), __FILE__, __LINE__, "lint says %s", found[i]);
    buf_fini(&b);
}

void unit_schema(void)
{
    arena_init(&a, 0, 0);
    registry_add("every-type", "throttle", &limit_schema, NULL);
    registry_add("every-type", "alpha", &port_schema, keys);

    CASE("a registry is sorted and finds by key");
    size_t n;
    const struct registry_row *rows = registry_rows("every-type", &n);
    EXPECT_INT(n, 2);
    EXPECT(n == 2 && strcmp(rows[0].key, "alpha") == 0);
    EXPECT(registry_find("every-type", STR("throttle"))->schema == &limit_schema);
    EXPECT(registry_find("every-type", STR("alpha"))->extra == keys);
    EXPECT(registry_find("every-type", STR("beta")) == NULL);
    EXPECT(registry_find("no-such-registry", STR("x")) == NULL);

    bad_document();
    values();
    refusals();
    formats();
    printing();
    diffs();
    emitting();
    linting();
    arena_fini(&a);
}
