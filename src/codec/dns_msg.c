/* DNS messages. See dns_msg.h. Compression pointers only ever go backwards, so that following them
 * ends. */
#include "codec/dns_msg.h"
#include "codec/scan.h"

enum {
    HEADER = 12,
    ALIASES_MAX = 8,
    CLASS_IN = 1,
    TYPE_OPT = 41,
    EDNS_SIZE = 1232,
    LABEL_MAX = 63
};

bool dns_name_valid(struct str name)
{
    if (name.n > 1 && name.p[name.n - 1] == '.')
        name.n--;
    if (name.n == 0 || name.n > 253)
        return false;
    size_t label = 0;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (!scan_is(name.p[i], SCAN_LABEL) || ++label > LABEL_MAX) {
            return false;
        }
    }
    return label > 0;
}

static void put16(char *p, unsigned v)
{
    p[0] = (char)(v >> 8);
    p[1] = (char)v;
}

size_t dns_query_make(uint16_t id, struct str name, uint16_t type, char out[DNS_QUERY_MAX])
{
    static const char opt[11] = { 0, 0, TYPE_OPT, (char)(EDNS_SIZE >> 8), (char)(EDNS_SIZE & 255) };
    if (!dns_name_valid(name))
        return 0;
    if (name.p[name.n - 1] == '.')
        name.n--;
    memset(out, 0, HEADER);
    put16(out, id);
    out[2] = 1;  /* recursion desired */
    out[5] = 1;  /* one question */
    out[11] = 1; /* one additional: EDNS */
    char *at = out + HEADER, *length = at++;
    *length = 0;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '.') {
            length = at++;
            *length = 0;
        } else {
            *at++ = name.p[i];
            (*length)++;
        }
    }
    *at++ = 0;
    put16(at, type);
    put16(at + 2, CLASS_IN);
    memcpy(at + 4, opt, sizeof(opt));
    return (size_t)(at + 4 + sizeof(opt) - out);
}

struct reader {
    const uint8_t *p;
    size_t n, at;
    bool bad;
};

static unsigned get(struct reader *r, unsigned bytes)
{
    unsigned v = 0;
    if (r->n - r->at < bytes) {
        r->bad = true;
        return 0;
    }
    while (bytes--)
        v = v << 8 | r->p[r->at++];
    return v;
}

/* A name in lower case without the last dot, into out. */
static size_t get_name(struct reader *r, char out[DNS_NAME_MAX + 1])
{
    size_t n = 0, at = r->at, limit = r->at, end = 0;
    for (;;) {
        if (at >= r->n)
            break;
        uint8_t len = r->p[at];
        if (len == 0) {
            r->at = end ? end : at + 1;
            return n;
        }
        if ((len & 0xc0) == 0xc0) {
            size_t to = at + 1 < r->n ? (size_t)(len & 0x3f) << 8 | r->p[at + 1] : r->n;
            if (to >= limit)
                break;
            end = end ? end : at + 2;
            at = limit = to;
            continue;
        }
        if (len > LABEL_MAX || r->n - at < (size_t)len + 1 || n + len + 1 > DNS_NAME_MAX)
            break;
        if (n)
            out[n++] = '.';
        for (size_t i = 1; i <= len; i++)
            out[n++] = ascii_lower((char)r->p[at + i]);
        at += (size_t)len + 1;
    }
    r->bad = true;
    return 0;
}

struct record {
    char owner[DNS_NAME_MAX + 1];
    size_t owner_n;
    unsigned type, class;
    uint32_t ttl;
    size_t data, data_n;
};

static bool get_record(struct reader *r, struct record *rec)
{
    rec->owner_n = get_name(r, rec->owner);
    rec->type = get(r, 2);
    rec->class = get(r, 2);
    rec->ttl = get(r, 4);
    rec->data_n = get(r, 2);
    rec->data = r->at;
    if (r->bad || r->n - r->at < rec->data_n) {
        r->bad = true;
        return false;
    }
    r->at += rec->data_n;
    return true;
}

struct answer {
    char name[DNS_NAME_MAX + 1]; /* what is looked for now: the question, then its aliases */
    size_t name_n;
    unsigned type, aliases;
    bool moved;
};

static void take_record(struct reader *r, const struct record *rec, struct answer *a,
                        struct dns_reply *ret)
{
    if (rec->class != CLASS_IN ||
        !str_eq((struct str){ rec->owner, rec->owner_n }, (struct str){ a->name, a->name_n }))
        return;
    uint32_t ttl = rec->ttl & 0x80000000u ? 0 : rec->ttl;
    if (rec->type == DNS_CNAME && a->aliases < ALIASES_MAX) {
        struct reader in = { r->p, rec->data + rec->data_n, rec->data, false };
        a->name_n = get_name(&in, a->name);
        r->bad |= in.bad;
        a->aliases++;
        a->moved = true;
    } else if (rec->type == a->type) {
        size_t len = a->type == DNS_A ? 4 : 16;
        if (rec->data_n != len || ret->n == DNS_ADDRESSES_MAX)
            return;
        ret->v[ret->n].len = (uint8_t)len;
        memcpy(ret->v[ret->n++].ip, r->p + rec->data, len);
    } else {
        return;
    }
    ret->ttl = ttl < ret->ttl ? ttl : ret->ttl;
}

/* The answers may stand in any order, so aliases make another pass. */
static bool take_answers(struct reader *r, unsigned count, struct answer *a, struct dns_reply *ret)
{
    size_t start = r->at;
    struct record rec;
    do {
        a->moved = false;
        r->at = start;
        for (unsigned i = 0; i < count; i++) {
            if (!get_record(r, &rec))
                return false;
            if (!a->moved)
                take_record(r, &rec, a, ret);
            if (r->bad)
                return false;
        }
    } while (a->moved && ret->n == 0);
    return true;
}

/* RFC 2308: how long a negative answer holds is the smaller of the SOA's own time and its minimum.
 */
static void take_negative(struct reader *r, unsigned count, struct dns_reply *ret)
{
    struct record rec;
    ret->ttl = 0;
    for (unsigned i = 0; i < count && get_record(r, &rec); i++) {
        if (rec.type != DNS_SOA || rec.data_n < 20)
            continue;
        struct reader in = { r->p, rec.data + rec.data_n, rec.data + rec.data_n - 4, false };
        uint32_t minimum = get(&in, 4);
        ret->ttl = minimum < rec.ttl ? minimum : rec.ttl;
        return;
    }
}

bool dns_reply_parse(struct str msg, uint16_t id, struct str name, uint16_t type,
                     struct dns_reply *ret)
{
    struct reader r = { (const uint8_t *)msg.p, msg.n, 0, false };
    struct answer a = { .type = type };
    unsigned got = get(&r, 2), flags = get(&r, 2), questions = get(&r, 2), answers = get(&r, 2),
             authority = get(&r, 2);
    (void)get(&r, 2);
    *ret = (struct dns_reply){ .ttl = UINT32_MAX };
    if (r.bad || got != id || !(flags & 0x8000) || questions != 1)
        return false;
    a.name_n = get_name(&r, a.name);
    if (name.n > 1 && name.p[name.n - 1] == '.')
        name.n--;
    if (r.bad || !str_ieq((struct str){ a.name, a.name_n }, name) || get(&r, 2) != type ||
        get(&r, 2) != CLASS_IN || r.bad)
        return false;
    ret->rcode = flags & 15;
    ret->truncated = flags & 0x0200;
    if (ret->truncated)
        return true;
    if (!take_answers(&r, answers, &a, ret))
        return false;
    if (ret->n == 0)
        take_negative(&r, authority, ret);
    return true;
}
