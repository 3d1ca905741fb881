/* The vocabulary every folder speaks: strings with length, typed units, permanent checks. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A string with length, never owned through this type; may hold NUL. {NULL, 0} is "absent". */
struct str {
    const char *p;
    size_t n;
};
#define STR(lit) ((struct str){ "" lit, sizeof(lit) - 1 })
#define STR_INIT(lit)           \
    {                           \
        "" lit, sizeof(lit) - 1 \
    }                                /* for static initialisers */
#define STR_FMT(s) (int)(s).n, (s).p /* printf("%.*s", STR_FMT(s)) */

/* Units are types, so an int of milliseconds cannot be passed for one of seconds. */
struct dur {
    int64_t ns;
};
struct bytes {
    int64_t n;
};
struct ratio {
    uint32_t ppm; /* parts per million: 1% is 10,000 */
};
#define NS_PER_US 1000LL
#define NS_PER_MS 1000000LL
#define NS_PER_S  1000000000LL

/* LIST_OF(T) is the one shape of a list: a pointer and a count. */
#define LIST_OF(T) \
    struct {       \
        T *v;      \
        size_t n;  \
    }
typedef LIST_OF(struct str) str_list;
struct str_pair {
    struct str key, value;
};
typedef LIST_OF(struct str_pair) str_map;

#define ARRAY_LEN(a)            (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, T, m)   ((T *)(void *)((char *)(p)-offsetof(T, m)))
#define LIKELY(x)               __builtin_expect(!!(x), 1)
#define UNLIKELY(x)             __builtin_expect(!!(x), 0)
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define NODISCARD               __attribute__((warn_unused_result))

/* CHECK stays on in release and ends the process with file:line. It is for our bugs only, never for
   anything a peer or a user can cause. */
_Noreturn void check_failed(const char *file, int line, const char *expr);
#define CHECK(cond) (LIKELY(cond) ? (void)0 : check_failed(__FILE__, __LINE__, #cond))

/* ---- str.c ---- */
bool str_eq(struct str a, struct str b);
bool str_ieq(struct str a, struct str b); /* ASCII case-insensitive */
int str_cmp(struct str a, struct str b);  /* bytewise, shorter first */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
struct str str_from(const char *cstr);                    /* cstr may be NULL */
struct str str_sub(struct str s, size_t from, size_t to); /* clamps */
struct str str_trim(struct str s);                        /* SP and HTAB at both ends */
/* Cuts s at the first c: ret_head is what stands before, ret_rest what follows. False if no c. */
bool str_cut(struct str s, char c, struct str *ret_head, struct str *ret_rest);
/* Index of c in s, or s.n. */
size_t str_find(struct str s, char c);
uint64_t str_hash(struct str s); /* keyed per process; safe for peer-chosen input */
/* The only number parsers in the tree: whole string, no sign unless said, no overflow. */
bool str_to_u64(struct str s, uint64_t *ret);
bool str_to_i64(struct str s, int64_t *ret); /* optional leading '-' */
bool str_to_hex_u64(struct str s, uint64_t *ret);
bool str_to_dur(struct str s, struct dur *ret);     /* 250ms 1.5s 10m 1h 100us 0 */
bool str_to_bytes(struct str s, struct bytes *ret); /* 512 16KiB 1MiB 10MB */
bool str_to_ratio(struct str s, struct ratio *ret); /* 12.5% or 0.125 */
/* Edit distance for "did you mean", capped at 8. */
size_t str_distance(struct str a, struct str b);

static inline char ascii_lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}
