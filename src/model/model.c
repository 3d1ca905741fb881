/* Documents to objects: the frame that all kinds share (apiVersion, kind, metadata, spec), one name
   once, then what each kind checks itself. An object with errors stays in the model without a spec,
   so that references to it are not errors as well. */
#include "model/spec.h"

enum { ID_MAX = 320 }; /* kind, '/', a name of at most 253 */

static bool created_valid(struct str s)
{
    static const char form[] = "0000-00-00T00:00:00Z";
    if (s.n != sizeof(form) - 1)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (form[i] == '0' ? s.p[i] < '0' || s.p[i] > '9' : s.p[i] != form[i])
            return false;
    return true;
}

static bool metadata_check(const void *obj, const struct node *at, struct str path,
                           struct errors *e)
{
    const struct object_metadata *m = obj;
    const struct node *n;
    bool ok = true;
    (void)path;
    if (!str_eq(m->mesh, STR("default"))) {
        n = node_get(at, STR("mesh"));
        ok = fail(e, n->file, n->line, n->col, STR("metadata.mesh"),
                  "there is one mesh, 'default', not '%.*s'", STR_FMT(m->mesh));
    }
    if (m->created.p && !created_valid(m->created)) {
        n = node_get(at, STR("created"));
        ok = fail(e, n->file, n->line, n->col, STR("metadata.created"),
                  "want a time in UTC like 2024-05-01T12:00:00Z");
    }
    return ok;
}

static const struct field metadata_fields[] = {
    FIELD(struct object_metadata, name, "name", "Name, unique for its kind.", .flags = F_REQUIRED,
          .format = FMT_NAME, .example = "shop"),
    FIELD(struct object_metadata, mesh, "mesh", "Mesh the object belongs to.", .def = "default",
          .format = FMT_NAME),
    FIELD(struct object_metadata, labels, "labels", "Free marks to select objects by.", .max = 64),
    FIELD(struct object_metadata, created, "created",
          "Time of creation in UTC; between routes that tie, the older one wins.",
          .example = "2024-05-01T12:00:00Z"),
    FEND,
};
const struct schema metadata_schema = { .name = "metadata",
                                        .doc = "What every object says about itself.",
                                        .size = sizeof(struct object_metadata),
                                        .fields = metadata_fields,
                                        .check = metadata_check };

static const struct field secret_ref_fields[] = {
    FIELD(struct secret_ref, secret, "secret", "Name of a Secret.", .flags = F_REQUIRED | F_REF,
          .ref = "Secret", .example = "shop-cert"),
    FEND,
};
const struct schema secret_ref_schema = { .name = "secret-ref",
                                          .doc = "A Secret by name.",
                                          .size = sizeof(struct secret_ref),
                                          .fields = secret_ref_fields };

struct build {
    struct model *m;
    const struct model_input *in;
    struct arena *a;
    struct errors *e;
};

static size_t count(const struct errors *e)
{
    return e->n - e->warnings + e->dropped;
}

static void unknown_keys(const struct node *doc, struct errors *e)
{
    static const struct str keys[] = { STR_INIT("apiVersion"), STR_INIT("kind"),
                                       STR_INIT("metadata"), STR_INIT("spec"), STR_INIT("status") };
    for (size_t i = 0; i < doc->map.n; i++) {
        const struct node_pair *p = &doc->map.v[i];
        struct str shown = str_sub(p->key, 0, 64);
        struct near g = { .wrong = p->key };
        bool known = false;
        for (size_t k = 0; k < ARRAY_LEN(keys); k++)
            known |= str_eq(p->key, keys[k]);
        if (known)
            continue;
        for (size_t k = 0; k < ARRAY_LEN(keys); k++)
            near_try(&g, keys[k]);
        fail(e, doc->file, p->line, p->col, shown, "unknown field '%.*s'%s", STR_FMT(shown),
             near_text(&g));
    }
}

/* A string at the top of the document; NULL with an error. */
static const struct node *head_text(const struct node *doc, const char *key, struct errors *e)
{
    const struct node *n = node_get(doc, str_from(key));
    if (n && n->type == NODE_STRING)
        return n;
    if (n)
        fail(e, n->file, n->line, n->col, str_from(key), "want a string");
    else
        fail(e, doc->file, doc->line, doc->col, STR(""), "missing required field '%s'", key);
    return NULL;
}

static const struct kind *read_kind(const struct node *doc, struct errors *e)
{
    const struct node *version = head_text(doc, "apiVersion", e);
    if (version && !str_eq(version->text, STR("weir/v1")))
        fail(e, version->file, version->line, version->col, STR("apiVersion"),
             "'%.*s' is not known; write weir/v1", STR_FMT(str_sub(version->text, 0, 64)));
    const struct node *kind = head_text(doc, "kind", e);
    if (!kind)
        return NULL;
    const struct registry_row *row = registry_find("kind", kind->text);
    if (row)
        return row->extra;
    struct near g = { .wrong = kind->text };
    size_t n;
    const struct registry_row *rows = registry_rows("kind", &n);
    for (size_t i = 0; i < n; i++)
        near_try(&g, str_from(rows[i].key));
    struct str known = STR("");
    for (size_t i = 0; !g.best.p && i < n; i++)
        known = AT("%.*s%s%s", STR_FMT(known), i ? ", " : "; the kinds are ", rows[i].key);
    fail(e, kind->file, kind->line, kind->col, STR("kind"), "unknown kind '%.*s'%s%.*s",
         STR_FMT(str_sub(kind->text, 0, 64)), near_text(&g), STR_FMT(known));
    return NULL;
}

/* The name, "" with errors when there is none to use. */
static struct str read_metadata(const struct build *b, const struct node *doc)
{
    struct object_metadata meta = { 0 };
    const struct node *n = node_get(doc, STR("metadata"));
    if (n)
        schema_parse(&metadata_schema, n, b->a, &meta, STR("metadata"), b->e);
    else
        fail(b->e, doc->file, doc->line, doc->col, STR("metadata"),
             "missing required field 'name'");
    return meta.name;
}

/* Registers the object; an error with the place of the first when the name is taken. */
static void enter(struct build *b, const struct object *o)
{
    const struct object *first = map_get(&b->m->by_id, o->id);
    if (first) {
        const struct node *was = node_get(node_get(first->doc, STR("metadata")), STR("name"));
        const struct node *is = node_get(node_get(o->doc, STR("metadata")), STR("name"));
        bool again = str_eq(was->file, is->file) && was->line == is->line && was->col == is->col;
        spec_fail(b->e, o, STR("metadata.name"), "%s '%.*s' is there already: %.*s:%u:%u%s",
                  o->kind->name, STR_FMT(o->name), STR_FMT(was->file), was->line, was->col,
                  again ? " (this file was given twice)" : "");
        return;
    }
    struct object *at = &b->m->objects.v[b->m->objects.n++];
    *at = *o;
    if (!map_put(&b->m->by_id, at->id, at))
        fail(b->e, o->doc->file, 0, 0, STR(""), "out of memory");
}

/* A variable that could not be replaced is told once: what the schema says about the text that is
   still there goes. Errors from..e->n came after those of variables, first..from. */
static void drop_echoes(struct errors *e, size_t first, size_t from)
{
    size_t kept = from;
    for (size_t i = from; i < e->n; i++) {
        bool echo = false;
        for (size_t k = first; k < from; k++)
            echo |= e->v[i].line == e->v[k].line && e->v[i].col == e->v[k].col;
        if (!echo)
            e->v[kept++] = e->v[i];
    }
    e->n = kept;
}

static void read_document(struct build *b, const struct node *written, size_t order)
{
    size_t before = count(b->e);
    const struct node *doc;
    if (written->type != NODE_MAP) {
        fail(b->e, written->file, written->line, written->col, STR(""),
             "want a map with apiVersion, kind, metadata and spec");
        return;
    }
    size_t first = b->e->n;
    variables_replace(written, b->in, b->a, &doc, b->e);
    size_t from = b->e->n;
    unknown_keys(doc, b->e);
    struct object o = { .kind = read_kind(doc, b->e), .doc = doc, .order = order };
    o.name = read_metadata(b, doc);
    if (!o.kind)
        return;
    o.spec_node = node_get(doc, STR("spec"));
    o.spec = arena_alloc(b->a, o.kind->spec->size);
    if (!o.spec_node)
        fail(b->e, doc->file, doc->line, doc->col, STR(""), "missing required field 'spec'");
    else
        schema_parse(o.kind->spec, o.spec_node, b->a, o.spec, STR("spec"), b->e);
    drop_echoes(b->e, first, from);
    if (o.name.n == 0)
        return;
    o.id = arena_fmt(b->a, "%s/%.*s", o.kind->name, STR_FMT(o.name));
    if (count(b->e) == before && o.kind->resolve)
        o.kind->resolve(&o, b->in, b->a, b->e);
    if (count(b->e) != before)
        o.spec = NULL;
    enter(b, &o);
}

bool model_build(struct model *m, struct arena *a, const node_list *docs,
                 const struct model_input *in, struct errors *e)
{
    struct build b = { .m = m, .in = in, .a = a, .e = e };
    size_t before = count(e);
    *m = (struct model){ .a = a };
    m->objects.v = (void *)ARENA_ARRAY(a, struct object, docs->n ? docs->n : 1);
    for (size_t i = 0; i < docs->n; i++)
        if (docs->v[i]->type != NODE_NULL) /* nothing between two --- lines */
            read_document(&b, docs->v[i], i);
    for (size_t i = 0; i < m->objects.n; i++) {
        const struct object *o = &m->objects.v[i];
        if (o->spec && o->kind->check)
            o->kind->check(o, m, e);
    }
    return count(e) == before;
}

void model_fini(struct model *m)
{
    map_fini(&m->by_id);
}

const struct object *model_find(const struct model *m, const char *kind, struct str name)
{
    char id[ID_MAX];
    size_t n = strlen(kind);
    if (n + 1 + name.n > sizeof(id))
        return NULL;
    memcpy(id, kind, n);
    id[n] = '/';
    if (name.n)
        memcpy(id + n + 1, name.p, name.n);
    return map_get(&m->by_id, (struct str){ id, n + 1 + name.n });
}
