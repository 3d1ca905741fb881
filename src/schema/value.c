/* Scalars: text to typed value, checks with errors that speak the unit of the type, and back to
 * text. Pure. */
#include "codec/path.h"
#include "codec/regex.h"
#include "schema/walk.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

bool field_is_scalar(const struct field *f)
{
    return f->type <= T_ENUM;
}

const char *field_want(const struct field *f)
{
    switch ((enum field_type)f->type) {
    case T_BOOL:
        return "true or false";
    case T_INT:
    case T_LIST_INT:
        return "a whole number";
    case T_NUMBER:
        return "a number";
    case T_DUR:
        return "a duration like 250ms";
    case T_BYTES:
        return "a size like 16KiB";
    case T_RATIO:
        return "a ratio like 12.5% or 0.125";
    default:
        return "a string";
    }
}

static bool read_number(struct str text, double *ret)
{
    char copy[64], *end;
    if (text.n == 0 || text.n >= sizeof(copy))
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    if (copy[0] != '-' && (copy[0] < '0' || copy[0] > '9'))
        return false;
    *ret = strtod(copy, &end);
    return end == copy + text.n && isfinite(*ret);
}

bool scalar_read(const struct field *f, struct str text, union scalar *ret)
{
    struct dur d;
    struct bytes b;
    struct ratio r;
    switch ((enum field_type)f->type) {
    case T_BOOL:
        ret->b = str_eq(text, STR("true"));
        return ret->b || str_eq(text, STR("false"));
    case T_INT:
    case T_LIST_INT:
        return str_to_i64(text, &ret->i);
    case T_NUMBER:
        return read_number(text, &ret->d);
    case T_DUR:
        if (!str_to_dur(text, &d))
            return false;
        ret->i = d.ns;
        return true;
    case T_BYTES:
        if (!str_to_bytes(text, &b))
            return false;
        ret->i = b.n;
        return true;
    case T_RATIO:
        if (!str_to_ratio(text, &r))
            return false;
        ret->i = r.ppm;
        return true;
    case T_ENUM:
        for (const struct enum_value *v = f->values; v->name; v++) {
            if (str_eq(text, str_from(v->name))) {
                ret->i = v->value;
                return true;
            }
        }
        return false;
    default:
        ret->s = text;
        return true;
    }
}

/* The largest unit that shows ns exactly. */
static void print_dur(int64_t ns, char out[64])
{
    static const struct {
        int64_t ns;
        const char *name;
    } units[] = { { 3600 * NS_PER_S, "h" }, { 60 * NS_PER_S, "m" }, { NS_PER_S, "s" },
                  { NS_PER_MS, "ms" },      { NS_PER_US, "us" },    { 1, "ns" } };
    if (ns == 0) {
        snprintf(out, 64, "0");
        return;
    }
    size_t i = 0;
    while (ns % units[i].ns != 0)
        i++;
    snprintf(out, 64, "%lld%s", (long long)(ns / units[i].ns), units[i].name);
}

static void print_bytes(int64_t n, char out[64])
{
    static const char *const names[] = { "", "KiB", "MiB", "GiB" };
    unsigned u = 0;
    while (u < 3 && n && n % 1024 == 0) {
        n /= 1024;
        u++;
    }
    snprintf(out, 64, "%lld%s", (long long)n, names[u]);
}

static void print_ratio(int64_t ppm, char out[64])
{
    int n = snprintf(out, 64, "%lld.%04lld", (long long)(ppm / 10000), (long long)(ppm % 10000));
    while (n > 0 && out[n - 1] == '0')
        n--;
    if (n > 0 && out[n - 1] == '.')
        n--;
    snprintf(out + n, (size_t)(64 - n), "%%");
}

/* Shortest of the two precisions that reads back as the same double, in the number grammar of JSON.
 */
static void print_number(double d, char out[64])
{
    snprintf(out, 64, "%.15g", d);
    if (strtod(out, NULL) != d)
        snprintf(out, 64, "%.17g", d);
}

const char *range_text(const struct field *f, int64_t v, char out[64])
{
    switch ((enum field_type)f->type) {
    case T_DUR:
        print_dur(v, out);
        break;
    case T_BYTES:
        print_bytes(v, out);
        break;
    case T_RATIO:
        print_ratio(v, out);
        break;
    default:
        snprintf(out, 64, "%lld", (long long)v);
    }
    return out;
}

const char *scalar_text(const struct field *f, const union scalar *v, char out[64])
{
    switch ((enum field_type)f->type) {
    case T_BOOL:
        return v->b ? "true" : "false";
    case T_NUMBER:
        print_number(v->d, out);
        return out;
    case T_ENUM:
        for (const struct enum_value *e = f->values; e->name; e++)
            if (e->value == v->i)
                return e->name;
        return "";
    default:
        return range_text(f, v->i, out);
    }
}

static bool range_check(const struct walk *w, const struct field *f, const struct node *n,
                        const struct place *at, const union scalar *v)
{
    char lo[64], hi[64], shown[96];
    bool low, high;
    if (f->min == 0 && f->max == 0)
        return true;
    if (f->type == T_NUMBER) {
        low = v->d < (double)f->min;
        high = f->max >= f->min && v->d > (double)f->max;
    } else {
        low = v->i < f->min;
        high = f->max >= f->min && v->i > f->max;
    }
    if (!low && !high)
        return true;
    place_show(f->flags & F_SECRET ? STR("the value") : n->text, shown);
    if (f->max < f->min)
        return place_fail(w, at, n, "%s is less than %s", shown, range_text(f, f->min, lo));
    return place_fail(w, at, n, "%s is outside %s..%s", shown, range_text(f, f->min, lo),
                      range_text(f, f->max, hi));
}

static bool enum_fail(const struct walk *w, const struct field *f, const struct node *n,
                      const struct place *at)
{
    struct guess g = { .wrong = n->text };
    struct buf all;
    char hint[96], shown[96];
    buf_init(&all, 700);
    for (const struct enum_value *v = f->values; v->name; v++) {
        guess_try(&g, str_from(v->name));
        buf_fmt(&all, "%s%s", all.n ? ", " : "", v->name);
    }
    place_fail(w, at, n, "'%s' is not one of %.*s%s", place_show(n->text, shown),
               STR_FMT(buf_view(&all)), guess_text(&g, hint));
    buf_fini(&all);
    return false;
}

static bool regex_check(const struct walk *w, const struct node *n, const struct place *at)
{
    char err[160] = "";
    size_t offset = 0;
    struct regex *r = regex_new(n->text, err, sizeof(err), &offset);
    if (!r)
        return place_fail(w, at, n, "bad regular expression: %s (at character %zu)", err,
                          offset + 1);
    regex_free(r);
    return true;
}

static bool template_check(const struct walk *w, const struct node *n, const struct place *at)
{
    const char *why;
    return path_template_valid(n->text, &why) || place_fail(w, at, n, "bad path template: %s", why);
}

bool string_check(const struct walk *w, const struct field *f, const struct node *n,
                  const struct place *at)
{
    if (f->values) {
        for (const struct enum_value *v = f->values; v->name; v++)
            if (str_eq(n->text, str_from(v->name)))
                return true;
        return enum_fail(w, f, n, at);
    }
    enum field_format format = f->format;
    const char *want;
    if (format == FMT_REGEX)
        return regex_check(w, n, at);
    if (format == FMT_TEMPLATE)
        return template_check(w, n, at);
    if (format == FMT_ANY && (f->flags & F_REF))
        format = FMT_NAME;
    if (format == FMT_ANY || format_check(format, n->text, &want))
        return true;
    return place_want(w, at, n, want, f->flags & F_SECRET);
}

static bool length_check(const struct walk *w, const struct field *f, const struct node *n,
                         const struct place *at)
{
    int64_t len = (int64_t)n->text.n;
    if (f->type != T_STR || (f->min == 0 && f->max == 0))
        return true;
    if (len < f->min)
        return f->min == 1
                   ? place_fail(w, at, n, "must not be empty")
                   : place_fail(w, at, n, "want at least %lld characters", (long long)f->min);
    if (f->max >= f->min && len > f->max)
        return place_fail(w, at, n, "want at most %lld characters, got %lld", (long long)f->max,
                          (long long)len);
    return true;
}

/* Which node types a scalar type takes: numbers and words may be strings, but a string is never a
 * number. */
static bool takes(const struct field *f, const struct node *n)
{
    switch ((enum field_type)f->type) {
    case T_BOOL:
        return n->type == NODE_BOOL;
    case T_INT:
    case T_LIST_INT:
    case T_NUMBER:
        return n->type == NODE_NUMBER;
    case T_DUR:
    case T_BYTES:
    case T_RATIO:
        return n->type == NODE_NUMBER || n->type == NODE_STRING;
    default:
        return n->type == NODE_NUMBER || n->type == NODE_STRING || n->type == NODE_BOOL;
    }
}

bool scalar_parse(const struct walk *w, const struct field *f, const struct node *n,
                  const struct place *at, union scalar *ret)
{
    bool secret = f->flags & F_SECRET;
    char shown[96];
    if (!takes(f, n)) {
        if (n->type == NODE_STRING && !n->plain && !secret && f->type != T_ENUM &&
            scalar_read(f, n->text, ret))
            return place_fail(w, at, n, "want %s, got '%s' in quotes", field_want(f),
                              place_show(n->text, shown));
        return place_want(w, at, n, field_want(f), secret);
    }
    if (!scalar_read(f, n->text, ret))
        return f->type == T_ENUM && !secret ? enum_fail(w, f, n, at)
                                            : place_want(w, at, n, field_want(f), secret);
    if (f->type == T_STR)
        return length_check(w, f, n, at) && string_check(w, f, n, at);
    if (f->type == T_BOOL || f->type == T_ENUM || f->type == T_LIST_INT)
        return true;
    return range_check(w, f, n, at, ret);
}

void scalar_store(const struct field *f, const union scalar *v, struct arena *a, void *out)
{
    switch ((enum field_type)f->type) {
    case T_BOOL:
        *(bool *)out = v->b;
        break;
    case T_NUMBER:
        memcpy(out, &v->d, sizeof(v->d));
        break;
    case T_RATIO:
        *(struct ratio *)out = (struct ratio){ (uint32_t)v->i };
        break;
    case T_ENUM:
        *(uint8_t *)out = (uint8_t)v->i;
        break;
    case T_STR: {
        struct str s = v->s.n ? arena_str(a, v->s) : STR(""); /* given as "" is not absent */
        memcpy(out, &s, sizeof(s));
        break;
    }
    default:
        memcpy(out, &v->i, sizeof(v->i));
    }
}

void scalar_load(const struct field *f, const void *from, union scalar *ret)
{
    switch ((enum field_type)f->type) {
    case T_BOOL:
        ret->b = *(const bool *)from;
        break;
    case T_NUMBER:
        memcpy(&ret->d, from, sizeof(ret->d));
        break;
    case T_RATIO:
        ret->i = ((const struct ratio *)from)->ppm;
        break;
    case T_ENUM:
        ret->i = *(const uint8_t *)from;
        break;
    case T_STR:
        memcpy(&ret->s, from, sizeof(ret->s));
        break;
    default:
        memcpy(&ret->i, from, sizeof(ret->i));
    }
}

bool scalar_equal(const struct field *f, const union scalar *a, const union scalar *b)
{
    switch ((enum field_type)f->type) {
    case T_BOOL:
        return a->b == b->b;
    case T_NUMBER:
        return memcmp(&a->d, &b->d, sizeof(a->d)) == 0;
    case T_STR:
        return str_eq(a->s, b->s);
    default:
        return a->i == b->i;
    }
}
