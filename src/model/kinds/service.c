/* Service: what requests are sent to, and where its replicas are. */
#include "model/spec.h"

static const struct enum_value protocols[] = {
    { "http", MODEL_HTTP, "HTTP/1.1." },
    { "h2", MODEL_H2, "HTTP/2; in clear with prior knowledge." },
    { "grpc", MODEL_GRPC, "gRPC over HTTP/2." },
    { "tcp", MODEL_TCP, "Bytes of any protocol." },
    { NULL, 0, NULL },
};
static const struct field endpoint_fields[] = {
    FIELD(struct service_endpoint, address, "address", "Address, or a DNS name, with the port.",
          .flags = F_REQUIRED, .format = FMT_ENDPOINT, .example = "127.0.0.1:9001"),
    FIELD(struct service_endpoint, weight, "weight", "Share of this endpoint among all.",
          .def = "1", .min = 1, .max = 1000),
    FEND,
};
static const struct schema endpoint_schema = { .name = "endpoint",
                                               .doc = "One replica.",
                                               .size = sizeof(struct service_endpoint),
                                               .fields = endpoint_fields };
static const struct field tls_fields[] = {
    FIELD(struct service_tls, verify, "verify", "The endpoint's certificate must be good.",
          .def = "true"),
    FIELD(struct service_tls, server_name, "serverName",
          "Name asked for and found in the certificate; absent = the endpoint's host name; of an "
          "address: the service's name, or that address in the certificate.",
          .format = FMT_HOST, .example = "shop.internal"),
    FOBJ(struct service_tls, ca, "ca", &secret_ref_schema,
         "Certificates to trust; absent = those of the system."),
    FOBJ(struct service_tls, certificate, "certificate", &secret_ref_schema,
         "Certificate and key shown to the endpoint; absent = none."),
    FEND,
};
static const struct schema tls_schema = { .name = "service-tls",
                                          .doc = "TLS to the endpoints.",
                                          .size = sizeof(struct service_tls),
                                          .fields = tls_fields };
static const struct field fields[] = {
    FENUM(struct service_spec, protocol, "protocol", protocols, "What the endpoints speak.",
          .def = "http"),
    FLIST(
        struct service_spec, endpoints, "endpoints", &endpoint_schema,
        "The replicas: addresses, or maps with address and weight; none = every request gets 503.",
        .flags = F_STR_SHORT, .max = 10000),
    FPTR(struct service_spec, tls, "tls", &tls_schema, "TLS to the endpoints; absent = in clear."),
    FEND,
};
static const struct schema spec_schema = { .name = "Service",
                                           .doc = "What requests are sent to.",
                                           .size = sizeof(struct service_spec),
                                           .fields = fields };

static bool check(const struct object *o, const struct model *m, struct errors *e)
{
    const struct service_spec *s = o->spec;
    if (!s->tls)
        return true;
    bool ok = reference_secret(o, m, e, STR("spec.tls.ca.secret"), s->tls->ca.secret);
    if (!s->tls->verify && s->tls->ca.secret.n)
        ok = spec_fail(e, o, STR("spec.tls.ca"), "nothing is checked against it: verify is false");
    if (s->tls->server_name.n && s->tls->server_name.p[0] == '*')
        ok = spec_fail(e, o, STR("spec.tls.serverName"), "want one name, not a wildcard");
    return reference_secret(o, m, e, STR("spec.tls.certificate.secret"),
                            s->tls->certificate.secret) &&
           ok;
}

const struct kind kind_service = {
    .name = "Service", .doc = "What requests are sent to.", .spec = &spec_schema, .check = check
};
