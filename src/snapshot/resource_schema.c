/* The rows of listener, cluster, endpoints and secret resources: they print and read the JSON that
   travels. Names are not among them: the resource has one. */
#include "snapshot/world.h"

static const struct enum_value listen_protocols[] = {
    { "http", LISTEN_HTTP, "HTTP in clear." },
    { "https", LISTEN_HTTPS, "HTTP over TLS." },
    { "tcp", LISTEN_TCP, "Raw TCP." },
    { "tls", LISTEN_TLS, "TLS ends here, raw TCP goes on." },
    { "passthrough", LISTEN_PASSTHROUGH, "TLS that is not ended here, routed by its server name." },
    { NULL, 0, NULL },
};
static const struct enum_value tls_versions[] = {
    { "1.2", 0, "TLS 1.2 or later." },
    { "1.3", 1, "TLS 1.3." },
    { NULL, 0, NULL },
};
static const struct enum_value client_certs[] = {
    { "none", CLIENT_CERT_NONE, "Clients are not asked." },
    { "optional", CLIENT_CERT_OPTIONAL, "Asked for, and checked when given." },
    { "required", CLIENT_CERT_REQUIRED, "Without a good one there is no connection." },
    { NULL, 0, NULL },
};
static const struct field listener_tls_fields[] = {
    FIELD(struct listener_tls, certificates, "certificates", "Secrets with certificate and key.",
          .max = 1000),
    FENUM(struct listener_tls, min_version, "minVersion", tls_versions, "Oldest version of TLS.",
          .def = "1.2"),
    FENUM(struct listener_tls, client_cert, "clientCert", client_certs,
          "Whether clients show a certificate.", .def = "none"),
    FIELD(struct listener_tls, client_ca, "clientCa",
          "Secret with the authorities that sign clients."),
    FIELD(struct listener_tls, session_tickets, "sessionTickets",
          "Sessions may be resumed by ticket."),
    FEND,
};
static const struct schema listener_tls_schema = { .name = "listenerTls",
                                                   .doc = "TLS of a listener.",
                                                   .size = sizeof(struct listener_tls),
                                                   .fields = listener_tls_fields };
static const struct field access_log_fields[] = {
    FIELD(struct access_log_conf, enabled, "enabled", "One line a request.", .def = "true"),
    FIELD(struct access_log_conf, sample, "sample", "Share of the requests that are logged.",
          .def = "100%", .max = 1000000),
    FIELD(struct access_log_conf, file, "file", "Where lines go; empty = standard output."),
    FEND,
};
static const struct schema access_log_schema = { .name = "accessLog",
                                                 .doc = "The access log of a listener.",
                                                 .size = sizeof(struct access_log_conf),
                                                 .fields = access_log_fields };
static const struct field listener_fields[] = {
    FIELD(struct listener, address, "address", "Address and port.", .flags = F_REQUIRED,
          .format = FMT_ADDRESS),
    FENUM(struct listener, protocol, "protocol", listen_protocols, "What is spoken.",
          .def = "http"),
    FIELD(struct listener, h2, "h2", "HTTP/2 is offered.", .def = "true"),
    FIELD(struct listener, hostnames, "hostnames", "Only these hosts; empty = every.",
          .format = FMT_HOST, .max = 1000),
    FOBJ(struct listener, tls, "tls", &listener_tls_schema, "TLS."),
    FOBJ(struct listener, access_log, "accessLog", &access_log_schema, "Access log."),
    FIELD(struct listener, request_id, "requestId", "X-Request-Id is made and passed on.",
          .def = "true"),
    FIELD(struct listener, policy, "policy",
          "Policy set used before a route is known; empty = defaults."),
    FEND,
};
const struct schema listener_schema = { .name = "listener",
                                        .doc = "A listening socket.",
                                        .size = sizeof(struct listener),
                                        .fields = listener_fields };

static const struct enum_value service_protocols[] = {
    { "http", SERVICE_HTTP, "HTTP/1.1." },
    { "h2", SERVICE_H2, "HTTP/2." },
    { "grpc", SERVICE_GRPC, "gRPC, over HTTP/2." },
    { "tcp", SERVICE_TCP, "Raw TCP." },
    { NULL, 0, NULL },
};
static const struct field cluster_tls_fields[] = {
    FIELD(struct cluster_tls, verify, "verify", "The server's certificate is checked.",
          .def = "true"),
    FIELD(struct cluster_tls, name, "name",
          "Server name; empty = host name of the endpoint, else of the service."),
    FIELD(struct cluster_tls, ca, "ca", "Secret with the authorities; empty = the system's."),
    FIELD(struct cluster_tls, certificate, "certificate", "Secret with the client certificate."),
    FEND,
};
static const struct schema cluster_tls_schema = { .name = "clusterTls",
                                                  .doc = "TLS to endpoints.",
                                                  .size = sizeof(struct cluster_tls),
                                                  .fields = cluster_tls_fields };
static const struct field cluster_fields[] = {
    FENUM(struct cluster, protocol, "protocol", service_protocols, "What endpoints speak.",
          .def = "http"),
    FPTR(struct cluster, tls, "tls", &cluster_tls_schema, "TLS; absent = in clear."),
    FIELD(struct cluster, policy, "policy", "Policy set of the service itself; empty = defaults."),
    FEND,
};
const struct schema cluster_schema = { .name = "cluster",
                                       .doc = "A service, or one port of it.",
                                       .size = sizeof(struct cluster),
                                       .fields = cluster_fields };

static const struct field endpoint_fields[] = {
    FIELD(struct endpoint, address, "address", "Address or name, and port.", .flags = F_REQUIRED,
          .format = FMT_ENDPOINT),
    FIELD(struct endpoint, weight, "weight", "Share of the requests against the others.",
          .def = "1", .min = 1, .max = 1000),
    FEND,
};
static const struct schema endpoint_schema = { .name = "endpoint",
                                               .doc = "One replica.",
                                               .size = sizeof(struct endpoint),
                                               .fields = endpoint_fields };
static const struct field endpoints_fields[] = {
    FLIST(struct endpoints, v, "endpoints", &endpoint_schema, "The replicas.",
          .flags = F_STR_SHORT),
    FEND,
};
const struct schema endpoints_schema = { .name = "endpoints",
                                         .doc = "Where the replicas of a service are.",
                                         .size = sizeof(struct endpoints),
                                         .fields = endpoints_fields };

static const struct field secret_fields[] = {
    FIELD(struct secret, cert_pem, "certPem", "Certificate and chain."),
    FIELD(struct secret, key_pem, "keyPem", "Private key.", .flags = F_SECRET),
    FIELD(struct secret, ca_pem, "caPem", "Certificates of authorities."),
    FEND,
};
const struct schema secret_schema = { .name = "secret",
                                      .doc = "Certificates and keys.",
                                      .size = sizeof(struct secret),
                                      .fields = secret_fields };
