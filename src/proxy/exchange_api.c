/* What filters may do with an exchange: the functions of filter.h. Worker threads. */
#include "proxy/exchange.h"
#include "proxy/proxy_priv.h"

struct http_message *exchange_request(struct exchange *x)
{
    return &x->req;
}

struct arena *exchange_arena(struct exchange *x)
{
    return &x->arena;
}

const union addr *exchange_client(const struct exchange *x)
{
    return &x->client;
}

struct str exchange_client_text(struct exchange *x)
{
    char text[ADDR_TEXT_MAX];
    return arena_try_str(&x->arena, (struct str){ text, addr_print_ip(&x->client, text) });
}

struct str exchange_route_name(const struct exchange *x)
{
    return x->match.action ? x->match.route : STR("");
}

struct str exchange_service_name(const struct exchange *x)
{
    return x->backend ? x->backend->cluster->name : STR("");
}

int64_t exchange_now(const struct exchange *x)
{
    return loop_now(x->w->loop);
}

unsigned exchange_worker(const struct exchange *x)
{
    return x->w->id;
}

/* Few requests have more edits than a message has room for; for those the fields move to memory of
 * the exchange. */
static bool make_room(struct exchange *x, struct headers *h)
{
    enum { MORE = 32 };
    if (h->n < h->cap)
        return true;
    if (h->n >= EXCHANGE_HEADERS_MAX)
        return false;
    struct header *v = arena_try(&x->arena, (h->n + MORE) * sizeof(*v));
    if (!v)
        return false;
    memcpy(v, h->v, h->n * sizeof(*v));
    h->v = v;
    h->cap = h->n + MORE;
    return true;
}

bool exchange_add_header(struct exchange *x, struct http_message *m, struct str name,
                         struct str value)
{
    return make_room(x, &m->headers) && headers_add(&m->headers, name, value);
}

bool exchange_set_header(struct exchange *x, struct http_message *m, struct str name,
                         struct str value)
{
    headers_remove(&m->headers, name);
    return exchange_add_header(x, m, name, value);
}

bool exchange_response_header(struct exchange *x, struct str name, struct str value)
{
    if (x->n_resp_headers == EXCHANGE_RESPONSE_HEADERS)
        return false;
    struct headers h = { .v = x->resp_headers,
                         .n = x->n_resp_headers,
                         .cap = EXCHANGE_RESPONSE_HEADERS };
    if (!headers_add(&h, name, value))
        return false;
    x->n_resp_headers = (uint8_t)h.n;
    return true;
}

enum filter_verdict exchange_pause_for(struct exchange *x, struct dur d)
{
    x->wake_at = loop_now(x->w->loop) + (d.ns > 0 ? d.ns : 1);
    return FILTER_PAUSE;
}
