/* The snapshot file: all resources of a world in one sealed piece, laid out so that it is
   read where it stands. Pure.

     header (64 bytes): magic "WEIRSNAP" | u32 version | u32 count | u64 total bytes | u64 zero |
   SHA-256 of all that follows the header index (count entries of 64 bytes): u32 type | u32 name
   length | u64 name offset | u64 offset | u64 length | 32 bytes hash, all names, then all payloads,
   each 4-aligned. Little endian. Offsets are from the start of the file. What changed is known from
   the index and the names, so a reload touches little else. */
#include "crypto/hash.h"
#include "wire/wire.h"

enum {
    HEADER = 64,
    ENTRY = 64,
    VERSION = 1,
    SEAL_AT = 32,
    COUNT_MAX = 1 << 24,
    SEAL_PIECE = 1 << 20
};
static const char magic[8] = { 'W', 'E', 'I', 'R', 'S', 'N', 'A', 'P' };

static void put_u32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (char)(v >> 8 * i);
}

static void put_u64(char *p, uint64_t v)
{
    put_u32(p, (uint32_t)v);
    put_u32(p + 4, (uint32_t)(v >> 32));
}

static uint32_t get_u32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static uint64_t get_u64(const char *p)
{
    return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

static bool pad(struct buf *out, size_t base)
{
    while ((out->n - base) % 4)
        if (!buf_char(out, 0))
            return false;
    return true;
}

bool wire_snapshot_write(const resource_list *r, struct buf *out)
{
    size_t base = out->n, index = HEADER + r->n * ENTRY;
    char *head = buf_room(out, index);
    if (!head)
        return false;
    memset(head, 0, index);
    out->n += index;
    for (size_t i = 0; i < r->n; i++) {
        const struct resource *v = &r->v[i];
        char *e = out->p + base + HEADER + i * ENTRY;
        put_u32(e, v->type);
        put_u32(e + 4, (uint32_t)v->name.n);
        put_u64(e + 8, out->n - base);
        put_u64(e + 24, v->bytes.n);
        memcpy(e + 32, v->hash, 32);
        if (!buf_str(out, v->name))
            return false;
    }
    for (size_t i = 0; i < r->n; i++) {
        if (!pad(out, base))
            return false;
        put_u64(out->p + base + HEADER + i * ENTRY + 16, out->n - base);
        if (!buf_str(out, r->v[i].bytes))
            return false;
    }
    if (!pad(out, base))
        return false;
    head = out->p + base;
    memcpy(head, magic, sizeof(magic));
    put_u32(head + 8, VERSION);
    put_u32(head + 12, (uint32_t)r->n);
    put_u64(head + 16, out->n - base);
    sha256((struct str){ head + HEADER, out->n - base - HEADER }, (uint8_t *)head + SEAL_AT);
    return true;
}

static bool inside(struct str in, uint64_t at, uint64_t n, struct str *ret)
{
    if (at > in.n || n > in.n - at)
        return false;
    *ret = (struct str){ in.p + at, (size_t)n };
    return true;
}

static const char *read_entry(struct str in, size_t i, struct resource *r)
{
    const char *e = in.p + HEADER + i * ENTRY;
    uint32_t type = get_u32(e);
    if (type >= RES_TYPES)
        return "unknown resource type: made by a newer version?";
    r->type = (uint8_t)type;
    uint64_t at = get_u64(e + 16);
    if (!inside(in, get_u64(e + 8), get_u32(e + 4), &r->name) ||
        !inside(in, at, get_u64(e + 24), &r->bytes) || at % 4)
        return "an entry points outside the file";
    memcpy(r->hash, e + 32, 32);
    return NULL;
}

bool wire_snapshot_sealed(struct str in, void (*read)(void *arg, struct str piece), void *arg)
{
    uint8_t seal[32];
    struct sha256 h;
    if (in.n < HEADER)
        return false;
    sha256_init(&h);
    for (size_t at = 0; at < in.n; at += SEAL_PIECE) {
        struct str piece = str_sub(in, at, at + SEAL_PIECE);
        struct str hashed = str_sub(piece, at ? 0 : HEADER, piece.n);
        sha256_add(&h, hashed.p, hashed.n);
        if (read)
            read(arg, piece);
    }
    sha256_end(&h, seal);
    return memcmp(seal, in.p + SEAL_AT, sizeof(seal)) == 0;
}

static const char *read_all(struct str in, bool verify, struct arena *a, resource_list *ret)
{
    if (in.n < HEADER || memcmp(in.p, magic, sizeof(magic)) != 0)
        return "not a snapshot file";
    if (get_u32(in.p + 8) != VERSION)
        return "a snapshot of another version";
    uint32_t n = get_u32(in.p + 12);
    if (get_u64(in.p + 24) != 0)
        return "the reserved part of the head is not empty: the file is damaged";
    if (get_u64(in.p + 16) != in.n || n > COUNT_MAX || n > (in.n - HEADER) / ENTRY)
        return "the file is cut short or too long";
    if (verify && !wire_snapshot_sealed(in, NULL, NULL))
        return "the seal does not match: the file is damaged";
    ret->v = ARENA_ARRAY(a, struct resource, n ? n : 1);
    ret->n = n;
    for (size_t i = 0; i < n; i++) {
        const char *why = read_entry(in, i, &ret->v[i]);
        if (why)
            return why;
    }
    return NULL;
}

bool wire_snapshot_read(struct str in, bool verify, struct arena *a, resource_list *ret,
                        struct errors *e, struct str file)
{
    const char *why = read_all(in, verify, a, ret);
    if (!why)
        return true;
    *ret = (resource_list){ NULL, 0 };
    return fail(e, file, 0, 0, STR(""), "%s", why);
}
