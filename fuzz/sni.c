/* ClientHello: the verdict does not depend on how the bytes arrive nor on how the message is cut
   into records, and a name is one that can be looked up. The first two bytes of the input steer the
   cuts. */
#include "codec/sni.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_MAX = 4096 };
struct verdict {
    enum sni_result r;
    char name[SNI_NAME_MAX + 1];
    size_t n;
};

static struct verdict parse(const char *p, size_t n)
{
    struct verdict v = { .n = 0 };
    v.r = sni_parse(p, n, v.name, &v.n);
    return v;
}

static void check_same(const struct verdict *a, const struct verdict *b)
{
    CHECK(a->r == b->r);
    if (a->r == SNI_FOUND)
        CHECK(a->n == b->n && memcmp(a->name, b->name, a->n) == 0);
}

static void check_name(const struct verdict *v)
{
    CHECK(v->n > 0 && v->n <= SNI_NAME_MAX && v->name[v->n] == 0);
    for (size_t i = 0; i < v->n; i++) {
        char c = v->name[i];
        CHECK((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.');
    }
}

/* The bytes of all whole handshake records; SIZE_MAX when there is anything else. */
static size_t join(const char *p, size_t n, char *out)
{
    size_t at = 0, got = 0;
    while (at < n) {
        size_t len = n - at >= 5 ? (size_t)((uint8_t)p[at + 3] << 8 | (uint8_t)p[at + 4]) : 0;
        if (len == 0 || p[at] != 22 || p[at + 1] != 3 || n - at - 5 < len ||
            got + len > MESSAGE_MAX)
            return SIZE_MAX;
        memcpy(out + got, p + at + 5, len);
        got += len;
        at += 5 + len;
    }
    return got;
}

static size_t cut(const char *p, size_t n, size_t step, char *out)
{
    size_t got = 0;
    for (size_t at = 0; at < n; at += step) {
        size_t len = n - at < step ? n - at : step;
        memcpy(out + got, (char[]){ 22, 3, 1, (char)(len >> 8), (char)len }, 5);
        memcpy(out + got + 5, p + at, len);
        got += 5 + len;
    }
    return got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char message[MESSAGE_MAX], records[6 * MESSAGE_MAX];
    if (size < 2)
        return 0;
    size_t step = 1 + (data[0] | (size_t)(data[1] & 1) << 8);
    const char *p = (const char *)data + 2;
    size -= 2;
    struct verdict whole = parse(p, size);
    if (whole.r == SNI_FOUND)
        check_name(&whole);
    for (size_t n = 0; n < size; n += size / 32 + 1) {
        struct verdict part = parse(p, n);
        if (part.r != SNI_MORE)
            check_same(&part, &whole);
    }
    size_t n = join(p, size, message);
    if (n != SIZE_MAX) {
        struct verdict again = parse(records, cut(message, n, step, records));
        check_same(&whole, &again);
    }
    return 0;
}
