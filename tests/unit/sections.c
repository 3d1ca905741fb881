/* The core sections: the tables are sound, defaults are the documented ones, cross-field rules name
 * their place. */
#include "snapshot/sections.h"
#include "../harness/harness.h"
#include "snapshot/sections_priv.h"

void unit_sections(void);
extern const struct lb_type lb_round_robin, lb_least_request;

/* Errors of reading text as the section, as lines. */
static struct str errors_of(struct arena *a, const struct schema *s, const char *text, void *out)
{
    struct errors e;
    struct buf b;
    errors_init(&e, a);
    buf_init(&b, 1 << 16);
    struct node *n = json_parse(a, STR("p.json"), str_from(text), NULL, &e);
    if (n)
        (void)schema_parse(s, n, a, out, STR("spec.x"), &e);
    for (size_t i = 0; i < e.n; i++) {
        error_format(&e.v[i], &b);
        buf_char(&b, '\n');
    }
    struct str text_out = arena_str(a, buf_view(&b));
    buf_fini(&b);
    return text_out;
}

static void tables(void)
{
    CASE("tables are sound and registered with class and layers");
    struct buf b;
    buf_init(&b, 1 << 16);
    for (unsigned i = 0; i < CORE_SECTIONS; i++) {
        const struct registry_row *row = registry_find("policy", str_from(core_section_key[i]));
        EXPECT(row != NULL);
        if (!row)
            continue;
        const struct section_info *info = row->extra;
        EXPECT(schema_lint(row->schema, &b));
        EXPECT(info->filter == NULL && info->layers != 0);
        EXPECT_INT(section_core(row), i);
    }
    EXPECT_STR(buf_view(&b), STR(""));
    buf_fini(&b);
}

static void defaults(void)
{
    CASE("defaults");
    const struct timeout_section *t = section_defaults(CORE_TIMEOUT);
    EXPECT_INT(t->connect.ns, 5 * NS_PER_S);
    EXPECT_INT(t->request.ns, 0);
    EXPECT_INT(t->per_try.ns, 0);
    EXPECT_INT(t->upstream_keep_alive.ns, 55 * NS_PER_S);
    const struct retry_section *r = section_defaults(CORE_RETRY);
    EXPECT_INT(r->attempts, 0);
    EXPECT_INT(r->budget.ppm, 200000);
    EXPECT_INT(r->body_buffer.n, 16384);
    EXPECT_INT(r->on.n, 4);
    const struct breaker_section *br = section_defaults(CORE_BREAKER);
    EXPECT_INT(br->max_connections, 0);
    EXPECT_INT(br->max_pending, 1024);
    EXPECT_STR(((const struct balance_section *)section_defaults(CORE_BALANCE))->algorithm,
               STR("round-robin"));
    const struct health_section *h = section_defaults(CORE_HEALTH);
    EXPECT(h->active == NULL);
    EXPECT_INT(h->passive.consecutive, 5);
    EXPECT(h->passive.statuses);
    EXPECT_INT(h->panic.ppm, 500000);
    const struct limits_section *l = section_defaults(CORE_LIMITS);
    EXPECT_INT(l->head.n, 16384);
    EXPECT_INT(l->streams, 128);
    EXPECT_INT(l->body.n, 0);
    EXPECT_INT(((const struct trust_section *)section_defaults(CORE_TRUST))->proxies.n, 0);
}

void unit_sections(void)
{
    struct arena a;
    struct retry_section r;
    struct balance_section b;
    struct health_section h;
    struct trust_section t;
    arena_init(&a, 0, 0);
    registry_add("lb", "round-robin", NULL, &lb_round_robin);
    registry_add("lb", "least-request", NULL, &lb_least_request);
    sections_register();
    sections_register(); /* twice is once */
    tables();
    defaults();

    CASE("what retries are made on is a known word or a status");
    EXPECT_STR(
        errors_of(&a, &retry_schema, "{\"attempts\":2,\"on\":[\"5xx\",\"503\",\"reset\"]}", &r),
        STR(""));
    EXPECT_INT(r.on.n, 3);
    EXPECT_INT(r.attempts, 2);
    EXPECT_STR(errors_of(&a, &retry_schema,
                         "{\"on\":[\"reset\",\"sometimes\",\"600\",\"099\",\"0503\"]}", &r),
               STR("p.json:1:16: spec.x.on[1]: 'sometimes' is not one of connect-failure, reset, "
                   "refused-stream, timeout, gateway-error, 5xx or "
                   "a status 400..599\n"
                   "p.json:1:28: spec.x.on[2]: '600' is not one of connect-failure, reset, "
                   "refused-stream, timeout, gateway-error, 5xx or a "
                   "status 400..599\n"
                   "p.json:1:34: spec.x.on[3]: '099' is not one of connect-failure, reset, "
                   "refused-stream, timeout, gateway-error, 5xx or a "
                   "status 400..599\n"
                   "p.json:1:40: spec.x.on[4]: '0503' is not one of connect-failure, reset, "
                   "refused-stream, timeout, gateway-error, 5xx or a "
                   "status 400..599\n"));
    EXPECT_STR(errors_of(&a, &retry_schema, "{\"backoffBase\":\"1s\"}", &r),
               STR("p.json:1:1: spec.x: backoffBase is longer than backoffMax\n"));

    CASE("an algorithm must be registered; the known ones are told");
    EXPECT_STR(errors_of(&a, &balance_schema, "{\"algorithm\":\"least-request\"}", &b), STR(""));
    EXPECT_STR(errors_of(&a, &balance_schema, "{\"algorithm\":\"magic\"}", &b),
               STR("p.json:1:14: spec.x.algorithm: 'magic' is not a known algorithm: least-request "
                   "round-robin\n"));

    CASE("health checks");
    EXPECT_STR(errors_of(&a, &health_schema,
                         "{\"active\":{\"path\":\"/"
                         "up\",\"statuses\":[200,204]},\"passive\":{\"consecutive\":3}}",
                         &h),
               STR(""));
    EXPECT_STR(h.active->path, STR("/up"));
    EXPECT_INT(h.active->interval.ns, 5 * NS_PER_S);
    EXPECT_INT(h.active->statuses.n, 2);
    EXPECT_INT(h.passive.consecutive, 3);
    EXPECT_INT(h.passive.ejection.ns, 30 * NS_PER_S);
    EXPECT_STR(errors_of(&a, &health_schema, "{\"active\":{\"statuses\":[200,20]}}", &h),
               STR("p.json:1:28: spec.x.active.statuses[1]: '20' is not a status 100..599\n"));

    CASE("trusted proxies are ranges");
    EXPECT_STR(errors_of(&a, &trust_schema, "{\"proxies\":[\"10.0.0.0/8\",\"::1/128\"]}", &t),
               STR(""));
    EXPECT(errors_of(&a, &trust_schema, "{\"proxies\":[\"everyone\"]}", &t).n > 0);
    arena_fini(&a);
}
