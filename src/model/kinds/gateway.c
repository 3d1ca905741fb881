/* Gateway: where connections come in. */
#include "model/model.h"
#include "model/spec.h"

static const struct enum_value protocols[] = {
    { "http", GW_HTTP, "HTTP/1.1 and HTTP/2 in clear." },
    { "https", GW_HTTPS, "HTTP/1.1 and HTTP/2 over TLS." },
    { "tcp", GW_TCP, "Any TCP traffic." },
    { "tls", GW_TLS, "Any TCP traffic inside TLS, terminated here or passed through by server name." },
    { NULL },
};
static const struct enum_value tls_modes[] = {
    { "terminate", GW_TERMINATE, "TLS ends here." },
    { "passthrough", GW_PASSTHROUGH, "TLS is passed on as it is; routes choose by server name." },
    { NULL },
};
static const struct enum_value versions[] = { { "1.2", 0, "TLS 1.2 and later." }, { "1.3", 1, "TLS 1.3 only." }, { NULL } };
static const struct enum_value client_modes[] = {
    { "none", 0, "No certificate is asked for." },
    { "optional", 1, "Asked for; one that is given must verify." },
    { "required", 2, "Without a verified certificate there is no connection." },
    { NULL },
};
static const struct enum_value log_modes[] = { { "on", 0, "One line a request." }, { "off", 1, "None." }, { NULL } };

static const struct field secret_ref_fields[] = {
    FIELD(struct secret_ref, secret, "secret", "Name of a Secret.", .format = FMT_NAME, .flags = F_REQUIRED | F_REF, .ref = "Secret"),
    FEND,
};
const struct schema secret_ref_schema = { .name = "secretRef", .doc = "Refers to a Secret.", .size = sizeof(struct secret_ref), .fields = secret_ref_fields };

static const struct field client_fields[] = {
    FENUM(struct client_certificate_spec, mode, "mode", client_modes, "Whether clients must show a certificate.", .def = "none"),
    FPTR(struct client_certificate_spec, ca, "ca", &secret_ref_schema, "Authorities that client certificates are verified against."),
    FEND,
};
static const struct schema client_schema = { .name = "clientCertificate", .doc = "Client certificates.", .size = sizeof(struct client_certificate_spec), .fields = client_fields };

static const struct field tls_fields[] = {
    FENUM(struct listener_tls_spec, mode, "mode", tls_modes, "Where TLS ends.", .def = "terminate"),
    FLIST(struct listener_tls_spec, certificates, "certificates", &secret_ref_schema,
          "Certificates with keys, chosen by the server name a client asks for; the first one is the default."),
    FENUM(struct listener_tls_spec, min_version, "minVersion", versions, "Oldest TLS version accepted.", .def = "1.2"),
    FOBJ(struct listener_tls_spec, client, "clientCertificate", &client_schema, "Client certificates."),
    FIELD(struct listener_tls_spec, session_tickets, "sessionTickets", "Lets clients resume sessions by ticket.", .def = "true"),
    FEND,
};
static const struct schema tls_schema = { .name = "listenerTls", .doc = "TLS of a listener.", .size = sizeof(struct listener_tls_spec), .fields = tls_fields };

static bool check_listener(const void *obj, const struct node *at, struct str path, struct errors *e)
{
    const struct listener_spec *l = obj;
    bool passthrough = l->tls && l->tls->mode == GW_PASSTHROUGH, secure = l->protocol == GW_HTTPS || l->protocol == GW_TLS;
    const char *wrong = NULL;
    if (secure && !l->tls)
        wrong = "protocol https or tls needs a tls section with certificates";
    else if (!secure && l->tls)
        wrong = "a tls section needs protocol https or tls";
    else if (secure && !passthrough && l->tls->certificates.n == 0)
        wrong = "tls.certificates is empty: name at least one Secret";
    else if (passthrough && l->protocol != GW_TLS)
        wrong = "tls.mode passthrough needs protocol tls";
    else if (passthrough && l->tls->certificates.n)
        wrong = "tls.mode passthrough uses no certificates";
    else if (l->tls && l->tls->client.mode && !l->tls->client.ca)
        wrong = "tls.clientCertificate needs ca: whom to trust";
    if (!wrong)
        return true;
    return fail(e, at ? at->file : STR(""), at ? at->line : 0, at ? at->col : 0, path, "%s", wrong);
}

static const struct field listener_fields[] = {
    FIELD(struct listener_spec, name, "name", "Name of the listener, unique in its gateway.", .format = FMT_NAME, .flags = F_REQUIRED),
    FIELD(struct listener_spec, address, "address", "Address and port to listen on; port 0 takes a free one.", .format = FMT_ADDRESS,
          .flags = F_REQUIRED, .example = "0.0.0.0:8443"),
    FENUM(struct listener_spec, protocol, "protocol", protocols, "What is spoken on it.", .def = "http"),
    FPTR(struct listener_spec, tls, "tls", &tls_schema, "TLS settings."),
    FIELD(struct listener_spec, hostnames, "hostnames", "Serves only these hosts; none means every host.", .format = FMT_HOST),
    FIELD(struct listener_spec, http2, "http2", "Offers HTTP/2: by ALPN, and in clear by prior knowledge.", .def = "true"),
    FEND,
};
static const struct schema listener_spec_schema = { .name = "listener", .doc = "A listening socket.", .size = sizeof(struct listener_spec), .fields = listener_fields, .check = check_listener };

static const struct field log_fields[] = {
    FENUM(struct access_log_spec, mode, "mode", log_modes, "Whether requests are logged.", .def = "on"),
    FIELD(struct access_log_spec, sample, "sample", "Share of requests that is logged; failures always are.", .def = "100%"),
    FIELD(struct access_log_spec, file, "file", "File to append to; none means standard output.", .format = FMT_FILE),
    FEND,
};
static const struct schema log_schema = { .name = "accessLog", .doc = "The access log.", .size = sizeof(struct access_log_spec), .fields = log_fields };

static const struct field fields[] = {
    FLIST(struct gateway_spec, listeners, "listeners", &listener_spec_schema, "The listeners.", .flags = F_REQUIRED, .min = 1, .max = 1000),
    FOBJ(struct gateway_spec, access_log, "accessLog", &log_schema, "The access log."),
    FIELD(struct gateway_spec, request_id, "requestId", "Gives each request an id, sent both ways as X-Request-Id.", .def = "true"),
    FEND,
};
static const struct schema spec = { .name = "Gateway", .doc = "Where connections come in: listeners with their protocol and TLS.", .size = sizeof(struct gateway_spec), .fields = fields };

static bool check_secret(const struct object *o, const struct model *m, struct errors *e, struct str name, bool ca, struct str path)
{
    const struct object *s = model_find(m, "Secret", name);
    const struct secret_spec *v = s ? s->spec : NULL;
    if (!v || (ca ? v->ca != NULL : v->tls != NULL))
        return true; /* a missing one is reported with all references */
    return object_fail(e, o, NULL, path, ca ? "Secret '%.*s' holds a certificate with key; a ca is needed here"
                                            : "Secret '%.*s' holds authorities; a certificate with key is needed here", STR_FMT(name));
}

static bool check(const struct object *o, const struct model *m, struct errors *e)
{
    const struct gateway_spec *g = o->spec;
    bool ok = true;
    for (size_t i = 0; i < g->listeners.n; i++) {
        const struct listener_spec *l = &g->listeners.v[i];
        for (size_t k = 0; k < i; k++)
            if (str_eq(g->listeners.v[k].name, l->name))
                ok = object_fail(e, o, NULL, STR("spec.listeners"), "two listeners are called '%.*s'", STR_FMT(l->name));
        for (size_t k = 0; l->tls && k < l->tls->certificates.n; k++)
            ok &= check_secret(o, m, e, l->tls->certificates.v[k].secret, false, STR("spec.listeners.tls.certificates"));
        if (l->tls && l->tls->client.ca)
            ok &= check_secret(o, m, e, l->tls->client.ca->secret, true, STR("spec.listeners.tls.clientCertificate.ca"));
    }
    return ok;
}

const struct kind kind_gateway = { .name = "Gateway", .doc = "Where connections come in.", .spec = &spec, .check = check };
