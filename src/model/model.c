/* Documents into objects: envelope, variables, specs, then what objects say about each other. Pure. */
#include "model/model.h"
#include "model/priv.h"

enum { LABELS_MAX = 64 };
struct metadata {
    struct str name;
    struct str mesh;
    str_map labels;
};
static const struct field metadata_fields[] = {
    FIELD(struct metadata, name, "name", "Name of the object, unique among its kind.", .format = FMT_NAME, .flags = F_REQUIRED),
    FIELD(struct metadata, mesh, "mesh", "The mesh it belongs to.", .def = "default"),
    FIELD(struct metadata, labels, "labels", "Free labels.", .max = LABELS_MAX),
    FEND,
};
static const struct schema metadata_schema = { .name = "metadata", .doc = "What every object has.", .size = sizeof(struct metadata), .fields = metadata_fields };

bool object_fail(struct errors *e, const struct object *o, const struct node *at, struct str path, const char *fmt, ...)
{
    va_list ap;
    const struct node *n = at ? at : o->spec_node ? o->spec_node : o->doc;
    va_start(ap, fmt);
    struct str text = arena_vfmt(e->a, fmt, ap);
    va_end(ap);
    return fail(e, n->file, n->line, n->col, path, "%.*s", STR_FMT(text));
}

static bool fail_at(struct errors *e, const struct node *n, const char *path, struct str text)
{
    return fail(e, n->file, n->line, n->col, str_from(path), "%.*s", STR_FMT(text));
}

/* "; did you mean 'x'?" for a name of the registry, or "". */
static struct str guess_kind(struct arena *a, struct str wrong)
{
    size_t n, best = 4;
    const char *near = NULL;
    const struct registry_row *rows = registry_rows("kind", &n);
    for (size_t i = 0; i < n; i++) {
        size_t d = str_distance(wrong, str_from(rows[i].key));
        if (d < best) {
            best = d;
            near = rows[i].key;
        }
    }
    return near ? arena_fmt(a, "; did you mean '%s'?", near) : STR("");
}

static const struct kind *kind_of(struct model *m, const struct node *doc, struct errors *e)
{
    const struct node *api = node_get(doc, STR("apiVersion")), *kind = node_get(doc, STR("kind"));
    const struct registry_row *row = NULL;
    if (!api || api->type != NODE_STRING || !str_eq(api->text, STR("weir/v1"))) {
        fail_at(e, api ? api : doc, "apiVersion", STR("must be weir/v1"));
        return NULL;
    }
    if (!kind || kind->type != NODE_STRING) {
        fail_at(e, kind ? kind : doc, "kind", STR("missing: which kind of object is this?"));
        return NULL;
    }
    row = registry_find("kind", kind->text);
    if (!row) {
        struct str hint = guess_kind(m->a, kind->text);
        fail_at(e, kind, "kind", arena_fmt(m->a, "no kind is called '%.*s'%.*s", STR_FMT(kind->text), STR_FMT(hint)));
        return NULL;
    }
    return row->extra;
}

static bool unknown_keys(const struct node *doc, struct errors *e)
{
    static const char *const known[] = { "apiVersion", "kind", "metadata", "spec", "status" };
    bool ok = true;
    for (size_t i = 0; i < doc->map.n; i++) {
        const struct node_pair *p = &doc->map.v[i];
        bool found = false;
        for (size_t k = 0; k < ARRAY_LEN(known); k++)
            found |= str_eq(p->key, str_from(known[k]));
        if (!found)
            ok = fail(e, doc->file, p->line, p->col, p->key, "unknown field; an object has apiVersion, kind, metadata, spec");
    }
    return ok;
}

static bool same_name(struct model *m, const struct object *o, struct errors *e)
{
    const struct object *first = map_get(&m->by_id, o->id);
    if (!first)
        return true;
    return object_fail(e, o, o->doc, STR("metadata.name"), "%.*s is defined twice; the first is at %.*s:%u", STR_FMT(o->id), STR_FMT(first->doc->file),
                       first->doc->line);
}

/* Gateways and Services share one name space: a gateway is a service. */
static bool shared_names(struct model *m, const struct object *o, struct errors *e)
{
    const char *other = strcmp(o->kind->name, "Gateway") == 0 ? "Service" : strcmp(o->kind->name, "Service") == 0 ? "Gateway" : NULL;
    const struct object *there = other ? model_find(m, other, o->name) : NULL;
    if (!there)
        return true;
    return object_fail(e, o, o->doc, STR("metadata.name"), "a %s is called '%.*s' already (%.*s:%u); gateways and services share their names", other,
                       STR_FMT(o->name), STR_FMT(there->doc->file), there->doc->line);
}

static bool read_object(struct model *m, const struct node *doc, const struct model_input *in, struct object *o, struct errors *e)
{
    struct metadata meta;
    if (doc->type != NODE_MAP)
        return fail(e, doc->file, doc->line, doc->col, STR(""), "a document must be a map with apiVersion, kind, metadata, spec");
    o->kind = kind_of(m, doc, e);
    bool ok = unknown_keys(doc, e);
    if (!o->kind)
        return false;
    o->doc = doc;
    o->spec_node = node_get(doc, STR("spec"));
    const struct node *md = node_get(doc, STR("metadata"));
    if (!md)
        return object_fail(e, o, doc, STR("metadata"), "missing: { name: ... }");
    if (!schema_parse(&metadata_schema, md, m->a, &meta, STR("metadata"), e))
        return false;
    o->name = meta.name;
    o->id = arena_fmt(m->a, "%s/%.*s", o->kind->name, STR_FMT(o->name));
    if (!str_eq(meta.mesh, STR("default")))
        ok = object_fail(e, o, md, STR("metadata.mesh"), "no mesh is called '%.*s'; the only one is 'default'", STR_FMT(meta.mesh));
    if (!o->spec_node)
        return object_fail(e, o, doc, STR("spec"), "missing");
    o->spec = arena_alloc(m->a, o->kind->spec->size);
    if (!schema_parse(o->kind->spec, o->spec_node, m->a, o->spec, STR("spec"), e))
        return false;
    if (o->kind->resolve && !o->kind->resolve(o, in, m->a, e))
        return false;
    return ok;
}

static bool add_object(struct model *m, const struct object *o, struct errors *e)
{
    if (!same_name(m, o, e) || !shared_names(m, o, e))
        return false;
    struct object *at = &m->objects.v[m->objects.n];
    *at = *o;
    if (!map_put(&m->by_id, at->id, at))
        return object_fail(e, o, o->doc, STR(""), "out of memory");
    m->objects.n++;
    return true;
}

bool model_build(struct model *m, struct arena *a, const node_list *docs, const struct model_input *in, struct errors *e)
{
    static const struct model_input nothing = { 0 };
    bool ok = true;
    *m = (struct model){ .a = a };
    m->objects.v = ARENA_ARRAY(a, struct object, docs->n ? docs->n : 1);
    in = in ? in : &nothing;
    for (size_t i = 0; i < docs->n; i++) {
        const struct node *doc = docs->v[i];
        struct object o = { .order = i };
        if (doc->type == NODE_NULL)
            continue;
        doc = variables_replace(doc, in, a, e, &ok);
        if (!read_object(m, doc, in, &o, e)) {
            ok = false;
            if (!o.kind || !o.name.n || !o.spec)
                continue; /* known by name all the same, so that references to it are not reported too */
        }
        ok = add_object(m, &o, e) && ok;
    }
    if (!references_check(m, e))
        ok = false;
    for (size_t i = 0; ok && i < m->objects.n; i++) {
        const struct object *o = &m->objects.v[i];
        if (o->kind->check && !o->kind->check(o, m, e))
            ok = false;
    }
    return ok && !errors_any(e);
}

void model_fini(struct model *m)
{
    map_fini(&m->by_id);
}

const struct object *model_find(const struct model *m, const char *kind, struct str name)
{
    char id[512];
    size_t k = strlen(kind);
    if (k + 1 + name.n > sizeof(id))
        return NULL;
    memcpy(id, kind, k);
    id[k] = '/';
    if (name.n)
        memcpy(id + k + 1, name.p, name.n);
    return map_get(&m->by_id, (struct str){ id, k + 1 + name.n });
}
