/* The world: what a proxy runs. Built aside from resources, immutable, refcounted, swapped by one
   pointer. Nothing is half-applied: building fails as a whole, with errors. Blobs of an older world
   with the same hash are shared, so a swap costs what changed. */
#pragma once
#include "codec/message.h"
#include "codec/path.h"
#include "snapshot/resource.h"
#include "snapshot/route_table.h"
#include "snapshot/sections.h"

/* ---- resources as structs; the schemas are their wire form ---- */
enum listen_protocol {
    LISTEN_HTTP,
    LISTEN_HTTPS,
    LISTEN_TCP,
    LISTEN_TLS /* terminate, then raw */,
    LISTEN_PASSTHROUGH /* by SNI */
};
enum client_cert_mode { CLIENT_CERT_NONE, CLIENT_CERT_OPTIONAL, CLIENT_CERT_REQUIRED };
struct listener_tls {
    str_list certificates; /* RES_SECRET names */
    uint8_t min_version;   /* 0 = TLS 1.2, 1 = TLS 1.3 */
    uint8_t client_cert;   /* enum client_cert_mode */
    struct str client_ca;  /* RES_SECRET name */
    bool session_tickets;
};
struct access_log_conf {
    bool enabled;        /* default true */
    struct ratio sample; /* 100% */
    struct str file;     /* "" = standard output */
};
struct listener {
    struct str name; /* "edge/web": gateway, listener */
    struct str gateway, section;
    struct str address; /* "127.0.0.1:8000" */
    uint8_t protocol;
    bool h2;            /* offer HTTP/2: ALPN and, in clear, prior knowledge; default true */
    str_list hostnames; /* only these; empty = every */
    struct listener_tls tls;
    struct access_log_conf access_log;
    bool request_id; /* make and pass X-Request-Id; default true */
    struct str
        policy; /* RES_POLICY of mesh, gateway and listener targets: used before a route is known */
    /* resolved when the world is built: */
    const struct policy_set *policy_set; /* never NULL */
    const struct host_index *hosts;      /* routes of this listener; NULL when none */
};
enum service_protocol { SERVICE_HTTP, SERVICE_H2, SERVICE_GRPC /* h2 */, SERVICE_TCP };
struct cluster_tls {
    bool verify;            /* default true */
    struct str name;        /* SNI and the certificate's name; "" = host name of the endpoint; of an
                               address the service's name, or that address in the certificate */
    struct str ca;          /* RES_SECRET; "" = system store */
    struct str certificate; /* RES_SECRET: client certificate; "" = none */
};
struct endpoint {
    struct str address; /* "127.0.0.1:9001" or "name:port" (DNS) */
    int64_t weight;     /* 1..1000 */
};
struct cluster {
    struct str name;
    uint8_t protocol;        /* enum service_protocol */
    struct cluster_tls *tls; /* NULL = clear */
    struct str policy;       /* RES_POLICY of the service itself: balance, health, breaker */
    /* resolved: */
    const struct policy_set *policy_set;
    LIST_OF(struct endpoint) endpoints; /* from RES_ENDPOINTS of the same name */
    uint32_t index;                     /* 0.. in world.clusters */
};
/* RES_ENDPOINTS: those of the cluster with the same name. */
struct endpoints {
    LIST_OF(struct endpoint) v;
};
struct secret {
    struct str name;
    struct str cert_pem, key_pem, ca_pem; /* as the kind of secret has them */
};
/* The wire form of each: JSON of the struct, defaults left out. RES_POLICY is {"sections": {key:
 * sparse tree}, "origins": {key: "Policy/name"}}. */
extern const struct schema listener_schema, cluster_schema, endpoints_schema, secret_schema;
/* A merged policy set: core sections parsed with defaults, and one row a filter section present. */
struct filter_conf {
    const struct registry_row *row; /* row->extra is struct section_info * */
    const void *conf;               /* struct of the filter's schema */
    struct str origin; /* the Policy object that gave the section (the most specific one): identity
                          of limiter state */
};
struct policy_set {
    struct str name; /* "" for the set of all defaults */
    const struct timeout_section *timeout;
    const struct retry_section *retry;
    const struct breaker_section *breaker;
    const struct balance_section *balance;
    const struct health_section *health;
    const struct limits_section *limits;
    const struct trust_section *trust;
    LIST_OF(struct filter_conf) filters; /* sorted by filter phase then name by the proxy */
    void *runtime;                       /* the proxy's */
};

struct world;
struct world_input {
    const resource_list *resources; /* bytes are copied */
    /* Told of the bytes of each resource once they are not needed any more, in the order of the
       list; NULL: nobody wants to know. */
    void (*used)(void *arg, struct str bytes);
    void *used_arg;
};
/* NULL with errors. prev (may be NULL) lends blobs: a resource with the hash of one of its blobs is
   taken as that, unread, so hashes must be true. sections_register comes first. */
struct world *world_build(const struct world_input *in, const struct world *prev, struct errors *e);
struct world *world_ref(struct world *w); /* atomic */
void world_unref(struct world *w);
/* Called before the memory goes, on the thread of the last unref. One slot, for the proxy's runtime
 * objects. */
void world_on_free(struct world *w, void (*fn)(struct world *w, void *arg), void *arg);

typedef LIST_OF(struct listener) listener_list;
typedef LIST_OF(struct cluster) cluster_list;
const listener_list *world_listeners(const struct world *w);
const cluster_list *world_clusters(const struct world *w);
const struct cluster *world_cluster(const struct world *w, struct str name); /* NULL */
const struct secret *world_secret(const struct world *w, struct str name);   /* NULL */
size_t world_routes(const struct world *w);                                  /* number of rules */
const char *
world_hash(const struct world *w); /* 64 hex characters: hash over all resource hashes */
/* Visits every distinct policy set and every listener and cluster, for the proxy to attach its
 * runtime. */
void world_policy_sets(struct world *w, void (*fn)(struct policy_set *p, void *arg), void *arg);
/* The whole as a tree for /config: secrets redacted. */
struct node *world_describe(const struct world *w, struct arena *a);

/* ---- resolved routes ---- */
struct backend {
    const struct cluster *cluster;
    const struct policy_set *policy; /* never NULL */
    uint32_t weight;
};
struct action { /* resolved once per distinct action of a table */
    uint8_t type;
    bool path_prefix;
    uint16_t status, port;
    uint32_t total_weight;
    LIST_OF(struct backend) backends;
    const struct policy_set *policy; /* never NULL: the set when no backend is chosen */
    struct str scheme, host, path, content_type, body;
    LIST_OF(struct header_edit) edits;
};
