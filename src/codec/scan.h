/* Byte classes and the fast scanners shared by the codecs: finding the first byte that does not
   belong. SSE2 where the target has it, plain loops elsewhere. Pure; any thread. */
#pragma once
#include "base/base.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    SCAN_TOKEN = 1,      /* RFC 9110 tchar */
    SCAN_LABEL = 2,      /* of host names: letters, digits, '-', '_' */
    SCAN_UNRESERVED = 4, /* RFC 3986 unreserved */
    SCAN_PATH = 8,       /* may stand in a path as it is; neither '.' nor '%', which need a look */
    SCAN_HEX = 16,
    SCAN_OWS = 32, /* SP and HTAB */
};
extern const uint8_t scan_class[256];

static inline bool scan_is(char c, unsigned cls)
{
    return (scan_class[(uint8_t)c] & cls) != 0;
}

#ifdef __SSE2__
/* The 16 bytes at p; near the end of a block that holds 16 the last 16, and how many of those stand
   before p: their bits are to be shifted out. A block of fewer has no such bytes: false. */
static inline __attribute__((always_inline)) bool
scan_load(const char *base, const char *p, const char *end, __m128i *ret, unsigned *ret_before)
{
    if (LIKELY(end - p >= 16)) {
        *ret = _mm_loadu_si128((const __m128i *)(const void *)p);
        *ret_before = 0;
        return true;
    }
    if (end - base < 16)
        return false;
    *ret = _mm_loadu_si128((const __m128i *)(const void *)(end - 16));
    *ret_before = (unsigned)(16 - (end - p));
    return true;
}
#endif

/* First byte in [p, end) that a field value cannot hold (controls but HTAB, DEL), or end. Bytes
 * over 0x7f are obs-text. Bytes from base on may be read. */
static inline const char *scan_value_in(const char *base, const char *p, const char *end)
{
#ifdef __SSE2__
    /* Signed comparison: obs-text stops it as well, as HTAB does; both are rare and passed over
     * singly. */
    const __m128i first = _mm_set1_epi8(0x20), del = _mm_set1_epi8(0x7f);
    __m128i x;
    unsigned before;
    while (p < end && scan_load(base, p, end, &x, &before)) {
        __m128i odd = _mm_or_si128(_mm_cmplt_epi8(x, first), _mm_cmpeq_epi8(x, del));
        unsigned m = (unsigned)_mm_movemask_epi8(odd) >> before;
        if (m == 0) {
            p += 16 - before;
            continue;
        }
        p += __builtin_ctz(m);
        if (LIKELY(*p != '\t' && (int8_t)*p >= 0))
            return p;
        p++;
    }
#endif
    while (p < end && ((uint8_t)*p >= 0x20 || *p == '\t') && *p != 0x7f)
        p++;
    return p;
}
static inline const char *scan_value(const char *p, const char *end)
{
    return scan_value_in(p, p, end);
}

/* First byte in [p, end) that is not a token character, or end. Letters and '-' go 16 at a time,
 * the rest one by one. Bytes from base on may be read. */
static inline const char *scan_token_in(const char *base, const char *p, const char *end)
{
#ifdef __SSE2__
    __m128i x;
    unsigned before;
    if (LIKELY(p < end) && scan_load(base, p, end, &x, &before)) {
        __m128i letter = _mm_sub_epi8(_mm_or_si128(x, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
        letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8('z' - 'a')), letter);
        letter = _mm_or_si128(letter, _mm_cmpeq_epi8(x, _mm_set1_epi8('-')));
        /* Zeros come in above the mask, so that it always ends at or before `end`. */
        p += __builtin_ctz(~((unsigned)_mm_movemask_epi8(letter) >> before));
    }
#endif
    while (p < end && scan_is(*p, SCAN_TOKEN))
        p++;
    return p;
}
static inline const char *scan_token(const char *p, const char *end)
{
    return scan_token_in(p, p, end);
}

/* First byte in [p, end) that a request target cannot hold (controls, SP, '#', DEL, non-ASCII), or
   end. ret_query: the first '?' before it, or NULL. */
static inline const char *scan_target(const char *p, const char *end, const char **ret_query)
{
    *ret_query = NULL;
#ifdef __SSE2__
    /* Signed comparison: bytes over 0x7f are negative and so below '!' as well. */
    const __m128i first = _mm_set1_epi8(0x21), del = _mm_set1_epi8(0x7f), hash = _mm_set1_epi8('#');
    for (; end - p >= 16; p += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i bad = _mm_or_si128(_mm_cmplt_epi8(x, first), _mm_cmpeq_epi8(x, del));
        unsigned m = (unsigned)_mm_movemask_epi8(_mm_or_si128(bad, _mm_cmpeq_epi8(x, hash)));
        unsigned q = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('?')));
        q &= (m & -m) - 1; /* only those before the end; all of them when m is 0 */
        if (q && !*ret_query)
            *ret_query = p + __builtin_ctz(q);
        if (m)
            return p + __builtin_ctz(m);
    }
#endif
    for (; p<end && * p> 0x20 && *p != 0x7f && *p != '#'; p++)
        if (*p == '?' && !*ret_query)
            *ret_query = p;
    return p;
}

/* Value of a hex digit; the caller has checked SCAN_HEX. */
static inline unsigned scan_hex(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

/* Takes the next element of a comma-separated list off *list, without the blanks around it; may be
 * empty. False at the end. */
static inline bool scan_list(struct str *list, struct str *ret)
{
    if (!list->p)
        return false;
    const char *p = list->p, *end = p + list->n, *comma = end > p ? memchr(p, ',', list->n) : NULL;
    const char *stop = comma ? comma : end;
    *list = comma ? (struct str){ comma + 1, (size_t)(end - comma) - 1 } : (struct str){ NULL, 0 };
    while (p < stop && scan_is(*p, SCAN_OWS))
        p++;
    while (stop > p && scan_is(stop[-1], SCAN_OWS))
        stop--;
    *ret = (struct str){ p, (size_t)(stop - p) };
    return true;
}

/* p[0..n) equal to lit, a lower-case literal, letters in any case. n is a constant everywhere, so
   this folds to a few word comparisons. Only bits that differ between the cases of a letter are
   ignored: '-' does not equal CR. */
static inline __attribute__((always_inline)) uint64_t scan_word(const char *p, size_t n)
{
    uint64_t w8 = 0;
    uint32_t w4 = 0;
    uint16_t w2 = 0;
    if (n == 8)
        return memcpy(&w8, p, 8), w8;
    if (n == 4)
        return memcpy(&w4, p, 4), w4;
    if (n == 2)
        return memcpy(&w2, p, 2), w2;
    return (uint8_t)*p;
}
static inline __attribute__((always_inline)) bool scan_same_word(const char *p, const char *lit,
                                                                 size_t n)
{
    uint64_t w = scan_word(lit, n), fold = (w & 0x4040404040404040u) >> 1;
    return ((scan_word(p, n) ^ w) & ~fold) == 0;
}
static inline __attribute__((always_inline)) bool scan_same(const char *p, const char *lit,
                                                            size_t n)
{
    size_t i = 0, step = n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
    for (; i + step <= n; i += step)
        if (!scan_same_word(p + i, lit + i, step))
            return false;
    return i == n || scan_same_word(p + n - step, lit + n - step, step);
}
