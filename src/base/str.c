/* Strings with length: comparing, cutting, hashing, and the only number parsers. Pure; any thread.
 */
#include "base/base.h"
#include "base/rand.h"
#include <pthread.h>

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_ieq(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    if (c != 0)
        return c;
    return a.n < b.n ? -1 : a.n > b.n;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

struct str str_from(const char *cstr)
{
    return (struct str){ cstr, cstr ? strlen(cstr) : 0 };
}

struct str str_sub(struct str s, size_t from, size_t to)
{
    if (to > s.n)
        to = s.n;
    if (from >= to)
        return (struct str){ from <= s.n && s.p ? s.p + from : s.p, 0 };
    return (struct str){ s.p + from, to - from };
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && (*s.p == ' ' || *s.p == '\t'))
        s.p++, s.n--;
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool str_cut(struct str s, char c, struct str *ret_head, struct str *ret_rest)
{
    size_t i = str_find(s, c);
    if (i == s.n)
        return false;
    *ret_head = (struct str){ s.p, i };
    *ret_rest = (struct str){ s.p + i + 1, s.n - i - 1 };
    return true;
}

size_t str_find(struct str s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? (size_t)(at - s.p) : s.n;
}

/* ---- hash: multiply and fold 16 bytes a step, keyed so that a peer cannot choose collisions ----
 */
static uint64_t hash_key[2];
static pthread_once_t hash_once = PTHREAD_ONCE_INIT;

static void hash_make_key(void)
{
    rand_secret(hash_key, sizeof(hash_key));
    hash_key[1] |= 1;
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    __uint128_t m = (__uint128_t)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t load(const char *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return v;
}

uint64_t str_hash(struct str s)
{
    static const uint64_t c1 = 0xa0761d6478bd642fULL, c2 = 0xe7037ed1a0b428dbULL;
    if (UNLIKELY(hash_key[1] == 0))
        pthread_once(&hash_once, hash_make_key);
    uint64_t h = hash_key[0] ^ fold(s.n ^ c1, hash_key[1]);
    const char *p = s.p;
    size_t n = s.n;
    for (; n > 16; n -= 16, p += 16)
        h = fold(load(p, 8) ^ c1 ^ hash_key[1], load(p + 8, 8) ^ h);
    uint64_t a = 0, b = 0;
    if (n > 8) {
        a = load(p, 8);
        b = load(p + 8, n - 8);
    } else if (n > 0) {
        a = load(p, n);
    }
    return fold(c2 ^ s.n, fold(a ^ c1 ^ hash_key[1], b ^ h));
}

/* ---- numbers ---- */
bool str_to_u64(struct str s, uint64_t *ret)
{
    uint64_t v = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned d = (unsigned)(unsigned char)s.p[i] - '0';
        if (d > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, d, &v))
            return false;
    }
    *ret = v;
    return true;
}

bool str_to_i64(struct str s, int64_t *ret)
{
    uint64_t v;
    bool neg = s.n > 0 && s.p[0] == '-';
    if (!str_to_u64(str_sub(s, neg, s.n), &v) || v > (uint64_t)INT64_MAX + neg)
        return false;
    *ret = neg ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool str_to_hex_u64(struct str s, uint64_t *ret)
{
    uint64_t v = 0;
    if (s.n == 0 || s.n > 16)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *ret = v;
    return true;
}

/* A decimal like 12.5 at the front of *s as digits and a power of ten; at most 19 significant
 * digits, of which at most 18 are places: 10^18 fits where they are multiplied. */
enum { PLACES_MAX = 18 };
static bool take_decimal(struct str *s, uint64_t *ret_digits, unsigned *ret_places)
{
    uint64_t v = 0;
    size_t i = 0, digits = 0, places = 0;
    bool point = false;
    for (; i < s->n; i++) {
        char c = s->p[i];
        if (c == '.' && !point && digits > 0) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9')
            break;
        if (v >= UINT64_C(1000000000000000000) || places == PLACES_MAX)
            return false;
        v = v * 10 + (uint64_t)(c - '0');
        digits++;
        places += point;
    }
    if (digits == 0 || (point && places == 0))
        return false;
    *s = str_sub(*s, i, s->n);
    *ret_digits = v;
    *ret_places = (unsigned)places;
    return true;
}

/* digits / 10^places * unit; false on overflow of int64 or when a fraction of one is left. */
static bool scale(uint64_t digits, unsigned places, uint64_t unit, int64_t *ret)
{
    __uint128_t v = (__uint128_t)digits * unit, ten = 1;
    for (unsigned i = 0; i < places; i++)
        ten *= 10;
    if (v % ten != 0 || v / ten > INT64_MAX)
        return false;
    *ret = (int64_t)(v / ten);
    return true;
}

struct unit {
    struct str name;
    uint64_t size;
};

static bool with_unit(struct str s, const struct unit *u, size_t n, int64_t *ret)
{
    uint64_t digits;
    unsigned places;
    if (!take_decimal(&s, &digits, &places))
        return false;
    if (s.n == 0 && digits == 0 && places == 0) {
        *ret = 0;
        return true;
    }
    for (size_t i = 0; i < n; i++)
        if (str_eq(s, u[i].name))
            return scale(digits, places, u[i].size, ret);
    return false;
}

bool str_to_dur(struct str s, struct dur *ret)
{
    static const struct unit units[] = {
        { STR_INIT("ns"), 1 },
        { STR_INIT("us"), NS_PER_US },
        { STR_INIT("ms"), NS_PER_MS },
        { STR_INIT("s"), NS_PER_S },
        { STR_INIT("m"), 60 * NS_PER_S },
        { STR_INIT("h"), 3600 * NS_PER_S },
        { STR_INIT("d"), 86400 * NS_PER_S },
    };
    return with_unit(s, units, ARRAY_LEN(units), &ret->ns);
}

bool str_to_bytes(struct str s, struct bytes *ret)
{
    static const struct unit units[] = {
        { STR_INIT(""), 1 },          { STR_INIT("B"), 1 },         { STR_INIT("kB"), 1000 },
        { STR_INIT("KB"), 1000 },     { STR_INIT("MB"), 1000000 },  { STR_INIT("GB"), 1000000000 },
        { STR_INIT("KiB"), 1 << 10 }, { STR_INIT("MiB"), 1 << 20 }, { STR_INIT("GiB"), 1 << 30 },
    };
    return with_unit(s, units, ARRAY_LEN(units), &ret->n);
}

bool str_to_ratio(struct str s, struct ratio *ret)
{
    uint64_t digits;
    unsigned places;
    int64_t ppm;
    if (!take_decimal(&s, &digits, &places))
        return false;
    bool percent = str_eq(s, STR("%"));
    if ((!percent && s.n > 0) || !scale(digits, places, percent ? 10000 : 1000000, &ppm) ||
        ppm > 1000000)
        return false;
    ret->ppm = (uint32_t)ppm;
    return true;
}

size_t str_distance(struct str a, struct str b)
{
    enum { CAP = 8, MAX = 64 };
    size_t row[MAX + 1];
    if (a.n > MAX || b.n > MAX)
        return str_eq(a, b) ? 0 : CAP;
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t change = diagonal + (ascii_lower(a.p[i - 1]) != ascii_lower(b.p[j - 1]));
            size_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = change < least ? change : least;
        }
    }
    return row[b.n] < CAP ? row[b.n] : CAP;
}
