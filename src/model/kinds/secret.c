/* Secret: a certificate with its key, or certificates to trust; inline or in files. */
#include "model/spec.h"

static const struct field tls_fields[] = {
    FIELD(struct secret_tls, certificate, "certificate",
          "Certificate chain as PEM, the leaf first."),
    FIELD(struct secret_tls, certificate_file, "certificateFile",
          "File with the certificate chain, beside the document.", .format = FMT_FILE,
          .example = "shop.crt"),
    FIELD(struct secret_tls, key, "key", "Private key as PEM, not encrypted.", .flags = F_SECRET),
    FIELD(struct secret_tls, key_file, "keyFile", "File with the private key, beside the document.",
          .format = FMT_FILE, .example = "shop.key"),
    FEND,
};

/* Exactly one of two texts; path is the map that holds them. */
static bool one_of_two(const struct node *at, struct str path, struct errors *e,
                       const char *inline_, const char *file)
{
    bool a = node_get(at, str_from(inline_)), b = node_get(at, str_from(file));
    if (a != b)
        return true;
    return fail(e, at->file, at->line, at->col, path,
                a ? "want only one of %s, %s" : "want one of %s, %s", inline_, file);
}

static bool tls_check(const void *obj, const struct node *at, struct str path, struct errors *e)
{
    (void)obj;
    bool ok = one_of_two(at, path, e, "certificate", "certificateFile");
    return one_of_two(at, path, e, "key", "keyFile") && ok;
}

static const struct schema tls_schema = { .name = "secret-tls",
                                          .doc = "A certificate and its private key.",
                                          .size = sizeof(struct secret_tls),
                                          .fields = tls_fields,
                                          .check = tls_check };
static const struct field ca_fields[] = {
    FIELD(struct secret_ca, certificates, "certificates", "Certificates to trust as PEM."),
    FIELD(struct secret_ca, file, "file", "File with the certificates, beside the document.",
          .format = FMT_FILE, .example = "ca.pem"),
    FEND,
};
static const struct schema ca_schema = { .name = "secret-ca",
                                         .doc = "Certificates to trust.",
                                         .size = sizeof(struct secret_ca),
                                         .fields = ca_fields,
                                         .one_of = true };
static const struct field fields[] = {
    FPTR(struct secret_spec, tls, "tls", &tls_schema, "A certificate and its private key."),
    FPTR(struct secret_spec, ca, "ca", &ca_schema, "Certificates to trust."),
    FEND,
};
static const struct schema spec_schema = { .name = "Secret",
                                           .doc =
                                               "A certificate and key, or certificates to trust.",
                                           .size = sizeof(struct secret_spec),
                                           .fields = fields,
                                           .one_of = true };

struct reader {
    const struct object *o;
    const struct model_input *in;
    struct arena *a;
    struct errors *e;
};

/* file, when given, is read into text. */
static bool read_text(const struct reader *r, struct str file, const char *path, struct str *text)
{
    const char *why = "files cannot be read here";
    if (!file.p)
        return true;
    if (r->in && r->in->read_file &&
        r->in->read_file(r->in->arg, r->o->doc->file, file, r->a, text, &why))
        return true;
    return spec_fail(r->e, r->o, str_from(path), "cannot read '%.*s': %s", STR_FMT(file), why);
}

static bool resolve(struct object *o, const struct model_input *in, struct arena *a,
                    struct errors *e)
{
    struct secret_spec *s = o->spec;
    struct secret_tls *t = s->tls;
    struct reader r = { o, in, a, e };
    if (!t)
        return read_text(&r, s->ca->file, "spec.ca.file", &s->ca->certificates);
    bool ok = read_text(&r, t->certificate_file, "spec.tls.certificateFile", &t->certificate);
    return read_text(&r, t->key_file, "spec.tls.keyFile", &t->key) && ok;
}

const struct kind kind_secret = { .name = "Secret",
                                  .doc = "A certificate and key, or certificates to trust.",
                                  .spec = &spec_schema,
                                  .resolve = resolve };
