/* See question.h. */
#include "cli/question.h"
#include "codec/path.h"

const char *question_read(struct question *q, const char *text)
{
    struct str method = STR("GET"), url = str_from(text), head, rest;
    const char *why = "";
    if (str_cut(url, ' ', &head, &rest)) {
        method = head;
        url = str_trim(rest);
    }
    q->https = str_starts(url, STR("https://"));
    if (!q->https && !str_starts(url, STR("http://")))
        return "the URL must begin with http:// or https://";
    url = str_sub(url, q->https ? 8 : 7, url.n);
    size_t slash = str_find(str_sub(url, 0, str_find(url, '?')), '/'); /* where the host ends */
    q->m = (struct http_message){ .version = HTTP_11,
                                  .tls = q->https,
                                  .method_text = method,
                                  .method = (uint8_t)http_method_of(method) };
    q->m.headers = (struct headers){ q->headers, 0, QUESTION_HEADERS_MAX };
    q->m.authority = str_sub(url, 0, slash);
    uint16_t port;
    if (!header_name_valid(method) || !authority_parse(q->m.authority, &q->host, &port))
        return "the method or host is malformed";
    struct str target = str_sub(url, slash, url.n);
    if (target.n == 0 || target.p[0] != '/')
        target = arena_fmt(&q->a, "/%.*s", STR_FMT(target));
    char *low = arena_alloc(&q->a, q->host.n + 1), *out = arena_alloc(&q->a, target.n + 1);
    for (size_t i = 0; i < q->host.n; i++)
        low[i] = ascii_lower(q->host.p[i]);
    q->host.p = low;
    q->m.target = target;
    if (path_normalise(target, out, target.n, &q->m.target, &why) == PATH_BAD)
        return why;
    message_split_target(&q->m);
    return NULL;
}

bool question_add_header(struct question *q, const char *text)
{
    struct str name, value;
    return str_cut(str_from(text), ':', &name, &value) && header_name_valid(name) &&
           header_value_valid(value) && headers_add(&q->m.headers, name, str_trim(value));
}
