/* ClientHello reader. The handshake message may be cut into records anywhere, so bytes are taken
   through a cursor that steps over record heads. */
#include "codec/sni.h"
#include "codec/scan.h"

enum { RECORD_HANDSHAKE = 22, CLIENT_HELLO = 1, EXT_SERVER_NAME = 0 };
struct cursor {
    const uint8_t *p, *end;
    size_t record; /* bytes left in the current record */
    size_t left;   /* bytes left in the handshake message; SIZE_MAX before its length is known */
    bool bad, more;
};

static bool next_record(struct cursor *c)
{
    if (c->end - c->p < 5) {
        c->bad |= c->p < c->end && *c->p != RECORD_HANDSHAKE;
        c->more = !c->bad;
        return false;
    }
    size_t n = (size_t)c->p[3] << 8 | c->p[4];
    if (c->p[0] != RECORD_HANDSHAKE || c->p[1] != 3 || n == 0 || n > 16384) {
        c->bad = true;
        return false;
    }
    c->p += 5;
    c->record = n;
    return true;
}

static unsigned take(struct cursor *c)
{
    if (c->bad || c->more)
        return 0;
    if (c->left == 0) {
        c->bad = true;
        return 0;
    }
    if (c->record == 0 && !next_record(c))
        return 0;
    if (c->p == c->end) {
        c->more = true;
        return 0;
    }
    c->record--;
    if (c->left != SIZE_MAX)
        c->left--;
    return *c->p++;
}

static size_t take_n(struct cursor *c, unsigned bytes)
{
    size_t v = 0;
    while (bytes--)
        v = v << 8 | take(c);
    return v;
}

static void skip(struct cursor *c, size_t n)
{
    while (n-- && !c->bad && !c->more)
        take(c);
}

static enum sni_result ended(const struct cursor *c)
{
    return c->bad ? SNI_BAD : SNI_MORE;
}

/* server_name: list of (type, length, bytes); exactly one host name is what everyone sends. */
static enum sni_result read_name(struct cursor *c, size_t size, char *name, size_t *ret_n)
{
    size_t list = take_n(c, 2), type = take(c), n = take_n(c, 2);
    if (c->bad || c->more)
        return ended(c);
    if (list + 2 != size || type != 0 || n + 3 != list || n == 0 || n > SNI_NAME_MAX)
        return SNI_BAD;
    for (size_t i = 0; i < n; i++) {
        char ch = (char)take(c);
        if (c->bad || c->more)
            return ended(c);
        if (ch != '.' && !scan_is(ch, SCAN_LABEL))
            return SNI_BAD;
        name[i] = ascii_lower(ch);
    }
    if (name[n - 1] == '.')
        n--;
    name[n] = 0;
    *ret_n = n;
    return n ? SNI_FOUND : SNI_BAD;
}

enum sni_result sni_parse(const char *p, size_t n, char name[SNI_NAME_MAX + 1], size_t *ret_n)
{
    struct cursor c = { .p = (const uint8_t *)p, .end = (const uint8_t *)p + n, .left = SIZE_MAX };
    unsigned type = take(&c);
    size_t length = take_n(&c, 3);
    if (c.bad || c.more)
        return c.more && n >= SNI_HELLO_MAX ? SNI_BAD : ended(&c);
    if (type != CLIENT_HELLO || length > SNI_HELLO_MAX - 512)
        return SNI_BAD;
    c.left = length;
    skip(&c, 2 + 32);
    skip(&c, take(&c));      /* session id */
    skip(&c, take_n(&c, 2)); /* cipher suites */
    skip(&c, take(&c));      /* compression methods */
    if (!c.bad && !c.more && c.left == 0)
        return SNI_NONE; /* no extensions at all */
    size_t extensions = take_n(&c, 2);
    while (!c.bad && !c.more && extensions >= 4) {
        size_t ext = take_n(&c, 2), size = take_n(&c, 2);
        extensions -= 4;
        if (c.bad || c.more || size > extensions)
            break;
        extensions -= size;
        if (ext == EXT_SERVER_NAME)
            return read_name(&c, size, name, ret_n);
        skip(&c, size);
    }
    if (c.more)
        return n >= SNI_HELLO_MAX ? SNI_BAD : SNI_MORE;
    return c.bad || extensions ? SNI_BAD : SNI_NONE;
}
