/* YAML in: libyaml's events to a tree, under our limits. Only true, false and null are keywords,
   only what JSON calls a number is a number, so `no`, `on`, `1.2.3` and `007` are strings. Printing
   is in yaml_print.c. Pure. */
#include "base/mem.h"
#include "codec/node.h"
#include "codec/tree.h"
#include <yaml.h>

struct frame { /* an open list or map */
    struct node *n;
    size_t base;    /* its children begin here on the tree's stack */
    size_t anchor;  /* index + 1, 0 = none */
    size_t before;  /* nodes made before it */
    struct str key; /* map: the key read, when its value is still to come */
    uint32_t line, col;
    bool have_key;
};
struct anchor {
    struct str name;
    struct node *n; /* NULL while it is open: an alias to it would be a circle */
    size_t nodes;
};
struct loader {
    struct tree t;
    yaml_parser_t parser;
    struct str text;
    struct frame *frames;
    size_t depth;
    struct anchor *anchors; /* of the current document */
    size_t anchors_n, anchors_cap;
    size_t expanded; /* nodes that aliases repeated so far */
    bool done;
    node_list docs;
};

static bool bad(struct loader *l, const yaml_mark_t *at, const char *what)
{
    return fail(l->t.e, l->t.file, (uint32_t)at->line + 1, (uint32_t)at->column + 1, STR(""), "%s",
                what);
}

/* libyaml gives only a byte offset for what it cannot decode. */
static bool bad_bytes(struct loader *l)
{
    size_t off = l->parser.problem_offset < l->text.n ? l->parser.problem_offset : l->text.n;
    uint32_t line = 1, col = 1;
    for (size_t i = 0; i < off; i++) {
        if (l->text.p[i] == '\n') {
            line++;
            col = 1;
        } else if (((unsigned char)l->text.p[i] & 0xC0) != 0x80) {
            col++;
        }
    }
    return fail(l->t.e, l->t.file, line, col, STR(""), "%s",
                l->parser.problem ? l->parser.problem : "bad bytes");
}

static struct str line_of(struct str text, size_t line)
{
    while (line-- > 0)
        text = str_sub(text, str_find(text, '\n') + 1, text.n);
    return str_sub(text, 0, str_find(text, '\n'));
}

static bool line_has(struct str text, struct str what)
{
    for (; text.n; text = str_sub(text, 1, text.n))
        if (str_starts(text, what))
            return true;
    return false;
}

/* libyaml says what it did not find; this is what the writer most likely has to do about it. */
static const char *remedy(const yaml_parser_t *p, struct str line)
{
    const char *context = p->context ? p->context : "";
    size_t at = p->problem_mark.column, blank = 0;
    while (blank < line.n && (line.p[blank] == ' ' || line.p[blank] == '\t'))
        blank++;
    if (line_has(str_sub(line, 0, blank), STR("\t")))
        return "; indent with spaces: YAML takes no tabs";
    if (line_has(line, STR("${")))
        return "; between { } and [ ] a variable needs quotes: \"${NAME}\"";
    if (strstr(context, "alias"))
        return "; a value that begins with * needs quotes: \"*.shop.example\"";
    if (strstr(context, "next token") && at < line.n && strchr("@`%", line.p[at]))
        return "; a value that begins with @, ` or % needs quotes";
    return strstr(context, "flow") ? "; a value with any of [ ] { } , : needs quotes there" : "";
}

static bool syntax_error(struct loader *l)
{
    const yaml_parser_t *p = &l->parser;
    if (p->error == YAML_READER_ERROR)
        return bad_bytes(l);
    if (p->error == YAML_MEMORY_ERROR)
        return fail(l->t.e, l->t.file, 0, 0, STR(""), "out of memory while reading the document");
    uint32_t line = (uint32_t)p->problem_mark.line + 1, col = (uint32_t)p->problem_mark.column + 1;
    const char *problem = p->problem ? p->problem : "not YAML";
    const char *what = remedy(p, line_of(l->text, p->problem_mark.line));
    if (p->context && p->context_mark.line != p->problem_mark.line)
        return fail(l->t.e, l->t.file, line, col, STR(""), "%s (%s that begins on line %zu)%s",
                    problem, p->context, p->context_mark.line + 1, what);
    return fail(l->t.e, l->t.file, line, col, STR(""), "%s%s", problem, what);
}

static bool add_anchor(struct loader *l, const yaml_event_t *ev, const char *name,
                       size_t *ret_index)
{
    *ret_index = 0;
    if (!name)
        return true;
    if (l->anchors_n == l->anchors_cap) {
        size_t cap = l->anchors_cap ? l->anchors_cap * 2 : 16;
        struct anchor *v = mem_realloc(l->anchors, cap * sizeof(*v));
        if (!v)
            return bad(l, &ev->start_mark, "out of memory while reading the document");
        l->anchors = v;
        l->anchors_cap = cap;
    }
    l->anchors[l->anchors_n++] = (struct anchor){ .name = tree_copy(&l->t, name, strlen(name)) };
    *ret_index = l->anchors_n;
    return true;
}

static void set_anchor(struct loader *l, size_t index, struct node *n, size_t before)
{
    if (index == 0)
        return;
    l->anchors[index - 1].n = n;
    l->anchors[index - 1].nodes = l->t.nodes - before;
}

/* A complete value: the root, an item, or the value of the key before it. */
static bool add_value(struct loader *l, struct node *n)
{
    struct node_pair pair = { .value = n };
    if (l->depth) {
        struct frame *f = &l->frames[l->depth - 1];
        pair.key = f->key;
        pair.line = f->line;
        pair.col = f->col;
        f->have_key = false;
    }
    return tree_push(&l->t, pair);
}

static bool wants_key(const struct loader *l)
{
    const struct frame *f = l->depth ? &l->frames[l->depth - 1] : NULL;
    return f && f->n->type == NODE_MAP && !f->have_key;
}

static bool add_key(struct loader *l, const yaml_event_t *ev)
{
    struct frame *f = &l->frames[l->depth - 1];
    const char *p = (const char *)ev->data.scalar.value;
    size_t n = ev->data.scalar.length;
    bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (ev->data.scalar.anchor || ev->data.scalar.tag)
        return bad(l, &ev->start_mark, "anchors and tags on keys are not supported");
    if (plain && n == 0)
        return bad(l, &ev->start_mark, "a key is missing before ':'");
    if (plain && n == 2 && memcmp(p, "<<", 2) == 0)
        return bad(
            l, &ev->start_mark,
            "merge keys (<<) are not supported: write the fields out, or alias the whole value");
    if (n > l->t.lim.scalar_bytes)
        return bad(l, &ev->start_mark, "a key over the size limit");
    f->key = tree_key(&l->t, p, n);
    f->line = (uint32_t)ev->start_mark.line + 1;
    f->col = (uint32_t)ev->start_mark.column + 1;
    f->have_key = true;
    return true;
}

static enum node_type plain_type(const char *p, size_t n)
{
    if (n == 0 || (n == 4 && memcmp(p, "null", 4) == 0))
        return NODE_NULL;
    if ((n == 4 && memcmp(p, "true", 4) == 0) || (n == 5 && memcmp(p, "false", 5) == 0))
        return NODE_BOOL;
    return (*p == '-' || (*p >= '0' && *p <= '9')) && tree_is_number(p, n) ? NODE_NUMBER
                                                                           : NODE_STRING;
}

/* What a tag makes of a scalar. False: the tag is unknown or does not fit the text. */
static bool tagged_type(const char *tag, const char *p, size_t n, enum node_type *ret,
                        bool *ret_plain)
{
    static const struct {
        const char *tag;
        enum node_type type;
    } known[] = {
        { YAML_NULL_TAG, NODE_NULL },
        { YAML_BOOL_TAG, NODE_BOOL },
        { YAML_INT_TAG, NODE_NUMBER },
        { YAML_FLOAT_TAG, NODE_NUMBER },
    };
    *ret_plain = false;
    *ret = NODE_STRING;
    if (strcmp(tag, "!") == 0 || strcmp(tag, YAML_STR_TAG) == 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(tag, known[i].tag) == 0) {
            *ret = known[i].type;
            *ret_plain = true;
            return plain_type(p, n) == known[i].type;
        }
    }
    return false;
}

static bool add_scalar(struct loader *l, const yaml_event_t *ev)
{
    if (wants_key(l))
        return add_key(l, ev);
    const char *p = (const char *)ev->data.scalar.value, *tag = (const char *)ev->data.scalar.tag;
    size_t n = ev->data.scalar.length, before = l->t.nodes, anchor;
    bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    enum node_type type = plain ? plain_type(p, n) : NODE_STRING;
    if (UNLIKELY(tag != NULL) && !tagged_type(tag, p, n, &type, &plain))
        return fail(l->t.e, l->t.file, (uint32_t)ev->start_mark.line + 1,
                    (uint32_t)ev->start_mark.column + 1, STR(""),
                    "tag '%.100s' is not supported or does not fit its value", tag);
    if (n > l->t.lim.scalar_bytes)
        return bad(l, &ev->start_mark, "a value over the size limit");
    struct node *node = tree_node(&l->t, type, (uint32_t)ev->start_mark.line + 1,
                                  (uint32_t)ev->start_mark.column + 1);
    if (!node || !add_anchor(l, ev, (const char *)ev->data.scalar.anchor, &anchor))
        return false;
    node->plain = plain;
    node->boolean = type == NODE_BOOL && *p == 't';
    node->text = n ? tree_copy(&l->t, p, n) : STR("");
    set_anchor(l, anchor, node, before);
    return add_value(l, node);
}

static bool open_container(struct loader *l, const yaml_event_t *ev, enum node_type type)
{
    bool map = type == NODE_MAP;
    const char *tag =
        (const char *)(map ? ev->data.mapping_start.tag : ev->data.sequence_start.tag);
    const char *anchor =
        (const char *)(map ? ev->data.mapping_start.anchor : ev->data.sequence_start.anchor);
    if (wants_key(l))
        return bad(l, &ev->start_mark, "a key must be plain text, not a list or a map");
    if (l->depth >= l->t.lim.depth)
        return bad(l, &ev->start_mark, "nested too deeply");
    if (tag && strcmp(tag, "!") != 0 && strcmp(tag, map ? YAML_MAP_TAG : YAML_SEQ_TAG) != 0)
        return fail(l->t.e, l->t.file, (uint32_t)ev->start_mark.line + 1,
                    (uint32_t)ev->start_mark.column + 1, STR(""),
                    "tag '%.100s' is not supported or does not fit its value", tag);
    struct frame f = { .base = l->t.n, .before = l->t.nodes };
    f.n = tree_node(&l->t, type, (uint32_t)ev->start_mark.line + 1,
                    (uint32_t)ev->start_mark.column + 1);
    if (!f.n || !add_anchor(l, ev, anchor, &f.anchor))
        return false;
    l->frames[l->depth++] = f;
    return true;
}

static bool close_container(struct loader *l)
{
    struct frame f = l->frames[--l->depth];
    tree_close(&l->t, f.n, f.base);
    set_anchor(l, f.anchor, f.n, f.before);
    return add_value(l, f.n);
}

static size_t height(const struct node *n)
{
    size_t h = 0;
    if (n->type == NODE_LIST) {
        for (size_t i = 0; i < n->list.n; i++) {
            size_t c = height(n->list.v[i]);
            h = c > h ? c : h;
        }
    } else if (n->type == NODE_MAP) {
        for (size_t i = 0; i < n->map.n; i++) {
            size_t c = height(n->map.v[i].value);
            h = c > h ? c : h;
        }
    } else {
        return 0;
    }
    return h + 1;
}

static bool add_alias(struct loader *l, const yaml_event_t *ev)
{
    struct str name = str_from((const char *)ev->data.alias.anchor);
    const struct anchor *a = NULL;
    for (size_t i = l->anchors_n; i > 0 && !a; i--)
        if (str_eq(l->anchors[i - 1].name, name))
            a = &l->anchors[i - 1];
    if (wants_key(l))
        return bad(l, &ev->start_mark, "an alias cannot be a key");
    if (!a)
        return bad(l, &ev->start_mark, "no anchor of this name stands before it in the document");
    if (!a->n)
        return bad(l, &ev->start_mark, "an alias inside the value that it names");
    l->expanded += a->nodes;
    if (l->expanded > l->t.lim.aliases || l->t.nodes + a->nodes > l->t.lim.nodes)
        return fail(l->t.e, l->t.file, (uint32_t)ev->start_mark.line + 1,
                    (uint32_t)ev->start_mark.column + 1, STR(""),
                    "aliases repeat more than %zu values", l->t.lim.aliases);
    if (l->depth + height(a->n) > l->t.lim.depth)
        return bad(l, &ev->start_mark, "nested too deeply");
    l->t.nodes += a->nodes;
    return add_value(l, a->n);
}

/* An empty document, as after a closing "---", says nothing and is left out. */
static void end_document(struct loader *l)
{
    const struct node *root = l->t.n ? l->t.v[l->t.n - 1].value : NULL;
    if (root && root->type == NODE_NULL && root->plain && root->text.n == 0)
        l->t.n--;
    l->anchors_n = 0;
}

static bool on_event(struct loader *l, const yaml_event_t *ev)
{
    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        return add_scalar(l, ev);
    case YAML_SEQUENCE_START_EVENT:
        return open_container(l, ev, NODE_LIST);
    case YAML_MAPPING_START_EVENT:
        return open_container(l, ev, NODE_MAP);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_container(l);
    case YAML_ALIAS_EVENT:
        return add_alias(l, ev);
    case YAML_DOCUMENT_END_EVENT:
        end_document(l);
        return true;
    case YAML_STREAM_END_EVENT:
        l->done = true;
        return true;
    default:
        return true;
    }
}

static void read_stream(void *arg)
{
    struct loader *l = arg;
    while (!l->done) {
        yaml_event_t ev;
        if (!yaml_parser_parse(&l->parser, &ev)) {
            syntax_error(l);
            return;
        }
        bool ok = on_event(l, &ev);
        yaml_event_delete(&ev);
        if (!ok)
            return;
    }
    struct node all = { .type = NODE_LIST };
    tree_close(&l->t, &all, 0);
    l->docs = all.list;
}

bool yaml_parse(struct arena *a, struct str file, struct str text, const struct node_limits *lim,
                node_list *ret_docs, struct errors *e)
{
    if (str_starts(text, STR("\xEF\xBB\xBF"))) /* a byte order mark is no column */
        text = str_sub(text, 3, text.n);
    struct loader l = { .text = text };
    *ret_docs = (node_list){ 0 };
    tree_init(&l.t, a, file, lim, e);
    l.frames = mem_array(l.t.lim.depth + 1, sizeof(*l.frames));
    if (!l.frames || !yaml_parser_initialize(&l.parser)) {
        mem_free(l.frames);
        return fail(e, file, 0, 0, STR(""), "out of memory while reading the document");
    }
    yaml_parser_set_encoding(&l.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&l.parser, (const unsigned char *)(text.n ? text.p : ""), text.n);
    bool ran = tree_run(&l.t, read_stream, &l);
    yaml_parser_delete(&l.parser);
    mem_free(l.frames);
    mem_free(l.anchors);
    tree_fini(&l.t);
    if (!ran)
        tree_oom(&l.t);
    if (!ran || !l.done || l.t.failed)
        return false;
    *ret_docs = l.docs;
    return true;
}
