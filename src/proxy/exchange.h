/* One request and its response on their way through the proxy. Private to src/proxy; filters see
   filter.h.

   States, each with what it waits for:
     FILTERS   a request filter that paused
     CONNECT   an upstream connection (pool or circuit breaker queue)
     BACKOFF   the pause before a retry
     UPSTREAM  the response head
     RESPONSE  the rest of the upstream's response
     REPLY     our own response to be taken by the client
     TUNNEL    the end of either side of an upgraded connection
     DONE      nothing: about to be freed
   Only exchange_state() changes the state. The exchange is freed in exchange_finish and nowhere
   else. */
#pragma once
#include "decide/decide.h"
#include "http/http.h"
#include "proxy/filter.h"
#include "proxy/worker.h"

enum exchange_phase {
    X_FILTERS,
    X_CONNECT,
    X_BACKOFF,
    X_UPSTREAM,
    X_RESPONSE,
    X_REPLY,
    X_TUNNEL,
    X_DONE
};
enum fail_side { FAIL_NONE, FAIL_CLIENT, FAIL_UPSTREAM, FAIL_US };
enum {
    EXCHANGE_FILTERS_MAX = 16,
    EXCHANGE_INLINE = 5 * 1024,
    EXCHANGE_ARENA_MAX = 256 * 1024,
    EXCHANGE_EXTRA_HEADERS = 24, /* room for fields of ours; edits beyond it take more memory */
    EXCHANGE_HEADERS_MAX = H2_FIELDS_MAX - 8,
    EXCHANGE_RESPONSE_HEADERS = 8,
    EXCHANGE_BODY_MAX = 4 << 20
};

/* What is offered by name. */
#define EXCHANGE_METHODS "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

struct exchange {
    struct worker *w;
    struct worker_listener *l;
    struct world_pin *pin;    /* the world this request started in */
    struct http_stream *down; /* NULL once gone */
    struct http_stream *up;   /* NULL before and between tries */
    struct str host;          /* without port, lower case */
    const struct policy_set *policy;
    const struct backend *backend; /* NULL: no upstream */

    /* the try under way */
    struct cluster_view *view;
    struct endpoint_state *endpoint; /* counted as active while not NULL */
    struct str last_endpoint;        /* for the log: its address, when it is let go */
    size_t endpoint_index, avoid;
    struct list wait; /* in a pool's waiters */
    struct pool *pool;

    struct timer timer;
    int64_t deadline_request, deadline_try, wake_at; /* monotonic ns, 0 = none */
    int64_t last_activity;
    int64_t t_start, t_try, t_up_head,
        t_up_total; /* up_total: time spent waiting for upstreams, all tries */

    struct headers req_trailers; /* of the request's body */
    struct buf body;             /* request body bytes not yet sent, or kept for a retry */
    size_t body_sent;
    uint64_t bytes_in, bytes_out; /* body bytes from and to the client */
    uint16_t status;              /* sent to the client, 0 = none yet */
    uint16_t up_status;
    uint16_t tries;
    uint8_t state;        /* enum exchange_phase */
    uint8_t filter_at;    /* next request filter; those below ran on_request */
    uint8_t fail;         /* enum fail_side */
    const char *fail_why; /* static, RFC 9209 error type or ours: "connection_refused" */
    struct str fail_detail;
    bool req_ended : 1;    /* whole request body arrived */
    bool req_sent : 1;     /* ... and was sent to the current try */
    bool body_replay : 1;  /* body holds the whole request body so far */
    bool resp_started : 1; /* a head went to the client */
    bool resp_ended : 1;
    bool replied : 1; /* exchange_reply was called by a filter */
    bool reused : 1;  /* the try runs on a connection that served before */
    bool stale_retried : 1;
    bool down_paused : 1, up_paused : 1;
    bool grpc : 1;
    bool retry_counted : 1; /* holds a retry permit of the cluster */
    bool trusted : 1;       /* peer may speak for the client */
    bool in_filters : 1;
    bool close_after : 1;
    uint8_t n_resp_headers;
    uint8_t refused; /* times a peer refused the stream unprocessed */
    struct str request_id;
    struct str tls_version, sni,
        peer_subject; /* for the log: kept because the connection can end first */
    /* From here on nothing is cleared for a new request: each is set, or counted, before it is
     * read. */
    struct exchange *next_spare;                           /* while unused */
    struct http_message req;                               /* owned by arena */
    struct route_match match;                              /* match.action NULL: no route */
    struct header resp_headers[EXCHANGE_RESPONSE_HEADERS]; /* from exchange_response_header */
    void *filter_state[EXCHANGE_FILTERS_MAX];
    union addr client;
    struct arena arena;
    _Alignas(16) char inline_mem[EXCHANGE_INLINE];
};

/* exchange.c */
void exchange_start(struct worker_listener *l, struct http_stream *s, struct http_message *m,
                    bool end);
void exchange_reject(struct worker_listener *l, struct http_stream *s, struct http_message *m,
                     uint16_t status, const char *why);
void exchange_set_state(struct exchange *x, enum exchange_phase to);
void exchange_run_filters(struct exchange *x);
void exchange_finish(struct exchange *x); /* logs, counts, frees */
void exchange_maybe_finish(struct exchange *x);
void exchange_body_timeout(struct exchange *x); /* 408 */
void exchange_arm(struct exchange *x);          /* sets the timer to the nearest deadline */
extern const struct http_events exchange_down_events;

/* exchange_upstream.c */
void exchange_forward(struct exchange *x); /* after the filters: first try */
/* timeout.request: from the whole head on; tunnels have none. */
void exchange_set_deadline(struct exchange *x);
void exchange_retry_now(struct exchange *x);
void exchange_send_body(struct exchange *x);
/* From the pool: a connection is ready, or will not be. */
void exchange_connected(struct exchange *x, struct http_client *c);
void exchange_connect_failed(struct exchange *x, enum http_error e, const char *why);
void exchange_drop_upstream(struct exchange *x, enum http_error why);
void exchange_upstream_timeout(struct exchange *x, bool whole_request);
extern const struct http_events exchange_up_events;

/* exchange_reply.c */
struct reply {
    uint16_t status;
    const char *slug;
    struct str detail;
};
void exchange_problem(struct exchange *x, const struct reply *r);
void exchange_fail(struct exchange *x, enum fail_side side, const char *why, const struct reply *r);
void exchange_redirect(struct exchange *x);
void exchange_fixed_reply(struct exchange *x);
void exchange_options_reply(struct exchange *x); /* as the last one an OPTIONS was to reach */
void exchange_send_head(struct exchange *x, struct http_message *m,
                        bool end); /* runs response filters, edits, then sends */

/* exchange_headers.c */
bool exchange_prepare_request(
    struct exchange *x); /* forwarded headers, id, rewrite; false: over the limits */
bool exchange_may_forward(struct exchange *x); /* counts Max-Forwards of OPTIONS down */
void exchange_identify(
    struct exchange *x); /* client address, trust, request id, strip identity headers */
void exchange_apply_edits(struct exchange *x, struct http_message *m, bool response);
struct str worker_date(struct worker *w); /* IMF-fixdate of now, made once a second */
