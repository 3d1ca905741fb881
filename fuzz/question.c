/* The request of `weir explain`: what is taken is what a proxy would take. Input: the request, LF,
 * a header. */
#include "cli/question.h"
#include "codec/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_message(struct question *q)
{
    const struct http_message *m = &q->m;
    struct str host, again;
    uint16_t port;
    const char *why;
    char *out = arena_alloc(&q->a, m->target.n + 1);
    CHECK(authority_parse(m->authority, &host, &port) && str_ieq(host, q->host));
    for (size_t i = 0; i < q->host.n; i++)
        CHECK(q->host.p[i] == ascii_lower(q->host.p[i]));
    CHECK(header_name_valid(m->method_text) && m->method == http_method_of(m->method_text));
    CHECK(m->target.n > 0 && m->target.p[0] == '/' && m->tls == q->https);
    CHECK(m->path.n > 0 && m->path.p == m->target.p);
    CHECK(path_normalise(m->target, out, m->target.n, &again, &why) != PATH_BAD);
    CHECK(str_eq(again, m->target));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct question q = { .https = false };
    struct str all = { (const char *)data, size };
    size_t line = str_find(all, '\n');
    arena_init(&q.a, 0, 0);
    const char *why = question_read(&q, arena_cstr(&q.a, str_sub(all, 0, line)));
    CHECK(!why || *why);
    if (!why) {
        check_message(&q);
        const char *header = arena_cstr(&q.a, str_sub(all, line + 1, all.n));
        for (int i = 0; i < QUESTION_HEADERS_MAX + 2; i++) {
            uint32_t had = q.m.headers.n;
            bool ok = question_add_header(&q, header);
            CHECK(q.m.headers.n == had + ok && q.m.headers.n <= QUESTION_HEADERS_MAX);
        }
        for (uint32_t i = 0; i < q.m.headers.n; i++) {
            const struct header *h = &q.m.headers.v[i];
            CHECK(header_name_valid(header_name(h)) && header_value_valid(header_value(h)));
        }
    }
    arena_fini(&q.a);
    return 0;
}
