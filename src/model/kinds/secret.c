/* Secret: certificates, keys, authorities; inline or from files beside the document. */
#include "model/model.h"
#include "model/spec.h"

static const struct field tls_fields[] = {
    FIELD(struct tls_secret_spec, certificate, "certificate", "Certificate chain in PEM, the leaf first."),
    FIELD(struct tls_secret_spec, certificate_file, "certificateFile", "File with the certificate chain.", .format = FMT_FILE, .example = "shop.crt"),
    FIELD(struct tls_secret_spec, key, "key", "Private key in PEM.", .flags = F_SECRET),
    FIELD(struct tls_secret_spec, key_file, "keyFile", "File with the private key.", .format = FMT_FILE, .example = "shop.key"),
    FEND,
};
static const struct schema tls_schema = { .name = "tlsSecret", .doc = "A certificate with its key.", .size = sizeof(struct tls_secret_spec), .fields = tls_fields };
static const struct field ca_fields[] = {
    FIELD(struct ca_secret_spec, certificates, "certificates", "Certificates in PEM."),
    FIELD(struct ca_secret_spec, file, "file", "File with the certificates.", .format = FMT_FILE, .example = "ca.crt"),
    FEND,
};
static const struct schema ca_schema = { .name = "caSecret", .doc = "Certificates of authorities.", .size = sizeof(struct ca_secret_spec), .fields = ca_fields };
static const struct field fields[] = {
    FPTR(struct secret_spec, tls, "tls", &tls_schema, "A certificate with its key."),
    FPTR(struct secret_spec, ca, "ca", &ca_schema, "Certificates of authorities to trust."),
    FEND,
};
static const struct schema spec = { .name = "Secret", .doc = "Certificates, keys and authorities.", .size = sizeof(struct secret_spec), .fields = fields, .one_of = true };

struct source {
    const char *text_name, *file_name;
    struct str *text;
    struct str file;
    struct str section;
};

/* Exactly one of text and file; the file's bytes become the text. */
static bool load(struct object *o, const struct model_input *in, const struct source *s, struct arena *a, struct errors *e)
{
    const char *why = "files cannot be read here";
    const struct node *sec = node_get(o->spec_node, s->section), *at = node_get(sec, str_from(s->file_name));
    struct str path = arena_fmt(a, "spec.%.*s.%s", STR_FMT(s->section), s->file_name);
    if ((s->text->n > 0) == (s->file.n > 0))
        return object_fail(e, o, sec, arena_fmt(a, "spec.%.*s", STR_FMT(s->section)), "give either %s or %s", s->text_name, s->file_name);
    if (!s->file.n)
        return true;
    if (!in->read_file || !in->read_file(in->arg, o->doc->file, s->file, a, s->text, &why))
        return object_fail(e, o, at, path, "cannot read '%.*s': %s", STR_FMT(s->file), why);
    if (s->text->n == 0)
        return object_fail(e, o, at, path, "'%.*s' is empty", STR_FMT(s->file));
    return true;
}

static bool resolve(struct object *o, const struct model_input *in, struct arena *a, struct errors *e)
{
    struct secret_spec *s = o->spec;
    bool ok = true;
    if (s->tls) {
        struct source cert = { "certificate", "certificateFile", &s->tls->certificate, s->tls->certificate_file, STR("tls") };
        struct source key = { "key", "keyFile", &s->tls->key, s->tls->key_file, STR("tls") };
        ok = load(o, in, &cert, a, e);
        ok = load(o, in, &key, a, e) && ok;
    }
    if (s->ca) {
        struct source ca = { "certificates", "file", &s->ca->certificates, s->ca->file, STR("ca") };
        ok = load(o, in, &ca, a, e) && ok;
    }
    return ok;
}

const struct kind kind_secret = { .name = "Secret", .doc = "Certificates, keys and authorities.", .spec = &spec, .resolve = resolve };
