/* Numbers, durations, sizes and ratios: what is taken prints as something that is taken as the same
   value; nothing else in the text is overlooked; formats answer for any bytes. Input: a byte that
   chooses the type, then the text. */
#include "schema/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct enum_value words[] = { { "one", 1, NULL }, { "two", 2, NULL }, { 0 } };
static const uint8_t types[] = { T_BOOL, T_INT, T_NUMBER, T_DUR, T_BYTES, T_RATIO, T_ENUM };

static void check_value(const struct field *f, struct str text)
{
    union scalar v = { 0 }, w = { 0 };
    char out[64], again[64];
    if (!scalar_read(f, text, &v))
        return;
    CHECK(text.n > 0 && !memchr(text.p, 0, text.n) && !memchr(text.p, ' ', text.n));
    const char *shown = scalar_text(f, &v, out);
    CHECK(strlen(shown) < sizeof out && scalar_read(f, str_from(shown), &w));
    if (f->type == T_BOOL)
        CHECK(v.b == w.b);
    else if (f->type == T_NUMBER)
        CHECK(v.d == w.d);
    else
        CHECK(v.i == w.i);
    CHECK(strcmp(scalar_text(f, &w, again), shown) == 0);
    if (f->type == T_DUR || f->type == T_BYTES || f->type == T_RATIO)
        CHECK(v.i >= 0);
    CHECK(f->type != T_RATIO || v.i <= 1000000);
}

/* The same digits read one by one. */
static void check_digits(struct str s)
{
    uint64_t v, plain = 0;
    int64_t i;
    bool ok = s.n > 0;
    for (size_t k = 0; ok && k < s.n; k++) {
        unsigned d = (unsigned)(uint8_t)s.p[k] - '0';
        ok = d <= 9 && !__builtin_mul_overflow(plain, 10u, &plain) &&
             !__builtin_add_overflow(plain, d, &plain);
    }
    CHECK(str_to_u64(s, &v) == ok && (!ok || v == plain));
    if (s.n && s.p[0] != '-')
        CHECK(str_to_i64(s, &i) == (ok && plain <= INT64_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct str text = { (const char *)data + 1, size - 1 };
    struct field f = { .name = "f", .type = types[data[0] % sizeof types], .values = words };
    check_value(&f, text);
    check_digits(text);
    for (int k = 0; k <= FMT_FILE; k++) {
        const char *want = NULL;
        CHECK(format_check((enum field_format)k, text, &want) || (want && *want));
    }
    return 0;
}
