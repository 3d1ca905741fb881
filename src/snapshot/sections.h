/* The core policy sections: their structs and rows. A filter's section lives in the filter's file.
   Registered under "policy" by cli/tables.c with extra = &section_info. Defaults apply after
   merging, so a section is parsed once, when the world is built. */
#pragma once
#include "schema/schema.h"

enum section_class { SECTION_TRAFFIC, SECTION_USER };
enum section_layer { SECTION_L4 = 1, SECTION_L7 = 2 };
struct section_info {
    uint8_t class, layers;
    const void *filter; /* struct filter_type of proxy/filter.h; NULL for a core section */
};

struct timeout_section { /* 0 = none */
    struct dur connect;  /* 5s */
    struct dur request;  /* 60s: from the whole request head to the whole response, all tries; 0 for
                            streams such as WebSocket once established */
    struct dur per_try;  /* 0 */
    struct dur idle;     /* 60s: no byte either way on a stream or tunnel */
    struct dur header;   /* 10s: listener side, first byte to end of head */
    struct dur body_idle;           /* 30s: gap between request body bytes */
    struct dur keep_alive;          /* 75s: idle client connection */
    struct dur handshake;           /* 10s: TLS */
    struct dur upstream_keep_alive; /* 55s: idle pooled connection */
};
struct retry_section {
    int64_t attempts; /* retries beyond the first try; default 0 */
    str_list
        on; /* connect-failure reset refused-stream timeout gateway-error 5xx, or a status "503" */
    struct dur backoff_base, backoff_max; /* 25ms, 250ms; full jitter */
    struct ratio budget;                  /* 20%: of active requests that may be retries */
    int64_t budget_min;                   /* 3: retries always allowed at the same time */
    struct bytes body_buffer;             /* 64KiB: a larger request body is not replayed */
    bool non_idempotent;                  /* retry POST and the like also after bytes were sent */
};
struct breaker_section { /* process-wide, per service; 0 = no limit */
    int64_t max_connections, max_pending, max_requests; /* 0, 1024, 0 */
};
struct balance_section {
    struct str algorithm; /* registry "lb"; default round-robin */
};
struct health_section {
    struct health_active {
        uint8_t type;                 /* enum health_type */
        struct str path, host;        /* "/", "" = service name */
        struct dur interval, timeout; /* 5s, 2s */
        int64_t healthy, unhealthy;   /* 2, 3 */
        int_list statuses;            /* [200]… default 200–399 */
    } * active;                       /* NULL: none */
    struct health_passive {
        int64_t consecutive; /* 5 failures in a row: connect failures, resets, timeouts, and 502 503
                                504 answers when statuses is set */
        bool statuses;       /* true */
        struct dur ejection; /* 30s, times the number of ejections, at most 5m */
        struct ratio max_ejected; /* 50% of a service's endpoints (always at least one may be
                                     ejected when there are two or more) */
    } passive;
    struct ratio panic; /* 50%: when fewer are healthy, health is ignored */
};
enum health_type { HEALTH_HTTP, HEALTH_TCP };
struct limits_section {  /* listener side */
    struct bytes head;   /* 16KiB */
    int64_t headers;     /* 100 */
    struct bytes body;   /* 0 = no limit; else 413 */
    int64_t streams;     /* 128 concurrent HTTP/2 streams a connection */
    int64_t requests;    /* 0 = no limit of requests a connection */
    int64_t connections; /* 0 = no limit; over it new connections get 503 and close */
};
struct trust_section { /* who may speak for the client */
    str_list proxies;  /* CIDRs whose X-Forwarded-*, X-Request-Id are believed */
};
extern const struct schema timeout_schema, retry_schema, breaker_schema, balance_schema,
    health_schema, limits_schema, trust_schema;
/* registry_add for each of them; also checks done there: retry.on values, algorithm known to
 * registry "lb". */
void sections_register(void);
