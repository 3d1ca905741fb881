/* YAML out: block style, quotes only where a reader would see something else, so that yaml_parse
   gives the tree back. Pure. */
#include "codec/node.h"
#include "codec/tree.h"

/* YAML forbids or folds these even inside quotes: controls, line separators, the byte order mark,
 * non-characters. */
static bool escaped_char(uint32_t u)
{
    return u < 0x20 || (u >= 0x7F && u < 0xA0) || u == 0x2028 || u == 0x2029 || u == 0xFEFF ||
           u == 0xFFFE || u == 0xFFFF;
}

static uint32_t decode(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    switch (n) {
    case 1:
        return u[0];
    case 2:
        return (u[0] & 0x1Fu) << 6 | (u[1] & 0x3Fu);
    case 3:
        return (u[0] & 0x0Fu) << 12 | (u[1] & 0x3Fu) << 6 | (u[2] & 0x3Fu);
    default:
        return (u[0] & 0x07u) << 18 | (u[1] & 0x3Fu) << 12 | (u[2] & 0x3Fu) << 6 | (u[3] & 0x3Fu);
    }
}

static void print_quoted(struct str s, struct buf *out)
{
    const char *end = s.p + s.n;
    buf_char(out, '"');
    for (const char *p = s.p; p < end;) {
        size_t n = tree_utf8(p, end);
        uint32_t u = n ? decode(p, n) : 0xFFFD;
        if (u == '\n')
            buf_str(out, STR("\\n"));
        else if (u == '"' || u == '\\')
            buf_fmt(out, "\\%c", (char)u);
        else if (u == 0xFFFD || escaped_char(u))
            buf_fmt(out, "\\u%04X", u);
        else
            buf_add(out, p, n);
        p += n ? n : 1;
    }
    buf_char(out, '"');
}

/* What other readers of YAML may take for a boolean, a number or a time of day. */
static bool ambiguous(struct str s)
{
    static const char *const words[] = {
        "null", "true", "false", "yes", "no", "on", "off", "y", "n"
    };
    bool letters = false;
    for (size_t i = 0; i < s.n; i++)
        letters |= ascii_lower(s.p[i]) >= 'a' && ascii_lower(s.p[i]) <= 'z';
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_ieq(s, str_from(words[i])))
            return true;
    return !letters || tree_is_number(s.p, s.n);
}

/* Letters, digits and a few signs that mean nothing to YAML in the middle of a word; stricter than
 * it needs to be. */
static bool plain_safe(struct str s)
{
    static const char inner[] = "-_./+@$%^~()=;";
    if (s.n == 0 || s.n > 200 || (s.p[0] != '/' && ambiguous(s)))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
        bool first =
            c == '/' || c == '_' || c == '.' || c == '$' || c == '^' || c == '(' || c == '+';
        bool lone_space = c == ' ' && i + 1 < s.n && s.p[i + 1] != ' ';
        bool in_word = c == ':' && i + 1 < s.n && s.p[i + 1] != ' ';
        if (!word &&
            (i == 0 ? !first : !lone_space && !in_word && !memchr(inner, c, sizeof(inner) - 1)))
            return false;
    }
    return !str_starts(s, STR("...")) && s.p[s.n - 1] != ':';
}

/* A text of several lines whose literal block reads back the same. */
static bool block_safe(struct str s)
{
    if (s.n < 2 || !memchr(s.p, '\n', s.n - 1) || s.p[0] == '\n' || s.p[0] == ' ')
        return false;
    if (s.p[s.n - 1] == ' ' || (s.p[s.n - 1] == '\n' && s.p[s.n - 2] == '\n'))
        return false;
    for (const char *p = s.p, *end = s.p + s.n; p < end;) {
        size_t n = tree_utf8(p, end);
        if (n == 0 || (*p != '\n' && escaped_char(decode(p, n))) || (*p == '\n' && p[-1] == ' '))
            return false;
        p += n;
    }
    return true;
}

static void pad(unsigned n, struct buf *out)
{
    for (unsigned i = 0; i < n; i++)
        buf_char(out, ' ');
}

static void print_block(struct str s, unsigned indent, struct buf *out)
{
    bool ends = s.p[s.n - 1] == '\n';
    buf_str(out, ends ? STR("|\n") : STR("|-\n"));
    struct str line, rest = { s.p, s.n - (ends ? 1 : 0) };
    bool more = true;
    while (more) {
        struct str tail;
        more = str_cut(rest, '\n', &line, &tail);
        if (!more)
            line = rest;
        if (line.n)
            pad(indent, out);
        buf_str(out, line);
        buf_char(out, '\n');
        if (more)
            rest = tail;
    }
}

static void print_key(struct str key, unsigned indent, struct buf *out)
{
    /* libyaml looks for the ':' of a simple key within 1,024 characters; an escape takes up to six
     * bytes. */
    bool longer = key.n > 150;
    if (longer)
        buf_str(out, STR("? "));
    if (plain_safe(key))
        buf_str(out, key);
    else
        print_quoted(key, out);
    if (longer) {
        buf_char(out, '\n');
        pad(indent, out);
    }
    buf_char(out, ':');
}

static void print_map(const struct node *n, unsigned indent, struct buf *out);
static void print_list(const struct node *n, unsigned indent, struct buf *out);

static void print_scalar(const struct node *n, unsigned indent, struct buf *out)
{
    switch ((enum node_type)n->type) {
    case NODE_NULL:
        buf_str(out, STR("null"));
        break;
    case NODE_BOOL:
        buf_str(out, n->boolean ? STR("true") : STR("false"));
        break;
    case NODE_NUMBER:
        buf_str(out, n->text);
        break;
    case NODE_LIST:
        buf_str(out, STR("[]"));
        break;
    case NODE_MAP:
        buf_str(out, STR("{}"));
        break;
    case NODE_STRING:
        if (plain_safe(n->text)) {
            buf_str(out, n->text);
        } else if (block_safe(n->text)) {
            print_block(n->text, indent, out);
            return;
        } else {
            print_quoted(n->text, out);
        }
        break;
    }
    buf_char(out, '\n');
}

static bool nested(const struct node *n)
{
    return (n->type == NODE_MAP && n->map.n) || (n->type == NODE_LIST && n->list.n);
}

static void print_map(const struct node *n, unsigned indent, struct buf *out)
{
    for (size_t i = 0; i < n->map.n; i++) {
        const struct node *v = n->map.v[i].value;
        if (i)
            pad(indent, out);
        print_key(n->map.v[i].key, indent, out);
        if (!nested(v)) {
            buf_char(out, ' ');
            print_scalar(v, indent + 2, out);
            continue;
        }
        buf_char(out, '\n');
        pad(indent + 2, out);
        if (v->type == NODE_MAP)
            print_map(v, indent + 2, out);
        else
            print_list(v, indent + 2, out);
    }
}

/* Both printers start where the first line is already indented, so a map can stand right after "-
 * ". */
static void print_list(const struct node *n, unsigned indent, struct buf *out)
{
    for (size_t i = 0; i < n->list.n; i++) {
        const struct node *v = n->list.v[i];
        if (i)
            pad(indent, out);
        buf_str(out, STR("- "));
        if (!nested(v))
            print_scalar(v, indent + 2, out);
        else if (v->type == NODE_MAP)
            print_map(v, indent + 2, out);
        else
            print_list(v, indent + 2, out);
    }
}

void yaml_print(const struct node *n, struct buf *out)
{
    if (!nested(n))
        print_scalar(n, 2, out);
    else if (n->type == NODE_MAP)
        print_map(n, 0, out);
    else
        print_list(n, 0, out);
}
