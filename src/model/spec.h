/* The specs of all kinds as structs. Their rows are in src/model/kinds; compile reads them. */
#pragma once
#include "schema/schema.h"

extern const struct schema secret_ref_schema;

/* ---- Gateway ---- */
struct secret_ref {
    struct str secret;
};
typedef LIST_OF(struct secret_ref) secret_ref_list;
enum gateway_protocol { GW_HTTP, GW_HTTPS, GW_TCP, GW_TLS };
enum gateway_tls_mode { GW_TERMINATE, GW_PASSTHROUGH };
struct client_certificate_spec {
    uint8_t mode; /* enum client_cert_mode of snapshot/world.h: none, optional, required */
    struct secret_ref *ca;
};
struct listener_tls_spec {
    uint8_t mode; /* enum gateway_tls_mode */
    secret_ref_list certificates;
    uint8_t min_version; /* 0 = 1.2, 1 = 1.3 */
    struct client_certificate_spec client;
    bool session_tickets;
};
struct listener_spec {
    struct str name, address;
    uint8_t protocol; /* enum gateway_protocol */
    struct listener_tls_spec *tls;
    str_list hostnames;
    bool http2;
};
struct access_log_spec {
    uint8_t mode; /* 0 = on, 1 = off */
    struct ratio sample;
    struct str file;
};
struct gateway_spec {
    LIST_OF(struct listener_spec) listeners;
    struct access_log_spec access_log;
    bool request_id;
};

/* ---- Secret ---- */
struct tls_secret_spec {
    struct str certificate, certificate_file, key, key_file; /* texts are filled from the files by resolve */
};
struct ca_secret_spec {
    struct str certificates, file;
};
struct secret_spec {
    struct tls_secret_spec *tls;
    struct ca_secret_spec *ca;
};

/* ---- Service ---- */
struct endpoint_spec {
    struct str address;
    int64_t weight;
};
struct service_tls_spec {
    bool verify;
    struct str server_name;
    struct secret_ref *ca, *certificate;
};
struct service_spec {
    uint8_t protocol; /* enum service_protocol of snapshot/world.h */
    LIST_OF(struct endpoint_spec) endpoints;
    struct service_tls_spec *tls;
};

/* ---- Route ---- */
struct attach_spec {
    struct str gateway, listener; /* listener "" = every one that can carry the route */
};
struct path_spec { /* one of */
    struct str exact, prefix, template, regex;
};
struct value_spec { /* a header or query parameter */
    struct str name, exact, prefix, regex;
    bool present, invert;
};
struct match_spec {
    struct path_spec *path;
    struct str method;
    LIST_OF(struct value_spec) headers, query;
};
struct to_spec {
    struct str service;
    int64_t weight;
};
struct redirect_spec {
    int64_t status;
    struct str scheme, host;
    int64_t port;
    struct str path, prefix_path;
};
struct reply_spec {
    int64_t status;
    struct str content_type, body;
};
struct rewrite_spec {
    struct str host, path, prefix_path;
};
struct header_edits_spec {
    str_map set, add;
    str_list remove;
};
struct headers_spec {
    struct header_edits_spec request, response;
};
struct rule_spec {
    LIST_OF(struct match_spec) match;
    LIST_OF(struct to_spec) to;
    struct redirect_spec *redirect;
    struct reply_spec *reply;
    struct rewrite_spec *rewrite;
    struct headers_spec headers;
};
struct route_spec {
    LIST_OF(struct attach_spec) attach;
    str_list hosts;
    int64_t priority;
    LIST_OF(struct rule_spec) rules;
};

/* ---- Policy ---- */
struct target_spec { /* exactly one of mesh, gateway, service, route; listener narrows gateway */
    struct str mesh, gateway, listener, service, route;
};
struct policy_spec {
    struct target_spec target;
    int64_t priority;
    const struct node *sections; /* sparse: timeout, retry, ... */
};
