/* JSON Schema, draft 2020-12. Every nested schema is a definition, so that schemas may recurse.
 * What it accepts is what the parser accepts: a plain number or truth value where text is wanted,
 * ${NAME} in place of every value but those of enums, sections without their required fields.
 * Pure. */
#include "schema/walk.h"

struct seen {
    const struct schema *s;
    struct str name;
    bool partial; /* of a section, which is merged with others before anything must be there */
};
struct emit {
    struct arena *a;
    struct node *defs;
    struct seen *seen;
    size_t n, cap;
    bool partial;
};

static struct node *object_schema(struct emit *m, const struct schema *s);

static void set(struct emit *m, struct node *map, const char *key, struct node *value)
{
    node_map_set(m->a, map, str_from(key), value);
}

static void set_text(struct emit *m, struct node *map, const char *key, const char *text)
{
    set(m, map, key, node_string(m->a, str_from(text)));
}

static void grow(struct emit *m)
{
    size_t cap = m->cap ? m->cap * 2 : 16;
    struct seen *seen = ARENA_ARRAY(m->a, struct seen, cap);
    for (size_t i = 0; i < m->n; i++)
        seen[i] = m->seen[i];
    m->seen = seen;
    m->cap = cap;
}

/* Two schemas may have the same name; the second becomes name-2. */
static struct str def_name(struct emit *m, const struct schema *s)
{
    struct str name = str_from(s->name);
    for (unsigned k = 2; node_get(m->defs, name); k++)
        name = arena_fmt(m->a, "%s-%u", s->name, k);
    return name;
}

static struct node *ref(struct emit *m, const struct schema *s)
{
    size_t i = 0;
    while (i < m->n && (m->seen[i].s != s || m->seen[i].partial != m->partial))
        i++;
    if (i == m->n) {
        if (m->n == m->cap)
            grow(m);
        struct str name = def_name(m, s);
        m->seen[m->n++] = (struct seen){ s, name, m->partial };
        node_map_set(m->a, m->defs, name,
                     node_new(m->a, NODE_MAP)); /* takes the name before s refers to itself */
        node_map_set(m->a, m->defs, name, object_schema(m, s));
    }
    struct node *n = node_new(m->a, NODE_MAP);
    set(m, n, "$ref", node_string(m->a, arena_fmt(m->a, "#/$defs/%.*s", STR_FMT(m->seen[i].name))));
    return n;
}

static const char *format_pattern(enum field_format f)
{
    switch (f) {
    case FMT_NAME:
        return "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
    case FMT_HOST:
        return "^((\\*\\.)?[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*|"
               "\\[[0-9a-fA-F:.]+\\])$";
    case FMT_ADDRESS:
        return "^([0-9.]+|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5}$";
    case FMT_ENDPOINT:
        return "^([a-z0-9_.-]+|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5}$";
    case FMT_PATH:
        return "^/[^?# ]*$";
    case FMT_TEMPLATE:
        return "^/";
    case FMT_HEADER:
    case FMT_METHOD:
        return "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$";
    case FMT_URL:
        return "^https?://";
    case FMT_CIDR:
        return "^[0-9a-fA-F:.]+(/[0-9]{1,3})?$";
    default:
        return NULL;
    }
}

/* A pattern, or a variable that stands for what matches it. */
static void set_pattern(struct emit *m, struct node *n, const char *pattern)
{
    set(m, n, "pattern", node_string(m->a, arena_fmt(m->a, "%s|\\$\\{", pattern)));
}

static void set_types(struct emit *m, struct node *n, const char *first, const char *second)
{
    struct node *l = node_new(m->a, NODE_LIST);
    node_list_add(m->a, l, node_string(m->a, str_from(first)));
    node_list_add(m->a, l, node_string(m->a, str_from(second)));
    set(m, n, "type", l);
}

/* Where a type has no text of its own, text can only be a variable. */
static void set_type_or_variable(struct emit *m, struct node *n, const char *type)
{
    set_types(m, n, type, "string");
    set_text(m, n, "pattern", "\\$\\{");
}

/* The names of an enum; one that reads as a number or a truth value also as that. */
static struct node *enum_list(struct emit *m, const struct enum_value *values)
{
    struct node *l = node_new(m->a, NODE_LIST);
    for (const struct enum_value *v = values; v->name; v++) {
        struct errors none;
        node_list docs;
        node_list_add(m->a, l, node_string(m->a, str_from(v->name)));
        errors_init(&none, m->a);
        if (yaml_parse(m->a, STR(""), str_from(v->name), NULL, &docs, &none) && docs.n == 1 &&
            docs.v[0]->type != NODE_STRING)
            node_list_add(m->a, l, docs.v[0]);
    }
    return l;
}

static bool add_registry(struct emit *m, const char *registry, struct node *to)
{
    size_t n;
    const struct registry_row *rows = registry_rows(registry, &n);
    struct node *l = node_new(m->a, NODE_LIST);
    for (size_t i = 0; i < n; i++)
        node_list_add(m->a, l, node_string(m->a, str_from(rows[i].key)));
    if (n)
        set(m, to, "enum", l);
    return n > 0;
}

static void string_schema(struct emit *m, const struct field *f, struct node *n)
{
    enum field_format format =
        f->format == FMT_ANY && (f->flags & F_REF) ? FMT_NAME : (enum field_format)f->format;
    const char *pattern = format_pattern(format);
    if (f->values) {
        set(m, n, "enum", enum_list(m, f->values));
        return;
    }
    if (f->registry && add_registry(m, f->registry, n))
        return;
    struct node *types = node_new(m->a, NODE_LIST);
    node_list_add(m->a, types, node_string(m->a, STR("string")));
    node_list_add(m->a, types, node_string(m->a, STR("number")));
    node_list_add(m->a, types, node_string(m->a, STR("boolean")));
    set(m, n, "type", types);
    if (pattern)
        set_pattern(m, n, pattern);
    if (format == FMT_REGEX)
        set_text(m, n, "format", "regex");
}

static void bounds(struct emit *m, const struct field *f, struct node *n, const char *lo,
                   const char *hi)
{
    if (f->min == 0 && f->max == 0)
        return;
    set(m, n, lo, node_int(m->a, f->min));
    if (f->max >= f->min)
        set(m, n, hi, node_int(m->a, f->max));
}

static void scalar_schema(struct emit *m, const struct field *f, struct node *n)
{
    switch ((enum field_type)f->type) {
    case T_BOOL:
        set_type_or_variable(m, n, "boolean");
        break;
    case T_INT:
        set_type_or_variable(m, n, "integer");
        bounds(m, f, n, "minimum", "maximum");
        break;
    case T_NUMBER:
        set_type_or_variable(m, n, "number");
        bounds(m, f, n, "minimum", "maximum");
        break;
    case T_DUR: /* as a number only 0, which needs no unit */
        set_types(m, n, "string", "number");
        set(m, n, "minimum", node_int(m->a, 0));
        set(m, n, "maximum", node_int(m->a, 0));
        set_pattern(m, n, "^(0|[0-9]+(\\.[0-9]+)?(ns|us|ms|s|m|h|d))$");
        break;
    case T_BYTES:
        set_types(m, n, "string", "integer");
        set_pattern(m, n, "^[0-9]+([KMG]i?B)?$");
        break;
    case T_RATIO:
        set_types(m, n, "string", "number");
        set_pattern(m, n, "^[0-9]+(\\.[0-9]+)?%?$");
        break;
    default:
        string_schema(m, f, n);
        if (f->type == T_STR)
            bounds(m, f, n, "minLength", "maxLength");
    }
    bool unit = f->type == T_DUR || f->type == T_BYTES || f->type == T_RATIO;
    if (unit && (f->min || f->max)) { /* a range with a unit has no keyword of its own */
        char lo[64], hi[64];
        struct str text = f->max >= f->min ? arena_fmt(m->a, "%s..%s", range_text(f, f->min, lo),
                                                       range_text(f, f->max, hi))
                                           : arena_fmt(m->a, "%s..", range_text(f, f->min, lo));
        set(m, n, "x-range", node_string(m->a, text));
    }
}

/* An item, maybe with its short form. */
static struct node *sub_schema(struct emit *m, const struct field *f)
{
    struct node *r = ref(m, f->sub);
    if (!(f->flags & F_STR_SHORT))
        return r;
    struct node *n = node_new(m->a, NODE_MAP), *any = node_new(m->a, NODE_LIST),
                *text = node_new(m->a, NODE_MAP);
    scalar_schema(m, &f->sub->fields[0], text);
    node_list_add(m->a, any, text);
    node_list_add(m->a, any, r);
    set(m, n, "anyOf", any);
    return n;
}

static struct node *default_node(struct emit *m, const struct field *f)
{
    struct errors e;
    node_list docs;
    errors_init(&e, m->a);
    if (f->type == T_STR || f->type == T_ENUM || f->type == T_DUR || f->type == T_BYTES ||
        f->type == T_RATIO)
        return node_string(m->a, str_from(f->def));
    bool ok = yaml_parse(m->a, STR(""), str_from(f->def), NULL, &docs, &e) && docs.n == 1;
    return ok ? docs.v[0] : node_string(m->a, str_from(f->def));
}

static struct node *sections_schema(struct emit *m, const char *registry, struct node *props)
{
    size_t n;
    const struct registry_row *rows = registry_rows(registry, &n);
    bool before = m->partial;
    m->partial = true;
    for (size_t i = 0; i < n; i++)
        if (rows[i].schema && !node_get(props, str_from(rows[i].key)))
            set(m, props, rows[i].key, ref(m, rows[i].schema));
    m->partial = before;
    return props;
}

static void type_schema(struct emit *m, const struct field *f, struct node *n)
{
    struct node *item = node_new(m->a, NODE_MAP);
    switch ((enum field_type)f->type) {
    case T_OBJECT:
    case T_OBJECT_PTR: {
        struct node *sub = sub_schema(m, f);
        node_map_set(m->a, n, sub->map.v[0].key, sub->map.v[0].value);
        break;
    }
    case T_LIST_STR:
    case T_LIST_INT:
    case T_LIST_OBJECT:
        set_text(m, n, "type", "array");
        if (f->type == T_LIST_STR)
            string_schema(m, f, item);
        else if (f->type == T_LIST_INT)
            set_text(m, item, "type", "integer");
        else
            item = sub_schema(m, f);
        set(m, n, "items", item);
        bounds(m, f, n, "minItems", "maxItems");
        break;
    case T_MAP_STR:
    case T_MAP_OBJECT:
        set_text(m, n, "type", "object");
        if (f->type == T_MAP_STR)
            string_schema(m, f, item);
        else
            item = sub_schema(m, f);
        set(m, n, "additionalProperties", item);
        bounds(m, f, n, "minProperties", "maxProperties");
        break;
    case T_SECTIONS:
        set_text(m, n, "type", "object");
        set(m, n, "properties", sections_schema(m, f->registry, item));
        set(m, n, "additionalProperties", node_bool(m->a, false));
        break;
    case T_NODE:
        break;
    default:
        scalar_schema(m, f, n);
    }
}

static struct node *field_schema(struct emit *m, const struct field *f)
{
    struct node *n = node_new(m->a, NODE_MAP);
    if (f->doc)
        set_text(m, n, "description", f->doc);
    type_schema(m, f, n);
    if (f->def)
        set(m, n, "default", default_node(m, f));
    if (f->example) {
        struct node *l = node_new(m->a, NODE_LIST);
        node_list_add(m->a, l, node_string(m->a, str_from(f->example)));
        set(m, n, "examples", l);
    }
    if (f->flags & F_SECRET)
        set(m, n, "writeOnly", node_bool(m->a, true));
    if (f->flags & F_REF)
        set_text(m, n, "x-ref", f->ref ? f->ref : "");
    if (f->flags & F_IMMUTABLE)
        set(m, n, "x-immutable", node_bool(m->a, true));
    if (f->flags & F_EXPERIMENTAL)
        set(m, n, "x-experimental", node_bool(m->a, true));
    return n;
}

/* Exactly one of the names: a list of {required: [name]} for oneOf. */
static struct node *one_of_list(struct emit *m, const struct schema *s)
{
    struct node *l = node_new(m->a, NODE_LIST);
    for (const struct field *f = s->fields; f->name; f++) {
        struct node *need = node_new(m->a, NODE_MAP), *names = node_new(m->a, NODE_LIST);
        node_list_add(m->a, names, node_string(m->a, str_from(f->name)));
        set(m, need, "required", names);
        node_list_add(m->a, l, need);
    }
    return l;
}

static void collect(struct emit *m, const struct schema *s, struct node *props,
                    struct node *required, struct node *rules)
{
    for (const struct field *f = s->fields; f->name; f++) {
        if (field_inlined(f)) {
            collect(m, f->sub, props, required, rules);
            continue;
        }
        if ((f->flags & F_INLINE) && f->type == T_SECTIONS) {
            sections_schema(m, f->registry, props);
            continue;
        }
        set(m, props, f->name, field_schema(m, f));
        if ((f->flags & F_REQUIRED) && !m->partial)
            node_list_add(m->a, required, node_string(m->a, str_from(f->name)));
    }
    if (s->one_of && !m->partial) {
        struct node *rule = node_new(m->a, NODE_MAP);
        set(m, rule, "oneOf", one_of_list(m, s));
        node_list_add(m->a, rules, rule);
    }
}

static struct node *object_schema(struct emit *m, const struct schema *s)
{
    struct node *n = node_new(m->a, NODE_MAP), *props = node_new(m->a, NODE_MAP);
    struct node *required = node_new(m->a, NODE_LIST), *rules = node_new(m->a, NODE_LIST);
    collect(m, s, props, required, rules);
    if (s->doc)
        set_text(m, n, "description", s->doc);
    set_text(m, n, "type", "object");
    set(m, n, "properties", props);
    if (required->list.n)
        set(m, n, "required", required);
    set(m, n, "additionalProperties", node_bool(m->a, false));
    if (rules->list.n)
        set(m, n, "allOf", rules);
    return n;
}

struct node *schema_json_schema(const struct schema *s, struct arena *a)
{
    struct emit m = { .a = a, .defs = node_new(a, NODE_MAP) };
    struct node *n = node_new(a, NODE_MAP), *body = object_schema(&m, s);
    set_text(&m, n, "$schema", "https://json-schema.org/draft/2020-12/schema");
    set_text(&m, n, "title", s->name);
    for (size_t i = 0; i < body->map.n; i++)
        node_map_set(a, n, body->map.v[i].key, body->map.v[i].value);
    if (m.defs->map.n)
        set(&m, n, "$defs", m.defs);
    return n;
}

struct node *schema_json_defs(const struct schema *const *v, size_t n, struct arena *a,
                              struct node **ret_refs)
{
    struct emit m = { .a = a, .defs = node_new(a, NODE_MAP) };
    for (size_t i = 0; i < n; i++)
        ret_refs[i] = ref(&m, v[i]);
    return m.defs;
}
