/* JSON in (RFC 8259, strict, with line and column in characters) and out. Reads one document from
   memory; not a stream parser. Pure. */
#include "codec/node.h"
#include "codec/tree.h"

struct json {
    struct tree t;
    const char *p, *end;
    const char *line_start;
    size_t wide; /* UTF-8 continuation bytes on this line so far: columns count characters */
    uint32_t line;
    size_t depth;
    struct node *root;
};

static uint32_t column(const struct json *j, const char *p)
{
    return (uint32_t)((size_t)(p - j->line_start) - j->wide + 1);
}

static struct node *bad(struct json *j, const char *what)
{
    fail(j->t.e, j->t.file, j->line, column(j, j->p), STR(""), "%s", what);
    return NULL;
}

static void skip_space(struct json *j)
{
    for (; j->p < j->end; j->p++) {
        char c = *j->p;
        if (c == '\n') {
            j->line++;
            j->line_start = j->p + 1;
            j->wide = 0;
        } else if (c != ' ' && c != '\t' && c != '\r') {
            return;
        }
    }
}

static bool hex4(const char *p, const char *end, uint32_t *ret)
{
    uint32_t v = 0;
    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = ascii_lower(p[i]);
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        v = v << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *ret = v;
    return true;
}

/* Checks the escape at j->p (on the backslash) and steps over it. */
static bool scan_escape(struct json *j)
{
    if (j->end - j->p < 2)
        return bad(j, "a string without its closing quote");
    char c = j->p[1];
    if (c != 'u') {
        if (!memchr("\"\\/bfnrt", c, 8))
            return bad(j,
                       "unknown escape in a string: want one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t "
                       "\\uXXXX");
        j->p += 2;
        return true;
    }
    uint32_t u, low;
    if (!hex4(j->p + 2, j->end, &u))
        return bad(j, "want four hex digits after \\u");
    if (u >= 0xDC00 && u <= 0xDFFF)
        return bad(j, "a low surrogate without a high one before it");
    if (u >= 0xD800 && u <= 0xDBFF) {
        if (j->end - j->p < 12 || j->p[6] != '\\' || j->p[7] != 'u' ||
            !hex4(j->p + 8, j->end, &low) || low < 0xDC00 || low > 0xDFFF)
            return bad(j, "a high surrogate without a low one after it");
        j->p += 6;
    }
    j->p += 6;
    return true;
}

/* j->p stands after the opening quote; afterwards after the closing one. ret_raw is what stands
 * between. */
static bool scan_string(struct json *j, struct str *ret_raw, bool *ret_escaped)
{
    const char *from = j->p;
    *ret_escaped = false;
    while (j->p < j->end) {
        unsigned char c = (unsigned char)*j->p;
        if (LIKELY(c >= 0x20 && c < 0x80 && c != '"' && c != '\\')) {
            j->p++;
        } else if (c == '"') {
            *ret_raw = (struct str){ from, (size_t)(j->p - from) };
            j->p++;
            return true;
        } else if (c == '\\') {
            *ret_escaped = true;
            if (!scan_escape(j))
                return false;
        } else if (c < 0x20) {
            return bad(j, "a control character in a string: write it as an escape");
        } else {
            size_t n = tree_utf8(j->p, j->end);
            if (n == 0)
                return bad(j, "invalid UTF-8");
            j->p += n;
            j->wide += n - 1;
        }
    }
    return bad(j, "a string without its closing quote");
}

static size_t put_utf8(char *to, uint32_t u)
{
    if (u < 0x80) {
        to[0] = (char)u;
        return 1;
    }
    if (u < 0x800) {
        to[0] = (char)(0xC0 | u >> 6);
        to[1] = (char)(0x80 | (u & 0x3F));
        return 2;
    }
    if (u < 0x10000) {
        to[0] = (char)(0xE0 | u >> 12);
        to[1] = (char)(0x80 | (u >> 6 & 0x3F));
        to[2] = (char)(0x80 | (u & 0x3F));
        return 3;
    }
    to[0] = (char)(0xF0 | u >> 18);
    to[1] = (char)(0x80 | (u >> 12 & 0x3F));
    to[2] = (char)(0x80 | (u >> 6 & 0x3F));
    to[3] = (char)(0x80 | (u & 0x3F));
    return 4;
}

/* raw was checked by scan_string. An escape is never shorter than what it stands for, so raw.n
 * bytes are enough. */
static size_t unescape(struct str raw, char *to)
{
    static const char from[] = "bfnrt", into[] = "\b\f\n\r\t";
    const char *p = raw.p, *end = raw.p + raw.n;
    char *at = to;
    while (p < end) {
        if (*p != '\\') {
            *at++ = *p++;
            continue;
        }
        const char *known = memchr(from, p[1], sizeof(from) - 1);
        if (p[1] != 'u') {
            *at++ = known ? into[known - from] : p[1];
            p += 2;
            continue;
        }
        uint32_t u = 0, low = 0;
        (void)hex4(p + 2, end, &u);
        p += 6;
        if (u >= 0xD800 && u <= 0xDBFF) {
            (void)hex4(p + 2, end, &low);
            u = 0x10000 + ((u - 0xD800) << 10) + (low - 0xDC00);
            p += 6;
        }
        at += put_utf8(at, u);
    }
    return (size_t)(at - to);
}

static bool read_string(struct json *j, bool is_key, struct str *ret)
{
    struct str raw;
    bool escaped;
    if (!scan_string(j, &raw, &escaped))
        return false;
    if (raw.n > j->t.lim.scalar_bytes)
        return bad(j, "a string over the size limit");
    if (LIKELY(!escaped)) {
        *ret = is_key ? tree_key(&j->t, raw.p, raw.n) : tree_copy(&j->t, raw.p, raw.n);
        return true;
    }
    struct str copy = tree_copy(&j->t, raw.p, raw.n);
    char *to = (char *)(uintptr_t)copy.p; /* our own fresh bytes */
    copy.n = unescape(raw, to);
    to[copy.n] = '\0';
    *ret = copy;
    return true;
}

static struct node *read_value(struct json *j);

static bool read_pair(struct json *j)
{
    if (j->p == j->end || *j->p != '"')
        return bad(j, "want a key in quotes");
    struct node_pair pair = { .line = j->line, .col = column(j, j->p) };
    j->p++;
    if (!read_string(j, true, &pair.key))
        return false;
    skip_space(j);
    if (j->p == j->end || *j->p != ':')
        return bad(j, "want ':' after a key");
    j->p++;
    pair.value = read_value(j);
    return pair.value && tree_push(&j->t, pair);
}

static struct node *read_container(struct json *j, enum node_type type)
{
    char close = type == NODE_MAP ? '}' : ']';
    if (j->depth >= j->t.lim.depth)
        return bad(j, "nested too deeply");
    struct node *n = tree_node(&j->t, type, j->line, column(j, j->p));
    if (!n)
        return NULL;
    size_t base = j->t.n;
    j->p++;
    skip_space(j);
    if (j->p < j->end && *j->p == close) {
        j->p++;
        return n;
    }
    j->depth++;
    for (;;) {
        if (type == NODE_MAP) {
            skip_space(j);
            if (!read_pair(j))
                return NULL;
        } else {
            struct node *item = read_value(j);
            if (!item || !tree_push(&j->t, (struct node_pair){ .value = item }))
                return NULL;
        }
        skip_space(j);
        if (j->p < j->end && *j->p == ',') {
            j->p++;
            continue;
        }
        if (j->p < j->end && *j->p == close)
            break;
        return bad(j, type == NODE_MAP ? "want ',' or '}'" : "want ',' or ']'");
    }
    j->p++;
    j->depth--;
    tree_close(&j->t, n, base);
    return n;
}

static struct node *read_word(struct json *j)
{
    const char *from = j->p;
    uint32_t col = column(j, from);
    while (j->p < j->end &&
           ((*j->p >= '0' && *j->p <= '9') || ((*j->p | 0x20) >= 'a' && (*j->p | 0x20) <= 'z') ||
            *j->p == '-' || *j->p == '+' || *j->p == '.'))
        j->p++;
    struct str w = { from, (size_t)(j->p - from) };
    enum node_type type = NODE_NUMBER;
    if (str_eq(w, STR("null")))
        type = NODE_NULL;
    else if (str_eq(w, STR("true")) || str_eq(w, STR("false")))
        type = NODE_BOOL;
    else if (!tree_is_number(w.p, w.n) || w.n > j->t.lim.scalar_bytes) {
        j->p = from;
        return bad(j, w.n ? "not a JSON value: strings stand in double quotes" : "want a value");
    }
    struct node *n = tree_node(&j->t, type, j->line, col);
    if (!n)
        return NULL;
    n->boolean = type == NODE_BOOL && w.p[0] == 't';
    n->text = tree_copy(&j->t, w.p, w.n);
    return n;
}

static struct node *read_value(struct json *j)
{
    skip_space(j);
    if (j->p == j->end)
        return bad(j, "the document ends too early");
    switch (*j->p) {
    case '{':
        return read_container(j, NODE_MAP);
    case '[':
        return read_container(j, NODE_LIST);
    case '"': {
        struct node *n = tree_node(&j->t, NODE_STRING, j->line, column(j, j->p));
        j->p++;
        return n && read_string(j, false, &n->text) ? n : NULL;
    }
    default:
        return read_word(j);
    }
}

static void read_document(void *arg)
{
    struct json *j = arg;
    struct node *n = read_value(j);
    if (!n)
        return;
    skip_space(j);
    if (j->p < j->end)
        bad(j, "want nothing after the document");
    else if (!j->t.failed)
        j->root = n;
}

struct node *json_parse(struct arena *a, struct str file, struct str text,
                        const struct node_limits *lim, struct errors *e)
{
    struct json j = { .p = text.p, .end = text.p + text.n, .line_start = text.p, .line = 1 };
    tree_init(&j.t, a, file, lim, e);
    bool ran = tree_run(&j.t, read_document, &j);
    tree_fini(&j.t);
    if (!ran)
        tree_oom(&j.t);
    return ran ? j.root : NULL;
}

void json_escape(struct str s, struct buf *out)
{
    static const char hex[] = "0123456789abcdef", special[] = "\"\\\b\f\n\r\t",
                      letter[] = "\"\\bfnrt";
    const char *p = s.p, *end = s.p + s.n, *clean = p;
    buf_char(out, '"');
    while (p < end) {
        unsigned char c = (unsigned char)*p;
        size_t n = c < 0x80 ? 1 : tree_utf8(p, end);
        if (n && c >= 0x20 && c != '"' && c != '\\') {
            p += n;
            continue;
        }
        buf_add(out, clean, (size_t)(p - clean));
        const char *known = memchr(special, c, sizeof(special) - 1);
        if (n == 0) {
            buf_str(out, STR("\xEF\xBF\xBD"));
        } else if (known) {
            buf_char(out, '\\');
            buf_char(out, letter[known - special]);
        } else {
            buf_str(out, STR("\\u00"));
            buf_char(out, hex[c >> 4]);
            buf_char(out, hex[c & 15]);
        }
        clean = ++p;
    }
    buf_add(out, clean, (size_t)(p - clean));
    buf_char(out, '"');
}

static void new_line(unsigned indent, unsigned depth, struct buf *out)
{
    if (indent == 0)
        return;
    buf_char(out, '\n');
    for (unsigned i = 0; i < indent * depth; i++)
        buf_char(out, ' ');
}

static void print_at(const struct node *n, unsigned indent, unsigned depth, struct buf *out)
{
    switch ((enum node_type)n->type) {
    case NODE_NULL:
        buf_str(out, STR("null"));
        return;
    case NODE_BOOL:
        buf_str(out, n->boolean ? STR("true") : STR("false"));
        return;
    case NODE_NUMBER:
        buf_str(out, n->text);
        return;
    case NODE_STRING:
        json_escape(n->text, out);
        return;
    case NODE_LIST:
        buf_char(out, '[');
        for (size_t i = 0; i < n->list.n; i++) {
            if (i)
                buf_char(out, ',');
            new_line(indent, depth + 1, out);
            print_at(n->list.v[i], indent, depth + 1, out);
        }
        if (n->list.n)
            new_line(indent, depth, out);
        buf_char(out, ']');
        return;
    case NODE_MAP:
        buf_char(out, '{');
        for (size_t i = 0; i < n->map.n; i++) {
            if (i)
                buf_char(out, ',');
            new_line(indent, depth + 1, out);
            json_escape(n->map.v[i].key, out);
            buf_str(out, indent ? STR(": ") : STR(":"));
            print_at(n->map.v[i].value, indent, depth + 1, out);
        }
        if (n->map.n)
            new_line(indent, depth, out);
        buf_char(out, '}');
        return;
    }
}

void json_print(const struct node *n, unsigned indent, struct buf *out)
{
    print_at(n, indent, 0, out);
}
