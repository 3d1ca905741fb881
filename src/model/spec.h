/* The spec of each kind as the schemas in kinds/ fill it, and what the kinds share: places in a
   document, references, the layer of a route. Read by compile. */
#pragma once
#include "model/model.h"

struct secret_ref {
    struct str secret; /* "" when the whole reference is absent */
};
extern const struct schema secret_ref_schema;

/* ---- Gateway ---- */
enum gateway_protocol { GATEWAY_HTTP, GATEWAY_HTTPS, GATEWAY_TCP, GATEWAY_TLS };
enum gateway_tls_mode { GATEWAY_TERMINATE, GATEWAY_PASSTHROUGH };
enum gateway_client_mode { GATEWAY_CLIENT_NONE, GATEWAY_CLIENT_OPTIONAL, GATEWAY_CLIENT_REQUIRED };
struct gateway_client_certificate {
    uint8_t mode; /* enum gateway_client_mode */
    struct secret_ref ca;
};
struct gateway_tls {
    uint8_t mode; /* enum gateway_tls_mode */
    LIST_OF(struct secret_ref) certificates;
    uint8_t min_version; /* 0 = 1.2, 1 = 1.3 */
    struct gateway_client_certificate client;
    bool session_tickets;
};
struct gateway_listener {
    struct str name, address;
    uint8_t protocol; /* enum gateway_protocol */
    str_list hostnames;
    struct gateway_tls *tls; /* NULL = none; never NULL for https and tls */
    bool http2;
};
struct gateway_access_log {
    uint8_t mode; /* 0 = off, 1 = on */
    struct ratio sample;
    struct str file;
};
struct gateway_spec {
    LIST_OF(struct gateway_listener) listeners;
    struct gateway_access_log access_log;
    bool request_id;
};
/* Carries bytes, not HTTP requests. */
bool gateway_listener_raw(const struct gateway_listener *l);
const struct gateway_listener *gateway_find_listener(const struct gateway_spec *g, struct str name);
/* May a request for host (a host name or *.wildcard; "" = every) come in by this listener? */
bool gateway_listener_takes_host(const struct gateway_listener *l, struct str host);

/* ---- Secret ---- */
struct secret_tls {
    struct str certificate, certificate_file, key, key_file; /* files are read into the texts */
};
struct secret_ca {
    struct str certificates, file;
};
struct secret_spec { /* one of */
    struct secret_tls *tls;
    struct secret_ca *ca;
};

/* ---- Service ---- */
enum model_protocol { MODEL_HTTP, MODEL_H2, MODEL_GRPC, MODEL_TCP };
struct service_endpoint {
    struct str address;
    int64_t weight;
};
struct service_tls {
    bool verify;
    struct str server_name;
    struct secret_ref ca, certificate;
};
struct service_spec {
    uint8_t protocol; /* enum model_protocol */
    LIST_OF(struct service_endpoint) endpoints;
    struct service_tls *tls; /* NULL = clear */
};

/* ---- Route ---- */
struct route_attach {
    struct str gateway, listener; /* listener "" = every listener of the gateway that fits */
};
struct route_path { /* one of; absent = {NULL, 0} */
    struct str exact, prefix, template, regex;
};
struct route_value_test { /* one of */
    struct str exact, prefix, regex;
    uint8_t present; /* 0 = not given, 1 = false, 2 = true */
};
struct route_value {
    struct str name;
    struct route_value_test test;
    bool invert;
};
struct route_match_spec {
    struct route_path *path;
    struct str method;
    LIST_OF(struct route_value) headers;
    LIST_OF(struct route_value) query;
};
struct route_to {
    struct str service;
    int64_t weight;
};
struct route_redirect {
    int64_t status;
    struct str scheme, host;
    int64_t port;
    struct str path, prefix_path;
};
struct route_reply {
    int64_t status;
    struct str content_type, body;
};
struct route_rewrite {
    struct str host, path, prefix_path;
};
struct route_edits {
    str_map set, add;
    str_list remove;
};
struct route_headers {
    struct route_edits request, response;
};
struct route_rule {
    LIST_OF(struct route_match_spec) match; /* any of them; empty = everything */
    LIST_OF(struct route_to) to;
    struct route_redirect *redirect;
    struct route_reply *reply;
    struct route_rewrite *rewrite;
    struct route_headers *headers;
};
struct route_spec {
    LIST_OF(struct route_attach) attach;
    str_list hosts;
    int64_t priority;
    LIST_OF(struct route_rule) rules;
};
/* Does the route carry bytes (its services speak tcp)? Such a route stands on raw listeners only.
 */
bool route_raw(const struct route_spec *r, const struct model *m);
/* Is the listener one of those that the attachment means? */
bool route_attaches(const struct route_attach *at, bool raw, const struct gateway_listener *l);

/* ---- Policy ---- */
struct policy_object { /* one of */
    struct str mesh, gateway, service, route;
};
struct policy_target {
    struct policy_object object;
    struct str listener; /* of the gateway; "" = all of it */
};
struct policy_spec {
    struct policy_target target;
    int64_t priority;
    const struct node *sections; /* sparse; NULL = none */
};

/* ---- shared ---- */
struct object_metadata {
    struct str name, mesh, created;
    str_map labels;
};
extern const struct schema metadata_schema;
/* Like object_fail, but the node is found by path: the deepest part of it that is there. */
bool spec_fail(struct errors *e, const struct object *o, struct str path, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* A path for spec_fail; made only when there is an error. */
#define AT(...) arena_fmt(e->a, __VA_ARGS__)
/* An error about a name that is not there, with the nearest that is. */
bool reference_fail(struct errors *e, const struct object *o, const struct model *m,
                    struct str path, const char *kind, struct str name);
/* The Secret must be there, with certificates to trust when path ends in ca.secret, else with a
   certificate and key. "" is no reference. */
bool reference_secret(const struct object *o, const struct model *m, struct errors *e,
                      struct str path, struct str name);
/* "; did you mean 'x'?" for the best of the names tried, else "". */
struct near {
    struct str wrong, best;
    size_t distance;
    char text[96];
};
void near_try(struct near *g, struct str name);
const char *near_text(struct near *g);

/* ---- route_rules.c ---- what rules say, without other objects */
bool route_rules_check(const struct object *o, struct errors *e);

/* ---- variable.c ---- */
/* n with every ${NAME} in its scalars replaced; n itself when there is none. False with errors. */
bool variables_replace(const struct node *n, const struct model_input *in, struct arena *a,
                       const struct node **ret, struct errors *e);
