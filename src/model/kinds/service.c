/* Service: what requests are sent to. */
#include "model/model.h"
#include "model/spec.h"

static const struct enum_value protocols[] = {
    { "http", 0, "HTTP/1.1." },
    { "h2", 1, "HTTP/2." },
    { "grpc", 2, "gRPC, over HTTP/2." },
    { "tcp", 3, "Any TCP traffic." },
    { NULL },
};
static const struct field endpoint_fields[] = {
    FIELD(struct endpoint_spec, address, "address", "Address or DNS name, with port.", .format = FMT_ENDPOINT, .flags = F_REQUIRED,
          .example = "10.0.0.7:8080"),
    FIELD(struct endpoint_spec, weight, "weight", "Share of the traffic, against the other endpoints' weights.", .def = "1", .min = 1, .max = 1000),
    FEND,
};
static const struct schema endpoint_spec_schema = { .name = "endpoint", .doc = "One replica.", .size = sizeof(struct endpoint_spec), .fields = endpoint_fields };
static const struct field tls_fields[] = {
    FIELD(struct service_tls_spec, verify, "verify", "Verifies the service's certificate.", .def = "true"),
    FIELD(struct service_tls_spec, server_name, "serverName",
          "Name to ask for and to verify; by default the endpoint's DNS name, else the service's name.", .format = FMT_HOST),
    FPTR(struct service_tls_spec, ca, "ca", &secret_ref_schema, "Authorities to trust; by default the system's."),
    FPTR(struct service_tls_spec, certificate, "certificate", &secret_ref_schema, "Client certificate to show."),
    FEND,
};
static const struct schema tls_schema = { .name = "serviceTls", .doc = "TLS to the endpoints.", .size = sizeof(struct service_tls_spec), .fields = tls_fields };
static const struct field fields[] = {
    FENUM(struct service_spec, protocol, "protocol", protocols, "What the endpoints speak.", .def = "http"),
    FLIST(struct service_spec, endpoints, "endpoints", &endpoint_spec_schema, "The replicas; a plain string is an address.",
          .flags = F_STR_SHORT, .max = 10000),
    FPTR(struct service_spec, tls, "tls", &tls_schema, "Encrypts to the endpoints."),
    FEND,
};
static const struct schema spec = { .name = "Service", .doc = "What requests are sent to: a protocol and endpoints.", .size = sizeof(struct service_spec), .fields = fields };

static bool needs(const struct object *o, const struct model *m, struct errors *e, const struct secret_ref *r, bool ca)
{
    const struct object *s = r ? model_find(m, "Secret", r->secret) : NULL;
    const struct secret_spec *v = s ? s->spec : NULL;
    if (!v || (ca ? v->ca != NULL : v->tls != NULL))
        return true;
    return object_fail(e, o, NULL, ca ? STR("spec.tls.ca") : STR("spec.tls.certificate"), "Secret '%.*s' must hold %s", STR_FMT(r->secret),
                       ca ? "authorities (ca)" : "a certificate with key (tls)");
}

static bool check(const struct object *o, const struct model *m, struct errors *e)
{
    const struct service_spec *s = o->spec;
    if (!s->tls)
        return true;
    bool ok = needs(o, m, e, s->tls->ca, true);
    return needs(o, m, e, s->tls->certificate, false) && ok;
}

const struct kind kind_service = { .name = "Service", .doc = "What requests are sent to.", .spec = &spec, .check = check };
