/* The head as it is forwarded: who the client is, the request id, what is stripped and added,
 * rewrites, a route's header edits. Worker threads. */
#include "base/clock.h"
#include "base/rand.h"
#include "proxy/exchange.h"
#include "proxy/forwarded.h"
#include "proxy/proxy_priv.h"

/* What only a trusted proxy may say about the client; from anyone else it is removed (T12). */
static bool speaks_for_client(uint8_t id)
{
    switch (id) {
    case HDR_X_FORWARDED_FOR:
    case HDR_X_FORWARDED_PROTO:
    case HDR_X_FORWARDED_HOST:
    case HDR_X_FORWARDED_PORT:
    case HDR_FORWARDED:
    case HDR_X_REAL_IP:
    case HDR_CLIENT_CERT:
    case HDR_X_FORWARDED_CLIENT_CERT:
    case HDR_X_FORWARDED_OTHER:
    case HDR_X_CONSUMER:
        return true;
    default:
        return false;
    }
}

/* Several fields are one list: read from its end. */
static void client_from_forwarded(struct exchange *x)
{
    const struct headers *h = &x->req.headers;
    for (uint32_t i = h->n; i-- > 0;)
        if (h->v[i].id == HDR_X_FORWARDED_FOR && header_live(&h->v[i]) &&
            forwarded_client(header_value(&h->v[i]), &x->policy->trust->proxies, &x->client))
            return;
}

void exchange_identify(struct exchange *x)
{
    const struct trust_section *t = x->policy->trust;
    x->trusted = t->proxies.n && forwarded_trusts(&t->proxies, &x->client);
    bool bad_trace = false;
    for (uint32_t i = 0; i < x->req.headers.n; i++) {
        struct header *h = &x->req.headers.v[i];
        if (h->id == HDR_X_REQUEST_ID) {
            if (x->trusted && forwarded_id_valid(header_value(h)))
                x->request_id = header_value(h);
            h->flags |= HDR_F_REMOVED;
        } else if (h->id == HDR_TRACEPARENT && !forwarded_trace_valid(header_value(h))) {
            h->flags |= HDR_F_REMOVED;
            bad_trace = true;
        } else if (h->id == HDR_OTHER ? header_disguised(header_name(h))
                                      : !x->trusted && speaks_for_client(h->id)) {
            h->flags |= HDR_F_REMOVED;
        }
    }
    if (x->trusted)
        client_from_forwarded(x);
    if (bad_trace)
        headers_remove(&x->req.headers, STR("tracestate"));
    if (!x->request_id.n && x->l->conf->request_id) {
        char *id = arena_try_bytes(&x->arena, 36);
        if (id) {
            rand_uuid7(loop_wall(x->w->loop), id);
            x->request_id = (struct str){ id, 36 };
        }
    }
}

/* A field of our own on its way into the request. */
struct own_field {
    enum header_id id;
    struct str value;
};
enum { OWN_FIELDS = 5 };

/* Made lines one after the other, so that for a writer they are one run. */
static bool add_lines(struct exchange *x, const struct own_field *v, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += header_line_n(v[i].id, v[i].value);
    char *at = arena_try_bytes(&x->arena, bytes);
    for (size_t i = 0; i < n; i++) {
        if (!headers_add_line(&x->req.headers, v[i].id, v[i].value, at))
            return false;
        at += header_line_n(v[i].id, v[i].value);
    }
    return true;
}

/* What the request itself says of X-Forwarded-*: live only when a trusted proxy or a filter set it.
   Proxies that append a line of their own make several; together they are one list (RFC 9110
   section 5.3), to which the peer is added. */
static bool join_forwarded(struct exchange *x, struct str *peer, bool *ret_proto, bool *ret_host)
{
    const struct headers *h = &x->req.headers;
    *ret_proto = *ret_host = false;
    for (uint32_t i = h->n; i-- > 0;) {
        struct header *f = &h->v[i];
        if (!header_live(f))
            continue;
        *ret_proto |= f->id == HDR_X_FORWARDED_PROTO;
        *ret_host |= f->id == HDR_X_FORWARDED_HOST;
        if (f->id != HDR_X_FORWARDED_FOR)
            continue;
        *peer = arena_try_fmt(&x->arena, "%.*s, %.*s", STR_FMT(header_value(f)), STR_FMT(*peer));
        f->flags |= HDR_F_REMOVED;
        if (!peer->p)
            return false;
    }
    return true;
}

static bool add_own_fields(struct exchange *x)
{
    char text[ADDR_TEXT_MAX];
    struct str peer = { text, addr_print_ip(http_stream_peer(x->down), text) };
    struct own_field v[OWN_FIELDS];
    size_t n = 0;
    bool proto, host;
    if (!join_forwarded(x, &peer, &proto, &host))
        return false;
    v[n++] = (struct own_field){ HDR_X_FORWARDED_FOR, peer };
    if (!proto)
        v[n++] =
            (struct own_field){ HDR_X_FORWARDED_PROTO, x->req.tls ? STR("https") : STR("http") };
    if (!host && x->req.authority.n) /* set_host has checked it */
        v[n++] = (struct own_field){ HDR_X_FORWARDED_HOST, x->req.authority };
    bool given = x->filter_at && headers_find_id(&x->req.headers, HDR_X_REQUEST_ID);
    if (x->request_id.n && !given)
        v[n++] = (struct own_field){ HDR_X_REQUEST_ID, x->request_id };
    v[n++] = (struct own_field){ HDR_VIA, x->req.version == HTTP_2    ? STR("2 weir")
                                          : x->req.version == HTTP_10 ? STR("1.0 weir")
                                                                      : STR("1.1 weir") };
    return add_lines(x, v, n);
}

/* RFC 9110 section 7.6.2; TRACE, the other method it is for, is not offered. */
bool exchange_may_forward(struct exchange *x)
{
    const struct header *h =
        x->req.method == METHOD_OPTIONS ? headers_find(&x->req.headers, STR("max-forwards")) : NULL;
    uint64_t left;
    if (!h || !str_to_u64(header_value(h), &left))
        return true;
    if (left == 0)
        return false;
    struct str less = arena_try_fmt(&x->arena, "%llu", (unsigned long long)(left - 1));
    if (less.n)
        (void)exchange_set_header(x, &x->req, STR("max-forwards"), less);
    return true;
}

static bool rewrite(struct exchange *x)
{
    const struct action *a = x->match.action;
    if (a->host.n)
        x->req.authority = a->host;
    if (!a->path.n)
        return true;
    size_t cap = x->req.target.n + a->path.n + 1024;
    char *out = arena_try_bytes(&x->arena, cap);
    return out && decide_path(&x->match, &x->req, out, cap, &x->req.target);
}

bool exchange_prepare_request(struct exchange *x)
{
    if (!add_own_fields(x))
        return false;
    if (!rewrite(x))
        return false;
    if (x->match.action->edits.n)
        exchange_apply_edits(x, &x->req, false);
    return true;
}

void exchange_apply_edits(struct exchange *x, struct http_message *m, bool response)
{
    const struct action *a = x->match.action;
    for (size_t i = 0; a && i < a->edits.n; i++) {
        const struct header_edit *e = &a->edits.v[i];
        if (e->response != response)
            continue;
        if (e->op == EDIT_REMOVE)
            headers_remove(&m->headers, e->name);
        else if (e->op == EDIT_SET)
            (void)exchange_set_header(x, m, e->name, e->value);
        else
            (void)exchange_add_header(x, m, e->name, e->value);
    }
}
