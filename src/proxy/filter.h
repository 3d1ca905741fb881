/* What a filter is: one file in src/filters that exports one `const struct filter_type
   filter_<file>`. The folder listing is the registry.

   A filter's configuration is a policy section (key = name) that its schema describes. Per merged
   policy set the proxy makes one struct filter; its shared state (a limiter's counters) is found by
   key, so it survives reloads. Callbacks run on worker threads, never two at once for one exchange.
 */
#pragma once
#include "codec/message.h"
#include "io/addr.h"
#include "snapshot/sections.h"

enum filter_phase {
    PHASE_AUTHN,
    PHASE_AUTHZ,
    PHASE_LIMIT,
    PHASE_FAULT,
    PHASE_TRANSFORM
}; /* then by name; the response runs in reverse */
enum filter_verdict {
    FILTER_NEXT,
    FILTER_PAUSE,   /* goes on later: see exchange_pause_for */
    FILTER_RESPOND, /* exchange_reply was called: the request goes no further */
};
struct exchange;
struct filter;
struct filter_type {
    const char *name; /* section key, camelCase: "rateLimit" */
    uint8_t phase;    /* enum filter_phase */
    uint8_t class;    /* enum section_class */
    uint8_t layers;   /* SECTION_L4 | SECTION_L7 */
    const struct schema *schema;
    size_t state_size; /* bytes of per-exchange state, zeroed before on_request; 0 = none */
    /* Once per policy set, when a world is built (main thread). May fail with errors. f->conf and
     * f->key are set; sets f->shared. */
    bool (*open)(struct filter *f, struct errors *e);
    void (*close)(struct filter *f);
    enum filter_verdict (*on_request)(struct exchange *x, const struct filter *f, void *state);
    /* After a pause, when there is more to decide; without it the next filter follows. */
    enum filter_verdict (*on_resume)(struct exchange *x, const struct filter *f, void *state);
    /* The response head, from the upstream or made by us, before it is sent: edit headers, or
     * exchange_reply to replace it. */
    void (*on_response)(struct exchange *x, const struct filter *f, void *state,
                        struct http_message *response);
    void (*on_done)(struct exchange *x, const struct filter *f,
                    void *state); /* always, when on_request was called */
};
struct filter {
    const struct filter_type *type;
    const void *conf; /* the schema's struct, defaults applied */
    struct str key;   /* identity across reloads: section name and the object it came from */
    void *shared;     /* open's */
};

/* ---- what a filter may do with an exchange (exchange_api.c) ---- */
struct http_message *
exchange_request(struct exchange *x); /* headers may be edited: exchange_set_header and the like */
struct arena *
exchange_arena(struct exchange *x); /* lives as long as the exchange; bounded: use arena_try */
const union addr *exchange_client(
    const struct exchange *x); /* the client: behind trusted proxies the one they name */
struct str exchange_client_text(struct exchange *x);      /* its IP as text */
struct str exchange_route_name(const struct exchange *x); /* "" when no route matched */
struct str exchange_service_name(const struct exchange *x);
int64_t exchange_now(const struct exchange *x); /* monotonic ns of this loop turn */
unsigned exchange_worker(const struct exchange *x);
/* Replaces, adds or removes a field of a message; slices must outlive the exchange (arena or
 * static). False when the header limit is reached. */
bool exchange_set_header(struct exchange *x, struct http_message *m, struct str name,
                         struct str value);
bool exchange_add_header(struct exchange *x, struct http_message *m, struct str name,
                         struct str value);
/* Adds a field to whatever response is sent in the end, ours or the upstream's. */
bool exchange_response_header(struct exchange *x, struct str name, struct str value);
/* Answers instead of the upstream: problem+json (or grpc-status) with a stable type
   "https://weir.dev/problems/<slug>". slug and detail are copied. Return FILTER_RESPOND after it.
   Retry-After through exchange_response_header. */
void exchange_reply(struct exchange *x, uint16_t status, const char *slug, struct str detail);
/* Pauses for d, then goes on with the next filter: `return exchange_pause_for(x, d);` */
enum filter_verdict exchange_pause_for(struct exchange *x, struct dur d);

/* Process-wide state by key, refcounted: the first caller makes it (zeroed, size bytes), later ones
 * (and later worlds) get the same. init may be NULL. */
void *shared_get(struct str key, size_t size, void (*init)(void *p));
void shared_put(void *p);
