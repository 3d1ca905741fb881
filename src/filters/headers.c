/* headers: sets, adds and removes fixed header fields, both ways. */
#include "proxy/filter.h"

struct edits {
    str_map set, add;
    str_list remove;
};
struct headers_conf {
    struct edits request, response;
};
static const struct field edit_fields[] = {
    FIELD(struct edits, set, "set", "Fields to set, replacing what is there.",
          .flags = F_KEY_NOCASE, .max = 64),
    FIELD(struct edits, add, "add", "Fields to add.", .flags = F_KEY_NOCASE, .max = 64),
    FIELD(struct edits, remove, "remove", "Fields to remove.", .format = FMT_HEADER, .max = 64),
    FEND,
};

static bool refuse(const struct node *at, struct str path, struct str name, const char *why,
                   struct errors *e)
{
    return fail(e, at ? at->file : STR(""), at ? at->line : 0, at ? at->col : 0, path, "'%.*s' %s",
                STR_FMT(str_sub(name, 0, 64)), why);
}

/* Names and values of maps have no format of their own: checked here, so that no edit can become a
 * second field. What frames a message is not for editing: it would be passed over silently. */
static bool check_edits(const void *obj, const struct node *at, struct str path, struct errors *e)
{
    static const char fixed[] = "cannot be edited: it belongs to the connection";
    const struct edits *d = obj;
    const str_map *maps[] = { &d->set, &d->add };
    bool ok = true;
    for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
        for (size_t k = 0; k < maps[i]->n; k++) {
            struct str name = maps[i]->v[k].key;
            if (!header_name_valid(name) || !header_value_valid(maps[i]->v[k].value))
                ok = refuse(at, path, name, "is not a header field with a value that can be sent",
                            e);
            else if (header_fixed(name))
                ok = refuse(at, path, name, fixed, e);
        }
    }
    for (size_t k = 0; k < d->remove.n; k++)
        if (header_fixed(d->remove.v[k]))
            ok = refuse(at, path, d->remove.v[k], fixed, e);
    return ok;
}

static const struct schema edit_schema = {
    .name = "headerEdit",
    .doc = "Changes of header fields: remove, then set, then add.",
    .size = sizeof(struct edits),
    .fields = edit_fields,
    .check = check_edits
};
static const struct field fields[] = {
    FOBJ(struct headers_conf, request, "request", &edit_schema, "Changes of the request."),
    FOBJ(struct headers_conf, response, "response", &edit_schema, "Changes of the response."),
    FEND,
};
static const struct schema schema = { .name = "headers",
                                      .doc = "Sets, adds and removes header fields.",
                                      .size = sizeof(struct headers_conf),
                                      .fields = fields };

static void apply(struct exchange *x, struct http_message *m, const struct edits *d)
{
    for (size_t i = 0; i < d->remove.n; i++)
        headers_remove(&m->headers, d->remove.v[i]);
    for (size_t i = 0; i < d->set.n; i++)
        (void)exchange_set_header(x, m, d->set.v[i].key, d->set.v[i].value);
    for (size_t i = 0; i < d->add.n; i++)
        (void)exchange_add_header(x, m, d->add.v[i].key, d->add.v[i].value);
}

static enum filter_verdict on_request(struct exchange *x, const struct filter *f, void *state)
{
    const struct headers_conf *c = f->conf;
    (void)state;
    apply(x, exchange_request(x), &c->request);
    return FILTER_NEXT;
}

static void on_response(struct exchange *x, const struct filter *f, void *state,
                        struct http_message *response)
{
    const struct headers_conf *c = f->conf;
    (void)state;
    apply(x, response, &c->response);
}

const struct filter_type filter_headers = {
    .name = "headers",
    .phase = PHASE_TRANSFORM,
    .class = SECTION_USER,
    .layers = SECTION_L7,
    .schema = &schema,
    .on_request = on_request,
    .on_response = on_response,
};
